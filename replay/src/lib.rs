//! Rules over traces: Falco's language, evaluated on dictionaries.
