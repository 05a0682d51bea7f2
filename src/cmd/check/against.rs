//! Owns the question what a file would change in a process that runs. Must never send the file anywhere: the process
//! says what it runs, with digests for credentials, and the two are compared here.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::{Bytes, BytesMut};
use url::Url;

use crate::cmd::client::Client;
use crate::config::Loaded;
use crate::config::diff::Diff;
use crate::config::facts::Facts;

/// The port of the admin listener where the URL names none.
const PORT: u16 = 8081;
/// The longest the process may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest answer that is read: some hundred bytes an endpoint.
const LARGEST: usize = 64 << 20;

/// What `loaded` would change in the process whose admin port `url` names.
pub(super) fn changes(url: &str, token: Option<&str>, loaded: &Loaded) -> anyhow::Result<Diff> {
    let address = address(url)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let running = runtime.block_on(async {
        let asked = tokio::time::timeout(PATIENCE, ask(address, token)).await;
        asked.context("no answer in time")?
    });
    let running = running.with_context(|| format!("cannot ask {url} what it runs"))?;
    let wanted = Facts::of(&loaded.snapshot, &loaded.files, &running.salt);
    Ok(Diff::between(&running, &wanted))
}

fn address(url: &str) -> anyhow::Result<SocketAddr> {
    let parsed = Url::parse(url).with_context(|| format!("`{url}` is not a URL"))?;
    if parsed.scheme() != "http" {
        bail!("`{url}`: the admin port speaks http");
    }
    let host = parsed
        .host_str()
        .unwrap_or_default()
        .trim_matches(['[', ']']);
    let mut found = (host, parsed.port().unwrap_or(PORT)).to_socket_addrs()?;
    found
        .next()
        .with_context(|| format!("`{url}` has no address"))
}

async fn ask(address: SocketAddr, token: Option<&str>) -> anyhow::Result<Facts> {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<_> = bearer
        .iter()
        .map(|bearer| ("authorization", bearer.as_str()))
        .collect();
    let client = Client::of(address);
    let mut answer = client
        .send("GET", "/api/config", &headers, Bytes::new())
        .await?;
    match answer.status {
        200 => {}
        401 => bail!("it asks for a token: set MAINSTAY_ADMIN_TOKEN, or use --token"),
        status => bail!("it answered {status}"),
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > LARGEST {
            bail!("its answer is too long");
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).context("its answer is not that of this version")
}
