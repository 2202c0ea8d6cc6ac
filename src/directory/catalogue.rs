//! The catalogue: the categories of specific personal information, with their names.
//!
//! Always: data, not code, for categories come and go as the law changes. The directory vouches for its bytes.
//! Absent: the items of a category; a record names its own layout.

use super::{CatalogueError, ShapeError};
use crate::identifier::Category;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The only format that this version reads.
pub const FORMAT: &str = "nakatsugi.catalogue/1";

/// The catalogue that comes with this version, as `init` writes it.
pub const TYPICAL: &str = include_str!("../../schemas/catalogue.json");

/// The categories that are known.
#[derive(Debug)]
pub struct Catalogue {
    categories: BTreeMap<Category, Entry>,
}

/// A category of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its code.
    pub code: Category,
    /// Its name in Japanese.
    pub ja: String,
    /// Its name in English.
    pub en: String,
    /// Whether a request for it waits for an official by default (自動応答不可).
    #[serde(default)]
    pub sensitive: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    format: String,
    #[serde(rename = "note")]
    _note: String,
    categories: Vec<Entry>,
}

impl Catalogue {
    /// Reads a catalogue.
    ///
    /// # Errors
    /// [`CatalogueError`] if it has not the right shape or a category stands in it twice.
    pub fn parse(bytes: &[u8]) -> Result<Self, CatalogueError> {
        let wire: Wire = read_json(bytes)?;
        if wire.format != FORMAT {
            return Err(CatalogueError::Format);
        }
        let mut categories = BTreeMap::new();
        for entry in wire.categories {
            if let Some(repeated) = categories.insert(entry.code.clone(), entry) {
                return Err(CatalogueError::Repeated(repeated.code));
            }
        }
        Ok(Self { categories })
    }

    /// Whether the category stands in it.
    #[must_use]
    pub fn knows(&self, category: &Category) -> bool {
        self.categories.contains_key(category)
    }

    /// What it says about the category.
    #[must_use]
    pub fn entry(&self, category: &Category) -> Option<&Entry> {
        self.categories.get(category)
    }

    /// All of it, in the order of the codes.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.categories.values()
    }
}

/// Reads JSON with every member known and none repeated, and nothing behind it.
pub(super) fn read_json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, ShapeError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| ShapeError::new(&error))?;
    deserializer.end().map_err(|error| ShapeError {
        path: ".".to_owned(),
        line: error.line(),
        column: error.column(),
        expected: "expected nothing behind the closing brace".to_owned(),
    })?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_that_comes_along_is_read() {
        let catalogue = Catalogue::parse(TYPICAL.as_bytes()).unwrap();
        let knows = |code: &str| catalogue.knows(&code.parse().unwrap());
        assert!(knows("TM00000000000002") && knows("TM00000000000090") && knows("TM00000000000105"));
        assert!(!knows("TM00000000000003"));
        let sensitive: Vec<_> = catalogue.entries().filter(|entry| entry.sensitive).map(|entry| entry.code.as_str()).collect();
        assert_eq!(sensitive, ["TM00000000000008", "TM00000000000009", "TM00000000000015", "TM00000000000019"]);
        assert_eq!(catalogue.entries().count(), 34);
    }

    #[test]
    fn a_category_stands_once() {
        let entry = r#"{"code":"TM00000000000002","ja":"地方税関係","en":"local tax"}"#;
        let text = |entries: &str| format!(r#"{{"format":"{FORMAT}","note":"","categories":[{entries}]}}"#);
        assert!(Catalogue::parse(text(entry).as_bytes()).is_ok());
        let repeated = CatalogueError::Repeated("TM00000000000002".parse().unwrap());
        assert_eq!(Catalogue::parse(text(&format!("{entry},{entry}")).as_bytes()).unwrap_err(), repeated);
    }

    #[test]
    fn unknown_members_and_trailing_text_are_refused_with_their_place() {
        let shape = |text: &str| match Catalogue::parse(text.as_bytes()) {
            Err(CatalogueError::Shape(error)) => error,
            other => panic!("{other:?}"),
        };
        let error = shape(r#"{"format":"x","note":"","categories":[{"code":"TM2","ja":"","en":""}]}"#);
        assert_eq!((error.path.as_str(), error.line), ("categories[0].code", 1));
        assert_eq!(shape(r#"{"format":"x","note":"","categories":[],"more":1}"#).path, "more");
        assert_eq!(shape(r#"{"format":"x","note":"","categories":[]} x"#).path, ".");
        assert_eq!(shape(r#"{"format":"x","format":"x"}"#).expected, "duplicate field `format`");
    }
}
