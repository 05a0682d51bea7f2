//! The simulator's own tests, by subject: `incidents` (what an endpoint answers), `figures` (by hand from tiny
//! ledgers), `runs` (whole scenarios), `realistic` (mixed requests, shared keys, chains), `bars`,
//! `policies` (each beside `adaptive`), `own` (a configuration's fleet). Must never trust a figure because it looks right.

mod incidents;
mod figures;
mod runs;
mod bars;
mod policies;
mod own;
mod realistic;

use crate::cmd::simulate::scenario::Scenario;
use crate::cmd::simulate::scenario::tests::scenario;

/// A scenario of endpoints A and B at 10 requests a second for 100 s, with one incident at A from 20 to 60 s.
fn with_incident(kind_and_fields: &str) -> Scenario {
    scenario(&format!(
        r#""rps": 10, "dur": 100, "incidents": [{{"ep": "A", "from": 20, "to": 60, "kind": {kind_and_fields}}}]"#
    ))
}
