//! placeholder
mod facts;
pub use facts::RequestFacts;
