//! The names of exchanges and queues.
//!
//! Always: derived from class, partition and principal; nowhere else spelled out.

use super::Partition;
use crate::identifier::{MessageClass, PrincipalId};

/// Where messages for the relay come in: a topic exchange, `<tenant>.<type>`.
pub const IN: &str = "nakatsugi.in";
/// Where `IN` leads: a headers exchange that lets through to `SORT` what claims no deaths.
pub const SIEVE: &str = "nakatsugi.sieve";
/// Where messages are sorted by tenant and class: a topic exchange that nobody publishes to.
pub const SORT: &str = "nakatsugi.sort";
/// Where the relay's messages go out: a topic exchange, `<recipient>.<type>`.
pub const OUT: &str = "nakatsugi.out";
/// Where invalid messages end: a fanout exchange and its queue.
pub const DEAD: &str = "nakatsugi.dead";
pub(super) const WAIT: &str = "nakatsugi.wait.";
const AGAIN: &str = "nakatsugi.again.";

/// The queue of one class and partition.
#[must_use]
pub fn queue(class: MessageClass, partition: Partition) -> String {
    format!("nakatsugi.{}.{partition}", class.as_str())
}

/// Where messages of one class and partition wait: a fanout exchange and its queue.
#[must_use]
pub fn wait(class: MessageClass, partition: Partition) -> String {
    format!("{WAIT}{}.{partition}", class.as_str())
}

/// Where messages of one class and partition come back from waiting: a fanout exchange and its queue.
#[must_use]
pub fn again(class: MessageClass, partition: Partition) -> String {
    format!("{AGAIN}{}.{partition}", class.as_str())
}

/// Whether this is the name of a queue, and of its exchange, where messages come back from waiting.
pub(super) fn is_again(name: &str) -> bool {
    name.starts_with(AGAIN)
}

/// The queue from which a principal reads, unless the directory names another.
#[must_use]
pub fn reader(principal: &PrincipalId) -> String {
    format!("nakatsugi.out.{principal}")
}
