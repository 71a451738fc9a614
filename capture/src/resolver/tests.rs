//! Behaviour of the resolver on records made by hand.
