//! Functions of SQL that DataFusion does not have: paths, addresses, texts, ancestry, audit records.

pub(crate) mod audit;
mod lineage;
mod matches;
mod network;
mod text;

use std::any::type_name;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, BooleanBuilder, Float64Builder, StringViewBuilder};
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::prelude::SessionContext;

pub(crate) use lineage::Lineage;
pub(crate) use network::{CIDR_CONTAINS, beginning};

/// A function as others may know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionInfo {
    /// How it is called: `cidr_contains(cidr, address)`.
    pub usage: &'static str,
    /// What it gives.
    pub doc: &'static str,
}

/// Every function, by name.
pub(crate) fn all() -> Vec<FunctionInfo> {
    let texts = || text::FUNCTIONS.iter().chain(network::FUNCTIONS);
    let own = texts()
        .map(|f| (f.usage, f.doc))
        .chain(lineage::DOCS)
        .chain(audit::DOCS);
    let mut out: Vec<FunctionInfo> = own.map(|(usage, doc)| FunctionInfo { usage, doc }).collect();
    out.sort_by_key(|f| f.usage);
    out
}

/// Makes the functions known; gives what those of ancestry look into.
pub(crate) fn register(context: &SessionContext) -> Arc<Lineage> {
    for function in text::FUNCTIONS.iter().chain(network::FUNCTIONS) {
        context.register_udf(ScalarUDF::from(TextFunction::new(function)));
    }
    lineage::register(context)
}

/// A function of texts. It gives null where an argument is null.
struct Declared {
    /// Name and arguments.
    usage: &'static str,
    doc: &'static str,
    eval: Eval,
}

/// What a function does with its arguments, of which there are one or two.
#[derive(Clone, Copy)]
enum Eval {
    Text(fn(&str) -> Option<String>),
    Number(fn(&str) -> f64),
    Truth(fn(&str) -> Option<bool>),
    TruthOfTwo(fn(&str, &str) -> Option<bool>),
    /// Whether the first argument, which most statements write once, has the second; null where it is none of its kind.
    Contained(fn(&str) -> Option<Contains>),
}

/// Whether something has what a text stands for.
type Contains = Box<dyn Fn(&str) -> Option<bool>>;

impl Eval {
    fn returns(self) -> DataType {
        match self {
            Eval::Text(_) => DataType::Utf8View,
            Eval::Number(_) => DataType::Float64,
            Eval::Truth(_) | Eval::TruthOfTwo(_) | Eval::Contained(_) => DataType::Boolean,
        }
    }

    fn arguments(self) -> usize {
        match self {
            Eval::TruthOfTwo(_) | Eval::Contained(_) => 2,
            Eval::Text(_) | Eval::Number(_) | Eval::Truth(_) => 1,
        }
    }
}

struct TextFunction {
    declared: &'static Declared,
    signature: Signature,
}

impl TextFunction {
    fn new(declared: &'static Declared) -> TextFunction {
        let arguments = vec![DataType::Utf8View; declared.eval.arguments()];
        TextFunction {
            declared,
            signature: Signature::exact(arguments, Volatility::Immutable),
        }
    }
}

impl fmt::Debug for TextFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", type_name::<TextFunction>(), self.declared.usage)
    }
}

impl PartialEq for TextFunction {
    fn eq(&self, other: &TextFunction) -> bool {
        self.declared.usage == other.declared.usage
    }
}

impl Eq for TextFunction {}

impl Hash for TextFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.declared.usage.hash(state);
    }
}

impl TextFunction {
    /// A mistyped constant would silently make every row null.
    fn check_constant(&self, args: &ScalarFunctionArgs) -> Result<()> {
        let (Eval::Contained(eval), Some(ColumnarValue::Scalar(first))) = (self.declared.eval, args.args.first())
        else {
            return Ok(());
        };
        match first.try_as_str().flatten() {
            Some(text) if eval(text).is_none() => {
                let usage = self.declared.usage;
                let what = usage.split(['(', ',']).nth(1).unwrap_or_default();
                exec_err!("{usage}: `{text}` is no {what}")
            }
            _ => Ok(()),
        }
    }
}

/// The name in `name(arguments)`.
fn name_of(usage: &'static str) -> &'static str {
    usage.split_once('(').map_or(usage, |(name, _)| name)
}

impl ScalarUDFImpl for TextFunction {
    fn name(&self) -> &str {
        name_of(self.declared.usage)
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.declared.eval.returns())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = arrays(&args)?;
        let one = |i: usize| match arrays.get(i) {
            Some(array) => Ok(array),
            None => exec_err!("{} misses an argument", self.declared.usage),
        };
        self.check_constant(&args)?;
        let first = one(0)?;
        let result: ArrayRef = match self.declared.eval {
            Eval::Text(eval) => {
                let mut out = StringViewBuilder::new();
                texts(first).for_each(|t| out.append_option(t.and_then(eval)));
                Arc::new(out.finish())
            }
            Eval::Number(eval) => {
                let mut out = Float64Builder::new();
                texts(first).for_each(|t| out.append_option(t.map(eval)));
                Arc::new(out.finish())
            }
            Eval::Truth(eval) => {
                let mut out = BooleanBuilder::new();
                texts(first).for_each(|t| out.append_option(t.and_then(eval)));
                Arc::new(out.finish())
            }
            Eval::TruthOfTwo(eval) => {
                let second = one(1)?;
                let mut out = BooleanBuilder::new();
                let pairs = texts(first).zip(texts(second));
                pairs.for_each(|(a, b)| out.append_option(a.zip(b).and_then(|(a, b)| eval(a, b))));
                Arc::new(out.finish())
            }
            Eval::Contained(eval) => Arc::new(contained(eval, first, one(1)?)),
        };
        Ok(ColumnarValue::Array(result))
    }
}

/// Makes of an equal first argument what holds others only once, and looks only once at what neighbours have in common.
fn contained(eval: fn(&str) -> Option<Contains>, first: &dyn Array, second: &dyn Array) -> BooleanArray {
    let mut holder: Option<(&str, Option<Contains>)> = None;
    let mut last: Option<(&str, Option<bool>)> = None;
    let mut truth = |a, b| {
        if holder.as_ref().is_none_or(|(text, _)| *text != a) {
            holder = Some((a, eval(a)));
            last = None;
        }
        if let Some((_, known)) = last.filter(|(text, _)| *text == b) {
            return known;
        }
        let found = holder.as_ref().and_then(|(_, contains)| contains.as_ref()?(b));
        last = Some((b, found));
        found
    };
    let pairs = texts(first).zip(texts(second));
    pairs.map(|(a, b)| a.zip(b).and_then(|(a, b)| truth(a, b))).collect()
}

/// The arguments of a call, each with a value for every row.
fn arrays(args: &ScalarFunctionArgs) -> Result<Vec<ArrayRef>> {
    args.args.iter().map(|a| a.to_array(args.number_rows)).collect()
}

fn texts(array: &dyn Array) -> impl Iterator<Item = Option<&str>> {
    array.as_string_view_opt().into_iter().flatten()
}
