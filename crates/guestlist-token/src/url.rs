//! Join URLs: how a token travels.

use core::fmt;
use core::str::FromStr;

use zeroize::Zeroizing;

use crate::kind::TokenKind;
use crate::selector::Selector;
use crate::token::{InviteToken, TokenError};

/// The longest base of a join URL, in bytes.
pub const MAX_BASE_URL_BYTES: usize = 1024;

/// The longest text that [`token_from_url`] reads, in bytes.
pub const MAX_URL_BYTES: usize = 2048;

/// The name of the parameter, with the sign that follows it.
const PARAMETER: &str = "token=";

/// What begins a new parameter. Also within a fragment, where single-page applications keep paths
/// and queries of their own.
const SEPARATORS: [char; 3] = ['?', '#', '&'];

/// Why a text is no base of join URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinUrlError {
    /// More than 1,024 bytes.
    #[error("the base of a join url has at most 1024 bytes")]
    TooLong,
    /// Begins with neither `https://` nor `http://`, followed by a host.
    #[error("the base of a join url begins with `https://` or `http://` and a host")]
    NotAbsolute,
    /// A character that URLs can't have.
    #[error("the base of a join url has a character that urls can't have")]
    Character,
    /// A `#`: the token would end up inside or behind it, depending on the style.
    #[error("the base of a join url must not have a fragment")]
    Fragment,
    /// A parameter named `token`, which would hide the real one.
    #[error("the base of a join url must not have a parameter `token`")]
    Parameter,
}

impl JoinUrlError {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLong => "join-url-too-long",
            Self::NotAbsolute => "join-url-not-absolute",
            Self::Character => "join-url-character",
            Self::Fragment => "join-url-fragment",
            Self::Parameter => "join-url-parameter",
        }
    }
}

/// Where in a URL the token is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[non_exhaustive]
pub enum UrlStyle {
    /// `?token=...`: servers see the token, and so may their logs.
    #[default]
    Query,
    /// `#token=...`: browsers keep the token to themselves, and a script has to send it.
    Fragment,
}

/// The page of the host application that tokens are presented to, such as
/// `https://app.example/join`.
///
/// It is checked once, so that every token put into it can be read back by [`token_from_url`].
/// Plain `http://` is accepted for development.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinUrl(Box<str>);

impl JoinUrl {
    /// Parses `text`; it may have a query, which is kept.
    ///
    /// # Errors
    ///
    /// Says which rule the text breaks; it does not repeat the text.
    pub fn parse(text: &str) -> Result<Self, JoinUrlError> {
        if text.len() > MAX_BASE_URL_BYTES {
            return Err(JoinUrlError::TooLong);
        }
        let rest = ["https://", "http://"]
            .into_iter()
            .find_map(|scheme| text.strip_prefix(scheme))
            .ok_or(JoinUrlError::NotAbsolute)?;
        if !text.bytes().all(is_url_byte) {
            return Err(JoinUrlError::Character);
        }
        if rest.is_empty() || rest.starts_with(['/', '?', '#', '&', ':']) {
            return Err(JoinUrlError::NotAbsolute);
        }
        if text.contains('#') {
            return Err(JoinUrlError::Fragment);
        }
        if parameters(text).next().is_some() {
            return Err(JoinUrlError::Parameter);
        }
        Ok(Self(text.into()))
    }

    /// The text as it was parsed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URL that presents `token` to this page.
    #[must_use]
    pub fn with_token(&self, token: &InviteToken, style: UrlStyle) -> SecretUrl {
        let separator = match style {
            UrlStyle::Fragment => "#",
            UrlStyle::Query if !self.0.contains('?') => "?",
            UrlStyle::Query if self.0.ends_with(['?', '&']) => "",
            UrlStyle::Query => "&",
        };
        let parts = [&*self.0, separator, PARAMETER, token.expose_secret()];
        // With room for everything, so that no reallocation leaves a copy of the token behind.
        let mut text = Zeroizing::new(String::with_capacity(parts.map(str::len).iter().sum()));
        text.extend(parts);
        SecretUrl {
            kind: token.kind(),
            selector: token.selector(),
            text: Zeroizing::new(text.as_str().into()),
        }
    }
}

impl fmt::Display for JoinUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for JoinUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinUrl({:?})", self.as_str())
    }
}

impl FromStr for JoinUrl {
    type Err = JoinUrlError;
    fn from_str(text: &str) -> Result<Self, JoinUrlError> {
        Self::parse(text)
    }
}

/// A URL with a token in it: as secret as the token.
///
/// It is wiped from memory when dropped, and [`expose_secret`](Self::expose_secret) is the one way
/// to read it.
///
/// ```
/// # use guestlist_token::{InviteToken, SecretUrl, UrlStyle};
/// let token = InviteToken::parse("glj_0100000000abcdefghijklmnopqrstuv34hM8J")?;
/// let url = SecretUrl::new("https://app.example/join?lang=en", &token, UrlStyle::Query)?;
/// assert_eq!(
///     url.expose_secret(),
///     "https://app.example/join?lang=en&token=glj_0100000000abcdefghijklmnopqrstuv34hM8J",
/// );
/// assert_eq!(format!("{url:?}"), "SecretUrl(glj_0100000000..)");
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
pub struct SecretUrl {
    kind: TokenKind,
    selector: Selector,
    text: Zeroizing<Box<str>>,
}

impl SecretUrl {
    /// The URL that presents `token` to the page `base`.
    ///
    /// # Errors
    ///
    /// Those of [`JoinUrl::parse`], which is the way to find them before there is a token.
    pub fn new(base: &str, token: &InviteToken, style: UrlStyle) -> Result<Self, JoinUrlError> {
        Ok(JoinUrl::parse(base)?.with_token(token, style))
    }

    /// The whole URL. Whoever reads it can use the invite: show it once, and log it never.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretUrl({}{}..)", self.kind.prefix(), self.selector)
    }
}

/// Reads the token out of a whole join URL, or a token that stands alone: people paste both.
///
/// The token is the value of the one `token` parameter, in the query or the fragment. Nothing is
/// decoded or trimmed, and the rest of the URL is not looked at: a token is as good on any page.
///
/// # Errors
///
/// Those of [`InviteToken::parse`]; [`TokenError::Parameter`] for a URL without a `token` parameter
/// or with more than one; [`TokenError::Length`], without reading, for more than 2,048 bytes.
pub fn token_from_url(text: &str) -> Result<InviteToken, TokenError> {
    if text.len() > MAX_URL_BYTES {
        return Err(TokenError::Length);
    }
    if !text.contains(SEPARATORS) {
        return InviteToken::parse(text);
    }
    let mut found = parameters(text);
    match (found.next(), found.next()) {
        (Some(token), None) => InviteToken::parse(token),
        (None, _) | (Some(_), Some(_)) => Err(TokenError::Parameter),
    }
}

/// The values of all `token` parameters.
fn parameters(url: &str) -> impl Iterator<Item = &str> {
    url.split(SEPARATORS)
        .skip(1)
        .filter_map(|part| part.strip_prefix(PARAMETER))
}

/// What RFC 3986 allows, without `'`: everything else would be rewritten on the way, or end an
/// attribute of the page that shows the URL.
fn is_url_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&()*+,;=%".contains(&byte)
}

#[cfg(test)]
mod tests;
