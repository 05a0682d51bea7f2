//! Owns the way from a snapshot to its facts. Every struct is taken apart whole, so that a new setting cannot be
//! forgotten. Must never leave a credential as it is.

use bytesize::ByteSize;
use sha2::{Digest, Sha256};

use super::fields::Fields;
use super::{Fact, Facts, Item, Kind};
use crate::config::secret::Secret;
use crate::config::snapshot::{
    Admin, Caller, Cors, Holds, Listener, ListenerTls, NamedFile, Route, Server, Snapshot, Store,
    Telemetry,
};
use crate::core::catalog::{Catalog, Endpoint, Labels, Model, Price};
use crate::core::health::{ActiveProbe, BudgetSettings, HealthSettings, ProbeFast, Rest};
use crate::core::policy::{Degrade, Layers, Policy, Require, Weights};

/// Digits of a digest: enough that two credentials do not meet, too few to be of use elsewhere.
const DIGITS: usize = 16;

// === impl Facts ===

impl Facts {
    /// Takes a configuration apart.
    pub fn of(snapshot: &Snapshot, files: &[NamedFile], salt: &str) -> Self {
        let mut facts = Self {
            salt: salt.to_owned(),
            items: Vec::new(),
        };
        let Snapshot {
            server,
            callers,
            providers,
            catalog,
            // What it filled in is told where it stands.
            well_known: _,
            routes,
            policies,
            health,
            retry_budget,
            store: Store { health: file },
            telemetry,
        } = snapshot;
        facts.server(server);
        for caller in callers {
            facts.caller(caller);
        }
        for (name, provider) in providers {
            facts.provider(name.as_str(), provider);
        }
        facts.catalog(catalog);
        for (position, route) in routes.iter().enumerate() {
            facts.route(position, route);
        }
        for policy in policies.values() {
            facts.policy(policy);
        }
        facts.health(health);
        facts.retry_budget(*retry_budget);
        let store = Fields::default().path("health", file.as_deref());
        facts.push(Kind::Store, "", store);
        let Telemetry {
            access_log,
            requests,
            otlp,
            trace_ratio,
        } = telemetry;
        let otlp = otlp
            .as_ref()
            .map_or_else(|| "none".to_owned(), ToString::to_string);
        let telemetry = Fields::default()
            .shown("access_log", access_log)
            .plain("requests", requests)
            .plain("otlp", otlp)
            .plain("trace_ratio", trace_ratio);
        facts.push(Kind::Telemetry, "", telemetry);
        // Credentials are told where they stand.
        for file in files.iter().filter(|file| file.holds != Holds::Credential) {
            facts.file(file);
        }
        facts
            .items
            .sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
        // Two may name the same file.
        facts.items.dedup();
        facts
    }

    pub(super) fn push(&mut self, kind: Kind, name: &str, fields: Fields) {
        self.items.push(Item {
            kind,
            name: name.to_owned(),
            fields: fields.0,
        });
    }

    pub(super) fn digest(&self, secret: &[u8]) -> Fact {
        let digest = Sha256::new()
            .chain_update(&self.salt)
            .chain_update(secret)
            .finalize();
        let mut digits = format!("{digest:x}");
        digits.truncate(DIGITS);
        Fact::Secret { digest: digits }
    }

    pub(super) fn secret(&self, secret: Option<&Secret>) -> Fact {
        match secret {
            Some(secret) => self.digest(secret.expose().as_bytes()),
            None => Fact::Plain("none".to_owned()),
        }
    }

    fn server(&mut self, server: &Server) {
        let Server {
            listen,
            admin:
                Admin {
                    listen: admin,
                    token,
                    metrics_token,
                },
            threads,
            max_body,
            max_inflight_bytes,
            body_timeout,
            drain,
            upgrade_socket,
            max_connections,
            idle_timeout,
            trusted_proxies,
            cors,
        } = server;
        let fields = Fields::default()
            .plain("admin.listen", admin)
            .fact("admin.token", self.secret(token.as_ref()))
            .fact("admin.metrics_token", self.secret(metrics_token.as_ref()))
            .plain("threads", threads)
            .plain("max_body", ByteSize(*max_body))
            .plain("max_inflight_bytes", ByteSize(*max_inflight_bytes))
            .time("body_timeout", *body_timeout)
            .time("drain", *drain)
            .path("upgrade_socket", upgrade_socket.as_deref())
            .plain("max_connections", max_connections)
            .time("idle_timeout", *idle_timeout)
            .list("trusted_proxies", trusted_proxies)
            .list("cors.origins", origins(cors));
        self.push(Kind::Server, "", fields);
        for Listener { address, tls } in listen {
            self.push(
                Kind::Listener,
                &address.to_string(),
                listener_tls(tls.as_ref()),
            );
        }
    }

