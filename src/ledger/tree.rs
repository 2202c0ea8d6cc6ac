//! The Merkle tree of commitments, hashed as RFC 6962 §2.1 says.
//!
//! Always: the frontier holds one root per complete subtree, largest first, so that appending and taking the root need no
//! other leaf. Absent: proofs, which need the tiles.

use super::{Commitment, commitment::sha256};
use serde::{Deserialize, Serialize};

/// A node of the tree.
pub type TreeHash = [u8; 32];

/// The right edge of a Merkle tree: all that is needed to append to it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Frontier {
    size: u64,
    subtrees: Vec<TreeHash>,
}

/// `SHA-256(0x00 ‖ leaf)`: what stands in a tile of level 0.
#[must_use]
pub fn leaf_hash(commitment: &Commitment) -> TreeHash {
    sha256(&[&[0], &commitment.0])
}

/// `SHA-256(0x01 ‖ left ‖ right)`.
#[must_use]
pub(super) fn node_hash(left: &TreeHash, right: &TreeHash) -> TreeHash {
    sha256(&[&[1], left, right])
}

impl Frontier {
    /// How many leaves the tree has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf and returns its index.
    pub fn append(&mut self, commitment: &Commitment) -> u64 {
        self.append_hash(leaf_hash(commitment))
    }

    fn append_hash(&mut self, mut hash: TreeHash) -> u64 {
        // One complete subtree per set bit of the size: a carry merges the two smallest.
        let mut carries = self.size;
        while carries & 1 == 1 {
            if let Some(left) = self.subtrees.pop() {
                hash = node_hash(&left, &hash);
            }
            carries >>= 1;
        }
        self.subtrees.push(hash);
        self.size += 1;
        self.size - 1
    }

    /// Whether these are the hashes of the last leaves, as many as stand in an unfinished tile of this width, a power of 2.
    #[must_use]
    pub fn ends_with(&self, leaves: &[TreeHash], width: u64) -> bool {
        let mut tail = Self::default();
        for leaf in leaves {
            tail.append_hash(*leaf);
        }
        tail.size == self.size % width && self.subtrees.ends_with(&tail.subtrees)
    }

    /// The root of the tree; of an empty one, SHA-256 of nothing.
    #[must_use]
    pub fn root(&self) -> TreeHash {
        let mut smallest_first = self.subtrees.iter().rev();
        smallest_first.next().map_or_else(|| sha256(&[]), |last| smallest_first.fold(*last, |right, left| node_hash(left, &right)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_leaves_are_recognised() {
        let leaves: Vec<_> = (0..13_u8).map(|byte| Commitment([byte; 32])).collect();
        let mut frontier = Frontier::default();
        for leaf in &leaves {
            frontier.append(leaf);
        }
        let hashes: Vec<_> = leaves.iter().map(leaf_hash).collect();
        assert!(frontier.ends_with(&hashes[8..], 8));
        assert!(!frontier.ends_with(&hashes[9..], 8));
        assert!(!frontier.ends_with(&hashes[7..12], 8));
    }

    /// RFC 6962 §2.1 as it is written: split at the largest power of two below n.
    fn root_by_definition(leaves: &[Commitment]) -> TreeHash {
        match leaves {
            [] => sha256(&[]),
            [leaf] => leaf_hash(leaf),
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                node_hash(&root_by_definition(&leaves[..split]), &root_by_definition(&leaves[split..]))
            }
        }
    }

    #[test]
    fn the_frontier_has_the_root_of_the_definition_at_every_size() {
        let leaves: Vec<_> = (0..130_u8).map(|byte| Commitment([byte; 32])).collect();
        let mut frontier = Frontier::default();
        assert_eq!(frontier.root(), root_by_definition(&[]));
        for (index, leaf) in leaves.iter().enumerate() {
            assert_eq!(frontier.append(leaf), index as u64);
            assert_eq!(frontier.root(), root_by_definition(&leaves[..=index]), "size {}", index + 1);
        }
    }
}
