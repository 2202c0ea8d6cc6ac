//! A whole site in one folder: keys, directory, certificates, tenants with their municipal systems, and the disclosure system;
//! with a private RabbitMQ node, or at a broker that is given. For the demonstration, the tests and the benchmark.
//!
//! Always: made by the same means as a real site (`nakatsugi.toml`, a signed directory, `peer.toml` for each principal), all
//! of it below one folder, everything on loopback. Absent: running the daemon; whoever has the site runs the binary.

use super::{Node, NodeOptions, SiteError, pki};
use crate::{
    broker::names,
    calendar::{Day, Timestamp},
    cli::{
        peer::{self, Peer, PeerBroker, PeerSettings},
        topology::definitions,
    },
    config::{Configuration, root_key_file},
    daemon,
    directory::{Carrier, DatedKey, Digests, Document, Functions, Name, Principal, ReplyQueue, Role, Tenant, Tenants, catalogue},
    envelope::{DecryptionKey, EncryptionKey, Environment, SigningKey, VerificationKey},
    identifier::{Category, MessageType, PrincipalId, TenantCode},
};
use ring::rand::{SecureRandom, SystemRandom};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    ops::Deref,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

/// The virtual host of the site's node.
pub const VHOST: &str = "network";
const BROKER: &str = "network";
const RELAY: &str = "relay";
const OPERATOR: &str = "operator";
const VALID: i64 = 10 * 366 * 24 * 60 * 60;

/// A tenant of the site.
#[derive(Debug, Clone)]
pub struct SiteTenant {
    /// Its code.
    pub code: TenantCode,
    /// Its name in Japanese and in Latin letters.
    pub name: (&'static str, &'static str),
    /// What it provides.
    pub categories: BTreeSet<Category>,
    /// From when on it answers requests.
    pub self_info: Day,
}

/// What a site is made with.
#[derive(Debug, Clone)]
pub struct SiteOptions {
    /// Its tenants.
    pub tenants: Vec<SiteTenant>,
    /// How many partitions.
    pub partitions: u16,
    /// Messages in hand, for each queue.
    pub prefetch: u16,
    /// After how long a message that could not be handled comes back.
    pub wait: Duration,
    /// Now.
    pub now: Timestamp,
}

/// How a site is laid out where it is not like every other.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    /// Which municipal systems there are.
    pub municipal: Municipal,
    /// The partitions that the daemon serves; all of them where none is named.
    pub own: Vec<u16>,
    /// Tenants whose partition is not left to the hash.
    pub placement: BTreeMap<TenantCode, u16>,
    /// The local port of what stands between the daemon and the node; nothing does where none is named.
    pub through: Option<u16>,
}

/// Which municipal systems a site has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Municipal {
    /// One for each tenant: `municipal-<code>`.
    #[default]
    Each,
    /// One that acts for all of them: `municipal`.
    Shared,
}

/// Where a site's broker is, and where the certificates of its users lie.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// `amqps://host:port/virtual-host`.
    pub uri: String,
    /// A folder with `ca.pem`, and `<user>.pem` and `<user>.key` for each user.
    pub certificates: PathBuf,
}

/// Makes certificates and definitions for a site's broker in an empty folder: `ca.pem`, `server.*`, one pair of files for
/// each user, `definitions.json`. The server's certificate names these hosts.
///
/// # Errors
/// [`SiteError`] names what could not be made.
pub fn prepare(folder: &Path, options: &SiteOptions, layout: &Layout, hosts: &[String]) -> Result<NodeOptions, SiteError> {
    let authority = pki::Authority::create(folder)?;
    let server = authority.issue_server(hosts)?;
    let mut principals = Vec::new();
    for (id, role, tenants) in cast(options, layout)? {
        // Who may write and read what does not depend on anybody's keys.
        let keys = PeerPublic { verification: new_signing(&id)?.public(), encryption: new_decryption(&id)?.public() };
        principals.push(principal(id, role, tenants, keys, (options.now, options.now))?);
    }
    for user in [RELAY, OPERATOR].into_iter().chain(principals.iter().map(|principal| principal.id.as_str())) {
        authority.issue_client(user)?;
    }
    let definitions = definitions(principals.iter(), &BROKER.parse()?, RELAY, OPERATOR, VHOST).to_json();
    write(&folder.join("definitions.json"), definitions.as_bytes())?;
    let ready_within = Duration::from_secs(120);
    Ok(NodeOptions { ca: authority.ca(), certificate: server.certificate, key: server.key, definitions, ready_within })
}

