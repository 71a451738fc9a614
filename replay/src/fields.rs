//! What the rule compiler must know about fields, apart from where their values come from.

/// The type of a field's values; it decides which operators and constants fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FieldType {
    /// Text or a path; need not be UTF-8.
    Str,
    /// Signed number.
    Int,
    /// Unsigned number, durations and times in nanoseconds among them.
    Uint,
    /// Number with a fraction.
    Double,
    /// `true` or `false`.
    Bool,
    /// An address.
    Ip,
    /// An address that is compared with networks.
    Net,
    /// A port number, which may be given by service name.
    Port,
    /// Captured bytes.
    Bytes,
}

impl FieldType {
    /// The word for it in messages.
    pub fn name(self) -> &'static str {
        match self {
            FieldType::Str => "text",
            FieldType::Int | FieldType::Uint | FieldType::Double => "number",
            FieldType::Bool => "boolean",
            FieldType::Ip => "address",
            FieldType::Net => "network",
            FieldType::Port => "port",
            FieldType::Bytes => "bytes",
        }
    }
}

/// How many values a field has at an event, and how a comparison treats them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arity {
    /// At most one.
    One,
    /// Several, and the comparison holds when it holds for one of them: `proc.aname` without an index.
    Any,
    /// Both ends of a socket: as [`Arity::Any`], but `!=` must hold for both: `fd.ip`.
    Ends,
    /// A list value: `in` wants every element in the set, `intersects` one of them.
    List,
}

/// The narrowest thing that a field's value depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// The event's type alone.
    Kind,
    /// The acting process image.
    Process,
    /// The file descriptor's entry.
    Fd,
    /// The single event.
    Row,
}

/// A field as a condition or format names it, its argument checked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldRef {
    /// Number that the table knows the field by.
    pub id: u32,
    /// Name without the argument.
    pub name: &'static str,
    /// Argument, normalised.
    pub arg: Option<String>,
    /// Type of its values.
    pub ty: FieldType,
    /// How many values it has.
    pub arity: Arity,
    /// What it depends on.
    pub scope: Scope,
    /// Whether it can be compared with another field or transformed.
    pub plain_only: bool,
    /// Whether it can be printed.
    pub filter_only: bool,
}

/// Why a name with its argument is no field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldError {
    /// No field has this name.
    Unknown,
    /// The field exists, but not with this argument, or its data are never recorded.
    Bad(String),
}

/// The fields and event types that conditions may name.
pub trait FieldTable {
    /// The field of a name and argument.
    fn resolve(&self, name: &str, arg: Option<&str>) -> Result<FieldRef, FieldError>;
    /// Every field name, for suggestions.
    fn names(&self) -> Vec<&'static str>;
    /// Whether events of this type name exist.
    fn is_event_type(&self, name: &str) -> bool;
    /// Every event type's name, for suggestions.
    fn event_types(&self) -> Vec<&'static str>;
}
