//! Keys of a vault and the sealing of values.
