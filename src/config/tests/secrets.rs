//! No credential is ever shown, whatever is wrong with the file that holds it.

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
