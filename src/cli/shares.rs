//! Recovery shares of the root key (Shamir's secret sharing over GF(256), one byte at a time).
//!
//! ```text
//! nakatsugi-share-1:<threshold>:<shares>:<fingerprint>:<base64url(x ‖ y)>:<check>
//! fingerprint = SHA-256("nakatsugi root key" ‖ key)[0..8]      check = SHA-256(all before it)[0..4], both in hexadecimal
//! ```
//!
//! Always: fewer shares than the threshold say nothing about the key; shares that do not fit together, or were mistyped, are
//! refused before they are combined; what they give is compared with the fingerprint. SECURITY: the fingerprint of 32 random
//! bytes tells nobody anything but whether two shares belong together.

use crate::hex;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use blahaj::Sharks;
use ring::digest::{Context, SHA256};
use std::{collections::BTreeSet, fmt};
use thiserror::Error;
use zeroize::Zeroizing;

const FORMAT: &str = "nakatsugi-share-1";

/// Why shares are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ShareError {
    /// Fewer than two shares, or more than can be told apart.
    #[error("2 to 255 shares can be made")]
    Count,
    /// One share would be the key, or all of them would not be enough.
    #[error("the threshold is at least 2 and at most the number of shares")]
    Threshold,
    /// Not a line of a share.
    #[error("this is not a recovery share of nakatsugi")]
    Format,
    /// A character is wrong.
    #[error("the share is damaged or mistyped: its check does not hold")]
    Check,
    /// The same share twice.
    #[error("share {0} is given twice")]
    Repeated(u8),
    /// Shares of different keys.
    #[error("the shares belong to different root keys")]
    Mixed,
    /// Too few.
    #[error("{threshold} shares are needed, {given} are given")]
    TooFew {
        /// As many are needed.
        threshold: u8,
        /// As many are given.
        given: usize,
    },
    /// They fit together by their labels, but give another key.
    #[error("the shares do not give the key that they are labelled with; one of them is damaged")]
    Fingerprint,
}

/// One share.
pub struct Share {
    threshold: u8,
    shares: u8,
    fingerprint: String,
    /// x ‖ y.
    point: Zeroizing<Vec<u8>>,
}

impl Share {
    /// Splits a key into shares of which `threshold` give it back.
    ///
    /// # Errors
    /// [`ShareError::Count`], [`ShareError::Threshold`].
    pub fn split(key: &[u8; 32], shares: u8, threshold: u8) -> Result<Vec<Self>, ShareError> {
        if shares < 2 {
            return Err(ShareError::Count);
        }
        if threshold < 2 || threshold > shares {
            return Err(ShareError::Threshold);
        }
        let fingerprint = fingerprint(key);
        let points = Sharks(threshold).dealer(key).take(usize::from(shares));
        let share = |point| Self { threshold, shares, fingerprint: fingerprint.clone(), point: Zeroizing::new(Vec::from(&point)) };
        Ok(points.map(share).collect())
    }

    /// Reads a share from its file: the line that is neither empty nor begins with `#`.
    ///
    /// # Errors
    /// [`ShareError::Format`], [`ShareError::Check`].
    pub fn parse(text: &str) -> Result<Self, ShareError> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let (Some(line), None) = (lines.next(), lines.next()) else { return Err(ShareError::Format) };
        let (body, written) = line.rsplit_once(':').ok_or(ShareError::Format)?;
        let mut parts = body.split(':');
        if parts.next() != Some(FORMAT) {
            return Err(ShareError::Format);
        }
        if check(body) != written {
            return Err(ShareError::Check);
        }
        let (Some(threshold), Some(shares), Some(fingerprint), Some(point), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(ShareError::Format);
        };
        let number = |text: &str| text.parse::<u8>().map_err(|_| ShareError::Format);
        let point = Zeroizing::new(URL_SAFE_NO_PAD.decode(point).map_err(|_| ShareError::Format)?);
        let (threshold, shares) = (number(threshold)?, number(shares)?);
        // x = 0 is where the key itself lies.
        if point.len() != 33 || point.first() == Some(&0) || threshold < 2 || threshold > shares {
            return Err(ShareError::Format);
        }
        Ok(Self { threshold, shares, fingerprint: fingerprint.to_owned(), point })
    }

    /// Gives the key back.
    ///
    /// # Errors
    /// [`ShareError`] if they are too few, do not fit together, or one is damaged: every share given counts.
    pub fn combine(shares: &[Self]) -> Result<Zeroizing<[u8; 32]>, ShareError> {
        let first = shares.first().ok_or(ShareError::TooFew { threshold: 2, given: 0 })?;
        let mut numbers = BTreeSet::new();
        for share in shares {
            if (share.threshold, share.shares, &share.fingerprint) != (first.threshold, first.shares, &first.fingerprint) {
                return Err(ShareError::Mixed);
            }
            if !numbers.insert(share.number()) {
                return Err(ShareError::Repeated(share.number()));
            }
        }
        if shares.len() < usize::from(first.threshold) {
            return Err(ShareError::TooFew { threshold: first.threshold, given: shares.len() });
        }
        let point = |share: &Self| blahaj::Share::try_from(share.point.as_slice()).map_err(|_| ShareError::Format);
        let points = shares.iter().map(point).collect::<Result<Vec<_>, _>>()?;
        let key = Zeroizing::new(Sharks(first.threshold).recover(&points).map_err(|_| ShareError::Fingerprint)?);
        let key: [u8; 32] = key.as_slice().try_into().map_err(|_| ShareError::Fingerprint)?;
        let key = Zeroizing::new(key);
        if fingerprint(&key) == first.fingerprint { Ok(key) } else { Err(ShareError::Fingerprint) }
    }

    /// Its number, from 1.
    #[must_use]
    pub fn number(&self) -> u8 {
        self.point.first().copied().unwrap_or_default()
    }

    /// The content of its file.
    #[must_use]
    pub fn to_file(&self) -> Zeroizing<String> {
        let (number, Self { threshold, shares, fingerprint, .. }) = (self.number(), self);
        let point = Zeroizing::new(URL_SAFE_NO_PAD.encode(&self.point));
        let body = Zeroizing::new(format!("{FORMAT}:{threshold}:{shares}:{fingerprint}:{}", *point));
        Zeroizing::new(format!(
            "# Recovery share {number} of {shares} of the root key {fingerprint}. Any {threshold} of them give it back, fewer say nothing.\n\
             # Keep it apart from the others, from the root key and from backups of data.\n\
             # To check it together with others: nakatsugi keys shares verify FILE...\n\
             {}:{}\n",
            *body,
            check(&body)
        ))
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Share({} of {}, secret)", self.number(), self.shares)
    }
}

