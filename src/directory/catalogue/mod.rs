//! The catalogue: the categories of specific personal information, with their names and the layouts of their records.
//!
//! Always: data, not code, for categories, items and layouts come and go as the law changes. The directory vouches for its
//! bytes. Absent: which of the categories a tenant provides; the directory says so.

mod fit;
mod layout;

use super::{CatalogueError, ShapeError, error::CatalogueRule};
use crate::identifier::{Category, LayoutVersion};
pub use fit::{Fault, Misfit};
pub use layout::{DataSet, ItemRule, Layout, ValueKind};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The only format that this version reads.
pub const FORMAT: &str = "nakatsugi.catalogue/2";

/// The catalogue that comes with this version, as `init` writes it: typical, not official.
pub const TYPICAL: &str = include_str!("../../../schemas/catalogue/typical-2026-07.json");

/// The categories that are known.
#[derive(Debug)]
pub struct Catalogue {
    version: String,
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
    /// Its layouts, one for each version.
    pub layouts: Vec<Layout>,
}

impl Entry {
    /// The layout of this version.
    #[must_use]
    pub fn layout(&self, version: &LayoutVersion) -> Option<&Layout> {
        self.layouts.iter().find(|layout| layout.version == *version)
    }

    /// The first rule that it breaks, and where below the category.
    fn broken(&self) -> Option<(String, CatalogueRule)> {
        self.layouts.iter().enumerate().find_map(|(at, layout)| {
            let earlier = self.layouts.get(..at).unwrap_or_default();
            if earlier.iter().any(|other| other.version == layout.version) {
                return Some((format!("layouts[{at}].version"), CatalogueRule::RepeatedLayout));
            }
            layout.broken().map(|(place, rule)| (format!("layouts[{at}].{place}"), rule))
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    format: String,
    version: String,
    #[serde(rename = "note")]
    _note: String,
    categories: Vec<Entry>,
}

impl Catalogue {
    /// Reads a catalogue.
    ///
    /// # Errors
    /// [`CatalogueError`] if it has not the right shape or breaks a rule, with the place.
    pub fn parse(bytes: &[u8]) -> Result<Self, CatalogueError> {
        let wire: Wire =
            read_json(bytes).map_err(|error| if is_of_another_version(bytes) { CatalogueError::Format } else { error.into() })?;
        if wire.format != FORMAT {
            return Err(CatalogueError::Format);
        }
        let mut categories = BTreeMap::new();
        for (at, entry) in wire.categories.into_iter().enumerate() {
            if let Some((place, rule)) = entry.broken() {
                return Err(CatalogueError::Rule { path: format!("categories[{at}].{place}"), rule });
            }
            if let Some(repeated) = categories.insert(entry.code.clone(), entry) {
                return Err(CatalogueError::Repeated(repeated.code));
            }
        }
        Ok(Self { version: wire.version, categories })
    }

    /// Its edition, as its makers call it.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
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

/// Whether these bytes say that they are a catalogue that another version of this program reads.
fn is_of_another_version(bytes: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Formatted {
        format: String,
    }
    let formatted = serde_json::from_slice::<Formatted>(bytes);
    formatted.is_ok_and(|Formatted { format }| format.starts_with("nakatsugi.catalogue/") && format != FORMAT)
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
        assert_eq!(catalogue.version(), "2026-07");
        // Each has a layout that is in force, and a data set with items in it.
        let today = "2026-11-23".parse().unwrap();
        let usable =
            |entry: &&Entry| entry.layouts.iter().any(|layout| layout.in_force.contains(today) && !layout.data_sets[0].items.is_empty());
        assert_eq!(catalogue.entries().filter(usable).count(), 34);
    }

    #[test]
    fn a_category_stands_once() {
        let entry = r#"{"code":"TM00000000000002","ja":"地方税関係","en":"local tax","layouts":[]}"#;
        let text = |entries: &str| format!(r#"{{"format":"{FORMAT}","version":"1","note":"","categories":[{entries}]}}"#);
        assert!(Catalogue::parse(text(entry).as_bytes()).is_ok());
        let repeated = CatalogueError::Repeated("TM00000000000002".parse().unwrap());
        assert_eq!(Catalogue::parse(text(&format!("{entry},{entry}")).as_bytes()).unwrap_err(), repeated);
    }

    #[test]
    fn a_catalogue_of_another_version_is_called_one() {
        let older = r#"{"format":"nakatsugi.catalogue/1","note":"","categories":[]}"#;
        assert_eq!(Catalogue::parse(older.as_bytes()).unwrap_err(), CatalogueError::Format);
    }

    #[test]
    fn a_layout_that_contradicts_itself_is_refused_with_its_place() {
        let item =
            |code: &str, depth: u8| serde_json::json!({"code": code, "depth": depth, "ja": "", "en": "", "type": "text", "nulls": []});
        let set = |code: &str, under: Option<&str>, items: &[serde_json::Value]| {
            let mut set = serde_json::json!({"code": code, "ja": "", "en": "", "items": items});
            if let Some(under) = under {
                set["under"] = under.into();
            }
            set
        };
        let layout = |version: &str, sets: &[serde_json::Value]| serde_json::json!({"version": version, "in_force": {}, "data_sets": sets});
        let judged = |layouts: &[serde_json::Value]| {
            let category = serde_json::json!({"code": "TM00000000000002", "ja": "", "en": "", "layouts": layouts});
            let whole = serde_json::json!({"format": FORMAT, "version": "1", "note": "", "categories": [category]});
            Catalogue::parse(whole.to_string().as_bytes()).map(|_| ())
        };
        let (first, second) = (item("0200000010", 1), item("0200000020", 2));
        let good = layout("0001", &[set("0001", None, &[first.clone(), second.clone()]), set("0002", Some("0001"), &[])]);
        assert_eq!(judged(&[good.clone(), layout("0002", &[])]), Ok(()));
        for (layouts, place, rule) in [
            (vec![good.clone(), good], "layouts[1].version", CatalogueRule::RepeatedLayout),
            (
                vec![layout("0001", &[set("0001", None, &[]), set("0001", None, &[])])],
                "layouts[0].data_sets[1].code",
                CatalogueRule::RepeatedDataSet,
            ),
            (vec![layout("0001", &[set("0001", Some("0001"), &[])])], "layouts[0].data_sets[0].under", CatalogueRule::UnknownDataSet),
            (
                vec![layout("0001", &[set("0001", None, &[first.clone(), first.clone()])])],
                "layouts[0].data_sets[0].items[1].code",
                CatalogueRule::RepeatedItem,
            ),
            (vec![layout("0001", &[set("0001", None, &[second])])], "layouts[0].data_sets[0].items[0].depth", CatalogueRule::Depth),
            (
                vec![layout("0001", &[set("0001", None, &[first, item("0200000030", 3)])])],
                "layouts[0].data_sets[0].items[1].depth",
                CatalogueRule::Depth,
            ),
        ] {
            assert_eq!(judged(&layouts), Err(CatalogueError::Rule { path: format!("categories[0].{place}"), rule }));
        }
    }

    #[test]
    fn unknown_members_and_trailing_text_are_refused_with_their_place() {
        let shape = |text: &str| match Catalogue::parse(text.as_bytes()) {
            Err(CatalogueError::Shape(error)) => error,
            other => panic!("{other:?}"),
        };
        let error = shape(r#"{"format":"x","version":"1","note":"","categories":[{"code":"TM2","ja":"","en":""}]}"#);
        assert_eq!((error.path.as_str(), error.line), ("categories[0].code", 1));
        assert_eq!(shape(r#"{"format":"x","version":"1","note":"","categories":[],"more":1}"#).path, "more");
        assert_eq!(shape(r#"{"format":"x","version":"1","note":"","categories":[]} x"#).path, ".");
        assert_eq!(shape(r#"{"format":"x","format":"x"}"#).expected, "duplicate field `format`");
    }
}
