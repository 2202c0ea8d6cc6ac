//! What every test here needs: the schemas, a small world, and one judge for each side.

use nakatsugi::{
    calendar::Timestamp,
    command::{Command, Context, Examined, Heads, Outcome},
    directory::{Catalogue, Document, catalogue},
    envelope::{Claims, strict_json},
    identifier::MessageType,
    record::{ContentName, File, FileRefusal, Inspected, PdfPage, PdfReading, PdfText, Person, PersonId, View},
    relay::{Disposition, Failure},
};
use serde_json::{Value, value::RawValue};
use std::{collections::BTreeMap, fs, path::PathBuf};

/// 2100-01-01, as in `schemas/vectors/keys.json`.
pub(crate) const NOW: Timestamp = Timestamp::from_seconds(4_102_444_800);
const BASE: &str = "https://nakatsugi.example/schemas/";

/// What the Rust side says to a text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Judgement {
    /// Its author learns nothing; the reason is for operators.
    DeadLetter(&'static str),
    /// The reply's body.
    Reply(Value),
    /// Taken; there is nobody to be answered.
    Taken,
    /// Refused without a stable code.
    Refused(String),
}

pub(crate) struct World {
    /// Every schema, by its path without `.schema.json`.
    pub schemas: BTreeMap<String, Value>,
    validators: BTreeMap<String, jsonschema::Validator>,
    pub document: Document,
    pub catalogue: Catalogue,
    pub heads: Heads,
}

pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("schemas")
}

pub(crate) fn read(path: &str) -> Value {
    serde_json::from_slice(&fs::read(folder().join(path)).unwrap()).unwrap()
}

/// The vectors of a folder, by name; envelopes apart.
pub(crate) fn vectors(kind: &str) -> BTreeMap<String, Value> {
    let names = fs::read_dir(folder().join("vectors").join(kind)).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.map(|name| (name.clone(), read(&format!("vectors/{kind}/{name}")))).collect()
}

