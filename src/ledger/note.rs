//! Tree heads as signed notes, which existing verifiers and witnesses read (C2SP tlog-checkpoint, signed-note).
//!
//! ```text
//! head      = origin ‖ "\n" ‖ size ‖ "\n" ‖ base64(root) ‖ "\n"
//! note      = head ‖ "\n— " ‖ name ‖ " " ‖ base64(key id ‖ Ed25519[signing key](head)) ‖ "\n"
//! key id    = SHA-256(name ‖ "\n" ‖ 1 ‖ public key)[0..4]      name = origin = "nakatsugi/<environment>/<vault>"
//! published = name ‖ "+" ‖ hexadecimal(key id) ‖ "+" ‖ base64(1 ‖ public key)
//! ```
//!
//! Always: a head that was read is one whose signature held; extension lines are refused, other signatures are left aside.
//! Absent: where the signing key comes from, and cosignatures.

use super::{NoteError, TreeHash, commitment::sha256};
use crate::hex;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use std::fmt;

/// The type of Ed25519 signatures in notes.
const ED25519_TYPE: u8 = 1;
const DASH: &str = "\u{2014} ";
/// A note of ours has 200 bytes; room for some cosignatures.
const LONGEST: usize = 16 << 10;

/// The root and size of a ledger at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeHead {
    /// How many leaves.
    pub size: u64,
    /// The root.
    pub root: TreeHash,
}

/// A signed tree head, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHead {
    head: TreeHead,
    note: String,
}

impl SignedHead {
    /// What it says.
    #[must_use]
    pub const fn head(&self) -> &TreeHead {
        &self.head
    }

    /// The note.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.note
    }
}

impl fmt::Display for SignedHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.note)
    }
}

/// Whose ledger it is, in the first line of every head: the name of its key too.
#[must_use]
pub fn origin(environment: &str, vault: &str) -> String {
    format!("nakatsugi/{environment}/{vault}")
}

/// Signs the tree heads of one ledger, and knows them again.
pub struct HeadKey {
    name: String,
    pair: Ed25519KeyPair,
}

impl HeadKey {
    /// The key of a ledger from its 32 secret bytes.
    ///
    /// # Errors
    /// [`NoteError::Key`] if the library refuses, which does not happen.
    pub fn from_seed(origin: String, seed: &[u8; 32]) -> Result<Self, NoteError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| NoteError::Key)?;
        Ok(Self { name: origin, pair })
    }

    /// The key as it is published for those who verify.
    #[must_use]
    pub fn published(&self) -> String {
        let key = STANDARD.encode([&[ED25519_TYPE], self.pair.public_key().as_ref()].concat());
        format!("{}+{}+{key}", self.name, hex::encode(&self.id()))
    }

    fn id(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = sha256(&[self.name.as_bytes(), b"\n", &[ED25519_TYPE], self.pair.public_key().as_ref()]);
        [a, b, c, d]
    }

    fn text(&self, head: &TreeHead) -> String {
        format!("{}\n{}\n{}\n", self.name, head.size, STANDARD.encode(head.root))
    }

    /// Signs a head.
    #[must_use]
    pub fn sign(&self, head: TreeHead) -> SignedHead {
        let text = self.text(&head);
        let signature = self.pair.sign(text.as_bytes());
        let signature = STANDARD.encode([self.id().as_slice(), signature.as_ref()].concat());
        SignedHead { head, note: format!("{text}\n{DASH}{} {signature}\n", self.name) }
    }

    /// Reads a note that this key signed.
    ///
    /// # Errors
    /// [`NoteError`].
    pub fn read(&self, note: &[u8]) -> Result<SignedHead, NoteError> {
        if note.len() > LONGEST {
            return Err(NoteError::Form);
        }
        let note = std::str::from_utf8(note).map_err(|_| NoteError::Form)?;
        let (text, signatures) = note.split_once("\n\n").ok_or(NoteError::Form)?;
        let signatures = signatures.strip_suffix('\n').ok_or(NoteError::Form)?;
        let mut lines = text.split('\n');
        let (Some(origin), Some(size), Some(root), None) = (lines.next(), lines.next(), lines.next(), lines.next()) else {
            return Err(NoteError::Form);
        };
        if origin != self.name {
            return Err(NoteError::Origin);
        }
        let size: u64 = size.parse().map_err(|_| NoteError::Form)?;
        let root = STANDARD.decode(root).ok().and_then(|root| root.try_into().ok()).ok_or(NoteError::Form)?;
        let head = TreeHead { size, root };
        // Whatever else could be read as the same number or root was not written by us.
        let text = self.text(&head);
        if note.strip_prefix(&text).is_none_or(|rest| !rest.starts_with('\n')) {
            return Err(NoteError::Form);
        }
        let key = UnparsedPublicKey::new(&ED25519, self.pair.public_key().as_ref());
        let ours = format!("{DASH}{} ", self.name);
        let mut of_this_key = signatures.split('\n').filter_map(|line| {
            let bytes = STANDARD.decode(line.strip_prefix(&ours)?).ok()?;
            bytes.strip_prefix(&self.id()).map(<[u8]>::to_vec)
        });
        let signature = of_this_key.next().ok_or(NoteError::Unsigned)?;
        key.verify(text.as_bytes(), &signature).map_err(|_| NoteError::Signature)?;
        Ok(SignedHead { head, note: note.to_owned() })
    }
}

