//! E-mail addresses and domains, in the one form that they are compared in.

use core::iter;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{is_combining_mark, is_public_assigned};

use crate::name::is_deceptive;
use crate::text::{text_impls, text_type};

/// The longest text that is looked at. Normalisation may shorten it.
const MAX_TEXT_BYTES: usize = 1024;
const MAX_BYTES: usize = 254;
const MAX_LOCAL_BYTES: usize = 64;
const MAX_DOMAIN_BYTES: usize = 253;

/// Why a text is no e-mail address or domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EmailError {
    /// Nothing was given.
    #[error("an e-mail address must not be empty")]
    Empty,
    /// More than 254 bytes in all, or 64 before the `@`, after normalisation.
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

/// An e-mail address in the one form that it is compared in, so that equal addresses are equal
/// values.
///
/// Surrounding white space is dropped. The part before the `@` is composed (Unicode NFC) and
/// lower-cased character by character. The domain is that of IDNA (UTS #46, non-transitional), in
/// ASCII. Plus-tags and dots stay: `a.b+c@example.com` is not `ab@example.com`.
///
/// Before the `@` are letters, digits and what mailboxes may have in ASCII, and beyond ASCII every
/// visible character that Unicode has assigned and that nothing takes for an ASCII one. Refused is
/// whatever would let two mailboxes pass for one: `\u{212a}` (the Kelvin sign, composed to `k`),
/// `\u{130}` (lower-cased to an `i` with a dot), full-width letters, ligatures, invisible
/// characters. Quoted mailboxes and IP addresses are refused, too.
///
/// ```
/// # use guestlist_types::EmailAddress;
/// let address = EmailAddress::parse(" Ada@Example.COM ")?;
/// assert_eq!(address.as_str(), "ada@example.com");
/// assert_eq!(address.masked(), "a***@example.com");
///
/// let address = EmailAddress::parse("E\u{301}va@B\u{fc}cher.example")?;
/// assert_eq!(address.as_str(), "\u{e9}va@xn--bcher-kva.example");
/// # Ok::<(), guestlist_types::EmailError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EmailAddress(Box<str>);

text_impls!(EmailAddress, EmailError);

impl EmailAddress {
    /// Parses an address and normalises it.
    ///
    /// # Errors
    ///
    /// Says which part is wrong; it does not repeat the address. More than 1,024 bytes are not read.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(EmailError::TooLong);
        }
        let text = text.trim();
        if text.is_empty() {
            return Err(EmailError::Empty);
        }
        let (local, domain) = text.split_once('@').ok_or(EmailError::At)?;
        if domain.contains('@') {
            return Err(EmailError::At);
        }
        let mut address = normalize_local(local)?;
        if address.len() > MAX_LOCAL_BYTES {
            return Err(EmailError::TooLong);
        }
        address.push('@');
        address.push_str(&normalize_domain(domain)?);
        if address.len() > MAX_BYTES {
            return Err(EmailError::TooLong);
        }
        Ok(Self(address.into()))
    }

    /// The address as it is compared and stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part behind the `@`, in ASCII.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.split_once('@').map_or("", |(_, domain)| domain)
    }

    /// A hint for people who may know the address already: its first character, with the marks on
    /// it, and its domain. If there is no second character, then `*` and its domain.
    #[must_use]
    pub fn masked(&self) -> String {
        let (local, domain) = self.0.split_once('@').unwrap_or_default();
        let second = local
            .char_indices()
            .filter(|(_, character)| !is_combining_mark(*character))
            .nth(1);
        match second {
            Some((at, _)) => format!("{}***@{domain}", &local[..at]),
            None => format!("*@{domain}"),
        }
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
    /// A domain that e-mail addresses are at: two labels at least, in lower-case ASCII (`xn--...`
    /// for what is not ASCII).
    EmailDomain, EmailError, check_domain
}

