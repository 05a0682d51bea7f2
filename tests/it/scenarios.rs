//! The scenarios of the failure contract: one request through one model with one endpoint and one fallback
//! model, as a stream over h1 and h2c and as a JSON answer; the caller's view and the provider's log are judged.

use std::time::{Duration, Instant};

use mainstay::cmd::mock::{Mock, Received, Script};

use crate::harness::{Config, Proxy, fast, for_model, mock};
use crate::raw::{Answer, BOTH, Ended, Request, Via};

/// What a caller asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Stream(Via),
    Json,
}

const STREAMS: &[Form] = &[Form::Stream(Via::H1), Form::Stream(Via::H2)];
const ALL: &[Form] = &[Form::Stream(Via::H1), Form::Stream(Via::H2), Form::Json];

/// Scenario durations are a twentieth of the contract's.
const SCALE: f64 = 0.05;

/// One scenario with a model of its own for each form, so that no form sees another's health.
struct Bench {
    id: &'static str,
    primary: Mock,
    backup: Mock,
    proxy: Proxy,
}

/// One request and all that came of it.
struct Run {
    form: Form,
    answer: Answer,
    took: Duration,
    /// Attempts on the model asked for.
    attempts: Vec<Received>,
    /// The name of the fallback model's attempts on its own provider.
    fallbacks: usize,
    model: String,
}

impl Bench {
    async fn new(id: &'static str, timeouts: &str) -> Self {
        let primary = mock(Script {
            scale: SCALE,
            ..fast()
        })
        .await;
        let backup = mock(fast()).await;
        let mut config = Config::new()
            .provider("primary", primary.addr())
            .provider("backup", backup.addr())
            .model_with("ref/backup", &["backup"], "context_length: 128000")
            .policy(&format!("timeouts: {{ {timeouts} }}"));
        for form in ALL {
            let fields = "fallbacks: [ref/backup], context_length: 8000";
            config = config.model_with(&model(*form, id), &["primary"], fields);
        }
        Self {
            id,
            proxy: config.start(),
            primary,
            backup,
        }
    }

    async fn run(&self, form: Form) -> Run {
        let model = model(form, self.id);
        let request = match form {
            Form::Stream(_) => Request::stream(&model),
            Form::Json => Request::chat(&model),
        };
        let via = match form {
            Form::Stream(via) => via,
            Form::Json => Via::H1,
        };
        let begun = Instant::now();
        let answer = self.proxy.call(via, &request).await;
        let slug = model.trim_start_matches("ref/");
        Run {
            form,
            took: begun.elapsed(),
            answer,
            attempts: for_model(&self.primary, slug),
            fallbacks: for_model(&self.backup, "backup").len(),
            model,
        }
    }

    /// Runs every form at once; the count of fallbacks is that of all of them.
    async fn run_all(&self, forms: &[Form]) -> Vec<Run> {
        let runs = forms.iter().map(|form| self.run(*form));
        let runs = join_all(runs).await;
        let fallbacks = for_model(&self.backup, "backup").len();
        runs.into_iter()
            .map(|run| Run { fallbacks, ..run })
            .collect()
    }
}

async fn join_all<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut futures: Vec<_> = futures.map(Box::pin).collect();
    let mut done: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, done) in futures.iter_mut().zip(&mut done) {
            if done.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                *done = Some(value);
            }
        }
        match done.iter().all(Option::is_some) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    done.into_iter().flatten().collect()
}

fn model(form: Form, id: &str) -> String {
    let form = match form {
        Form::Stream(Via::H1) => "h1",
        Form::Stream(Via::H2) => "h2",
        Form::Json => "json",
    };
    format!("ref/{form}-{id}")
}

impl Run {
    /// The complete canonical answer, once, with a clean end, in the name of `model`.
    fn is_whole(&self, model: &str) {
        let Self { form, answer, .. } = self;
        assert_eq!(answer.status, 200, "{form:?}: {answer:?}");
        assert_eq!(answer.end, Ended::Whole, "{form:?}");
        assert_eq!(answer.content(), Script::default().answer(), "{form:?}");
        assert_eq!(answer.model(), model, "{form:?}");
        assert_eq!(answer.usage().unwrap()["completion_tokens"], 60, "{form:?}");
        if *form != Form::Json {
            assert!(answer.is_done(), "{form:?}: {}", answer.text());
            assert_eq!(answer.text().matches("[DONE]").count(), 1, "{form:?}");
        }
    }

