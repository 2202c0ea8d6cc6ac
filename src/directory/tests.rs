//! The directory as a whole: signature, environment, digests, rules and look-ups.

use super::*;
use crate::{
    envelope::{DecryptionKey, SigningKey},
    identifier::MessageType,
};
use ring::rand::SystemRandom;

fn at(text: &str) -> Timestamp {
    Timestamp::from_seconds(match text {
        "2026" => 1_767_225_600,
        "2027" => 1_798_761_600,
        "2028" => 1_830_297_600,
        _ => panic!("{text}"),
    })
}

fn dated<K>(key: K) -> DatedKey<K> {
    DatedKey { key, env: Environment::Trial, not_before: at("2026"), not_after: at("2028"), revoked_at: None }
}

fn principal(id: &str, role: Role) -> Principal {
    let relay = role == Role::Relay;
    Principal {
        id: id.parse().unwrap(),
        role,
        signing: vec![dated(SigningKey::generate(format!("{id}-sig").parse().unwrap()).unwrap().public())],
        encryption: vec![dated(DecryptionKey::generate(format!("{id}-enc").parse().unwrap()).unwrap().public())],
        carriers: vec![Carrier { broker: "national".parse().unwrap(), user: id.parse().ok() }],
        tenants: if role.may_act_for_all() { Tenants::All } else { Tenants::Listed(["142051".parse().unwrap()].into()) },
        may: MessageType::ALL.into_iter().filter(|kind| role.may_author(*kind)).collect(),
        replies: (!relay).then(|| ReplyQueue { broker: "national".parse().unwrap(), queue: format!("{id}.in").parse().unwrap() }),
    }
}

/// Fujisawa with its municipal system and an official, the disclosure system and the relay.
fn document() -> Document {
    let mut document = Document::new(Environment::Trial);
    document.version = 7;
    document.files = Digests::of(catalogue::TYPICAL.as_bytes(), b"configuration");
    document.principals = vec![
        principal("relay", Role::Relay),
        principal("disclosure", Role::DisclosureSystem),
        principal("fujisawa", Role::MunicipalSystem),
        principal("fujisawa.tax.1", Role::Official),
    ];
    let name = |ja: &str, latin: &str| Name { ja: ja.to_owned(), latin: latin.to_owned() };
    let categories = |codes: &[&str]| codes.iter().map(|code| code.parse().unwrap()).collect();
    document.tenants = vec![Tenant {
        code: "142051".parse().unwrap(),
        name: name("藤沢市", "Fujisawa"),
        env: Environment::Trial,
        partition: None,
        functions: Functions { self_info: "2026-07-18".parse().ok(), copies: "2026-04-01".parse().ok() },
        categories: categories(&["TM00000000000001", "TM00000000000002"]),
        units: vec![Unit {
            id: "tax".parse().unwrap(),
            name: name("市民税課", "Residents' tax"),
            affairs: vec![UnitAffair { code: "JM00000000000016".parse().unwrap(), from: None, until: None }],
            categories: categories(&["TM00000000000002"]),
            officials: vec!["fujisawa.tax.1".parse().unwrap()],
        }],
    }];
    document
}

fn authority() -> SigningKey {
    SigningKey::generate("authority-1".parse().unwrap()).unwrap()
}

fn opened(document: &Document, key: &SigningKey) -> Result<Directory, DirectoryError> {
    let (bytes, signature) = document.sign(key, &SystemRandom::new())?;
    let authority = Authority { key: &key.public(), env: Environment::Trial };
    Directory::open(&bytes, &signature, catalogue::TYPICAL.as_bytes(), authority)
}

