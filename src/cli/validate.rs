//! `nakatsugi validate`: what is wrong with a file, before anyone uses it.
//!
//! Always: what the published schemas say and what the daemon's own code says, each fault with its place in the document and
//! the section of the schema; no value of the file is printed, for it may be a person's. Absent: signatures, and what only the
//! daemon knows (whether a revision is new, whether a person is linked).

use super::{CliError, Outside};
use crate::{
    config::{Configuration, nearest},
    directory::{Catalogue, Document, catalogue},
    envelope::{Claims, strict_json},
    identifier::MessageType,
};
use clap::Args;
use jsonschema::{Registry, ValidationError, Validator, error::ValidationErrorKind};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Say what is wrong with a configuration, directory, catalogue or message before anyone uses it.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  nakatsugi validate nakatsugi.toml\n  nakatsugi validate directory.json\n  nakatsugi validate --type record.put body.json"
)]
pub struct Arguments {
    /// The file: a configuration (`.toml`), a directory, a catalogue, the claims of a message, or with --type its body or, in a
    /// `.ndjson`, what `load` takes.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The file is the body of a message of this type.
    #[arg(long = "type", value_name = "TYPE", value_parser = super::message_type())]
    pub kind: Option<MessageType>,
    /// Print one JSON object instead.
    #[arg(long)]
    pub json: bool,
}

const BASE: &str = "https://nakatsugi.example/schemas/";

macro_rules! schemas {
    ($($name:literal),+ $(,)?) => {
        /// The published schemas, by their path below `schemas/`.
        const SCHEMAS: &[(&str, &str)] = &[$(($name, include_str!(concat!("../../schemas/", $name)))),+];
    };
}
schemas!(
    "common.schema.json",
    "claims.schema.json",
    "directory.schema.json",
    "catalogue.schema.json",
    "body/attachment.delete.schema.json",
    "body/attachment.put.schema.json",
    "body/person.link.schema.json",
    "body/person.reply.schema.json",
    "body/person.restrict.schema.json",
    "body/person.erase.schema.json",
    "body/record.delete.schema.json",
    "body/record.put.schema.json",
    "body/record.reply.schema.json",
    "body/self-info.reply.schema.json",
    "body/self-info.request.schema.json",
);

/// What a JSON file is.
enum Kind {
    Directory,
    Catalogue,
    Claims,
    Body(MessageType),
}

/// What is wrong, and where.
struct Fault {
    place: String,
    words: String,
    schema: Option<String>,
}

