//! The recorder as a program: what it writes, how it ends, what it survives. Everything runs the real `ctrace-recorder`
//! on the real kernel, as root; elsewhere tests say `SKIP name: reason`.

mod acceptance;
mod audit;
mod bounds;
mod case;
mod docker;
mod ends;
mod faults;
mod logs;
mod names;
mod order;
mod podman;
mod privileges;
mod run;
mod selection;
