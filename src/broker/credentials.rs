//! Whether our certificate will still be taken at a later time.
//!
//! Always: only its dates are judged; whether the broker trusts its issuer, the broker says.

use super::{BrokerError, BrokerSettings, connect};
use crate::calendar::Timestamp;
use rustls::{CertificateError, Error, RootCertStore, pki_types::UnixTime, server::WebPkiClientVerifier};
use std::{sync::Arc, time::Duration};

impl BrokerSettings {
    /// Whether the dates of our certificate include this time.
    ///
    /// # Errors
    /// [`BrokerError::Credentials`] and others if the files cannot be used.
    pub fn certificate_counts(&self, at: Timestamp) -> Result<bool, BrokerError> {
        let mut roots = RootCertStore::empty();
        for authority in connect::certificates(&self.ca)? {
            roots.add(authority)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
        let chain = connect::certificates(&self.certificate)?;
        let (own, issuers) = chain.split_first().ok_or(BrokerError::Name)?;
        let at = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(at.seconds()).unwrap_or_default()));
        Ok(match verifier.verify_client_cert(own, issuers, at) {
            Err(Error::InvalidCertificate(error)) => !matches!(
                error,
                CertificateError::Expired
                    | CertificateError::ExpiredContext { .. }
                    | CertificateError::NotValidYet
                    | CertificateError::NotValidYetContext { .. }
            ),
            Ok(_) | Err(_) => true,
        })
    }
}
