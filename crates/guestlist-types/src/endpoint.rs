//! The URLs that webhooks are sent to.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::ops::Range;
use core::str::FromStr;

/// The longest URL of an endpoint, in bytes.
pub const MAX_ENDPOINT_URL_BYTES: usize = 2048;

const MAX_NAME_BYTES: usize = 253;
const MAX_LABEL_BYTES: usize = 63;

/// Why a text is no URL that webhooks are sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointUrlError {
    /// More than 2,048 bytes.
    #[error("the url of an endpoint has at most 2048 bytes")]
    TooLong,
    /// Begins otherwise than with `https://`.
    #[error("the url of an endpoint begins with `https://`")]
    Scheme,
    /// A character that URLs can't have.
    #[error("the url of an endpoint has a character that urls can't have")]
    Character,
    /// A `#`: what follows it would never be sent.
    #[error("the url of an endpoint must not have a fragment")]
    Fragment,
    /// A `@` before the path: a user name, or a password.
    #[error("the url of an endpoint must not have a user name or a password")]
    UserInfo,
    /// No host, or neither a name nor the usual spelling of an address.
    #[error("the url of an endpoint has a host: a name or an address")]
    Host,
    /// A port outside 1 to 65535, or another spelling of one.
    #[error("the port in the url of an endpoint is a number from 1 to 65535")]
    Port,
}

impl EndpointUrlError {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLong => "endpoint-url-too-long",
            Self::Scheme => "endpoint-url-scheme",
            Self::Character => "endpoint-url-character",
            Self::Fragment => "endpoint-url-fragment",
            Self::UserInfo => "endpoint-url-user-info",
            Self::Host => "endpoint-url-host",
            Self::Port => "endpoint-url-port",
        }
    }
}

/// Where webhooks are sent, such as `https://app.example/hooks?source=guestlist`.
///
/// It has a host, and neither a user name, a password nor a fragment. Names outside ASCII come in
/// their `xn--` form. `Debug`, `Display` and JSON show the whole text, so an owner who puts a
/// secret into the query shows it to every log; the signature makes one unnecessary.
///
/// JSON is read as it was written, `http` too: whether that will do is up to who takes the URL.
///
/// ```
/// # use guestlist_types::{EndpointUrl, EndpointUrlError};
/// let url = EndpointUrl::parse("https://app.example:8443/hooks")?;
/// assert_eq!((url.host(), url.port()), ("app.example", 8443));
/// let refused = EndpointUrl::parse("https://user:password@app.example/");
/// assert_eq!(refused, Err(EndpointUrlError::UserInfo));
/// # Ok::<(), EndpointUrlError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EndpointUrl {
    text: Box<str>,
    host: Range<usize>,
    port: u16,
    target: usize,
}

impl EndpointUrl {
    /// Parses an `https` URL; what doesn't fit is refused, never repaired.
    ///
    /// # Errors
    ///
    /// Says which rule the text breaks; it does not repeat the text.
    pub fn parse(text: &str) -> Result<Self, EndpointUrlError> {
        Self::parse_schemes(text, &[HTTPS])
    }

    /// Parses an `https` or an `http` URL. Over `http` everybody on the way reads the payload.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn parse_insecure(text: &str) -> Result<Self, EndpointUrlError> {
        Self::parse_schemes(text, &[HTTPS, HTTP])
    }

    /// The text as it was parsed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the payload is encrypted on the way.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.text.starts_with(HTTPS.prefix)
    }

    /// The host: a name, or an address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.text[self.host.clone()]
    }

    /// The host, if it is an address.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.host().parse().ok()
    }

    /// The port: the scheme's own unless another is written.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Host and port as they are written: what the header `host` says.
    #[must_use]
    pub fn authority(&self) -> &str {
        let begin = if self.is_https() { HTTPS } else { HTTP }.prefix.len();
        &self.text[begin..self.target]
    }

    /// Path and query as they are written, perhaps nothing.
    #[must_use]
    pub fn path_and_query(&self) -> &str {
        &self.text[self.target..]
    }

    fn parse_schemes(text: &str, schemes: &[Scheme]) -> Result<Self, EndpointUrlError> {
        if text.len() > MAX_ENDPOINT_URL_BYTES {
            return Err(EndpointUrlError::TooLong);
        }
        let scheme = schemes
            .iter()
            .find(|scheme| text.starts_with(scheme.prefix))
            .ok_or(EndpointUrlError::Scheme)?;
        if !text.bytes().all(is_url_byte) {
            return Err(EndpointUrlError::Character);
        }
        if text.contains('#') {
            return Err(EndpointUrlError::Fragment);
        }
        let begin = scheme.prefix.len();
        let target = text[begin..]
            .find(['/', '?'])
            .map_or(text.len(), |at| begin + at);
        let authority = &text[begin..target];
        if authority.contains('@') {
            return Err(EndpointUrlError::UserInfo);
        }
        let (host, port) = split_authority(authority)?;
        Ok(Self {
            text: text.into(),
            host: begin + host.start..begin + host.end,
            port: port.unwrap_or(scheme.port),
            target,
        })
    }
}

