//! The binary: arguments → configuration → logs → runtime → exit code.

fn main() {}
