//! The names of exchanges and queues.
//!
//! Always: derived from class, partition and principal; nowhere else spelled out.

use super::Partition;
use crate::identifier::{MessageClass, PrincipalId};

/// Where messages for the relay come in: a topic exchange, `<tenant>.<type>`.
pub const IN: &str = "nakatsugi.in";
/// Where the relay's messages go out: a topic exchange, `<recipient>.<type>`.
pub const OUT: &str = "nakatsugi.out";
/// Where invalid messages end: a fanout exchange and its queue.
pub const DEAD: &str = "nakatsugi.dead";

/// The queue of one class and partition.
#[must_use]
pub fn queue(class: MessageClass, partition: Partition) -> String {
    format!("nakatsugi.{}.{partition}", class.as_str())
}

/// Where messages of one class and partition wait: a fanout exchange and its queue.
#[must_use]
pub fn wait(class: MessageClass, partition: Partition) -> String {
    format!("nakatsugi.wait.{}.{partition}", class.as_str())
}

/// The queue from which a principal reads, unless the directory names another.
#[must_use]
pub fn reader(principal: &PrincipalId) -> String {
    format!("nakatsugi.out.{principal}")
}
