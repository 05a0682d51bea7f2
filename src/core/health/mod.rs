//! placeholder
mod settings;
pub use settings::{BudgetSettings, HealthSettings, ProbeFast, Rest};
