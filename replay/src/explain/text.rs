//! Explanations as text and as JSON.

use serde_json::{Map, Value as Json, json};

use super::{Explained, Explanation, Step};

impl Explanation {
    /// The whole answer: the verdict, with what is known `about` the event, the conditions, and what decided.
    pub fn report(&self, about: Option<&str>) -> Vec<String> {
        let verdict = if self.fires { "fires" } else { "does not fire" };
        let about = about.map_or_else(String::new, |about| format!(", {about}"));
        let mut lines = vec![format!("rule '{}' {verdict} on event {}{about}", self.rule, self.event)];
        if let Some((rule, event)) = &self.other_source {
            lines.push(format!(
                "the rule is about events of source {rule}, the event is of source {event}"
            ));
        }
        lines.extend(self.lines());
        if self.other_source.is_none() {
            lines.push("decided by:".to_owned());
            let deciding = self.tree.deciding();
            lines.extend(deciding.iter().map(|d| format!("  {}", d.sentence())));
        }
        lines
    }

    /// The tree, one part a line: `*` before what decided, then its truth, then the part, then what it looked at.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        self.tree
            .lines(self.other_source.is_none(), 0, &mut Vec::new(), &mut lines);
        lines
    }

    /// The same as one JSON object.
    pub fn json(&self) -> Json {
        let decided = self.tree.deciding().iter().map(|d| d.sentence()).collect::<Vec<_>>();
        let mut out = Map::new();
        out.insert("rule".to_owned(), self.rule.as_str().into());
        out.insert("event".to_owned(), self.event.into());
        out.insert("fires".to_owned(), self.fires.into());
        if let Some((rule, event)) = &self.other_source {
            out.insert("source_of_rule".to_owned(), rule.as_str().into());
            out.insert("source_of_event".to_owned(), event.as_str().into());
        }
        out.insert("decided_by".to_owned(), decided.into());
        out.insert(
            "condition".to_owned(),
            self.tree.json(self.other_source.is_none(), &mut Vec::new()),
        );
        Json::Object(out)
    }
}

impl Step {
    /// The word for it.
    fn label(&self) -> String {
        match self {
            Step::And => "and".to_owned(),
            Step::Or => "or".to_owned(),
            Step::Not => "not".to_owned(),
            Step::Macro(name) => format!("macro {name}"),
            Step::Exception(name) => format!("exception {name}: not"),
            Step::Check { text, .. } => text.clone(),
        }
    }
}

impl Explained {
    fn lines<'a>(&'a self, decided: bool, depth: usize, entered: &mut Vec<&'a str>, out: &mut Vec<String>) {
        let mark = if decided { '*' } else { ' ' };
        let mut line = format!(
            "{mark} {:<5} {:indent$}{}",
            self.holds,
            "",
            self.step.label(),
            indent = 2 * depth
        );
        match &self.step {
            Step::Check { value, .. } => line.push_str(&format!("   [{value}]")),
            Step::Macro(name) if entered.contains(&name.as_str()) => {
                line.push_str("   [as above]");
                out.push(line);
                return;
            }
            Step::Macro(name) => entered.push(name),
            _ => {}
        }
        out.push(line);
        for child in &self.children {
            child.lines(decided && self.is_decided_by(child), depth + 1, entered, out);
        }
    }

    fn json<'a>(&'a self, decided: bool, entered: &mut Vec<&'a str>) -> Json {
        let mut out = json!({ "part": self.step.label(), "holds": self.holds, "decided": decided });
        let Some(object) = out.as_object_mut() else { return out };
        match &self.step {
            Step::Check { value, .. } => _ = object.insert("value".to_owned(), value.as_str().into()),
            Step::Macro(name) if entered.contains(&name.as_str()) => return out,
            Step::Macro(name) => entered.push(name),
            _ => {}
        }
        if !self.children.is_empty() {
            let parts = self.children.iter();
            let parts: Vec<Json> = parts
                .map(|c| c.json(decided && self.is_decided_by(c), entered))
                .collect();
            object.insert("parts".to_owned(), parts.into());
        }
        out
    }
}
