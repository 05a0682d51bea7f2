//! Owns `mainstay check`: every finding, what would run, and what would change in a process that runs. Must never
//! show a secret, or change anything. In reading order: `summary`, `against`, `report`.

mod summary;
mod chain;
mod against;
mod report;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::cmd::admin_client::TokenArgs;
use crate::cmd::format::Format;
use crate::config::diff::Diff;
use crate::config::{self, ConfigError, Loaded};

use report::Report;

/// Exit code of a configuration that cannot be used (`EX_CONFIG` of sysexits).
pub(crate) const BAD_CONFIG: u8 = 78;

/// What to check, and how to tell.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// The file; searched like that of `run` if absent.
    file: Option<PathBuf>,
    /// Take warnings for errors.
    #[arg(long)]
    strict: bool,
    /// Also say what would change in a running process, asked at its admin port, such as http://127.0.0.1:8081.
    #[arg(long, value_name = "URL")]
    against: Option<String>,
    #[command(flatten)]
    token: TokenArgs,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Checks a file and says what it holds.
pub(crate) fn check(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let env = |name: &str| std::env::var(name).ok();
    let path = config::search_path(args.file.as_deref(), &env)?;
    let loaded = match (config::load(&path, &env), args.format) {
        (Ok(loaded), _) => loaded,
        (Err(error), Format::Text) => return Err(error.into()),
        (Err(error), Format::Json) => return refuse(&path, &error),
    };
    let token = args.token.get();
    let against = args.against.as_deref();
    let changes = against
        .map(|url| against::changes(url, token, &loaded))
        .transpose()?;
    match args.format {
        Format::Text => tell(&path, &loaded, changes.as_ref())?,
        Format::Json => Report::of(&path, &loaded, changes.as_ref()).write()?,
    }
    let is_doubtful = args.strict && !loaded.warnings.is_empty();
    Ok(match is_doubtful {
        true => ExitCode::from(BAD_CONFIG),
        false => ExitCode::SUCCESS,
    })
}

fn refuse(path: &Path, error: &ConfigError) -> anyhow::Result<ExitCode> {
    Report::refused(path, error).write()?;
    Ok(ExitCode::from(BAD_CONFIG))
}

fn tell(path: &Path, loaded: &Loaded, changes: Option<&Diff>) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for warning in &loaded.warnings {
        writeln!(out, "{warning}\n")?;
    }
    writeln!(out, "{}: ok", path.display())?;
    match changes {
        None => summary::write(&mut out, &loaded.snapshot),
        Some(changes) if changes.is_empty() => writeln!(out, "nothing would change"),
        Some(changes) => write!(out, "{changes}"),
    }
}