    fn answered_by_primary(&self) {
        self.is_whole(&self.model);
        assert_eq!(self.answer.header("x-mainstay-fallback"), None);
    }

    fn answered_by_fallback(&self, trigger: &str) {
        self.is_whole("ref/backup");
        let header = |name| self.answer.header(name);
        assert_eq!(
            header("x-mainstay-fallback"),
            Some(trigger),
            "{:?}",
            self.form
        );
        assert_eq!(header("x-mainstay-model"), Some("ref/backup"));
    }

    fn attempts_within(&self, window: Duration) -> usize {
        let first = self.attempts[0].at;
        let early = self
            .attempts
            .iter()
            .filter(|attempt| attempt.at < first + window);
        early.count()
    }
}

async fn bench(id: &'static str) -> Bench {
    Bench::new(id, "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn s01_a_short_retry_after_is_waited_for() {
    let bench = bench("s01").await;
    for run in bench.run_all(ALL).await {
        run.answered_by_primary();
        assert_eq!(run.attempts.len(), 2, "{:?}", run.form);
        let gap = run.attempts[1].at.saturating_sub(run.attempts[0].at);
        assert!(gap >= Duration::from_millis(1800), "{gap:?}");
        assert!(run.attempts_within(Duration::from_millis(1500)) <= 2);
        assert!(run.took < Duration::from_secs(20));
        assert_eq!(run.answer.header("x-mainstay-attempts"), Some("2"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s02_a_rate_limit_without_an_end_goes_to_the_fallback() {
    let bench = bench("s02").await;
    for run in bench.run_all(ALL).await {
        run.answered_by_fallback("rate_limited");
        assert!(run.attempts_within(Duration::from_secs(3)) <= 4);
        assert!(run.attempts.len() <= 6);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s03_one_server_error_is_retried_on_the_same_model() {
    let bench = bench("s03").await;
    for run in bench.run_all(ALL).await {
        run.answered_by_primary();
        assert_eq!(run.attempts.len(), 2, "{:?}", run.form);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s04_an_overloaded_model_is_replaced_by_its_fallback() {
    let bench = bench("s04").await;
    for run in bench.run_all(ALL).await {
        run.answered_by_fallback("overloaded");
        assert!(run.attempts.len() <= 6, "{:?}", run.form);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s05_a_reset_before_any_byte_is_retried() {
    let bench = bench("s05").await;
    for run in bench.run_all(ALL).await {
        run.answered_by_primary();
        assert_eq!(run.attempts.len(), 2, "{:?}", run.form);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s06_silence_is_never_waited_for_twice() {
    let bench = Bench::new("s06", "first_token: 500ms, answer: 500ms").await;
    for run in bench.run_all(ALL).await {
        let trigger = match run.form {
            Form::Json => "answer_timeout",
            Form::Stream(_) => "first_token_timeout",
        };
        run.answered_by_fallback(trigger);
        assert_eq!(run.attempts.len(), 1, "{:?}", run.form);
        assert!(run.took < Duration::from_secs(5), "{:?}", run.took);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s07_a_head_without_a_token_goes_to_the_fallback() {
    let bench = Bench::new("s07", "first_token: 400ms").await;
    for run in bench.run_all(STREAMS).await {
        run.answered_by_fallback("first_token_timeout");
        assert_eq!(run.attempts.len(), 1, "{:?}", run.form);
        assert!(run.took < Duration::from_secs(5), "{:?}", run.took);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s07_the_first_token_deadline_stands_by_default() {
    let primary = mock(Script::default()).await;
    let backup = mock(fast()).await;
    let proxy = Config::new()
        .provider("primary", primary.addr())
        .provider("backup", backup.addr())
        .model("ref/backup", &["backup"])
        .model_with("ref/s07", &["primary"], "fallbacks: [ref/backup]")
        .start();
    let begun = Instant::now();
    let answer = proxy.send(&Request::stream("ref/s07")).await;
    assert_eq!(answer.content(), Script::default().answer());
    assert_eq!(answer.model(), "ref/backup");
    assert!(begun.elapsed() < Duration::from_secs(15));
}

/// The answer holds its first `tokens` tokens, then the dialect's error chunk, and no clean end.
fn breaks_after(answer: &Answer, tokens: usize, path: &str) {
    let events = answer.events();
    let (error, before) = events.split_last().unwrap();
    let content: String = Script::default().pieces()[..tokens].concat();
    assert_eq!(answer.content(), content, "{path}");
    assert_eq!(error["object"], "chat.completion.chunk");
    assert_eq!(error["choices"][0]["finish_reason"], "error");
    assert_eq!(error["choices"][0]["index"], 0);
    assert_eq!(error["choices"][0]["delta"]["content"], "");
    for field in ["id", "created", "model"] {
        assert_eq!(error[field], before[0][field], "{field}");
    }
    assert!(!error["error"]["message"].as_str().unwrap().is_empty());
    let is_openrouter = path.starts_with("/api/");
    assert_eq!(error["error"]["code"].is_number(), is_openrouter, "{error}");
    assert_eq!(answer.is_done(), is_openrouter, "{path}");
    assert_ne!(
        answer.end,
        Ended::Whole,
        "{path}: a cut answer ended cleanly"
    );
}

async fn breaks(bench: &Bench, tokens: usize) {
    for via in BOTH {
        for path in ["/v1/chat/completions", "/api/v1/chat/completions"] {
            let model = model(Form::Stream(via), bench.id);
            let begun = Instant::now();
            let request = Request::stream(&model).at(path);
            let answer = bench.proxy.call(via, &request).await;
            assert_eq!(answer.status, 200);
            breaks_after(&answer, tokens, path);
            if via == Via::H2 {
                assert_eq!(answer.end, Ended::Reset);
            }
            assert!(begun.elapsed() < Duration::from_secs(10));
        }
        let healthy = bench.proxy.call(via, &Request::stream("ref/backup")).await;
        assert_eq!((healthy.status, healthy.end), (200, Ended::Whole));
        assert_eq!(healthy.content(), Script::default().answer());
    }
    assert!(
        for_model(&bench.primary, "h1-s08").len() <= 2,
        "never again after content"
    );
    bench.proxy.idle(Duration::from_secs(2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s08_a_stream_that_dies_ends_in_an_error_and_never_cleanly() {
    breaks(&bench("s08").await, 40).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s09_a_stream_that_stalls_ends_in_an_error_and_never_cleanly() {
    breaks(&Bench::new("s09", "idle: 400ms").await, 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s08_and_s09_as_json_are_answered_whole_by_another() {
    let cut = bench("s08").await;
    let run = cut.run(Form::Json).await;
    run.answered_by_fallback("connection_lost");
    let stalled = Bench::new("s09", "answer: 500ms").await;
    let run = stalled.run(Form::Json).await;
    run.answered_by_fallback("answer_timeout");
    assert_eq!(run.attempts.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn s10_an_event_of_invalid_json_is_left_out() {
    let bench = bench("s10").await;
    for run in bench.run_all(STREAMS).await {
        run.answered_by_primary();
        assert_eq!(run.attempts.len(), 1, "{:?}", run.form);
    }
    let family = "mainstay_malformed_events_total";
    bench.proxy.counts(family, &[], 2.0).await;
    let next = bench.proxy.send(&Request::stream("ref/backup")).await;
    assert_eq!(next.content(), Script::default().answer());
}

#[tokio::test(flavor = "multi_thread")]
async fn s11_a_missing_end_marker_is_added() {
    let bench = bench("s11").await;
    for run in bench.run_all(STREAMS).await {
        run.answered_by_primary();
        assert_eq!(run.attempts.len(), 1);
        assert!(run.took < Duration::from_secs(8), "{:?}", run.took);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s12_a_prompt_that_is_too_long_goes_to_a_larger_window() {
    let bench = bench("s12").await;
    for run in bench.run_all(ALL).await {
        run.answered_by_fallback("context_too_long");
        assert_eq!(run.attempts.len(), 1, "{:?}", run.form);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s13_a_filtered_prompt_is_returned_at_once() {
    let bench = bench("s13").await;
    for run in bench.run_all(ALL).await {
        let error = run.answer.error();
        assert_eq!(run.answer.status, 400, "{:?}", run.form);
        assert_eq!(run.answer.end, Ended::Whole);
        assert_eq!(error["code"], "content_policy_violation");
        assert!(error["message"].as_str().unwrap().contains("safety system"));
        assert_eq!(run.attempts.len(), 1);
        assert_eq!(run.fallbacks, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s16_the_answer_names_the_model_that_gave_it() {
    let bench = bench("s16").await;
    for run in bench.run_all(ALL).await {
        run.answered_by_fallback("overloaded");
        assert!(run.attempts.len() <= 6);
    }
}
