//! Owns what is kept of a request that was refused before it was planned: a key that is not known, a body that cannot be
//! read, a model that is not there. Must never hold content, or a credential that was wrong.

use std::time::SystemTime;

use crate::core::names::CallerName;
use crate::edge::telemetry::requests::kept::{LONGEST_MODEL, begin};

/// Why a request had no plan, in our own words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal<'a> {
    pub(crate) id: &'a str,
    pub(crate) generation_id: &'a str,
    pub(crate) path: &'static str,
    pub(crate) caller: Option<&'a CallerName>,
    /// As it was asked for, where the request could be read.
    pub(crate) model: Option<&'a str>,
    /// That the client got.
    pub(crate) status: u16,
    /// Of OpenRouter's closed vocabulary.
    pub(crate) error: &'static str,
}

/// One such request, as operators may see it.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) id: Box<str>,
    pub(crate) generation_id: Box<str>,
    pub(crate) at: SystemTime,
    pub(crate) path: &'static str,
    pub(crate) caller: Option<CallerName>,
    pub(crate) model: Option<Box<str>>,
    pub(crate) status: u16,
    pub(crate) error: &'static str,
}

impl Refused {
    pub(crate) fn of(refusal: Refusal<'_>, at: SystemTime) -> Self {
        let model = refusal.model.map(|name| begin(name, LONGEST_MODEL).into());
        Self {
            id: refusal.id.into(),
            generation_id: refusal.generation_id.into(),
            at,
            path: refusal.path,
            caller: refusal.caller.cloned(),
            model,
            status: refusal.status,
            error: refusal.error,
        }
    }
}
