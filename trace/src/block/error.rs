//! What can go wrong when a block is built or read.

use thiserror::Error;

use crate::event::EventType;

/// An event that does not fit into a block. The block under construction is unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PushError {
    /// The builder's schema does not declare the event's type.
    #[error("event type {:#06x} is not declared", .0.0)]
    UnknownKind(EventType),
    /// The number of arguments differs from the number of declared parameters.
    #[error("`{name}` takes {declared} arguments, got {given}")]
    ArgCount {
        /// Name of the event type.
        name: String,
        /// How many parameters are declared.
        declared: usize,
        /// How many arguments came.
        given: usize,
    },
    /// An argument is not of its parameter's kind.
    #[error("`{name}`: argument {index} does not fit its parameter `{param}`")]
    ArgKind {
        /// Name of the event type.
        name: String,
        /// Position of the argument.
        index: usize,
        /// Name of the parameter.
        param: String,
    },
    /// The schema declares more parameters than a block can hold.
    #[error("`{0}` has too many parameters")]
    TooManyParams(String),
    /// The block has as many events as a block can hold.
    #[error("the block is full")]
    Full,
    /// The event with what it refers to is larger than a block may grow.
    #[error("event of {bytes} bytes with what it refers to; a block takes {limit}")]
    TooLarge {
        /// Size of the event and of the dictionary entries that it brings along.
        bytes: usize,
        /// What the block could still take.
        limit: usize,
    },
}

/// A block that cannot be read, or that is not what it claims to be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BlockError {
    /// The head does not decode, or states something impossible.
    #[error("block head: {0}")]
    Head(&'static str),
    /// The head names an event type that the segment's schema does not declare.
    #[error("block head: event type {:#06x} is not in the schema", .0.0)]
    UnknownKind(EventType),
    /// The body is shorter or longer than the head says.
    #[error("block body has {actual} bytes, its head says {expected}")]
    BodyLength {
        /// Length after the head's directory.
        expected: u64,
        /// Length found.
        actual: u64,
    },
    /// The bytes of a frame differ from those that were written.
    #[error("frame `{frame}`: checksum differs")]
    Checksum {
        /// Name of the frame.
        frame: &'static str,
    },
    /// A frame does not decompress to what the head says.
    #[error("frame `{frame}`: does not decompress")]
    Decompress {
        /// Name of the frame.
        frame: &'static str,
    },
    /// The content of a column contradicts itself or the head.
    #[error("column `{column}`: {what}")]
    Column {
        /// Name of the column.
        column: &'static str,
        /// What is wrong.
        what: &'static str,
    },
    /// The digest over all frames differs from the head's.
    #[error("block body: digest of the frames differs")]
    Digest,
}
