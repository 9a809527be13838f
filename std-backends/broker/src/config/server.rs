//! How the server listens.

use serde::Deserialize;

/// `[server]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Server {}

/// `[[compatibility]]`: a listener for clients of another system, which stands for one grant.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Compatibility {}
