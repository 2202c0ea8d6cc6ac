//! The unit of commit: frames that became durable with one sync.
//!
//! ```text
//! group  = header(64) ‖ (length(4) ‖ frame)… ‖ tag(32) ‖ envelopes ‖ zeros to a multiple of 8
//! header = magic(4) ‖ mark(4) ‖ frames' bytes(4) ‖ envelopes' bytes(4) ‖ frames(4) ‖ 0(4)
//!          ‖ first sequence(8) ‖ tag of the group before(32)
//! tag    = HMAC-SHA-256[journal key](header with the mark zero ‖ frames)
//! mark   = 0, or where the envelopes were dropped: HMAC-SHA-256[journal key]("envelopes dropped" ‖ tag), 4 bytes
//! ```
//!
//! Always: groups form a chain by their tags, which cover the envelopes by their SHA-256 in the frames; so a segment may be
//! rewritten without envelopes (the mark says so) and the chain still holds. Absent: files.

use super::{
    codec::{Put, Take, len32},
    frame::{ParcelRecord, Record},
};
use crate::{keyring::MacKey, relay::ports::Parcel};
use ring::digest;
use std::sync::Arc;

pub(super) const MAGIC: [u8; 4] = *b"NKG1";
pub(super) const HEADER_LEN: usize = 64;
pub(super) const TAG_LEN: usize = 32;
/// Groups begin at multiples of this.
pub(super) const ALIGN: usize = 8;

/// One frame on its way into a group, encoded, with its parcels' envelopes.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) frame: &'a [u8],
    pub(super) parcels: &'a [Arc<Parcel>],
}

/// Writes a group and returns its tag.
pub(super) fn encode(key: &MacKey, first: u64, previous: &[u8; 32], parts: &[Part<'_>], out: &mut Vec<u8>) -> [u8; 32] {
    let frames: usize = parts.iter().map(|part| 4 + part.frame.len()).sum();
    let bodies: usize = parts.iter().flat_map(|part| part.parcels).map(|parcel| parcel.body.len()).sum();
    out.clear();
    out.reserve(HEADER_LEN + frames + TAG_LEN + bodies + ALIGN);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[0; 4]);
    out.u32(len32(frames));
    out.u32(len32(bodies));
    out.u32(len32(parts.len()));
    out.u32(0);
    out.u64(first);
    out.extend_from_slice(previous);
    for part in parts {
        out.block(part.frame);
    }
    let tag = key.tag(&[out]);
    out.extend_from_slice(&tag);
    for parcel in parts.iter().flat_map(|part| part.parcels) {
        out.extend_from_slice(&parcel.body);
    }
    out.resize(out.len().next_multiple_of(ALIGN), 0);
    tag
}

/// A group that holds together.
pub(super) struct Group {
    pub(super) first: u64,
    pub(super) previous: [u8; 32],
    pub(super) tag: [u8; 32],
    pub(super) records: Vec<Record>,
    /// How many bytes it takes in the segment.
    pub(super) length: usize,
}

/// What stands at a place in a segment.
pub(super) enum Found {
    /// Nothing was written here.
    Nothing,
    /// A group that holds together.
    Group(Group),
    /// Bytes that are no group.
    Invalid,
}

/// What stands in the header of a group whose envelopes were dropped.
fn dropped_mark(key: &MacKey, tag: &[u8; TAG_LEN]) -> Option<[u8; 4]> {
    key.tag(&[b"envelopes dropped", tag]).first_chunk().copied()
}

struct Header {
    mark: [u8; 4],
    frames: usize,
    bodies: usize,
    count: u32,
    first: u64,
    previous: [u8; 32],
}

impl Header {
    fn take(from: &mut Take<'_>) -> Option<Self> {
        (from.array()? == MAGIC).then_some(())?;
        let mark = from.array()?;
        let frames = usize::try_from(from.u32()?).ok()?;
        let bodies = usize::try_from(from.u32()?).ok()?;
        let count = from.u32()?;
        (from.u32()? == 0).then_some(())?;
        Some(Self { mark, frames, bodies, count, first: from.u64()?, previous: from.array()? })
    }
}

/// A group's frames, without a look at the envelopes.
struct Opened {
    header: Header,
    bodies_present: bool,
    records: Vec<Record>,
    tag: [u8; TAG_LEN],
}

