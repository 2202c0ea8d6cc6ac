// expect: E0451 of struct `Inspected`
// Only what was looked into can be attached.
use nakatsugi::record::{FileContent, Inspected, Legibility};
pub fn inspected(content: FileContent) -> Inspected {
    Inspected { content, legibility: Legibility::Read }
}
