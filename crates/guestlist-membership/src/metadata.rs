//! The host application's own data on links and memberships.

use serde::{Deserialize, Serialize};

/// A JSON object of at most 4 KiB that guestlist carries and never reads.
///
/// ```
/// # use guestlist_membership::Metadata;
/// let metadata = Metadata::from_json(r#"{ "campaign": "spring" }"#)?;
/// assert_eq!(metadata.as_json(), r#"{"campaign":"spring"}"#);
/// assert!(Metadata::from_json("[]").is_err());
/// # Ok::<(), guestlist_membership::MetadataError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Metadata(Option<Box<str>>);

/// The largest metadata, in bytes.
pub const MAX_METADATA_BYTES: usize = 4096;

/// Why a text is no metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// More than 4 KiB.
    #[error("metadata has at most 4096 bytes")]
    TooLarge,
    /// Not JSON, or JSON that is no object.
    #[error("metadata is a JSON object")]
    NotAnObject,
}

impl MetadataError {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLarge => "metadata-too-large",
            Self::NotAnObject => "metadata-not-an-object",
        }
    }
}

impl Metadata {
    /// No data: the empty object.
    pub const EMPTY: Self = Self(None);

    /// Takes the text of a JSON object and keeps it in its shortest form.
    ///
    /// # Errors
    ///
    /// [`MetadataError`] if it is too large or no object.
    pub fn from_json(text: &str) -> Result<Self, MetadataError> {
        if text.len() > MAX_METADATA_BYTES {
            return Err(MetadataError::TooLarge);
        }
        let object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(text).map_err(|_| MetadataError::NotAnObject)?;
        if object.is_empty() {
            return Ok(Self::EMPTY);
        }
        let text = serde_json::to_string(&object).map_err(|_| MetadataError::NotAnObject)?;
        if text.len() > MAX_METADATA_BYTES {
            return Err(MetadataError::TooLarge);
        }
        Ok(Self(Some(text.into())))
    }

    /// The text of the JSON object.
    #[must_use]
    pub fn as_json(&self) -> &str {
        self.0.as_deref().unwrap_or("{}")
    }

    /// Whether there is no data.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

impl Default for Metadata {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl TryFrom<String> for Metadata {
    type Error = MetadataError;
    fn try_from(text: String) -> Result<Self, MetadataError> {
        Self::from_json(&text)
    }
}

impl From<Metadata> for String {
    fn from(metadata: Metadata) -> Self {
        metadata.as_json().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_small_objects() {
        for text in ["", "1", "[]", "null", "{", "{}{}"] {
            assert_eq!(
                Metadata::from_json(text),
                Err(MetadataError::NotAnObject),
                "{text:?}"
            );
        }
        let deep = "{\"a\":".repeat(2000);
        assert!(Metadata::from_json(&deep).is_err());
        assert_eq!(MetadataError::NotAnObject.code(), "metadata-not-an-object");
        assert_eq!(MetadataError::TooLarge.code(), "metadata-too-large");
    }

    #[test]
    fn at_most_4_kib_as_it_is_given_and_as_it_is_kept() {
        let object = |filler: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(filler));
        let frame = object(0).len();
        let largest = object(MAX_METADATA_BYTES - frame);
        let kept = Metadata::from_json(&largest).map(|metadata| metadata.as_json().len());
        assert_eq!(kept, Ok(MAX_METADATA_BYTES));
        for text in [object(MAX_METADATA_BYTES - frame + 1), largest + " "] {
            assert_eq!(Metadata::from_json(&text), Err(MetadataError::TooLarge));
        }
        // The shortest form of a number can be longer than what was given.
        let number = |filler: usize| format!("{{\"a\":\"{}\",\"b\":1e9}}", "x".repeat(filler));
        let grown = Metadata::from_json(&number(0)).map(|metadata| metadata.as_json().len());
        let growth = grown.unwrap_or(0) - number(0).len();
        assert!(growth > 0, "`1e9` is kept as `1000000000.0`");
        let most = MAX_METADATA_BYTES - growth - number(0).len();
        assert!(Metadata::from_json(&number(most)).is_ok());
        assert_eq!(
            Metadata::from_json(&number(most + 1)),
            Err(MetadataError::TooLarge)
        );
    }

    #[test]
    fn no_data_is_the_empty_object() {
        for empty in [Metadata::default(), Metadata::EMPTY] {
            assert!(empty.is_empty());
            assert_eq!(empty.as_json(), "{}");
            assert_eq!(Metadata::try_from(String::from(empty)), Ok(Metadata::EMPTY));
        }
        assert_eq!(Metadata::from_json(" {} "), Ok(Metadata::EMPTY));
        let some = Metadata::from_json("{\"a\": 1}");
        assert_eq!(some.as_ref().map(Metadata::is_empty), Ok(false));
    }
}
