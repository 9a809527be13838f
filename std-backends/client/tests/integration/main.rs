//! Providers live against the emulator, which checks every request with other implementations.

mod caching;
mod faults;
mod leaks;
mod profiles;
mod sources;
mod world;
