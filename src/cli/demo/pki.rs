//! The certificates of a private broker: one authority, its server and its clients.
//!
//! Always: keys are files that only their owner reads; the authority's key never touches the disk and is gone with the
//! process. Absent: anything for production, where certificates come from the operator's own authority.

use super::PkiError;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// A certificate and its key, as PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its private key (PKCS #8), readable by its owner only.
    pub key: PathBuf,
    serial: [u8; 8],
}

/// A private certificate authority whose files lie in one folder.
pub struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new authority; writes `ca.pem` into the folder.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn create(folder: &Path) -> Result<Self, PkiError> {
        fs::create_dir_all(folder).map_err(|source| PkiError::File { path: folder.to_owned(), source })?;
        let mut params = params("nakatsugi private broker")?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        let authority = Self { folder: folder.to_owned(), issuer: Issuer::new(params, key) };
        write(&authority.ca(), 0o644, &certificate.pem())?;
        Ok(authority)
    }

    /// The authority's certificate.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// A certificate for a server on this machine (`localhost`, `127.0.0.1`) that also answers to these names.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn issue_server(&self, hosts: &[String]) -> Result<Credentials, PkiError> {
        let mut params = CertificateParams::new([&["localhost".to_owned(), "127.0.0.1".to_owned()], hosts].concat())?;
        params.distinguished_name = name("localhost");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue("server", params)
    }

    /// A certificate for a client; its common name is the AMQP user. Issuing again replaces the files.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn issue_client(&self, user: &str) -> Result<Credentials, PkiError> {
        let mut params = params(user)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(user, params)
    }

    /// Writes the list of revoked certificates (RFC 5280 §5), `crl.pem`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn revoke(&self, revoked: &[&Credentials]) -> Result<PathBuf, PkiError> {
        let entry = |credentials: &&Credentials| RevokedCertParams {
            serial_number: SerialNumber::from_slice(&credentials.serial),
            revocation_time: date_time_ymd(2025, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2025, 1, 1),
            next_update: date_time_ymd(2099, 1, 1),
            crl_number: SerialNumber::from_slice(&[1]),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let path = self.folder.join("crl.pem");
        write(&path, 0o644, &list.signed_by(&self.issuer)?.pem()?)?;
        Ok(path)
    }

    fn issue(&self, file: &str, mut params: CertificateParams) -> Result<Credentials, PkiError> {
        let key = KeyPair::generate()?;
        let mut serial = [0; 8];
        for (to, from) in serial.iter_mut().zip(params.key_identifier(&key)) {
            *to = from & 0x7f;
        }
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = (date_time_ymd(2025, 1, 1), date_time_ymd(2099, 1, 1));
        let certificate = params.signed_by(&key, &self.issuer)?;
        let credentials =
            Credentials { certificate: self.folder.join(format!("{file}.pem")), key: self.folder.join(format!("{file}.key")), serial };
        write(&credentials.certificate, 0o644, &certificate.pem())?;
        write(&credentials.key, 0o600, &key.serialize_pem())?;
        Ok(credentials)
    }
}

fn params(common_name: &str) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = name(common_name);
    (params.not_before, params.not_after) = (date_time_ymd(2025, 1, 1), date_time_ymd(2099, 1, 1));
    Ok(params)
}

fn name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

/// Replaces the file in one step, so that whoever reads it meanwhile sees the old or the new one.
fn write(path: &Path, mode: u32, text: &str) -> Result<(), PkiError> {
    let failed = |source| PkiError::File { path: path.to_owned(), source };
    let mut next = path.as_os_str().to_owned();
    next.push(".next");
    let next = PathBuf::from(next);
    match fs::remove_file(&next) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&next).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    fs::rename(&next, path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn keys_are_readable_by_their_owner_only_and_the_authoritys_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::create(folder.path()).unwrap();
        let first = authority.issue_client("relay").unwrap();
        let again = authority.issue_client("relay").unwrap();
        assert_ne!(first.serial, again.serial);
        assert_eq!(fs::metadata(&again.key).unwrap().permissions().mode() & 0o777, 0o600);
        let mut names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, ["ca.pem", "relay.key", "relay.pem"]);
    }
}
