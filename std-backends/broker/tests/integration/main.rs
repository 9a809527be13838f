//! The broker against the emulator.
