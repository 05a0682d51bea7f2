//! Owns the table of a model's chain: what each step costs and loses. Must never be the place that forbids a step.

use std::io::{self, Write};

use crate::core::catalog::{Capability, Catalog, Model};

/// One step of a chain.
struct Step<'a> {
    model: &'a str,
    price: String,
    window: String,
    loses: String,
}

/// Writes the chain of a model, if it has one.
pub(super) fn write(out: &mut impl Write, catalog: &Catalog, model: &Model) -> io::Result<()> {
    if model.fallbacks.is_empty() {
        return Ok(());
    }
    let fallbacks = model.fallbacks.iter().map(|ix| catalog.model(*ix));
    let chain: Vec<&Model> = std::iter::once(model).chain(fallbacks).collect();
    let steps: Vec<Step<'_>> = chain.iter().map(|to| step(catalog, model, to)).collect();
    let longest = |width: fn(&Step<'_>) -> usize, least: usize| {
        steps.iter().map(width).fold(least, usize::max)
    };
    let name = longest(|step| step.model.len(), "chain".len());
    let price = longest(|step| step.price.len(), "price".len());
    let window = longest(|step| step.window.len(), "window".len());
    let mut line = |model: &str, cost: &str, tokens: &str, loses: &str| {
        let row = format!("  {model:name$}  {cost:>price$}  {tokens:>window$}  {loses}");
        writeln!(out, "{}", row.trim_end())
    };
    line("chain", "price", "window", "loses")?;
    for step in &steps {
        line(step.model, &step.price, &step.window, &step.loses)?;
    }
    Ok(())
}

fn step<'a>(catalog: &Catalog, asked: &Model, to: &'a Model) -> Step<'a> {
    let ratio = match (cheapest(catalog, asked), cheapest(catalog, to)) {
        (Some(before), Some(now)) if before > 0.0 => format!("{:.2}x", now / before),
        (Some(_), Some(now)) if now > 0.0 => "not free".to_owned(),
        (Some(_), Some(_)) => "free".to_owned(),
        _ => "?".to_owned(),
    };
    let window = to.context_length;
    Step {
        model: to.name.as_str(),
        price: ratio,
        window: window.map_or("?".to_owned(), |tokens| tokens.to_string()),
        loses: lost(asked, to),
    }
}

/// The cheapest endpoint's price of a typical request.
fn cheapest(catalog: &Catalog, model: &Model) -> Option<f64> {
    let prices = model.endpoints.iter();
    prices
        .filter_map(|ix| catalog.endpoint(*ix).price.typical())
        .min_by(f64::total_cmp)
}

/// What a model is not known to have that the one asked for has, or may have.
fn lost(asked: &Model, to: &Model) -> String {
    let lost = Capability::ALL.iter().filter(|(_, what)| {
        let had = asked.supports.is_some() && !asked.lacks(*what);
        to.lacks(*what) && !asked.lacks(*what) || had && to.supports.is_none()
    });
    let words: Vec<String> = lost
        .map(|(name, _)| match to.supports {
            Some(_) => (*name).to_owned(),
            None => format!("{name}?"),
        })
        .collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::fixture::{catalog, changed};

    #[test]
    fn each_step_shows_its_price_its_window_and_what_is_lost() {
        let models: &[(&str, &[&str])] = &[
            ("a/one", &["p"]),
            ("b/dearer", &["p", "q"]),
            ("c/unknown", &["r"]),
        ];
        let catalog = changed(&catalog(models), |models, endpoints| {
            models[0].context_length = Some(400_000);
            models[0].supports = Some(vec![Capability::Tools, Capability::Images]);
            models[1].context_length = Some(8_000);
            models[1].supports = Some(vec![Capability::Images]);
            for endpoint in &mut endpoints[1..3] {
                endpoint.price.prompt = Some(4.0);
                endpoint.price.completion = Some(4.0);
            }
            endpoints[3].price.prompt = None;
        });
        let mut out = Vec::new();
        write(&mut out, &catalog, &catalog.models()[0]).unwrap();
        let expected = "  chain      price  window  loses
  a/one      1.00x  400000
  b/dearer   4.00x    8000  tools
  c/unknown      ?       ?  tools?, images?
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        let mut none = Vec::new();
        write(&mut none, &catalog, &catalog.models()[1]).unwrap();
        assert!(none.is_empty(), "no chain, no table");
    }
}
