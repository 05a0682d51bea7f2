//! The faces of Responses, piece by piece: `requests`, `answers`, `streams`.

mod requests;
mod answers;
mod streams;
