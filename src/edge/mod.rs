//! The edge floor: everything that touches sockets, clocks and files on behalf of the pure floors. In reading
//! order: `clock`, `sparing`, `lifecycle`, `dns`, `auth`, `tls`, `balance`, `peer`, `outside`, `google`, `tokens`, `token_keeper`, `routes`, `probe`, `template`, `conversations`,
//! `generation`, `telemetry`, `checks`, `exporter`, `planning`, `explain`, `proxy`, `prober`, `front`, `admin`, `store`, `plugin` (all
//! of it as one value).
//! Must never decide routing: that is `core`'s.

pub mod clock;
mod sparing;
pub mod lifecycle;
pub mod dns;
pub mod auth;
mod sign;
pub mod tls;
pub mod balance;
pub mod peer;
mod outside;
mod google;
pub mod tokens;
mod token_keeper;
pub mod routes;
mod probe;
pub mod template;
mod conversations;
mod carrying;
pub mod generation;
pub mod telemetry;
mod checks;
mod exporter;
pub mod planning;
pub mod explain;
pub mod proxy;
mod prober;
pub mod front;
pub mod admin;
mod store;
pub mod plugin;
