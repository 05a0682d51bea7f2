//! Where a conversation's turns go: to the endpoint that answered the last one, as long as that is well, is worth it,
//! and is the client's own. Judged by who received what.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use mainstay::cmd::mock::{Fault, Kind, Mock};

use crate::harness::{Config, Proxy, fast, mock, run};
use crate::raw::{self, Answer, Request, Via};

const ONE: &str = "t/m@one/default";
const TWO: &str = "t/m@two/default";

/// Two providers of equal price, in the order of the file.
struct Pair {
    one: Mock,
    two: Mock,
    proxy: Proxy,
}

/// A model that both sell at these prices.
fn sold(price: &str) -> String {
    let sold = |by: &str| format!("{{ provider: {by}, price: {{ {price} }} }}");
    format!("endpoints: [{}, {}]", sold("one"), sold("two"))
}

fn config(one: &Mock, two: &Mock, policy: &str, price: &str) -> Config {
    Config::new()
        .provider("one", one.addr())
        .provider("two", two.addr())
        .policy(policy)
        .raw_model("t/m", &sold(price))
}

const PRICE: &str = "prompt: 1, completion: 1";
const CACHING: &str = "prompt: 1, completion: 1, cache_read: 0.1";

impl Pair {
    async fn new(policy: &str, price: &str) -> Self {
        let (one, two) = (mock(fast()).await, mock(fast()).await);
        let proxy = config(&one, &two, policy, price).start();
        Self { one, two, proxy }
    }

    /// Answers enough elsewhere that one failure makes nobody sick.
    async fn warm(&self) {
        for nth in 0..12 {
            let other = Request::chat("t/m").header("x-session-id", &format!("other-{nth}"));
            assert_eq!(self.proxy.send(&other).await.status, 200);
        }
    }

    /// The next request of `one` fails; the turn is answered by the other.
    async fn move_away(&self, turn: &Request) {
        break_once(&self.one);
        assert_eq!(self.served(turn).await, TWO, "it moves where it must");
    }

    async fn served(&self, request: &Request) -> String {
        served(&self.proxy.send(request).await)
    }
}

fn break_once(mock: &Mock) {
    mock.update(|script| script.fault = Some(Fault::first(1, Kind::status(503))));
}

fn served(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.header("x-mainstay-endpoint").unwrap().to_owned()
}

