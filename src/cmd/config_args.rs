//! Owns the argument that names the configuration. Must never read it.

use std::path::PathBuf;

/// Where the configuration is.
#[derive(Debug, clap::Args)]
pub(crate) struct ConfigArgs {
    /// Configuration file. Without it: MAINSTAY_CONFIG, ./mainstay.yaml, the user's and the system's folder.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}
