//! The search for what must lie nowhere: a secret in every form in which a program might have written it down.
//!
//! Always: plain, UTF-16, hexadecimal, base64 and base64url at any offset, and each of these inside another. Files are read
//! whole. Absent: compressed and encrypted forms; what is compressed must be opened first.

use aho_corasick::AhoCorasick;
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// A secret in one of its forms.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Form {
    pub(crate) secret: &'static str,
    pub(crate) how: String,
    bytes: Vec<u8>,
}

/// Where a secret was found, and in which form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Hit {
    pub(crate) place: PathBuf,
    pub(crate) secret: &'static str,
    pub(crate) how: String,
}

/// A search for some secrets in all their forms.
pub(crate) struct Search {
    forms: Vec<Form>,
    automaton: AhoCorasick,
}

impl Search {
    /// For these secrets, each with a name.
    pub(crate) fn of(secrets: &[(&'static str, &[u8])]) -> Self {
        let forms: Vec<Form> = secrets.iter().flat_map(|(name, secret)| forms(name, secret)).collect();
        let automaton = AhoCorasick::new(forms.iter().map(|form| &form.bytes)).unwrap();
        Self { forms, automaton }
    }

    pub(crate) fn forms(&self) -> &[Form] {
        &self.forms
    }

    /// Searches some bytes.
    pub(crate) fn bytes(&self, place: &Path, bytes: &[u8]) -> BTreeSet<Hit> {
        let hit = |form: &Form| Hit { place: place.to_owned(), secret: form.secret, how: form.how.clone() };
        self.automaton.find_overlapping_iter(bytes).map(|found| hit(&self.forms[found.pattern().as_usize()])).collect()
    }

    /// Searches every file below a folder. Returns how many bytes that were, too.
    pub(crate) fn folder(&self, folder: &Path) -> (BTreeSet<Hit>, u64) {
        let (mut hits, mut all) = (BTreeSet::new(), 0);
        for entry in fs::read_dir(folder).unwrap() {
            let (entry, kind) = entry.map(|entry| (entry.path(), entry.file_type().unwrap())).unwrap();
            // A running node removes files while we look.
            if kind.is_dir() && entry.exists() {
                let (below, bytes) = self.folder(&entry);
                hits.extend(below);
                all += bytes;
            } else if kind.is_file()
                && let Ok(bytes) = fs::read(&entry)
            {
                hits.extend(self.bytes(&entry, &bytes));
                all += bytes.len() as u64;
            }
        }
        (hits, all)
    }
}

/// A secret in every form, and each form in every form.
fn forms(secret: &'static str, bytes: &[u8]) -> Vec<Form> {
    let mut all = BTreeSet::new();
    for (outer, once) in encodings(bytes) {
        for (inner, twice) in encodings(&once) {
            let how = if inner == "plain" { outer.clone() } else { format!("{inner} of {outer}") };
            all.insert((twice, how));
        }
    }
    all.into_iter().map(|(bytes, how)| Form { secret, how, bytes }).collect()
}

pub(crate) fn encodings(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut all = vec![
        ("plain".to_owned(), bytes.to_vec()),
        ("utf-16le".to_owned(), bytes.iter().flat_map(|byte| [*byte, 0]).collect()),
        ("utf-16be".to_owned(), bytes.iter().flat_map(|byte| [0, *byte]).collect()),
        ("hex".to_owned(), hex(bytes).into_bytes()),
        ("HEX".to_owned(), hex(bytes).to_uppercase().into_bytes()),
    ];
    for offset in 0..3 {
        // What stands before and after decides the characters at both ends: they are left out.
        let shifted = [&vec![0; offset], bytes].concat();
        let (from, to) = ((offset * 8).div_ceil(6), shifted.len() * 8 / 6);
        for (name, engine) in [("base64", STANDARD_NO_PAD), ("base64url", URL_SAFE_NO_PAD)] {
            all.push((format!("{name}+{offset}"), engine.encode(&shifted).into_bytes()[from..to].to_vec()));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a secret as a careless program would, after something else and before something else.
    fn planted(how: &str, secret: &[u8], before: usize) -> Vec<u8> {
        let whole = [&vec![b'~'; before], secret, b"\xff?>~"].concat();
        match how {
            "plain" => whole,
            "utf-16le" => String::from_utf8_lossy(&whole).encode_utf16().flat_map(u16::to_le_bytes).collect(),
            "utf-16be" => String::from_utf8_lossy(&whole).encode_utf16().flat_map(u16::to_be_bytes).collect(),
            "hex" => whole.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect(),
            "HEX" => whole.iter().flat_map(|byte| format!("{byte:02X}").into_bytes()).collect(),
            "base64" => base64::engine::general_purpose::STANDARD.encode(whole).into_bytes(),
            "base64url" => URL_SAFE_NO_PAD.encode(whole).into_bytes(),
            _ => panic!("{how}"),
        }
    }

    #[test]
    fn a_planted_secret_is_found_in_every_form_at_every_offset() {
        const HOW: [&str; 7] = ["plain", "utf-16le", "utf-16be", "hex", "HEX", "base64", "base64url"];
        let secret = b"canary-qWzPxLhTgbNvKdFy";
        let search = Search::of(&[("it", secret)]);
        let folder = tempfile::tempdir().unwrap();
        for (outer, inner, offset, second) in HOW
            .iter()
            .flat_map(|outer| HOW.iter().flat_map(move |inner| (0..3).flat_map(move |a| (0..3).map(move |b| (*outer, *inner, a, b)))))
        {
            let once = planted(inner, secret, offset);
            // UTF-16 of bytes that are no text is nothing a program writes.
            let once = if outer.starts_with("utf-16") { String::from_utf8_lossy(&once).replace('\u{fffd}', "").into_bytes() } else { once };
            let path = folder.path().join("deep/er");
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join("file"), planted(outer, &once, second)).unwrap();
            let (hits, _) = search.folder(folder.path());
            assert!(!hits.is_empty(), "{outer} of {inner} at {offset} and {second}");
        }
        fs::write(folder.path().join("deep/er/file"), &secret[..secret.len() - 1]).unwrap();
        assert_eq!(search.folder(folder.path()).0, BTreeSet::new());
    }

    #[test]
    fn secrets_that_are_no_text_are_found_too() {
        let secret: [u8; 32] = std::array::from_fn(|at| (at * 37 + 130) as u8);
        let search = Search::of(&[("bytes", &secret)]);
        for how in ["plain", "hex", "HEX", "base64", "base64url"] {
            for offset in 0..3 {
                let hits = search.bytes(Path::new("memory"), &planted(how, &secret, offset));
                assert!(hits.iter().any(|hit| hit.how.starts_with(how)), "{how} at {offset}: {hits:?}");
            }
        }
        assert!(search.forms().len() > 100);
    }
}
