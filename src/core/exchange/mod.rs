//! placeholder
mod input;
pub use input::*;
