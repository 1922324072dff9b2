//! Ids of the host application (opaque text) and of guestlist (16 bytes, `UUIDv7` layout).

use core::fmt;
use core::str::FromStr;

use rand_core::TryCryptoRng;

use crate::text::text_type;
use crate::time::Timestamp;

/// Why a text or a number of bytes is no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// Nothing was given.
    #[error("an id must not be empty")]
    Empty,
    /// More than 64 bytes.
    #[error("an id has at most 64 bytes")]
    TooLong,
    /// A character outside printable ASCII, or a space.
    #[error("an id is made of printable ASCII characters without spaces")]
    Character,
    /// A user id that begins like a proxy user's id.
    #[error("user ids must not begin with `proxy_`, which is kept for proxy users")]
    ReservedPrefix,
    /// Not the hyphenated lower-case form of a 16-byte id.
    #[error("not an id: expected 32 lower-case hexadecimal digits in five groups")]
    Malformed,
}

impl IdError {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Empty => "id-empty",
            Self::TooLong => "id-too-long",
            Self::Character => "id-character",
            Self::ReservedPrefix => "id-reserved-prefix",
            Self::Malformed => "id-malformed",
        }
    }
}

fn check_opaque(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > 64 {
        return Err(IdError::TooLong);
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(IdError::Character);
    }
    Ok(())
}

fn check_user(text: &str) -> Result<(), IdError> {
    check_opaque(text)?;
    if text.starts_with(PROXY_PREFIX) {
        return Err(IdError::ReservedPrefix);
    }
    Ok(())
}

/// Proxy users are printed with this prefix and user ids may not have it, so that a proxy can
/// never be taken for a user who manages anything.
const PROXY_PREFIX: &str = "proxy_";

text_type! {
    /// An organization's id: the host application's own, opaque, 1 to 64 bytes of printable ASCII.
    ///
    /// ```
    /// # use guestlist_types::OrgId;
    /// let id = OrgId::parse("org_2f9c")?;
    /// assert_eq!(id.as_str(), "org_2f9c");
    /// assert!(OrgId::parse("two words").is_err());
    /// # Ok::<(), guestlist_types::IdError>(())
    /// ```
    OrgId, IdError, check_opaque
}

text_type! {
    /// A user's id: the host application's own, opaque, 1 to 64 bytes of printable ASCII.
    ///
    /// The prefix `proxy_` is refused: it is kept for [`ProxyUserId`].
    UserId, IdError, check_user
}

/// Defines a 16-byte id in `UUIDv7` layout with an optional prefix in its text form.
macro_rules! uuid_type {
    ($(#[$meta:meta])* $name:ident, $prefix:expr) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// Draws a new id: the milliseconds of `now`, then 74 random bits.
            ///
            /// # Errors
            ///
            /// Passes on what the generator reports; nothing is made then.
            pub fn generate<R: TryCryptoRng + ?Sized>(
                now: Timestamp,
                rng: &mut R,
            ) -> Result<Self, R::Error> {
                uuid_v7(now, rng).map(Self)
            }

            /// The id with these bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The 16 bytes of this id.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// Parses the text form.
            ///
            /// # Errors
            ///
            /// [`IdError::Malformed`] for everything that this type would not print.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                let hex = text.strip_prefix($prefix).ok_or(IdError::Malformed)?;
                parse_hyphenated(hex).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($prefix)?;
                print_hyphenated(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = IdError;
            fn try_from(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    self.0.serialize(serializer)
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl serde::de::Visitor<'_> for Visitor {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!("the text of one ", stringify!($name)))
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        $name::parse(text).map_err(E::custom)
                    }
                }
                if deserializer.is_human_readable() {
                    deserializer.deserialize_str(Visitor)
                } else {
                    <[u8; 16]>::deserialize(deserializer).map(Self)
                }
            }
        }
    };
}

uuid_type! {
    /// An invite link's id. It opens nothing: the secret is the link's token.
    LinkId, ""
}
uuid_type! {
    /// An e-mail invite's id. It opens nothing: the secret is the invite's token.
    InviteId, ""
}
uuid_type! {
    /// A webhook endpoint's id.
    EndpointId, ""
}
uuid_type! {
    /// A group's id. Never used again, also not for a new group of the same name.
    GroupId, ""
}
uuid_type! {
    /// A grant's id.
    GrantId, ""
}
uuid_type! {
    /// One commit's id: the same commit sent twice is applied once.
    CommitId, ""
}
uuid_type! {
    /// A proxy user's id, printed as `proxy_...`; no [`UserId`] looks like it.
    ProxyUserId, "proxy_"
}

