//! A text is a key exactly if an independent reading of the rules says so, and has one spelling.

#![no_main]

use guestlist_fuzz::format::is_key;
use guestlist_types::{Address, Key};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = core::str::from_utf8(data) {
        match Key::parse(text) {
            Ok(key) => {
                assert!(is_key(text), "not a key: {text:?}");
                assert_eq!(key.as_str(), text);
                assert_eq!(key.to_string(), text);
                let json = serde_json::to_string(&key).expect("a key is a string");
                assert_eq!(serde_json::from_str::<Key>(&json).as_ref().ok(), Some(&key));
                let bytes = postcard::to_stdvec(&key).expect("a key is a string");
                assert_eq!(postcard::from_bytes::<Key>(&bytes).as_ref(), Ok(&key));
                assert_eq!(Address::parse(text), Ok(Address::own(key)));
            }
            Err(error) => {
                assert!(!is_key(text), "a key was refused: {text:?}, {error:?}");
                assert!(error.code().starts_with("key-"));
                assert!(!error.to_string().contains(text) || text.len() < 8);
            }
        }
    }
    // What is read from stores goes through the same rules.
    if let Ok(key) = postcard::from_bytes::<Key>(data) {
        assert!(is_key(key.as_str()));
    }
    if let Ok(key) = serde_json::from_slice::<Key>(data) {
        assert!(is_key(key.as_str()));
    }
});