#[derive(Clone, Copy)]
struct Scheme {
    prefix: &'static str,
    port: u16,
}

const HTTPS: Scheme = Scheme {
    prefix: "https://",
    port: 443,
};

const HTTP: Scheme = Scheme {
    prefix: "http://",
    port: 80,
};

/// Where the host is in an authority, and the port if there is one.
fn split_authority(authority: &str) -> Result<(Range<usize>, Option<u16>), EndpointUrlError> {
    let (host, rest) = if let Some(inner) = authority.strip_prefix('[') {
        let end = inner.find(']').ok_or(EndpointUrlError::Host)?;
        let address = &inner[..end];
        if address.parse::<Ipv6Addr>().is_err() {
            return Err(EndpointUrlError::Host);
        }
        (1..=end, &inner[end + 1..])
    } else {
        let end = authority.find(':').unwrap_or(authority.len());
        if !is_name(&authority[..end]) {
            return Err(EndpointUrlError::Host);
        }
        (0..=end - 1, &authority[end..])
    };
    let port = match rest.strip_prefix(':') {
        Some(port) => Some(parse_port(port)?),
        None if rest.is_empty() => None,
        None => return Err(EndpointUrlError::Host),
    };
    Ok((*host.start()..*host.end() + 1, port))
}

/// A name that resolvers and certificates know, or an IPv4 address with four decimal numbers. What
/// ends in a number otherwise (`127.1`, `0x7f000001`) is an address to some resolvers.
fn is_name(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=MAX_LABEL_BYTES).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let last = host.rsplit('.').next().unwrap_or(host);
    let ends_in_number = last.bytes().all(|byte| byte.is_ascii_digit())
        || last.starts_with("0x")
        || last.starts_with("0X");
    host.len() <= MAX_NAME_BYTES
        && host.split('.').all(is_label)
        && (!ends_in_number || host.parse::<Ipv4Addr>().is_ok())
}

fn parse_port(text: &str) -> Result<u16, EndpointUrlError> {
    let canonical = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|_| canonical)
        .ok_or(EndpointUrlError::Port)
}

/// What RFC 3986 allows; everything else would be rewritten on the way.
fn is_url_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte)
}

impl fmt::Display for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EndpointUrl({:?})", self.as_str())
    }
}

impl FromStr for EndpointUrl {
    type Err = EndpointUrlError;
    fn from_str(text: &str) -> Result<Self, EndpointUrlError> {
        Self::parse(text)
    }
}

