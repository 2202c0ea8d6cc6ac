//! Records: the registered copies of a person's specific personal information (副本).
//!
//! Always: a record belongs to one person and one category of one tenant; a deleted one leaves a tombstone with its
//! revision, so that an older message cannot revive it. Absent: how any of it is sealed or stored, and the catalogue's
//! knowledge of items.

mod attachment;
mod basic;
mod file;
pub mod guard;
mod holding;
mod item;
mod link;
mod person;
mod restriction;

pub use attachment::{ATTACHMENTS, Attached, Attachment, AttachmentChange, Attachments, ContentName, Declaration, NoPlace};
pub use file::{
    FILE_BYTES, File, FileContent, FileDigest, FileFormat, FileName, FilePlace, FileRefusal, Inspected, Legibility, PAGES, PdfPage,
    PdfReading, PdfText,
};
pub use holding::{Holding, Place, Record, RecordName, Replaced, Revision, Row};
pub use item::{Item, ItemValue, NullReason};
pub use link::{CodeChange, LinkRefusal, LinkState, LinkStep, Past};
pub use person::{CodeEnd, Confirmation, FormerName, Head, Listing, Person, PersonChange, PersonId, PersonNeed, View};
pub use restriction::{Restricted, Restriction, Restrictions, SomeCategories, Withholding};
