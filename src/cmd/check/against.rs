//! Owns the question what a file would change in a process that runs. Must never send the file anywhere: the process
//! says what it runs, with digests for credentials, and the two are compared here.

use anyhow::{Context, bail};
use bytes::Bytes;

use crate::cmd::admin_client::AdminClient;
use crate::config::Loaded;
use crate::config::diff::Diff;
use crate::config::facts::Facts;

/// What `loaded` would change in the process whose admin port `url` names.
pub(super) fn changes(url: &str, token: Option<&str>, loaded: &Loaded) -> anyhow::Result<Diff> {
    let client = AdminClient::of(url, token)?;
    let (status, answer) = client.send("GET", "/api/config", Bytes::new())?;
    if status != 200 {
        bail!("{url} answered {status}");
    }
    let running: Facts =
        serde_json::from_slice(&answer).context("its answer is not that of this version")?;
    let wanted = Facts::of(&loaded.snapshot, &loaded.files, &running.salt);
    Ok(Diff::between(&running, &wanted))
}