fn uuid_v7<R: TryCryptoRng + ?Sized>(now: Timestamp, rng: &mut R) -> Result<[u8; 16], R::Error> {
    let mut bytes = [0; 16];
    rng.try_fill_bytes(&mut bytes[6..])?;
    let millis = now.as_micros().div_euclid(1000).max(0).to_be_bytes();
    bytes[..6].copy_from_slice(&millis[2..]);
    // Four bits say that this is version 7, two that it is of the variant of RFC 9562.
    bytes[6] = 0x70 + bytes[6] % 0x10;
    bytes[8] = 0x80 + bytes[8] % 0x40;
    Ok(bytes)
}

fn print_hyphenated(bytes: &[u8; 16], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b'-'; 36];
    let mut at = 0;
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            at += 1;
        }
        text[at] = DIGITS[usize::from(byte >> 4)];
        text[at + 1] = DIGITS[usize::from(byte & 15)];
        at += 2;
    }
    f.write_str(core::str::from_utf8(&text).map_err(|_| fmt::Error)?)
}

fn parse_hyphenated(text: &str) -> Result<[u8; 16], IdError> {
    let text = text.as_bytes();
    if text.len() != 36 {
        return Err(IdError::Malformed);
    }
    let mut bytes = [0; 16];
    let mut at = 0;
    for (index, byte) in bytes.iter_mut().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            if text[at] != b'-' {
                return Err(IdError::Malformed);
            }
            at += 1;
        }
        *byte = digit(text[at])? * 16 + digit(text[at + 1])?;
        at += 2;
    }
    Ok(bytes)
}