/// The principals of a site besides the relay.
fn cast(options: &SiteOptions, layout: &Layout) -> Result<Vec<(PrincipalId, Role, Tenants)>, SiteError> {
    let mut cast = vec![("disclosure".parse()?, Role::DisclosureSystem, Tenants::All)];
    let codes = options.tenants.iter().map(|tenant| tenant.code);
    match layout.municipal {
        Municipal::Each => {
            for code in codes {
                cast.push((format!("municipal-{code}").parse()?, Role::MunicipalSystem, Tenants::Listed([code].into())));
            }
        }
        Municipal::Shared => cast.push(("municipal".parse()?, Role::MunicipalSystem, Tenants::Listed(codes.collect()))),
    }
    Ok(cast)
}

/// A site with a node of its own. Dropped, the node ends.
#[derive(Debug)]
pub struct Site {
    folder: SiteFolder,
    node: Node,
}

impl Deref for Site {
    type Target = SiteFolder;

    fn deref(&self) -> &SiteFolder {
        &self.folder
    }
}

impl Site {
    /// Makes a site in an empty folder and starts its node. `nakatsugi topology apply` and `tenant add` are still to come.
    ///
    /// # Errors
    /// [`SiteError`] names what could not be made.
    pub fn make(folder: &Path, options: &SiteOptions) -> Result<Self, SiteError> {
        Self::make_as(folder, options, &Layout::default())
    }

    /// Makes a site that is laid out like this.
    ///
    /// # Errors
    /// As [`Site::make`].
    pub fn make_as(folder: &Path, options: &SiteOptions, layout: &Layout) -> Result<Self, SiteError> {
        let certificates = folder.join("broker");
        let node_options = prepare(&certificates, options, layout, &[])?;
        let node = Node::start(&folder.join("node"), &node_options)?;
        let endpoint = Endpoint { uri: node.uri(VHOST), certificates };
        Ok(Self { folder: SiteFolder::make(folder, options, layout, &endpoint)?, node })
    }

    /// The broker.
    pub const fn node(&mut self) -> &mut Node {
        &mut self.node
    }
}

/// The folder of a site: keys, directory, configuration, peers.
#[derive(Debug)]
pub struct SiteFolder(PathBuf);

