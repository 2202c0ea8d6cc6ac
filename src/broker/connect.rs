//! One connection to one broker.
//!
//! Always: TLS 1.3 with ring; only the given authority is trusted, never the system's; our certificate is our user name
//! (SASL EXTERNAL). Files are read at every connection, so certificates rotate without a restart. Absent:
//! retrying (whoever needs a connection does, after `pauses`), passwords, plain text.

use super::{BrokerError, Purpose};
use async_rs::TokioRuntime;
use backon::{BackoffBuilder as _, ExponentialBuilder};
use lapin::{
    AsyncTcpStream, Connection, ConnectionProperties, ErrorKind,
    protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError},
    tcp::RustlsConnector,
    uri::{AMQPScheme, AMQPUri, SASLMechanism},
};
use ring::rand::{SecureRandom as _, SystemRandom};
use rustls::{
    ClientConfig, RootCertStore,
    client::WebPkiServerVerifier,
    pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, pem::PemObject},
};
use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::time::timeout;

/// How long the broker may take to answer.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// How long a good end may take; what was out comes back either way.
pub(super) const CLOSED_WITHIN: Duration = Duration::from_secs(2);
const HEARTBEAT_SECONDS: u16 = 10;
const TRANSPORT_WITHIN: Duration = Duration::from_secs(10);
const CONNECTED_WITHIN: Duration = Duration::from_secs(15);

/// How one broker is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerSettings {
    /// What we call it, in routes and events.
    pub name: Arc<str>,
    /// `amqps://host:port/virtual-host`; the host must stand in the broker's certificate.
    pub uri: String,
    /// The authority that issued the broker's certificate (PEM).
    pub ca: PathBuf,
    /// Our certificate and its chain (PEM); its common name is our AMQP user.
    pub certificate: PathBuf,
    /// Its private key (PEM).
    pub key: PathBuf,
    /// The authority's revocation list (PEM), if it issues one.
    pub revocations: Option<PathBuf>,
}

impl fmt::Display for BrokerSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.uri)
    }
}

impl BrokerSettings {
    /// Connects and authenticates.
    ///
    /// # Errors
    /// The address or a file is unusable, or the broker does not answer as it should.
    ///
    /// # Cancel safety
    /// Dropped early, the half-made connection ends by itself within ten seconds.
    pub(crate) async fn connect(&self, purpose: Purpose) -> Result<Connection, BrokerError> {
        let uri = self.address()?;
        let tls = RustlsConnector::from(self.tls()?);
        let name = format!("nakatsugi {purpose} {}", self.name);
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let transport = async move |uri: AMQPUri, runtime: TokioRuntime| {
            let host = uri.authority.host.clone();
            let address = runtime.to_socket_addrs((host.clone(), uri.authority.port));
            // lapin runs this on its own thread and outlives our time-out: without one of its own it would hang there.
            let encrypted = timeout(TRANSPORT_WITHIN, async {
                let stream = AsyncTcpStream::connect(&runtime, address).await?;
                stream.into_rustls(&tls, &host).await
            });
            Ok(encrypted.await.map_err(io::Error::from)??)
        };
        let connection = Connection::connector(uri, lapin::runtime::default_runtime()?, transport, properties);
        within(CONNECTED_WITHIN, "connect", connection).await.map_err(|error| match error {
            BrokerError::Amqp(error) if refused(&error) => {
                BrokerError::NotAllowed { name: format!("the virtual host of broker {}", self.name), reason: error.to_string() }
            }
            other => other,
        })
    }

    fn address(&self) -> Result<AMQPUri, BrokerError> {
        let mut uri: AMQPUri = self.uri.parse().map_err(|_| BrokerError::Address)?;
        if uri.scheme != AMQPScheme::AMQPS || self.uri.contains('@') || self.uri.contains('?') {
            return Err(BrokerError::Address);
        }
        uri.query.heartbeat = Some(HEARTBEAT_SECONDS);
        uri.query.auth_mechanism = Some(SASLMechanism::External);
        Ok(uri)
    }

