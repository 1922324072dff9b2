//! What embedders rely on at compile time.

use std::sync::Arc;

use guestlist::{Guestlist, MemoryStore, Store};

fn send_sync<T: Send + Sync>() {}
fn send<T: Send>(value: T) -> T {
    value
}

#[test]
fn the_facade_can_be_shared() {
    send_sync::<Guestlist<MemoryStore>>();
    send_sync::<Guestlist<Arc<dyn Store>>>();
    send_sync::<Guestlist<guestlist_sqlite::SqliteStore>>();
    send_sync::<Guestlist<guestlist_sqlite::Enlisted>>();
    send_sync::<guestlist::Error>();
}

#[test]
fn stores_are_taken_by_value_by_reference_and_without_a_type() {
    let peppers = || {
        guestlist::PepperRing::new(
            guestlist::PepperId::new(1),
            guestlist::Pepper::from_bytes(&[1; 32]).unwrap(),
        )
    };
    let store = MemoryStore::default();
    let by_reference = Guestlist::new(&store, peppers());
    let future = by_reference.sweep(1);
    drop(send(future));
    let shared: Arc<dyn Store> = Arc::new(store.clone());
    let without_a_type = Guestlist::new(shared, peppers());
    drop(send(without_a_type.sweep(1)));
    drop(Guestlist::new(Box::new(store) as Box<dyn Store>, peppers()));
}