/// What tells root keys apart without saying anything about them.
pub(super) fn fingerprint(key: &[u8; 32]) -> String {
    head(&[b"nakatsugi root key", key], 8)
}

fn check(body: &str) -> String {
    head(&[body.as_bytes()], 4)
}

fn head(parts: &[&[u8]], bytes: usize) -> String {
    let mut context = Context::new(&SHA256);
    parts.iter().for_each(|part| context.update(part));
    hex::encode(context.finish().as_ref().get(..bytes).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [0xa5; 32];

    fn files(shares: u8, threshold: u8) -> Vec<String> {
        Share::split(&KEY, shares, threshold).unwrap().iter().map(|share| share.to_file().to_string()).collect()
    }

    fn combine(files: &[&String]) -> Result<[u8; 32], ShareError> {
        let shares: Vec<_> = files.iter().map(|file| Share::parse(file).unwrap()).collect();
        Share::combine(&shares).map(|key| *key)
    }

    #[test]
    fn any_three_of_five_give_the_key_back_and_two_do_not() {
        let files = files(5, 3);
        for a in 0..5 {
            for b in a + 1..5 {
                let too_few = ShareError::TooFew { threshold: 3, given: 2 };
                assert_eq!(combine(&[&files[a], &files[b]]), Err(too_few));
                for c in b + 1..5 {
                    assert_eq!(combine(&[&files[c], &files[a], &files[b]]), Ok(KEY));
                }
            }
        }
        assert_eq!(combine(&files.iter().collect::<Vec<_>>()), Ok(KEY));
    }

    #[test]
    fn the_same_share_twice_counts_once_and_is_refused() {
        let files = files(3, 2);
        assert_eq!(combine(&[&files[1], &files[1]]), Err(ShareError::Repeated(2)));
    }

    #[test]
    fn shares_of_different_keys_are_refused() {
        let mut other = Share::split(&[1; 32], 3, 2).unwrap();
        let mut shares = Share::split(&KEY, 3, 2).unwrap();
        shares.truncate(1);
        shares.push(other.remove(1));
        assert_eq!(Share::combine(&shares).map(|_| ()), Err(ShareError::Mixed));
    }

    #[test]
    fn every_share_that_is_given_counts() {
        let mut shares = Share::split(&KEY, 5, 3).unwrap();
        shares[4].point[7] ^= 1;
        assert_eq!(Share::combine(&shares).map(|_| ()), Err(ShareError::Fingerprint));
        assert_eq!(Share::combine(&shares[..4]).map(|key| *key), Ok(KEY));
    }

    #[test]
    fn a_mistyped_share_is_refused() {
        let file = &files(3, 2)[0];
        let line = file.lines().last().unwrap();
        let place = line.len() - 20;
        let wrong = if line.as_bytes()[place] == b'A' { "B" } else { "A" };
        let mistyped = format!("{}{wrong}{}", &line[..place], &line[place + 1..]);
        assert_eq!(Share::parse(&mistyped).map(|_| ()), Err(ShareError::Check));
        for text in ["", "# a comment\n", "nakatsugi-share-2:2:3:x:y:z", &format!("{line}\n{line}")] {
            assert_eq!(Share::parse(text).map(|_| ()), Err(ShareError::Format), "{text}");
        }
    }

    #[test]
    fn numbers_that_protect_nothing_are_refused() {
        let split = |shares, threshold| Share::split(&KEY, shares, threshold).map(|shares| shares.len());
        assert_eq!(split(1, 1), Err(ShareError::Count));
        assert_eq!(split(3, 1), Err(ShareError::Threshold));
        assert_eq!(split(3, 4), Err(ShareError::Threshold));
        assert_eq!(split(255, 255), Ok(255));
    }

    #[test]
    fn a_share_shows_its_number_only() {
        let share = &Share::split(&KEY, 3, 2).unwrap()[0];
        assert_eq!(format!("{share:?}"), "Share(1 of 3, secret)");
    }
}