/// The header, frames and tag of a group, if the tag holds.
fn open(key: &MacKey, bytes: &[u8]) -> Option<Opened> {
    let mut from = Take(bytes);
    let header = Header::take(&mut from)?;
    let frames = from.bytes(header.frames)?;
    let tag = from.array()?;
    let mut covered: [u8; HEADER_LEN] = *bytes.first_chunk()?;
    if let Some(flags) = covered.get_mut(4..8) {
        flags.fill(0);
    }
    (key.tag(&[&covered, frames]) == tag).then_some(())?;
    let bodies_present = header.mark == [0; 4];
    (bodies_present || Some(header.mark) == dropped_mark(key, &tag)).then_some(())?;
    let mut frames = Take(frames);
    let records: Vec<Record> = (0..header.count).map(|_| Record::decode(frames.block()?)).collect::<Option<_>>()?;
    frames.end()?;
    Some(Opened { header, bodies_present, records, tag })
}

/// Reads the group at the beginning of these bytes.
pub(super) fn read(key: &MacKey, bytes: &[u8]) -> Found {
    if bytes.iter().take(HEADER_LEN).all(|byte| *byte == 0) {
        return Found::Nothing;
    }
    group(key, bytes).map_or(Found::Invalid, Found::Group)
}

fn group(key: &MacKey, bytes: &[u8]) -> Option<Group> {
    let Opened { header, bodies_present, records, tag } = open(key, bytes)?;
    let mut length = HEADER_LEN + header.frames + TAG_LEN;
    if bodies_present {
        let mut bodies = Take(bytes.get(length..)?.get(..header.bodies)?);
        for parcel in records.iter().flat_map(Record::parcels) {
            let body = bodies.bytes(usize::try_from(parcel.length).ok()?)?;
            (digest::digest(&digest::SHA256, body).as_ref() == parcel.sha256).then_some(())?;
        }
        bodies.end()?;
        length += header.bodies;
    }
    Some(Group { first: header.first, previous: header.previous, tag, records, length: length.next_multiple_of(ALIGN) })
}

/// Writes the group at the beginning of these bytes without its envelopes.
pub(super) fn drop_envelopes(key: &MacKey, bytes: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let Opened { header, tag, .. } = open(key, bytes)?;
    let kept = bytes.get(..HEADER_LEN + header.frames + TAG_LEN)?;
    out.extend_from_slice(kept.get(..4)?);
    out.extend_from_slice(&dropped_mark(key, &tag)?);
    out.extend_from_slice(kept.get(8..)?);
    out.resize(out.len().next_multiple_of(ALIGN), 0);
    Some(())
}

/// How many bytes must be read to open the frames of the group with this header.
pub(super) fn frames_end(header: &[u8; HEADER_LEN]) -> Option<usize> {
    Header::take(&mut Take(header)).map(|header| HEADER_LEN + header.frames + TAG_LEN)
}

/// The parcels of one frame of a group.
pub(super) struct Envelopes {
    /// The frame's sequence.
    pub(super) sequence: u64,
    /// Each parcel, and where its envelope lies from the beginning of the group; nowhere when the envelopes were dropped.
    pub(super) parcels: Vec<(ParcelRecord, Option<u64>)>,
}

/// The parcels of one frame, from the bytes up to [`frames_end`].
pub(super) fn envelopes(key: &MacKey, bytes: &[u8], frame: u32) -> Option<Envelopes> {
    let Opened { header, bodies_present, records, .. } = open(key, bytes)?;
    let mut at = u64::try_from(HEADER_LEN + header.frames + TAG_LEN).ok()?;
    for (number, record) in records.into_iter().enumerate() {
        let mut parcels = Vec::new();
        for parcel in record.parcels() {
            parcels.push((parcel.clone(), bodies_present.then_some(at)));
            at += u64::from(parcel.length);
        }
        if u32::try_from(number) == Ok(frame) {
            return Some(Envelopes { sequence: header.first + u64::from(frame), parcels });
        }
    }
    None
}

