//! Event model, field catalogue and trace file format of ctrace.
