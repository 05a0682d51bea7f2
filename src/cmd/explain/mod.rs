//! Owns `mainstay explain`: where a request would go, by a file alone or by what a running process has learnt. Must
//! never send the request anywhere but to the admin port that is asked. Beside it: `table`.

mod table;

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use bytes::Bytes;
use serde_json::json;

use crate::cmd::admin_client::{AdminClient, TokenArgs};
use crate::cmd::format::Format;
use crate::config;
use crate::core::health::Health;
use crate::core::time::Time;
use crate::edge::explain::{Answer, explain as explain_by_file, read};
use crate::edge::planning::PlanError;

/// Which request, and who is asked.
#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {
    /// Configuration file; searched like that of `run` if absent. Nothing has been learnt then.
    #[arg(short, long, value_name = "FILE", conflicts_with = "admin")]
    config: Option<PathBuf>,
    /// The admin port of a running process, such as http://127.0.0.1:8081: with what it has learnt.
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
    #[command(flatten)]
    token: TokenArgs,
    /// A request as JSON; - is standard input.
    #[arg(long, value_name = "FILE")]
    request: Option<PathBuf>,
    /// Where it would be sent to, which says its dialect, such as /v1/messages; a chat request if absent.
    #[arg(long, value_name = "PATH", requires = "request")]
    path: Option<String>,
    /// The model; wins over the request's own.
    #[arg(long)]
    model: Option<String>,
    /// A stream, where no request is given.
    #[arg(long)]
    stream: bool,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Prints where the request would go.
pub(crate) fn explain(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let body = request(args)?;
    let answer = match &args.admin {
        Some(url) => ask(url, args, body)?,
        None => by_file(args, &body)?,
    };
    let mut out = std::io::stdout().lock();
    match args.format {
        Format::Text => table::write(&mut out, &answer)?,
        Format::Json => serde_json::to_writer_pretty(&mut out, &answer)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The request's bytes.
fn request(args: &ExplainArgs) -> anyhow::Result<Bytes> {
    let Some(file) = &args.request else {
        let Some(model) = &args.model else {
            bail!("name a model with --model, or give a request with --request");
        };
        let request = json!({
            "model": model,
            "stream": args.stream,
            "messages": [{ "role": "user", "content": "" }],
        });
        return Ok(Bytes::from(request.to_string()));
    };
    if file.as_os_str() == "-" {
        let mut body = Vec::new();
        std::io::stdin().read_to_end(&mut body)?;
        return Ok(Bytes::from(body));
    }
    let body = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(Bytes::from(body))
}

fn by_file(args: &ExplainArgs, body: &Bytes) -> anyhow::Result<Answer> {
    let env = |name: &str| std::env::var(name).ok();
    let path = config::search_path(args.config.as_deref(), &env)?;
    let snapshot = config::load(&path, &env)?.snapshot;
    let (at, model) = (args.path.as_deref(), args.model.as_deref());
    let read = read(&snapshot.catalog, at, model, body).map_err(anyhow::Error::msg);
    let facts = read.context("the request cannot be read")?.facts;
    let health = Health::new(
        &snapshot.catalog,
        snapshot.health,
        snapshot.retry_budget,
        None,
    );
    let asked = facts.model.clone();
    explain_by_file(&snapshot, &health, None, facts, Time::default()).map_err(|error| match error {
        PlanError::UnknownModel => anyhow::anyhow!("no model is named '{asked}'"),
        PlanError::ModelNotAllowed => anyhow::anyhow!("'{asked}' may not be used"),
    })
}

fn ask(url: &str, args: &ExplainArgs, body: Bytes) -> anyhow::Result<Answer> {
    let client = AdminClient::of(url, args.token.get())?;
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in [("model", &args.model), ("path", &args.path)] {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    let path = format!("/api/explain?{}", query.finish());
    let (status, answer) = client.send("POST", &path, body)?;
    if status != 200 {
        bail!("{}", String::from_utf8_lossy(&answer).trim());
    }
    serde_json::from_slice(&answer).context("its answer is not that of this version")
}
