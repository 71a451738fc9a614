//! Alerts as lines: Falco's text and JSON shapes. What an alert shares with others was made before; here it is copied.

use std::fmt::Write;

use ctrace_trace::calendar::{self, Iso8601};
use serde_json::{Map, Value as Json, json};

use super::said::{KeyValue, Part};
use super::{Alert, Extras, Shape, Values};
use crate::shown::{Escaping, Piece};

impl Alert {
    /// Appends the alert as a line that is safe to show, without a line feed: names in it are hostile. What would drive
    /// a terminal or mislead its reader is escaped, in JSON so that it says the same.
    ///
    /// Where the engine that raised it was told the shape ([`crate::Engine::printing`]), the line is there.
    pub fn print(&self, shape: Shape, extras: Extras<'_>, out: &mut String) {
        let escaping = shape.escaping();
        match (shape, self.line(shape)) {
            (Shape::Text, None) => self.write_text(extras, escaping, out),
            (Shape::Text, Some(line)) => {
                out.push_str(line);
                self.write_brackets(extras, escaping, out);
            }
            (Shape::Json, None) => self.write_json(extras, escaping, out),
            (Shape::Json, Some(line)) => {
                out.push('{');
                self.write_more(extras, escaping, out);
                out.push_str(line.get(1..).unwrap_or_default());
            }
        }
    }

    /// The line as it was made beforehand.
    fn line(&self, shape: Shape) -> Option<&str> {
        let (made, from, to) = self.line?;
        let lines = self.values.lines.get(from as usize..to as usize);
        lines.filter(|_| made == shape)
    }

    /// Makes the line without extras.
    pub(super) fn make_line(&mut self, shape: Shape, values: &mut Values) {
        let from = values.lines.len() as u32;
        let mut lines = std::mem::take(&mut values.lines);
        match shape {
            Shape::Text => self.write_output(values, shape.escaping(), &mut lines),
            Shape::Json => {
                lines.push('{');
                self.write_rest(values, shape.escaping(), &mut lines);
            }
        }
        self.line = Some((shape, from, lines.len() as u32));
        values.lines = lines;
    }

    /// `HH:MM:SS.nnnnnnnnn: Priority message`, time of day in UTC; control characters escaped as JSON escapes them. What
    /// Falco does not say follows in brackets.
    pub fn text(&self) -> String {
        self.text_with(Extras::default())
    }

    /// The same with more in brackets.
    pub fn text_with(&self, extras: Extras<'_>) -> String {
        let mut out = String::new();
        self.write_text(extras, Escaping::Json, &mut out);
        out
    }

    /// One object in Falco's alert shape, keys sorted as Falco's are. What Falco does not say stands under one more key,
    /// `ctrace`, which is there only when there is something to say.
    pub fn json(&self) -> String {
        self.json_with(Extras::default())
    }

    /// The same with more under `ctrace`.
    pub fn json_with(&self, extras: Extras<'_>) -> String {
        let mut out = String::new();
        self.write_json(extras, Escaping::Json, &mut out);
        out
    }

    /// The rule's output with its fields filled in.
    pub fn message(&self) -> String {
        let mut out = String::new();
        self.write_message(&self.values, Escaping::None, &mut out);
        out
    }

    /// The fields of the output with their values, typed, by name.
    pub fn fields(&self) -> Map<String, Json> {
        let fields = self.said.keys.iter();
        fields
            .map(|key| (key.name.clone(), self.key_value(key.value)))
            .collect()
    }

    /// The value of a field of the output.
    pub fn field(&self, name: &str) -> Option<Json> {
        let key = self.said.keys.iter().find(|key| key.name == name)?;
        Some(self.key_value(key.value))
    }

    /// [`Alert::fields`] as the text of a JSON object.
    pub fn fields_json(&self) -> String {
        let mut out = String::new();
        self.write_fields(&self.values, Escaping::Json, &mut out);
        out
    }

    fn key_value(&self, value: KeyValue) -> Json {
        match value {
            KeyValue::Slot(slot) => self.values.page.json(self.value(&self.values, slot)),
            KeyValue::Time => self.ts.into(),
            KeyValue::Null => Json::Null,
        }
    }

