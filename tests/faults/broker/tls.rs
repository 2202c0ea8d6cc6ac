//! Where the broker should be answers somebody else: with a certificate of another day, name or authority, or without TLS.

use crate::{dice::Dice, ground::Ground};
use nakatsugi::cli::demo::pki::Authority;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _},
};
use std::{
    fs::{self, OpenOptions},
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};
use tokio::time::sleep;

const BATCH: usize = 30;

/// A certificate with its key.
type Identity = (CertificateDer<'static>, PrivateKeyDer<'static>);

/// Who pretends to be the broker.
enum Impostor {
    Tls(Box<Identity>),
    Plain,
}

/// Each of them in turn: nothing is said to it, and with the right one back all that waited is done.
pub(crate) async fn somebody_else_answers(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    let trusted = trust_one_more(ground);
    for _ in 0..times {
        // The authority that is trusted now: first the one that must be spoken to, or the others would prove nothing.
        let cases = [
            ("as it should be", Impostor::Tls(Box::new(issue(&trusted, "localhost", 2099)))),
            ("expired", Impostor::Tls(Box::new(issue(&trusted, "localhost", 2026)))),
            ("of another name", Impostor::Tls(Box::new(issue(&trusted, "example.org", 2099)))),
            ("of another authority", Impostor::Tls(Box::new(foreign(ground)))),
            ("without TLS", Impostor::Plain),
        ];
        for (what, impostor) in cases {
            let mut sending = ground.traffic.burst(&ground.stage, dice, BATCH);
            let before = ground.running.count("broker.unreachable");
            let heard = Arc::new(AtomicUsize::new(0));
            ground.wire.lead_to(listen(impostor, Arc::clone(&heard)));
            ground.wire.cut();
            sending.join(ground.traffic.burst(&ground.stage, dice, BATCH));
            let own = what == "as it should be";
            ground.running.until(|running| running.count("broker.unreachable") >= before + 4).await;
            let heard = heard.load(Ordering::Relaxed);
            assert_eq!(heard > 0, own, "{what}: {heard} times something was said to it");
            ground.wire.lead_to(ground.stage.site.node().port());
            sleep(dice.pause(Duration::from_millis(300))).await;
            sending.confirmed().await;
        }
    }
    times
}

/// The site's authority and one of ours, in the file that everybody trusts; the daemon reads it anew.
fn trust_one_more(ground: &mut Ground) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = named("another authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    (params.not_before, params.not_after) = (date_time_ymd(2025, 1, 1), date_time_ymd(2099, 1, 1));
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let path = ground.stage.site.folder().join("broker/ca.pem");
    OpenOptions::new().append(true).open(path).unwrap().write_all(issuer.pem().as_bytes()).unwrap();
    issuer
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

fn issue(issuer: &CertifiedIssuer<'static, KeyPair>, host: &str, until: i32) -> Identity {
    let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
    params.distinguished_name = named(host);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    (params.not_before, params.not_after) = (date_time_ymd(2025, 1, 1), date_time_ymd(until, 1, 1));
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    (certificate.der().clone(), PrivatePkcs8KeyDer::from(key.serialize_der()).into())
}

/// The right name, by an authority that nobody here trusts.
fn foreign(ground: &Ground) -> Identity {
    let folder = ground.stage.site.folder().join("foreign");
    let server = Authority::create(&folder).unwrap().issue_server(&[]).unwrap();
    let identity = (CertificateDer::from_pem_file(&server.certificate).unwrap(), PrivateKeyDer::from_pem_file(&server.key).unwrap());
    fs::remove_dir_all(folder).unwrap();
    identity
}

/// Takes connections for ever, and counts those on which something was said to it after the handshake.
fn listen(impostor: Impostor, heard: Arc<AtomicUsize>) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = match impostor {
        Impostor::Plain => None,
        Impostor::Tls(identity) => {
            let (certificate, key) = *identity;
            let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_protocol_versions(&[&rustls::version::TLS13])
                .unwrap();
            Some(Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap()))
        }
    };
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (config, heard) = (config.clone(), Arc::clone(&heard));
            thread::spawn(move || {
                if answer(stream, config) {
                    heard.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    port
}

/// Whether it was spoken to.
fn answer(mut stream: TcpStream, config: Option<Arc<ServerConfig>>) -> bool {
    let mut bytes = [0; 8];
    match config {
        Some(config) => {
            let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
            stream.read(&mut bytes).is_ok_and(|size| size > 0)
        }
        None => {
            // A broker of AMQP 0-9-1 without TLS would say so; what comes must not be AMQP.
            let _ = stream.write_all(b"AMQP\0\0\x09\x01");
            stream.read(&mut bytes).is_ok_and(|size| bytes[..size].starts_with(b"AMQP"))
        }
    }
}
