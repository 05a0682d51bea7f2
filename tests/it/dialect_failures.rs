//! The failures of the contract in every dialect that they can happen in: each dialect of clients in front of each
//! dialect of providers, for one answer and for a stream. In reading order: `bench` (two providers and a model for each
//! cell), `reading` (what the client's raw bytes say), `words` (of providers), `requests` (what is wrong with a request), `keys`
//! (and with who asks), `answers` (a 200 that is none), `streams` (what breaks on the way), `h2` (what a connection does).

#[path = "dialect_failures/answers.rs"]
mod answers;
#[path = "dialect_failures/bench.rs"]
mod bench;
#[path = "dialect_failures/h2.rs"]
mod h2;
#[path = "dialect_failures/keys.rs"]
mod keys;
#[path = "dialect_failures/reading.rs"]
mod reading;
#[path = "dialect_failures/requests.rs"]
mod requests;
#[path = "dialect_failures/streams.rs"]
mod streams;
#[path = "dialect_failures/words.rs"]
mod words;
