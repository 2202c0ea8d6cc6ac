//! What proves nothing ends in `nakatsugi.dead`, still encrypted, with a stable reason; and the next good one is answered.

use crate::stage::{Of, Stage, Voice, categories, now, silent, stage};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use nakatsugi::{
    broker::{BrokerSettings, Publication, Publisher, PublisherSettings, Unpublished, names},
    cli::{
        demo::population::{self, Resident},
        peer::{Letter, PeerKeys, PeerSettings},
    },
    envelope::{self, DecryptionKey, EncryptionKey, SigningKey},
    identifier::{MessageClass, MessageId, MessageType, TenantCode},
};
use ring::{
    digest::{SHA256, digest},
    rand::SystemRandom,
};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Claims that can be spoilt before they are signed.
struct Claims(Map<String, Value>);

impl Claims {
    fn of(stage: &Stage, iss: &str, tenant: TenantCode, kind: MessageType, body: &Value) -> Self {
        let claims = json!({
            "iss": iss, "aud": "relay", "jti": stage.id().to_string(), "iat": now().seconds(), "exp": now().plus_seconds(600).seconds(),
            "env": "trial", "tenant": tenant.as_str(), "type": kind.as_str(), "body": body,
        });
        let Value::Object(claims) = claims else { unreachable!() };
        Self(claims)
    }

    fn with(mut self, name: &str, value: Value) -> Self {
        self.0.insert(name.to_owned(), value);
        self
    }

    fn id(&self) -> MessageId {
        self.0["jti"].as_str().unwrap().parse().unwrap()
    }

    fn text(&self) -> String {
        serde_json::to_string(&self.0).unwrap()
    }
}

fn keys(stage: &Stage, id: &str) -> PeerKeys {
    PeerSettings::read(&stage.site.folder().join("peers").join(id)).unwrap().keys().unwrap()
}

fn encrypted(text: &str, signing: &SigningKey, to: &EncryptionKey) -> Arc<[u8]> {
    let random = SystemRandom::new();
    envelope::encrypt(&envelope::sign(text.as_bytes(), signing, &random).unwrap(), to, &random).unwrap().into()
}

fn request(tenant: TenantCode) -> Value {
    population::request(&Resident { tenant, index: 0 }.code(), &categories().iter().collect::<Vec<_>>(), now())
}

/// A letter as it should be, but for the body.
fn letter(id: MessageId, tenant: TenantCode, kind: MessageType, body: impl Into<Arc<[u8]>>) -> Letter {
    Letter { id, kind, tenant, body: body.into() }
}