/// The one rule that the document breaks once it was changed, and its place.
fn broken(change: impl FnOnce(&mut Document)) -> (String, Rule) {
    let mut document = document();
    change(&mut document);
    match opened(&document, &authority()) {
        Err(DirectoryError::Rules(BrokenRules(mut broken))) => {
            assert_eq!(broken.len(), 1, "{broken:?}");
            let broken = broken.remove(0);
            (broken.path, broken.rule)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_signed_directory_answers() {
    let directory = opened(&document(), &authority()).unwrap();
    let (fujisawa, code) = ("fujisawa".parse().unwrap(), "142051".parse().unwrap());
    let (author, key) = directory.author(&"fujisawa-sig".parse().unwrap(), at("2027")).unwrap();
    assert_eq!((&author.id, key.kid().as_str()), (&fujisawa, "fujisawa-sig"));
    assert!(author.may_author(MessageType::RecordPut) && !author.may_author(MessageType::SelfInfoRequest));
    assert!(author.acts_for(&code) && !author.acts_for(&"141003".parse().unwrap()));
    let carried = |broker, user| author.is_carried_by(broker, user);
    assert!(carried("national", Some("fujisawa")) && !carried("national", Some("disclosure")));
    assert!(!carried("regional", Some("fujisawa")) && !carried("national", None));
    assert_eq!(directory.relay().id.as_str(), "relay");
    assert_eq!(directory.principals().count(), 4);
    assert_eq!(directory.brokers().map(BrokerName::as_str).collect::<Vec<_>>(), ["national"]);
    let tenant = directory.tenant(&code).unwrap();
    assert!(tenant.provides(&"TM00000000000002".parse().unwrap()));
    let serves = |class, day: &str| tenant.serves(class, day.parse().unwrap());
    assert!(serves(crate::identifier::MessageClass::Record, "2026-04-01"));
    assert!(!serves(crate::identifier::MessageClass::SelfInfo, "2026-07-17"));
    assert_eq!(directory.vouches(SignedFile::Configuration, b"configuration"), Ok(()));
    assert_eq!(directory.vouches(SignedFile::Configuration, b"other"), Err(DirectoryError::Digest(SignedFile::Configuration)));
}

#[test]
fn a_key_names_its_author_only_while_it_counts() {
    let mut document = document();
    document.principals[1].signing[0].revoked_at = Some(at("2027"));
    let directory = opened(&document, &authority()).unwrap();
    let author = |kid: &str, at| directory.author(&kid.parse().unwrap(), at).map(|(author, _)| author.id.as_str());
    assert_eq!(author("disclosure-sig", at("2026")), Ok("disclosure"));
    assert_eq!(author("disclosure-sig", at("2027")), Err(UnknownAuthor::Revoked));
    assert_eq!(author("fujisawa-sig", at("2026").plus_seconds(-1)), Err(UnknownAuthor::NotYetValid));
    assert_eq!(author("fujisawa-sig", at("2028")), Err(UnknownAuthor::Expired));
    assert_eq!(author("nobody", at("2027")), Err(UnknownAuthor::Unknown));
    // A key to encrypt to proves nothing.
    assert_eq!(author("fujisawa-enc", at("2027")), Err(UnknownAuthor::Unknown));
}

#[test]
fn replies_are_encrypted_to_the_newest_key_that_counts() {
    let mut peer = principal("peer", Role::DisclosureSystem);
    let mut next = dated(DecryptionKey::generate("next".parse().unwrap()).unwrap().public());
    next.not_before = at("2027");
    peer.encryption.push(next);
    let kid = |peer: &Principal, at| peer.encryption_key(at).map(|key| key.kid().to_string());
    assert_eq!(kid(&peer, at("2026")).as_deref(), Some("peer-enc"));
    assert_eq!(kid(&peer, at("2027")).as_deref(), Some("next"));
    peer.encryption[1].revoked_at = Some(at("2027"));
    assert_eq!(kid(&peer, at("2027")).as_deref(), Some("peer-enc"));
    assert_eq!(kid(&peer, at("2028")), None);
}

#[test]
fn a_changed_or_foreign_directory_is_refused_before_it_is_read() {
    let (key, stranger) = (authority(), authority());
    let (bytes, signature) = document().sign(&key, &SystemRandom::new()).unwrap();
    let open = |bytes: &[u8], signature: &str, key: &SigningKey| {
        let authority = Authority { key: &key.public(), env: Environment::Trial };
        Directory::open(bytes, signature, catalogue::TYPICAL.as_bytes(), authority).map(|_| ())
    };
    assert_eq!(open(&bytes, &signature, &key), Ok(()));
    assert_eq!(open(&bytes, &signature, &stranger), Err(DirectoryError::Signature));
    assert_eq!(open(&bytes, "", &key), Err(DirectoryError::Signature));
    // Not even JSON, yet the signature is what is wrong with it.
    assert_eq!(open(&bytes[1..], &signature, &key), Err(DirectoryError::Signature));
    for place in [0, bytes.len() / 2, bytes.len() - 1] {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        assert_eq!(open(&changed, &signature, &key), Err(DirectoryError::Signature));
    }
}

#[test]
fn trial_and_production_never_mix() {
    let key = authority();
    let (bytes, signature) = document().sign(&key, &SystemRandom::new()).unwrap();
    let authority = Authority { key: &key.public(), env: Environment::Production };
    let error = Directory::open(&bytes, &signature, catalogue::TYPICAL.as_bytes(), authority).unwrap_err();
    assert_eq!(error, DirectoryError::Environment { expected: Environment::Production, found: Environment::Trial });
    let other = || Rule::Environment { expected: Environment::Trial, found: Environment::Production };
    let key = broken(|document| document.principals[2].signing[0].env = Environment::Production);
    assert_eq!(key, ("principals[2].signing[0].env".to_owned(), other()));
    let tenant = broken(|document| document.tenants[0].env = Environment::Production);
    assert_eq!(tenant, ("tenants[0].env".to_owned(), other()));
}

#[test]
fn the_catalogue_must_be_the_signed_one() {
    let key = authority();
    let (bytes, signature) = document().sign(&key, &SystemRandom::new()).unwrap();
    let changed = catalogue::TYPICAL.replace("local tax", "local taxes");
    let authority = Authority { key: &key.public(), env: Environment::Trial };
    let error = Directory::open(&bytes, &signature, changed.as_bytes(), authority).unwrap_err();
    assert_eq!(error, DirectoryError::Digest(SignedFile::Catalogue));
}

#[test]
fn names_and_keys_are_unique() {
    let (path, rule) = broken(|document| {
        let mut twin = principal("twin", Role::Official);
        twin.id = "fujisawa".parse().unwrap();
        document.principals.insert(3, twin);
    });
    assert_eq!((path.as_str(), rule), ("principals[3].id", Rule::RepeatedPrincipal("fujisawa".parse().unwrap())));
    let (path, rule) = broken(|document| {
        let twin = document.tenants[0].clone();
        document.tenants.push(twin);
    });
    assert_eq!((path.as_str(), rule), ("tenants[1].code", Rule::RepeatedTenant("142051".parse().unwrap())));
    // Also between signing and encryption keys of different principals.
    let (path, rule) = broken(|document| {
        document.principals[3].encryption[0].key = DecryptionKey::generate("relay-sig".parse().unwrap()).unwrap().public();
    });
    assert_eq!((path.as_str(), rule), ("principals[3].encryption[0].key.kid", Rule::RepeatedKid("relay-sig".parse().unwrap())));
    let (path, rule) = broken(|document| {
        let text = serde_json::to_string(&document.principals[1].signing[0].key).unwrap();
        document.principals[2].signing[0].key = serde_json::from_str(&text.replace("disclosure-sig", "borrowed")).unwrap();
    });
    assert_eq!((path.as_str(), rule), ("principals[2].signing[0].key", Rule::SharedKey("disclosure-sig".parse().unwrap())));
    let (path, rule) = broken(|document| {
        let twin = document.tenants[0].units[0].clone();
        document.tenants[0].units.push(twin);
    });
    assert_eq!((path.as_str(), rule), ("tenants[0].units[1].id", Rule::RepeatedUnit));
}

#[test]
fn validities_make_sense() {
    let (path, rule) = broken(|document| document.principals[0].signing[0].not_after = at("2026"));
    assert_eq!((path.as_str(), rule), ("principals[0].signing[0].not_after", Rule::Validity));
    let (path, rule) = broken(|document| document.principals[0].encryption[0].revoked_at = Some(at("2026").plus_seconds(-1)));
    assert_eq!((path.as_str(), rule), ("principals[0].encryption[0].revoked_at", Rule::Revocation));
    let (path, rule) = broken(|document| {
        let affair = &mut document.tenants[0].units[0].affairs[0];
        (affair.from, affair.until) = ("2026-04-02".parse().ok(), "2026-04-01".parse().ok());
    });
    assert_eq!((path.as_str(), rule), ("tenants[0].units[0].affairs[0].from", Rule::Window));
}

#[test]
fn nobody_may_more_than_the_role_allows() {
    let (path, rule) = broken(|document| assert!(document.principals[1].may.insert(MessageType::RecordPut)));
    let expected = Rule::BeyondRole { role: Role::DisclosureSystem, kind: MessageType::RecordPut };
    assert_eq!((path.as_str(), rule), ("principals[1].may", expected));
    let (path, rule) = broken(|document| document.principals[2].tenants = Tenants::All);
    assert_eq!((path.as_str(), rule), ("principals[2].tenants", Rule::AllTenants(Role::MunicipalSystem)));
    let (path, rule) = broken(|document| document.principals[2].tenants = Tenants::Listed([].into()));
    assert_eq!((path.as_str(), rule), ("principals[2].tenants", Rule::NoTenants));
    let yokohama = "141003".parse().unwrap();
    let (path, rule) = broken(|document| document.principals[1].tenants = Tenants::Listed([yokohama].into()));
    assert_eq!((path.as_str(), rule), ("principals[1].tenants", Rule::UnknownTenant(yokohama)));
}

#[test]
fn there_is_exactly_one_relay() {
    let (path, rule) = broken(|document| drop(document.principals.remove(0)));
    assert_eq!((path.as_str(), rule), ("principals", Rule::Relays(0)));
    let (path, rule) = broken(|document| document.principals.push(principal("second", Role::Relay)));
    assert_eq!((path.as_str(), rule), ("principals", Rule::Relays(2)));
    let (path, rule) = broken(|document| document.principals[0].replies = document.principals[1].replies.clone());
    assert_eq!((path.as_str(), rule), ("principals[0].replies", Rule::RelayReplies));
}

#[test]
fn who_asks_can_be_reached_and_answered() {
    let (path, rule) = broken(|document| document.principals[1].carriers.clear());
    assert_eq!((path.as_str(), rule), ("principals[1].carriers", Rule::NoCarrier));
    let (path, rule) = broken(|document| document.principals[1].encryption.clear());
    assert_eq!((path.as_str(), rule), ("principals[1].encryption", Rule::NoEncryptionKey));
    let (path, rule) = broken(|document| document.principals[2].replies = None);
    assert_eq!((path.as_str(), rule), ("principals[2].replies", Rule::NoReplyQueue));
    let (path, rule) = broken(|document| document.principals[0].signing.clear());
    assert_eq!((path.as_str(), rule), ("principals[0].signing", Rule::NoSigningKey));
}

#[test]
fn categories_and_officials_exist() {
    let unknown: crate::identifier::Category = "TM00000000000003".parse().unwrap();
    let (path, rule) = broken(|document| assert!(document.tenants[0].categories.insert(unknown.clone())));
    assert_eq!((path.as_str(), rule), ("tenants[0].categories", Rule::UnknownCategory(unknown)));
    let foreign: crate::identifier::Category = "TM00000000000008".parse().unwrap();
    let (path, rule) = broken(|document| assert!(document.tenants[0].units[0].categories.insert(foreign.clone())));
    assert_eq!((path.as_str(), rule), ("tenants[0].units[0].categories", Rule::NotProvided(foreign)));
    let official = |id: &str| {
        let id = id.parse().unwrap();
        broken(|document| document.tenants[0].units[0].officials.push(id)).1
    };
    assert_eq!(official("nobody"), Rule::UnknownOfficial("nobody".parse().unwrap()));
    assert_eq!(official("fujisawa"), Rule::NotAnOfficial("fujisawa".parse().unwrap()));
}

#[test]
fn every_broken_rule_is_named_at_once() {
    let mut document = document();
    document.principals[1].carriers.clear();
    document.tenants[0].env = Environment::Production;
    let error = document.check(&Catalogue::parse(catalogue::TYPICAL.as_bytes()).unwrap()).unwrap_err();
    let text = "principals[1].carriers: who sends to the relay needs a carrier\n\
                tenants[0].env: env is production, the directory's is trial";
    assert_eq!(error.to_string(), text);
}

#[test]
fn a_mistake_is_named_with_its_place_and_a_key_is_never_repeated() {
    let text = serde_json::to_string_pretty(&document()).unwrap();
    let shape = |from: &str, to: &str| match Document::parse(text.replacen(from, to, 1).as_bytes()) {
        Err(DirectoryError::Shape(error)) => error,
        other => panic!("{other:?}"),
    };
    let error = shape("\"not_before\": \"2026-01-01T00:00:00Z\"", "\"not_before\": \"2026-01-01\"");
    assert_eq!(error.path, "principals[0].signing[0].not_before");
    assert_eq!(error.expected, "a time is written 2026-04-01T00:00:00Z");
    let error = shape("\"role\"", "\"rôle\"");
    assert!(error.expected.starts_with("unknown field `rôle`"), "{error}");
    let error = shape("\"tenants\": \"all\"", "\"tenants\": \"every\"");
    assert_eq!(error.path, "principals[0].tenants");
    let error = shape("\"use\": \"sig\"", "\"d\": \"c2VjcmV0\", \"use\": \"sig\"");
    assert_eq!(error.expected, "expected a public P-256 key as a JWK");
    assert!(!error.to_string().contains("c2VjcmV0"));
    let format = Document::parse(text.replace(FORMAT, "nakatsugi.directory/2").as_bytes()).unwrap_err();
    assert_eq!(format, DirectoryError::Format);
}

#[test]
fn an_older_directory_never_takes_the_place_of_a_newer_one() {
    let key = authority();
    let mut document = document();
    let seven = opened(&document, &key).unwrap();
    assert_eq!(opened(&document, &key).unwrap().succeeds(&seven), Ok(()));
    document.tenants.clear();
    document.principals.truncate(2);
    let changed = opened(&document, &key).unwrap();
    assert_eq!(changed.succeeds(&seven), Err(DirectoryError::Stale { current: 7, found: 7 }));
    document.version = 8;
    let eight = opened(&document, &key).unwrap();
    assert_eq!(eight.succeeds(&seven), Ok(()));
    assert_eq!(seven.succeeds(&eight), Err(DirectoryError::Stale { current: 8, found: 7 }));
}
