//! The attested token broker's API, from its client's side.
