//! Names of flag bits and enumerated values, as Falco and strace print them.
