//! Container events before they were JSON: four parameters.

use ctrace_trace::container::Container;

use super::call::Call;
use super::json::engine;

/// The container that an event names.
pub(super) fn of_event(call: &Call<'_>) -> Option<Container> {
    let text = |name| call.text(name).map(|t| String::from_utf8_lossy(t).into_owned());
    Some(Container {
        id: text("id")?,
        engine: engine(call.num("type").unwrap_or(-1)).to_owned(),
        name: text("name").unwrap_or_default(),
        image: text("image").unwrap_or_default(),
        ..Container::default()
    })
}
