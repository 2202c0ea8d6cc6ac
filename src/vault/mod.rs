//! The vault: everything of one tenant in one directory.
