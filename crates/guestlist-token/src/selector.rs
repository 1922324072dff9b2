//! The public part of a token, which its row is found by.

use core::fmt;

use guestlist_types::Bucket;

use crate::base62;
use crate::form;

/// How many characters a selector has.
pub(crate) const SELECTOR_BYTES: usize = 10;

/// How many selectors one bucket has: eight base-62 characters.
const PER_BUCKET: u64 = 62_u64.pow(8);

/// The public part of a token, which its row is found by: the host's bucket and 8 random
/// characters, together one 10-digit base-62 number below 2^63.
///
/// It opens nothing and may be logged. Its order is that of its number and of its text. In JSON it
/// is the 10 characters, in binary formats the number.
///
/// ```
/// # use guestlist_token::Selector;
/// let selector = Selector::parse("0100000000").ok_or("ten base-62 characters")?;
/// assert_eq!(selector.bucket().get(), 1);
/// assert_eq!(selector.as_i64(), 62_i64.pow(8));
/// assert_eq!(Selector::from_i64(selector.as_i64()), Some(selector));
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selector {
    // The derived order relies on the bucket being the leading digits.
    bucket: Bucket,
    /// Below [`PER_BUCKET`].
    tail: u64,
}

impl Selector {
    /// The selector that is stored as this number; `None` for numbers that no token has.
    #[must_use]
    pub fn from_i64(number: i64) -> Option<Self> {
        u64::try_from(number).ok().and_then(Self::from_u64)
    }

    /// Parses the 10 characters; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::from_characters(text.as_bytes())
    }

    /// The number that this selector is stored as.
    #[must_use]
    pub fn as_i64(self) -> i64 {
        self.as_u64().cast_signed()
    }

    /// The bucket that the token's row lives in.
    #[must_use]
    pub const fn bucket(self) -> Bucket {
        self.bucket
    }

    /// The selector of this bucket whose random part is `tail`, which wraps at 62^8.
    pub(crate) const fn new(bucket: Bucket, tail: u64) -> Self {
        Self {
            bucket,
            tail: tail % PER_BUCKET,
        }
    }

    pub(crate) fn from_characters(text: &[u8]) -> Option<Self> {
        if text.len() != SELECTOR_BYTES {
            return None;
        }
        base62::decode(text).and_then(Self::from_u64)
    }

    fn from_u64(number: u64) -> Option<Self> {
        let bucket = u16::try_from(number / PER_BUCKET).ok()?;
        Some(Self::new(Bucket::new(bucket)?, number))
    }

    pub(crate) fn as_u64(self) -> u64 {
        u64::from(self.bucket.get()) * PER_BUCKET + self.tail
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = base62::encode::<SELECTOR_BYTES>(self.as_u64());
        f.write_str(core::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Selector({self})")
    }
}

impl serde::Serialize for Selector {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        form::serialize(self, &self.as_u64(), serializer)
    }
}

impl<'de> serde::Deserialize<'de> for Selector {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Selector;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the ten characters of a selector")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Selector, E> {
                // The text may be a whole token that was put here by mistake: it is not repeated.
                let unexpected = serde::de::Unexpected::Other("another text");
                Selector::parse(text).ok_or_else(|| E::invalid_value(unexpected, &self))
            }
        }
        form::deserialize(deserializer, Visitor, Self::from_u64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::arb_selector;

    #[test]
    fn numbers_that_no_token_has_are_refused() {
        let last = Selector::parse("zzzzzzzzzz").unwrap();
        assert_eq!(last.as_i64(), 839_299_365_868_340_223);
        assert_eq!(last.bucket().get(), 3843);
        for number in [-1, i64::MIN, i64::MAX, last.as_i64() + 1] {
            assert_eq!(Selector::from_i64(number), None, "{number}");
        }
        assert_eq!(
            Selector::from_i64(0),
            Selector::parse("0000000000"),
            "zero is a selector"
        );
    }

    #[test]
    fn texts_that_are_no_selector_are_refused() {
        for text in [
            "",
            "0",
            "000000000",
            "00000000000",
            "000000000_",
            "00000000\u{e9}",
            " 000000000",
        ] {
            assert_eq!(Selector::parse(text), None, "{text:?}");
        }
        assert_eq!(Selector::parse(&"0".repeat(64 << 20)), None);
    }

    #[test]
    fn wire_forms_are_pinned() {
        let selector = Selector::parse("0100000002").unwrap();
        assert_eq!(serde_json::to_string(&selector).unwrap(), r#""0100000002""#);
        assert_eq!(
            postcard::to_stdvec(&selector).unwrap(),
            postcard::to_stdvec(&(62_u64.pow(8) + 2)).unwrap()
        );
        assert_eq!(format!("{selector:?}"), "Selector(0100000002)");
        let refused = serde_json::from_str::<Selector>("1").unwrap_err();
        let expected = "expected the ten characters of a selector";
        assert!(refused.to_string().contains(expected), "{refused}");
        let refused = serde_json::from_str::<Selector>(r#""glj_0100000002""#).unwrap_err();
        assert!(!refused.to_string().contains("glj_"), "{refused}");
        let too_large = postcard::to_stdvec(&62_u64.pow(10)).unwrap();
        assert!(postcard::from_bytes::<Selector>(&too_large).is_err());
    }

    proptest! {
        #[test]
        fn every_form_survives(selector in arb_selector()) {
            prop_assert_eq!(Selector::parse(&selector.to_string()), Some(selector));
            prop_assert_eq!(Selector::from_i64(selector.as_i64()), Some(selector));
            let json = serde_json::to_string(&selector).unwrap();
            prop_assert_eq!(serde_json::from_str::<Selector>(&json).unwrap(), selector);
            let bytes = postcard::to_stdvec(&selector).unwrap();
            prop_assert_eq!(postcard::from_bytes::<Selector>(&bytes).unwrap(), selector);
        }

        #[test]
        fn numbers_and_texts_sort_alike(a in arb_selector(), b in arb_selector()) {
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
            prop_assert_eq!(a.cmp(&b), a.as_i64().cmp(&b.as_i64()));
        }

        #[test]
        fn the_bucket_is_the_first_two_characters(number in 0..guestlist_types::BUCKETS, tail: u64) {
            let bucket = Bucket::new(number).unwrap();
            let selector = Selector::new(bucket, tail);
            prop_assert_eq!(selector.bucket(), bucket);
            let text = selector.to_string();
            prop_assert_eq!(base62::decode(&text.as_bytes()[..2]), Some(u64::from(number)));
        }

        #[test]
        fn any_number_gives_itself_or_nothing(number: i64) {
            if let Some(selector) = Selector::from_i64(number) {
                prop_assert_eq!(selector.as_i64(), number);
            }
        }
    }
}
