//! Whether a record follows its layout, and where it does not.
//!
//! Always: the first fault counts, with its place and never a value; a record is held against the layout that it names, on
//! the day on which it is put. An item stands in the layout's order, at its depth, below the item that the layout puts it
//! under, and once unless it repeats. Absent: whether the record above it is held, which only the vault knows; items that a
//! record leaves out.

use super::{DataSet, Entry, ItemRule};
use crate::{
    calendar::Day,
    record::{Item, ItemValue, Place, Record},
};

/// Why a record does not follow its layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The category has no layout of this version.
    UnknownLayout,
    /// The layout is not in force yet, or no longer.
    LayoutNotInForce,
    /// The layout has no such data set.
    UnknownDataSet,
    /// A record of this data set stands under another, and names none.
    MissingParent,
    /// A record of this data set stands alone, and names one.
    ForeignParent,
    /// The data set has no such item.
    UnknownItem,
    /// The item stands at another depth.
    WrongDepth,
    /// The item is out of order, or not below the item that it belongs to.
    MisplacedItem,
    /// The item stands once.
    RepeatedItem,
    /// The layout gives the item another version, or none.
    WrongVersion,
    /// The value is not of the item's type.
    WrongType,
    /// The value is longer than the item may be.
    ValueTooLong,
    /// The item is not without a value for this reason.
    ReasonNotAllowed,
}

impl Fault {
    /// The code on the wire; stable.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::UnknownLayout => "unknown-layout",
            Self::LayoutNotInForce => "layout-not-in-force",
            Self::UnknownDataSet => "unknown-data-set",
            Self::MissingParent => "missing-parent",
            Self::ForeignParent => "foreign-parent",
            Self::UnknownItem => "unknown-item",
            Self::WrongDepth => "wrong-depth",
            Self::MisplacedItem => "misplaced-item",
            Self::RepeatedItem => "repeated-item",
            Self::WrongVersion => "wrong-version",
            Self::WrongType => "wrong-type",
            Self::ValueTooLong => "value-too-long",
            Self::ReasonNotAllowed => "reason-not-allowed",
        }
    }
}

/// Where a record does not follow its layout, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Misfit {
    /// Where.
    pub place: Place,
    /// Why.
    pub fault: Fault,
}

impl Entry {
    /// Holds a record of this category against the layout that it names.
    ///
    /// # Errors
    /// The first [`Misfit`].
    pub fn fits(&self, record: &Record, today: Day) -> Result<(), Misfit> {
        let misfit = |place, fault| Misfit { place, fault };
        let layout = self.layout(&record.layout_version).ok_or(misfit(Place::LayoutVersion, Fault::UnknownLayout))?;
        if !layout.in_force.contains(today) {
            return Err(misfit(Place::LayoutVersion, Fault::LayoutNotInForce));
        }
        let set = layout.data_set(&record.data_set).ok_or(misfit(Place::DataSet, Fault::UnknownDataSet))?;
        match (&set.under, &record.parent) {
            (Some(_), None) => return Err(misfit(Place::Parent, Fault::MissingParent)),
            (None, Some(_)) => return Err(misfit(Place::Parent, Fault::ForeignParent)),
            (Some(_), Some(_)) | (None, None) => {}
        }
        let mut walk = Walk { set, open: Vec::new() };
        for (at, item) in record.items.iter().enumerate() {
            let rule = walk.step(at, item)?;
            rule.takes(at, item)?;
        }
        Ok(())
    }
}

/// The way through a record's items, from the outermost one that is open to the innermost.
struct Walk<'a> {
    set: &'a DataSet,
    /// Places in the data set; each stands below the one before. The last stands for what was met last at its level.
    open: Vec<usize>,
}

impl<'a> Walk<'a> {
    /// Takes one item more, if it belongs here.
    fn step(&mut self, at: usize, item: &Item) -> Result<&'a ItemRule, Misfit> {
        let misfit = |place: fn(usize) -> Place, fault| Misfit { place: place(at), fault };
        let found = self.set.items.iter().enumerate().find(|(_, rule)| rule.code == item.code);
        let (index, rule) = found.ok_or(misfit(Place::Code, Fault::UnknownItem))?;
        if rule.depth != item.depth {
            return Err(misfit(Place::Depth, Fault::WrongDepth));
        }
        // What is as deep or deeper ends here; its sibling is what stood last below the same item.
        let mut sibling = None;
        while let Some(last) = self.open.pop_if(|last| self.set.items.get(*last).is_some_and(|open| open.depth >= rule.depth)) {
            sibling = Some(last);
        }
        if self.set.parent(index) != self.open.last().copied() {
            return Err(misfit(Place::Code, Fault::MisplacedItem));
        }
        match sibling {
            Some(last) if last > index => return Err(misfit(Place::Code, Fault::MisplacedItem)),
            Some(last) if last == index && !rule.repeats => return Err(misfit(Place::Code, Fault::RepeatedItem)),
            Some(_) | None => {}
        }
        self.open.push(index);
        Ok(rule)
    }
}