fn turn(session: &str) -> Request {
    Request::chat("t/m").header("x-session-id", session)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_moves_once_when_its_endpoint_fails_and_does_not_come_back() {
    // By price and failures alone: how quick a loaded machine is must not decide.
    let policy = "sort: adaptive, weights: { latency: 0, throughput: 0 }";
    let (one, two) = (mock(fast()).await, mock(fast()).await);
    let proxy = Config::new()
        .provider("one", one.addr())
        .provider("two", two.addr())
        .policy_named("mix", policy)
        .raw_model("t/m", &format!("policy: mix, {}", sold(PRICE)))
        .start();
    let turns = async |count: usize| {
        let mut places = Vec::new();
        for _ in 0..count {
            places.push(served(&proxy.send(&turn("s")).await));
        }
        places.dedup();
        places
    };
    let first = turns(20).await;
    assert_eq!(first.len(), 1, "{first:?}");
    let (here, there) = match first[0] == ONE {
        true => (&one, TWO),
        false => (&two, ONE),
    };
    here.update(|script| script.fault = Some(Fault::always(Kind::status(503))));
    assert_eq!(turns(10).await, [there]);
    here.update(|script| script.fault = None);
    // Long enough for the rest of a second to be over.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(turns(10).await, [there]);
    let count = async |result: &str, expected: f64| {
        let labels = [("model", "t/m"), ("result", result)];
        proxy
            .counts("mainstay_sticky_total", &labels, expected)
            .await;
    };
    count("new", 1.0).await;
    count("moved", 1.0).await;
    count("kept", 38.0).await;
    let log = proxy.access_log(40).await;
    let words: Vec<&str> = log
        .iter()
        .filter_map(|line| line["sticky"].as_str())
        .collect();
    assert_eq!(words.iter().filter(|word| **word == "moved").count(), 1);
    assert_eq!((words.len(), words[0], words[1]), (40, "new", "kept"));
}

/// Whether the turn after one that had to move goes where that went.
async fn stays(policy: &str, price: &str, turn: &Request) -> bool {
    let pair = Pair::new(policy, price).await;
    pair.warm().await;
    pair.move_away(turn).await;
    pair.served(turn).await == TWO
}

#[tokio::test(flavor = "multi_thread")]
async fn what_tells_conversations_apart_is_what_the_policy_names() {
    let body = |field: &str| Request::chat_with("t/m", &format!(r#","{field}":"s""#));
    let thread = || Request::chat("t/m").header("X-Thread-Id", "s");
    let other_keys = "sticky: { key: [x-thread-id, user] }";
    let table = [
        ("", turn("s"), true),
        ("", body("session_id"), true),
        ("", body("prompt_cache_key"), true),
        ("", body("user"), false),
        ("", Request::chat("t/m"), false),
        ("sticky: off", turn("s"), false),
        ("sticky: null", body("session_id"), false),
        (other_keys, turn("s"), false),
        (other_keys, thread(), true),
        (other_keys, body("user"), true),
    ];
    for (policy, turn, expected) in table {
        let found = stays(policy, PRICE, &turn).await;
        assert_eq!(found, expected, "{policy} {turn:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_without_a_name_stays_for_its_cache_alone() {
    let long = |words: usize| {
        let text = "word ".repeat(words);
        let messages =
            json!([{ "role": "system", "content": text }, { "role": "user", "content": "hi" }]);
        let body = json!({ "model": "t/m", "messages": messages });
        Request::post("/v1/chat/completions", body.to_string())
    };
    assert!(stays("", CACHING, &long(8_000)).await);
    assert!(
        !stays("", CACHING, &long(400)).await,
        "no cache is as short"
    );
    assert!(!stays("", PRICE, &long(8_000)).await, "nothing is saved");
    let named = "sticky: { key: [session_id] }";
    assert!(!stays(named, CACHING, &long(8_000)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_is_forgotten_when_it_was_silent_for_long() {
    let pair = Pair::new("sticky: { ttl: 1500ms }", PRICE).await;
    pair.warm().await;
    pair.move_away(&turn("s")).await;
    tokio::time::sleep(Duration::from_millis(1_700)).await;
    assert_eq!(pair.served(&turn("s")).await, ONE);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_moves_the_conversation_of_another_key_or_model() {
    let (one, two) = (mock(fast()).await, mock(fast()).await);
    let keys = "auth: { keys: [{ name: a, key: key-a-1 }, { name: b, key: key-b-1 }] }";
    let proxy = config(&one, &two, "attempts: 3", PRICE)
        .raw_model("t/n", &sold(PRICE))
        .top(keys)
        .start();
    let ask = async |model: &str, key: &str| {
        let request = Request::chat(model).header("x-session-id", "same");
        served(&proxy.send(&request.key(key)).await)
    };
    for _ in 0..12 {
        assert_eq!(ask("t/m", "key-b-1").await, ONE);
    }
    break_once(&one);
    assert_eq!(ask("t/m", "key-a-1").await, TWO);
    assert_eq!(ask("t/m", "key-b-1").await, ONE);
    assert_eq!(ask("t/n", "key-a-1").await, "t/n@one/default");
    assert_eq!(ask("t/m", "key-a-1").await, TWO);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_keeps_conversations_and_forgets_endpoints_that_are_gone() {
    let pair = Pair::new("attempts: 3", PRICE).await;
    pair.warm().await;
    pair.move_away(&turn("s")).await;
    let reload = async |config: Config, generation: u64| {
        pair.proxy.write_config(&config.text());
        let begun = Instant::now();
        while pair.proxy.status().await["config"]["generation"] != generation {
            assert!(begun.elapsed() < raw::PATIENCE, "never reloaded");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let more = config(&pair.one, &pair.two, "attempts: 4", PRICE);
    reload(more.model("t/more", &["one"]), 2).await;
    assert_eq!(pair.served(&turn("s")).await, TWO);
    let alone = Config::new()
        .provider("one", pair.one.addr())
        .model("t/m", &["one"]);
    reload(alone, 3).await;
    assert_eq!(pair.served(&turn("s")).await, ONE);
    let again = config(&pair.one, &pair.two, "attempts: 3", PRICE);
    reload(again, 4).await;
    assert_eq!(pair.served(&turn("s")).await, ONE, "it has settled there");
}

/// A turn that replays reasoning which was signed.
fn signed(session: &str) -> Request {
    let details = json!([{ "type": "reasoning.text", "text": "so", "signature": "c2lnbmVk" }]);
    let messages = json!([
        { "role": "user", "content": "hi" },
        { "role": "assistant", "content": "yes", "reasoning_details": details },
        { "role": "user", "content": "and?" },
    ]);
    let body = json!({ "model": "t/m", "messages": messages, "session_id": session });
    Request::post("/v1/chat/completions", body.to_string())
}

fn open(session: &str) -> Request {
    Request::chat_with("t/m", &format!(r#","session_id":"{session}""#))
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_reasoning_is_not_sent_to_who_did_not_sign_it() {
    let pair = Pair::new("attempts: 3", PRICE).await;
    pair.warm().await;
    assert_eq!(pair.served(&signed("unknown")).await, ONE, "nobody knows");
    pair.move_away(&open("s")).await;
    assert_eq!(pair.served(&signed("s")).await, TWO);

    let before = pair.one.received().len();
    pair.two
        .update(|script| script.fault = Some(Fault::always(Kind::status(503))));
    let refused = pair.proxy.send(&signed("s")).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(pair.one.received().len(), before, "it got none of it");
    let told = explain(&pair.proxy, &signed("s")).await;
    let conversation = &told["conversation"];
    assert_eq!(conversation["pinned"], true, "{told}");
    let other = &told["models"][0]["endpoints"][0];
    assert_eq!(
        (&other["id"], &other["why"]),
        (
            &json!(ONE),
            &json!("the request replays reasoning that another provider signed")
        )
    );
    pair.two.update(|script| script.fault = None);
    assert_eq!(pair.served(&signed("s")).await, TWO, "as soon as it can");

    pair.two
        .update(|script| script.fault = Some(Fault::always(Kind::status(503))));
    assert_eq!(pair.served(&open("s")).await, ONE, "unsigned, it moves");
    assert_eq!(pair.served(&signed("s")).await, ONE);

    let unpinned = Pair::new("sticky: off", PRICE).await;
    unpinned
        .one
        .update(|script| script.fault = Some(Fault::always(Kind::status(503))));
    assert_eq!(unpinned.served(&signed("s")).await, TWO);
    assert_eq!(unpinned.served(&signed("s")).await, TWO);
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_reasoning_of_a_provider_that_may_not_be_asked_is_refused_with_the_reason() {
    let (one, two) = (mock(fast()).await, mock(fast()).await);
    let config = config(&one, &two, "attempts: 3", PRICE)
        .policy_named("careful", "sort: ordered, require: { ignore: [two] }")
        .top("auth: { keys: [{ name: a, key: key-a-1 }] }");
    let proxy = config.start();
    break_once(&one);
    let with_key = |request: Request| request.key("key-a-1");
    assert_eq!(served(&proxy.send(&with_key(open("s"))).await), TWO);
    let text = config
        .text()
        .replace("key: key-a-1", "key: key-a-1, policy: careful");
    proxy.write_config(&text);
    let begun = Instant::now();
    while proxy.status().await["config"]["generation"] != 2 {
        assert!(begun.elapsed() < raw::PATIENCE, "never reloaded");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let refused = proxy.send(&with_key(signed("s"))).await;
    let error = refused.error();
    assert_eq!(
        (refused.status, &error["code"]),
        (404, &json!("no_endpoint_may"))
    );
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("another provider signed") && message.contains("the policy ignores it"),
        "{message}"
    );
}

/// What the process says of a request, with the request's own headers.
async fn explain(proxy: &Proxy, request: &Request) -> Value {
    let request = request.clone().at("/api/explain");
    raw::call(Via::H1, proxy.admin, &request).await.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_tells_the_conversation_and_what_leaving_would_lose() {
    let pair = Pair::new("attempts: 3", CACHING).await;
    let none = explain(&pair.proxy, &turn("s")).await;
    assert_eq!(none["conversation"]["key"], "x-session-id");
    assert_eq!(none["conversation"]["endpoint"], Value::Null);
    pair.warm().await;
    pair.move_away(&open("s")).await;
    let told = explain(&pair.proxy, &open("s")).await;
    let conversation = &told["conversation"];
    assert_eq!(conversation["endpoint"], TWO, "{told}");
    assert_eq!(
        (&conversation["stays"], &conversation["pinned"]),
        (&json!(true), &json!(false))
    );
    assert!(conversation["worth"].as_f64().unwrap() > 0.2, "{told}");
    assert_eq!(told["models"][0]["endpoints"][1]["share"], 1.0);
    let again = explain(&pair.proxy, &open("s")).await;
    assert_eq!(
        again["conversation"]["endpoint"], TWO,
        "asking moves nobody"
    );

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("request.json");
    std::fs::write(&file, &open("s").body).unwrap();
    let admin = format!("http://{}", pair.proxy.admin);
    let output = tokio::task::spawn_blocking(move || {
        run(&["explain", "--admin", &admin, "--request"], &file)
    });
    let text = String::from_utf8(output.await.unwrap().stdout).unwrap();
    let expected = format!(
        "a conversation by its session_id: answered last by {TWO}, and stays there; leaving"
    );
    assert!(text.contains(&expected), "{text}");
}

/// A pair that speaks one dialect alone, and whose model costs so much.
async fn pair_speaking(dialect: &str, model: &str, price: &str) -> Pair {
    let (one, two) = (mock(fast()).await, mock(fast()).await);
    let provider = |name: &str, mock: &Mock| {
        let at = mock.addr();
        format!(
            "dialects: [{dialect}], base_url: \"http://{at}/v1\", keys: [{{ value: sk-{name} }}]"
        )
    };
    let sold = |by: &str| format!("{{ provider: {by}, model: {model}, price: {{ {price} }} }}");
    let proxy = Config::new()
        .raw_provider("one", &provider("one", &one))
        .raw_provider("two", &provider("two", &two))
        .policy("attempts: 3")
        .raw_model(
            "t/m",
            &format!("endpoints: [{}, {}]", sold("one"), sold("two")),
        )
        .start();
    let pair = Pair { one, two, proxy };
    pair.warm().await;
    pair
}

/// A request to a path, with these fields beside the model.
fn asking(path: &str, mut body: Value) -> Request {
    body["model"] = json!("t/m");
    Request::post(path, body.to_string())
}

fn messages(more: &Value) -> Request {
    let mut body = json!({ "max_tokens": 64, "messages": [{ "role": "user", "content": "hi" }] });
    let fields = body.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    asking("/v1/messages", body)
}

fn responses(more: &Value) -> Request {
    let mut body = json!({ "input": "hi" });
    let fields = body.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    asking("/v1/responses", body)
}

const CLAUDE: &str = "claude-sonnet-4-5";
const GPT: &str = "gpt-5-mini";

#[tokio::test(flavor = "multi_thread")]
async fn a_messages_conversation_stays_by_its_session_or_its_beginning() {
    let user = |id: &str| messages(&json!({ "metadata": { "user_id": id } }));
    let table = [
        (user("user_a_account_b_session_c"), true),
        (user(r#"{"device_id":"a","session_id":"c"}"#), true),
        (user("a"), false),
        (messages(&json!({})).header("x-session-id", "s"), true),
    ];
    for (turn, expected) in table {
        let pair = pair_speaking("anthropic", CLAUDE, PRICE).await;
        pair.move_away(&turn).await;
        let stays = pair.served(&turn).await == TWO;
        assert_eq!(stays, expected, "{turn:?}");
    }
    let pair = pair_speaking("anthropic", CLAUDE, CACHING).await;
    let told = |word: &str| messages(&json!({ "system": word.repeat(8_000) }));
    pair.move_away(&told("word ")).await;
    assert_eq!(pair.served(&told("word ")).await, TWO);
    assert_eq!(pair.served(&told("else ")).await, ONE, "another system");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_responses_conversation_stays_by_its_key_or_its_beginning() {
    let table = [
        (responses(&json!({ "prompt_cache_key": "k" })), true),
        (responses(&json!({ "session_id": "s" })), true),
        (responses(&json!({ "user": "u" })), false),
    ];
    for (turn, expected) in table {
        let pair = pair_speaking("openai-responses", GPT, PRICE).await;
        pair.move_away(&turn).await;
        let stays = pair.served(&turn).await == TWO;
        assert_eq!(stays, expected, "{turn:?}");
    }
    let pair = pair_speaking("openai-responses", GPT, CACHING).await;
    let told = |word: &str| responses(&json!({ "instructions": word.repeat(8_000) }));
    pair.move_away(&told("word ")).await;
    assert_eq!(pair.served(&told("word ")).await, TWO);
    assert_eq!(pair.served(&told("else ")).await, ONE, "other instructions");
}

/// Whether `two` gets a request, and `one` nothing of it, whatever becomes of it.
async fn only_two_gets(pair: &Pair, request: &Request) -> bool {
    let count = || (pair.one.received().len(), pair.two.received().len());
    let (one, two) = count();
    pair.proxy.send(request).await;
    let after = count();
    after.0 == one && after.1 > two
}

#[tokio::test(flavor = "multi_thread")]
async fn reasoning_that_is_bound_goes_back_to_its_maker_in_every_dialect() {
    let thought = json!({ "type": "thinking", "thinking": "so", "signature": "c2lnbmVk" });
    let call = json!({ "type": "tool_use", "id": "a", "name": "look", "input": {} });
    let turns = json!([
        { "role": "user", "content": "hi" },
        { "role": "assistant", "content": [thought, call] },
        { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "a", "content": "x" }] },
    ]);
    let sealed = json!({ "type": "reasoning", "summary": [], "encrypted_content": "gAAA" });
    let input = json!([{ "role": "user", "content": "hi" }, sealed]);
    let session = |request: Request| request.header("x-session-id", "s");
    let table = [
        (
            "anthropic",
            CLAUDE,
            messages(&json!({})),
            messages(&json!({ "messages": turns })),
        ),
        (
            "openai-responses",
            GPT,
            responses(&json!({})),
            responses(&json!({ "input": input })),
        ),
    ];
    for (dialect, model, open, bound) in table {
        let pair = pair_speaking(dialect, model, PRICE).await;
        pair.move_away(&session(open)).await;
        pair.two
            .update(|script| script.fault = Some(Fault::always(Kind::status(503))));
        assert!(only_two_gets(&pair, &session(bound)).await, "{dialect}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_on_with_an_answer_goes_to_who_keeps_it() {
    for stream in [false, true] {
        let pair = pair_speaking("openai-responses", GPT, PRICE).await;
        break_once(&pair.one);
        let first = pair
            .proxy
            .send(&responses(&json!({ "stream": stream })))
            .await;
        assert_eq!(served(&first), TWO);
        let text = String::from_utf8_lossy(&first.body).into_owned();
        let mut words = text.split('"');
        let id = words.find(|word| word.starts_with("resp_"));
        let id = id.expect("the answer has an id").to_owned();
        let going_on =
            |id: &str| responses(&json!({ "previous_response_id": id, "input": "and?" }));
        assert!(
            only_two_gets(&pair, &going_on(&id)).await,
            "{stream} {text}"
        );
        assert!(!only_two_gets(&pair, &going_on("resp_unknown")).await);
        pair.two
            .update(|script| script.fault = Some(Fault::always(Kind::status(503))));
        assert!(only_two_gets(&pair, &going_on(&id)).await);
        pair.two.update(|script| script.fault = None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_on_with_an_answer_nobody_knows_goes_to_who_speaks_so_alone() {
    let (one, two) = (mock(fast()).await, mock(fast()).await);
    let provider = |dialect: &str, mock: &Mock| {
        let at = mock.addr();
        format!("dialects: [{dialect}], base_url: \"http://{at}/v1\", keys: [{{ value: sk-x }}]")
    };
    let sold = format!(
        "endpoints: [{{ provider: one, model: {CLAUDE} }}, {{ provider: two, model: {GPT} }}]"
    );
    let config = Config::new()
        .raw_provider("one", &provider("anthropic", &one))
        .raw_provider("two", &provider("openai-responses", &two))
        .policy_named("still", "sort: ordered, require: { ignore: [two] }")
        .raw_model("t/m", &sold)
        .raw_model("t/n", &format!("policy: still, {sold}"));
    let proxy = config.start();
    let pair = Pair { one, two, proxy };
    let request = responses(&json!({ "previous_response_id": "resp_1" }));
    assert!(only_two_gets(&pair, &request).await);
    let nobody = Request {
        body: String::from_utf8_lossy(&request.body)
            .replace("t/m", "t/n")
            .into(),
        ..request
    };
    let refused = pair.proxy.send(&nobody).await;
    assert_ne!(refused.status, 200);
    let text = String::from_utf8_lossy(&refused.body).into_owned();
    assert!(text.contains("previous_response_id"), "{text}");
}
