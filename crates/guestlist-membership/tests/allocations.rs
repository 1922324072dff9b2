//! What is far too long is refused before anything is made of it.

use guestlist_membership::{Metadata, MetadataError};

#[test]
fn metadata_that_is_far_too_large_is_not_read() {
    let text = ["{\"a\":\"", &"0".repeat(64 << 20), "\"}"].concat();
    let mut outcome = Ok(Metadata::EMPTY);
    let counted = allocation_counter::measure(|| outcome = Metadata::from_json(&text));
    assert_eq!(outcome, Err(MetadataError::TooLarge));
    assert_eq!(counted.count_total, 0);
}
