//! The C interface, called as C would: through its exported functions, with raw pointers. What belongs
//! to Miri is small enough for it; the software keys are not.

mod abuse;
mod cases;
mod core_agrees;
mod header;
mod probe;
mod tokens;