    fn tls(&self) -> Result<ClientConfig, BrokerError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&self.ca)? {
            roots.add(certificate)?;
        }
        let mut verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        if let Some(path) = &self.revocations {
            let list: CertificateRevocationListDer<'static> = first(path, "revocation list")?;
            verifier = verifier.with_crls([list]).only_check_end_entity_revocation();
        }
        let chain = certificates(&self.certificate)?;
        let key: PrivateKeyDer<'static> = first(&self.key, "private key")?;
        Ok(ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_webpki_verifier(verifier.build()?)
            .with_client_auth_cert(chain, key)?)
    }
}

/// Whether a broker does not know our user, or does not let it into the virtual host.
fn refused(error: &lapin::Error) -> bool {
    match error.kind() {
        ErrorKind::ProtocolError(error) => {
            matches!(error.kind(), AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) | AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED))
        }
        _ => false,
    }
}

/// A connection that stood so long was a good one: the next attempts begin with short pauses again.
pub(super) const STOOD: Duration = Duration::from_secs(5);

/// The pauses between attempts: from 0.2 s to 2 s, doubling, with as much jitter again, without end. A broker that is back is
/// used within 5 s.
pub(super) fn pauses() -> backon::ExponentialBackoff {
    let mut seed = [0; 8];
    // The worst that can happen without randomness is that two relays knock at the same time.
    let _ = SystemRandom::new().fill(&mut seed);
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(Duration::from_secs(2))
        .without_max_times()
        .with_jitter()
        .with_jitter_seed(u64::from_ne_bytes(seed))
        .build()
}

/// Waits for the broker, but not for ever.
pub(super) async fn within<T>(
    patience: Duration,
    doing: &'static str,
    answer: impl Future<Output = lapin::Result<T>>,
) -> Result<T, BrokerError> {
    Ok(timeout(patience, answer).await.map_err(|_| BrokerError::TimedOut { doing })??)
}

/// The certificates of a file, at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, BrokerError> {
    read(path, "certificate")
}

fn first<T: PemObject>(path: &Path, what: &'static str) -> Result<T, BrokerError> {
    T::from_pem_file(path).map_err(|source| BrokerError::Credentials { path: path.to_owned(), what, source })
}

fn read<T: PemObject>(path: &Path, what: &'static str) -> Result<Vec<T>, BrokerError> {
    let failed = |source| BrokerError::Credentials { path: path.to_owned(), what, source };
    let items: Vec<T> = T::pem_file_iter(path).map_err(failed)?.collect::<Result<_, _>>().map_err(failed)?;
    if items.is_empty() { Err(failed(rustls::pki_types::pem::Error::NoItemsFound)) } else { Ok(items) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(uri: &str) -> BrokerSettings {
        let path = PathBuf::from("/nonexistent");
        BrokerSettings { name: "a".into(), uri: uri.into(), ca: path.clone(), certificate: path.clone(), key: path, revocations: None }
    }

    #[test]
    fn only_an_address_with_tls_and_without_password_is_taken() {
        let uri = settings("amqps://broker.example:5671/relay").address().unwrap();
        assert_eq!((uri.authority.port, uri.vhost.as_str(), uri.query.heartbeat), (5671, "relay", Some(10)));
        for text in ["amqp://broker:5672/relay", "amqps://a:b@broker:5671/relay", "amqps://broker/relay?auth_mechanism=plain", "broker"] {
            assert!(matches!(settings(text).address(), Err(BrokerError::Address)), "{text}");
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = settings("amqps://broker/relay").tls().unwrap_err();
        assert_eq!(error.to_string(), "/nonexistent: cannot be read: No such file or directory (os error 2)");
    }

    #[test]
    fn pauses_grow_to_seconds_and_never_end() {
        let pauses: Vec<_> = pauses().take(100).collect();
        assert_eq!(pauses.len(), 100);
        assert!(pauses.iter().all(|pause| *pause <= Duration::from_secs(4)));
        assert!(pauses.last() > pauses.first());
    }
}
