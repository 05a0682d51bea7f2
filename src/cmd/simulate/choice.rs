//! Owns which policies a command compares: built-in sorts, and with a configuration its own. Must never change what a
//! policy of the configuration says beyond its sort.

use std::sync::Arc;

use crate::cmd::simulate::own::Own;
use crate::cmd::simulate::scenario::Scenario;
use crate::config::snapshot::Snapshot;
use crate::core::names::PolicyName;
use crate::core::nearest::did_you_mean;
use crate::core::policy::{Policy, Sort};

/// The policy that the configuration gives the model, by whatever name.
const OWN: &str = "own";
/// All endpoints get the same share.
const EVEN: &str = "even";
/// Before an endpoint's id: it gets everything that it can take.
const PIN: &str = "pin:";

/// A policy by the name that a command gives it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Choice {
    pub(super) name: String,
    pub(super) decides: Decides,
}

/// Who decides in a run.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Decides {
    /// The policy that the configuration gives the model; the built-in one where there is no configuration.
    Own,
    /// The same with another sort, and no split.
    Sort(Sort),
    /// A policy of the configuration.
    Named(Arc<Policy>),
    /// The built-in policy with the same share for every endpoint of the file's fleet.
    Even,
    /// The same with everything for one of them; the others stand in where it cannot be asked.
    Pinned(String),
}

impl From<Sort> for Decides {
    fn from(sort: Sort) -> Self {
        Self::Sort(sort)
    }
}

// === impl Choice ===

impl Choice {
    /// The policies of these names; without any, the model's own, or `adaptive` where there is no configuration.
    ///
    /// # Errors
    /// Says which names there are.
    pub(super) fn all(names: &[String], snapshot: Option<&Snapshot>) -> Result<Vec<Self>, String> {
        if !names.is_empty() {
            return names.iter().map(|name| Self::of(name, snapshot)).collect();
        }
        let usual = match snapshot {
            Some(_) => (OWN, Decides::Own),
            None => ("adaptive", Decides::Sort(Sort::Adaptive)),
        };
        Ok(vec![Self {
            name: usual.0.to_owned(),
            decides: usual.1,
        }])
    }

    /// Whether the policy means something in a scenario.
    ///
    /// # Errors
    /// Says who is pinned and not there.
    pub(super) fn suits(&self, scenario: &Scenario) -> Result<(), String> {
        let has = |id: &String| scenario.fleet.iter().any(|endpoint| endpoint.id == *id);
        match &self.decides {
            Decides::Pinned(id) if !has(id) => Err(format!(
                "--policy {}: scenario {} has no endpoint {id}",
                self.name, scenario.id
            )),
            _ => Ok(()),
        }
    }

    /// The configuration's own names come first.
    fn of(name: &str, snapshot: Option<&Snapshot>) -> Result<Self, String> {
        let written = snapshot.and_then(|own| own.policies.get(&PolicyName::new(name)));
        let mut sorts = Sort::ALL.into_iter();
        let mut sort = || sorts.find(|(known, _)| *known == name);
        let decides = written
            .map(|policy| Decides::Named(Arc::clone(policy)))
            .or_else(|| (name == OWN && snapshot.is_some()).then_some(Decides::Own))
            .or_else(|| sort().map(|(_, sort)| Decides::Sort(sort)))
            .or_else(|| fixed(name).filter(|_| snapshot.is_none()))
            .ok_or_else(|| unknown(name, snapshot))?;
        Ok(Self {
            name: name.to_owned(),
            decides,
        })
    }
}

/// A policy that learns nothing of price and speed, to compare with.
fn fixed(name: &str) -> Option<Decides> {
    let pinned = name.strip_prefix(PIN);
    let pinned = pinned.map(|id| Decides::Pinned(id.to_owned()));
    pinned.or_else(|| (name == EVEN).then_some(Decides::Even))
}

fn unknown(name: &str, snapshot: Option<&Snapshot>) -> String {
    let written = snapshot.into_iter().flat_map(|own| own.policies.keys());
    let mut names: Vec<&str> = written.map(PolicyName::as_str).collect();
    names.sort_unstable();
    names.extend(snapshot.map(|_| OWN));
    names.extend(Sort::ALL.map(|(name, _)| name));
    if snapshot.is_none() {
        names.extend([EVEN, "pin:<endpoint>"]);
    }
    let there = names.join(", ");
    match did_you_mean(name, names) {
        Some(hint) => format!("--policy {name}: the policies are {there}; {hint}"),
        None => format!("--policy {name}: the policies are {there}"),
    }
}

// === impl Decides ===

impl Decides {
    /// The share in percent of an endpoint of the file's fleet; `None` where shares are not what decides.
    pub(super) fn share(&self, id: &str) -> Option<f32> {
        match self {
            Self::Even => Some(1.0),
            Self::Pinned(pinned) if pinned == id => Some(100.0),
            Self::Pinned(_) | Self::Own | Self::Sort(_) | Self::Named(_) => None,
        }
    }

    /// The policy itself, for a fleet of a scenario or of a configuration.
    pub(super) fn policy(&self, own: Option<&Own>) -> Arc<Policy> {
        let usual = || match own {
            Some(own) => own.policy(),
            None => Arc::new(Policy::built_in(PolicyName::new("simulated"))),
        };
        match self {
            Self::Named(policy) => Arc::clone(policy),
            Self::Own | Self::Even | Self::Pinned(_) => usual(),
            Self::Sort(sort) => {
                let mut policy = Policy::clone(&usual());
                policy.sort = *sort;
                policy.split.clear();
                Arc::new(policy)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_nobody_has_is_answered_with_those_there_are() {
        let error = Choice::all(&["ordred".to_owned()], None).unwrap_err();
        assert!(error.contains("adaptive, cost"), "{error}");
        assert!(error.contains("did you mean \"ordered\"?"), "{error}");
    }

    #[test]
    fn fixed_policies_are_there_without_a_configuration() {
        let names = ["even".to_owned(), "pin:B".to_owned()];
        let all = Choice::all(&names, None).unwrap();
        assert_eq!(all[0].decides, Decides::Even);
        assert_eq!(all[1].decides.share("B"), Some(100.0));
        assert_eq!(all[1].decides.share("A"), None);
    }

    #[test]
    fn without_a_configuration_the_default_is_adaptive() {
        let all = Choice::all(&[], None).unwrap();
        assert_eq!(all[0].name, "adaptive");
        assert_eq!(all[0].decides.policy(None).sort, Sort::Adaptive);
    }
}
