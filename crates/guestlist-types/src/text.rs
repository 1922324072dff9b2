//! How a validated string type is made: one macro, so that all of them behave alike.

/// Defines a newtype over `Box<str>` whose only way in is `$check`.
macro_rules! text_type {
    ($(#[$meta:meta])* $name:ident, $error:ty, $check:path) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// Parses `text`; what does not fit is refused, never repaired.
            ///
            /// # Errors
            ///
            /// Says which rule the text breaks; it does not repeat the text.
            pub fn parse(text: &str) -> Result<Self, $error> {
                $check(text)?;
                Ok(Self(text.into()))
            }

            /// The text as it was parsed.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        crate::text::text_impls!($name, $error);
    };
}

/// Everything a string-like type offers besides its constructor.
macro_rules! text_impls {
    ($name:ident, $error:ty) => {
        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, "{}({:?})", stringify!($name), self.as_str())
            }
        }

        impl core::str::FromStr for $name {
            type Err = $error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::parse(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = $error;
            fn try_from(text: &str) -> Result<Self, Self::Error> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = $error;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::parse(&text)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl serde::de::Visitor<'_> for Visitor {
                    type Value = $name;
                    fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                        f.write_str(concat!("the text of one ", stringify!($name)))
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        $name::parse(text).map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Visitor)
            }
        }
    };
}

pub(crate) use {text_impls, text_type};

#[cfg(test)]
mod tests {
    use core::fmt::{Debug, Display};
    use core::str::FromStr;

    use proptest::prelude::*;
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use crate::testing::{
        arb_display_name, arb_email, arb_key, arb_org_id, arb_org_name, arb_user_id,
    };
    use crate::{
        ConsumerName, DisplayName, EmailAddress, EmailDomain, GroupName, Key, Label, Message,
        OrgId, OrgName, Reason, RoleName, UserId,
    };

    /// What holds of every validated text: `text` gets in by every way and comes out as it was,
    /// `refused` gets in by none, and no error repeats it.
    fn check<T, E>(name: &str, text: &str, refused: &str)
    where
        T: Clone + PartialEq + Debug + Display + AsRef<str> + FromStr<Err = E>,
        T: for<'a> TryFrom<&'a str, Error = E> + TryFrom<String, Error = E>,
        T: Serialize + DeserializeOwned,
        E: PartialEq + Debug + Display,
    {
        let value: T = text.parse().unwrap();
        assert_eq!(value.as_ref(), text);
        assert_eq!(value.to_string(), text);
        assert_eq!(format!("{value:?}"), format!("{name}({text:?})"));
        assert_eq!(T::try_from(text).as_ref(), Ok(&value));
        assert_eq!(T::try_from(text.to_owned()).as_ref(), Ok(&value));
        let json = serde_json::to_string(text).unwrap();
        assert_eq!(serde_json::to_string(&value).unwrap(), json);
        assert_eq!(serde_json::from_str::<T>(&json).unwrap(), value);
        let bytes = postcard::to_stdvec(text).unwrap();
        assert_eq!(postcard::to_stdvec(&value).unwrap(), bytes);
        assert_eq!(postcard::from_bytes::<T>(&bytes).unwrap(), value);

        let error = refused.parse::<T>().unwrap_err();
        assert!(!error.to_string().contains(refused), "{error}");
        assert_eq!(T::try_from(refused).as_ref(), Err(&error));
        assert_eq!(T::try_from(refused.to_owned()).as_ref(), Err(&error));
        let json = serde_json::to_string(refused).unwrap();
        let shown = serde_json::from_str::<T>(&json).unwrap_err().to_string();
        assert!(shown.contains(&error.to_string()), "{shown}");
        let shown = serde_json::from_str::<T>("7").unwrap_err().to_string();
        assert!(
            shown.contains(&format!("expected the text of one {name}")),
            "{shown}"
        );
    }

    macro_rules! check {
        ($($name:ident: $text:expr, $refused:expr);+ $(;)?) => {$(
            check::<$name, _>(stringify!($name), $text, $refused);
        )+};
    }

    #[test]
    fn all_behave_alike() {
        check! {
            OrgId: "org_2f9c", "not one";
            UserId: "user_1", "proxy_1";
            Key: "shared/\u{e9}", "hidden//x";
            EmailAddress: "ada@example.com", "hidden";
            EmailDomain: "example.com", "Hidden.example";
            OrgName: "widgets-inc", "Hidden";
            RoleName: "admin", "Hidden";
            DisplayName: "Ada <3", "hidden\n";
            GroupName: "Friends", " hidden";
            Label: "For \"all\"", "hidden ";
            ConsumerName: "mail/v1.0_a-b", "Hidden";
            Message: "Hello,\n\tworld", "hidden\0";
            Reason: "it was time", "hidden\n";
        }
    }

    proptest! {
        #[test]
        fn whatever_is_drawn_behaves_alike(
            org in arb_org_id(),
            user in arb_user_id(),
            key in arb_key(),
            email in arb_email(),
            name in arb_org_name(),
            shown in arb_display_name(),
        ) {
            check! {
                OrgId: org.as_str(), "\0";
                UserId: user.as_str(), "\0";
                Key: key.as_str(), "\0";
                EmailAddress: email.as_str(), "\0";
                OrgName: name.as_str(), "\0";
                DisplayName: shown.as_str(), "\0";
            }
        }
    }
}
