//! Owns how an explanation reads in a terminal. Must never be wider than it has to.

use std::io::{self, Write};

use crate::edge::explain::{Answer, ConversationAnswer, EndpointAnswer, FailureAnswer};

pub(super) fn write(out: &mut impl Write, answer: &Answer) -> io::Result<()> {
    let policy = &answer.policy;
    writeln!(
        out,
        "{}: policy {} ({}), at most {} attempts, none later than {} s",
        answer.model, policy.name, policy.sort, policy.attempts, policy.deadline_seconds
    )?;
    let request = &answer.request;
    writeln!(
        out,
        "{}, about {} prompt tokens",
        if request.stream { "a stream" } else { "JSON" },
        request.prompt_tokens
    )?;
    write_conversation(out, answer.conversation.as_ref())?;
    for (position, model) in answer.models.iter().enumerate() {
        let then = if position == 0 { "" } else { "then " };
        writeln!(out, "\n{then}{}", model.model)?;
        let width = model
            .endpoints
            .iter()
            .map(|endpoint| endpoint.id.len())
            .max()
            .unwrap_or(0);
        let head = ["share", "health", "latency", "tokens/s", "USD", "score"];
        let [share, health, latency, rate, cost, score] = head;
        writeln!(
            out,
            "  {:width$} {share:>6} {health:>6} {latency:>8} {rate:>8} {cost:>10}  {score}",
            "endpoint"
        )?;
        for endpoint in &model.endpoints {
            write_endpoint(out, endpoint, width)?;
        }
    }
    write_failure(out, answer.if_first_fails.as_ref())
}

fn write_conversation(
    out: &mut impl Write,
    conversation: Option<&ConversationAnswer>,
) -> io::Result<()> {
    let Some(conversation) = conversation else {
        return Ok(());
    };
    write!(out, "a conversation by its {}: ", conversation.key)?;
    let Some(endpoint) = &conversation.endpoint else {
        return writeln!(out, "none that is known");
    };
    let next = match (conversation.stays, conversation.pinned) {
        (true, false) => "and stays there",
        (false, false) => "and may leave",
        (_, true) => "and only its provider may answer",
    };
    let usd = conversation
        .worth_usd
        .map_or_else(String::new, |usd| format!(", {usd:.6} USD"));
    writeln!(
        out,
        "answered last by {endpoint}, {next}; leaving would lose {:.2} of its score{usd}, {:.2} s",
        conversation.worth, conversation.worth_seconds
    )
}

fn write_endpoint(out: &mut impl Write, endpoint: &EndpointAnswer, width: usize) -> io::Result<()> {
    let shown = |value: Option<f32>, unit: &str| {
        value.map_or_else(|| "?".to_owned(), |value| format!("{value:.2}{unit}"))
    };
    let parts = endpoint.score_parts.iter();
    let parts: Vec<String> = parts
        .map(|(name, value)| format!("{name} {value:.2}"))
        .collect();
    writeln!(
        out,
        "  {:width$} {:>5.0}% {:>5.1}% {:>8} {:>8} {:>10}  {:.2} = {}",
        endpoint.id,
        endpoint.share * 100.0,
        endpoint.health * 100.0,
        shown(endpoint.latency_seconds, " s"),
        shown(endpoint.tokens_per_second, ""),
        endpoint
            .cost
            .map_or_else(|| "?".to_owned(), |usd| format!("{usd:.6}")),
        endpoint.score,
        parts.join(" + "),
    )?;
    match (endpoint.verdict.as_str(), &endpoint.why) {
        ("available", _) => Ok(()),
        (verdict, Some(why)) => writeln!(out, "    {verdict}: {why}"),
        (verdict, None) => writeln!(out, "    {verdict}"),
    }
}

fn write_failure(out: &mut impl Write, failure: Option<&FailureAnswer>) -> io::Result<()> {
    let Some(failure) = failure else {
        return writeln!(out, "\nnobody can be asked now");
    };
    let lost = failure.seconds_lost_at_most;
    write!(
        out,
        "\nif {} fails: at most {lost:.1} s lost, ",
        failure.first
    )?;
    match &failure.next {
        None => writeln!(out, "and nobody is left"),
        Some(next) => {
            write!(out, "then {next}")?;
            match failure.drift.as_deref() {
                Some("") | None => writeln!(out),
                Some(drift) => writeln!(out, " (other {drift})"),
            }
        }
    }
}
