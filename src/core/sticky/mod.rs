//! Owns what is remembered of conversations: where each was answered last, and what its prompt cache is expected to
//! be worth there. In reading order: `memory` (of one), `table` (all of them, bounded), `places` (endpoints by what
//! outlives a reload). Must never hold a client's text, or choose an endpoint: `core/plan` does.

mod memory;
mod table;
mod places;

pub use memory::{Memory, Turn};
pub use places::Places;
pub use table::{CAPACITY, Table};
