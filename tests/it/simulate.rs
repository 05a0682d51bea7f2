//! `mainstay simulate` on a configuration's own fleet: every example of `conf/`, speeds of a running proxy, and what
//! is said about arguments that cannot be meant.

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use crate::harness::{Config, closed_port, command, fast, mock};
use crate::raw::{Request, Via};

/// An incident of each place: an endpoint, a host, a key, and a calm.
const SCENARIOS: &str = r#"{
  "fleets": {"pair": [
    {"id": "first", "price": 1, "ttft": 0.4, "tps": 100},
    {"id": "second", "price": 2, "ttft": 0.6, "tps": 80}
  ]},
  "scenarios": [
    {"id": "calm", "fleet": "pair", "rps": 5, "dur": 60, "incidents": []},
    {"id": "hole", "fleet": "pair", "rps": 5, "dur": 60, "incidents": [{"ep": "first", "from": 20, "to": 40, "kind": "hole"}]},
    {"id": "refuse", "fleet": "pair", "rps": 5, "dur": 60, "incidents": [{"ep": "first", "from": 20, "to": 40, "kind": "refuse"}]},
    {"id": "auth", "fleet": "pair", "rps": 5, "dur": 60, "prompt": [100, 300000],
      "incidents": [{"ep": "second", "from": 20, "to": 40, "kind": "auth"}]}
  ]
}"#;

/// A folder with the scenarios.
struct Bench {
    folder: tempfile::TempDir,
    scenarios: PathBuf,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let scenarios = folder.path().join("scenarios.json");
        std::fs::write(&scenarios, SCENARIOS).unwrap();
        Self { folder, scenarios }
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = command(&["simulate", "--seeds", "1"]);
        command.arg(&self.scenarios).args(arguments);
        command.output().unwrap()
    }
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

fn two_models() -> String {
    let (_held, nowhere) = closed_port();
    Config::new()
        .provider("near", nowhere)
        .provider("far", nowhere)
        .model("t/m", &["near", "far"])
        .model("t/other", &["far"])
        .policy_named("strict", "sort: ordered, attempts: 1")
        .text()
}

/// Everything that a file says in `${}` gets a value.
fn variables(text: &str) -> Vec<String> {
    let parts = text.split("${").skip(1);
    let names = parts.filter_map(|part| part.split(['}', ':']).next());
    names.map(str::to_owned).collect()
}

#[test]
fn every_example_can_be_simulated() {
    let bench = Bench::new();
    let conf = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf");
    let files = std::fs::read_dir(&conf).unwrap();
    let files = files.map(|file| file.unwrap().path());
    let examples = files.filter(|path| path.extension().is_some_and(|end| end == "yaml"));
    let mut seen = 0;
    for path in examples.chain([conf.join("compose/config.yaml")]) {
        let text = std::fs::read_to_string(&path).unwrap();
        let mut command = command(&["simulate", "--seeds", "1", "--format", "json"]);
        command.arg(&bench.scenarios).arg("--config").arg(&path);
        command.envs(
            variables(&text)
                .into_iter()
                .map(|name| (name.clone(), format!("value-of-{name}"))),
        );
        let output = command.output().unwrap();
        let (stdout, stderr) = texts(&output);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}: {stderr}",
            path.display()
        );
        let answer: Value = serde_json::from_str(&stdout).unwrap();
        let calm = answer["scenarios"]["calm"]["success"].as_f64().unwrap();
        assert!(calm > 0.95, "{}: {calm}", path.display());
        let plays = &answer["casts"]["calm"][0]["plays"];
        assert_eq!(plays, "first", "{}", path.display());
        seen += 1;
    }
    assert!(seen > 7, "{seen} examples");
}

#[test]
fn who_plays_whom_and_each_policy_is_shown() {
    let bench = Bench::new();
    let config = bench.file("mainstay.yaml", &two_models());
    let arguments = [
        "--policy", "strict", "--policy", "adaptive", "--config", &config,
    ];
    let output = bench.run(&arguments);
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(
        stdout.contains("first is played by t/m@near/default: price 1.00, 0.50 s, 90 tokens/s"),
        "{stdout}"
    );
    let line = |policy: &str| {
        let mut lines = stdout
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        let found = lines.find(|line| line.starts_with(&["hole", policy]));
        found.unwrap_or_else(|| panic!("{policy}: {stdout}"))[2]
            .parse::<f64>()
            .unwrap()
    };
    assert!(
        line("strict") < line("adaptive"),
        "one attempt has no second: {stdout}"
    );
    let both = bench.run(&["--config", &config, "--model", "t/m", "--model", "t/other"]);
    let (stdout, _) = texts(&both);
    assert!(
        stdout.contains("hole t/other") && stdout.contains("hole t/m"),
        "{stdout}"
    );
}

#[test]
fn what_cannot_be_meant_is_said_with_its_exit_code() {
    let bench = Bench::new();
    let config = bench.file("mainstay.yaml", &two_models());
    let broken = bench.file("broken.yaml", "providers: { one: { base_ulr: x } }\n");
    let speeds = bench.file("speeds.json", r#"{"t/m@neer/default": {"ttft": 1}}"#);
    let (_held, nobody) = closed_port();
    let nobody = format!("http://{nobody}");
    let table: [(&[&str], i32, &str); 9] = [
        (&["--config", &broken], 78, "base_url"),
        (&["--config", "/nowhere.yaml"], 78, "cannot read"),
        (
            &["--config", &config, "--model", "t/n"],
            2,
            "did you mean \"t/m\"?",
        ),
        (
            &["--config", &config, "--policy", "strikt"],
            2,
            "did you mean \"strict\"?",
        ),
        (&["--policy", "strict"], 2, "the policies are adaptive"),
        (&["--model", "t/m"], 2, "--config"),
        (&["--latency", &speeds], 2, "--config"),
        (
            &["--config", &config, "--latency", &speeds],
            1,
            "did you mean \"t/m@near/default\"?",
        ),
        (&["--config", &config, "--admin", &nobody], 1, "cannot ask"),
    ];
    for (arguments, code, said) in table {
        let output = bench.run(arguments);
        let (_, stderr) = texts(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn speeds_come_from_a_running_proxy() {
    let bench = Bench::new();
    let (one, two) = (mock(fast()).await, mock(fast()).await);
    let proxy = Config::new()
        .provider("one", one.addr())
        .provider("two", two.addr())
        .model("t/m", &["one"])
        .model("t/unasked", &["two"])
        .admin("token: op-token")
        .start();
    for _ in 0..5 {
        let answer = proxy.call(Via::H1, &Request::stream("t/m")).await;
        assert_eq!(answer.status, 200);
    }
    let url = format!("http://{}", proxy.admin);
    let config = proxy.path.to_str().unwrap();
    let arguments = [
        "--config",
        config,
        "--admin",
        &url,
        "--token",
        "op-token",
        "--format",
        "json",
        "--scenario",
        "calm",
    ];
    let output = bench.run(&arguments);
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let answer: Value = serde_json::from_str(&stdout).unwrap();
    let part = &answer["casts"]["calm"][0];
    assert_eq!(part["speed"], "measured", "{part}");
    let ttft = part["ttft"].as_f64().unwrap();
    assert!(ttft < 0.45, "the scenario's own mean is 0.5: {part}");
    let output = bench.run(&[&arguments[..], &["--model", "t/unasked"]].concat());
    assert!(
        texts(&output).0.contains(r#""speed": "assumed""#),
        "nobody asked it yet"
    );
    let output = bench.run(&["--config", config, "--admin", &url]);
    assert!(texts(&output).1.contains("--token"), "{output:?}");
}
