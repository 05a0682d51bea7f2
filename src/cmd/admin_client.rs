//! Owns the verbs' questions to the admin port of a running process. Must never send a credential but the port's own
//! token, and only to the port that was named.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::{Bytes, BytesMut};
use url::Url;

use crate::cmd::client::Client;

/// The port of the admin listener where the URL names none.
const PORT: u16 = 8081;
/// The longest the process may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest answer that is read: some hundred bytes an endpoint.
const LARGEST: usize = 64 << 20;

/// What an admin port is shown; the same for every verb that asks one.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct TokenArgs {
    /// The admin port's token.
    #[arg(
        long,
        env = "MAINSTAY_ADMIN_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN"
    )]
    token: Option<String>,
}

impl TokenArgs {
    pub(crate) fn get(&self) -> Option<&str> {
        self.token.as_deref()
    }
}

/// Asks one admin port.
#[derive(Debug)]
pub(crate) struct AdminClient {
    url: String,
    address: SocketAddr,
    bearer: Option<String>,
}

impl AdminClient {
    /// The port that a URL names, and what it is shown; an empty token is none.
    ///
    /// # Errors
    /// It is no URL of an admin port, or names no address.
    pub(crate) fn of(url: &str, token: Option<&str>) -> anyhow::Result<Self> {
        let token = token.filter(|token| !token.is_empty());
        Ok(Self {
            url: url.to_owned(),
            address: address(url)?,
            bearer: token.map(|token| format!("Bearer {token}")),
        })
    }

    /// Sends one request. Returns the status and the body.
    ///
    /// # Errors
    /// The port does not answer, or asks for a token.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        body: Bytes,
    ) -> anyhow::Result<(u16, Bytes)> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let answer = runtime.block_on(async {
            let exchange = self.exchange(method, path, body);
            let answer = tokio::time::timeout(PATIENCE, exchange).await;
            answer.context("no answer in time")?
        });
        let (status, body) = answer.with_context(|| format!("cannot ask {}", self.url))?;
        if status == 401 {
            bail!(
                "{} asks for a token: set MAINSTAY_ADMIN_TOKEN, or use --token",
                self.url
            );
        }
        Ok((status, body))
    }

    async fn exchange(
        &self,
        method: &str,
        path: &str,
        body: Bytes,
    ) -> anyhow::Result<(u16, Bytes)> {
        let bearer = self.bearer.iter();
        let headers: Vec<_> = bearer
            .map(|bearer| ("authorization", bearer.as_str()))
            .collect();
        let client = Client::of(self.address);
        let mut answer = client.send(method, path, &headers, body).await?;
        let mut body = BytesMut::new();
        while let Some(chunk) = answer.chunk().await? {
            if body.len() + chunk.len() > LARGEST {
                bail!("its answer is too long");
            }
            body.extend_from_slice(&chunk);
        }
        Ok((answer.status, body.freeze()))
    }
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