impl SiteFolder {
    /// Makes a site's folder for this broker.
    ///
    /// # Errors
    /// [`SiteError`] names what could not be made.
    pub fn make(folder: &Path, options: &SiteOptions, layout: &Layout, endpoint: &Endpoint) -> Result<Self, SiteError> {
        let random = SystemRandom::new();
        for name in ["keys", "peers", "anchors"] {
            make_folder(&folder.join(name))?;
        }
        let relay: PrincipalId = RELAY.parse()?;
        let (signing, decryption) = (new_signing(&relay)?, new_decryption(&relay)?);
        let mut root = [0; 32];
        random.fill(&mut root).map_err(|_| SiteError::Random)?;
        write_secret(&folder.join("keys/root.key"), root_key_file(&root).as_bytes())?;
        write_secret(&folder.join("keys/relay-signing.jwk"), signing.to_jwk().as_bytes())?;
        write_secret(&folder.join("keys/relay-decryption.jwk"), decryption.to_jwk().as_bytes())?;
        let own = PeerPublic { verification: signing.public(), encryption: decryption.public() };
        write(&folder.join("keys/relay-verification.jwk"), &json(&own.verification)?)?;
        write(&folder.join("keys/relay-encryption.jwk"), &json(&own.encryption)?)?;

        let dates = (options.now.plus_seconds(-24 * 60 * 60), options.now.plus_seconds(VALID));
        let mut principals = vec![principal(relay, Role::Relay, Tenants::All, own, dates)?];
        for (id, role, tenants) in cast(options, layout)? {
            let own = make_peer_keys(&folder.join("peers").join(id.as_str()), &id)?;
            write_peer_settings(folder, endpoint, &id)?;
            principals.push(principal(id, role, tenants, own, dates)?);
        }

        let configuration = configuration(folder, endpoint, options, layout);
        write(&folder.join("nakatsugi.toml"), configuration.as_bytes())?;
        write(&folder.join("catalogue.json"), catalogue::TYPICAL.as_bytes())?;
        let mut document = Document::new(Environment::Trial);
        document.version = 1;
        document.issued_at = options.now;
        document.files = Digests::of(catalogue::TYPICAL.as_bytes(), configuration.as_bytes());
        document.principals = principals;
        document.tenants = options.tenants.iter().map(tenant).collect();
        let signer = SigningKey::generate("authority-1".parse()?)?;
        let (bytes, signature) = document.sign(&signer, &random)?;
        write(&folder.join("directory.json"), &bytes)?;
        write(&folder.join("directory.json.sig"), signature.as_bytes())?;
        write(&folder.join("authority.jwk"), &json(&signer.public())?)?;
        write_secret(&folder.join("keys/authority-private.jwk"), signer.to_jwk().as_bytes())?;
        Ok(Self(folder.to_owned()))
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// The daemon's configuration file.
    #[must_use]
    pub fn configuration_path(&self) -> PathBuf {
        self.0.join("nakatsugi.toml")
    }

    /// A principal with its keys.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn peer(&self, id: &str) -> Result<Peer, SiteError> {
        Ok(Peer::open(&self.0.join("peers").join(id))?)
    }

    /// Declares exchanges, queues and bindings, as the operator.
    ///
    /// # Errors
    /// The configuration or the broker refuses.
    pub async fn apply_topology(&self, progress: impl FnMut(usize, usize) + Send) -> Result<(), SiteError> {
        let configuration = Configuration::load(&self.configuration_path())?;
        let directory = configuration.open_directory()?;
        let Some(broker) = configuration.brokers.first() else { return Ok(()) };
        let mut settings = daemon::broker_settings(broker);
        settings.certificate.set_file_name(format!("{OPERATOR}.pem"));
        settings.key.set_file_name(format!("{OPERATOR}.key"));
        Ok(daemon::topology(&configuration, &directory).apply(&settings, progress).await?)
    }
}

/// A principal's public keys.
struct PeerPublic {
    verification: VerificationKey,
    encryption: EncryptionKey,
}

fn principal(
    id: PrincipalId,
    role: Role,
    tenants: Tenants,
    own: PeerPublic,
    (not_before, not_after): (Timestamp, Timestamp),
) -> Result<Principal, SiteError> {
    let env = Environment::Trial;
    let replies = match role {
        Role::Relay => None,
        Role::DisclosureSystem | Role::MunicipalSystem | Role::Official => {
            Some(ReplyQueue { broker: BROKER.parse()?, queue: names::reader(&id).parse()? })
        }
    };
    Ok(Principal {
        role,
        signing: vec![DatedKey { key: own.verification, env, not_before, not_after, revoked_at: None }],
        encryption: vec![DatedKey { key: own.encryption, env, not_before, not_after, revoked_at: None }],
        carriers: vec![Carrier { broker: BROKER.parse()?, user: Some(id.as_str().parse()?) }],
        tenants,
        may: MessageType::ALL.into_iter().filter(|kind| role.may_author(*kind)).collect(),
        replies,
        id,
    })
}

fn tenant(tenant: &SiteTenant) -> Tenant {
    Tenant {
        code: tenant.code,
        name: Name { ja: tenant.name.0.to_owned(), latin: tenant.name.1.to_owned() },
        env: Environment::Trial,
        partition: None,
        functions: Functions { self_info: Some(tenant.self_info), copies: Some(tenant.self_info) },
        categories: tenant.categories.clone(),
        units: Vec::new(),
    }
}

fn new_signing(id: &PrincipalId) -> Result<SigningKey, SiteError> {
    Ok(SigningKey::generate(format!("{id}-signing-1").parse()?)?)
}

