//! `ctrace query --cluster` and `s3://`: the real command, a real scheduler and executors, a real S3 server, on loopback.

mod answers;
mod fleet;
mod losses;
mod nodes;
mod replay;
#[path = "../cli/run.rs"]
#[expect(dead_code, reason = "what the tests of one machine need is more")]
mod run;
mod s3;
