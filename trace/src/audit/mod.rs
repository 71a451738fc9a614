//! Records of the Linux audit subsystem as text: their shape, their fields, and what the fields mean.
//!
//! Pure: live capture, import, reading and SQL use the same [`Record`], [`fields`] and [`interpret`].

mod address;
mod argument;
mod field;
mod interpret;
mod kind;
mod line;
mod option;
mod packet;
mod record;
mod record_type;
mod tty;
mod value;

pub use address::Address;
pub use argument::syscall_name;
pub use field::{Field, Fields, Value, fields, unhex};
pub use interpret::{Interpreted, Interpreter, Names};
pub use line::{Line, lines};
pub use record::{ENRICHED, Record, RecordError, Stamp};
pub use record_type::RecordType;
