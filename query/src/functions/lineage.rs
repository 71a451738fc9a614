//! Functions of ancestry: `ancestors`, `descends_from`.
//!
//! They look into table `processes`, which the session reads before it plans a statement that names one of them.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::iter::successors;
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, ArrayRef, AsArray, BooleanBuilder, ListBuilder, StringBuilder};
use arrow::datatypes::{DataType, Field, Int64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::prelude::SessionContext;

use super::{arrays, name_of};

pub(super) const DOCS: [(&str, &str); 2] = [
    (
        "ancestors(process_key)",
        "The names of the programs from the parent of a process upwards, as a list.",
    ),
    (
        "descends_from(process_key, program)",
        "Whether an ancestor of a process has this name or this path.",
    ),
];

/// No chain of parents is followed further: a hostile one may go in a circle.
const MAX_DEPTH: usize = 1024;

/// A process as ancestry knows it.
#[derive(Debug)]
struct Member {
    parent: Option<i64>,
    name: Option<String>,
    exe_path: Option<String>,
}

/// The processes of a session by key; empty until it is needed.
#[derive(Debug, Default)]
pub(crate) struct Lineage(OnceLock<BTreeMap<i64, Member>>);

impl Lineage {
    /// Reads table `processes` where a statement names one of the functions, once.
    pub(crate) async fn prepare(&self, context: &SessionContext, statement: &str) -> Result<()> {
        let lower = statement.to_lowercase();
        if self.0.get().is_some() || !DOCS.iter().any(|(usage, _)| lower.contains(name_of(usage))) {
            return Ok(());
        }
        const SQL: &str = "SELECT process_key, parent_key, CAST(name AS VARCHAR), CAST(exe_path AS VARCHAR)
                           FROM processes WHERE process_key IS NOT NULL";
        let mut members = BTreeMap::new();
        for batch in context.sql(SQL).await?.collect().await? {
            let key = |at: usize| batch.column(at).as_primitive_opt::<Int64Type>();
            let texts =
                |at: usize| -> Vec<Option<String>> { texts(batch.column(at)).map(|t| t.map(str::to_owned)).collect() };
            let (Some(keys), Some(parents)) = (key(0), key(1)) else {
                continue;
            };
            let names = texts(2).into_iter().zip(texts(3));
            for ((key, parent), (name, exe_path)) in keys.iter().zip(parents).zip(names) {
                members.extend(key.map(|key| (key, Member { parent, name, exe_path })));
            }
        }
        self.0.get_or_init(|| members);
        Ok(())
    }

    /// The ancestors of a process, from its parent upwards.
    fn ancestors(&self, key: i64) -> impl Iterator<Item = &Member> {
        let find = |key: i64| self.0.get()?.get(&key);
        let parent = move |member: &&Member| find(member.parent?);
        successors(find(key), parent).skip(1).take(MAX_DEPTH)
    }
}

fn texts(array: &dyn Array) -> Box<dyn Iterator<Item = Option<&str>> + '_> {
    match array.data_type() {
        DataType::Utf8View => Box::new(array.as_string_view().iter()),
        DataType::Utf8 => Box::new(array.as_string::<i32>().iter()),
        _ => Box::new(std::iter::repeat_n(None, array.len())),
    }
}

/// Makes the functions known.
pub(super) fn register(context: &SessionContext) -> Arc<Lineage> {
    let lineage = Arc::new(Lineage::default());
    let function = |signature, what| Function {
        what,
        signature: Signature::exact(signature, Volatility::Stable),
        lineage: lineage.clone(),
    };
    let ancestors = function(vec![DataType::Int64], What::Ancestors);
    let descends = function(vec![DataType::Int64, DataType::Utf8View], What::DescendsFrom);
    context.register_udf(ScalarUDF::from(ancestors));
    context.register_udf(ScalarUDF::from(descends));
    lineage
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum What {
    Ancestors,
    DescendsFrom,
}

#[derive(Debug)]
struct Function {
    what: What,
    signature: Signature,
    lineage: Arc<Lineage>,
}

impl PartialEq for Function {
    fn eq(&self, other: &Function) -> bool {
        self.what == other.what && Arc::ptr_eq(&self.lineage, &other.lineage)
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.what.hash(state);
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        let [ancestors, descends] = DOCS;
        match self.what {
            What::Ancestors => name_of(ancestors.0),
            What::DescendsFrom => name_of(descends.0),
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.what {
            What::Ancestors => DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true))),
            What::DescendsFrom => DataType::Boolean,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = arrays(&args)?;
        let Some(keys) = arrays.first().and_then(|a| a.as_primitive_opt::<Int64Type>()) else {
            return exec_err!("{} takes a key of table processes", self.name());
        };
        let result: ArrayRef = match (self.what, arrays.get(1).and_then(|a| a.as_string_view_opt())) {
            (What::DescendsFrom, Some(programs)) => {
                let mut out = BooleanBuilder::with_capacity(keys.len());
                for (key, program) in keys.iter().zip(programs) {
                    let is = |m: &Member, program: &str| {
                        m.name.as_deref() == Some(program) || m.exe_path.as_deref() == Some(program)
                    };
                    let found = |(key, program)| self.lineage.ancestors(key).any(|m| is(m, program));
                    out.append_option(key.zip(program).map(found));
                }
                Arc::new(out.finish())
            }
            _ => {
                let mut out = ListBuilder::new(StringBuilder::new());
                for key in keys {
                    for member in key.into_iter().flat_map(|key| self.lineage.ancestors(key)) {
                        out.values().append_option(member.name.as_deref());
                    }
                    out.append(key.is_some());
                }
                Arc::new(out.finish())
            }
        };
        Ok(ColumnarValue::Array(result))
    }
}
