//! The tenant's scope: the proof that a message may touch one vault.
