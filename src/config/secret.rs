//! Secret files: read only if nobody else can.
//!
//! Always: what was checked is what is read (one open file); the bytes are wiped when dropped.

use super::ConfigError;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use std::{fs::File, io::Read as _, os::unix::fs::MetadataExt as _, path::Path};
use zeroize::Zeroizing;

/// The largest secret file: a chain of certificates with its key has a few KiB.
const LARGEST: u64 = 64 << 10;

/// The first line of a root key file.
const ROOT_HEADER: &str = "# nakatsugi root key, format 1: 32 bytes in base64url. Secret; mode 0600; never in a backup.";

/// Reads a secret.
///
/// # Errors
/// [`ConfigError::Permissions`] if group or others have any right to it, [`ConfigError::NotASecret`], [`ConfigError::Read`].
pub fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
    let read = |source| ConfigError::Read { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(read)?;
    let about = file.metadata().map_err(read)?;
    if !about.is_file() || about.len() > LARGEST {
        return Err(ConfigError::NotASecret { path: path.to_owned() });
    }
    let mode = about.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(ConfigError::Permissions { path: path.to_owned(), mode });
    }
    // One allocation of the right size, so that growing leaves no copy behind.
    let size = usize::try_from(about.len()).unwrap_or_default();
    let mut bytes = Zeroizing::new(Vec::with_capacity(size.saturating_add(1)));
    file.by_ref().take(about.len()).read_to_end(&mut bytes).map_err(read)?;
    Ok(bytes)
}

/// Reads a secret that is text.
///
/// # Errors
/// As [`read_secret`], and [`ConfigError::Content`].
pub fn read_secret_text(path: &Path, expected: &'static str) -> Result<Zeroizing<String>, ConfigError> {
    let bytes = read_secret(path)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| ConfigError::Content { path: path.to_owned(), expected })?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Reads a root key file: a header line that begins with `#`, then 32 bytes as one line of base64url.
///
/// # Errors
/// As [`read_secret`], and [`ConfigError::Content`].
pub fn read_root_key(path: &Path) -> Result<Zeroizing<[u8; 32]>, ConfigError> {
    const EXPECTED: &str = "a root key: a line that begins with \"# nakatsugi root key, format 1\", then 43 characters of base64url";
    let text = read_secret_text(path, EXPECTED)?;
    let wrong = || ConfigError::Content { path: path.to_owned(), expected: EXPECTED };
    let (header, key) = text.split_once('\n').ok_or_else(wrong)?;
    if !header.starts_with("# nakatsugi root key, format 1") {
        return Err(wrong());
    }
    let mut bytes = Zeroizing::new([0; 32]);
    match URL_SAFE_NO_PAD.decode_slice(key.trim_end(), bytes.as_mut_slice()) {
        Ok(32) => Ok(bytes),
        Ok(_) | Err(_) => Err(wrong()),
    }
}

/// The content of a root key file.
#[must_use]
pub fn root_key_file(key: &[u8; 32]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(ROOT_HEADER.len() + 46));
    text.push_str(ROOT_HEADER);
    text.push('\n');
    let encoded = Zeroizing::new(URL_SAFE_NO_PAD.encode(key));
    text.push_str(&encoded);
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

    fn file(folder: &tempfile::TempDir, text: &str, mode: u32) -> PathBuf {
        let path = folder.path().join("root.key");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn a_root_key_file_gives_its_key_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder, &root_key_file(&[7; 32]), 0o600);
        assert_eq!(*read_root_key(&path).unwrap(), [7; 32]);
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        for mode in [0o640, 0o604, 0o660, 0o610] {
            let path = file(&folder, &root_key_file(&[7; 32]), mode);
            let error = read_root_key(&path).unwrap_err();
            assert!(matches!(error, ConfigError::Permissions { mode: found, .. } if found == mode));
            assert!(error.to_string().ends_with(&format!("run: chmod 600 {}", path.display())));
        }
    }

    #[test]
    fn other_contents_are_refused_and_not_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let short = "# nakatsugi root key, format 1\nAAAA\n";
        let bare = root_key_file(&[7; 32]).lines().nth(1).unwrap().to_owned();
        for text in [short, &bare, "", "# nakatsugi root key, format 2\n"] {
            let error = read_root_key(&file(&folder, text, 0o600)).unwrap_err();
            assert!(matches!(error, ConfigError::Content { .. }));
            assert!(!error.to_string().contains("AAAA"));
        }
        assert!(matches!(read_secret(folder.path()), Err(ConfigError::NotASecret { .. })));
    }
}