/// Bad envelopes, each with the reason that it must be buried with. All come by the right carrier to the right place.
fn bad_envelopes(stage: &Stage, tenant: TenantCode) -> Vec<(&'static str, Publication)> {
    let kind = MessageType::SelfInfoRequest;
    let (own, foreign) = (keys(stage, "disclosure"), keys(stage, &format!("municipal-{tenant}")));
    let relay = &own.encryption;
    let claims = || Claims::of(stage, "disclosure", tenant, kind, &request(tenant));
    let signed = |claims: &Claims| letter(claims.id(), tenant, kind, encrypted(&claims.text(), &own.signing, relay));
    let raw = |body: &[u8]| letter(stage.id(), tenant, kind, body);
    let good = signed(&claims());
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let parts = text(&good.body);
    let (_, after_header) = parts.split_once('.').unwrap();
    let with_header = |header: &str| raw(format!("{}.{after_header}", URL_SAFE_NO_PAD.encode(header)).as_bytes());
    let spoilt = |at: usize| {
        let mut body = good.body.to_vec();
        body[at] = if body[at] == b'A' { b'B' } else { b'A' };
        letter(good.id, tenant, kind, body)
    };
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts.split_once('.').unwrap().0).unwrap()).unwrap();
    let header_with = |name: &str, value: Value| {
        let mut header = header.clone();
        header[name] = value;
        with_header(&header.to_string())
    };
    let jws_with = |header: &str| {
        let claims = claims();
        let jws = format!("{}.{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims.text()), "A".repeat(86));
        letter(claims.id(), tenant, kind, envelope::encrypt(jws.as_bytes(), relay, &SystemRandom::new()).unwrap())
    };
    let by_key = |kid: &str| {
        let claims = claims();
        let stranger = SigningKey::generate(kid.parse().unwrap()).unwrap();
        letter(claims.id(), tenant, kind, encrypted(&claims.text(), &stranger, relay))
    };
    let to_another = DecryptionKey::generate("another-1".parse().unwrap()).unwrap().public();
    let repeated = claims();
    let twice = repeated.text().replacen("\"tenant\":", &format!("\"tenant\":\"{tenant}\",\"tenant\":"), 1);
    let deep = claims().with("body", serde_json::from_str(&format!("{}1{}", "[".repeat(40), "]".repeat(40))).unwrap());
    let late = claims().with("iat", json!(now().plus_seconds(-900).seconds())).with("exp", json!(now().plus_seconds(-300).seconds()));
    let early = claims().with("iat", json!(now().plus_seconds(900).seconds())).with("exp", json!(now().plus_seconds(1_200).seconds()));
    let reply = claims().with("re", json!(stage.id().to_string()));
    let mut no_code = request(tenant);
    no_code["person"] = json!("short");
    let another_issuer = claims();
    let another_issuer = letter(another_issuer.id(), tenant, kind, encrypted(&another_issuer.text(), &foreign.signing, relay));
    let mut other_type = signed(&claims()).publication();
    other_type.kind = "record.put".to_owned();
    let mut other_id = signed(&claims()).publication();
    other_id.message_id = stage.id().to_string();

    let letters = [
        ("bad-alphabet", raw(b"this is no envelope")),
        ("malformed-jwe", raw(b"this-is-no-envelope")),
        ("malformed-jwe", raw(b"")),
        ("too-large", raw(&vec![b'A'; 9 << 20])),
        ("header-not-allowed", header_with("zip", json!("DEF"))),
        ("algorithm-not-allowed", header_with("alg", json!("RSA-OAEP-256"))),
        ("algorithm-not-allowed", header_with("enc", json!("A128CBC-HS256"))),
        ("algorithm-not-allowed", jws_with(r#"{"alg":"none","kid":"disclosure-signing-1","typ":"nakatsugi+jwt"}"#)),
        ("algorithm-not-allowed", jws_with(r#"{"alg":"HS256","kid":"disclosure-signing-1","typ":"nakatsugi+jwt"}"#)),
        ("unknown-recipient-key", letter(stage.id(), tenant, kind, encrypted(&claims().text(), &own.signing, &to_another))),
        ("decryption-failed", spoilt(parts.len() - 60)),
        ("signature-invalid", by_key("disclosure-signing-1")),
        ("unknown-kid", by_key("stranger-1")),
        ("issuer-mismatch", another_issuer),
        ("wrong-recipient", signed(&claims().with("aud", json!("another-relay")))),
        ("wrong-environment", signed(&claims().with("env", json!("production")))),
        ("expired", signed(&late)),
        ("issued-ahead", signed(&early)),
        ("lifetime", signed(&claims().with("exp", json!(now().plus_seconds(86_400).seconds())))),
        ("not-a-command", signed(&reply)),
        ("repeated-member", letter(repeated.id(), tenant, kind, encrypted(&twice, &own.signing, relay))),
        ("unknown-member", signed(&claims().with("nonsense", json!(1)))),
        ("too-deep", signed(&deep)),
        ("invalid-value", signed(&claims().with("body", no_code))),
        ("malformed-json", letter(stage.id(), tenant, kind, encrypted("{", &own.signing, relay))),
    ];
    let letters = letters.into_iter().map(|(reason, letter)| (reason, letter.publication()));
    letters.chain([("type-mismatch", other_type), ("message-id-mismatch", other_id)]).collect()
}

/// Waits for these dead letters and looks at each.
async fn are_buried(stage: &mut Stage, sent: &[(&'static str, Publication)], buried_before: usize, running: &crate::stage::Running) {
    running.until(|running| running.events("message.dead-lettered").len() == buried_before + sent.len()).await;
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let dead: BTreeMap<_, _> = stage.bury_the_dead().await.into_iter().map(|dead| (dead.message_id.clone(), dead)).collect();
    for (reason, publication) in sent {
        let id = hex(digest(&SHA256, &publication.body).as_ref());
        let dead = dead.get(&id).unwrap_or_else(|| panic!("{reason} is not in the dead letters"));
        assert_eq!(dead.headers["reason"], *reason);
        assert_eq!(dead.headers["routing-key"], publication.routing_key, "{reason}");
        assert!(*dead.body == *publication.body, "{reason}: the body is another");
        assert_eq!(dead.user, "relay");
    }
    assert_eq!(dead.len(), sent.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_proves_nothing_is_buried_with_its_reason_and_the_next_good_one_is_answered() {
    let mut stage = stage().await;
    stage.bury_the_dead().await;
    let running = stage.serve().await;
    let tenant = Of::Others.tenants().0;
    let mut disclosure = stage.disclosure();
    let sent = bad_envelopes(&stage, tenant);
    for (reason, publication) in &sent {
        disclosure.publisher.publish(publication.clone()).await.unwrap_or_else(|error| panic!("{reason}: {error}"));
    }
    are_buried(&mut stage, &sent, 0, &running).await;
    let good = stage.question(&disclosure, Resident { tenant, index: 0 });
    assert!(disclosure.ask(&good).await.body.get().contains("nothing-to-show"));
    assert!(running.errors().is_empty(), "{:#?}", running.errors());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_message_under_a_used_id_is_refused_with_a_signature() {
    let stage = stage().await;
    let _running = stage.serve().await;
    let tenant = Of::Others.tenants().0;
    let mut disclosure = stage.disclosure();
    let first = stage.question(&disclosure, Resident { tenant, index: 0 });
    let answered = disclosure.ask(&first).await;
    let other = request(Of::Others.tenants().1);
    let conflict = disclosure.peer.write(first.id, tenant, first.kind, (now(), now().plus_seconds(60)), &other).unwrap();
    let denied = disclosure.ask(&conflict).await;
    let body: Value = serde_json::from_str(denied.body.get()).unwrap();
    assert_eq!((body["status"].as_str(), body["code"].as_str()), (Some("denied"), Some("conflict")));
    assert_ne!(denied.id, answered.id);
    assert_eq!(disclosure.ask(&first).await.id, answered.id);
}

/// A publisher that is the operator, who lets himself do everything.
fn operator(stage: &mut Stage) -> Publisher {
    let folder = stage.site.folder().join("broker");
    let broker = BrokerSettings {
        name: "network".into(),
        uri: stage.site.node().uri("network"),
        ca: folder.join("ca.pem"),
        certificate: folder.join("operator.pem"),
        key: folder.join("operator.key"),
        revocations: None,
    };
    let settings = PublisherSettings { broker, user: "operator".into(), lanes: 1, round: 8, confirmed_within: Duration::from_secs(30) };
    Publisher::start(settings, silent())
}

async fn refused(publisher: &Publisher, publication: Publication) {
    let refused = publisher.publish(publication).await;
    assert!(matches!(&refused, Err(Unpublished::Refused(words)) if words.contains("ACCESS_REFUSED")), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_does_not_agree_in_all_four_places_is_not_served() {
    let mut stage = stage().await;
    stage.bury_the_dead().await;
    let running = stage.serve().await;
    let (own, foreign) = Of::Others.tenants();
    let municipal = stage.municipal(own);
    let mut disclosure = stage.disclosure();
    let keyed = |letter: &Letter, tenant: TenantCode| Letter { tenant, ..letter.clone() }.publication();
    let link =
        |voice: &Voice, tenant: TenantCode| stage.letter(voice, tenant, MessageType::PersonLink, &Resident { tenant, index: 9 }.link());

    // Routing key: the broker does not let a municipal system write another's, nor past the exchange.
    refused(&municipal.publisher, keyed(&link(&municipal, own), foreign)).await;
    refused(&municipal.publisher, keyed(&link(&municipal, foreign), foreign)).await;
    let queue = |class| names::queue(class, nakatsugi::broker::Partition(0));
    let past = |letter: &Letter, exchange: &str, key: String| Publication {
        exchange: exchange.to_owned(),
        routing_key: key,
        ..letter.publication()
    };
    refused(&municipal.publisher, past(&link(&municipal, own), "", queue(MessageClass::Record))).await;
    refused(&disclosure.publisher, past(&stage.question(&disclosure, Resident { tenant: own, index: 0 }), names::OUT, "a.b".into())).await;

    // From here on the operator permits himself and others everything.
    let permit = |stage: &mut Stage, arguments: &[&str]| drop(stage.site.node().control(arguments).unwrap());
    permit(&mut stage, &["set_permissions", "-p", "network", "operator", ".*", ".*", ".*"]);
    permit(&mut stage, &["clear_topic_permissions", "-p", "network", "operator"]);
    permit(&mut stage, &["clear_topic_permissions", "-p", "network", &format!("municipal-{own}")]);
    let (operator, municipal) = (operator(&mut stage), stage.municipal(own));
    let question = |tenant: TenantCode| stage.question(&disclosure, Resident { tenant, index: 0 });
    let link =
        |voice: &Voice, tenant: TenantCode| stage.letter(voice, tenant, MessageType::PersonLink, &Resident { tenant, index: 9 }.link());
    let by_disclosure = [
        // The routing key, and the claim.
        ("routing-key-mismatch", keyed(&question(own), foreign)),
        ("routing-key-mismatch", keyed(&question(foreign), own)),
    ];
    let by_municipal = [
        // The directory.
        ("tenant-not-allowed", keyed(&link(&municipal, foreign), foreign)),
        ("routing-key-mismatch", keyed(&link(&municipal, foreign), own)),
    ];
    let by_operator = [
        // The carrier; and the ways past the exchange.
        ("carrier-not-allowed", question(own).publication()),
        ("carrier-not-allowed", link(&municipal, own).publication()),
        ("wrong-exchange", past(&question(own), "", queue(MessageClass::SelfInfo))),
        (
            "carrier-not-allowed",
            past(&question(own), &names::wait(MessageClass::SelfInfo, nakatsugi::broker::Partition(0)), {
                format!("{own}.self-info.request")
            }),
        ),
    ];
    let mut sent = Vec::new();
    for (publisher, bad) in [(&*disclosure.publisher, &by_disclosure[..]), (&municipal.publisher, &by_municipal), (&operator, &by_operator)]
    {
        for (reason, publication) in bad {
            publisher.publish(publication.clone()).await.unwrap_or_else(|error| panic!("{reason}: {error}"));
            sent.push((*reason, publication.clone()));
        }
    }
    are_buried(&mut stage, &sent, 0, &running).await;
    let definitions = stage.site.folder().join("node/etc/definitions.json");
    permit(&mut stage, &["import_definitions", definitions.to_str().unwrap()]);
    let good = stage.question(&disclosure, Resident { tenant: own, index: 0 });
    disclosure.ask(&good).await;
    assert!(running.errors().is_empty(), "{:#?}", running.errors());
}
