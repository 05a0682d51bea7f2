//! Owns what would run, on one screen. Must never show a secret.

use std::io::{self, Write};

use crate::cmd::check::chain;
use crate::config::Catalogue;
use crate::config::snapshot::{Listener, ListenerTls, Snapshot, WellKnown};
use crate::core::catalog::{Endpoint, EndpointIx, Model, ModelIx, Price};
use crate::core::names::ProviderName;
use crate::core::policy::Policy;
use crate::core::timeouts::{ANSWER, CONNECT, IDLE, TOTAL, TimeoutSettings};

/// Endpoints of a model, and models, that are listed one by one.
const LISTED: usize = 40;

pub(super) fn write(out: &mut impl Write, snapshot: &Snapshot) -> io::Result<()> {
    for listener in &snapshot.server.listen {
        let with = with_tls(listener);
        writeln!(out, "listens on {}{with}", listener.address)?;
    }
    writeln!(out, "admin on {}", snapshot.server.admin.listen)?;
    match snapshot.callers.as_slice() {
        [] => writeln!(out, "no keys: anyone who reaches a listener may call")?,
        callers => {
            let names: Vec<&str> = callers.iter().map(|caller| caller.name.as_str()).collect();
            writeln!(out, "keys: {}", names.join(", "))?;
        }
    }
    let models = snapshot.catalog.models();
    for (position, model) in models.iter().enumerate().take(LISTED) {
        write_model(out, snapshot, ModelIx::new(position), model)?;
    }
    write_rest(out, models.len(), "models")?;
    if snapshot.well_known != WellKnown::default() {
        let Catalogue { source, date, .. } = Catalogue::embedded();
        let own = "or catalog_file; what this file says wins";
        writeln!(out, "from the catalogue: {source}, of {date}, {own}")?;
    }
    for route in &snapshot.routes {
        let providers: Vec<&str> = route.providers.iter().map(ProviderName::as_str).collect();
        writeln!(
            out,
            "route {} to {}",
            route.path.as_str(),
            providers.join(", ")
        )?;
    }
    Ok(())
}

fn with_tls(listener: &Listener) -> &'static str {
    match &listener.tls {
        Some(ListenerTls {
            client_ca_file: Some(_),
            ..
        }) => " with TLS for clients with a certificate",
        Some(_) => " with TLS",
        None => "",
    }
}

fn write_rest(out: &mut impl Write, all: usize, what: &str) -> io::Result<()> {
    match all.checked_sub(LISTED) {
        Some(more) if more > 0 => writeln!(out, "  and {more} more {what}"),
        Some(_) | None => Ok(()),
    }
}

fn write_model(
    out: &mut impl Write,
    snapshot: &Snapshot,
    ix: ModelIx,
    model: &Model,
) -> io::Result<()> {
    let policy = policy(snapshot, model);
    let sort = policy.sort.as_str();
    writeln!(
        out,
        "{}: policy {} ({sort}, {} attempts, deadline {})",
        model.name,
        policy.name,
        policy.attempts,
        humantime::format_duration(policy.deadline),
    )?;
    if let Some(settings) = snapshot.well_known.models.get(&ix) {
        writeln!(out, "  {} from the catalogue", filled(model, settings))?;
    }
    for ix in model.endpoints.iter().take(LISTED) {
        write_endpoint(out, snapshot, *ix, policy)?;
    }
    write_rest(out, model.endpoints.len(), "endpoints")?;
    chain::write(out, &snapshot.catalog, model)
}

/// The settings that the catalogue filled in.
fn filled(model: &Model, settings: &[&str]) -> String {
    let number = |count: Option<u64>| count.map(|count| count.to_string());
    let shown = settings.iter().map(|setting| {
        let value = match *setting {
            "context_length" => number(model.context_length),
            "max_output" => number(model.max_output),
            _ => model.supports.as_ref().map(|supports| {
                let words: Vec<&str> = supports.iter().map(|it| it.as_str()).collect();
                format!("[{}]", words.join(", "))
            }),
        };
        format!("{setting} {}", value.unwrap_or_default())
    });
    shown.collect::<Vec<_>>().join(", ")
}

fn policy<'a>(snapshot: &'a Snapshot, model: &Model) -> &'a Policy {
    let named = model
        .policy
        .as_ref()
        .and_then(|name| snapshot.policies.get(name));
    named.unwrap_or_else(|| &snapshot.policies[Snapshot::DEFAULT_POLICY])
}

fn write_endpoint(
    out: &mut impl Write,
    snapshot: &Snapshot,
    ix: EndpointIx,
    policy: &Policy,
) -> io::Result<()> {
    let Endpoint {
        id,
        upstream_model,
        price,
        timeouts,
        ..
    } = snapshot.catalog.endpoint(ix);
    let from = match snapshot.well_known.prices.contains(&ix) {
        true => " from the catalogue",
        false => "",
    };
    writeln!(
        out,
        "  {id} as {upstream_model}, {}{from}; {}",
        price_of(price),
        deadlines(policy.timeouts.or(*timeouts))
    )
}

fn price_of(price: &Price) -> String {
    match (price.prompt, price.completion) {
        (None, None) => "price unknown".to_owned(),
        (prompt, completion) => {
            let shown = |part: Option<f64>| part.map_or("?".to_owned(), |usd| usd.to_string());
            format!(
                "{} + {} USD per million tokens",
                shown(prompt),
                shown(completion)
            )
        }
    }
}

/// The deadlines that an attempt has; a first token without one waits as long as it has learnt to.
fn deadlines(timeouts: TimeoutSettings) -> String {
    let shown = humantime::format_duration;
    let first_token = match timeouts.first_token {
        Some(limit) => shown(limit).to_string(),
        None => "learnt".to_owned(),
    };
    format!(
        "connect {}, first token {first_token}, answer {}, idle {}, total {}",
        shown(timeouts.connect.unwrap_or(CONNECT)),
        shown(timeouts.answer.unwrap_or(ANSWER)),
        shown(timeouts.idle.unwrap_or(IDLE)),
        shown(timeouts.total.unwrap_or(TOTAL)),
    )
}