fn digit(byte: u8) -> Result<u8, IdError> {
    match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => Err(IdError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use core::fmt::{Debug, Display};

    use proptest::prelude::*;
    use rand_core::TryRng;
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use super::*;
    use crate::testing::arb_link_id;

    /// A generator of one byte, over and over; of none, a broken one.
    struct Constant(Option<u8>);

    #[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
    #[error("broken")]
    struct Broken;

    impl TryRng for Constant {
        type Error = Broken;
        fn try_next_u32(&mut self) -> Result<u32, Broken> {
            self.0
                .map(|byte| u32::from_le_bytes([byte; 4]))
                .ok_or(Broken)
        }
        fn try_next_u64(&mut self) -> Result<u64, Broken> {
            self.try_next_u32()
                .map(|half| u64::from(half) << 32 | u64::from(half))
        }
        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Broken> {
            for chunk in bytes.chunks_mut(8) {
                chunk.copy_from_slice(&self.try_next_u64()?.to_le_bytes()[..chunk.len()]);
            }
            Ok(())
        }
    }

    impl TryCryptoRng for Constant {}

    const BYTES: [u8; 16] = [
        0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0x7c, 0xde, 0x8f, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab,
        0xcd,
    ];
    const TEXT: &str = "01234567-89ab-7cde-8f01-23456789abcd";

    #[test]
    fn opaque_ids_refuse_what_is_not_printable_ascii() {
        for (text, error) in [
            ("", IdError::Empty),
            ("a b", IdError::Character),
            ("a\0b", IdError::Character),
            ("caf\u{e9}", IdError::Character),
            ("\u{202e}x", IdError::Character),
        ] {
            assert_eq!(OrgId::parse(text), Err(error), "{text:?}");
        }
        assert_eq!(UserId::parse("a b"), Err(IdError::Character));
        assert_eq!(OrgId::parse(&"a".repeat(65)), Err(IdError::TooLong));
        assert!(OrgId::parse(&"a".repeat(64)).is_ok());
    }

    #[test]
    fn a_proxy_id_is_never_a_user_id() {
        let proxy = ProxyUserId::from_bytes([7; 16]);
        assert_eq!(
            UserId::parse(&proxy.to_string()),
            Err(IdError::ReservedPrefix)
        );
        assert_eq!(ProxyUserId::parse(&proxy.to_string()), Ok(proxy));
    }

    /// What holds of every id that guestlist makes.
    fn check_form<T>(id: T, text: &str, debug: &str)
    where
        T: Copy + PartialEq + Debug + Display + FromStr<Err = IdError> + Serialize,
        T: DeserializeOwned + for<'a> TryFrom<&'a str, Error = IdError>,
    {
        assert_eq!(
            (id.to_string(), format!("{id:?}")),
            (text.to_owned(), debug.to_owned())
        );
        assert_eq!((text.parse(), T::try_from(text)), (Ok(id), Ok(id)));
        let json = format!("\"{text}\"");
        assert_eq!(serde_json::to_string(&id).unwrap(), json);
        assert_eq!(serde_json::from_str::<T>(&json).unwrap(), id);
        assert_eq!(postcard::to_stdvec(&id).unwrap(), BYTES);
        assert_eq!(postcard::from_bytes::<T>(&BYTES).unwrap(), id);
        assert!(postcard::from_bytes::<T>(&BYTES[1..]).is_err());
        let refused = serde_json::from_str::<T>("7").unwrap_err().to_string();
        let (name, _) = debug.split_once('(').unwrap();
        assert!(
            refused.contains(&format!("expected the text of one {name}")),
            "{refused}"
        );
        let refused = serde_json::from_str::<T>("\"hidden\"")
            .unwrap_err()
            .to_string();
        assert!(!refused.contains("hidden"), "{refused}");
    }

    #[test]
    fn every_form_is_pinned() {
        macro_rules! check {
            ($($name:ident: $prefix:literal),+) => {$(
                let id = $name::from_bytes(BYTES);
                assert_eq!(id.as_bytes(), &BYTES);
                let text = format!("{}{TEXT}", $prefix);
                check_form(id, &text, &format!("{}({text})", stringify!($name)));
            )+};
        }
        check!(LinkId: "", InviteId: "", EndpointId: "", GroupId: "", GrantId: "", CommitId: "");
        check!(ProxyUserId: "proxy_");
    }

    #[test]
    fn other_texts_are_malformed() {
        assert!(LinkId::parse(TEXT).is_ok());
        for at in 0..TEXT.len() {
            // A hyphen where a digit is, and anything else where a hyphen is.
            for other in ["-", "0", "g", "A", "/", ":", "`"] {
                let mut text = TEXT.to_owned();
                text.replace_range(at..=at, other);
                let is_digit = TEXT.as_bytes()[at] != b'-';
                let fits = if is_digit { other == "0" } else { other == "-" };
                assert_eq!(LinkId::parse(&text).is_ok(), fits, "{text}");
            }
        }
        for text in [
            "",
            &TEXT[1..],
            &format!("{TEXT}0"),
            "proxy_",
            &"\u{e9}".repeat(18),
        ] {
            assert_eq!(LinkId::parse(text), Err(IdError::Malformed), "{text:?}");
        }
        for text in [
            TEXT,
            &format!("proxy-{TEXT}"),
            &format!("proxy_{TEXT}0"),
            "proxy_",
        ] {
            assert_eq!(
                ProxyUserId::parse(text),
                Err(IdError::Malformed),
                "{text:?}"
            );
        }
    }

    #[test]
    fn new_ids_begin_with_the_time() {
        let day = Timestamp::from_micros(1_795_339_800_123_999);
        for (now, byte, text) in [
            (day, 0x00, "01a20297-4e3b-7000-8000-000000000000"),
            (day, 0xff, "01a20297-4e3b-7fff-bfff-ffffffffffff"),
            (day, 0x5a, "01a20297-4e3b-7a5a-9a5a-5a5a5a5a5a5a"),
            (Timestamp::MIN, 0x00, "00000000-0000-7000-8000-000000000000"),
        ] {
            let id = LinkId::generate(now, &mut Constant(Some(byte)));
            assert_eq!(id.map(|id| id.to_string()).as_deref(), Ok(text));
        }
        assert_eq!(LinkId::generate(day, &mut Constant(None)), Err(Broken));
    }

    #[test]
    fn codes_are_pinned() {
        for (error, code) in [
            (IdError::Empty, "id-empty"),
            (IdError::TooLong, "id-too-long"),
            (IdError::Character, "id-character"),
            (IdError::ReservedPrefix, "id-reserved-prefix"),
            (IdError::Malformed, "id-malformed"),
        ] {
            assert_eq!(error.code(), code);
        }
    }

    proptest! {
        #[test]
        fn printed_ids_parse_back(id in arb_link_id()) {
            prop_assert_eq!(LinkId::parse(&id.to_string()), Ok(id));
            let json = serde_json::to_string(&id).unwrap();
            prop_assert_eq!(serde_json::from_str::<LinkId>(&json).unwrap(), id);
        }

        #[test]
        fn what_parses_prints_the_same(text in "[0-9a-fA-F-]{30,40}") {
            if let Ok(id) = LinkId::parse(&text) {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
