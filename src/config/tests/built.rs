//! What loads, how it is resolved, and that what is not built yet is refused rather than ignored.

use std::time::Duration;

use super::{BASE, load, read, with};
use crate::config::snapshot::{
    Cors, HealthCheck, Listener, ListenerTls, OriginPattern, UpstreamAuth,
};
use crate::core::policy::{KeySource, Sort, Stickiness};

#[test]
fn the_contracts_unbuilt_fields_are_refused() {
    let top = [
        "server: { admin: { listen: { address: \"127.0.0.1:81\", tls: {} } } }",
        "policies: { p: { next_step: { invalid_request: return } } }",
        "policies: { p: { rescue: bounded } }",
        "policies: { p: { hedge: null } }",
        "policies: { p: { keepalive_after: null } }",
        "store: { records: \"sqlite:///r.db\" }",
        "anything: {}",
    ];
    let provider = ["limits: { concurrency: 200 }"];
    let model = ["health: {}"];
    let refused = |text: String| assert!(read(&text).is_err(), "it loads:\n{text}");
    for line in top {
        refused(with(&format!("{line}\n")));
    }
    for setting in provider {
        let owner = "https://api.openai.com/v1";
        let key = match setting.starts_with("keys") {
            true => String::new(),
            false => ", keys: [{ value: k }]".to_owned(),
        };
        let rest = ", keys: [{ value: sk-test }]";
        refused(BASE.replace(
            &format!("{owner}{rest}"),
            &format!("{owner}{key}, {setting}"),
        ));
    }
    for line in model {
        refused(BASE.replace("{ endpoints", &format!("{{ {line}, endpoints")));
    }
}

#[test]
fn a_listener_loads_with_and_without_tls() {
    let check = |listen: &str, expected: Option<ListenerTls>| {
        let server = load(&with(&format!("server: {{ listen: [{listen}] }}\n")))
            .snapshot
            .server;
        let address = "127.0.0.1:8443".parse().unwrap();
        let tls = expected;
        assert_eq!(server.listen, [Listener { address, tls }], "{listen}");
    };
    let files = |client_ca_file: Option<&str>| ListenerTls {
        cert_file: "c.pem".into(),
        key_file: "k.pem".into(),
        client_ca_file: client_ca_file.map(Into::into),
    };
    check("\"127.0.0.1:8443\"", None);
    check("{ address: \"127.0.0.1:8443\" }", None);
    check("{ address: \"127.0.0.1:8443\", tls: null }", None);
    let with_tls = |tls: &str| format!("{{ address: \"127.0.0.1:8443\", tls: {{ {tls} }} }}");
    let tls = with_tls("cert_file: c.pem, key_file: k.pem");
    check(&tls, Some(files(None)));
    let tls = with_tls("cert_file: c.pem, key_file: k.pem, client_ca_file: null");
    check(&tls, Some(files(None)));
    let tls = with_tls("cert_file: c.pem, key_file: k.pem, client_ca_file: ca.pem");
    check(&tls, Some(files(Some("ca.pem"))));
}

