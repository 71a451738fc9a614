//! Functions that read audit records: what `ausearch -i` shows of them, with the names that the host's snapshots have.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, StringViewBuilder};
use arrow::datatypes::DataType;
use ctrace_trace::audit::{Interpreter, Names, Record, fields};
use ctrace_trace::escape;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::prelude::SessionContext;

use super::{arrays, matches, name_of, texts};
use crate::source::CaseSource;

pub(super) const DOCS: [(&str, &str); 4] = [
    (
        "audit_field(record, field)",
        "A field of an audit record as it stands there; null where it has none of that name.",
    ),
    (
        "audit_interpret(record, host)",
        "An audit record as `ausearch -i` shows it, with the host's names of users and groups.",
    ),
    (
        "audit_matches(records, syscall, field, pattern)",
        "The numbers, from 1, of the records of an audit event with a value of the field that a regular expression \
         matches; where the field is '', with any text that it matches.",
    ),
    (
        "audit_value(record, field, host)",
        "What a field of an audit record means: the name of a user, an error, flags, decoded text.",
    ),
];

/// Makes the functions known. Names are those of the cases; an export has only what auditd wrote beside its records.
pub(crate) fn register(context: &SessionContext, cases: &[Arc<CaseSource>]) {
    let hosts = Arc::new(Hosts {
        cases: cases.to_vec(),
        names: OnceLock::new(),
    });
    matches::register(context);
    let [field, interpret, _, value] = DOCS;
    for (what, (usage, _)) in [(What::Field, field), (What::Record, interpret), (What::Value, value)] {
        let arguments = vec![DataType::Utf8View; usage.split(',').count()];
        context.register_udf(ScalarUDF::from(Function {
            what,
            usage,
            signature: Signature::exact(arguments, Volatility::Stable),
            hosts: hosts.clone(),
        }));
    }
}

/// Names of users and groups, by host; read when they are first needed.
#[derive(Debug)]
struct Hosts {
    cases: Vec<Arc<CaseSource>>,
    names: OnceLock<BTreeMap<String, Names>>,
}

impl Hosts {
    fn names(&self, host: &str) -> &Names {
        static NONE: OnceLock<Names> = OnceLock::new();
        let all = self.names.get_or_init(|| {
            let mut all: BTreeMap<String, Names> = BTreeMap::new();
            for case in &self.cases {
                let names = all.entry(case.host().to_owned()).or_default();
                let snapshots = case.case().segments().iter().map(|s| s.snapshot());
                // What cannot be read is told by the tables that show it.
                snapshots.flatten().flatten().for_each(|s| names.learn(&s));
            }
            all
        });
        all.get(host).unwrap_or_else(|| NONE.get_or_init(Names::default))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum What {
    Field,
    Record,
    Value,
}

#[derive(Debug)]
struct Function {
    what: What,
    usage: &'static str,
    signature: Signature,
    hosts: Arc<Hosts>,
}

impl PartialEq for Function {
    fn eq(&self, other: &Function) -> bool {
        self.what == other.what && Arc::ptr_eq(&self.hosts, &other.hosts)
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.what.hash(state);
    }
}

impl Function {
    fn of_record(&self, record: &str, second: Option<&str>, third: Option<&str>) -> Option<String> {
        let record = Record::parse_line(record.as_bytes()).ok()?;
        match self.what {
            What::Field => {
                let field = fields(record.body).find(|f| Some(f.name) == second.map(str::as_bytes))?;
                Some(escape::lossless(field.value.text()).into_owned())
            }
            What::Record => {
                let names = self.hosts.names(second.unwrap_or_default());
                Some(Interpreter::new(names).line(&record))
            }
            What::Value => {
                let names = self.hosts.names(third.unwrap_or_default());
                let value = Interpreter::new(names).field(&record, second?.as_bytes())?;
                Some(escape::lossless(&value).into_owned())
            }
        }
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        name_of(self.usage)
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = arrays(&args)?;
        let Some(records) = arrays.first() else {
            return exec_err!("{} misses an argument", self.usage);
        };
        let column = |at: usize| -> Box<dyn Iterator<Item = Option<&str>>> {
            match arrays.get(at) {
                Some(array) => Box::new(texts(array)),
                None => Box::new(std::iter::repeat_n(None, records.len())),
            }
        };
        let mut out = StringViewBuilder::with_capacity(records.len());
        for ((record, second), third) in texts(records).zip(column(1)).zip(column(2)) {
            out.append_option(record.and_then(|r| self.of_record(r, second, third)));
        }
        Ok(ColumnarValue::Array(Arc::new(out.finish())))
    }
}
