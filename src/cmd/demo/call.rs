//! Owns one client of the demo: asks, reads, and judges the answer by what arrived. Must never take the
//! proxy's word for it that an answer is whole.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::cmd::client::{Answer, Client};
use crate::cmd::demo::file::MODEL;
use crate::cmd::demo::transcript::{Transcript, Whole};

/// A client that waits longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// What became of a request, as its client saw it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ending {
    /// Every word, once, and a clean end.
    Answered,
    /// A stream that began, then ended in an error event: the client knows that it has a part.
    Cut,
    /// Anything else, and what it was.
    Failed(String),
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
    pub(crate) ending: Ending,
    /// Of a stream: from the request's begin to its first word.
    pub(crate) first_token: Option<Duration>,
    /// `x-mainstay-endpoint`.
    pub(crate) endpoint: Option<String>,
    /// `x-mainstay-attempts`.
    pub(crate) attempts: u32,
    /// `x-mainstay-recovery-ms`.
    pub(crate) lost: Duration,
}

impl Call {
    /// Whether it was answered although an attempt failed.
    pub(crate) fn is_recovered(&self) -> bool {
        self.ending == Ending::Answered && self.attempts > 1
    }
}

/// Asks once, for a stream or for one JSON body.
pub(crate) async fn call(client: &Client, stream: bool) -> Call {
    let began = Instant::now();
    let mut call = Call {
        began,
        ended: began,
        ending: Ending::Failed(String::new()),
        first_token: None,
        endpoint: None,
        attempts: 0,
        lost: Duration::ZERO,
    };
    let asked = tokio::time::timeout(PATIENCE, ask(client, stream, &mut call)).await;
    call.ending = match asked {
        Ok(Ok(ending)) => ending,
        Ok(Err(error)) => Ending::Failed(format!("{error:#}")),
        Err(_) => Ending::Failed("no answer in a minute".to_owned()),
    };
    call.ended = Instant::now();
    call
}

async fn ask(client: &Client, stream: bool, call: &mut Call) -> anyhow::Result<Ending> {
    let mut answer = send(client, stream).await?;
    read_head(&answer, call);
    if answer.status != 200 {
        let text = read_all(&mut answer).await.unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        return Ok(Ending::Failed(format!("{} {text}", answer.status)));
    }
    let ending = match stream {
        true => read_stream(&mut answer, call).await,
        false => judge_json(&read_all(&mut answer).await?),
    };
    if ending == Ending::Answered {
        client.release(answer).await;
    }
    Ok(ending)
}

async fn send(client: &Client, stream: bool) -> anyhow::Result<Answer> {
    let body = serde_json::json!({
        "model": MODEL,
        "stream": stream,
        "messages": [{ "role": "user", "content": "Tell me about the harbour." }],
    });
    let headers = [("content-type", "application/json")];
    let body = Bytes::from(body.to_string());
    client
        .send("POST", "/v1/chat/completions", &headers, body)
        .await
}

fn read_head(answer: &Answer, call: &mut Call) {
    let number = |name: &str| answer.header(name).and_then(|value| value.parse().ok());
    call.endpoint = answer.header("x-mainstay-endpoint").map(str::to_owned);
    call.attempts = number("x-mainstay-attempts").unwrap_or(0);
    let lost = number("x-mainstay-recovery-ms").unwrap_or(0);
    call.lost = Duration::from_millis(lost.into());
}

pub(super) async fn read_all(answer: &mut Answer) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// A body that breaks off is judged by what it said before.
async fn read_stream(answer: &mut Answer, call: &mut Call) -> Ending {
    let mut transcript = Transcript::default();
    let broke_off = loop {
        match answer.chunk().await {
            Ok(Some(chunk)) => transcript.push(&chunk),
            Ok(None) => break false,
            Err(_) => break true,
        }
        if call.first_token.is_none() && transcript.has_words() {
            call.first_token = Some(call.began.elapsed());
        }
    };
    match transcript.judge() {
        Ok(Whole::Yes) if broke_off => Ending::Failed("no clean end after [DONE]".to_owned()),
        Ok(Whole::Yes) => Ending::Answered,
        Ok(Whole::EndedInError) => Ending::Cut,
        Err(why) => Ending::Failed(why),
    }
}

fn judge_json(body: &[u8]) -> Ending {
    match Transcript::of_json(body).and_then(Transcript::judge) {
        Ok(Whole::Yes) => Ending::Answered,
        Ok(Whole::EndedInError) => Ending::Failed("an error under status 200".to_owned()),
        Err(why) => Ending::Failed(why),
    }
}
