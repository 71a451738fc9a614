//! Events that have a field's basis in common have the same value: an export computes it once for all of them.

use std::collections::BTreeMap;
use std::path::Path;

use ctrace_trace::block::Need;
use ctrace_trace::block::decoded::EventView;
use ctrace_trace::case::Case;
use ctrace_trace::catalogue::{self, Basis, Domain, Field, FieldArg, packed};
use ctrace_trace::segment::BlockReader;

/// What the basis says of an event, as text; `None` where every event may have a value of its own.
fn common(basis: Basis, event: EventView<'_>) -> Option<String> {
    let block = event.block;
    let (kind, fd) = (block.kind[event.row], block.fd[event.row]);
    let result = (event.ret(), event.fd_num());
    Some(match basis {
        Basis::Event => return None,
        Basis::Cpu => format!("{}", event.cpu()),
        Basis::Result => format!("{kind} {result:?}"),
        Basis::ObjectKind => format!("{kind} {:?}", event.fd().map(|fd| fd.entry.kind)),
        Basis::ContainerObject => format!("{fd} {:?}", event.image().and_then(|p| p.entry.container)),
        Basis::Arguments => {
            let spec = event.spec()?;
            let args: Vec<_> = (0..spec.params.len()).map(|slot| event.arg(slot)).collect();
            let thread = Basis::has_thread(spec).then_some(block.context[event.row]);
            let object = Basis::has_object(spec).then_some(fd);
            format!("{kind} {result:?} {args:?} {:?} {thread:?} {object:?}", event.data())
        }
    })
}

fn fields() -> Vec<&'static Field> {
    let of_events = |f: &&Field| f.domain() == Domain::Event && f.column.is_some();
    catalogue::all().chain(packed::PACKED).filter(of_events).collect()
}

#[test]
fn events_with_a_basis_in_common_have_the_same_value() {
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/attack/case");
    let case = Case::open(&case).expect("the sample is there");
    let mut reader = BlockReader::new();
    let mut in_common = BTreeMap::new();
    for block in case.blocks() {
        let decoded = reader.read(block, Need::ALL).expect("the sample is whole");
        for field in fields() {
            let mut known = BTreeMap::new();
            for event in decoded.events() {
                let Some(common) = common(field.basis(), event) else {
                    continue;
                };
                let value = field.of(event, &FieldArg::None);
                let first = known.entry(common).or_insert_with_key(|_| value.clone());
                assert_eq!(*first, value, "{} of event {}", field.name, event.seq());
                *in_common.entry(format!("{:?}", field.basis())).or_insert(0) += 1;
            }
        }
    }
    for basis in ["Cpu", "Result", "ObjectKind", "ContainerObject", "Arguments"] {
        assert!(
            in_common.get(basis).is_some_and(|n| *n > 1000),
            "{basis}: {in_common:?}"
        );
    }
}