impl ItemRule {
    fn takes(&self, at: usize, item: &Item) -> Result<(), Misfit> {
        let misfit = |place, fault| Err(Misfit { place, fault });
        if item.version.is_some() && item.version != self.version {
            return misfit(Place::Version(at), Fault::WrongVersion);
        }
        match &item.value {
            ItemValue::Text(text) if self.length.is_some_and(|most| text.chars().nth(most.into()).is_some()) => {
                misfit(Place::Value(at), Fault::ValueTooLong)
            }
            ItemValue::Text(text) if !self.kind.takes(text) => misfit(Place::Value(at), Fault::WrongType),
            ItemValue::Null(reason) if !self.nulls.contains(reason) => misfit(Place::Reason(at), Fault::ReasonNotAllowed),
            ItemValue::Text(_) | ItemValue::Null(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::{Catalogue, catalogue::TYPICAL};
    use serde_json::{Value, json};

    fn record() -> Value {
        json!({
            "data_set": "0001", "record_key": "1", "layout_version": "0007", "publication": {}, "registration_number": "r",
            "unit": "tax", "user": "u",
            "items": [
                {"code": "0200000010", "depth": 1, "value": "課税"},
                {"code": "0200000020", "depth": 1, "value": "2026", "version": "0001"},
                {"code": "0200000030", "depth": 2, "value": "4520000"},
                {"code": "0200000050", "depth": 2, "value": null, "reason": "not-collected"},
                {"code": "0200000080", "depth": 1, "value": ""},
                {"code": "0200000080", "depth": 1, "value": "二"},
            ],
        })
    }

    fn judged(record: Value, day: &str) -> Result<(), (String, &'static str)> {
        let catalogue = Catalogue::parse(TYPICAL.as_bytes()).unwrap();
        let entry = catalogue.entry(&"TM00000000000002".parse().unwrap()).unwrap();
        let fits = entry.fits(&serde_json::from_value(record).unwrap(), day.parse().unwrap());
        fits.map_err(|Misfit { place, fault }| (place.to_string(), fault.code()))
    }

    #[test]
    fn a_record_that_follows_its_layout_fits() {
        assert_eq!(judged(record(), "2026-11-23"), Ok(()));
        let mut bare = record();
        bare["items"] = json!([]);
        assert_eq!(judged(bare, "2026-11-23"), Ok(()));
    }

    #[test]
    fn each_fault_is_told_with_its_place() {
        type Change = fn(&mut Value);
        let cases: [(&str, &str, Change); 18] = [
            ("record.layout_version", "unknown-layout", |r| r["layout_version"] = json!("0001")),
            ("record.layout_version", "layout-not-in-force", |r| r["layout_version"] = json!("0006")),
            ("record.data_set", "unknown-data-set", |r| r["data_set"] = json!("0003")),
            ("record.parent", "missing-parent", |r| r["data_set"] = json!("0002")),
            ("record.parent", "foreign-parent", |r| r["parent"] = json!("0")),
            ("record.items[0].code", "unknown-item", |r| r["items"][0]["code"] = json!("0400000010")),
            ("record.items[3].code", "unknown-item", |r| r["items"][3]["code"] = json!("TK00000000000001")),
            ("record.items[2].depth", "wrong-depth", |r| r["items"][2]["depth"] = json!(1)),
            // Out of order.
            ("record.items[1].code", "misplaced-item", |r| r["items"].as_array_mut().unwrap().swap(0, 1)),
            ("record.items[3].code", "misplaced-item", |r| r["items"].as_array_mut().unwrap().swap(2, 3)),
            // Below another item, and below none.
            ("record.items[4].code", "misplaced-item", |r| r["items"].as_array_mut().unwrap().swap(3, 4)),
            ("record.items[1].code", "misplaced-item", |r| drop(r["items"].as_array_mut().unwrap().remove(1))),
            ("record.items[1].code", "repeated-item", |r| r["items"][1] = r["items"][0].clone()),
            ("record.items[1].version", "wrong-version", |r| r["items"][1]["version"] = json!("0002")),
            ("record.items[0].version", "wrong-version", |r| r["items"][0]["version"] = json!("0001")),
            ("record.items[2].value", "wrong-type", |r| r["items"][2]["value"] = json!("4,520,000")),
            ("record.items[2].value", "value-too-long", |r| r["items"][2]["value"] = json!("1234567890123")),
            ("record.items[0].reason", "reason-not-allowed", |r| {
                r["items"] = json!([{"code": "0200000020", "depth": 1, "value": null, "reason": "not-collected"}]);
            }),
        ];
        for (place, code, change) in cases {
            let mut record = record();
            change(&mut record);
            assert_eq!(judged(record, "2026-11-23"), Err((place.to_owned(), code)));
        }
    }

    #[test]
    fn a_layout_is_taken_on_its_days_only() {
        let old = |day: &str| {
            let mut old = record();
            old["layout_version"] = json!("0006");
            judged(old, day)
        };
        assert_eq!(old("2025-07-01"), Ok(()));
        assert_eq!(old("2026-06-30"), Ok(()));
        let refused = Err(("record.layout_version".to_owned(), "layout-not-in-force"));
        assert_eq!((old("2025-06-30"), old("2026-07-01")), (refused.clone(), refused.clone()));
        assert_eq!(judged(record(), "2026-06-30"), refused);
    }
}