pub(super) fn run(arguments: &Arguments, outside: &mut Outside<'_>) -> Result<(), CliError> {
    let path = &arguments.file;
    let (what, faults) = if path.extension().is_some_and(|extension| extension == "toml") {
        Configuration::load(path)?;
        ("a configuration", Vec::new())
    } else {
        let text = fs::read_to_string(path)
            .map_err(|source| CliError::Body { path: path.clone(), message: format!("cannot be read: {source}") })?;
        match arguments.kind {
            Some(kind) if path.extension().is_some_and(|extension| extension == "ndjson") => ("rows", rows(kind, &text)?),
            kind => judge(path, &text, kind)?,
        }
    };
    if arguments.json {
        let faults: Vec<_> =
            faults.iter().map(|fault| json!({ "place": fault.place, "words": fault.words, "schema": fault.schema })).collect();
        writeln!(outside.out, "{}", json!({ "file": path, "is": what, "faults": faults }))?;
    } else if faults.is_empty() {
        writeln!(outside.out, "{}: {what} in good form.", path.display())?;
    } else {
        for Fault { place, words, schema } in &faults {
            let place = if place.is_empty() { "the whole" } else { place };
            let schema = schema.as_ref().map(|schema| format!("\n    schemas/{schema}")).unwrap_or_default();
            writeln!(outside.out, "{place}: {words}{schema}")?;
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(CliError::Invalid { path: path.clone(), faults: faults.len() }) }
}

/// The first thing that is wrong with a body, and where.
pub(super) fn body_fault(kind: MessageType, text: &str) -> Result<Option<String>, CliError> {
    let (_, faults) = judge(Path::new(""), text, Some(kind))?;
    Ok(faults.into_iter().next().map(Fault::on_one_line))
}

/// What is wrong with each line of a file for `load`; the same schema serves them all.
fn rows(kind: MessageType, text: &str) -> Result<Vec<Fault>, CliError> {
    let row = Row::of(kind)?;
    let lines = text.lines().zip(1_u64..).filter(|(line, _)| !line.trim().is_empty());
    let faults = lines.flat_map(|(line, number)| {
        let mut faults = row.faults(line);
        for fault in &mut faults {
            fault.place = format!("line {number}{}{}", if fault.place.is_empty() { "" } else { ": " }, fault.place);
        }
        faults
    });
    Ok(faults.collect())
}

/// What one line of a file for `load` must be.
pub(super) struct Row {
    schema: String,
    validator: Validator,
}

impl Row {
    /// A row of this type, or the whole body where a message has one row.
    pub(super) fn of(kind: MessageType) -> Result<Self, CliError> {
        let rows = if matches!(kind, MessageType::RecordPut | MessageType::RecordDelete) { "#/$defs/row" } else { "" };
        let schema = format!("body/{kind}.schema.json{rows}");
        Ok(Self { validator: validator(&schema)?, schema })
    }

    fn faults(&self, line: &str) -> Vec<Fault> {
        match strict_json::from_str::<Value>(line) {
            Ok(value) => self.validator.iter_errors(&value).map(|error| fault(&error, &self.schema)).collect(),
            Err(error) => {
                vec![Fault { place: format!("column {}", error.column), words: error.reason().replace('-', " "), schema: None }]
            }
        }
    }

    /// All that is wrong with a line, and where.
    pub(super) fn words(&self, line: &str) -> Option<String> {
        let words: Vec<_> = self.faults(line).into_iter().map(Fault::on_one_line).collect();
        (!words.is_empty()).then(|| words.join("; "))
    }
}

impl Fault {
    fn on_one_line(self) -> String {
        if self.place.is_empty() { self.words } else { format!("{}: {}", self.place, self.words) }
    }
}

/// What the file is, and what is wrong with it.
fn judge(path: &Path, text: &str, kind: Option<MessageType>) -> Result<(&'static str, Vec<Fault>), CliError> {
    let value: Value = match strict_json::from_str(text) {
        Ok(value) => value,
        Err(error) => {
            let place = format!("line {} column {}", error.line, error.column);
            return Ok(("JSON", vec![Fault { place, words: error.reason().replace('-', " "), schema: None }]));
        }
    };
    let kind = kind.map(Kind::Body).or_else(|| recognise(&value)).ok_or_else(|| CliError::UnknownKind(path.to_owned()))?;
    let (what, schema) = match &kind {
        Kind::Directory => ("a directory", "directory.schema.json".to_owned()),
        Kind::Catalogue => ("a catalogue", "catalogue.schema.json".to_owned()),
        Kind::Claims => ("the claims of a message", "claims.schema.json".to_owned()),
        Kind::Body(kind) => ("a body", format!("body/{kind}.schema.json")),
    };
    let mut faults: Vec<_> = validator(&schema)?.iter_errors(&value).map(|error| fault(&error, &schema)).collect();
    if faults.is_empty() {
        let place = String::new();
        faults.extend(rules(&kind, text).map(|words| Fault { place, words, schema: None }));
    }
    Ok((what, faults))
}

fn recognise(value: &Value) -> Option<Kind> {
    let format = value.get("format").and_then(Value::as_str).unwrap_or_default();
    let claims = ["iss", "jti", "type", "body"].iter().filter(|name| value.get(name).is_some()).count();
    match () {
        () if format.starts_with("nakatsugi.directory/") => Some(Kind::Directory),
        () if format.starts_with("nakatsugi.catalogue/") => Some(Kind::Catalogue),
        () if claims >= 2 => Some(Kind::Claims),
        () => None,
    }
}

/// What no schema sees: the first thing that our own code has against a file that keeps its schema.
fn rules(kind: &Kind, text: &str) -> Option<String> {
    match kind {
        Kind::Directory => match Document::parse(text.as_bytes()) {
            // The catalogue that comes along may not be the site's own, so only what it does not decide is judged by it.
            Ok(document) => document.check(&Catalogue::parse(catalogue::TYPICAL.as_bytes()).ok()?).err().map(|error| error.to_string()),
            Err(error) => Some(error.to_string()),
        },
        Kind::Catalogue => Catalogue::parse(text.as_bytes()).err().map(|error| error.to_string()),
        Kind::Claims => strict_json::from_str::<Claims<'_>>(text).err().map(|error| error.to_string()),
        Kind::Body(kind) => {
            let body = serde_json::from_str(text).ok()?;
            crate::command::Command::decode(*kind, body).err().map(|error| error.to_string())
        }
    }
}

fn validator(schema: &str) -> Result<Validator, CliError> {
    let broken = |error: &dyn std::fmt::Display| CliError::Schema(error.to_string());
    let mut registry = Registry::new();
    for (name, text) in SCHEMAS {
        let schema: Value = serde_json::from_str(text).map_err(|error| broken(&error))?;
        registry = registry.add(format!("{BASE}{name}"), schema).map_err(|error| broken(&error))?;
    }
    let registry = registry.prepare().map_err(|error| broken(&error))?;
    let options = jsonschema::options().with_registry(&registry).should_validate_formats(true);
    options.build(&json!({ "$ref": format!("{BASE}{schema}") })).map_err(|error| broken(&error))
}

fn fault(error: &ValidationError<'_>, schema: &str) -> Fault {
    let section = error.absolute_keyword_location().map(|uri| uri.as_str().trim_start_matches(BASE).to_owned());
    Fault {
        place: place(error.instance_path().as_str()),
        // SECURITY: masked, because a value may be a person code, and so may a name that should not be there.
        words: match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
                unknown(unexpected, section.as_deref())
            }
            _ => error.masked().to_string(),
        },
        schema: Some(section.unwrap_or_else(|| format!("{schema}#{}", error.schema_path().as_str()))),
    }
}

