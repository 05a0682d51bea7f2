//! Owns how far an endpoint is from the one that was meant. Must never judge whether that is too far.

use std::fmt;

use crate::core::catalog::{Catalog, EndpointIx};

/// Prices within this ratio are the same to an operator.
const PRICE_TOLERANCE: f64 = 0.05;

/// What differs from the endpoint that was meant.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Drift {
    pub provider: bool,
    pub model: bool,
    /// The price of a typical request, as a ratio; `None` where it is the same or unknown.
    pub price: Option<f64>,
}

impl Drift {
    /// From the endpoint that was meant to the one that serves.
    pub fn between(catalog: &Catalog, meant: EndpointIx, served: EndpointIx) -> Self {
        let (meant, served) = (catalog.endpoint(meant), catalog.endpoint(served));
        let ratio = match (meant.price.typical(), served.price.typical()) {
            (Some(before), Some(now)) if before > 0.0 => Some(now / before),
            _ => None,
        };
        Self {
            provider: meant.provider != served.provider,
            model: meant.model != served.model,
            price: ratio.filter(|ratio| (ratio - 1.0).abs() > PRICE_TOLERANCE),
        }
    }
}

/// As `x-mainstay-drift` says it (surface, "Answers"); empty where nothing differs.
impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let price = self.price.map(|ratio| format!("price={ratio:.2}"));
        let words = [
            self.provider.then(|| "provider".to_owned()),
            self.model.then(|| "model".to_owned()),
            price,
        ];
        let words: Vec<String> = words.into_iter().flatten().collect();
        f.write_str(&words.join(" "))
    }
}
