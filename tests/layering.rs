//! Owns the plan of the house: which floor and which room may name which other, and what no room may name.
//! In reading order: the lists, the tests of the crate; then `source` (what the files say), `names` (where a
//! path leads), `rules` (what is wrong) and `rules_tests` (that the rules can fail).
//! Must never pass because it looked at nothing.

#[path = "layering/source.rs"]
mod source;
#[path = "layering/names.rs"]
mod names;
#[path = "layering/rules.rs"]
mod rules;
#[path = "layering/rules_tests.rs"]
mod rules_tests;

use std::collections::BTreeSet;
use std::path::Path;

use rules::{House, is_floor, listed};
use source::Crate;

/// Floors from the ground up, and the floors each of them may name.
const FLOORS: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("wire", &["core"]),
    ("config", &["core", "wire"]), // to the table of dialects: their names are data here
    ("edge", &["core", "wire", "config"]),
    ("cmd", &["core", "wire", "config", "edge"]),
];

/// Every room, in reading order, and the rooms of its own floor that it may name. They stand before it in
/// this list, so that no circle closes; what does not is in `UPHILL`. A new room is a line here; a new arrow
/// says in its change why it is needed.
#[rustfmt::skip] // one room a line, as far as it goes
const ROOMS: &[(&str, &[&str])] = &[
    ("core/names", &[]),
    ("core/time", &[]),
    ("core/nearest", &[]),
    ("core/outcome", &[]),
    ("core/quota", &[]),
    ("core/timeouts", &[]),
    ("core/catalog", &["core/names", "core/timeouts"]),
    ("core/policy", &["core/names", "core/timeouts", "core/catalog"]), // what it requires, in the catalogue's words
    // What a conversation would lose is told in the policy's words.
    ("core/sticky", &["core/time", "core/catalog", "core/policy"]),
    ("core/drift", &["core/catalog"]),
    ("core/health", &["core/time", "core/outcome", "core/quota", "core/catalog"]),
    // To `drift`: what a policy lets differ is judged where candidates are left out.
    ("core/plan", &["core/time", "core/quota", "core/catalog", "core/policy", "core/drift", "core/health"]),
    // To `names`: whose policy decides is told with what became of it.
    ("core/exchange", &[
        "core/names", "core/time", "core/outcome", "core/quota", "core/timeouts", "core/catalog", "core/policy", "core/health",
        "core/plan",
    ]),

    ("core/explain", &[
        "core/time", "core/outcome", "core/catalog", "core/policy", "core/health", "core/plan", "core/exchange",
    ]),    ("wire/sse", &[]),
    ("wire/rope", &[]),
    ("wire/splice", &["wire/rope"]),
    ("wire/retry_after", &[]),
    ("wire/rate_headers", &[]),
    ("wire/client_error", &[]),
    ("wire/json", &[]),
    ("wire/error_facts", &["wire/retry_after"]),
    ("wire/path_segment", &[]),
    ("wire/call_input", &[]),
    ("wire/hub", &[]),
    ("wire/dialect", &["wire/client_error", "wire/hub"]),
    ("wire/event_stream", &["wire/dialect"]), // its messages are what dialects read
    ("wire/client_request", &["wire/rope", "wire/splice", "wire/client_error", "wire/json"]),
    // To `hub` and `dialect`: its faces for when the other side speaks another dialect.
    ("wire/openai", &[
        "wire/sse", "wire/rope", "wire/splice", "wire/client_error", "wire/json", "wire/error_facts", "wire/hub", "wire/dialect",
        "wire/client_request",
    ]),
    ("wire/anthropic", &[
        "wire/splice", "wire/client_error", "wire/json", "wire/error_facts", "wire/hub", "wire/dialect", "wire/client_request",
    ]),
    ("wire/gemini", &[
        "wire/error_facts", "wire/path_segment", "wire/call_input", "wire/hub", "wire/dialect",
    ]),
    ("wire/bedrock", &[
        "wire/error_facts", "wire/path_segment", "wire/call_input", "wire/hub", "wire/dialect",
    ]),
    // To `openai`: the errors, and what its readers of JSON share.
    ("wire/responses", &[
        "wire/splice", "wire/client_error", "wire/json", "wire/error_facts", "wire/hub", "wire/dialect", "wire/client_request",
        "wire/openai",
    ]),
    ("wire/cohere", &["wire/error_facts", "wire/hub", "wire/dialect"]),
    // The table names them all.
    ("wire/dialects", &[
        "wire/client_error", "wire/dialect", "wire/client_request", "wire/openai", "wire/anthropic", "wire/gemini", "wire/bedrock",
        "wire/responses", "wire/cohere",
    ]),
    ("config/secret", &[]),
    ("config/source", &[]),
    ("config/snapshot", &["config/secret"]),
    ("config/facts", &["config/secret", "config/snapshot"]),
    ("config/diff", &["config/facts"]),
    ("config/finding", &[]),
    ("config/search", &["config/finding"]),
    ("config/trail", &[]),
    ("config/outline", &["config/trail"]),
    ("config/snippet", &["config/outline"]),
    ("config/report", &[
        "config/source", "config/finding", "config/trail", "config/outline", "config/snippet",
    ]),
    ("config/value", &["config/outline"]),
    ("config/expand", &["config/trail", "config/report"]),
    ("config/scalar", &["config/secret"]),
    ("config/raw", &["config/secret", "config/scalar"]),
    ("config/decode", &["config/trail", "config/snippet", "config/report", "config/raw"]),
    ("config/secret_file", &[
        "config/secret", "config/snapshot", "config/trail", "config/report", "config/scalar", "config/raw",
    ]),
    // An operator's own catalogue is a named file, and what is wrong with it a finding.
    ("config/catalogue", &["config/snapshot", "config/trail", "config/report", "config/scalar"]),
    // To `catalogue`: what is known of a model fills what is not written.
    ("config/compile", &[
        "config/catalogue", "config/secret", "config/snapshot", "config/trail", "config/report", "config/scalar",
        "config/raw",
    ]),
    ("config/schema", &["config/raw"]),
    // The floor's own file runs the steps.
    ("config", &[
        "config/source", "config/snapshot", "config/finding", "config/search", "config/trail",
        "config/outline", "config/report", "config/value", "config/expand", "config/decode",
        "config/secret_file", "config/catalogue", "config/compile", "config/schema",
    ]),
    ("edge/clock", &[]),
    ("edge/sparing", &["edge/clock"]),
    ("edge/lifecycle", &[]),
    ("edge/dns", &[]),
    ("edge/auth", &[]),
    ("edge/sign", &[]),
    ("edge/tls", &[]),
    ("edge/balance", &[]),
    ("edge/peer", &["edge/tls", "edge/balance"]),
    ("edge/outside", &["edge/dns", "edge/peer"]),
    ("edge/google", &[]),
    ("edge/tokens", &["edge/google"]),
    // It asks whom a grant names, the way that the exporter sends.
    ("edge/token_keeper", &["edge/clock", "edge/dns", "edge/outside", "edge/google", "edge/tokens"]),
    // To `tokens`: a routed request may carry one.
    ("edge/routes", &["edge/sparing", "edge/dns", "edge/balance", "edge/peer", "edge/tokens"]),
    ("edge/probe", &["edge/dns", "edge/balance", "edge/peer"]),
    ("edge/template", &[]),
    ("edge/conversations", &[]),
    ("edge/carrying", &[]),
    // Conversations go from one generation to the next, as the standing of addresses does.
    ("edge/generation", &[
        "edge/dns", "edge/auth", "edge/sign", "edge/tls", "edge/peer", "edge/tokens", "edge/routes", "edge/probe", "edge/template",
        "edge/conversations", "edge/carrying",
    ]),
    ("edge/planning", &[]),
    // To `conversations`: what became of one is a label. To `planning`: shares are those of requests without a client.
    ("edge/telemetry", &[
        "edge/clock", "edge/lifecycle", "edge/conversations", "edge/generation", "edge/planning",
    ]),
    // It runs what the generation that serves asks for, and shows what comes of it.
    ("edge/checks", &["edge/balance", "edge/probe", "edge/generation", "edge/telemetry"]),
    // It sends what telemetry has gathered to the collector that the generation names.
    ("edge/exporter", &["edge/dns", "edge/outside", "edge/generation", "edge/telemetry"]),
    // To `conversations`: where a request goes depends on the one that it goes on with.
    ("edge/explain", &["edge/conversations", "edge/carrying", "edge/planning"]),
    ("edge/proxy", &[
        "edge/clock", "edge/sparing", "edge/lifecycle", "edge/dns", "edge/auth", "edge/balance", "edge/peer", "edge/tokens", "edge/routes",
        "edge/template", "edge/conversations", "edge/carrying", "edge/generation", "edge/telemetry", "edge/planning",
    ]),
    // It sends what health asks for the way that attempts are sent.
    ("edge/prober", &["edge/generation", "edge/proxy"]),
    // Connections become requests there, and both say how long a head may be and take.
    ("edge/front", &["edge/clock", "edge/lifecycle", "edge/telemetry", "edge/proxy"]),
    ("edge/admin", &[
        "edge/clock", "edge/lifecycle", "edge/auth", "edge/conversations", "edge/generation", "edge/telemetry",
        "edge/planning", "edge/explain",
    ]),
    // What it keeps is of the generation that serves, in the wall clock's time.
    ("edge/store", &["edge/clock", "edge/generation", "edge/lifecycle"]), // a process that was succeeded writes no more
    ("edge/plugin", &[
        "edge/clock", "edge/lifecycle", "edge/dns", "edge/token_keeper", "edge/generation", "edge/telemetry", "edge/checks",
        "edge/exporter",
        "edge/proxy", "edge/prober", "edge/admin", "edge/store",
    ]),
    ("cmd/config_args", &[]),
    ("cmd/format", &[]),
    ("cmd/listen", &[]),
    ("cmd/handover", &[]),
    ("cmd/process", &["cmd/listen", "cmd/handover"]),
    ("cmd/reload", &[]),
    ("cmd/shutdown", &["cmd/handover"]), // ends the process when a successor has closed its doors
    ("cmd/client", &[]),
    ("cmd/run", &["cmd/config_args", "cmd/handover", "cmd/process", "cmd/reload", "cmd/shutdown"]),
    ("cmd/admin_client", &["cmd/client"]),
    ("cmd/check", &["cmd/format", "cmd/admin_client"]),
    ("cmd/explain", &["cmd/format", "cmd/admin_client"]),
    ("cmd/schema", &[]),
    ("cmd/models", &["cmd/format"]),
    ("cmd/healthcheck", &["cmd/config_args", "cmd/client"]),
    ("cmd/mock", &[]),
    ("cmd/demo", &["cmd/process", "cmd/client", "cmd/mock"]),
    ("cmd/simulate", &["cmd/admin_client"]),
    // The command line names every verb, and the floor's own file names it.
    ("cmd/cli", &[
        "cmd/config_args", "cmd/run", "cmd/check", "cmd/explain", "cmd/schema", "cmd/models", "cmd/healthcheck", "cmd/mock", "cmd/demo",
        "cmd/simulate",
    ]),
    ("cmd", &["cmd/cli"]),
];

