//! What changes in the environment of a command.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::process::Command;

use cloudauth_keys::{
    AUTH_VARIABLE, OWNER_AUTH_VARIABLE, PARENT_AUTH_VARIABLE, PASSPHRASE_VARIABLE, PIN_VARIABLE,
};

/// Variables that are set, and those that are not there.
#[derive(Default)]
pub(crate) struct Variables {
    set: Vec<(OsString, OsString)>,
    removed: BTreeSet<String>,
}

impl Variables {
    /// Without the PINs and passphrases of keys, which are for nobody else.
    pub(crate) fn new() -> Self {
        let mut new = Self::default();
        new.remove(&[
            PIN_VARIABLE,
            PASSPHRASE_VARIABLE,
            AUTH_VARIABLE,
            PARENT_AUTH_VARIABLE,
            OWNER_AUTH_VARIABLE,
        ]);
        new
    }

    pub(crate) fn set(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) {
        self.set.push((name.into(), value.into()));
    }

    /// Sets it, unless there is nothing to set it to: then it stays as it is.
    pub(crate) fn set_some(&mut self, name: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    pub(crate) fn remove<T: AsRef<str>>(&mut self, names: &[T]) {
        self.removed.extend(names.iter().map(|name| name.as_ref().to_owned()));
    }

    pub(crate) fn apply(self, command: &mut Command) {
        for name in self.removed {
            command.env_remove(name);
        }
        command.envs(self.set);
    }
}
