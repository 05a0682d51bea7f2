//! Owns the reading of a request for those who speak other dialects than its client: whether any of them may be asked,
//! and what cannot be carried to whom. Must never read a request whole that only passes through.

use crate::core::catalog::{Catalog, Resolved, Speech, TONGUES};
use crate::core::plan::RequestFacts;
use crate::edge::generation::Generation;
use crate::edge::proxy::request::Incoming;
use crate::wire::client_error::RequestError;
use crate::wire::dialects::Dialect;

/// What is told of a request that no other dialect can carry.
const OPERATION: &str = "operation";

/// Reads a request for other dialects where somebody who may be asked speaks none of its client's. Its facts learn what
/// cannot be carried. The error is why it could not be read: those who speak the client's dialect may still judge it.
pub(crate) fn carry(generation: &Generation, incoming: &mut Incoming) -> Result<(), RequestError> {
    let facts = &incoming.request.facts;
    let tongue = facts.speech.tongue;
    if generation.all_speak(tongue) || !is_asked_of_others(&generation.snapshot.catalog, facts) {
        return Ok(());
    }
    let Some(face) = incoming.asked.ask.downstream() else {
        incoming.request.facts.speech = lost(generation, tongue, |_| Some(OPERATION));
        return Ok(());
    };
    match face.read_request(&incoming.body) {
        Ok(request) => {
            incoming.request.facts.speech = lost(generation, tongue, |dialect| {
                let losses = dialect.upstream().losses(&request);
                losses.err().map(|unsupported| unsupported.0)
            });
            incoming.hub = Some(Box::new(request));
            Ok(())
        }
        Err(error) => {
            let field = error.param.unwrap_or("body");
            incoming.request.facts.speech = lost(generation, tongue, |_| Some(field));
            Err(error)
        }
    }
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
fn lost(
    generation: &Generation,
    tongue: u8,
    of: impl Fn(Dialect) -> Option<&'static str>,
) -> Speech {
    let mut unsayable = [None; TONGUES];
    for dialect in generation.targets() {
        if let Some(slot) = unsayable.get_mut(usize::from(dialect.position())) {
            *slot = of(*dialect);
        }
    }
    Speech { tongue, unsayable }
}
