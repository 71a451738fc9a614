//! Why a document does not become a rule.

use crate::source::Origin;

/// Why a rule does not become one.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) origin: Origin,
    pub(super) message: String,
    /// Whether the rule is right, and it is the data that is missing.
    pub(super) needs: bool,
}

impl Refusal {
    pub(super) fn wrong(origin: Origin, message: String) -> Refusal {
        Refusal {
            origin,
            message,
            needs: false,
        }
    }

    pub(super) fn needs(origin: Origin, message: String) -> Refusal {
        Refusal {
            origin,
            message,
            needs: true,
        }
    }
}
