//! Everything libcloudauth emits, against implementations that others wrote.

mod roles_anywhere;
mod sigv4;
