//! Owns who plays: the three providers, and the proxy in front of them. Must never listen beyond this machine.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use tokio::runtime::Runtime;

use crate::cmd::demo::file::{self, MODEL, Timings};
use crate::cmd::demo::proxy::Proxy;
use crate::cmd::demo::schedule::Trouble;
use crate::cmd::mock::{Cut, Fault, Kind, Mock, Script};
use crate::core::catalog::EndpointIx;
use crate::core::health::{Kind as RequestKind, State};
use crate::edge::plugin::Mainstay;

/// A provider of the demo.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Provider {
    pub(crate) name: &'static str,
    /// USD per million tokens.
    pub(crate) price: f64,
    first_token: Duration,
    pace: Duration,
}

/// The providers, by their place in the configuration.
pub(crate) const PROVIDERS: [Provider; 3] = [
    provider("swift", 0.43, 100, 2),
    provider("steady", 0.41, 300, 3),
    provider("thrifty", 0.40, 600, 5),
];
pub(crate) const SWIFT: usize = 0;
pub(crate) const STEADY: usize = 1;
pub(crate) const THRIFTY: usize = 2;

/// The waits of a provider differ by as much.
const JITTER: f64 = 0.15;
/// Tokens that reach the client before a stream is cut.
const CUT_AFTER: u32 = 12;
/// Longer than any run: whoever hangs, hangs until its client leaves.
const FOR_EVER: Duration = Duration::from_secs(24 * 3600);

/// Everything that runs.
pub(crate) struct Stage {
    mocks: Vec<Mock>,
    endpoints: Vec<EndpointIx>,
    pub(crate) proxy: Proxy,
}

/// What is known of one endpoint now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sight {
    pub(crate) state: State,
    /// Requests that ever reached the provider.
    pub(crate) arrivals: u64,
    pub(crate) health: f32,
    /// Of a stream, as the proxy expects it.
    pub(crate) first_token: Option<Duration>,
    pub(crate) in_flight: u32,
}

const fn provider(name: &'static str, price: f64, first_token: u64, pace: u64) -> Provider {
    Provider {
        name,
        price,
        first_token: Duration::from_millis(first_token),
        pace: Duration::from_millis(pace),
    }
}

impl Provider {
    fn script(&self) -> Script {
        Script {
            name: self.name.to_owned(),
            first_token: self.first_token,
            pace: self.pace,
            jitter: JITTER,
            ..Script::default()
        }
    }
}

impl Stage {
    /// Starts the providers and the proxy. Must not be called on a runtime: the proxy brings its own.
    ///
    /// # Errors
    /// Something could not be started.
    pub(crate) fn set(runtime: &Runtime, timings: &Timings) -> anyhow::Result<Self> {
        let mocks = runtime.block_on(start_mocks())?;
        let addresses: Vec<SocketAddr> = mocks.iter().map(Mock::addr).collect();
        let loaded = file::load(&addresses, timings)?;
        let proxy = Proxy::start(runtime, loaded)?;
        Ok(Self {
            endpoints: endpoints(&proxy.mainstay)?,
            mocks,
            proxy,
        })
    }

    /// Breaks a provider, or repairs it.
    pub(crate) fn set_trouble(&self, provider: usize, trouble: Option<Trouble>) {
        if let Some(mock) = self.mocks.get(provider) {
            mock.update(|script| script.fault = trouble.map(fault));
        }
    }

    /// Looks at every endpoint.
    pub(crate) fn look(&self) -> Vec<Sight> {
        let generation = self.proxy.mainstay.current().load();
        let now = self.proxy.mainstay.now();
        let look = |(mock, endpoint): (&Mock, &EndpointIx)| {
            let health = &generation.health;
            let view = health.view(*endpoint, RequestKind::Stream, now);
            let latency = view.latency;
            Sight {
                state: health.state(*endpoint, now),
                arrivals: mock.arrivals(),
                health: view.expected,
                first_token: latency.and_then(|took| Duration::try_from_secs_f32(took).ok()),
                in_flight: health.endpoint(*endpoint).in_flight(),
            }
        };
        self.mocks.iter().zip(&self.endpoints).map(look).collect()
    }

    /// Ends the proxy and the providers.
    pub(crate) fn strike(self, runtime: &Runtime) {
        self.proxy.end();
        runtime.block_on(async {
            for mock in self.mocks {
                mock.stop().await;
            }
        });
    }
}

async fn start_mocks() -> anyhow::Result<Vec<Mock>> {
    let mut mocks = Vec::new();
    for provider in &PROVIDERS {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mock = Mock::start(any, provider.script()).await;
        mocks.push(mock.with_context(|| format!("the provider {} cannot start", provider.name))?);
    }
    Ok(mocks)
}

fn endpoints(mainstay: &Mainstay) -> anyhow::Result<Vec<EndpointIx>> {
    let generation = mainstay.current().load();
    let of = |provider: &Provider| {
        let id = format!("{MODEL}@{}/", provider.name);
        let mut all = generation.endpoints();
        all.find(|endpoint| generation.id(*endpoint).starts_with(&id))
            .with_context(|| format!("no endpoint {id}"))
    };
    PROVIDERS.iter().map(of).collect()
}

fn fault(trouble: Trouble) -> Fault {
    Fault::always(match trouble {
        Trouble::Refuses => Kind::status(503),
        Trouble::Hangs => Kind::Silence { lasts: FOR_EVER },
        Trouble::Cuts => Kind::CutAfter {
            tokens: CUT_AFTER,
            how: Cut::Close,
        },
    })
}
