//! What is said about broken files: a part of the message, the line and the column.

use super::{BASE, load, read, with};
use crate::config::finding::{Finding, Severity};

/// The findings of a file, as `line:column message`.
fn findings(text: &str) -> Vec<String> {
    match read(text) {
        Ok(loaded) => lines(&loaded.warnings),
        Err(error) => lines(error.findings()),
    }
}

fn lines(findings: &[Finding]) -> Vec<String> {
    let line = |finding: &Finding| {
        let place = finding.place.as_ref();
        let (line, column) = place.map_or((0, 0), |place| (place.line, place.column));
        format!("{line}:{column} {}", finding.message)
    };
    findings.iter().map(line).collect()
}

/// The file has exactly this finding.
fn check(text: &str, expected: &str) {
    let found = findings(text);
    let (place, message) = expected.split_once(' ').unwrap();
    assert!(read(text).is_err(), "it loads:\n{text}");
    assert!(
        matches!(found.as_slice(), [only] if only.starts_with(&format!("{place} ")) && only.contains(message)),
        "expected {expected}\nfound {found:#?}\n---\n{text}"
    );
}

/// The base with these lines, which begin in line 5, has exactly this finding.
fn check_lines(lines: &str, expected: &str) {
    check(&with(lines), expected);
}

/// The base with another provider in line 2.
fn check_provider(provider: &str, expected: &str) {
    check(&BASE.replace(PROVIDER, provider), expected);
}

const PROVIDER: &str = "{ base_url: https://api.openai.com/v1, keys: [{ value: sk-test }] }";

/// The base with another model in line 4.
fn check_model(model: &str, expected: &str) {
    check(&BASE.replace(MODEL, model), expected);
}

const MODEL: &str = "{ endpoints: [{ provider: openai }] }";

#[test]
fn broken_text() {
    check("", "1:1 the configuration is empty");
    check("# nothing\n", "1:1 the configuration is empty");
    check("- a\n", "1:1 expected a map of sections, found a list");
    check(
        "providers: { a: { base_url: \"http://x.test\", auth: none } }\n",
        "1:1 no models are",
    );
    check("just text", "1:1 expected a map of sections, found text");
    check("a: [1\nb: 2\n", "2:2 not valid YAML");
    check("a:\n\t- b\n", "2:2 not valid YAML");
    check(
        &with("server: { threads: *nowhere }"),
        "5:20 not valid YAML",
    );
    check(
        &with("server: { threads: ${NUMBER} }"),
        "5:20 `${` must be quoted inside {} and []",
    );
    check(
        &with("server: { listen: [${NUMBER}] }"),
        "5:20 `${` must be quoted",
    );
    check(&with("---\na: 1\n"), "5:1 a second YAML document");
    check(&with("server: !secret x\n"), "5:9 YAML tags such as !name");
    check(&with("server: { <<: 5 }\n"), "5:9 `<<` takes a map");
}

#[test]
fn unknown_and_repeated_fields() {
    check_lines("sever: {}\n", "5:1 unknown field \"sever\"");
    check_lines("server:\n  thread: 1\n", "6:3 unknown field \"thread\"");
    check_lines(
        "providers:\n  openai: { base_url: https://x.test, auth: none }\n",
        "5:1 duplicate key \"providers\"",
    );
    check_lines(
        "server:\n  threads: 1\n  threads: 1\n",
        "7:3 duplicate key \"threads\"",
    );
    check_provider(
        &PROVIDER.replace("{ value", "{ val: 1, value"),
        "2:59 unknown field \"val\"",
    );
}

#[test]
fn wrong_types() {
    check_lines(
        "server: 5\n",
        "5:9 expected a map of server settings, found a number",
    );
    check_lines(
        "server: { threads: many }\n",
        "5:20 expected a whole number, 0 or more",
    );
    check_lines("server: { threads: -1 }\n", "5:20 expected a whole number");
    check_lines(
        "server: { max_body: big }\n",
        "5:21 expected a size such as",
    );
    check_lines(
        "server: { drain: 60 }\n",
        "5:18 expected a duration such as",
    );
    check_lines(
        "server: { listen: 127.0.0.1:80 }\n",
        "5:19 expected a list, found text",
    );
    check_lines("auth: { open: maybe }\n", "5:15 expected true or false");
    check_lines(
        "health: { min_success: [1] }\n",
        "5:11 expected a number, found a list",
    );
    check_provider(
        "5",
        "2:11 expected a map of provider settings, found a number",
    );
    check_model(
        "{ endpoints: [openai] }",
        "4:36 expected a map with `provider`, found text",
    );
    check_model("{ endpoints: [{ provider: 5 }] }", "4:48 expected text");
}

