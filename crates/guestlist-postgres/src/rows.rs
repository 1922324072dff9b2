//! What rows put into columns: see [`guestlist_store::columns`].

use guestlist_store::StoreError;
pub(crate) use guestlist_store::columns::{
    consumer_values, decode, fits, home_values, json, key_values, parse, row_values,
};

pub(crate) const NOT_COUNTED: StoreError = StoreError::Malformed {
    what: "a counter that is none",
};

pub(crate) const NO_SUCH_EVENT: StoreError = StoreError::Malformed {
    what: "an erasure of an event that is not there",
};

pub(crate) const OTHER_ROW: StoreError = StoreError::Malformed {
    what: "a row under the key of another one",
};
