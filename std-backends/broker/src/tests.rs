//! Tests over the whole of the policy, against the emulator's issuers and clouds.

mod decide;
mod gives;
mod key_sets;
mod lint;
mod maa;
mod secrets;
mod seed;
mod world;