#[test]
fn variables() {
    check_provider(
        "{ base_url: https://x.test, keys: [{ value: \"${MISSING}\" }] }",
        "2:55 environment variable MISSING is not set",
    );
    check_lines(
        "server: { threads: \"${MISSING}\" }\n",
        "5:20 environment variable MISSING",
    );
    check_lines(
        "server: { threads: \"${NUMBER\" }\n",
        "5:20 `${` without a closing `}`",
    );
    check_lines(
        "server: { threads: \"${9}\" }\n",
        "5:20 not a variable's name",
    );
    check_provider(
        "{ base_url: https://x.test, keys: [{ value: \"${EMPTY}\" }] }",
        "2:55 the key's value is empty",
    );
}

#[test]
fn server_rules() {
    let server = |setting: &str, expected: &str| {
        check_lines(&format!("server: {{ {setting} }}\n"), expected);
    };
    server("listen: []", "5:11 no listener");
    let long = "a".repeat(104);
    server(
        &format!("upgrade_socket: {long}"),
        "5:27 a Unix socket's path has at most 103 bytes",
    );
    server(
        "listen: [localhost:8080]",
        "5:20 \"localhost:8080\" is not an address and port",
    );
    server(
        "listen: [127.0.0.1]",
        "5:20 \"127.0.0.1\" is not an address",
    );
    server(
        "listen: [\"127.0.0.1:1\", \"127.0.0.1:1\"]",
        "5:35 \"127.0.0.1:1\" is listened on twice",
    );
    server(
        "listen: [127.0.0.1:8081]",
        "5:20 \"127.0.0.1:8081\" is the admin listener's too",
    );
    server(
        "admin: { listen: 127.0.0.1:8080 }",
        "5:28 \"127.0.0.1:8080\" is the default listener's too",
    );
    server(
        "listen: [0.0.0.0:80]",
        "5:20 reachable from outside and no keys",
    );
    server(
        "listen: [\"[::]:80\"]",
        "5:20 reachable from outside and no keys",
    );
    server(
        "admin: { listen: 0.0.0.0:81 }",
        "5:28 the admin listener is reachable",
    );
    server(
        "admin: { listen: 0.0.0.0:81, token: \"${EMPTY}\" }",
        "5:28 the admin listener is",
    );
    let tls = |fields: &str, expected: &str| {
        let listen = format!("listen: [{{ address: \"127.0.0.1:1\", tls: {{ {fields} }} }}]");
        server(&listen, expected);
    };
    tls("key_file: k", "5:46 needs a `cert_file`");
    tls("cert_file: c", "5:46 needs a `key_file`");
    tls(
        "cert_file: \"\", key_file: k",
        "5:64 the file's name is empty",
    );
    tls(
        "cert_file: c, key_file: k, client_ca_file: \"\"",
        "5:96 the file's name is empty",
    );
    tls(
        "cert_file: c, key_file: k, ca_file: x",
        "5:80 unknown field \"ca_file\"",
    );
    server(
        "listen: [{ tls: null }]",
        "5:20 this listener has no `address`",
    );
    server(
        "listen: [{ address: 1.1.1.1:1, tls: { cert_file: c, key_file: k } }]",
        "5:31 reachable from outside and no keys",
    );
    server("listen: [8080]", "5:20 expected an address and port");
    server("max_body: 0", "5:21 at least 1 byte");
    server("max_body: 2GiB", "5:21 larger than `max_inflight_bytes`");
    server("body_timeout: 0s", "5:25 more than 0s");
    server("threads: 5000", "5:20 at most 1024 threads");
}

#[test]
fn caller_rules() {
    let keys = |keys: &str, expected: &str| {
        check_lines(&format!("auth: {{ keys: [{keys}] }}\n"), expected);
    };
    keys("{ key: a }", "5:16 this key has no `name`");
    keys("{ name: a }", "5:16 this entry has no `key`");
    keys("{ name: a, key: \"\" }", "5:32 the key is empty");
    keys(
        "{ name: a, key: x }, { name: a, key: y }",
        "5:45 a second key is named \"a\"",
    );
    keys(
        "{ name: a, key: x }, { name: b, key: x }",
        "5:53 this key has two names",
    );
    keys(
        "{ name: a b, key: x }",
        "5:24 the name of a key may hold only",
    );
    keys(
        "{ name: a, key: x, policy: quick }",
        "5:43 unknown policy \"quick\"",
    );
    keys(
        "{ name: a, key: x, models: [\"*-mini\"] }",
        "5:44 may hold one `*`, at its end",
    );
}

