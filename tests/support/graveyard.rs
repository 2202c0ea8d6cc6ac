//! What lies in `nakatsugi.dead`, with its headers, read as the operator.

use async_rs::TokioRuntime;
use lapin::{
    AsyncTcpStream, Connection, ConnectionProperties,
    options::{BasicAckOptions, BasicGetOptions},
    tcp::RustlsConnector,
    types::{AMQPValue, ShortString},
    uri::{AMQPUri, SASLMechanism},
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use std::{collections::BTreeMap, path::Path, sync::Arc};

/// A dead letter.
#[derive(Debug, Clone)]
pub(crate) struct Dead {
    pub(crate) body: Vec<u8>,
    pub(crate) message_id: String,
    pub(crate) user: String,
    pub(crate) headers: BTreeMap<String, String>,
}

/// Takes every dead letter out of its queue.
pub(crate) async fn empty(uri: &str, folder: &Path) -> Vec<Dead> {
    let connection = connect(uri, folder).await;
    let channel = connection.create_channel().await.unwrap();
    let mut all = Vec::new();
    while let Some(message) = channel.basic_get("nakatsugi.dead".into(), BasicGetOptions::default()).await.unwrap() {
        let delivery = message.delivery;
        let text = |text: &Option<ShortString>| text.as_ref().map_or("", ShortString::as_str).to_owned();
        let headers = delivery.properties.headers().as_ref().map(|table| table.inner().iter());
        // The broker adds numbers of its own; ours are texts.
        let headers = headers.into_iter().flatten().filter_map(|(name, value)| match value {
            AMQPValue::LongString(text) => Some((name.as_str().to_owned(), String::from_utf8(text.as_bytes().to_vec()).unwrap())),
            _ => None,
        });
        all.push(Dead {
            message_id: text(delivery.properties.message_id()),
            user: text(delivery.properties.user_id()),
            headers: headers.collect(),
            body: delivery.data.clone(),
        });
        delivery.acker.ack(BasicAckOptions::default()).await.unwrap();
    }
    connection.close(200, ShortString::default()).await.unwrap();
    all
}

pub(crate) async fn connect(uri: &str, folder: &Path) -> Connection {
    connect_as(uri, folder, "operator").await
}

/// As the user whose certificate this is.
pub(crate) async fn connect_as(uri: &str, folder: &Path, user: &str) -> Connection {
    let mut uri: AMQPUri = uri.parse().unwrap();
    uri.query.auth_mechanism = Some(SASLMechanism::External);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join("ca.pem")).unwrap()).unwrap();
    let chain = CertificateDer::pem_file_iter(folder.join(format!("{user}.pem"))).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(folder.join(format!("{user}.key"))).unwrap();
    let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .unwrap();
    let tls = RustlsConnector::from(tls);
    let transport = async move |uri: AMQPUri, runtime: TokioRuntime| {
        let host = uri.authority.host.clone();
        let stream = AsyncTcpStream::connect(&runtime, runtime.to_socket_addrs((host.clone(), uri.authority.port))).await?;
        Ok(stream.into_rustls(&tls, &host).await?)
    };
    let runtime = lapin::runtime::default_runtime().unwrap();
    Connection::connector(uri, runtime, transport, ConnectionProperties::default()).await.unwrap()
}
