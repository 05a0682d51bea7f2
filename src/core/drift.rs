//! Owns how far an endpoint is from the one that was meant. Must never judge whether that is too far.

use std::fmt;

use crate::core::catalog::{Catalog, DataCollection, EndpointIx};

/// Prices within this ratio are the same to an operator.
const PRICE_TOLERANCE: f64 = 0.05;

/// What differs from the endpoint that was meant.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Drift {
    pub provider: bool,
    /// Known of both or of one.
    pub quantization: bool,
    /// Another than the known one.
    pub region: bool,
    /// Data may be collected, which was excluded.
    pub data_collection: bool,
    /// Zero retention is lost.
    pub zdr: bool,
    pub model: bool,
    /// The price of a typical request, as a ratio: infinite where it was free. `None` is unknown.
    pub price: Option<f64>,
}

impl Drift {
    /// From the endpoint that was meant to the one that serves.
    pub fn between(catalog: &Catalog, meant: EndpointIx, served: EndpointIx) -> Self {
        let (meant, served) = (catalog.endpoint(meant), catalog.endpoint(served));
        let (before, now) = (&meant.labels, &served.labels);
        let collects = |kept: DataCollection| kept == DataCollection::Allow;
        Self {
            provider: meant.provider != served.provider,
            quantization: before.quantization != now.quantization,
            region: before.region.is_some() && before.region != now.region,
            data_collection: !collects(before.data_collection) && collects(now.data_collection),
            zdr: before.zdr && !now.zdr,
            model: meant.model != served.model,
            price: ratio(meant.price.typical(), served.price.typical()),
        }
    }
}

fn ratio(before: Option<f64>, now: Option<f64>) -> Option<f64> {
    match (before?, now?) {
        (before, now) if before > 0.0 => Some(now / before),
        (_, now) if now > 0.0 => Some(f64::INFINITY),
        _ => Some(1.0),
    }
}

/// As `x-mainstay-drift` says it (surface, "Answers"); empty where nothing differs.
impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let differs = |ratio: &f64| (ratio - 1.0).abs() > PRICE_TOLERANCE;
        let price = self.price.filter(differs);
        let words = [
            (self.provider, "provider"),
            (self.quantization, "quantization"),
            (self.region, "region"),
            (self.data_collection, "data_collection"),
            (self.zdr, "zdr"),
            (self.model, "model"),
        ];
        let words = words
            .into_iter()
            .filter_map(|(is, word)| is.then_some(word));
        let mut words: Vec<String> = words.map(str::to_owned).collect();
        words.extend(price.map(|ratio| format!("price={ratio:.2}")));
        f.write_str(&words.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named_in_one_order() {
        let all = Drift {
            provider: true,
            quantization: true,
            region: true,
            data_collection: true,
            zdr: true,
            model: true,
            price: Some(1.8),
        };
        let words = "provider quantization region data_collection zdr model price=1.80";
        assert_eq!(all.to_string(), words);
        let same = Drift {
            price: Some(1.04),
            ..Drift::default()
        };
        assert_eq!(same.to_string(), "");
        assert_eq!(ratio(Some(0.0), Some(1.0)), Some(f64::INFINITY));
        assert_eq!(ratio(Some(0.0), Some(0.0)), Some(1.0));
        assert_eq!(ratio(None, Some(1.0)), None);
    }
}
