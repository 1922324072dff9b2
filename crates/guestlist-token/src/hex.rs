//! Bytes as lower-case hexadecimal text: one spelling per value.

use core::fmt;

/// Prints bytes, two digits each.
pub(crate) struct Hex<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Reads `N` bytes.
pub(crate) struct Visitor<const N: usize>;

impl<const N: usize> serde::de::Visitor<'_> for Visitor<N> {
    type Value = [u8; N];
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} lower-case hexadecimal digits", 2 * N)
    }
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<[u8; N], E> {
        // The text is a digest of a secret, or a whole token that was put here by mistake, so it is
        // not repeated.
        let unexpected = serde::de::Unexpected::Other("another text");
        parse(text).ok_or_else(|| E::invalid_value(unexpected, &self))
    }
}

/// The `N` bytes of `2 * N` lower-case digits; `None` for anything else.
fn parse<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = pair
            .iter()
            .try_fold(0, |byte, digit| Some(byte * 16 + value(*digit)?))?;
    }
    Some(bytes)
}

fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn other_texts_are_refused() {
        assert_eq!(parse("00ff"), Some([0, 255]));
        for text in ["", "00f", "00fff", "00FF", "00fg", "0x0f", "00\u{e9}"] {
            assert_eq!(parse::<2>(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn bytes_survive(bytes: [u8; 32]) {
            prop_assert_eq!(parse(&Hex(&bytes).to_string()), Some(bytes));
        }
    }
}
