//! Everything libcloudauth emits, against implementations that others wrote.

mod sigv4;