    fn write_text(&self, extras: Extras<'_>, escaping: Escaping, out: &mut String) {
        self.write_output(&self.values, escaping, out);
        self.write_brackets(extras, escaping, out);
    }

    fn write_brackets(&self, extras: Extras<'_>, escaping: Escaping, out: &mut String) {
        if let Some(missing) = &self.incomplete {
            let lost = match missing.lost {
                0 => "uncounted".to_owned(),
                lost => lost.to_string(),
            };
            if !missing.sources.is_empty() {
                let sources = missing.sources.join(", ");
                escaping.push(&format!(" [incomplete: {lost} events of {sources} lost near it]"), out);
            }
            if !missing.forgotten.is_empty() {
                let forgotten = missing.forgotten.join(", ");
                escaping.push(&format!(" [incomplete: {forgotten} forgotten near it]"), out);
            }
        }
        if let Some((reason, at)) = extras.suppressed {
            escaping.push(&format!(" [suppressed: {reason} ({at})]"), out);
        }
        if extras.ids {
            // Writing to a string cannot fail.
            let _ = write!(out, " [event {} id {}]", self.event, self.id());
        }
    }

    fn write_output(&self, values: &Values, escaping: Escaping, out: &mut String) {
        calendar::push_time_of_day(self.ts, out);
        out.push_str(": ");
        out.push_str(self.said.priority.name());
        out.push(' ');
        self.write_message(values, escaping, out);
    }

    fn write_message(&self, values: &Values, escaping: Escaping, out: &mut String) {
        for part in &self.said.parts {
            match part {
                Part::Text(text) => text.push(escaping, out),
                Part::Value(slot, width) => values.page.write(self.value(values, *slot), *width, escaping, out),
            }
        }
    }

    fn write_fields(&self, values: &Values, escaping: Escaping, out: &mut String) {
        out.push('{');
        for key in &self.said.keys {
            key.json.push(escaping, out);
            match key.value {
                KeyValue::Slot(slot) => values.page.write_json(self.value(values, slot), escaping, out),
                KeyValue::Time => out.push_str(itoa::Buffer::new().format(self.ts)),
                KeyValue::Null => out.push_str("null"),
            }
        }
        out.push('}');
    }

    fn write_json(&self, extras: Extras<'_>, escaping: Escaping, out: &mut String) {
        out.push('{');
        self.write_more(extras, escaping, out);
        self.write_rest(&self.values, escaping, out);
    }

    /// What stands behind the key `ctrace`.
    fn write_rest(&self, values: &Values, escaping: Escaping, out: &mut String) {
        self.origin.json.push(escaping, out);
        out.push_str(",\"output\":\"");
        self.write_output(values, escaping, out);
        out.push_str("\",\"output_fields\":");
        self.write_fields(values, escaping, out);
        self.said.before_source.push(escaping, out);
        out.push('"');
        out.push_str(self.source);
        out.push('"');
        self.said.before_time.push(escaping, out);
        calendar::push_iso8601(self.ts, out);
        out.push_str("\"}");
    }

    /// What stands under the key `ctrace`.
    fn write_more(&self, extras: Extras<'_>, escaping: Escaping, out: &mut String) {
        let mut more = Map::new();
        if extras.ids || self.incomplete.is_some() {
            more.insert("complete".to_owned(), self.incomplete.is_none().into());
        }
        if extras.ids {
            more.insert("event".to_owned(), self.event.into());
            more.insert("id".to_owned(), self.id().into());
        }
        if let Some(missing) = &self.incomplete {
            let mut gap = json!({
                "lost": missing.lost,
                "from": Iso8601(missing.from_ts).to_string(),
                "to": Iso8601(missing.to_ts).to_string(),
                "sources": missing.sources,
            });
            if !missing.forgotten.is_empty() {
                gap["forgotten"] = json!(missing.forgotten);
            }
            more.insert("losses".to_owned(), gap);
        }
        if let Some((reason, at)) = extras.suppressed {
            more.insert("suppressed".to_owned(), json!({ "reason": reason, "by": at }));
        }
        if !more.is_empty() {
            out.push_str("\"ctrace\":");
            Piece::json(Json::Object(more).to_string()).push(escaping, out);
            out.push(',');
        }
    }
}
