//! A carrier that sends what ours never would: properties and headers of its own making.

use super::Broker;
use lapin::{
    AsyncTcpStream, BasicProperties, Channel, Confirmation, Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    tcp::RustlsConnector,
    types::{AMQPValue, FieldArray, FieldTable},
    uri::{AMQPUri, SASLMechanism},
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use std::sync::Arc;

/// Its connection and a channel with confirmations.
pub(crate) struct Hostile {
    pub(crate) channel: Channel,
    user: String,
    _connection: Connection,
}

impl Hostile {
    pub(crate) async fn connect(broker: &Broker, vhost: &str, user: &str) -> Self {
        let settings = broker.settings(vhost, user);
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&settings.ca).unwrap()).unwrap();
        let chain = CertificateDer::pem_file_iter(&settings.certificate).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(&settings.key).unwrap();
        let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .unwrap();
        let tls = RustlsConnector::from(tls);
        let mut uri: AMQPUri = settings.uri.parse().unwrap();
        uri.query.auth_mechanism = Some(SASLMechanism::External);
        let transport = async move |uri: AMQPUri, runtime: async_rs::TokioRuntime| {
            let host = uri.authority.host.clone();
            let address = runtime.to_socket_addrs((host.clone(), uri.authority.port));
            Ok(AsyncTcpStream::connect(&runtime, address).await?.into_rustls(&tls, &host).await?)
        };
        let runtime = lapin::runtime::default_runtime().unwrap();
        let connection = Connection::connector(uri, runtime, transport, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        Self { channel, user: user.to_owned(), _connection: connection }
    }

    /// Publishes a persistent message under its own name to `nakatsugi.in`, with these headers; perhaps it expires at once.
    pub(crate) async fn publish(&self, key: &str, id: u32, headers: FieldTable, expiration: Option<&str>) {
        let mut properties = BasicProperties::default()
            .with_delivery_mode(2)
            .with_message_id(id.to_string().into())
            .with_user_id(self.user.as_str().into())
            .with_headers(headers);
        if let Some(expiration) = expiration {
            properties = properties.with_expiration(expiration.into());
        }
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let confirm = self.channel.basic_publish("nakatsugi.in".into(), key.into(), options, b"hostile", properties).await.unwrap();
        assert!(matches!(confirm.await.unwrap(), Confirmation::Ack(None)));
    }
}

/// A header that asks for copies.
pub(crate) fn copies(name: &str, keys: &[&str]) -> FieldTable {
    let keys: Vec<_> = keys.iter().map(|key| AMQPValue::LongString((*key).into())).collect();
    header(name, AMQPValue::FieldArray(FieldArray::from(keys)))
}

/// A header that says that the message died in these queues already.
pub(crate) fn deaths(queues: &[&str]) -> FieldTable {
    let death = |queue: &&str| {
        let mut death = FieldTable::default();
        death.insert("queue".into(), AMQPValue::LongString((*queue).into()));
        death.insert("reason".into(), AMQPValue::LongString("expired".into()));
        death.insert("count".into(), AMQPValue::LongLongInt(1));
        AMQPValue::FieldTable(death)
    };
    header("x-death", AMQPValue::FieldArray(FieldArray::from(queues.iter().map(death).collect::<Vec<_>>())))
}

/// One header.
pub(crate) fn header(name: &str, value: AMQPValue) -> FieldTable {
    let mut headers = FieldTable::default();
    headers.insert(name.into(), value);
    headers
}
