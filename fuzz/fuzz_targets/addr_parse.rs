//! An address is a key, or a handle and a key with one hop; it prints as it was parsed.

#![no_main]

use guestlist_fuzz::format::{is_handle, is_key};
use guestlist_types::{Address, Key, OrgName};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let parts = match text.strip_prefix('@') {
        None => Some((None, text)),
        Some(rest) => rest
            .find('/')
            .map(|at| (Some(&rest[..at]), &rest[at + 1..])),
    };
    let is_address = |(name, key): &(Option<&str>, &str)| name.is_none_or(is_handle) && is_key(key);
    let expected = parts.filter(is_address);
    match Address::parse(text) {
        Ok(address) => {
            assert_eq!(address.to_string(), text);
            let found = (
                address.organization().map(OrgName::as_str),
                address.key().as_str(),
            );
            assert_eq!(Some(found), expected);
            assert!(!address.key().as_str().starts_with('@'), "one hop only");
            if let Some(name) = address.organization() {
                let again = Address::of(name.clone(), address.key().clone());
                assert_eq!(again, address);
                assert!(Key::parse(text).is_err(), "an address is no key");
            }
        }
        Err(error) => {
            assert_eq!(expected, None, "an address was refused: {error:?}");
            assert!(!error.code().is_empty());
        }
    }
    if let Some(name) = text.get(..text.len().min(80)) {
        assert_eq!(OrgName::parse(name).is_ok(), is_handle(name));
    }
});
