//! Sigma: rules in YAML that name fields of log sources. They become rules of the same typed form as Falco's, over the
//! events that stand for their log source.

mod compile;
mod condition;
mod correlation;
mod detection;
mod document;
mod logsource;
mod matcher;
mod pattern;
mod placeholder;
mod read;
mod refusal;
mod window;

use crate::rules::{Bad, Checked, Language, Loader, Node, Verdict};

pub(crate) use compile::compile;
pub(crate) use document::Document;
pub(crate) use read::is_document;
pub(crate) use window::{Correlator, Resolved};

/// Reads one document; what is wrong with it is reported.
pub(crate) fn read(node: &Node<'_>, loader: &mut Loader) {
    match read::document(node, loader) {
        Ok(document) => loader.sigma.push(document),
        Err(Bad(origin, message)) => {
            let (name, at) = node
                .get("title")
                .and_then(|n| n.scalar())
                .unwrap_or(("(without a title)", node.origin()));
            let verdict = Verdict::Wrong(message.clone());
            let checked = Checked::new(name, Language::Sigma, at, verdict, &loader.sources);
            loader.checked.push(checked);
            loader.error(origin, message);
        }
    }
}
