//! What routing costs: one pick among a model's endpoints, and a whole exchange without any I/O.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use mainstay::core::catalog::{
    Catalog, Credential, Endpoint, EndpointIx, Fingerprint, HostIx, KeyIx, Labels, Model, ModelIx,
    Price, Tongues,
};
use mainstay::core::exchange::{Action, AttemptId, Exchange, Input, Progress, Scene, StreamEvent};
use mainstay::core::health::{BudgetSettings, Health, HealthSettings, Kind};
use mainstay::core::names::{EndpointId, HostName, KeyName, ModelName, PolicyName, ProviderName};
use mainstay::core::plan::{Draw, Plan, RequestFacts};
use mainstay::core::policy::Policy;
use mainstay::core::time::Time;
use mainstay::core::timeouts::TimeoutSettings;

/// One model with so many endpoints, each a provider of its own.
fn catalog(endpoints: usize) -> Catalog {
    let model = ModelName::new("author/slug");
    let key = KeyName::new("default");
    let provider = |nth: usize| ProviderName::new(format!("p{nth}"));
    let entries = (0..endpoints)
        .map(|nth| Endpoint {
            id: EndpointId::new(&model, &provider(nth), &key, None),
            model: ModelIx::new(0),
            provider: provider(nth),
            key: key.clone(),
            upstream_model: "slug".to_owned(),
            tongues: Tongues::default(),
            price: Price {
                prompt: Some(1.0 + nth as f64 / 10.0),
                completion: Some(2.0),
                cache_read: None,
            },
            host: HostIx::new(nth),
            credential: KeyIx::new(nth),
            fingerprint: Fingerprint::default(),
            labels: Labels::default(),
            timeouts: TimeoutSettings::default(),
        })
        .collect();
    let model = Model {
        name: model,
        context_length: None,
        max_output: None,
        supports: None,
        endpoints: (0..endpoints).map(EndpointIx::new).collect(),
        fallbacks: Vec::new(),
        policy: None,
    };
    let hosts = (0..endpoints)
        .map(|nth| HostName::new(format!("h{nth}")))
        .collect();
    let keys = (0..endpoints)
        .map(|nth| Credential {
            provider: provider(nth),
            key: KeyName::new("default"),
            fingerprint: Fingerprint::default(),
        })
        .collect();
    Catalog::new(vec![model], entries, hosts, keys)
}

struct Fleet {
    catalog: Catalog,
    health: Health,
    policy: Arc<Policy>,
    now: Time,
}

impl Fleet {
    /// A fleet that has answered a few requests everywhere.
    fn warm(endpoints: usize) -> Self {
        let catalog = catalog(endpoints);
        let settings = HealthSettings::default();
        let health = Health::new(&catalog, settings, BudgetSettings::default(), None);
        let mut now = Time::from_micros(1_000_000);
        for nth in 0..endpoints * 30 {
            now = now + Duration::from_millis(10);
            let endpoint = EndpointIx::new(nth % endpoints);
            let took = Duration::from_millis(300);
            health.succeed(endpoint, ModelIx::new(0), Kind::Stream, now, took, now);
        }
        Self {
            catalog,
            health,
            policy: Arc::new(Policy::built_in(PolicyName::new("default"))),
            now,
        }
    }

    fn plan(&self) -> Plan {
        let facts = RequestFacts {
            stream: true,
            ..RequestFacts::default()
        };
        Plan::new(
            &self.catalog,
            ModelIx::new(0),
            facts,
            self.policy.clone(),
            |_| true,
            |ix| self.health.pool(ix).usual(),
        )
    }
}

fn picks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pick");
    for endpoints in [4, 12] {
        let fleet = Fleet::warm(endpoints);
        let plan = fleet.plan();
        let mut rng = fastrand::Rng::with_seed(1);
        group.bench_function(format!("{endpoints} endpoints"), |bencher| {
            bencher.iter(|| {
                let draw = Draw {
                    catalog: &fleet.catalog,
                    health: &fleet.health,
                    bucket: Kind::Stream.into(),
                    tried: &[],
                    now: fleet.now,
                };
                black_box(draw.pick(&plan, 0, true, &mut rng))
            });
        });
    }
    group.finish();
}

fn exchanges(criterion: &mut Criterion) {
    let fleet = Fleet::warm(4);
    let mut rng = fastrand::Rng::with_seed(1);
    criterion.bench_function("exchange of 60 events, 4 endpoints", |bencher| {
        bencher.iter(|| black_box(answered(&fleet, &mut rng)));
    });
}

/// Plans, starts, relays sixty events and ends. Returns the number of actions.
fn answered(fleet: &Fleet, rng: &mut fastrand::Rng) -> usize {
    let mut exchange = Exchange::new(fleet.plan(), fleet.now);
    let mut scene = Scene {
        catalog: &fleet.catalog,
        health: &fleet.health,
        rng,
        now: fleet.now,
    };
    exchange.begin(&mut scene);
    let id = AttemptId(0);
    let content = StreamEvent::Progress(Progress {
        content: true,
        finished: false,
        last: false,
        usage: None,
    });
    exchange.on(Input::Connected(id), &mut scene);
    exchange.on(Input::Sent(id), &mut scene);
    exchange.on(Input::Head(id), &mut scene);
    let mut actions = 0;
    for _ in 0..60 {
        exchange.on(Input::Event(id, content.clone()), &mut scene);
        actions += drain(&mut exchange);
    }
    exchange.on(Input::Event(id, StreamEvent::Done), &mut scene);
    actions + drain(&mut exchange)
}

fn drain(exchange: &mut Exchange) -> usize {
    let mut actions = 0;
    while let Some(action) = exchange.poll() {
        actions += usize::from(!matches!(action, Action::Drop(_)));
    }
    actions
}

criterion_group!(benches, picks, exchanges);
criterion_main!(benches);