impl serde::Serialize for EndpointUrl {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> serde::Deserialize<'de> for EndpointUrl {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = EndpointUrl;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the url of an endpoint")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<EndpointUrl, E> {
                EndpointUrl::parse_insecure(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parts_are_found() {
        for (text, host, port, authority, path) in [
            ("https://a.example", "a.example", 443, "a.example", ""),
            ("https://a.example/", "a.example", 443, "a.example", "/"),
            (
                "https://A.example:1/x?y=/@",
                "A.example",
                1,
                "A.example:1",
                "/x?y=/@",
            ),
            ("https://a.example?x", "a.example", 443, "a.example", "?x"),
            (
                "https://x_1.a-b.xn--4ca",
                "x_1.a-b.xn--4ca",
                443,
                "x_1.a-b.xn--4ca",
                "",
            ),
            (
                "https://203.0.113.9:65535/",
                "203.0.113.9",
                65535,
                "203.0.113.9:65535",
                "/",
            ),
            (
                "https://[2001:db8::1]",
                "2001:db8::1",
                443,
                "[2001:db8::1]",
                "",
            ),
            ("https://[::1]:8443/h", "::1", 8443, "[::1]:8443", "/h"),
        ] {
            let url = EndpointUrl::parse(text).unwrap();
            assert_eq!((url.host(), url.port()), (host, port), "{text}");
            assert_eq!(
                (url.authority(), url.path_and_query()),
                (authority, path),
                "{text}"
            );
            assert_eq!(url.address(), host.parse().ok(), "{text}");
            assert!(url.is_https());
            let plain = EndpointUrl::parse_insecure(&text.replacen("https", "http", 1)).unwrap();
            assert_eq!(
                (plain.host(), plain.authority()),
                (host, authority),
                "{text}"
            );
            assert_eq!(plain.port(), if port == 443 { 80 } else { port }, "{text}");
            assert!(!plain.is_https());
        }
    }

    #[test]
    fn everything_else_is_refused() {
        let long = format!("https://a.example/{}", "x".repeat(2031));
        let name = format!("https://{}.example/", "a".repeat(64));
        let names = format!("https://{}abcdef", "aaaaaaa.".repeat(31));
        assert_eq!((long.len(), names.len()), (2049, 8 + 254));
        for longest in [&long[..2048], &name.replacen('a', "", 1), &names[..8 + 253]] {
            assert!(EndpointUrl::parse(longest).is_ok(), "{longest}");
        }
        for (text, error) in [
            (&*long, EndpointUrlError::TooLong),
            ("", EndpointUrlError::Scheme),
            ("http://a.example/", EndpointUrlError::Scheme),
            ("HTTPS://a.example/", EndpointUrlError::Scheme),
            ("ftp://a.example/", EndpointUrlError::Scheme),
            ("https:/a.example/", EndpointUrlError::Scheme),
            (" https://a.example/", EndpointUrlError::Scheme),
            ("https://a.example/ b", EndpointUrlError::Character),
            (
                "https://a.example\\@b.example/",
                EndpointUrlError::Character,
            ),
            ("https://a.example/\r\nx: y", EndpointUrlError::Character),
            ("https://bücher.example/", EndpointUrlError::Character),
            ("https://a.example/#x", EndpointUrlError::Fragment),
            ("https://a.example#@b.example/", EndpointUrlError::Fragment),
            ("https://user@a.example/", EndpointUrlError::UserInfo),
            (
                "https://user:password@a.example/",
                EndpointUrlError::UserInfo,
            ),
            ("https://@a.example/", EndpointUrlError::UserInfo),
            ("https://", EndpointUrlError::Host),
            ("https:///x", EndpointUrlError::Host),
            ("https://?x", EndpointUrlError::Host),
            ("https://:443/", EndpointUrlError::Host),
            ("https://a..example/", EndpointUrlError::Host),
            ("https://a.example./", EndpointUrlError::Host),
            ("https://-a.example/", EndpointUrlError::Host),
            ("https://a-.example/", EndpointUrlError::Host),
            ("https://a%2eexample/", EndpointUrlError::Host),
            (&name, EndpointUrlError::Host),
            (&names, EndpointUrlError::Host),
            ("https://127.1/", EndpointUrlError::Host),
            ("https://2130706433/", EndpointUrlError::Host),
            ("https://0x7f000001/", EndpointUrlError::Host),
            ("https://0X7F000001/", EndpointUrlError::Host),
            ("https://0x7f.0.0.1/", EndpointUrlError::Host),
            ("https://0177.0.0.1/", EndpointUrlError::Host),
            ("https://256.0.0.1/", EndpointUrlError::Host),
            ("https://a.example.7/", EndpointUrlError::Host),
            ("https://::1/", EndpointUrlError::Host),
            ("https://[::1/", EndpointUrlError::Host),
            ("https://[::1]x/", EndpointUrlError::Host),
            ("https://[fe80::1%25eth0]/", EndpointUrlError::Host),
            ("https://[127.0.0.1]/", EndpointUrlError::Host),
            ("https://[]/", EndpointUrlError::Host),
            ("https://a.example:/", EndpointUrlError::Port),
            ("https://a.example:0/", EndpointUrlError::Port),
            ("https://a.example:0443/", EndpointUrlError::Port),
            ("https://a.example:+443/", EndpointUrlError::Port),
            ("https://a.example:65536/", EndpointUrlError::Port),
            ("https://a.example:1:2/", EndpointUrlError::Port),
        ] {
            assert_eq!(EndpointUrl::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn json_is_the_text_and_https_only() {
        let url = EndpointUrl::parse("https://a.example/x").unwrap();
        let json = "\"https://a.example/x\"";
        assert_eq!("https://a.example/x".parse().as_ref(), Ok(&url));
        assert_eq!(
            "http://a.example/x".parse::<EndpointUrl>(),
            Err(EndpointUrlError::Scheme)
        );
        assert_eq!(serde_json::to_string(&url).unwrap(), json);
        assert_eq!(serde_json::from_str::<EndpointUrl>(json).unwrap(), url);
        assert_eq!(
            format!("{url} {url:?}"),
            r#"https://a.example/x EndpointUrl("https://a.example/x")"#
        );
        assert!(serde_json::from_str::<EndpointUrl>("\"ftp://a.example/x\"").is_err());
        let refused = serde_json::from_str::<EndpointUrl>("\"https://u:hidden@a.example/\"");
        assert!(!refused.unwrap_err().to_string().contains("hidden"));
        let refused = serde_json::from_str::<EndpointUrl>("1").unwrap_err();
        assert!(
            refused
                .to_string()
                .contains("expected the url of an endpoint")
        );
    }

    #[test]
    fn codes_are_pinned() {
        for (error, code) in [
            (EndpointUrlError::TooLong, "endpoint-url-too-long"),
            (EndpointUrlError::Scheme, "endpoint-url-scheme"),
            (EndpointUrlError::Character, "endpoint-url-character"),
            (EndpointUrlError::Fragment, "endpoint-url-fragment"),
            (EndpointUrlError::UserInfo, "endpoint-url-user-info"),
            (EndpointUrlError::Host, "endpoint-url-host"),
            (EndpointUrlError::Port, "endpoint-url-port"),
        ] {
            assert_eq!(error.code(), code);
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "https?://[\\[\\]a-z0-9.:/?#@%é-]{0,40}") {
            if let Ok(url) = EndpointUrl::parse_insecure(&text) {
                prop_assert!(!url.host().is_empty() && url.port() > 0);
                prop_assert!(!url.authority().contains('@') && !text.contains('#'));
                let rest = format!("//{}{}", url.authority(), url.path_and_query());
                prop_assert!(text.ends_with(&rest));
            }
        }
    }
}
