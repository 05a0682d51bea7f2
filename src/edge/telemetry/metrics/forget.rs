//! Owns the ends of series: those of endpoints, models and routes that the next generation no longer has. Must never
//! end one that is still told of.

use std::collections::HashSet;

use super::{ENDINGS, Metrics, STATUS_CLASSES};
use crate::core::health::{Condition, Kind};
use crate::core::names::ProviderName;
use crate::core::outcome::Class;
use crate::edge::generation::Generation;

impl Metrics {
    /// Ends the series of endpoints and models that `next` no longer has.
    pub fn forget_removed(&self, last: &Generation, next: &Generation) {
        self.forget_endpoints(last, next);
        self.forget_models(last, next);
        self.forget_routes(last, next);
    }

    fn forget_models(&self, last: &Generation, next: &Generation) {
        let names = |generation: &Generation| -> HashSet<String> {
            let models = generation.snapshot.catalog.models().iter();
            models.map(|model| model.name.to_string()).collect()
        };
        let (last, kept) = (names(last), names(next));
        for removed in last.difference(&kept) {
            let model = removed.as_str();
            for result in ENDINGS {
                let labels = [model, result.as_str()];
                self.requests.remove_label_values(&labels).ok();
            }
            self.recovered.remove_label_values(&[model]).ok();
            self.recovery.remove_label_values(&[model]).ok();
            self.malformed.remove_label_values(&[model]).ok();
            self.retry_tokens.remove_label_values(&[model]).ok();
            self.turns.forget(model);
            self.forget_fallbacks(model, &last);
        }
    }

    fn forget_fallbacks(&self, removed: &str, models: &HashSet<String>) {
        for other in models {
            for (asked, served) in [(removed, other.as_str()), (other.as_str(), removed)] {
                for class in Class::ALL {
                    let labels = [asked, served, class.as_str()];
                    self.fallbacks.remove_label_values(&labels).ok();
                }
            }
        }
    }

    fn forget_endpoints(&self, last: &Generation, next: &Generation) {
        let kept: HashSet<_> = next.endpoints().map(|ix| next.id(ix)).collect();
        for removed in last.endpoints().filter(|ix| !kept.contains(last.id(*ix))) {
            let [endpoint, model, provider] = last.labels(removed);
            for class in Class::ALL {
                let labels = [endpoint, model, provider, class.as_str()];
                self.attempts.remove_label_values(&labels).ok();
            }
            for kind in Kind::ALL {
                let labels = [endpoint, model, provider, kind.as_str()];
                self.latency.remove_label_values(&labels).ok();
            }
            for state in Condition::ALL {
                let labels = [endpoint, model, provider, state.as_str()];
                self.state.remove_label_values(&labels).ok();
            }
            let labels = [endpoint, model, provider];
            self.health.remove_label_values(&labels).ok();
            self.in_flight.remove_label_values(&labels).ok();
            self.trips.remove_label_values(&labels).ok();
            self.limits.forget(&labels);
        }
    }

    /// Ends the series of routes that `next` no longer has.
    fn forget_routes(&self, last: &Generation, next: &Generation) {
        let gone = last.snapshot.routes.iter();
        for route in gone.filter(|route| !next.snapshot.routes.contains(route)) {
            let providers = route.providers.iter().map(ProviderName::as_str);
            for provider in providers.chain([""]) {
                for class in STATUS_CLASSES {
                    let labels = [route.path.as_str(), provider, class];
                    self.routed.remove_label_values(&labels).ok();
                }
            }
        }
    }
}
