//! The `ctrace` command.
fn main() {}