#[test]
fn values_load_from_variables_and_anchors() {
    let text = "\
x-provider: &provider
  auth: header X-Api-Key
  timeouts: &timeouts { idle: 1s, connect: 250ms }
server: { threads: \"${NUMBER}\", drain: \"${DRAIN:-5s}\", max_body: \"${SIZE:-1MiB}\" }
auth: { open: \"true\" }
providers:
  local:
    <<: *provider
    base_url: http://[::1]:8000/v1/
    keys: [{ value: \"a$$b\" }]
    timeouts: { <<: *timeouts, idle: 0s }
models:
  a/b/c: { endpoints: [{ provider: local, price: { prompt: \"0.5\", completion: 0 } }] }
";
    let snapshot = load(text).snapshot;
    assert_eq!(snapshot.server.threads, 7);
    assert_eq!(snapshot.server.drain, Duration::from_secs(5));
    assert_eq!(snapshot.server.max_body, 1 << 20);
    let local = &snapshot.providers["local"];
    assert_eq!(local.auth, UpstreamAuth::Header("X-Api-Key".to_owned()));
    assert_eq!((local.base.host.as_str(), local.base.port), ("::1", 8000));
    assert_eq!(local.base.path, "/v1");
    assert_eq!(local.base.authority(), "[::1]:8000");
    assert_eq!(local.keys[0].1.as_ref().unwrap().expose(), "a$b");
    let endpoint = &snapshot.catalog.endpoints()[0];
    assert_eq!(endpoint.upstream_model, "b/c");
    assert_eq!(endpoint.timeouts.idle, Some(Duration::ZERO));
    assert_eq!(endpoint.timeouts.connect, Some(Duration::from_millis(250)));
    assert_eq!(
        (endpoint.price.prompt, endpoint.price.completion),
        (Some(0.5), Some(0.0))
    );
    assert_eq!(snapshot.catalog.hosts()[0].as_str(), "[::1]:8000");
}

#[test]
fn policies_start_from_the_built_in_one() {
    let text = with("policies: { pinned: { sort: ordered, attempts: 1, layers: [retry] } }\n");
    let policies = load(&text).snapshot.policies;
    let (default, pinned) = (&policies["default"], &policies["pinned"]);
    assert_eq!((default.sort, default.attempts), (Sort::Adaptive, 3));
    assert_eq!((pinned.sort, pinned.attempts), (Sort::Ordered, 1));
    assert!(pinned.layers.retry && !pinned.layers.failover && !pinned.layers.fallback);
    assert_eq!(pinned.deadline, default.deadline);
}

#[test]
fn conversations_are_kept_unless_that_is_off() {
    let sticky = |written: &str| {
        let text = with(&format!("policies: {{ p: {{ {written} }} }}\n"));
        load(&text).snapshot.policies["p"].sticky.clone()
    };
    let built_in = Some(Stickiness::default());
    for same in ["", "sticky: {}", "sticky: { ttl: 10m }"] {
        assert_eq!(sticky(same), built_in, "{same}");
    }
    for off in [
        "sticky: \"off\"",
        "sticky: off",
        "sticky: null",
        "sticky: false",
    ] {
        assert_eq!(sticky(off), None, "{off}");
    }
    let expected = Stickiness {
        keys: vec![KeySource::Header("x-thread-id".into()), KeySource::User],
        ttl: Duration::from_secs(3_600),
    };
    let written = "sticky: { key: [X-Thread-Id, user], ttl: 1h }";
    assert_eq!(sticky(written), Some(expected));
}

#[test]
fn a_provider_without_keys_has_one_endpoint() {
    let text = BASE.replace("keys: [{ value: sk-test }]", "auth: none");
    let snapshot = load(&text).snapshot;
    let keys = &snapshot.providers["openai"].keys;
    assert_eq!(
        (keys.len(), keys[0].0.as_str(), keys[0].1.is_none()),
        (1, "default", true)
    );
    assert_eq!(
        snapshot.catalog.endpoints()[0].id.as_str(),
        "openai/gpt-5-mini@openai/default"
    );
}

#[test]
fn json_is_yaml_and_the_first_bytes_may_be_a_mark() {
    let json = r#"{"providers": {"a": {"base_url": "https://x.test", "keys": [{"value": "k"}]}},
        "models": {"a/b": {"endpoints": [{"provider": "a"}]}}}"#;
    load(json);
    load(&format!("\u{feff}{json}"));
    load(&BASE.replace('\n', "\r\n"));
}

#[test]
fn the_hash_is_of_the_text() {
    let (one, two) = (load(BASE), load(&with("# a comment\n")));
    assert_ne!(one.hash, two.hash);
    assert_eq!(one.hash, load(BASE).hash);
    assert_eq!((one.hash.len(), one.short_hash().len()), (64, 16));
}

#[test]
fn aliases_and_wildcards_find_their_models() {
    let text = "\
\x20 openai/*: { fallbacks: [openai/gpt-5-mini], endpoints: [{ provider: openai, price: { prompt: 1, completion: 2 } }] }
  a/dup: { endpoints: [{ provider: openai }] }
  b/dup: { endpoints: [{ provider: openai }] }
aliases: { fast: openai/gpt-5-mini, claude-haiku-*: a/dup, new: openai/gpt-9, dup: b/dup, openai/gpt-4*: openai/gpt-5-mini }
auth: { keys: [{ name: k, key: k-1, models: [openai/gpt-9] }] }
";
    let loaded = load(&with(text));
    assert_eq!(loaded.warnings, []);
    let catalog = &loaded.snapshot.catalog;
    let named = |asked: &str| {
        let found = catalog.resolve(asked).unwrap();
        let name = catalog.name_of(found.model, found.wild).to_owned();
        let endpoint = catalog.model(found.model).endpoints[0];
        let sent = catalog.upstream_name_of(endpoint, found.wild).to_owned();
        (catalog.endpoint(endpoint).id.to_string(), name, sent)
    };
    let check = |asked: &str, id: &str, name: &str, sent: &str| {
        let expected = (id.to_owned(), name.to_owned(), sent.to_owned());
        assert_eq!(named(asked), expected, "{asked}");
    };
    let mini = "openai/gpt-5-mini@openai/default";
    check("fast", mini, "openai/gpt-5-mini", "gpt-5-mini");
    check("openai/gpt-4o", mini, "openai/gpt-5-mini", "gpt-5-mini");
    check("claude-haiku-4.5", "a/dup@openai/default", "a/dup", "dup");
    check("dup", "b/dup@openai/default", "b/dup", "dup");
    let any = "openai/*@openai/default";
    check("new", any, "openai/gpt-9", "gpt-9");
    check("openai/o3", any, "openai/o3", "o3");
}

#[test]
fn the_longest_route_stands_first() {
    let text = with(
        "routes:\n  - { path: /v1/files*, provider: openai, pin: true }\n  \
         - { path: /v1/files/own, providers: [openai] }\n  - { path: /v1/files/own*, provider: openai }\n",
    );
    let routes = load(&text).snapshot.routes;
    let paths: Vec<&str> = routes.iter().map(|route| route.path.as_str()).collect();
    assert_eq!(paths, ["/v1/files/own", "/v1/files/own*", "/v1/files*"]);
    assert!(routes[2].pin && routes[2].path.matches("/v1/files"));
    assert!(routes[0].path.matches("/v1/files/own") && !routes[0].path.matches("/v1/files/own/1"));
}

#[test]
fn addresses_are_taken_as_they_stand() {
    let more = "{ addresses: [10.0.0.11:8000, \"[fd00::1]:80\"], base_url";
    let provider = &load(&BASE.replace("{ base_url", more)).snapshot.providers["openai"];
    let expected = [
        "10.0.0.11:8000".parse().unwrap(),
        "[fd00::1]:80".parse().unwrap(),
    ];
    assert_eq!(provider.addresses, expected);
}

#[test]
fn who_is_trusted_and_who_may_call_from_a_page() {
    let server = |fields: &str| {
        load(&with(&format!("server: {{ {fields} }}\n")))
            .snapshot
            .server
    };
    let written = "trusted_proxies: [10.0.0.0/8, \"::ffff:192.0.2.7\", \"fd00::1\"]";
    let networks: Vec<String> = server(written)
        .trusted_proxies
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(networks, ["10.0.0.0/8", "192.0.2.7/32", "fd00::1/128"]);
    assert_eq!(server("cors: { origins: [] }").cors, Cors::Off);
    let exact = OriginPattern::Exact("https://a.test".to_owned());
    assert_eq!(
        server("cors: { origins: [https://a.test] }").cors,
        Cors::Only(vec![exact])
    );
    assert_eq!(server("max_connections: \"${NUMBER}\"").max_connections, 7);
    assert_eq!(server("").max_connections, 20_000);
}

#[test]
fn a_health_check_has_defaults_and_keeps_what_is_written() {
    let check = |written: &str| {
        let more = format!("{{ health_check: {written}, base_url");
        let text = BASE.replace("{ base_url", &more);
        load(&text).snapshot.providers["openai"]
            .health_check
            .clone()
    };
    let seconds = Duration::from_secs;
    let expected = |path: Option<&str>, interval, timeout| {
        Some(HealthCheck {
            path: path.map(str::to_owned),
            interval,
            timeout,
        })
    };
    assert_eq!(check("{}"), expected(None, seconds(5), seconds(2)));
    assert_eq!(
        check("{ path: /health, interval: 7s, timeout: 1s }"),
        expected(Some("/health"), seconds(7), seconds(1))
    );
    assert_eq!(check("null"), None);
}
