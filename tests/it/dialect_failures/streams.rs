//! What breaks inside a stream: S08 with S14, X01, X02's events, X03 and X04. Before the first content another provider answers, and
//! nothing of the first is seen; behind it the client gets its dialect's error and no clean end.

use std::sync::Arc;
use std::time::Duration;

use mainstay::cmd::mock::{Chatter, Cut, Damage, ErrorBody, Fault, Kind};

use super::bench::{Bench, Cell, Spare, dialects, run_all};
use crate::config::Config;
use crate::dialects::cases::{Case, Inbound};
use crate::harness::{fast, mock};
use crate::upstream::Literal;

/// Events that come before the first content, in dialects that have such.
const OPENING: u32 = 2;
/// An event in the middle of the words, in every dialect.
const MIDDLE: u32 = 20;

/// The class of an error that a stream ends in.
fn class_of(dialect: &str, body: ErrorBody) -> &'static str {
    match (dialect, body) {
        // Its last event says that there was an error, and its words are not told apart.
        ("cohere", _) => "error_in_200",
        (_, ErrorBody::Overloaded) => "overloaded",
        (_, ErrorBody::RateLimit) => "rate_limited",
        _ => "error_in_200",
    }
}

/// `event: error` of Anthropic, `error` and `response.failed` of OpenAI, an error's chunk of Gemini and chat, Bedrock's
/// throttlingException, serviceUnavailableException, internalServerException and modelStreamErrorException, the end of
/// Cohere's.
const TROUBLES: [ErrorBody; 4] = [
    ErrorBody::Overloaded,
    ErrorBody::RateLimit,
    ErrorBody::Server,
    ErrorBody::Timeout,
];