/// Arrows that point up the list above, and why they are borne. Each is a debt: this list should shrink.
const UPHILL: &[(&str, &str, &str)] = &[(
    "edge/generation",
    "edge/telemetry",
    "a generation keeps metric handles, while telemetry labels by the generation that served: a circle",
)];

/// Crates that only some places may name: the crate (`*` ends a prefix), the places, the reason.
const CRATES: &[(&str, &[&str], &str)] = &[
    (
        "pingora*",
        &["edge", "cmd"],
        "the framework stays behind the edge, so that the rest can be tested without it and outlive it",
    ),
    (
        "serde_yaml",
        // The mock reads its scripts with it: they are test tools' files, and the configuration's reader
        // would bring findings, variables and secrets along.
        &["config", "cmd/mock"],
        "one room reads YAML, so that the unmaintained parser can be replaced in one place",
    ),
    (
        "opentelemetry*",
        &["edge/telemetry", "edge/exporter"],
        "what traces are made of stays where they are made and sent",
    ),
    (
        "prost*",
        &["edge/telemetry"],
        "protobuf is what traces are sent as, and nobody else's",
    ),
    (
        "saphyr_parser",
        &["config"],
        "positions are the configuration's matter",
    ),
];

/// The floors that compute and do nothing else.
const PURE: &[&str] = &["core", "wire"];

