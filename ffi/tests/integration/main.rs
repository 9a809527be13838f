//! The C interface, called as C would: through its exported functions, with raw pointers.

mod support;
