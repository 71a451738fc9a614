//! Fields of how long a call took: `evt.latency`.

use super::{Field, FieldType, Getter, Value, field};
use crate::block::Need;
use crate::block::decoded::EventView;
use FieldType::{Duration, Str, Uint};
use Getter::Event;

fn latency(e: EventView<'_>, show: fn(u64) -> Value<'static>) -> Value<'static> {
    e.latency().map_or(Value::Absent, show)
}

/// A length of time in its largest unit, with a fraction where the number is below ten, cut and not rounded; of seconds
/// always.
fn short_time(ns: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")];
    let Some((unit, name)) = UNITS.into_iter().find(|(unit, _)| ns >= *unit) else {
        return format!("{ns}ns");
    };
    if ns >= 10 * unit && name != "s" {
        return format!("{}{name}", ns / unit);
    }
    format!("{}.{:02}{name}", ns / unit, ns % unit / (unit / 100))
}

pub(super) const FIELDS: &[Field] = &[
    field(
        "evt.latency",
        "evt_latency",
        Duration,
        "How long the call took, from its beginning to its end; absent where the beginning is not recorded: known of what was imported from `.scap` and `strace -T`.",
        Event(|e, _| latency(e, |ns| i64::try_from(ns).map_or(Value::Absent, Value::Int))),
    )
    .reading(Need::LATENCY),
    field(
        "evt.latency.s",
        "evt_latency_s",
        Uint,
        "Whole seconds of `evt.latency`.",
        Event(|e, _| latency(e, |ns| Value::Uint(ns / 1_000_000_000))),
    )
    .reading(Need::LATENCY)
    .no_column(),
    field(
        "evt.latency.ns",
        "evt_latency_ns",
        Uint,
        "Nanoseconds of `evt.latency` within the second.",
        Event(|e, _| latency(e, |ns| Value::Uint(ns % 1_000_000_000))),
    )
    .reading(Need::LATENCY)
    .no_column(),
    field(
        "evt.latency.human",
        "evt_latency_human",
        Str,
        "`evt.latency` for people, as sysdig prints it (`3.95us`, `16ms`, `1.20s`).",
        Event(|e, _| latency(e, |ns| Value::owned(short_time(ns)))),
    )
    .reading(Need::LATENCY)
    .no_column(),
];

#[cfg(test)]
mod tests {
    use super::short_time;

    #[test]
    fn lengths_of_time_are_those_of_sysdig() {
        let cases = [
            (0, "0ns"),
            (930, "930ns"),
            (1_714, "1.71us"),
            (3_951, "3.95us"),
            (5_238, "5.23us"),
            (10_000, "10us"),
            (83_088, "83us"),
            (1_000_000, "1.00ms"),
            (16_149_952, "16ms"),
            (213_279_226, "213ms"),
            (1_000_000_000, "1.00s"),
            (75_999_999_999, "75.99s"),
        ];
        for (ns, shown) in cases {
            assert_eq!(short_time(ns), shown);
        }
    }
}
