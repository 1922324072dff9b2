//! Numbers as `0-9A-Za-z`: one spelling per number, ordered as the bytes are.

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The character of a value below 62; larger values wrap around.
pub(crate) fn character(value: u8) -> char {
    char::from(DIGITS[usize::from(value % 62)])
}

/// The last `N` digits of a number, with leading zeros.
pub(crate) fn encode<const N: usize>(mut number: u64) -> [u8; N] {
    let mut text = [0; N];
    for slot in text.iter_mut().rev() {
        *slot = DIGITS[(number % 62) as usize];
        number /= 62;
    }
    text
}

/// The number of at most ten digits; `None` when a byte is no digit.
pub(crate) fn decode(text: &[u8]) -> Option<u64> {
    debug_assert!(text.len() <= 10, "eleven digits can be more than 64 bits");
    text.iter().try_fold(0, |number, byte| {
        Some(number * 62 + u64::from(value(*byte)?))
    })
}

fn value(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'Z' => Some(byte - b'A' + 10),
        b'a'..=b'z' => Some(byte - b'a' + 36),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_alphabet_is_the_alphanumeric_bytes_in_order() {
        assert!(DIGITS.is_sorted());
        for byte in 0..=u8::MAX {
            assert_eq!(value(byte).is_some(), byte.is_ascii_alphanumeric());
            if let Some(value) = value(byte) {
                assert_eq!(character(value), char::from(byte));
            }
        }
    }

    proptest! {
        #[test]
        fn numbers_survive(number in 0..62_u64.pow(10)) {
            prop_assert_eq!(decode(&encode::<10>(number)), Some(number));
        }
    }
}
