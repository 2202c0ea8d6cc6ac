//! Tenant codes: the six digits of a local government (全国地方公共団体コード).
//!
//! Always: the check digit holds.

use super::{IdentifierError, text::as_text};
use std::{fmt, str::FromStr};

/// A local government's 6-digit code, for example `142051` for Fujisawa.
///
/// Check digit: weights 6 5 4 3 2 on the first five digits, `(11 − sum mod 11) mod 10` (JIS X 0401 and 0402).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantCode([u8; 6]);

impl TenantCode {
    /// The code as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // INVARIANT: only ASCII digits get in (`FromStr`); the empty text would be seen by every test of this type.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for TenantCode {
    type Err = IdentifierError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes: [u8; 6] = text.as_bytes().try_into().map_err(|_| IdentifierError::Tenant)?;
        if !bytes.iter().all(u8::is_ascii_digit) {
            return Err(IdentifierError::Tenant);
        }
        let [body @ .., check] = bytes;
        let sum: u32 = body.iter().zip([6_u32, 5, 4, 3, 2]).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
        if (11 - sum % 11) % 10 == u32::from(check - b'0') { Ok(Self(bytes)) } else { Err(IdentifierError::Tenant) }
    }
}

as_text!(TenantCode);

impl fmt::Display for TenantCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for TenantCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name of a vault: one per tenant, and the operator's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VaultName {
    /// A tenant's.
    Tenant(TenantCode),
    /// The platform vault: what operators did and what strangers tried.
    Platform,
}

impl fmt::Display for VaultName {
    /// The name of its folder: the tenant's code, or `platform`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant(code) => code.fmt(f),
            Self::Platform => f.write_str("platform"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_codes_are_accepted() {
        for code in ["142051", "141003", "140007", "011002", "131016", "271004", "401307", "012025", "470007"] {
            assert_eq!(code.parse::<TenantCode>().map(|code| code.to_string()).as_deref(), Ok(code));
        }
    }

    #[test]
    fn a_wrong_check_digit_is_refused() {
        for code in ["142050", "141004", "14205", "1420511", "14205x", "１４２０５１", ""] {
            assert_eq!(code.parse::<TenantCode>(), Err(IdentifierError::Tenant), "{code}");
        }
    }
}
