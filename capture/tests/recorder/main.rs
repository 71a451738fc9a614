//! The recorder as a program: what it writes, how it ends, what it survives. Everything runs the real `ctrace-recorder`
//! on the real kernel, as root; elsewhere tests say `SKIP name: reason`.

mod acceptance;
mod artifacts;
mod audit;
mod bounds;
mod case;
mod descriptors;
mod docker;
mod ends;
mod faults;
mod logs;
mod machine;
mod names;
mod order;
mod past;
mod podman;
mod privileges;
mod run;
mod scripts;
mod selection;