/// What the pure floors must not name, and what they take instead.
const IMPURE: &[(&str, &str)] = &[
    ("tokio", "waiting is the edge's: return what to do next"),
    ("std::net", "sockets are the edge's"),
    ("std::fs", "files are read by config, edge and cmd"),
    ("std::thread", "a pure floor starts nothing"),
    ("std::time::Instant::now", "take `now: Time` as an argument"),
    (
        "std::time::SystemTime::now",
        "take `now: SystemTime` as an argument",
    ),
    ("tracing", "return what happened; the edge logs it once"),
];

/// Names that say nothing about what a module owns.
const EMPTY_NAMES: &[&str] = &["utils", "common", "helpers", "types", "misc", "manager"];

/// Lines of a file, tests left out, past which it has two subjects.
const LONGEST: usize = 500;

/// Files that may be longer, and why.
const LONG: &[(&str, &str)] = &[];

fn mainstay() -> House {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    House::judge(Crate::read(&root))
}

fn assert_none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n  {}\n", found.join("\n  "));
}

#[test]
fn every_file_keeps_the_rules() {
    let found: Vec<_> = mainstay()
        .breaches
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_none(
        "the plan of the house (tests/layering.rs) is broken",
        &found,
    );
}

#[test]
fn every_listed_arrow_is_used() {
    let house = mainstay();
    assert_none(
        "tests/layering.rs lists arrows that no code uses any more",
        &unused(&house),
    );
}

