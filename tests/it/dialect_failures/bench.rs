//! Owns the providers of a scenario: one that fails for each dialect, and a healthy one that speaks them all; and a
//! model for each cell, so that no cell sees another's health. Must never judge an answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mainstay::cmd::mock::{Kind, Mock, Received};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::answer::Answer;
use crate::config::Config;
use crate::dialects::UPSTREAMS;
use crate::dialects::cases::{Case, Inbound};
use crate::harness::{Proxy, failing, fast, for_model, mock};
use crate::raw::{PATIENCE, Via};

/// Who asks whom, and for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) inbound: Inbound,
    /// The dialect of the provider that fails.
    pub(super) dialect: &'static str,
    pub(super) stream: bool,
}

/// Who answers where the first provider does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spare {
    /// Another provider of the model; it speaks another dialect.
    Provider,
    /// Another model with a larger window.
    Model,
}

/// What is told by whom.
pub(super) struct Bench {
    bad: Vec<(&'static str, Mock)>,
    pub(super) good: Mock,
    pub(super) proxy: Proxy,
    spare: Spare,
}

/// One request and all that came of it.
pub(super) struct Run {
    pub(super) cell: Cell,
    pub(super) via: Via,
    pub(super) answer: Answer,
    /// What the operator is told of it.
    pub(super) told: Value,
    /// How often the failing provider was asked, and the healthy one, for this cell's model so far.
    pub(super) asked: usize,
    pub(super) spared: usize,
}

// === impl Cell ===

impl Cell {
    /// Each dialect of clients, each of these of providers, one answer or a stream or both.
    pub(super) fn all(dialects: &[&'static str], forms: &[bool]) -> Vec<Self> {
        let mut cells = Vec::new();
        for inbound in Inbound::ALL {
            for dialect in dialects {
                cells.extend(forms.iter().map(|stream| Self {
                    inbound,
                    dialect,
                    stream: *stream,
                }));
            }
        }
        cells
    }

    pub(super) fn slug(self) -> String {
        let form = if self.stream { "stream" } else { "json" };
        format!("{}-{}-{form}", self.inbound.dialect(), self.dialect)
    }

    pub(super) fn model(self) -> String {
        format!("t/{}", self.slug())
    }

    /// Half of the cells are asked over each protocol, one answer over the same as a stream.
    pub(super) fn via(self) -> Via {
        let place = UPSTREAMS
            .iter()
            .position(|(name, ..)| *name == self.dialect);
        let of_client = Inbound::ALL
            .iter()
            .position(|inbound| *inbound == self.inbound);
        match place.zip(of_client) {
            Some((place, of_client)) if (place + of_client) % 2 == 1 => Via::H2,
            _ => Via::H1,
        }
    }

    /// Whether events are passed on as they come, and not read and written anew.
    pub(super) fn passes(self) -> bool {
        self.inbound.dialect() == self.dialect
    }
}

/// All dialects of providers.
pub(super) fn dialects() -> Vec<&'static str> {
    UPSTREAMS.iter().map(|(dialect, ..)| *dialect).collect()
}

/// Where a mock speaks the dialect.
pub(super) fn root(dialect: &str) -> &'static str {
    let known = UPSTREAMS.iter().find(|(name, ..)| *name == dialect);
    known.map(|(_, root, _)| *root).expect("a dialect")
}

/// The fields of a provider that speaks the dialect at a mock.
pub(super) fn fields(dialect: &str, at: &Mock) -> String {
    let (at, root) = (at.addr(), root(dialect));
    format!(
        "dialects: [{dialect}], base_url: \"http://{at}{root}\", keys: [{{ value: sk-{dialect} }}]"
    )
}

/// Another dialect than this one.
fn other(dialect: &str) -> &'static str {
    let place = UPSTREAMS.iter().position(|(name, ..)| *name == dialect);
    let next = place.map_or(0, |place| (place + 1) % UPSTREAMS.len());
    UPSTREAMS[next].0
}

// === impl Bench ===

