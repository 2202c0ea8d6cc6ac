//! The two names of a person, both secret: the person code and the integrated addressee number.
//!
//! Always: no `Display`, nothing in `Debug`, wiped on drop. SECURITY: the person code counts as an individual number
//! (番号法 art. 2(9)); whoever prints one leaks specific personal information.

use super::IdentifierError;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The individual identification code for information provision (情報提供用個人識別符号): 32 bytes, written as 43
/// characters of base64url.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Zeroize, ZeroizeOnDrop, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct PersonCode([u8; 32]);

impl PersonCode {
    /// A code from its 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes. # Security: for sealing and indexing only.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for PersonCode {
    type Err = IdentifierError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
            Ok(32) if text.len() == 43 => Ok(Self(bytes)),
            _ => Err(IdentifierError::PersonCode),
        }
    }
}

impl TryFrom<String> for PersonCode {
    type Error = IdentifierError;
    fn try_from(mut text: String) -> Result<Self, Self::Error> {
        let code = text.parse();
        text.zeroize();
        code
    }
}

impl From<PersonCode> for String {
    fn from(code: PersonCode) -> Self {
        URL_SAFE_NO_PAD.encode(code.0)
    }
}

impl fmt::Debug for PersonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonCode(secret)")
    }
}

/// The integrated addressee number (団体内統合宛名番号): 15 digits, unique inside one tenant.
///
/// # Security
/// Never leaves towards the network or the disclosure system, not even sealed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Zeroize, ZeroizeOnDrop, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct AddresseeNumber([u8; 15]);

impl AddresseeNumber {
    /// The 15 ASCII digits. # Security: for sealing and indexing only.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 15] {
        &self.0
    }
}

impl FromStr for AddresseeNumber {
    type Err = IdentifierError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits: [u8; 15] = text.as_bytes().try_into().map_err(|_| IdentifierError::Addressee)?;
        if digits.iter().all(u8::is_ascii_digit) { Ok(Self(digits)) } else { Err(IdentifierError::Addressee) }
    }
}

impl TryFrom<String> for AddresseeNumber {
    type Error = IdentifierError;
    fn try_from(mut text: String) -> Result<Self, Self::Error> {
        let number = text.parse();
        text.zeroize();
        number
    }
}

impl From<AddresseeNumber> for String {
    fn from(number: AddresseeNumber) -> Self {
        String::from_utf8_lossy(&number.0).into_owned()
    }
}

impl fmt::Debug for AddresseeNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AddresseeNumber(secret)")
    }
}

/// A name that leads to a person.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PersonName {
    /// How the network and the disclosure system name the person to this tenant.
    Code(PersonCode),
    /// How the tenant itself names the person.
    Addressee(AddresseeNumber),
    /// A code that led to the person once and does no longer: never an answer to who has it.
    Former(PersonCode),
    /// Nobody in particular: what is held back of everybody of the tenant lies there.
    Everybody,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_name_shows_in_debug_output() {
        let code: PersonCode = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8".parse().unwrap();
        let number: AddresseeNumber = "000000123456789".parse().unwrap();
        assert_eq!(format!("{code:?} {number:?}"), "PersonCode(secret) AddresseeNumber(secret)");
    }

    #[test]
    fn a_code_with_spare_bits_is_refused() {
        assert!("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9".parse::<PersonCode>().is_err());
        assert!("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".parse::<PersonCode>().is_err());
        assert!("".parse::<PersonCode>().is_err());
    }

    #[test]
    fn an_addressee_number_has_fifteen_ascii_digits() {
        for text in ["12345678901234", "1234567890123456", "12345678901234x", "１２３４５"] {
            assert_eq!(text.parse::<AddresseeNumber>(), Err(IdentifierError::Addressee));
        }
    }
}
