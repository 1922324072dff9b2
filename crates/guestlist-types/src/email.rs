//! E-mail addresses and domains, in the one form that they are compared in.

use crate::text::{text_impls, text_type};

/// Why a text is no e-mail address or domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EmailError {
    /// Nothing was given.
    #[error("an e-mail address must not be empty")]
    Empty,
    /// More than 254 bytes in all, or 64 before the `@`.
    #[error("an e-mail address has at most 254 bytes, and 64 before the `@`")]
    TooLong,
    /// No `@`, or more than one.
    #[error("an e-mail address has exactly one `@`")]
    At,
    /// Something before the `@` that mailboxes can't have.
    #[error("the part before the `@` is not valid")]
    Local,
    /// Something behind the `@` that is no domain with at least two labels.
    #[error("the part behind the `@` is not a domain name")]
    Domain,
}

impl EmailError {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Empty => "email-empty",
            Self::TooLong => "email-too-long",
            Self::At => "email-at",
            Self::Local => "email-local-part",
            Self::Domain => "email-domain",
        }
    }
}

/// An e-mail address, trimmed and lower-cased, so that equal addresses are equal values.
///
/// Plus-tags and dots stay: `a.b+c@example.com` is not `ab@example.com`.
///
/// ```
/// # use guestlist_types::EmailAddress;
/// let address = EmailAddress::parse(" Ada@Example.COM ")?;
/// assert_eq!(address.as_str(), "ada@example.com");
/// assert_eq!(address.masked(), "a***@example.com");
/// # Ok::<(), guestlist_types::EmailError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EmailAddress(Box<str>);

text_impls!(EmailAddress, EmailError);

impl EmailAddress {
    /// Parses an address: surrounding white space is dropped and letters are lower-cased.
    ///
    /// # Errors
    ///
    /// Says which part is wrong; it does not repeat the address.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        if text.len() > 1024 {
            return Err(EmailError::TooLong);
        }
        let text = text.trim_matches([' ', '\t', '\r', '\n']);
        if text.is_empty() {
            return Err(EmailError::Empty);
        }
        let (local, domain) = text.split_once('@').ok_or(EmailError::At)?;
        if domain.contains('@') {
            return Err(EmailError::At);
        }
        if text.len() > 254 || local.len() > 64 {
            return Err(EmailError::TooLong);
        }
        let is_atom =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~.-".contains(&byte);
        if local.is_empty() || !local.bytes().all(is_atom) {
            return Err(EmailError::Local);
        }
        check_domain(&domain.to_ascii_lowercase())?;
        Ok(Self(text.to_ascii_lowercase().into()))
    }

    /// The address as it is compared and stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part behind the `@`.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.split_once('@').map_or("", |(_, domain)| domain)
    }

    /// A hint for people who may know the address already: its first character and its domain.
    #[must_use]
    pub fn masked(&self) -> String {
        let first = self.0.chars().next().unwrap_or('*');
        format!("{first}***@{}", self.domain())
    }

    /// Whether this address is at `domain` or at one of its subdomains, label by label.
    #[must_use]
    pub fn is_at(&self, domain: &EmailDomain) -> bool {
        let own = self.domain();
        own == domain.as_str()
            || own
                .strip_suffix(domain.as_str())
                .is_some_and(|rest| rest.ends_with('.'))
    }
}

text_type! {
    /// A domain that e-mail addresses are at: lower case, two labels at least.
    EmailDomain, EmailError, check_domain
}

fn check_domain(domain: &str) -> Result<(), EmailError> {
    if domain.len() > 253 {
        return Err(EmailError::TooLong);
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let all_labels = domain.split('.').all(is_label);
    let is_number = domain
        .rsplit('.')
        .next()
        .is_some_and(|l| l.bytes().all(|b| b.is_ascii_digit()));
    if !domain.contains('.') || !all_labels || is_number {
        return Err(EmailError::Domain);
    }
    Ok(())
}

impl EmailDomain {
    /// A domain in any case, as people type it.
    ///
    /// # Errors
    ///
    /// [`EmailError::Domain`] if it is none.
    pub fn parse_any_case(text: &str) -> Result<Self, EmailError> {
        if text.len() > 253 {
            return Err(EmailError::TooLong);
        }
        Self::parse(&text.trim().to_ascii_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_compared_in_one_form() {
        for (text, expected) in [
            ("a@example.com", "a@example.com"),
            ("  A.B+c@Example.Com\t", "a.b+c@example.com"),
            ("o'hara@mail.example.co.uk", "o'hara@mail.example.co.uk"),
        ] {
            assert_eq!(EmailAddress::parse(text).unwrap().as_str(), expected);
        }
        for (text, error) in [
            ("", EmailError::Empty),
            ("a", EmailError::At),
            ("a@b@c.d", EmailError::At),
            ("@example.com", EmailError::Local),
            ("a b@example.com", EmailError::Local),
            ("\"a\"@example.com", EmailError::Local),
            ("a@localhost", EmailError::Domain),
            ("a@[127.0.0.1]", EmailError::Domain),
            ("a@127.0.0.1", EmailError::Domain),
            ("a@example..com", EmailError::Domain),
            ("a@-example.com", EmailError::Domain),
            ("\u{130}@example.com", EmailError::Local),
        ] {
            assert_eq!(EmailAddress::parse(text), Err(error), "{text:?}");
        }
        assert_eq!(
            EmailAddress::parse(&"a".repeat(1 << 20)),
            Err(EmailError::TooLong)
        );
    }

    #[test]
    fn domains_match_on_labels() {
        let domain = EmailDomain::parse("example.com").unwrap();
        let at = |text| EmailAddress::parse(text).unwrap().is_at(&domain);
        assert!(at("a@example.com"));
        assert!(at("a@eu.example.com"));
        assert!(!at("a@attacker-example.com"));
        assert!(!at("a@example.com.evil.org"));
    }
}
