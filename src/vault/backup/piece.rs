//! What a backup holds, piece by piece.
//!
//! ```text
//! piece = length(4) ‖ kind(1) ‖ …
//! ```
//!
//! Always: a piece stands for itself, so that bringing back may go on between any two; paths lie below the vault's folder.

use super::{
    super::codec::{Put, Take, len32},
    BackupError,
    container::{Opening, Sealing},
};
use crate::keyring::RowKey;
use std::{
    io::{self, Write},
    path::{Component, Path},
};

/// No piece is longer: rows and parts of files are cut at 1 MiB, and no row has more.
const LONGEST: usize = 64 << 20;

/// A piece.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// The manifest, which comes first.
    Manifest(Vec<u8>),
    /// Rows of the store.
    Rows(Vec<(RowKey, Vec<u8>)>),
    /// A part of a file.
    Part { path: String, offset: u64, bytes: Vec<u8> },
    /// The end.
    End(End),
}

/// What stands at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct End {
    /// How many rows.
    pub(super) rows: u64,
    /// How many bytes of files.
    pub(super) bytes: u64,
    /// The sequence of the first frame that is not in it, and the tag of the group before.
    pub(super) sequence: u64,
    pub(super) tag: [u8; 32],
    /// The signed tree head.
    pub(super) head: String,
}

const MANIFEST: u8 = 1;
const ROWS: u8 = 2;
const PART: u8 = 3;
const END: u8 = 4;

impl Piece {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Manifest(bytes) => {
                out.u8(MANIFEST);
                out.extend_from_slice(bytes);
            }
            Self::Rows(rows) => {
                out.u8(ROWS);
                out.u32(len32(rows.len()));
                for (key, value) in rows {
                    out.block(key.as_bytes());
                    out.block(value);
                }
            }
            Self::Part { path, offset, bytes } => {
                out.u8(PART);
                out.block(path.as_bytes());
                out.u64(*offset);
                out.extend_from_slice(bytes);
            }
            Self::End(end) => {
                out.u8(END);
                out.u64(end.rows);
                out.u64(end.bytes);
                out.u64(end.sequence);
                out.extend_from_slice(&end.tag);
                out.extend_from_slice(end.head.as_bytes());
            }
        }
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Take(bytes);
        Some(match from.u8()? {
            MANIFEST => Self::Manifest(from.0.to_vec()),
            ROWS => {
                let count = from.u32()?;
                let rows = (0..count).map(|_| Some((RowKey::from_stored(from.block()?)?, from.block()?.to_vec())));
                let rows = rows.collect::<Option<_>>()?;
                from.end()?;
                Self::Rows(rows)
            }
            PART => {
                let path = std::str::from_utf8(from.block()?).ok()?.to_owned();
                // SECURITY: whoever has a vault's keys may still not write outside it.
                let below = Path::new(&path).components().all(|part| matches!(part, Component::Normal(_)));
                below.then_some(())?;
                Self::Part { path, offset: from.u64()?, bytes: from.0.to_vec() }
            }
            END => {
                let (rows, bytes, sequence, tag) = (from.u64()?, from.u64()?, from.u64()?, from.array()?);
                Self::End(End { rows, bytes, sequence, tag, head: String::from_utf8(from.0.to_vec()).ok()? })
            }
            _ => return None,
        })
    }

    pub(super) fn write<W: Write>(&self, out: &mut Sealing<W>) -> io::Result<u64> {
        let bytes = self.encode();
        out.write(&len32(bytes.len()).to_be_bytes())?;
        out.write(&bytes)?;
        Ok(bytes.len() as u64 + 4)
    }

    pub(super) fn read(from: &mut Opening, path: &Path) -> Result<Self, BackupError> {
        let content = || BackupError::Content(path.to_owned());
        let length = u32::from_be_bytes(from.read(4)?.try_into().map_err(|_| content())?);
        let length = usize::try_from(length).ok().filter(|length| *length <= LONGEST).ok_or_else(content)?;
        Self::decode(&from.read(length)?).ok_or_else(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::Tree;

    #[test]
    fn a_piece_is_read_as_it_was_written_and_leads_nowhere_else() {
        let part = |path: &str| Piece::Part { path: path.to_owned(), offset: 7, bytes: vec![1, 2] };
        let end = End { rows: 1, bytes: 2, sequence: 3, tag: [4; 32], head: "note".to_owned() };
        let rows = vec![(Tree::Link.row(&[&[1]]), vec![5]), (Tree::Person.row(&[&[1]]), vec![])];
        for piece in [Piece::Manifest(vec![1]), Piece::Rows(rows), part("ledger/tile/0/000"), Piece::End(end)] {
            assert_eq!(Piece::decode(&piece.encode()), Some(piece));
        }
        for path in ["../keyring.json", "/etc/passwd", "ledger/../../x", "./x"] {
            assert_eq!(Piece::decode(&part(path).encode()), None, "{path}");
        }
    }
}