    fn caller(&mut self, caller: &Caller) {
        let Caller {
            name,
            key,
            models,
            policy,
        } = caller;
        let fields = Fields::default()
            .fact("key", self.secret(Some(key)))
            .list("models", models)
            .optional("policy", policy.as_ref());
        self.push(Kind::CallerKey, name.as_str(), fields);
    }

    fn catalog(&mut self, catalog: &Catalog) {
        for model in catalog.models() {
            let Model {
                name,
                context_length,
                max_output,
                supports,
                endpoints,
                fallbacks,
                policy,
            } = model;
            let endpoints = endpoints.iter().map(|ix| &catalog.endpoint(*ix).id);
            let fallbacks = fallbacks.iter().map(|ix| &catalog.model(*ix).name);
            let fields = Fields::default()
                .optional("context_length", context_length.as_ref())
                .optional("max_output", max_output.as_ref())
                .list("supports", supports.iter().flatten().map(|it| it.as_str()))
                .plain("supports.known", supports.is_some())
                .list("endpoints", endpoints)
                .list("fallbacks", fallbacks)
                .optional("policy", policy.as_ref());
            self.push(Kind::Model, name.as_str(), fields);
        }
        catalog
            .endpoints()
            .iter()
            .for_each(|endpoint| self.endpoint(endpoint));
        for (alias, model) in catalog.aliases() {
            self.push(Kind::Alias, &alias, Fields::default().plain("model", model));
        }
    }

    fn endpoint(&mut self, endpoint: &Endpoint) {
        let Endpoint {
            id,
            // Its id says all three.
            model: _,
            provider: _,
            key: _,
            upstream_model,
            price:
                Price {
                    prompt,
                    completion,
                    cache_read,
                },
            labels:
                Labels {
                    region,
                    data_collection,
                    zdr,
                    quantization,
                },
            // Where it is, what it speaks and who pays is its provider's.
            tongues: _,
            host: _,
            credential: _,
            fingerprint: _,
            timeouts,
        } = endpoint;
        let fields = Fields::default()
            .plain("model", upstream_model)
            .optional("price.prompt", prompt.as_ref())
            .optional("price.completion", completion.as_ref())
            .optional("price.cache_read", cache_read.as_ref())
            .optional("region", region.as_ref())
            .shown("data_collection", data_collection)
            .plain("zdr", zdr)
            .optional("quantization", quantization.as_ref())
            .timeouts(timeouts);
        self.push(Kind::Endpoint, id.as_str(), fields);
    }

    fn route(&mut self, position: usize, route: &Route) {
        let Route {
            path,
            providers,
            pin,
        } = route;
        let fields = Fields::default()
            .plain("position", position)
            .list("providers", providers)
            .plain("pin", pin);
        self.push(Kind::Route, path.as_str(), fields);
    }

    fn policy(&mut self, policy: &Policy) {
        let Policy {
            name,
            sort,
            weights:
                Weights {
                    price,
                    latency,
                    throughput,
                    uptime,
                },
            split,
            attempts,
            layers:
                Layers {
                    retry,
                    failover,
                    fallback,
                },
            deadline,
            patience,
            max_cost,
            require,
            degrade,
            sticky,
            timeouts,
        } = policy;
        let layers = [
            (retry, "retry"),
            (failover, "failover"),
            (fallback, "fallback"),
        ];
        let layers = layers
            .into_iter()
            .filter_map(|(on, layer)| on.then_some(layer));
        let fields = Fields::default()
            .plain("sort", sort.as_str())
            .plain("weights.price", price)
            .plain("weights.latency", latency)
            .plain("weights.throughput", throughput)
            .plain("weights.uptime", uptime)
            .list(
                "split",
                split.iter().map(|(id, percent)| format!("{id} {percent}")),
            )
            .plain("attempts", attempts)
            .list("layers", layers)
            .time("deadline", *deadline)
            .time("patience", *patience)
            .optional("max_cost", max_cost.as_ref())
            .timeouts(timeouts);
        let fields = degraded(required(fields, require), degrade).sticky(sticky.as_ref());
        self.push(Kind::Policy, name.as_str(), fields);
    }

