//! The faces of chat, piece by piece: `requests`, `answers`, `streams`.

mod requests;
mod answers;
mod streams;