impl Bench {
    /// Providers that fail so.
    pub(super) async fn new(spare: Spare, kind: impl Fn(&str) -> Kind) -> Self {
        let timeouts = "first_token: 5s, answer: 5s, idle: 5s";
        Self::timed(spare, timeouts, kind).await
    }

    /// The same, within other deadlines.
    pub(super) async fn timed(spare: Spare, timeouts: &str, kind: impl Fn(&str) -> Kind) -> Self {
        let mut bad = Vec::new();
        for dialect in dialects() {
            bad.push((dialect, mock(failing(kind(dialect))).await));
        }
        let good = mock(fast()).await;
        let mut config = Config::new()
            .policy(&format!("timeouts: {{ {timeouts} }}"))
            .top("retry_budget: { floor_per_second: 1000 }")
            .raw_model(
                "t/large",
                "endpoints: [{ provider: good-openai, model: large }], context_length: 128000",
            );
        for (dialect, mock) in &bad {
            config = config
                .raw_provider(&format!("bad-{dialect}"), &fields(dialect, mock))
                .raw_provider(&format!("good-{dialect}"), &fields(dialect, &good));
        }
        for cell in Cell::all(&dialects(), &[false, true]) {
            let (model, dialect) = (cell.model(), cell.dialect);
            let bad = format!("bad-{dialect}");
            config = match spare {
                Spare::Provider => {
                    config.model(&model, &[&bad, &format!("good-{}", other(dialect))])
                }
                Spare::Model => config.model_with(
                    &model,
                    &[&bad],
                    "fallbacks: [t/large], context_length: 8000",
                ),
            };
        }
        Self {
            proxy: config.start(),
            bad,
            good,
            spare,
        }
    }

    /// The requests that the failing provider got for this cell.
    pub(super) fn asked(&self, cell: Cell) -> Vec<Received> {
        let (_, mock) = self
            .bad
            .iter()
            .find(|(dialect, _)| *dialect == cell.dialect)
            .expect("a dialect");
        for_model(mock, &cell.slug())
    }

    fn spared(&self, cell: Cell) -> usize {
        match self.spare {
            Spare::Provider => for_model(&self.good, &cell.slug()).len(),
            Spare::Model => for_model(&self.good, "large").len(),
        }
    }

    pub(super) async fn run(&self, cell: Cell) -> Run {
        let asked = cell.inbound.request(&cell.model(), Case::Text, cell.stream);
        let answer = self.proxy.call(cell.via(), &asked).await;
        Run {
            told: explained(&self.proxy, &answer).await,
            asked: self.asked(cell).len(),
            spared: self.spared(cell),
            via: cell.via(),
            cell,
            answer,
        }
    }
}

/// Asks in all cells at once.
pub(super) async fn run_all(bench: &Arc<Bench>, cells: Vec<Cell>) -> Vec<Run> {
    let mut asking = JoinSet::new();
    for cell in cells {
        let bench = bench.clone();
        asking.spawn(async move { bench.run(cell).await });
    }
    asking.join_all().await
}

/// What `/api/requests` tells of an answer's request, once its exchange is over.
pub(super) async fn explained(proxy: &Proxy, answer: &Answer) -> Value {
    let id = answer.header("x-request-id").expect("an id").to_owned();
    let begun = Instant::now();
    loop {
        let told = proxy.admin_get(&format!("/api/requests/{id}")).await;
        if told.status == 200 {
            return told.json();
        }
        assert!(begun.elapsed() < PATIENCE, "never told of: {answer:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

// === impl Run ===

impl Run {
    /// The classes of the attempts, in their order.
    pub(super) fn classes(&self) -> Vec<&str> {
        let attempts = self.told["attempts"].as_array().expect("attempts");
        attempts
            .iter()
            .map(|attempt| attempt["class"].as_str().expect("a class"))
            .collect()
    }

    /// What is said when an assertion fails.
    pub(super) fn about(&self) -> String {
        let body = String::from_utf8_lossy(&self.answer.body);
        let Self { cell, told, .. } = self;
        format!(
            "{cell:?}: {} {:?}\n{body}\n{told}",
            self.answer.status, self.answer.end
        )
    }
}