impl World {
    pub(crate) fn new() -> Self {
        let mut schemas = BTreeMap::new();
        for under in ["", "body/"] {
            for entry in fs::read_dir(folder().join(under)).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                if let Some(stem) = name.strip_suffix(".schema.json") {
                    schemas.insert(format!("{under}{stem}"), read(&format!("{under}{name}")));
                }
            }
        }
        let uri = |name: &str| format!("{BASE}{name}.schema.json");
        let resources = schemas.iter().map(|(name, schema)| (uri(name), schema.clone()));
        let registry =
            resources.fold(jsonschema::Registry::new(), |registry, (uri, schema)| registry.add(uri, schema).unwrap()).prepare().unwrap();
        let build = |name: &String| {
            let reference = serde_json::json!({ "$ref": uri(name) });
            let options = jsonschema::options().with_registry(&registry).should_validate_formats(true);
            (name.clone(), options.build(&reference).unwrap())
        };
        let validators = schemas.keys().map(build).collect();
        let mut document = Document::parse(read("vectors/accept/directory.json")["instance"].to_string().as_bytes()).unwrap();
        // A sensitive one, which waits for an official, and enough others for a large message.
        let more = std::iter::once(9).chain(90..=105).map(|number| format!("TM{number:014}").parse().unwrap());
        document.tenants[0].categories.extend(more);
        document.tenants[0].units[0].officials.push("fujisawa.tax.1".parse().unwrap());
        document.tenants[0].units[0].categories.insert("TM00000000000002".parse().unwrap());
        Self { schemas, validators, document, catalogue: Catalogue::parse(catalogue::TYPICAL.as_bytes()).unwrap(), heads: Heads::default() }
    }

    pub(crate) fn is_valid(&self, schema: &str, instance: &Value) -> bool {
        self.validators[schema].is_valid(instance)
    }

    /// Why the schema refuses an instance, for a failed test.
    pub(crate) fn faults(&self, schema: &str, instance: &Value) -> String {
        self.validators[schema].iter_errors(instance).map(|error| format!("{error} at {}\n", error.instance_path())).collect()
    }

    /// Handles a command in this world, whose vault shows these persons.
    pub(crate) fn handle(&self, command: Command, persons: impl Fn(usize) -> Vec<Option<Person>>, room: usize, now: Timestamp) -> Outcome {
        let fresh = || PersonId([7; 16]);
        let examined: Vec<_> = command.files().iter().map(examined).collect();
        let context = Context {
            now,
            author: &self.document.principals[1],
            tenant: &self.document.tenants[0],
            catalogue: &self.catalogue,
            heads: &self.heads,
            fresh: &fresh,
            room,
            examined: &examined,
        };
        let mut view = View { persons: persons(command.needs(&context).len()), ..View::default() };
        let content = |name: ContentName| (name, serde_json::from_str("\"YQ==\"").unwrap());
        view.contents = command.wants(&context, &view).into_iter().map(content).collect();
        command.handle(&context, view).unwrap()
    }

    /// What the Rust side makes of a text that should keep this schema.
    pub(crate) fn judge(&self, schema: &str, text: &str) -> Judgement {
        match schema {
            "claims" => match strict_json::from_str::<Claims<'_>>(text) {
                Err(error) => Judgement::DeadLetter(error.reason()),
                Ok(claims) if claims.re.is_some() && claims.promise.is_some() => Judgement::Taken,
                Ok(claims) => match Command::decode(claims.kind, claims.body) {
                    Ok(_) => Judgement::Taken,
                    Err(error) => dead_letter(error.into()),
                },
            },
            "catalogue" => match Catalogue::parse(text.as_bytes()) {
                Ok(_) => Judgement::Taken,
                Err(error) => Judgement::Refused(error.to_string()),
            },
            "directory" => match Document::parse(text.as_bytes()).and_then(|document| document.check(&self.catalogue)) {
                Ok(()) => Judgement::Taken,
                Err(error) => Judgement::Refused(error.to_string()),
            },
            _ => {
                let kind: MessageType = schema.strip_prefix("body/").unwrap().parse().unwrap();
                let raw = RawValue::from_string(text.to_owned()).unwrap();
                match Command::decode(kind, &raw) {
                    Err(error) => dead_letter(error.into()),
                    Ok(command) => {
                        // Where files are attached, there is a record.
                        let person = (kind == MessageType::AttachmentPut).then(super::replies::bare);
                        let outcome = self.handle(command, |count| vec![person.clone(); count], usize::MAX, NOW);
                        Judgement::Reply(serde_json::from_str(outcome.body.get()).unwrap())
                    }
                }
            }
        }
    }
}

/// What the examiner would say, which has a word for each file that cannot be read.
fn examined(file: &File) -> Examined {
    let holds = |word: &str| file.content.windows(word.len()).any(|window| window == word.as_bytes());
    let numbered = PdfPage { readings: vec!["123456789018".to_owned()], unreadable: 0 };
    let readings = [
        ("encrypted", PdfReading::Encrypted),
        ("files", PdfReading::HoldsFiles),
        ("pages", PdfReading::TooManyPages),
        ("numbered", PdfReading::Read(PdfText { pages: vec![numbered], others: Vec::new() })),
        ("beside", PdfReading::Read(PdfText { pages: Vec::new(), others: vec!["123456789018".to_owned()] })),
    ];
    if holds("infected") {
        return Err(FileRefusal::Infected);
    }
    let reading = readings.into_iter().find(|(word, _)| holds(word)).map_or(PdfReading::Unreadable, |(_, reading)| reading);
    Inspected::judge(file, reading)
}

fn dead_letter(failure: Failure) -> Judgement {
    match failure.disposition() {
        Disposition::DeadLetter(reason) => Judgement::DeadLetter(reason),
        other => Judgement::Refused(format!("{other:?}")),
    }
}

/// The refusal codes of a `record.reply`, row by row.
pub(crate) fn refusals(reply: &Value) -> Vec<Value> {
    reply["rows"].as_array().map(|rows| rows.iter().map(|row| row["code"].clone()).collect()).unwrap_or_default()
}
