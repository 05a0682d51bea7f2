//! Owns the command line and the exit codes. Must never end the process itself: `main` returns.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::cmd::config_args::ConfigArgs;
use crate::cmd::{check, demo, explain, healthcheck, mock, models, run, schema, simulate};
use crate::config::ConfigError;

/// A resilience layer for AI traffic: one endpoint that stays up in front of many providers.
#[derive(Debug, Parser)]
#[command(name = "mainstay", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve.
    Run(run::RunArgs),
    /// Check a configuration: every finding, or a summary of what would run.
    Check(check::CheckArgs),
    /// Say where a request would go and why, without sending it anywhere.
    Explain(explain::ExplainArgs),
    /// Print the JSON Schema of the configuration, for editors and pipelines.
    Schema,
    /// List or search the well-known models, or the presets of providers.
    Models(models::ModelsArgs),
    /// Run the scriptable fake provider.
    Mock(mock::MockArgs),
    /// Watch the proxy carry traffic through an incident: three fake providers, no key, no network.
    Demo(demo::DemoArgs),
    /// Run incident scenarios through the routing code under a virtual clock.
    Simulate(simulate::SimulateArgs),
    /// Exit with 0 when the running proxy is ready; for containers.
    Healthcheck(ConfigArgs),
}

impl Verb {
    /// What the process's own log says where `RUST_LOG` does not decide it.
    fn log_filter(&self) -> &'static str {
        match self {
            // The demo breaks providers on purpose, and its view is no place for lines about that.
            Verb::Demo(_) => "off",
            Verb::Run(_)
            | Verb::Check(_)
            | Verb::Explain(_)
            | Verb::Schema
            | Verb::Models(_)
            | Verb::Mock(_)
            | Verb::Simulate(_)
            | Verb::Healthcheck(_) => "info,pingora_core=error,pingora_proxy=error",
        }
    }
}

/// Runs the verb that the command line names.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // Two crypto providers must never meet: whoever installed one first is right.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    start_log(cli.verb.log_filter());
    let result = match cli.verb {
        Verb::Run(args) => run::run(&args),
        Verb::Check(args) => check::check(&args),
        Verb::Explain(args) => explain::explain(&args),
        Verb::Schema => schema::schema(),
        Verb::Models(args) => models::models(&args),
        Verb::Mock(args) => mock_until_told(args),
        Verb::Demo(args) => demo::demo(&args),
        Verb::Simulate(args) => simulate::simulate(&args),
        Verb::Healthcheck(args) => healthcheck::healthcheck(&args),
    };
    match result {
        Ok(code) => code,
        Err(error) => report(&error),
    }
}

fn mock_until_told(args: mock::MockArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(mock::run(args))?;
    Ok(ExitCode::SUCCESS)
}

#[expect(
    clippy::print_stderr,
    reason = "the answer to the person at the terminal"
)]
fn report(error: &anyhow::Error) -> ExitCode {
    if let Some(findings) = error.downcast_ref::<ConfigError>() {
        match is_for_a_person() {
            true => eprintln!("{}", findings.for_terminal()),
            false => eprintln!("{findings}"),
        }
        return ExitCode::from(check::BAD_CONFIG);
    }
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}

/// Whether standard error is a terminal that takes colours (<https://no-color.org>).
fn is_for_a_person() -> bool {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !no_color && std::io::IsTerminal::is_terminal(&std::io::stderr())
}

/// Pingora's lines that tell the target of a routed request, whose query may hold a provider's key.
const TELLS_KEYS: [&str; 2] = [
    "pingora_proxy::proxy_h1=info",
    "pingora_proxy::proxy_h2=info",
];

/// The process's own log goes to standard error: standard output is the access log's.
fn start_log(filter: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(filter));
    let is_detailed = filter.max_level_hint() > Some(LevelFilter::INFO);
    let masked = TELLS_KEYS.iter().filter(|_| is_detailed);
    let filter = masked.fold(filter, |filter, directive| {
        let directive = directive.parse();
        filter.add_directive(directive.expect("a target and a level"))
    });
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // It would tell standard error that standard error cannot be written, and panic.
        .log_internal_errors(false)
        .with_target(false);
    let started = match std::io::IsTerminal::is_terminal(&std::io::stderr()) {
        true => log.try_init(),
        false => log.json().flatten_event(true).try_init(),
    };
    // A host of the library may have a log of its own.
    started.ok();
}