impl fmt::Debug for HeadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeadKey({}, secret)", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: TreeHead = TreeHead { size: 1_234, root: [7; 32] };

    fn key(vault: &str, seed: u8) -> HeadKey {
        HeadKey::from_seed(origin("trial", vault), &[seed; 32]).unwrap()
    }

    #[test]
    fn a_note_is_what_c2sp_describes() {
        let note = key("142051", 1).sign(HEAD);
        let lines: Vec<_> = note.as_str().lines().collect();
        assert_eq!(lines[..4], ["nakatsugi/trial/142051", "1234", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=", ""]);
        assert!(lines[4].starts_with("— nakatsugi/trial/142051 ") && note.as_str().ends_with('\n') && lines.len() == 5);
        let published = key("142051", 1).published();
        let id = published.split('+').nth(1).unwrap().to_owned();
        let signature = STANDARD.decode(lines[4].rsplit(' ').next().unwrap()).unwrap();
        assert_eq!((hex::encode(&signature[..4]), signature.len()), (id, 68));
    }

    #[test]
    fn a_note_of_this_key_is_read_with_cosignatures_too_and_no_other_is() {
        let (key, note) = (key("142051", 1), key("142051", 1).sign(HEAD));
        assert_eq!(key.read(note.as_str().as_bytes()).unwrap(), note);
        let cosigned = format!("{note}— witness.example/w {}\n", STANDARD.encode([9; 76]));
        assert_eq!(key.read(cosigned.as_bytes()).unwrap().head(), &HEAD);
        let refused = |text: String| key.read(text.as_bytes()).map(|_| ()).unwrap_err();
        assert_eq!(refused(super::tests::key("141003", 1).sign(HEAD).to_string()), NoteError::Origin);
        assert_eq!(refused(super::tests::key("142051", 2).sign(HEAD).to_string()), NoteError::Unsigned);
        assert_eq!(refused(note.as_str().replace("1234", "1235")), NoteError::Signature);
        assert_eq!(refused(note.as_str().replace("1234", "01234")), NoteError::Form);
        assert_eq!(refused(note.as_str().replace("1234", "+1234")), NoteError::Form);
        assert_eq!(refused(note.as_str().replace("Bwc=\n", "Bwc=\nextension\n")), NoteError::Form);
        assert_eq!(refused(note.as_str().trim_end().to_owned()), NoteError::Form);
        for at in 0..note.as_str().len() {
            let mut bytes = note.as_str().as_bytes().to_vec();
            bytes[at] ^= 1;
            assert!(key.read(&bytes).is_err(), "byte {at}");
            assert!(key.read(&note.as_str().as_bytes()[..at]).is_err(), "cut at {at}");
        }
    }
}