/// The form of the part before the `@`. Applied again, it changes nothing.
fn normalize_local(text: &str) -> Result<String, EmailError> {
    let form = if text.is_ascii() {
        text.to_ascii_lowercase()
    } else {
        compose(text).ok_or(EmailError::Local)?
    };
    // A mark at the beginning would be drawn upon whatever the address is printed behind.
    let begins = form
        .chars()
        .next()
        .is_some_and(|first| !is_combining_mark(first));
    if begins && form.chars().all(is_local) {
        Ok(form)
    } else {
        Err(EmailError::Local)
    }
}

/// Composes and lower-cases; `None` if a character outside ASCII doesn't stay there.
fn compose(text: &str) -> Option<String> {
    let composed: String = text.nfc().collect();
    // Some letters have a composed form in lower case only.
    let lower: String = lowercase(&composed).nfc().collect();
    let is_ambiguous = [text, &composed, &lower]
        .into_iter()
        .flat_map(str::chars)
        .any(becomes_ascii);
    (!is_ambiguous).then_some(lower)
}

/// Character by character: `str::to_lowercase` looks at the neighbours of a sigma.
fn lowercase(text: &str) -> impl Iterator<Item = char> {
    text.chars().flat_map(char::to_lowercase)
}

/// Whether some common normalisation turns this character into ASCII, or into something with ASCII
/// in it. Who has such a mailbox could otherwise pass for the owner of the one in ASCII.
fn becomes_ascii(character: char) -> bool {
    !character.is_ascii()
        && iter::once(character)
            .nfkc()
            .flat_map(char::to_lowercase)
            .any(|part| part.is_ascii())
}

fn is_local(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_alphanumeric() || "!#$%&'*+/=?^_`{|}~.-".contains(character);
    }
    // A character that is assigned later may get a composed or a lower-case form then.
    is_public_assigned(character) && !character.is_whitespace() && !is_invisible(character)
}

/// Characters that deceive, and the others that are not drawn (`Default_Ignorable_Code_Point`), or
/// stand for what could not be read.
fn is_invisible(character: char) -> bool {
    is_deceptive(character)
        || matches!(character,
            '\u{034f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{206a}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffd}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// The form of a domain in ASCII.
fn normalize_domain(text: &str) -> Result<String, EmailError> {
    // IDNA leaves most invisible characters out. Two of them are part of how some words are
    // written, and IDNA allows them there only.
    let is_hidden =
        |character| is_invisible(character) && !matches!(character, '\u{200c}' | '\u{200d}');
    if text.chars().any(is_hidden) {
        return Err(EmailError::Domain);
    }
    let domain = if text.is_ascii() {
        to_ascii(text)?
    } else {
        // The mapping of UTS #46 takes composed letters apart otherwise than the same letters in
        // pieces, where a iota is written below one: compose them first.
        to_ascii(&text.nfc().collect::<String>())?
    };
    check_domain(&domain)?;
    Ok(domain)
}

/// Maps a domain as browsers do. Hyphens in the third and the fourth place are fine: there are such
/// host names.
fn to_ascii(domain: &str) -> Result<String, EmailError> {
    Uts46::new()
        .to_ascii(
            domain.as_bytes(),
            AsciiDenyList::STD3,
            Hyphens::CheckFirstLast,
            DnsLength::Ignore,
        )
        .map(Into::into)
        .map_err(|_| EmailError::Domain)
}

fn check_domain(domain: &str) -> Result<(), EmailError> {
    if domain.len() > MAX_DOMAIN_BYTES {
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
    let is_encoded = domain.split('.').any(|label| label.starts_with("xn--"));
    if is_encoded && to_ascii(domain).as_deref() != Ok(domain) {
        return Err(EmailError::Domain);
    }
    Ok(())
}

impl EmailDomain {
    /// A domain in any case and script, as people type it: normalised as that of an address is.
    ///
    /// # Errors
    ///
    /// [`EmailError::Domain`] if it is none, [`EmailError::TooLong`].
    pub fn parse_any_case(text: &str) -> Result<Self, EmailError> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(EmailError::TooLong);
        }
        normalize_domain(text.trim()).map(|domain| Self(domain.into()))
    }
}

#[cfg(test)]
mod tests;