#[tokio::test(flavor = "multi_thread")]
async fn x01_an_error_before_the_first_token_moves_on() {
    for body in TROUBLES {
        for at in [1, OPENING] {
            let bench = Bench::new(Spare::Provider, |_| Kind::ErrorEvent { at, body }).await;
            // Gemini's first event has the first token in it.
            let dialects = dialects()
                .into_iter()
                .filter(|it| at == 1 || *it != "gemini");
            for cell in Cell::all(&dialects.collect::<Vec<_>>(), &[true]) {
                let run = bench.run(cell).await;
                run.is_rescued(&cell.model(), class_of(cell.dialect, body));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn x01_an_error_behind_a_token_ends_the_stream_in_an_error() {
    for body in TROUBLES {
        let bench = Bench::new(Spare::Provider, |_| Kind::ErrorEvent { at: MIDDLE, body }).await;
        for cell in Cell::all(&dialects(), &[true]) {
            bench
                .run(cell)
                .await
                .is_broken(class_of(cell.dialect, body));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn x01_a_status_of_529_moves_on() {
    let bench = Bench::new(Spare::Provider, |_| Kind::status(529)).await;
    for cell in Cell::all(&dialects(), &[false, true]) {
        bench
            .run(cell)
            .await
            .is_rescued(&cell.model(), "overloaded");
    }
}

/// Events as providers send them, each alone, where the mock tells the same in other words.
const EVENTS: [(&str, &str, &str); 8] = [
    (
        "openai-responses",
        "event: response.failed\ndata: {\"type\":\"response.failed\",\"sequence_number\":1,\"response\":{\"id\":\"resp_1\",\"object\":\"response\",\"created_at\":1,\"status\":\"failed\",\"error\":{\"code\":\"server_error\",\"message\":\"An error occurred.\"},\"incomplete_details\":null,\"model\":\"m\",\"output\":[],\"usage\":null}}\n\n",
        "error_in_200",
    ),
    (
        "openai-responses",
        "event: response.failed\ndata: {\"type\":\"response.failed\",\"sequence_number\":1,\"response\":{\"id\":\"resp_1\",\"object\":\"response\",\"created_at\":1,\"status\":\"failed\",\"error\":{\"code\":\"rate_limit_exceeded\",\"message\":\"Rate limit reached. Please try again in 11.05s.\"},\"model\":\"m\",\"output\":[]}}\n\n",
        "rate_limited",
    ),
    (
        "openai-responses",
        "event: error\ndata: {\"type\":\"error\",\"code\":\"server_error\",\"message\":\"An error occurred.\",\"param\":null,\"sequence_number\":1}\n\n",
        "error_in_200",
    ),
    (
        "openai-responses",
        "event: error\ndata: {\"type\":\"error\",\"sequence_number\":2,\"error\":{\"type\":\"service_unavailable_error\",\"code\":\"server_is_overloaded\",\"message\":\"Please try later.\",\"param\":null}}\n\n",
        "overloaded",
    ),
    (
        "anthropic",
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"details\":null,\"type\":\"overloaded_error\",\"message\":\"Overloaded\"},\"request_id\":\"req_1\"}\n\n",
        "overloaded",
    ),
    (
        "gemini",
        "data: [{\"error\":{\"code\":503,\"message\":\"The service is currently unavailable.\",\"status\":\"UNAVAILABLE\"}}]\r\n\r\n",
        "overloaded",
    ),
    (
        "cohere",
        "data: {\"message\":\"internal server error\"}\n\n",
        "error_in_200",
    ),
    (
        "openai",
        "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\"}],\"error\":{\"code\":502,\"message\":\"Provider disconnected\"}}\n\n",
        "error_in_200",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn x02_an_event_that_is_only_an_error_moves_on() {
    let good = mock(fast()).await;
    let (mut config, mut bad) = (Config::new(), Vec::new());
    config = config.raw_provider("good", &super::bench::fields("bedrock", &good));
    for (nth, (dialect, event, _)) in EVENTS.iter().enumerate() {
        let upstream = Literal::of("text/event-stream", event).await;
        let (at, root) = (upstream.address, super::bench::root(dialect));
        let fields = format!(
            "dialects: [{dialect}], base_url: \"http://{at}{root}\", keys: [{{ value: k }}]"
        );
        config = config.raw_provider(&format!("bad{nth}"), &fields);
        for inbound in Inbound::ALL {
            let model = format!("t/{}-{nth}", inbound.dialect());
            config = config.model(&model, &[&format!("bad{nth}"), "good"]);
        }
        bad.push(upstream);
    }
    let proxy = config.start();
    for (nth, (dialect, event, class)) in EVENTS.iter().enumerate() {
        for inbound in Inbound::ALL {
            let model = format!("t/{}-{nth}", inbound.dialect());
            let answer = proxy.send(&inbound.request(&model, Case::Text, true)).await;
            let told = super::bench::explained(&proxy, &answer).await;
            let about = format!("{inbound:?} {dialect} {event}: {answer:?} {told}");
            assert_eq!(answer.status, 200, "{about}");
            assert_eq!(
                inbound.objection(Case::Text, true, &answer),
                None,
                "{about}"
            );
            let class_at = |place: usize| told["attempts"][place]["class"].as_str();
            assert_eq!(
                (class_at(0), class_at(1)),
                (Some(*class), Some("success")),
                "{about}"
            );
        }
    }
}

/// What becomes of a broken event: fatal where it may hide a call's beginning, dropped where it cannot.
fn damaged(dialect: &str) -> &'static str {
    match dialect {
        "bedrock" | "gemini" | "cohere" => "malformed_response",
        _ => "connection_lost",
    }
}

/// Bedrock's frames have checksums: one with another bit in it, and one that is cut. The others' events are broken JSON.
#[tokio::test(flavor = "multi_thread")]
async fn x03_a_damaged_event_before_the_first_token_moves_on() {
    for how in [Damage::Flipped, Damage::Cut] {
        let bench = Bench::new(Spare::Provider, |_| Kind::DamagedEvent { at: 1, how }).await;
        for cell in Cell::all(&dialects(), &[true]) {
            bench
                .run(cell)
                .await
                .is_rescued(&cell.model(), damaged(cell.dialect));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn x03_a_damaged_event_behind_a_token_ends_the_stream_in_an_error() {
    for how in [Damage::Flipped, Damage::Cut] {
        let bench = Bench::new(Spare::Provider, |_| Kind::DamagedEvent { at: MIDDLE, how }).await;
        for cell in Cell::all(&dialects(), &[true]) {
            bench.run(cell).await.is_broken(damaged(cell.dialect));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn x03_an_event_that_nobody_knows_changes_nothing() {
    for at in [1, OPENING, MIDDLE] {
        let bench = Bench::new(Spare::Provider, |_| Kind::UnknownEvent { at }).await;
        for cell in Cell::all(&dialects(), &[true]) {
            let run = bench.run(cell).await;
            run.is_whole(&cell.model());
            assert_eq!(run.classes(), ["success"], "{}", run.about());
            assert_eq!((run.asked, run.spared), (1, 0), "{}", run.about());
        }
    }
}

/// S08, and S14: the other model takes no request that ends in an assistant message. As long as no broken stream is
/// continued there, it is not even asked, and none of its words reach the client; one answer whole is asked for anew.
#[tokio::test(flavor = "multi_thread")]
async fn s14_a_stream_that_dies_ends_in_its_own_error_and_never_in_anothers() {
    for how in [Cut::Close, Cut::Reset] {
        let bench = Bench::new(Spare::Model, |_| Kind::CutAfter { tokens: 40, how }).await;
        let rejects = Some(Fault::always(Kind::RejectPrefill));
        bench.good.update(|script| script.fault = rejects);
        for cell in Cell::all(&dialects(), &[true]) {
            let run = bench.run(cell).await;
            run.is_broken("connection_lost");
            assert!(!run.answer.text().contains("prefill"), "{}", run.about());
        }
        for cell in Cell::all(&dialects(), &[false]) {
            let run = bench.run(cell).await;
            run.is_whole("t/large");
            let fallback = run.answer.header("x-mainstay-fallback");
            assert_eq!(fallback, Some("connection_lost"), "{}", run.about());
        }
    }
}

/// Signs of life without a word: comments (an event without content where a dialect has no comments), and the events
/// that come before the first word, again and again.
#[tokio::test(flavor = "multi_thread")]
async fn x04_a_stream_that_only_says_that_it_lives_is_left() {
    for what in [Chatter::Comment, Chatter::Role] {
        let chatter = Kind::Chatter {
            what,
            every: Duration::from_millis(20),
            lasts: Duration::from_secs(60),
        };
        let timeouts = "first_token: 1s";
        let bench = Bench::timed(Spare::Provider, timeouts, |_| chatter.clone()).await;
        let bench = Arc::new(bench);
        for run in run_all(&bench, Cell::all(&dialects(), &[true])).await {
            run.is_rescued(&run.cell.model(), "first_token_timeout");
        }
    }
}