#[test]
fn provider_rules() {
    let provider = |settings: &str, expected: &str| {
        check_provider(
            &format!("{{ keys: [{{ value: k }}], {settings} }}"),
            expected,
        );
    };
    let good = "base_url: \"https://x.test\"";
    provider("auth: bearer", "2:3 the provider has no `base_url`");
    provider("base_url: api.openai.com", "2:45 not a URL");
    provider(
        "base_url: \"ftp://x.test\"",
        "2:45 begins with http:// or https://",
    );
    provider("base_url: \"https://x.test?a=1\"", "2:45 may hold no `?`");
    provider(
        "base_url: \"https://me:pw@x.test\"",
        "2:45 no user or password",
    );
    provider(
        "base_url: \"https://10.0.0.1/v1\"",
        "2:45 against an IP address",
    );
    provider(
        &format!("{good}, auth: basic"),
        "2:69 unknown auth \"basic\"",
    );
    provider(
        &format!("{good}, auth: query"),
        "2:69 unknown auth \"query\"",
    );
    provider(
        &format!("{good}, auth: google"),
        "2:13 paid with access tokens",
    );
    provider(
        &format!("{good}, auth: header host"),
        "2:69 this header cannot carry a key",
    );
    provider(&format!("{good}, auth: none"), "2:13 never sends them");
    provider(
        &format!("{good}, dialects: []"),
        "2:63 the provider speaks no dialect",
    );
    provider(
        &format!("{good}, dialects: [gemini, gemini]"),
        "2:82 dialect \"gemini\" is listed twice",
    );
    provider(
        &format!("{good}, preset: opena"),
        "2:71 unknown preset \"opena\"",
    );
    provider(&format!("{good}, path: v1"), "2:69 a path begins with `/`");
    provider(
        &format!("{good}, path: \"/{{model}}?v={{api_version}}\""),
        "2:69 the path names {api_version}, and the provider has none",
    );
    provider(
        &format!("{good}, dialects: [opena]"),
        "2:74 unknown dialect \"opena\"",
    );
    provider(
        &format!("{good}, headers: {{ Host: x }}"),
        "2:74 the header `host` is written by the proxy",
    );
    provider(
        &format!("{good}, headers: {{ \"a b\": x }}"),
        "2:74 \"a b\" is not a header name",
    );
    provider(
        &format!("{good}, headers: {{ a: \"x\\ny\" }}"),
        "2:77 no header can carry",
    );
    provider(
        &format!("{good}, headers: {{ a: x, A: y }}"),
        "2:80 the header `a` is written twice",
    );
    provider(
        &format!("{good}, tls: {{ client_cert_file: c }}"),
        "2:88 `client_cert_file` needs `client_key_file`",
    );
    provider(
        &format!("{good}, tls: {{ client_key_file: k }}"),
        "2:87 `client_key_file` needs `client_cert_file`",
    );
    provider(
        &format!("{good}, tls: {{ server_name: \"\" }}"),
        "2:83 \"\" is not a host name",
    );
    check_provider(&format!("{{ {good} }}"), "2:3 the provider has no keys");
    check_provider(
        &format!("{{ {good}, auth: query a b }}"),
        "2:47 unknown auth",
    );
    check_provider(
        &format!("{{ {good}, keys: [{{ value: a }}, {{ value: b }}] }}"),
        "2:62 the provider's second key without a name",
    );
    check_provider(
        &format!("{{ {good}, keys: [{{ value: \"a\\nb\" }}] }}"),
        "2:57 no header can carry",
    );
}

#[test]
fn model_rules() {
    check_model("{}", "4:3 the model \"openai/gpt-5-mini\" has no endpoints");
    check_model(
        "{ endpoints: [{ provider: opena }] }",
        "4:48 unknown provider \"opena\"",
    );
    check_model(
        "{ endpoints: [{ model: x }] }",
        "4:36 the endpoint has no `provider`",
    );
    check_model(
        "{ endpoints: [{ provider: openai }, { provider: openai }] }",
        "4:70 the model lists the provider \"openai\" twice",
    );
    check_model(
        "{ endpoints: [{ provider: openai, price: { prompt: -1, completion: 1 } }] }",
        "4:73 a price may not be negative",
    );
    check_model(
        "{ policy: quick, endpoints: [{ provider: openai }] }",
        "4:32 unknown policy \"quick\"",
    );
    check_model(
        "{ context_length: 0, endpoints: [{ provider: openai }] }",
        "4:40 at least 1",
    );
    let named =
        |name: &str, expected: &str| check(&BASE.replace("openai/gpt-5-mini", name), expected);
    named(
        "gpt-5-mini",
        "4:3 the model name \"gpt-5-mini\" has no author",
    );
    for name in ["openai/gpt-*", "\"*/mini\"", "\"*\""] {
        named(
            name,
            "4:3 a model's name may hold no `*` but as the whole slug",
        );
    }
    named("openai/a@b", "4:3 a model name may hold no spaces");
}

