//! Codes of what a record holds: category, item, layout version or data set.
//!
//! Always: alphabet and length hold. Whether the catalogue knows the code is the catalogue's to say.

use super::IdentifierError;
use std::{fmt, str::FromStr};

/// Declares a newtype over a short text with one rule, and what every such name needs.
macro_rules! code {
    ($(#[$doc:meta])* $name:ident, $error:expr, $rule:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// The code as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdentifierError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let rule: fn(&str) -> bool = $rule;
                if rule(text) { Ok(Self(text.into())) } else { Err($error) }
            }
        }

        $crate::identifier::text::as_text!($name);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
pub(super) use code;

pub(super) fn digits_after(prefix: &str, count: usize, text: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|rest| rest.len() == count && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

code! {
    /// A category of specific personal information (特定個人情報名コード): `TM` and 14 digits.
    Category, IdentifierError::Category, |text| digits_after("TM", 14, text)
}

code! {
    /// An item (項目コード): 10 digits as on the portal, or `TK` and 14 digits as in the copies.
    ItemCode, IdentifierError::Item, |text| digits_after("", 10, text) || digits_after("TK", 14, text)
}

code! {
    /// An affair (事務コード): `JM` and 14 digits.
    Affair, IdentifierError::Affair, |text| digits_after("JM", 14, text)
}

code! {
    /// A layout version (版番号) or data set (データセット番号): 4 characters from `0-9A-Z`.
    LayoutVersion, IdentifierError::Layout,
    |text| text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn categories_and_items_have_their_form() {
        assert!("TM00000000000002".parse::<Category>().is_ok());
        assert!("8200000020".parse::<ItemCode>().is_ok());
        assert!("TK00000000000001".parse::<ItemCode>().is_ok());
        for text in ["TM0000000000002", "tm00000000000002", "TM0000000000000２", "TM000000000000021"] {
            assert_eq!(text.parse::<Category>(), Err(IdentifierError::Category));
        }
        assert_eq!("820000002".parse::<ItemCode>(), Err(IdentifierError::Item));
        assert_eq!("001a".parse::<LayoutVersion>(), Err(IdentifierError::Layout));
    }
}