/// Whether a group that holds together begins anywhere in these bytes.
pub(super) fn stands_in(key: &MacKey, bytes: &[u8]) -> bool {
    (0..bytes.len()).step_by(ALIGN).filter_map(|at| bytes.get(at..)).any(|rest| rest.starts_with(&MAGIC) && group(key, rest).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        calendar::Timestamp,
        identifier::{MessageId, MessageType, VaultName},
        keyring::{Blind, Keyring, Secrets},
        ledger::Commitment,
        vault::frame::Handled,
    };

    fn keyring() -> Keyring {
        Keyring::new(VaultName::Platform, Secrets::new([1; 32], [2; 32])).unwrap()
    }

    fn parcel(body: &[u8]) -> Arc<Parcel> {
        Arc::new(Parcel {
            id: MessageId::from_random([1; 16]),
            kind: MessageType::SelfInfoReply,
            re: None,
            recipient: "disclosure".parse().unwrap(),
            deadline: Timestamp::from_millis(0),
            body: body.into(),
        })
    }

    fn handled(parcels: &[Arc<Parcel>]) -> Record {
        Record::Handled(Handled {
            message: Blind([0; 16]),
            expires: Timestamp::from_millis(0),
            memory: vec![1],
            commitment: Commitment([0; 32]),
            entry: vec![2],
            links: crate::vault::links::Links::default(),
            rows: vec![],
            parcels: parcels.iter().map(|parcel| ParcelRecord::of(parcel)).collect(),
        })
    }

    /// Two frames, three envelopes.
    fn written(keyring: &Keyring) -> Vec<u8> {
        let (first, second) = ([parcel(b"one"), parcel(b"two")], [parcel(b"three")]);
        let (a, b) = (handled(&first).encode(), handled(&second).encode());
        let parts = [Part { frame: &a, parcels: &first }, Part { frame: &b, parcels: &second }];
        let mut out = Vec::new();
        encode(keyring.journal(), 7, &[9; 32], &parts, &mut out);
        out
    }

    #[test]
    fn any_changed_bit_makes_a_group_invalid() {
        let (keyring, mut bytes) = (keyring(), written(&keyring()));
        let Found::Group(group) = read(keyring.journal(), &bytes) else { panic!("not a group") };
        assert_eq!((group.first, group.previous, group.records.len(), group.length), (7, [9; 32], 2, bytes.len()));
        let envelopes_end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        for at in 0..=envelopes_end {
            for bit in 0..8 {
                bytes[at] ^= 1 << bit;
                assert!(matches!(read(keyring.journal(), &bytes), Found::Invalid), "bit {bit} of byte {at}");
                bytes[at] ^= 1 << bit;
            }
        }
        for length in 1..=envelopes_end {
            assert!(matches!(read(keyring.journal(), &bytes[..length]), Found::Invalid), "cut at {length}");
        }
    }

    #[test]
    fn a_group_whose_envelopes_were_dropped_keeps_its_tag() {
        let (keyring, bytes) = (keyring(), written(&keyring()));
        let Found::Group(whole) = read(keyring.journal(), &bytes) else { panic!("not a group") };
        let end = frames_end(bytes.first_chunk().unwrap()).unwrap();
        let at = |bytes: &[u8], frame| envelopes(keyring.journal(), &bytes[..end], frame).unwrap();
        let offsets: Vec<_> = at(&bytes, 1).parcels.iter().map(|(_, at)| at.unwrap() - end as u64).collect();
        assert_eq!((at(&bytes, 1).sequence, offsets), (8, vec![6]));
        let mut rest = Vec::new();
        drop_envelopes(keyring.journal(), &bytes, &mut rest).unwrap();
        let Found::Group(without) = read(keyring.journal(), &rest) else { panic!("not a group") };
        assert_eq!((whole.tag, whole.records, rest.len()), (without.tag, without.records, without.length));
        assert_eq!(without.length, end.next_multiple_of(ALIGN));
        assert!(at(&rest, 0).parcels.iter().all(|(_, at)| at.is_none()));
        let mut again = Vec::new();
        drop_envelopes(keyring.journal(), &rest, &mut again).unwrap();
        assert_eq!(again, rest);
        rest[4] ^= 1;
        assert!(matches!(read(keyring.journal(), &rest), Found::Invalid), "a mark that nobody authenticated");
    }

    #[test]
    fn a_group_is_found_behind_anything() {
        let (keyring, bytes) = (keyring(), written(&keyring()));
        assert!(stands_in(keyring.journal(), &[&[0xff; 24], bytes.as_slice()].concat()));
        assert!(!stands_in(keyring.journal(), &bytes[..bytes.len() - 8]));
        let other = Keyring::new(VaultName::Platform, Secrets::new([3; 32], [2; 32])).unwrap();
        assert!(!stands_in(other.journal(), &bytes));
    }
}
