//! Stub.
use guestlist_benches::Run;
use guestlist_testkit::postgres::Server;
use tokio::runtime::Runtime;
pub(crate) fn growth(_: &mut Run, _: &Server, _: &Runtime, _: bool) {}
