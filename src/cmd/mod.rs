//! The process floor: the command line, and what a process is made of. In reading order: `config_args`, `format`, `cli`, `process` (the
//! services), `listen`, `handover`, `reload`, `shutdown`, `client`, `admin_client`; then one room a verb: `run`, `check`,
//! `explain`, `schema`, `models`, `healthcheck`, `mock`, `demo`, `simulate`. Must never be named by any other floor, or leave a task without an owner.

mod config_args;
mod format;
mod cli;
mod process;
mod listen;
mod handover;
mod reload;
mod shutdown;
mod client;
mod admin_client;
mod run;
mod check;
mod explain;
mod schema;
mod models;
mod healthcheck;
pub mod mock;
pub(crate) mod demo;
mod simulate;

pub use cli::main;
