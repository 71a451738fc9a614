//! Making recorded bytes safe to show: terminals must not be driven by what a recorded process wrote.
