//! Owns what outlives a catalogue: the state of everything that the next one still has. Must never compare more
//! than names.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

/// One state for each name, the old one where the name was known.
pub(super) fn carry<N: Eq + Hash, S: Default>(
    names: &[N],
    old_names: Option<&[N]>,
    old_states: Option<&Vec<Arc<S>>>,
) -> Vec<Arc<S>> {
    let old: HashMap<&N, &Arc<S>> = match (old_names, old_states) {
        (Some(names), Some(states)) => names.iter().zip(states).collect(),
        _ => HashMap::new(),
    };
    let state = |name| {
        old.get(name)
            .map_or_else(Arc::default, |state| (*state).clone())
    };
    names.iter().map(state).collect()
}
