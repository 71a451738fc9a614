//! Finding a rule by what a person types of its name.

use thiserror::Error;

use super::RuleSet;

/// Why a name means no rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// No rule's name begins so.
    #[error("no rule is called '{0}'")]
    Unknown(String),
    /// The names of several rules begin so.
    #[error("'{name}' may be {}", quoted(.rules))]
    Ambiguous {
        /// What was given.
        name: String,
        /// The names that begin so.
        rules: Vec<String>,
    },
}

fn quoted(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|n| format!("'{n}'")).collect();
    names.join(", ")
}

impl RuleSet {
    /// The index in [`RuleSet::rules`] of the rule of a name; of the only one whose name begins so, in capitals or not,
    /// where none has it.
    ///
    /// # Errors
    /// Where no rule's name begins so, or several do.
    pub fn named(&self, name: &str) -> Result<usize, NameError> {
        let rules = || self.rules.iter().enumerate();
        if let Some((at, _)) = rules().find(|(_, r)| r.name == name) {
            return Ok(at);
        }
        let lower = name.to_lowercase();
        let near: Vec<_> = rules()
            .filter(|(_, r)| r.name.to_lowercase().starts_with(&lower))
            .collect();
        match near.as_slice() {
            [(at, _)] => Ok(*at),
            [] => Err(NameError::Unknown(name.to_owned())),
            several => Err(NameError::Ambiguous {
                name: name.to_owned(),
                rules: several.iter().map(|(_, r)| r.name.clone()).collect(),
            }),
        }
    }
}
