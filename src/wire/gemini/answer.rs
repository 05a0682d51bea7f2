//! Owns the reading of an answer whole. Must never take an error for an answer because its status was 200.

use super::finish::End;
use super::shape::{self, Blob, Candidate, FileData, Piece, Read, Response, Unreadable};
use super::stream::CallIds;
use crate::core::outcome::ErrorFacts;
use crate::wire::dialect::Whole;
use crate::wire::hub::{Answer, Choice, Document, Image, Part, Source, ToolCall};

/// Reads a body.
pub(super) fn read(body: &[u8]) -> Whole {
    match shape::read(body) {
        Read::Response(response) => answer(response),
        Read::Error(facts) => Whole::Error(Box::new(facts)),
        Read::Unknown | Read::Malformed => Whole::Malformed,
    }
}

fn answer(response: Response<'_>) -> Whole {
    let usage = response.usage();
    let service_tier = response.service_tier();
    let id = response.id.unwrap_or_default();
    let mut ids = CallIds::new(&id);
    let mut choices = Vec::new();
    for candidate in response.candidates.unwrap_or_default() {
        match choice(candidate, &mut ids) {
            Ok(choice) => choices.push(choice),
            Err(Fault::Failed(facts)) => return Whole::Error(facts),
            Err(Fault::Unreadable) => return Whole::Malformed,
        }
    }
    choices.sort_by_key(|(index, _)| *index);
    Whole::Good(Answer {
        id,
        created: 0,
        choices: choices.into_iter().map(|(_, choice)| choice).collect(),
        usage,
        service_tier,
    })
}

enum Fault {
    Failed(Box<ErrorFacts>),
    Unreadable,
}

impl From<Unreadable> for Fault {
    fn from(_: Unreadable) -> Self {
        Fault::Unreadable
    }
}

fn choice(mut candidate: Candidate<'_>, ids: &mut CallIds) -> Result<(u32, Choice), Fault> {
    let index = candidate.index();
    let mut parts = Vec::new();
    for part in candidate.parts() {
        for piece in part.pieces()?.into_iter().flatten() {
            parts.push(hub_part(piece, index, ids)?);
        }
    }
    let called = parts.iter().any(|part| matches!(part, Part::ToolCall(_)));
    let finish = match candidate.end(called) {
        Some(End::Failed(facts)) => return Err(Fault::Failed(facts)),
        Some(End::Finish(finish)) => Some(finish),
        None => None,
    };
    let texts = parts.iter_mut().rev();
    let last = texts.filter_map(|part| match part {
        Part::Text { citations, .. } => Some(citations),
        _ => None,
    });
    if let Some(citations) = last.take(1).next() {
        citations.extend(candidate.citations());
    }
    Ok((index, Choice { parts, finish }))
}

fn hub_part(piece: Piece<'_>, choice: u32, ids: &mut CallIds) -> Result<Part, Unreadable> {
    Ok(match piece {
        Piece::Text(text) => Part::text(text),
        Piece::Thought(thought) => Part::Thought(thought),
        Piece::Call(call) => {
            let (_, made) = ids.next(choice).ok_or(Unreadable)?;
            Part::ToolCall(ToolCall {
                id: call.id.unwrap_or(made),
                name: call.name,
                arguments: call.arguments.to_owned(),
                cache: None,
                signature: call.signature,
            })
        }
        Piece::Inline(blob) => inline(blob),
        Piece::File(file) => of_source(file),
    })
}

fn inline(blob: Blob) -> Part {
    let media_type = blob.mime_type.unwrap_or_default();
    if let Some(format) = media_type.strip_prefix("audio/") {
        return Part::Audio {
            format: format.to_owned(),
            data: blob.data,
        };
    }
    let source = Source::Base64 {
        data: blob.data,
        media_type,
    };
    match &source {
        Source::Base64 { media_type, .. } if media_type.starts_with("image/") => image(source),
        _ => document(source),
    }
}

fn of_source(file: FileData) -> Part {
    let source = Source::Url(file.file_uri);
    match file.mime_type {
        Some(media_type) if media_type.starts_with("image/") => image(source),
        _ => document(source),
    }
}

fn image(source: Source) -> Part {
    Part::Image(Image {
        source,
        detail: None,
        cache: None,
    })
}

fn document(source: Source) -> Part {
    Part::Document(Document {
        source,
        name: None,
        cache: None,
    })
}
