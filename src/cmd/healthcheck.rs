//! Owns `mainstay healthcheck`: asks the running proxy whether it is ready. Must never wait longer than a
//! container's probe does.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;

use crate::cmd::client::Client;
use crate::cmd::config_args::ConfigArgs;
use crate::config;

/// A probe that takes longer than this has its answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Exits with 0 when `/readyz` answers 200.
pub(crate) fn healthcheck(args: &ConfigArgs) -> anyhow::Result<ExitCode> {
    let env = |name: &str| std::env::var(name).ok();
    let path = config::search_path(args.config.as_deref(), &env)?;
    let admin = config::load(&path, &env)?.snapshot.server.admin.listen;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let asked = tokio::time::timeout(PATIENCE, ask(reachable(admin))).await;
        asked.context("no answer in time")?
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn ask(address: SocketAddr) -> anyhow::Result<()> {
    let client = Client::of(address);
    let answer = client.send("GET", "/readyz", &[], Bytes::new()).await?;
    match answer.status {
        200 => Ok(()),
        status => bail!("not ready: {address} answered {status}"),
    }
}

/// A listener on every interface is asked over loopback.
fn reachable(listener: SocketAddr) -> SocketAddr {
    let ip = match listener.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listener.port())
}
