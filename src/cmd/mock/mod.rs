//! Owns the fake provider, `mainstay mock`: a server on raw sockets that answers like OpenAI and other
//! providers, or breaks as a script or a model's name says. The tests, the demo and users share it. HTTP/1.1 is framed by hand here, and
//! only here, because a server that must break its framing cannot be built on one that keeps it.
//! Must never be on the path of real traffic, and must never panic on what a client sends.
//!
//! In reading order: `script` and `fault` (what can be told), `scenario` (S01 to S16), `errors` and `chat`
//! (texts; `chat/text` and `chat/vectors` are the older completions and embeddings), `dialects` (the other providers' formats, and what any request means), `voice` (in whose words), `answer` (an answer as steps), `limits`, `oauth` (access tokens), `spoil` (what faults do to the steps), `http`, `record`, `state`,
//! `control`, `route`, `serve`.

use std::future::Future;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

pub mod script;
pub mod fault;
pub mod scenario;
mod errors;
mod chat;
mod dialects;
mod voice;
mod answer;
mod limits;
mod oauth;
mod spoil;
mod http;
pub mod record;
mod state;
mod control;
mod route;
mod serve;
#[cfg(test)]
mod tests;

pub use fault::{Chatter, Cut, Damage, ErrorBody, Fault, Kind};
pub use limits::Limits;
pub use oauth::OAuth;
pub use record::{Fate, Meaning, Received};
pub use scenario::Scenario;
pub use script::{Script, ScriptError, ScriptedCall, WORDS};

use answer::End;
use serve::Connection;
use state::Shared;

/// A running mock. Dropping it ends it and its connections.
#[derive(Debug)]
pub struct Mock {
    addr: SocketAddr,
    shared: Arc<Shared>,
    /// Dropped, it asks the accepting task to end.
    quit: oneshot::Sender<()>,
    /// The accepting task, alone; it owns the connections' tasks.
    accepting: JoinSet<()>,
}

/// Run the scriptable fake provider.
#[derive(Clone, Debug, clap::Args)]
pub struct MockArgs {
    /// Address to listen on; may be given more than once. Each listener is a provider of its own.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub listen: Vec<SocketAddr>,
    /// Script in YAML or JSON; without it the mock is healthy and model names choose scenarios.
    #[arg(long, value_name = "FILE")]
    pub script: Option<PathBuf>,
}

// === impl Mock ===

impl Mock {
    /// Starts a mock on an address; port 0 takes a free one.
    pub async fn start(listen: SocketAddr, script: Script) -> io::Result<Self> {
        Self::start_with(listen, script, |stream| std::future::ready(Ok(stream))).await
    }

    /// Starts a mock whose accepted sockets are wrapped first, in TLS for example. A socket that `wrap` fails on
    /// is closed. Resets still reach the socket below.
    pub async fn start_with<W, F, S>(
        listen: SocketAddr,
        script: Script,
        wrap: W,
    ) -> io::Result<Self>
    where
        W: Fn(TcpStream) -> F + Send + 'static,
        F: Future<Output = io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let listener = TcpListener::bind(listen).await?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared::new(script));
        let (quit, quitting) = oneshot::channel();
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, Arc::clone(&shared), wrap, quitting));
        Ok(Self {
            addr,
            shared,
            quit,
            accepting,
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Replaces the script and starts all counts of faults anew.
    pub fn set(&self, script: Script) {
        self.shared.set(script);
    }

    /// Changes the script; only changed faults start their counts anew.
    pub fn update(&self, change: impl FnOnce(&mut Script)) {
        self.shared.update(change);
    }

    /// What arrived, in order; the last 10 000 requests, without those of the control plane.
    pub fn received(&self) -> Vec<Received> {
        self.shared.log().entries()
    }

    /// How many requests have arrived since the start, forgotten ones included.
    pub fn arrivals(&self) -> u64 {
        self.shared.log().total()
    }

    /// Forgets what arrived. Counts of faults go on.
    pub fn clear(&self) {
        self.shared.log().clear();
    }

    /// Lets no access token in that was given until now.
    pub fn revoke(&self) {
        self.shared.issued().clear();
    }

    /// Answers under way now.
    pub fn open_streams(&self) -> usize {
        self.shared.open()
    }

    /// Closes the listener and all connections, and returns when they are gone.
    pub async fn stop(self) {
        let Self {
            quit,
            mut accepting,
            ..
        } = self;
        drop(quit);
        while accepting.join_next().await.is_some() {}
    }
}

/// Accepts until `quitting` resolves; the connections end with this task.
async fn accept<W, F, S>(
    listener: TcpListener,
    shared: Arc<Shared>,
    wrap: W,
    mut quitting: oneshot::Receiver<()>,
) where
    W: Fn(TcpStream) -> F,
    F: Future<Output = io::Result<S>> + Send + 'static,
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let mut connections = JoinSet::new();
    let mut number = 0;
    loop {
        let accepted = tokio::select! {
            _ = &mut quitting => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        // An error here is a lack of file descriptors, mostly: breathe instead of spinning.
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        if let Ok(Some(socket)) = admit(&stream, &shared) {
            connections.spawn(connection(
                wrap(stream),
                socket,
                Arc::clone(&shared),
                number,
            ));
        }
        number += 1;
    }
    connections.shutdown().await;
}

/// A second handle to an accepted socket, kept below any wrapping so that it can be reset; none when the script
/// refuses connections, and then dropping the stream resets it.
fn admit(stream: &TcpStream, shared: &Shared) -> io::Result<Option<socket2::Socket>> {
    if shared.script().refuse {
        stream.set_zero_linger()?;
        return Ok(None);
    }
    stream.set_nodelay(true)?;
    socket2::SockRef::from(stream).try_clone().map(Some)
}

/// Serves one connection to its end.
async fn connection<S>(
    wrapped: impl Future<Output = io::Result<S>>,
    socket: socket2::Socket,
    shared: Arc<Shared>,
    number: u64,
) where
    S: AsyncRead + AsyncWrite,
{
    let Ok(stream) = wrapped.await else { return };
    if Connection::new(stream, shared, number).run().await == End::Reset {
        // The stream is dropped by now, so that closing this last handle sends the reset.
        let _ = socket.set_linger(Some(Duration::ZERO));
    }
}

/// Runs mocks until interrupted.
///
/// # Errors
///
/// A script that cannot be read or used, an address that cannot be listened on.
pub async fn run(args: MockArgs) -> anyhow::Result<()> {
    let script = match &args.script {
        Some(path) => read_script(path).await?,
        None => Script::default(),
    };
    let mut mocks = Vec::new();
    for listen in args.listen {
        let mock = Mock::start(listen, script.clone())
            .await
            .with_context(|| format!("listening on {listen}"))?;
        writeln!(io::stdout(), "mock provider on http://{}", mock.addr())?;
        mocks.push(mock);
    }
    tokio::signal::ctrl_c().await?;
    for mock in mocks {
        mock.stop().await;
    }
    Ok(())
}

async fn read_script(path: &PathBuf) -> anyhow::Result<Script> {
    let text = tokio::fs::read_to_string(path)
        .await
        .with_context(|| format!("reading {}", path.display()))?;
    Script::parse(&text).with_context(|| format!("in {}", path.display()))
}
