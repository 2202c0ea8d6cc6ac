//! For the fuzz targets: bytes as they might stand on disk, behind tags that hold, so that what decodes them is reached.

use super::{
    applied::{MessageRow, read_outbox_row},
    frame::Record,
    group::{self, Found, Part},
    journal::SegmentHeader,
};
use crate::{
    identifier::VaultName,
    keyring::{Keyring, RowKey, Secrets, Tree},
    ledger::{Entry, Stranger},
};
use std::sync::LazyLock;

static KEYRING: LazyLock<Option<Keyring>> = LazyLock::new(|| Keyring::new(VaultName::Platform, Secrets::new([1; 32], [2; 32])).ok());

/// Groups and frames: what decodes encodes to the same bytes, and reads back from a group.
pub(crate) fn frame(bytes: &[u8]) {
    let Some(keyring) = &*KEYRING else { return };
    let key = keyring.journal();
    let _ = group::read(key, bytes);
    let _ = SegmentHeader::read(key, bytes, 1);
    let mut written = Vec::new();
    let parts = [Part { frame: bytes, parcels: &[] }];
    let tag = group::encode(key, 7, &[3; 32], &parts, &mut written);
    match (Record::decode(bytes), group::read(key, &written)) {
        (Some(record), found) => {
            assert_eq!(record.encode(), bytes, "a frame has one spelling");
            if let Found::Group(group) = found {
                assert_eq!((group.first, group.tag, group.length), (7, tag, written.len()));
            }
        }
        (None, found) => assert!(!matches!(found, Found::Group(_)), "a group holds a frame that is none"),
    }
}

/// Sealed values and rows.
pub(crate) fn stored(bytes: &[u8]) {
    let Some(keyring) = &*KEYRING else { return };
    let row = Tree::Outbox.row(&[bytes.get(..10).unwrap_or_default()]);
    assert!(keyring.open(&row, bytes).is_err(), "it was never sealed");
    let _ = MessageRow::decode(bytes);
    let _ = read_outbox_row(&row, bytes);
    let _ = RowKey::from_stored(bytes);
    let _ = serde_json::from_slice::<Entry>(bytes);
    let _ = serde_json::from_slice::<Stranger>(bytes);
}
