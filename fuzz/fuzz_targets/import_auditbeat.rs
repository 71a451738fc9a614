//! See `ctrace_fuzz::Target`.
#![no_main]

use ctrace_fuzz::Target;
use std::sync::LazyLock;

static TARGET: LazyLock<Target> = LazyLock::new(|| Target::named("import_auditbeat"));

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| TARGET.run(bytes));
