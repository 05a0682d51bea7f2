//! Owns the reading of a request for those who speak other dialects than its client: whether any of them may be asked,
//! and what cannot be carried to whom. The same for a request and for an explanation. Must never read a request whole
//! that only passes through.

use bytes::Bytes;

use crate::core::catalog::{Catalog, Resolved, Speech, TONGUES};
use crate::core::plan::RequestFacts;
use crate::wire::client_error::RequestError;
use crate::wire::dialects::{Ask, Dialect};
use crate::wire::hub::Request;

/// What is told of a request that no other dialect can carry.
const OPERATION: &str = "operation";

/// Reads a request for other dialects where somebody who may be asked speaks none of its client's. Its facts learn what
/// cannot be carried to any of `targets`. The error is why it could not be read: those who speak the client's dialect may
/// still judge it.
pub(crate) fn carry(
    (catalog, targets): (&Catalog, &[Dialect]),
    ask: Ask,
    facts: &mut RequestFacts,
    body: &Bytes,
) -> Result<Option<Box<Request>>, RequestError> {
    let tongue = facts.speech.tongue;
    if !is_asked_of_others(catalog, facts) {
        return Ok(None);
    }
    let Some(face) = ask.downstream() else {
        facts.speech = lost(targets, tongue, |_| Some(OPERATION));
        return Ok(None);
    };
    match face.read_request(body) {
        Ok(request) => {
            facts.speech = lost(targets, tongue, |dialect| {
                let losses = dialect.upstream().losses(&request);
                losses.err().map(|unsupported| unsupported.0)
            });
            Ok(Some(Box::new(request)))
        }
        Err(error) => {
            let field = error.param.unwrap_or("body");
            facts.speech = lost(targets, tongue, |_| Some(field));
            Err(error)
        }
    }
}

/// The dialects that requests are translated to, where an endpoint does not take them as they are.
pub(crate) fn targets(catalog: &Catalog) -> Vec<Dialect> {
    let is_target = |dialect: &Dialect| {
        let position = dialect.position();
        let mut endpoints = catalog.endpoints().iter();
        endpoints.any(|endpoint| endpoint.tongues.first() == position)
    };
    Dialect::ALL.into_iter().filter(is_target).collect()
}

/// Whether an endpoint of the model asked for, or of its chain, does not speak as the client does.
fn is_asked_of_others(catalog: &Catalog, facts: &RequestFacts) -> bool {
    let Some(Resolved { model, .. }) = catalog.resolve(&facts.model) else {
        return false;
    };
    let chain = catalog.model(model).fallbacks.iter().copied();
    let models = std::iter::once(model).chain(chain);
    let mut endpoints = models.flat_map(|ix| &catalog.model(ix).endpoints);
    endpoints.any(|ix| !catalog.endpoint(*ix).tongues.has(facts.speech.tongue))
}

/// The field without which a request cannot be carried, for each dialect that requests are translated to.
fn lost(targets: &[Dialect], tongue: u8, of: impl Fn(Dialect) -> Option<&'static str>) -> Speech {
    let mut unsayable = [None; TONGUES];
    for dialect in targets {
        if let Some(slot) = unsayable.get_mut(usize::from(dialect.position())) {
            *slot = of(*dialect);
        }
    }
    Speech { tongue, unsayable }
}
