//! The Merkle tree of commitments, hashed as RFC 6962 §2.1 says.
//!
//! Always: the frontier holds one root per complete subtree, largest first, so that appending and taking the root need no
//! other leaf. Absent: proofs, which need the tiles.

use super::{Commitment, TreeHead, commitment::sha256};
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

    /// The edge of the tree whose unfinished tiles these are, from level 0 upwards: a hash of level `l` is the root of
    /// `width^l` leaves, and `width` is a power of 2.
    #[must_use]
    pub fn of_tiles(tiles: &[impl AsRef<[TreeHash]>], width: u64) -> Self {
        let (mut edge, mut leaves) = (Self::default(), 1);
        for hashes in tiles {
            let mut tile = Self::default();
            for hash in hashes.as_ref() {
                tile.append_hash(*hash);
            }
            // Lower levels lie further to the right.
            tile.subtrees.append(&mut edge.subtrees);
            edge = Self { size: edge.size + tile.size * leaves, subtrees: tile.subtrees };
            leaves = leaves.wrapping_mul(width);
        }
        edge
    }

    /// What is to be signed.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        TreeHead { size: self.size, root: self.root() }
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
    fn the_edge_is_found_again_in_the_unfinished_tiles_of_every_level() {
        const WIDTH: usize = 4;
        let mut frontier = Frontier::default();
        let mut tiles: Vec<Vec<TreeHash>> = Vec::new();
        for byte in 0..=255_u8 {
            frontier.append(&Commitment([byte; 32]));
            let (mut hash, mut level) = (leaf_hash(&Commitment([byte; 32])), 0);
            loop {
                tiles.resize(tiles.len().max(level + 1), Vec::new());
                tiles[level].push(hash);
                if tiles[level].len() < WIDTH {
                    break;
                }
                hash = Frontier::of_tiles(&[std::mem::take(&mut tiles[level])], 4).root();
                level += 1;
            }
            assert_eq!(Frontier::of_tiles(&tiles, 4), frontier);
        }
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
