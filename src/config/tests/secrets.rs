//! No credential is ever shown, whatever is wrong with the file that holds it.

use std::fs;
use std::path::Path;

use super::{BASE, load, read, with};

const LITERAL: &str = "sk-literal-in-the-file-0123456789";

/// Nothing about the file shows the literal or the variable's value.
fn check(text: &str) {
    let text = text.replace("LITERAL", LITERAL);
    let shown = match read(&text) {
        Ok(loaded) => format!("{loaded:?}"),
        Err(error) => format!("{error}\n{error:?}"),
    };
    for secret in ["literal-in", "hidden-in", "9876543210"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn a_credential_in_a_broken_file_is_not_shown() {
    let provider = |settings: &str| {
        let start = "providers:\n  openai: { base_url: https://x.test, ";
        check(&format!(
            "{start}{settings} }}\nmodels: {{ a/b: {{ endpoints: [{{ provider: openai }}] }} }}\n"
        ));
    };
    provider("keys: [{ value: LITERAL }]");
    provider("keys: [{ value: \"${SECRET}\" }]");
    provider("keys: LITERAL");
    provider("keys: \"${SECRET}\"");
    provider("keys: [LITERAL]");
    provider("keys: [[LITERAL]]");
    provider("keys: [{ value: [LITERAL] }]");
    provider("keys: [{ value: { a: LITERAL } }]");
    provider("keys: [{ value: 9876543210 }]");
    provider("keys: [{ value: 98765432109876543210987654321098765432109876543210 }]");
    provider("keys: [{ name: a, value: LITERAL, valu: 1 }]");
    provider("keys: [{ name: a, valu: LITERAL }]");
    provider("key_: LITERAL");
    provider("keys: [{ name: a b, value: LITERAL }]");
    provider("keys: [{ value: !!int LITERAL }]");
    provider("keys: [{ value: LITERAL ]");
    provider("timeouts: LITERAL");
    provider("timeouts: { idle: LITERAL }");
    provider("timeouts: { idle: \"${SECRET}\" }");
    provider("auth: \"${SECRET}\"");
    provider("auth: \"header ${SECRET} x\"");
    provider("dialects: [\"${SECRET}\"]");
    provider("base_url: \"https://user:LITERAL@x.test\"");
    provider("headers: { X-Key: LITERAL, Host: x }");
    provider("headers: { X-Key: LITERAL }, keys: [{ value: LITERAL }]");
    provider("headers: LITERAL");
    provider("headers: [LITERAL]");
    check(&with("server: { threads: \"${SECRET}\" }\n"));
    check(&with("server: { listen: [\"${SECRET}\"] }\n"));
    check(&with("server: { admin: { token: LITERAL, tokn: 1 } }\n"));
    check(&with("server: { admin: { tokn: LITERAL } }\n"));
    check(&with(
        "auth:\n  keys:\n    - name: a\n      keyy: \"LITERAL\"\n",
    ));
    check(&with(
        "auth: { keys: [{ name: a, key: LITERAL }, { name: b, key: LITERAL }] }\n",
    ));
    check(&with("auth: { keys: { name: a, key: LITERAL } }\n"));
    check(&with(
        "auth: { keys: [{ name: \"${SECRET}\", key: a, policy: \"${SECRET}\" }] }\n",
    ));
    check(&with(
        "x-key: &key LITERAL\nauth: { keys: [{ key: *key }], open: 5 }\n",
    ));
    check(&with(
        "auth:\n  keys:\n    - name: a\n      key: LITERAL\n      key: LITERAL\n",
    ));
    check(&with(
        "auth:\n  keys:\n    - name: a\n      key: LITERAL: x\n",
    ));
    check(&BASE.replace("provider: openai", "provider: \"${SECRET}\""));
}

#[test]
fn a_loaded_configuration_prints_no_credential() {
    let text = BASE.replace("keys:", "headers: { X-Key: LITERAL }, keys:");
    check(&text.replace("sk-test", "LITERAL"));
    let loaded = load(&text.replace("sk-test", "\"${SECRET}\""));
    let provider = &loaded.snapshot.providers["openai"];
    let key = provider.keys[0].1.as_ref().unwrap();
    assert_eq!(key.expose(), "sk-hidden-in-the-environment");
    assert!(!format!("{loaded:?}").contains("sk-"), "{loaded:?}");
}

/// The base with its credential in `file`.
fn keyed_by(file: &Path) -> String {
    BASE.replace("value: sk-test", &format!("value_file: {}", file.display()))
}

#[test]
fn a_credential_may_stand_in_a_file_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let upstream = file("upstream", "sk-upstream\n");
    let caller = file("caller", "sk-caller");
    let token = file("token", "sk-token\r\n\n");
    let text = format!(
        "{}auth: {{ keys: [{{ name: web, key_file: {} }}] }}\nserver: {{ admin: {{ token_file: {} }} }}\n",
        keyed_by(&upstream),
        caller.display(),
        token.display()
    );
    let loaded = load(&text);
    let files: Vec<_> = loaded.files.into_iter().map(|file| file.path).collect();
    assert_eq!(files, [token, caller, upstream]);
    let snapshot = loaded.snapshot;
    let key = snapshot.providers["openai"].keys[0].1.as_ref();
    assert_eq!(key.unwrap().expose(), "sk-upstream");
    assert_eq!(snapshot.callers[0].key.expose(), "sk-caller");
    let token = snapshot.server.admin.token.as_ref();
    assert_eq!(token.unwrap().expose(), "sk-token");
}

#[test]
fn a_credentials_file_that_cannot_be_used_is_one_finding_at_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let check = |expected: &str| {
        let error = read(&keyed_by(&path)).expect_err(expected);
        let [finding] = error.findings() else {
            panic!("one finding: {error}");
        };
        assert!(finding.message.contains(expected), "{error}");
        assert_eq!(finding.path, "providers.openai.keys[0].value_file");
        assert!(!error.to_string().contains("hidden-in"), "{error}");
    };
    check("No such file");
    fs::write(&path, "\n").unwrap();
    check("empty");
    fs::write(&path, "hidden-in-one\nhidden-in-two\n").unwrap();
    check("more than one line");
    fs::write(&path, b"hidden-in-\xff").unwrap();
    check("not UTF-8");
    fs::write(&path, vec![b'x'; 70_000]).unwrap();
    check("longer than any credential");
    fs::remove_file(&path).unwrap();
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    check("not a regular file");
}

#[test]
fn a_value_and_its_file_are_not_both_written() {
    let text = BASE.replace("sk-test", "sk-test, value_file: /nowhere");
    let error = read(&text).expect_err("both");
    assert!(
        error
            .to_string()
            .contains("`value` and `value_file` are both written"),
        "{error}"
    );
}
