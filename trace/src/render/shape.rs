//! What can be told of the arguments of an event type before any event is looked at.

use super::{DATA, Rendered, data, declared, ends, find, has_tuple, image, is_ambiguous, result_name, returned};
use crate::block::decoded::EventView;
use crate::event::Source;
use crate::schema::EventSpec;

/// The parameters of an event type as Falco shows them. Names are compared once, for many events.
#[derive(Clone, Copy, Debug)]
pub struct Shape<'s> {
    spec: &'s EventSpec,
    /// Name of the result.
    result: Option<&'static str>,
    has_tuple: bool,
    /// Names of what the process image holds.
    of_image: &'static [&'static str],
    /// Whether it is known that no two parameters have the same name.
    has_distinct_names: bool,
}

impl<'s> Shape<'s> {
    /// For many events.
    pub fn of(spec: &'s EventSpec) -> Shape<'s> {
        let shape = Shape::passing(spec);
        let fixed = shape.result.into_iter().chain(shape.of_image.iter().copied());
        let mut names = fixed.chain(spec.params.iter().map(|p| p.name.as_str()));
        Shape {
            has_distinct_names: names.all(|name| name != "raw" && !is_ambiguous(spec, name)),
            ..shape
        }
    }

    /// For one event.
    pub(super) fn passing(spec: &'s EventSpec) -> Shape<'s> {
        Shape {
            spec,
            result: spec.has_ret.then(|| result_name(spec)),
            has_tuple: has_tuple(spec),
            of_image: image::names(spec),
            has_distinct_names: false,
        }
    }

    /// Appends all arguments of an event of the type (`evt.args`).
    pub fn write_args(&self, event: EventView<'s>, out: &mut Vec<u8>) {
        let start = out.len();
        let mut data = data(event);
        let mut write = |name: &str, rendered: Rendered<'_>| {
            if out.len() > start {
                out.push(b' ');
            }
            out.extend_from_slice(name.as_bytes());
            out.push(b'=');
            rendered.write(out);
        };
        self.parameters(event, |name, rendered| {
            write(name, rendered);
            // Behind the first one.
            if let Some(data) = data.take() {
                write(DATA, data);
            }
        });
        if let Some(data) = data {
            write(DATA, data);
        }
    }

    /// Appends what [`super::named`] gives for each name that an event of the type has, in Falco's order, without the
    /// source's own text and bytes that were read or written: `begin`, then `NAME=VALUE`, each followed by a call of `end`
    /// with the place where the name began.
    pub(crate) fn write_each(
        &self,
        event: EventView<'s>,
        out: &mut Vec<u8>,
        begin: &[u8],
        mut end: impl FnMut(&mut Vec<u8>, usize),
    ) {
        let mut known = Known::default();
        self.parameters(event, |name, rendered| {
            if !self.has_distinct_names && (name == "raw" || !known.insert(name)) {
                return;
            }
            // Several parameters may have a name; which one it means `find` knows.
            let shown = if !self.has_distinct_names && is_ambiguous(self.spec, name) {
                find(event, name)
            } else {
                Some(rendered)
            };
            if let Some(shown) = shown {
                out.extend_from_slice(begin);
                let start = out.len();
                out.extend_from_slice(name.as_bytes());
                out.push(b'=');
                shown.write_shown(out);
                end(out, start);
            }
        });
    }

    /// Tells the parameters that the event has, in Falco's order: result, tuple, process image, then as declared.
    pub(super) fn parameters(&self, event: EventView<'s>, mut tell: impl FnMut(&'s str, Rendered<'s>)) {
        let spec = self.spec;
        let mut push = |name, rendered: Option<_>| {
            if let Some(rendered) = rendered {
                tell(name, rendered);
            }
        };
        if let Some(name) = self.result {
            push(name, returned(event, spec));
        }
        if self.has_tuple {
            push("tuple", ends(event));
        }
        for name in self.of_image {
            push(name, image::parameter(event, spec, name));
        }
        let several = spec.params.len() > 1;
        for (slot, param) in spec.params.iter().enumerate() {
            // The source's own text repeats what the parameters before it say.
            let repeats = several && spec.source != Source::Syscall && param.name == "raw";
            if !repeats && !self.of_image.contains(&param.name.as_str()) {
                push(&param.name, declared(event, spec, slot));
            }
        }
    }
}

/// Names that were met.
#[derive(Default)]
struct Known<'a> {
    first: [&'a str; 8],
    len: usize,
    more: Vec<&'a str>,
}

impl<'a> Known<'a> {
    /// Whether it is new.
    fn insert(&mut self, name: &'a str) -> bool {
        let first = self.first.get(..self.len).unwrap_or_default();
        if first.contains(&name) || self.more.contains(&name) {
            return false;
        }
        match self.first.get_mut(self.len) {
            Some(free) => {
                *free = name;
                self.len += 1;
            }
            None => self.more.push(name),
        }
        true
    }
}