#[test]
fn chain_rules() {
    let chain = |fallbacks: &str, expected: &str| {
        check_model(
            &format!("{{ fallbacks: [{fallbacks}], endpoints: [{{ provider: openai }}] }}"),
            expected,
        );
    };
    chain("openai/gpt-5-mini", "4:36 falls back to itself");
    chain(
        "openai/gpt-5-nano",
        "4:36 unknown model \"openai/gpt-5-nano\"",
    );
    let twice = "\
\x20 a/x: { fallbacks: [a/y, a/y], endpoints: [{ provider: openai }] }
  a/y: { endpoints: [{ provider: openai }] }
";
    check_lines(twice, "5:27 \"a/y\" is listed twice");
}

#[test]
fn wildcard_rules() {
    let wildcard = |model: &str, expected: &str| {
        check_lines(&format!("\x20 openai/*: {model}\n"), expected);
    };
    wildcard(
        "{ endpoints: [{ provider: openai, model: gpt-5 }] }",
        "5:54 `model` would send every model of the wildcard to one",
    );
    wildcard(
        "{ fallbacks: [a/b], endpoints: [{ provider: openai }] }",
        "5:27 unknown model",
    );
    let fallback = "\
\x20 openai/*: { endpoints: [{ provider: openai }] }
  a/x: { fallbacks: [openai/*], endpoints: [{ provider: openai }] }
";
    check_lines(fallback, "6:22 unknown model \"openai/*\"");
}

#[test]
fn alias_rules() {
    let alias = |alias: &str, expected: &str| {
        check_lines(&format!("aliases: {{ {alias} }}\n"), expected);
    };
    alias(
        "fast: openai/gpt-5-nano",
        "5:18 unknown model \"openai/gpt-5-nano\"",
    );
    alias("fast: openai/*", "5:18 an alias stands for one model");
    alias(
        "a*b: openai/gpt-5-mini",
        "5:12 an alias may hold one `*`, at its end",
    );
    alias(
        "\"a b\": openai/gpt-5-mini",
        "5:12 an alias may hold no spaces",
    );
    alias("\"\": openai/gpt-5-mini", "5:12 the alias is empty");
    alias(
        "openai/gpt-5-mini: openai/gpt-5-mini",
        "5:12 a model is named \"openai/gpt-5-mini\" already",
    );
    alias(
        "gpt-5-mini: openai/gpt-5-mini",
        "5:12 \"gpt-5-mini\" already names \"openai/gpt-5-mini\"",
    );
    alias(
        "fast: openai/gpt-5-mini, quick: fast",
        "5:44 \"fast\" is an alias itself",
    );
    let hidden = "\
\x20 openai/*: { endpoints: [{ provider: openai }] }
aliases: { openai/*: openai/gpt-5-mini }
";
    check_lines(hidden, "6:12 the alias hides the model \"openai/*\"");
    let chain = "\
\x20 a/x: { fallbacks: [fast], endpoints: [{ provider: openai }] }
aliases: { fast: openai/gpt-5-mini }
";
    check_lines(chain, "5:22 \"fast\" is an alias");
}

#[test]
fn policy_and_health_rules() {
    let policy = |setting: &str, expected: &str| {
        check_lines(
            &format!("policies: {{ default: {{ {setting} }} }}\n"),
            expected,
        );
    };
    policy("weights: { price: -1 }", "5:42 must be from 0 to 1000000");
    policy(
        "weights: { price: 0, latency: 0, throughput: 0, uptime: 0 }",
        "5:24 at least one weight must be above 0",
    );
    policy(
        "sort: latency, weights: { price: 2 }",
        "5:39 `weights` are those of `sort: adaptive`",
    );
    policy(
        "split: { openai/gpt-5-mini@openai/default: 95 }",
        "5:24 the shares of openai/gpt-5-mini add up to 95, not to 100",
    );
    policy(
        "split: { openai/gpt-5-mini@openai/defalt: 100 }",
        "5:66 unknown endpoint \"openai/gpt-5-mini@openai/defalt\"",
    );
    policy("sort: best", "5:30 unknown sort \"best\"");
    policy("attempts: 0", "5:34 must be from 1 to 255");
    policy("attempts: 256", "5:34 must be from 1 to 255");
    policy("layers: [failovr]", "5:33 unknown layer \"failovr\"");
    policy("deadline: soon", "5:34 expected a duration");
    check_lines("health: { probe_share: 1.5 }\n", "5:24 must be from 0 to 1");
    check_lines(
        "health: { min_success: -0.1 }\n",
        "5:24 must be from 0 to 1",
    );
    check_lines("health: { trip_after: 0 }\n", "5:23 must be from 1 to");
    check_lines(
        "health: { active_probe: { every: 99ms } }\n",
        "5:34 probes closer than 100ms",
    );
    check_lines(
        "retry_budget: { per_success: -1 }\n",
        "5:30 must be from 0 to",
    );
    check_lines(
        "telemetry: { access_log: xml }\n",
        "5:26 unknown access log \"xml\"",
    );
}

#[test]
fn everything_wrong_is_said_at_once_in_the_order_of_the_file() {
    let text = "\
server: { thread: 4, drain: 5 }
server: { thread: 4, drain: 5 }
providers:
  openai: { base_url: https://x.test, keys: [{ value: \"${MISSING}\" }], auth: 5 }
  broken: 7
models:
  a/b: { endpoints: [{ provider: opena }, { provider: broken }], polcy: x }
policies: { default: { attempts: 0 } }
";
    let expected = [
        "2:1 duplicate key \"server\"",
        "2:11 unknown field \"thread\"",
        "2:29 expected a duration such as 250ms, 2s or 10m",
        "4:55 environment variable MISSING is not set",
        "4:78 expected text",
        "5:11 expected a map of provider settings",
        "7:34 unknown provider \"opena\"",
        "7:66 unknown field \"polcy\"",
        "8:34 must be from 1 to 255",
    ];
    let found = findings(text);
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            found.starts_with(expected),
            "expected {expected}, found {found}"
        );
    }
}

#[test]
fn a_finding_says_where_and_what_was_meant() {
    let error = read(&BASE.replace("provider: openai", "provider: opena")).unwrap_err();
    let [finding] = error.findings() else {
        panic!("{error}");
    };
    assert_eq!(finding.severity, Severity::Error);
    assert_eq!(
        finding.path,
        "models.openai/gpt-5-mini.endpoints[0].provider"
    );
    assert_eq!(finding.hint.as_deref(), Some("did you mean \"openai\"?"));
    assert!(error.to_string().contains(
        "
 --> mainstay.yaml:4:48
"
    ));
}

#[test]
fn what_an_anchor_does_wrong_is_said_once() {
    let text = "\
x-limits: &limits { timeouts: { idle: never } }
providers:
  a: { <<: *limits, base_url: https://x.test, keys: [{ value: a }] }
  b: { <<: *limits, base_url: https://y.test, keys: [{ value: b }] }
models: { a/b: { endpoints: [{ provider: a }] } }
";
    check(text, "1:39 expected a duration");
}

#[test]
fn doubts_do_not_stop_a_file() {
    let warnings = |text: &str, expected: &str| {
        assert_eq!(lines(&load(text).warnings), [expected], "{text}");
    };
    let auth = "auth: { keys: [{ name: a, key: x, models: [openai/gpt-5-mni] }] }\n";
    warnings(&with(auth), "5:44 no model matches \"openai/gpt-5-mni\"");
    let open = "auth: { open: true, keys: [{ name: a, key: x }] }\n";
    warnings(&with(open), "5:15 `open` has no effect: keys are required");
    let prices = BASE.replace(
        "[{ provider: openai }]",
        "[{ provider: openai, price: { prompt: 1, completion: 1 } }, { provider: openai, tag: b }]",
    );
    warnings(
        &prices,
        "4:95 this endpoint has no full price while others of the model have one",
    );
    let tls = BASE.replace(
        "https://api.openai.com/v1",
        "http://x.test, tls: { server_name: x.test }",
    );
    warnings(&tls, "2:38 `tls` has no effect: `base_url` is http");
}

#[test]
fn broken_routes() {
    let check =
        |route: &str, expected: &str| check_lines(&format!("routes: [{route}]\n"), expected);
    check("{ provider: openai }", "5:10 the route has no `path`");
    check("{ path: /v1/files }", "5:10 the route has no `provider`");
    check(
        "{ path: /files, provider: openai }",
        "5:18 a route's path begins with /v1/",
    );
    check(
        "{ path: /v1/a*b, provider: openai }",
        "5:18 at most one `*` at its end",
    );
    check(
        "{ path: /v1/files, provider: opnai }",
        "5:39 unknown provider \"opnai\"",
    );
    check(
        "{ path: /v1/*, provider: openai }",
        "5:18 the route would take /v1/chat/completions",
    );
    check(
        "{ path: /v1/models, provider: openai }",
        "5:18 the route would take /v1/models",
    );
    check(
        "{ path: /v1/models/a*, provider: openai }",
        "5:18 the route would take /v1/models/a*",
    );
    check(
        "{ path: /v1/emb*, provider: openai }",
        "5:18 the route would take /v1/embeddings",
    );
    check(
        "{ path: /v1/f, providers: [openai, openai] }",
        "5:45 \"openai\" is listed twice",
    );
    check(
        "{ path: /v1/f, provider: openai }, { path: /v1/f, provider: openai }",
        "5:53 \"/v1/f\" is routed twice",
    );
}

#[test]
fn broken_addresses() {
    let check = |addresses: &str, expected: &str| {
        let provider = format!(
            "{{ addresses: [{addresses}], {}",
            PROVIDER.trim_start_matches("{ ")
        );
        check_provider(&provider, expected);
    };
    check("vllm.internal:8000", "2:25 is not an address and port");
    check("10.0.0.1:0", "2:25 the port may not be 0");
    check(
        "10.0.0.1:1, 10.0.0.1:1",
        "2:37 \"10.0.0.1:1\" is listed twice",
    );
}

#[test]
fn clients_and_their_pages() {
    check_lines(
        "server: { max_connections: 0 }\n",
        "5:28 `max_connections` must be at least 1",
    );
    check_lines(
        "server: { idle_timeout: 0s }\n",
        "5:25 `idle_timeout` must be more than 0s",
    );
    check_lines(
        "server: { trusted_proxies: [10.0.0.0/8, proxy.internal] }\n",
        "5:41 \"proxy.internal\" is not an address or a network",
    );
    check_lines(
        "server: { trusted_proxies: 10.0.0.0/8 }\n",
        "5:28 expected a list",
    );
    check_lines(
        "server: { cors: { origins: [https://a.test/] } }\n",
        "5:29 \"https://a.test/\" has more than a scheme, a host and a port",
    );
    check_lines(
        "server: { cors: { origins: [https://A.test] } }\n",
        "5:29 \"https://A.test\" is not as browsers write it",
    );
    check_lines(
        "server: { cors: { origins: [https://a.test, https://a.test] } }\n",
        "5:45 \"https://a.test\" is listed twice",
    );
    check_lines(
        "server: { cors: { credentials: true } }\n",
        "5:19 unknown field \"credentials\"",
    );
}

#[test]
fn doubts_about_clients_and_their_pages() {
    let doubt = |lines: &str, expected: &str| {
        let found = lines_of_warnings(lines);
        assert!(
            matches!(found.as_slice(), [only] if only.contains(expected)),
            "{lines}: {found:?}"
        );
    };
    doubt(
        "server: { trusted_proxies: [10.1.2.3/8] }\n",
        "5:29 the address has bits beyond",
    );
    doubt(
        "server: { cors: { origins: [\"*\"] } }\n",
        "5:29 any web page may call, and no key",
    );
    let keys = "auth: { keys: [{ name: web, key: k-1 }] }\n";
    assert!(
        lines_of_warnings(&format!(
            "server: {{ cors: {{ origins: [\"*\"] }} }}\n{keys}"
        ))
        .is_empty()
    );
    doubt(
        &format!("server: {{ cors: {{ origins: [\"*\", https://a.test] }} }}\n{keys}"),
        "5:19 beside \"*\" the other origins have no effect",
    );
}

fn lines_of_warnings(text: &str) -> Vec<String> {
    lines(&load(&with(text)).warnings)
}

#[test]
fn broken_health_checks() {
    let check = |written: &str, expected: &str| {
        let provider = format!(
            "{{ health_check: {{ {written} }}, {}",
            PROVIDER.trim_start_matches("{ ")
        );
        check_provider(&provider, expected);
    };
    check("path: health", "2:35 \"health\" is not a path");
    check("interval: 10ms", "2:39 the interval is shorter than 100ms");
    check("timeout: 0s", "2:38 no check can take 0s");
}

/// The file has exactly one finding, an error with these words in it.
fn says(text: &str, expected: &str) {
    let found = findings(text);
    assert!(read(text).is_err(), "it loads:\n{text}");
    assert!(
        matches!(found.as_slice(), [only] if only.contains(expected)),
        "expected {expected}\nfound {found:#?}\n---\n{text}"
    );
}

fn says_provider(provider: &str, expected: &str) {
    says(&BASE.replace(PROVIDER, provider), expected);
}

fn says_model(model: &str, expected: &str) {
    says(&BASE.replace(MODEL, model), expected);
}

#[test]
fn broken_labels_and_abilities() {
    let provider = |field: &str| PROVIDER.replace("keys", &format!("{field}, keys"));
    says_provider(&provider("region: \"\""), "the region is empty");
    says_provider(
        &provider("data_collection: no-thanks"),
        "unknown data_collection",
    );
    says_provider(&provider("zdr: maybe"), "true or false");
    says_model(
        "{ max_output: 0, endpoints: [{ provider: openai }] }",
        "at least 1",
    );
    says_model(
        "{ supports: [tool], endpoints: [{ provider: openai }] }",
        "unknown capability \"tool\"",
    );
    says_model(
        "{ endpoints: [{ provider: openai, quantization: q4 }] }",
        "unknown quantization \"q4\"",
    );
}

#[test]
fn broken_requirements_and_limits() {
    let policy = |fields: &str, expected: &str| {
        says(
            &with(&format!("policies: {{ p: {{ {fields} }} }}\n")),
            expected,
        );
    };
    policy("max_cost: 0", "must be above 0");
    policy("sticky: on", "off");
    policy("sticky: true", "off");
    policy("sticky: { tll: 1h }", "tll");
    policy("sticky: { ttl: 0s }", "must be more than 0s");
    policy(
        "sticky: { key: [] }",
        "names nothing that tells conversations apart",
    );
    policy(
        "sticky: { key: [prompt_cash_key] }",
        "unknown key \"prompt_cash_key\"",
    );
    policy("sticky: { key: [session] }", "unknown key \"session\"");
    policy(
        "sticky: { key: [x-api-key] }",
        "does not tell conversations apart",
    );
    policy("sticky: { key: [x-a, user, X-A] }", "stands there twice");
    policy(
        "require: { only: [opena] }",
        "no endpoint or provider of a model is \"opena\"",
    );
    policy("require: { ignore: [openai, x] }", "is \"x\"");
    policy(
        "require: { min_quantization: unknown }",
        "unknown quantization",
    );
    policy("require: { regions: [eu] }", "unknown field \"regions\"");
    policy("degrade: { max_price_ratio: -1 }", "must be above 0");
    policy("degrade: { models: [] }", "names no model");
    policy("degrade: { models: [\"*/x\"] }", "one `*`, at its end");
    policy("degrade: { labels: [price] }", "unknown label \"price\"");
    policy(
        "degrade: { otherwise: ignore }",
        "unknown otherwise \"ignore\"",
    );
}

#[test]
fn doubts_about_chains_prices_and_regions() {
    let check = |text: &str, expected: &[&str]| {
        let found = findings(text);
        let all = found.iter().zip(expected);
        assert!(read(text).is_ok(), "{found:#?}");
        assert_eq!(found.len(), expected.len(), "{found:#?}\n---\n{text}");
        for (found, expected) in all {
            assert!(found.contains(expected), "{expected} in {found}");
        }
    };
    let chain = |own: &str, last: &str| {
        let first = format!("{{ {own}, fallbacks: [b/small, b/last], endpoints");
        let one = |name: &str, window: &str| {
            format!("  b/{name}: {{ {window} endpoints: [{{ provider: openai }}] }}\n")
        };
        let (small, last) = (one("small", "context_length: 8,"), one("last", last));
        format!("{}{small}{last}", BASE.replace("{ endpoints", &first))
    };
    let shrinks = "every model of the chain has a smaller window";
    let own = "context_length: 9";
    check(&chain(own, "context_length: 7,"), &[shrinks]);
    check(&chain(own, "context_length: 9,"), &[]);
    check(&chain(own, ""), &[]);
    let one = chain(own, "context_length: 7,").replace(", b/last]", "]");
    check(&one, &[]);
    let unpriced = "no endpoint has a full price, which `sort: cost`";
    check(
        &with("policies: { default: { sort: cost } }\n"),
        &[unpriced],
    );
    check(&with("policies: { other: { sort: cost } }\n"), &[]);
    let unpriced = "which `max_cost` of the policy \"default\" needs";
    check(
        &with("policies: { default: { max_cost: 1 } }\n"),
        &[unpriced],
    );
    let thrifty = "auth: { keys: [{ name: k, key: x, policy: thrifty }] }\n\
                   policies: { thrifty: { sort: cost } }\n";
    let unpriced = "which `sort: cost` of the policy \"thrifty\" needs";
    check(&with(thrifty), &[unpriced]);
    let not_here = thrifty.replace("policy:", "models: [openai/x*], policy:");
    check(&with(&not_here), &["no model matches"]);
    let nowhere = "no provider has the region \"eu\"";
    check(
        &with("policies: { default: { require: { region: [eu] } } }\n"),
        &[nowhere],
    );
    let nobody = "no model matches \"x/*\"";
    check(
        &with("policies: { default: { degrade: { models: [x/*] } } }\n"),
        &[nobody],
    );
}

#[test]
fn doubts_about_endpoints_that_no_request_can_reach() {
    let two = BASE.replace(
        "models:\n",
        "  other: { base_url: https://x.test, auth: none, zdr: true }\nmodels:\n",
    );
    let two = two.replace(
        "[{ provider: openai }]",
        "[{ provider: openai }, { provider: other, tag: b }]",
    );
    let doubts = |lines: &str, expected: &[&str]| {
        let found = lines_of(&format!("{two}{lines}"));
        assert_eq!(found.len(), expected.len(), "{lines}: {found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{expected} in {found}");
        }
    };
    let policy =
        |require: &str| format!("policies: {{ default: {{ require: {{ {require} }} }} }}\n");
    doubts("", &[]);
    let endpoint = "no request can reach this endpoint";
    let model = "no request can reach the model \"openai/gpt-5-mini\"";
    doubts(&policy("zdr: true"), &[&format!("5:36 {endpoint}")]);
    doubts(&policy("ignore: [other]"), &[&format!("5:58 {endpoint}")]);
    doubts(&policy("only: [other]"), &[endpoint]);
    doubts(
        &policy("data_collection: deny"),
        &[&format!("5:24 {model}")],
    );
    doubts(&policy("ignore: [openai, other]"), &[model]);
    // A policy that nobody has decides nothing; one of a key, of another model, or of a chain lets it be reached.
    let strict = "{ require: { zdr: true } }";
    doubts(&format!("policies: {{ nobodys: {strict} }}\n"), &[]);
    let keyed = format!(
        "policies: {{ default: {strict}, loose: {{ attempts: 2 }} }}\n\
         auth: {{ keys: [{{ name: k, key: x, policy: loose }}] }}\n"
    );
    doubts(&keyed, &[]);
    let chained = format!(
        "  a/x: {{ endpoints: [{{ provider: other }}], fallbacks: [openai/gpt-5-mini], policy: loose }}\n\
         policies: {{ default: {strict}, loose: {{ attempts: 2 }} }}\n"
    );
    doubts(&chained, &[]);
}

