//! Owns the rules of `store`.

use crate::config::compile::server::path;
use crate::config::raw::store as raw;
use crate::config::report::Report;
use crate::config::snapshot::Store;
use crate::config::trail::Trail;

pub(super) fn compile(written: &raw::Store, report: &mut Report<'_>) -> Store {
    let at = Trail::top("store").key("health");
    Store {
        health: path(written.health.as_ref(), &at, report),
    }
}