fn new_decryption(id: &PrincipalId) -> Result<DecryptionKey, SiteError> {
    Ok(DecryptionKey::generate(format!("{id}-decryption-1").parse()?)?)
}

fn make_peer_keys(folder: &Path, id: &PrincipalId) -> Result<PeerPublic, SiteError> {
    make_folder(folder)?;
    let (signing, decryption) = (new_signing(id)?, new_decryption(id)?);
    write_secret(&folder.join("signing.jwk"), signing.to_jwk().as_bytes())?;
    write_secret(&folder.join("decryption.jwk"), decryption.to_jwk().as_bytes())?;
    Ok(PeerPublic { verification: signing.public(), encryption: decryption.public() })
}

fn write_peer_settings(folder: &Path, endpoint: &Endpoint, id: &PrincipalId) -> Result<(), SiteError> {
    // From the peer's folder, so that a site may be moved.
    let file = |name: String| {
        let path = endpoint.certificates.join(name);
        path.strip_prefix(folder).map_or(path.clone(), |path| Path::new("../..").join(path))
    };
    let settings = PeerSettings {
        id: id.clone(),
        env: Environment::Trial,
        relay: RELAY.parse()?,
        signing_key: "signing.jwk".into(),
        decryption_key: "decryption.jwk".into(),
        relay_verification_key: "../../keys/relay-verification.jwk".into(),
        relay_encryption_key: "../../keys/relay-encryption.jwk".into(),
        queue: names::reader(id),
        broker: PeerBroker {
            uri: endpoint.uri.clone(),
            user: id.to_string(),
            ca: file("ca.pem".to_owned()),
            certificate: file(format!("{id}.pem")),
            key: file(format!("{id}.key")),
        },
    };
    let text = toml::to_string(&settings).map_err(|_| SiteError::Settings)?;
    write(&folder.join("peers").join(id.as_str()).join(peer::FILE), text.as_bytes())
}

fn configuration(folder: &Path, endpoint: &Endpoint, options: &SiteOptions, layout: &Layout) -> String {
    let certificates = endpoint.certificates.strip_prefix(folder).unwrap_or(&endpoint.certificates);
    let own = if layout.own.is_empty() { String::new() } else { format!("own = {:?}\n", layout.own) };
    let placement = layout.placement.iter().map(|(code, partition)| format!("{code} = {partition}\n"));
    let placement =
        placement.fold(String::new(), |all, line| if all.is_empty() { format!("[partitions.placement]\n{line}") } else { all + &line });
    format!(
        r#"# The configuration of a demonstration site.
env = "trial"
data = "data"
suites = ["suite-1"]

[keys]
root = "keys/root.key"
signing = "keys/relay-signing.jwk"
decryption = ["keys/relay-decryption.jwk"]

[directory]
file = "directory.json"
authority = "authority.jwk"
catalogue = "catalogue.json"

[[broker]]
name = "{BROKER}"
uri = "{uri}"
ca = "{certificates}/ca.pem"
certificate = "{certificates}/{RELAY}.pem"
key = "{certificates}/{RELAY}.key"
user = "{RELAY}"

[partitions]
count = {partitions}
{own}{placement}
[limits]
prefetch = {prefetch}
outbox = 10000

[times]
shutdown_seconds = 30
wait_seconds = {wait}

[anchors]
folder = "anchors"
every_seconds = 2
"#,
        uri = layout.through.map_or_else(|| endpoint.uri.clone(), |port| format!("amqps://localhost:{port}/{VHOST}")),
        certificates = certificates.display(),
        partitions = options.partitions,
        prefetch = options.prefetch,
        wait = options.wait.as_secs().max(1),
    )
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, SiteError> {
    serde_json::to_vec_pretty(value).map_err(|_| SiteError::Settings)
}

fn make_folder(path: &Path) -> Result<(), SiteError> {
    fs::create_dir_all(path).map_err(|source| SiteError::File { path: path.to_owned(), source })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), SiteError> {
    fs::write(path, bytes).map_err(|source| SiteError::File { path: path.to_owned(), source })
}

fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), SiteError> {
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(bytes)).map_err(|source| SiteError::File { path: path.to_owned(), source })
}