fn lines_of(text: &str) -> Vec<String> {
    lines(&load(text).warnings)
}

#[test]
fn a_doubt_about_an_endpoint_says_which_rule_leaves_it_out() {
    let text = with("policies: { default: { require: { zdr: true } } }\n");
    let warnings = load(&text).warnings;
    let hint = warnings[0].hint.as_deref().unwrap();
    assert!(
        hint.contains("`require.zdr` of the policy \"default\""),
        "{hint}"
    );
}

/// What a first file gets wrong: the hint alone leads to the fix.
#[test]
fn a_hint_says_what_to_do_about_indentation_and_lists() {
    let hint = |text: &str, message: &str| {
        let error = read(text).unwrap_err();
        let found = error
            .findings()
            .iter()
            .find(|one| one.message.contains(message));
        let found = found.unwrap_or_else(|| panic!("{error}"));
        found.hint.clone().unwrap_or_default()
    };
    let field_of_models = "\
providers:
  a: { base_url: https://x.test, auth: none }
models:
  a/b:
  endpoints: [{ provider: a }]
";
    let told = hint(
        field_of_models,
        "expected a map of model settings, found a list",
    );
    assert!(
        told.contains("\"endpoints\" for one of `models`") && told.contains("indent"),
        "{told}"
    );
    let no_list = BASE.replace("[{ provider: openai }]", "{ provider: openai }");
    assert!(hint(&no_list, "expected a list, found a map").contains("`- `"));
    let askew = with("server:\n   threads: 1\n  drain: 1s\n");
    assert!(hint(&askew, "not valid YAML").contains("same column"));
    let unquoted = BASE.replace("sk-test", "${A_KEY}");
    let error = read(&unquoted).unwrap_err().to_string();
    assert!(
        error.contains("value: ${A_KEY}"),
        "the variable is no secret: {error}"
    );
}