/// That there are members which are not known, and the known ones that may have been meant.
fn unknown(unexpected: &[String], section: Option<&str>) -> String {
    let known = section.and_then(|section| {
        let (file, keyword) = section.split_once('#')?;
        let (_, text) = SCHEMAS.iter().find(|(name, _)| *name == file)?;
        let schema: Value = serde_json::from_str(text).ok()?;
        schema.pointer(keyword.rsplit_once('/')?.0)?.get("properties")?.as_object().cloned()
    });
    let known = known.unwrap_or_default();
    let all: Vec<_> = unexpected
        .iter()
        .map(|name| {
            // SECURITY: what could be a code or a number is not shown; names of members have small letters only.
            let plain = name.len() <= 24 && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            let shown = if plain { format!(" `{name}`") } else { String::new() };
            let meant = nearest(name, known.keys().map(String::as_str)).map(|name| format!(", perhaps meant: {name}"));
            format!("has a member{shown} that is not known here{}", meant.unwrap_or_default())
        })
        .collect();
    all.join("; ")
}

/// `/rows/3/record` as `rows[3].record`.
fn place(pointer: &str) -> String {
    pointer.split('/').skip(1).fold(String::new(), |all, step| match step.parse::<usize>() {
        Ok(index) => format!("{all}[{index}]"),
        Err(_) if all.is_empty() => step.to_owned(),
        Err(_) => format!("{all}.{step}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_of_a_file_that_people_write_comes_along() {
        let schemas = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
        let mut published = Vec::new();
        for under in ["", "body/"] {
            for entry in fs::read_dir(schemas.join(under)).unwrap() {
                published.push(format!("{under}{}", entry.unwrap().file_name().into_string().unwrap()));
            }
        }
        // The two headers are what an envelope makes, not what people write.
        published.retain(|name| name.ends_with(".schema.json") && !name.ends_with("-header.schema.json"));
        published.sort();
        let mut embedded: Vec<_> = SCHEMAS.iter().map(|(name, _)| (*name).to_owned()).collect();
        embedded.sort();
        assert_eq!(embedded, published);
        assert!(MessageType::ALL.iter().all(|kind| validator(&format!("body/{kind}.schema.json")).is_ok()));
    }

    #[test]
    fn a_fault_never_shows_what_stands_in_the_file() {
        let secret = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
        for body in
            [format!(r#"{{"person":"{secret}","{secret}":1}}"#), format!(r#"{{"person":1,"code":"{secret}x","revision":"{secret}"}}"#)]
        {
            let (_, faults) = judge(Path::new(""), &body, Some(MessageType::PersonLink)).unwrap();
            assert!(!faults.is_empty());
            assert!(faults.iter().all(|fault| !fault.place.contains(secret) && !fault.words.contains(secret)), "{body}");
        }
    }
}
