//! Which windows of a recording are incomplete, in words.

use ctrace_trace::case::Loss;
use ctrace_trace::escape;
use ctrace_trace::names;
use ctrace_trace::schema::NameSet;
use serde_json::{Value, json};

use crate::output::{self, time};

/// Losses of a kind whose windows touch, as one; in the order in which they began.
pub(crate) fn windows(losses: &[Loss]) -> Vec<Loss> {
    let mut sorted: Vec<&Loss> = losses.iter().collect();
    let kind = |l: &Loss| (l.source.clone(), l.class, l.cpu, l.reason.clone());
    sorted.sort_by_key(|l| (kind(l), l.from_ts, l.to_ts));
    let mut windows: Vec<Loss> = Vec::new();
    for loss in sorted {
        match windows.last_mut() {
            Some(before) if kind(before) == kind(loss) && loss.from_ts <= before.to_ts => {
                before.to_ts = before.to_ts.max(loss.to_ts);
                before.count = before.count.saturating_add(loss.count);
            }
            _ => windows.push(loss.clone()),
        }
    }
    windows.sort_by_key(|l| (l.from_ts, l.to_ts, kind(l)));
    windows
}

/// One window: how much of what, when.
pub(crate) fn line(loss: &Loss) -> String {
    let many = match loss.count {
        0 => "uncounted".to_owned(),
        count => count.to_string(),
    };
    let reason = match loss.reason.as_str() {
        "" => String::new(),
        reason => format!(": {reason}"),
    };
    let (from, to) = (time(loss.from_ts), time(loss.to_ts));
    let (source, class) = (&loss.source, class(loss));
    escape::text(&format!("{many} {source} ({class}{reason}) between {from} and {to}"))
}

/// The same as JSON.
pub(crate) fn json(loss: &Loss) -> Value {
    json!({
        "source": loss.source, "class": class(loss), "count": loss.count, "cpu": loss.cpu,
        "from": time(loss.from_ts), "to": time(loss.to_ts), "reason": loss.reason,
    })
}

/// How many events are missing together.
pub(crate) fn total(losses: &[Loss]) -> String {
    let of_events = || losses.iter().filter(|l| l.is_of_events());
    let lost = of_events().fold(0u64, |sum, l| sum.saturating_add(l.count));
    match of_events().any(|l| l.count == 0) {
        true if lost == 0 => "uncounted events".to_owned(),
        true => format!("more than {lost} events"),
        false => output::count(lost, "event"),
    }
}

/// The name of what was lost.
pub(crate) fn class(loss: &Loss) -> String {
    names::value(NameSet::GapClass, loss.class).map_or_else(|| loss.class.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(class: i64, count: u64, from_ts: u64, to_ts: u64) -> Loss {
        Loss {
            seq: 0,
            source: "syscalls".to_owned(),
            class,
            count,
            cpu: -1,
            from_ts,
            to_ts,
            reason: String::new(),
        }
    }

    #[test]
    fn windows_that_touch_are_one() {
        let losses = [
            loss(7, 0, 30, 40),
            loss(0, 5, 12, 13),
            loss(7, 0, 10, 20),
            loss(7, 0, 20, 25),
        ];
        let spans: Vec<_> = windows(&losses).iter().map(|l| (l.class, l.from_ts, l.to_ts)).collect();
        assert_eq!(spans, [(7, 10, 25), (0, 12, 13), (7, 30, 40)]);
        assert_eq!(total(&losses), "more than 5 events");
        assert_eq!(total(&losses[1..2]), "5 events");
        assert_eq!(
            total(&[loss(9, 7, 10, 20)]),
            "0 events",
            "what was forgotten is no events"
        );
        let told = line(&losses[0]);
        assert!(
            told.starts_with("uncounted syscalls (shed_bulk) between 1970"),
            "{told}"
        );
    }
}
