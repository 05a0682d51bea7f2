//! The integration tests: the real binary between the scriptable provider and clients that judge raw bytes.
//! `harness` (the proxy as a child process), `config`, `metrics`, `answer`, `raw` and `h2c` (the clients) and
//! `upstream`, `plain` carry the rest, one module a behaviour. No fixed port, no internet; what takes long in life is scaled
//! down by configuration.
#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

mod harness;
mod config;
mod metrics;
mod answer;
mod raw;
mod h2c;
mod scenarios;
mod recovery_time;
mod upgrade;
mod upstream;
mod plain;
mod routes;
mod clients;
mod routes_hostile;
mod routes_h2;
mod routes_limits;
mod health_checks;
mod bodies;
mod fidelity;
mod filters;
mod sticky;
mod splits;
mod outage;
mod operations;
mod naming;
mod failover;
mod routing;
mod pacing;
mod active_probes;
mod surface;
mod limits;
mod connections;
mod cancel;
mod slow_reader;
mod slow_drip;
mod keepalive;
mod authority;
mod tls;
mod downstream_tls;
mod upstream_h1;
mod upstream_h2;
mod compressed;
mod reload;
mod endpoints;
mod restarts;
mod explain;
mod reload_storm;
mod settings;
mod settings_health;
mod settings_limits;
mod shutdown;
mod command_line;
mod simulate;
mod telemetry;
mod embed;
mod balancer;
mod lookups;
mod goaway;
