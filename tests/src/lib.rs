//! Nothing here: the tests are in `integration/`, the benchmark in `benches/`, real clients in `clients/` and `attested/`.
