//! The `ctrace` command as its users meet it: the real program over recorded, generated and damaged cases.

mod cases;
mod corpus;
mod damage;
mod habits;
mod import;
mod info;
mod live;
mod query;
mod read;
mod replay;
mod rule_work;
mod rules;
mod run;
mod summary;
mod tree;
mod triage;
mod usage;
mod verify;