    fn health(&mut self, settings: &HealthSettings) {
        let HealthSettings {
            trip_after,
            min_success,
            rest:
                Rest {
                    connect,
                    server_error,
                    timeout,
                    auth,
                },
            probe_share,
            probe_fast: ProbeFast { below, every },
            probes_to_close,
            ramp,
            active_probe,
        } = settings;
        let mut fields = Fields::default()
            .plain("trip_after", trip_after)
            .plain("min_success", min_success)
            .time("rest.connect", *connect)
            .time("rest.server_error", *server_error)
            .time("rest.timeout", *timeout)
            .time("rest.auth", *auth)
            .plain("probe_share", probe_share)
            .time("probe_fast.below", *below)
            .time("probe_fast.every", *every)
            .plain("probes_to_close", probes_to_close)
            .time("ramp", *ramp);
        if let Some(ActiveProbe { every }) = active_probe {
            fields = fields.time("active_probe.every", *every);
        }
        self.push(Kind::Health, "", fields);
    }

    fn retry_budget(&mut self, settings: BudgetSettings) {
        let BudgetSettings {
            per_success,
            floor_per_second,
        } = settings;
        let fields = Fields::default()
            .plain("per_success", per_success)
            .plain("floor_per_second", floor_per_second);
        self.push(Kind::RetryBudget, "", fields);
    }

    fn file(&mut self, file: &NamedFile) {
        let content = match &file.digest {
            Some(digest) => self.digest(digest),
            None => Fact::Plain("cannot be read".to_owned()),
        };
        let fields = Fields::default().fact("content", content);
        self.push(Kind::File, &file.path.display().to_string(), fields);
    }
}

fn required(fields: Fields, require: &Require) -> Fields {
    let Require {
        region,
        data_collection,
        zdr,
        min_quantization,
        only,
        ignore,
    } = require;
    fields
        .list("require.region", region)
        .shown("require.data_collection", data_collection)
        .plain("require.zdr", zdr)
        .optional("require.min_quantization", min_quantization.as_ref())
        .list("require.only", only)
        .list("require.ignore", ignore)
}

fn degraded(fields: Fields, degrade: &Degrade) -> Fields {
    let Degrade {
        max_price_ratio,
        max_added_latency,
        models,
        min_quantization,
        labels,
        otherwise,
    } = degrade;
    let latency = max_added_latency.map(humantime::format_duration);
    let labels = labels
        .iter()
        .map(|label| format!("{label:?}").to_lowercase());
    fields
        .optional("degrade.max_price_ratio", max_price_ratio.as_ref())
        .optional("degrade.max_added_latency", latency)
        .list("degrade.models", models)
        .optional("degrade.min_quantization", min_quantization.as_ref())
        .list("degrade.labels", labels)
        .shown("degrade.otherwise", otherwise)
}

fn origins(cors: &Cors) -> Vec<String> {
    match cors {
        Cors::Off => Vec::new(),
        Cors::Any => vec!["*".to_owned()],
        Cors::Only(patterns) => patterns.iter().map(ToString::to_string).collect(),
    }
}

fn listener_tls(tls: Option<&ListenerTls>) -> Fields {
    let fields = Fields::default().plain("tls", tls.is_some());
    let Some(ListenerTls {
        cert_file,
        key_file,
        client_ca_file,
    }) = tls
    else {
        return fields;
    };
    fields
        .path("tls.cert_file", Some(cert_file))
        .path("tls.key_file", Some(key_file))
        .path("tls.client_ca_file", client_ca_file.as_deref())
}
