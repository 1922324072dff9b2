//! The formats, read once more and in another way than by the crates that define them.

const BASE_62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A base-62 digit out of any byte.
#[must_use]
pub fn digit(byte: u8) -> char {
    char::from(BASE_62[usize::from(byte) % 62])
}

/// Whether a text is a token: a prefix, 32 base-62 digits, and the CRC-32 of these 36 bytes as six
/// base-62 digits.
#[must_use]
pub fn is_token(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_shaped = bytes.len() == 42
        && (bytes.starts_with(b"glj_") || bytes.starts_with(b"gle_"))
        && bytes[4..].iter().all(|byte| BASE_62.contains(byte));
    if !is_shaped {
        return false;
    }
    let mut checksum = u64::from(crc32fast::hash(&bytes[..36]));
    let mut written = [0; 6];
    for place in (0..6).rev() {
        let (rest, last) = (checksum / 62, checksum % 62);
        written[place] = BASE_62[usize::try_from(last).expect("below 62")];
        checksum = rest;
    }
    bytes[36..] == written
}

/// Whether a text is a key.
#[must_use]
pub fn is_key(text: &str) -> bool {
    let ends_well = !matches!(text.chars().next(), None | Some('/' | '@')) && !text.ends_with('/');
    let mut segment = String::new();
    let mut segments_are_names = true;
    for character in text.chars().chain(['/']) {
        if character == '/' {
            segments_are_names &= !matches!(segment.as_str(), "" | "." | "..");
            segment.clear();
        } else {
            segment.push(character);
        }
    }
    // The control characters of Unicode: C0, DEL and C1.
    let is_control = |c: char| matches!(u32::from(c), 0..=0x1f | 0x7f..=0x9f);
    ends_well && segments_are_names && text.len() <= 1024 && !text.chars().any(is_control)
}

/// Whether a text is an organization's handle.
#[must_use]
pub fn is_handle(text: &str) -> bool {
    let is_edge = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9');
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && bytes.first().is_some_and(is_edge)
        && bytes.last().is_some_and(is_edge)
        && bytes
            .iter()
            .all(|byte| is_edge(byte) || matches!(byte, b'-' | b'_'))
}
