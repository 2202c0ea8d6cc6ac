//! The schemas themselves: local, closed, described, and nothing in them that is never met.

use super::{
    replies::replies,
    world::{World, folder, vectors},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use nakatsugi::envelope::{self, DecryptionKey, SigningKey};
use ring::rand::SystemRandom;
use serde_json::{Map, Value};
use std::{collections::BTreeSet, fs};

/// Keywords whose schemas only narrow what stands beside them.
const NARROWING: [&str; 4] = ["if", "then", "else", "allOf"];

/// Visits every object of a document that declares something; narrowing schemas are left out.
fn declarations(value: &Value, here: &str, visit: &mut dyn FnMut(&str, &Map<String, Value>)) {
    match value {
        Value::Object(members) => {
            visit(here, members);
            for (name, member) in members.iter().filter(|(name, _)| !NARROWING.contains(&name.as_str()) && *name != "examples") {
                declarations(member, &format!("{here}/{name}"), visit);
            }
        }
        Value::Array(elements) => elements.iter().enumerate().for_each(|(at, value)| declarations(value, &format!("{here}/{at}"), visit)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The document and place that a reference names, seen from a document.
fn resolve(from: &str, reference: &str) -> (String, String) {
    let (file, place) = reference.split_once('#').unwrap_or((reference, ""));
    let document = match (file.strip_suffix(".schema.json"), from.starts_with("body/")) {
        (None, _) => from.to_owned(),
        (Some(file), true) => file.strip_prefix("../").map_or_else(|| format!("body/{file}"), str::to_owned),
        (Some(file), false) => file.to_owned(),
    };
    (document, place.to_owned())
}

#[test]
fn schemas_are_valid_local_and_named_by_their_place() {
    let world = World::new();
    for (name, schema) in &world.schemas {
        assert!(jsonschema::meta::is_valid(schema), "{name}");
        assert_eq!(schema["$id"], format!("https://nakatsugi.example/schemas/{name}.schema.json"));
        declarations(schema, "", &mut |place, members| {
            if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                let (document, target) = resolve(name, reference);
                assert!(world.schemas[&document].pointer(&target).is_some(), "{name}#{place}: {reference}");
            }
        });
    }
}

#[test]
fn objects_are_closed_and_members_described() {
    let world = World::new();
    for (name, schema) in &world.schemas {
        declarations(schema, "", &mut |place, members| {
            if members.get("type").is_some_and(|kind| kind == "object") && members.contains_key("properties") {
                assert_eq!(members.get("additionalProperties"), Some(&Value::Bool(false)), "{name}#{place}");
            }
            let narrows = members.contains_key("$ref");
            for (member, schema) in members.get("properties").and_then(Value::as_object).filter(|_| !narrows).into_iter().flatten() {
                let described = |schema: &Value| schema["title"].is_string() && schema["description"].is_string();
                let referred = schema["$ref"].as_str().map(|reference| resolve(name, reference));
                let there = referred.is_some_and(|(document, target)| described(world.schemas[&document].pointer(&target).unwrap()));
                assert!(described(schema) || there, "{name}#{place}/{member}");
            }
        });
    }
}

/// Notes every declared member and every word of a list that an instance holds.
fn meet(world: &World, document: &str, place: &str, instance: &Value, met: &mut BTreeSet<String>) {
    let Some(schema) = world.schemas[document].pointer(place) else { panic!("{document}#{place}") };
    if let Some(reference) = schema["$ref"].as_str() {
        let (document, place) = resolve(document, reference);
        meet(world, &document, &place, instance, met);
    }
    if schema["enum"].is_array() && instance.is_string() {
        met.insert(format!("{document}#{place}={}", instance.as_str().unwrap()));
    }
    for (member, _) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(value) = instance.get(member) {
            let place = format!("{place}/properties/{member}");
            met.insert(format!("{document}#{place}"));
            meet(world, document, &place, value, met);
        }
    }
    for (at, _) in schema["oneOf"].as_array().into_iter().flatten().enumerate() {
        meet(world, document, &format!("{place}/oneOf/{at}"), instance, met);
    }
    for element in instance.as_array().filter(|_| schema["items"].is_object()).into_iter().flatten() {
        meet(world, document, &format!("{place}/items"), element, met);
    }
}

#[test]
fn every_member_of_a_schema_and_every_word_of_a_reply_is_met() {
    let world = World::new();
    let mut met = BTreeSet::new();
    for case in vectors("accept").values().filter(|case| case["schema"].is_string()) {
        meet(&world, case["schema"].as_str().unwrap(), "", &case["instance"], &mut met);
    }
    meet(&world, "catalogue", "", &super::read("catalogue/typical-2026-07.json"), &mut met);
    for (schema, reply) in replies(&world) {
        meet(&world, &schema, "", &reply, &mut met);
    }
    for (layer, header) in headers() {
        meet(&world, layer, "", &header, &mut met);
    }
    let mut unmet = Vec::new();
    for (name, schema) in &world.schemas {
        declarations(schema, "", &mut |place, members| {
            let declared = members.get("properties").and_then(Value::as_object).into_iter().flatten();
            unmet.extend(declared.map(|(member, _)| format!("{name}#{place}/properties/{member}")).filter(|place| !met.contains(place)));
            if name.ends_with(".reply") {
                let words = members.get("enum").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
                unmet.extend(words.map(|word| format!("{name}#{place}={word}")).filter(|word| !met.contains(word)));
            }
        });
    }
    assert!(unmet.is_empty(), "{}", unmet.join("\n"));
}

fn decoded(text: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

/// The two headers that we write ourselves.
fn headers() -> [(&'static str, Value); 2] {
    let random = SystemRandom::new();
    let signed = envelope::sign(b"{}", &SigningKey::generate("sig".parse().unwrap()).unwrap(), &random).unwrap();
    let recipient = DecryptionKey::generate("enc".parse().unwrap()).unwrap().public();
    let encrypted = envelope::encrypt(&signed, &recipient, &random).unwrap();
    let header = |text: &[u8]| decoded(std::str::from_utf8(text).unwrap().split('.').next().unwrap()).unwrap();
    [("jws-header", header(&signed)), ("jwe-header", header(&encrypted))]
}

#[test]
fn headers_keep_their_schema_unless_they_are_refused_for_it() {
    let world = World::new();
    for (schema, header) in headers() {
        assert!(world.is_valid(schema, &header), "{}", world.faults(schema, &header));
    }
    let outer = |case: &Value| decoded(case["envelope"].as_str()?.split('.').next()?);
    for (name, case) in vectors("accept").iter().filter(|(name, _)| name.starts_with("envelope.")) {
        assert!(world.is_valid("jwe-header", &outer(case).unwrap()), "{name}");
    }
    // JSON Schema sees neither repeated members nor escapes.
    let unseen = ["envelope.repeated-header-member.json", "envelope.escaped-header-member.json"];
    let mut refused = 0;
    for (name, case) in vectors("reject").iter().filter(|(name, _)| name.starts_with("envelope.")) {
        let Some(header) = outer(case).filter(|header| !header["epk"].is_null() || name.contains("header")) else { continue };
        let reason = case["reason"].as_str().unwrap();
        let formal = ["header-not-allowed", "algorithm-not-allowed", "wrong-type", "bad-key-id"].contains(&reason);
        let valid = !formal || name.starts_with("envelope.inner-") || unseen.contains(&name.as_str());
        assert_eq!(world.is_valid("jwe-header", &header), valid, "{name}: {}", world.faults("jwe-header", &header));
        refused += usize::from(!valid);
    }
    assert!(refused >= 25, "{refused}");
}

#[test]
fn the_readme_names_every_code() {
    let readme = fs::read_to_string(folder().join("README.md")).unwrap();
    let world = World::new();
    let mut codes = BTreeSet::new();
    for case in vectors("reject").values() {
        codes.extend([&case["reason"], &case["dead_letter"]].into_iter().filter_map(Value::as_str).map(str::to_owned));
    }
    for (document, place) in [
        ("common", "/$defs/denied/properties/code/enum"),
        ("body/record.reply", "/$defs/row_result/properties/code/enum"),
        ("body/person.reply", "/oneOf/0/properties/result/enum"),
        ("body/record.reply", "/$defs/row_result/properties/result/enum"),
        ("body/self-info.reply", "/$defs/category_answer/properties/outcome/enum"),
        ("common", "/$defs/message_type/enum"),
    ] {
        let listed = world.schemas[document].pointer(place).unwrap().as_array().unwrap();
        codes.extend(listed.iter().map(|code| code.as_str().unwrap().to_owned()));
    }
    let source = include_str!("../../src/relay/disposition.rs");
    codes.extend(source.split('"').skip(1).step_by(2).filter(|text| !text.contains(' ')).map(str::to_owned));
    let missing: Vec<_> = codes.iter().filter(|code| !readme.contains(&format!("`{code}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
