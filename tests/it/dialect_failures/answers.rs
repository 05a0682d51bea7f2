//! A status of 200 with something else than an answer in it: X02 and X10.

use mainstay::cmd::mock::{ErrorBody, Kind};

use super::bench::{Bench, Cell, Spare, dialects};
use super::words::literal;

/// Every cell is rescued by the other provider, after one attempt of the class that its dialect's words have.
async fn rescues(kind: Kind, forms: &[bool], class: impl Fn(&str, bool) -> &'static str) {
    let bench = Bench::new(Spare::Provider, |_| kind.clone()).await;
    for cell in Cell::all(&dialects(), forms) {
        let run = bench.run(cell).await;
        run.is_rescued(&cell.model(), class(cell.dialect, cell.stream));
        assert_eq!(run.spared, 1, "{}", run.about());
    }
}

/// A JSON body with the provider's error, whatever was asked for.
#[tokio::test(flavor = "multi_thread")]
async fn x02_an_answer_that_is_only_an_error_moves_on() {
    let in200 = |body| Kind::ErrorIn200 { body };
    rescues(
        in200(ErrorBody::Overloaded),
        &[false, true],
        |_, _| "overloaded",
    )
    .await;
    rescues(
        in200(ErrorBody::Server),
        &[false, true],
        |_, _| "error_in_200",
    )
    .await;
    rescues(
        in200(ErrorBody::RateLimit),
        &[false, true],
        |dialect, _| match dialect {
            // Its name would stand in a header, beside a status that says so too.
            "bedrock" => "error_in_200",
            _ => "rate_limited",
        },
    )
    .await;
}

/// Forms that an error in a 200 takes beside a provider's usual one: a response that failed, an event's data, a list, a
/// bare message, and what stands in a choice.
#[tokio::test(flavor = "multi_thread")]
async fn x02_every_form_of_an_error_is_one() {
    let form = |dialect: &str| match dialect {
        "openai" => {
            r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":""},"finish_reason":"error","error":{"code":502,"message":"Provider returned error"}}]}"#
        }
        "openai-responses" => {
            r#"{"id":"resp_1","object":"response","created_at":1,"status":"failed","error":{"code":"server_error","message":"The model failed"},"incomplete_details":null,"model":"m","output":[],"usage":null}"#
        }
        "anthropic" => r#"{"error":{"type":"api_error","message":"Internal server error"}}"#,
        "gemini" => {
            r#"[{"error":{"code":500,"message":"An internal error has occurred","status":"INTERNAL"}}]"#
        }
        "bedrock" => {
            r#"{"message":"The system encountered an unexpected error during processing."}"#
        }
        _ => r#"{"message":"internal server error"}"#,
    };
    let bench = Bench::new(Spare::Provider, |dialect| literal(form(dialect))).await;
    for cell in Cell::all(&dialects(), &[false, true]) {
        bench
            .run(cell)
            .await
            .is_rescued(&cell.model(), "error_in_200");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn x10_a_page_is_no_answer() {
    rescues(
        Kind::Html { status: 200 },
        &[false, true],
        |_, _| "malformed_response",
    )
    .await;
    rescues(
        Kind::Html { status: 500 },
        &[false, true],
        |_, _| "server_error",
    )
    .await;
    rescues(
        Kind::Html { status: 503 },
        &[false, true],
        |_, _| "overloaded",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn x10_a_body_that_is_cut_or_empty_is_no_answer() {
    rescues(
        Kind::TruncatedGzip,
        &[false, true],
        |_, _| "malformed_response",
    )
    .await;
    rescues(literal(""), &[false, true], |_, _| "malformed_response").await;
    rescues(Kind::TruncatedJson, &[false], |_, _| "malformed_response").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn x10_an_answer_without_content_is_none() {
    rescues(Kind::Empty, &[false, true], |_, _| "empty_completion").await;
}

/// The right answer under a wrong name is still the answer; the client gets it under the right one.
#[tokio::test(flavor = "multi_thread")]
async fn x10_a_wrong_content_type_never_reaches_the_client() {
    let content_type = "text/plain".to_owned();
    let bench = Bench::new(Spare::Provider, |_| Kind::WrongContentType {
        content_type: content_type.clone(),
    })
    .await;
    for cell in Cell::all(&dialects(), &[false, true]) {
        let run = bench.run(cell).await;
        run.is_whole(&cell.model());
        assert_eq!(run.classes(), ["success"], "{}", run.about());
        assert_eq!((run.asked, run.spared), (1, 0), "{}", run.about());
    }
}

/// JSON is announced where events were asked for.
#[tokio::test(flavor = "multi_thread")]
async fn x10_events_under_the_name_of_json_move_on() {
    let content_type = "application/json".to_owned();
    rescues(
        Kind::WrongContentType { content_type },
        &[true],
        |_, _| "malformed_response",
    )
    .await;
}
