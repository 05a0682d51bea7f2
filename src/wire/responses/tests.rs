//! The faces of Responses, piece by piece: `requests`, `answers`, `streams`.

mod requests;
mod answers;
mod streams;

use bytes::Bytes;

use crate::wire::client_error::Skin;
use crate::wire::dialect::Reply;

fn reply(request: &Bytes) -> Reply<'_> {
    Reply {
        request,
        model: "author/slug",
        id: "own",
        now: 99,
        usage: true,
        skin: Skin::OpenAi,
    }
}
