//! The sizes that belong together, and the settings that may differ between sites and tests.
//!
//! Always: a leaf of sled holds at most 17 values before it splits, and a page above a quarter of the segment becomes a blob
//! file that sled never syncs; so 17 × (chunk + overhead) stays below a quarter of the segment.

/// Sled's segment, fixed when a store is made.
pub(super) const STORE_SEGMENT: usize = 2 << 20;
/// The longest value in one row, before sealing; longer ones are cut into chunks.
pub(super) const CHUNK: usize = 24 << 10;
/// How many bytes of frames and parcels are gathered into one group, unless one frame alone is longer.
pub(super) const GROUP_BYTES: usize = 4 << 20;
/// How many bytes a frame may have with its envelopes: far below what four bytes can tell, far above what one message can
/// change. A longer one is refused before anything is written.
pub(super) const LONGEST_FRAME: usize = 1 << 30;
/// How many pieces of values one view reads, 96 MiB, and the rest of the value with which it reaches them.
pub(super) const VIEW_PIECES: usize = (96 << 20) / CHUNK;
/// How many places there are for frames that wait for the committer; who comes later waits before queueing.
pub(super) const QUEUE_PLACES: u32 = 4_096;
/// What a frame may have for each place it takes, with its envelopes: so 256 MiB wait at most, or one frame that is longer.
pub(super) const PLACE_BYTES: usize = 64 << 10;
/// The journal is extended with zeros by as much as it has, between these bounds: overwriting what is allocated makes a
/// sync half as long (measured: 106 to 140 µs, against 180 to 230 µs when the file grows).
pub(super) const ZEROS: std::ops::RangeInclusive<u64> = 64 << 10..=1 << 20;
/// Groups above this are written without zeros before them: their own bytes cost more than the longer sync.
pub(super) const ZEROS_UP_TO_GROUP: u64 = 128 << 10;
/// How long an id is kept after its message expired, in seconds.
pub(super) const KEPT_AFTER_EXPIRY: i64 = 600;
/// Messages are forgotten by spans of this many seconds.
pub(super) const EXPIRY_SPAN: i64 = 60;
/// How many ids one row of the expiry index holds, and one frame of forgetting names.
pub(super) const EXPIRY_IDS: usize = 1_024;
/// How many marks of published parcels are written without waiting for the next frame.
pub(super) const MARKS: usize = 1_024;

const _: () = assert!(17 * (CHUNK + 256) < STORE_SEGMENT / 4, "a leaf full of values must fit a page, or sled writes blobs");

/// What may differ between sites.
#[derive(Debug, Clone)]
pub struct Tuning {
    /// A journal segment is closed when it holds this many bytes.
    pub segment_bytes: u64,
    /// A checkpoint is made after this many bytes of journal …
    pub checkpoint_bytes: u64,
    /// … or this many rows.
    pub checkpoint_rows: usize,
    /// Sled's cache, for each open vault.
    pub cache_bytes: u64,
    /// How many ids of messages are held in memory, of all vaults together; each takes about 15 bytes. With 0
    /// none are: the store is asked each time.
    pub known_ids: usize,
    /// For each 100 parts of time that a carry-over works, it rests so many.
    pub carry_rest: u32,
    /// How long a vault that did not open is left alone.
    pub retry_after: std::time::Duration,
    /// With a journal of this many bytes, a vault takes in nothing more.
    pub journal_bytes: u64,
    /// With fewer bytes than this left on the disk, no vault takes in anything more.
    pub free_bytes: u64,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            segment_bytes: 16 << 20,
            checkpoint_bytes: 32 << 20,
            checkpoint_rows: 50_000,
            cache_bytes: 4 << 20,
            known_ids: 16 << 20,
            carry_rest: 100,
            retry_after: std::time::Duration::from_secs(5),
            journal_bytes: 64 << 30,
            free_bytes: 512 << 20,
        }
    }
}
