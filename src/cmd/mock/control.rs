//! Owns the control plane of a mock, the paths under `/mock/`: change the script, read the log.
//! Must never be recorded or made to fail: it is how a burning provider is put out.

use bytes::Bytes;
use serde_json::json;

use crate::cmd::mock::answer::{self, Step};
use crate::cmd::mock::fault::Fault;
use crate::cmd::mock::http::Head;
use crate::cmd::mock::script::{Script, ScriptError};
use crate::cmd::mock::state::Shared;

/// Whether a request is for the control plane.
pub(crate) fn is_control(head: &Head) -> bool {
    head.path().starts_with("/mock/")
}

/// Carries out a control request.
pub(crate) fn answer(shared: &Shared, head: &Head, body: &Bytes) -> Vec<Step> {
    match (head.method.as_str(), head.path()) {
        ("PUT", "/mock/script") => change(body, Script::parse, |script| {
            shared.set(script);
        }),
        ("POST", "/mock/fault") => change(body, Fault::parse, |fault| {
            shared.update(|script| script.fault = Some(fault));
        }),
        ("DELETE", "/mock/fault") => {
            shared.update(|script| script.fault = None);
            done()
        }
        ("DELETE", "/mock/tokens") => {
            shared.issued().clear();
            done()
        }
        ("GET", "/mock/received") => {
            let entries = shared.log().entries();
            match serde_json::to_string(&entries) {
                Ok(text) => answer::json(200, text),
                Err(error) => refused(500, &error.to_string()),
            }
        }
        ("DELETE", "/mock/received") => {
            shared.log().clear();
            done()
        }
        _ => refused(
            404,
            "the control plane has /mock/script, /mock/fault, /mock/tokens and /mock/received",
        ),
    }
}

/// Parses a body and applies it, or says why not.
fn change<T>(
    body: &Bytes,
    parse: impl FnOnce(&str) -> Result<T, ScriptError>,
    apply: impl FnOnce(T),
) -> Vec<Step> {
    let Ok(text) = std::str::from_utf8(body) else {
        return refused(400, "the body is not UTF-8");
    };
    match parse(text) {
        Ok(value) => {
            apply(value);
            done()
        }
        Err(error) => refused(400, &error.to_string()),
    }
}

fn done() -> Vec<Step> {
    answer::json(200, json!({"ok": true}).to_string())
}

fn refused(status: u16, message: &str) -> Vec<Step> {
    answer::json(status, json!({"ok": false, "message": message}).to_string())
}