fn unused(house: &House) -> Vec<String> {
    let is_used = |(from, to): &(&str, &str)| house.used.contains(&((*from).into(), (*to).into()));
    let unused = listed().filter(|arrow| !is_used(arrow));
    unused.map(|(from, to)| format!("{from} -> {to}")).collect()
}

#[test]
fn the_list_names_the_rooms_that_are_there() {
    let there = mainstay().rooms();
    let listed: BTreeSet<String> = ROOMS.iter().map(|(room, _)| (*room).to_owned()).collect();
    let unlisted: Vec<_> = there.difference(&listed).cloned().collect();
    assert_none("rooms that ROOMS does not list", &unlisted);
    let gone = listed.difference(&there).filter(|room| !is_floor(room));
    let gone: Vec<_> = gone.cloned().collect();
    assert_none("rooms of ROOMS that are not there", &gone);
}

#[test]
fn listed_arrows_point_to_earlier_rooms() {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for (room, others) in ROOMS {
        let later = others.iter().filter(|other| !seen.contains(*other));
        found.extend(later.map(|other| format!("{room} -> {other}")));
        seen.insert(*room);
    }
    assert_none(
        "arrows that point up the list (UPHILL is for those)",
        &found,
    );
}

#[test]
fn every_exception_is_needed() {
    let house = mainstay();
    let is_long = |file: &str| {
        let mut sources = house.all.sources.iter();
        sources.any(|source| source.file == file && source.lines > LONGEST)
    };
    let unneeded = LONG.iter().filter(|(file, _)| !is_long(file));
    let unneeded: Vec<_> = unneeded.map(|(file, _)| (*file).to_owned()).collect();
    assert_none("files that LONG need not list", &unneeded);
}
