//! Owns what `finishReason` means. Must never let an answer that broke pass for one that ended.
//! <https://ai.google.dev/api/generate-content#FinishReason> (2026-11-22).

use crate::core::outcome::ErrorFacts;
use crate::wire::hub::Finish;

/// How a candidate ended.
#[derive(Debug, PartialEq)]
pub(super) enum End {
    Finish(Finish),
    /// The model made nothing that can be used.
    Failed(Box<ErrorFacts>),
}

/// Reads a reason. Google says `STOP` after calls too.
pub(super) fn of(reason: &str, message: Option<&str>, called: bool) -> End {
    End::Finish(match reason {
        "STOP" if called => Finish::ToolCalls,
        "STOP" => Finish::STOP,
        "MAX_TOKENS" => Finish::Length,
        "SAFETY"
        | "RECITATION"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "MODEL_ARMOR"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION" => Finish::Filtered,
        "MALFORMED_FUNCTION_CALL"
        | "UNEXPECTED_TOOL_CALL"
        | "TOO_MANY_TOOL_CALLS"
        | "MALFORMED_RESPONSE"
        | "MISSING_THOUGHT_SIGNATURE" => return failed(reason, message),
        other => Finish::Other(other.to_ascii_lowercase()),
    })
}

fn failed(reason: &str, message: Option<&str>) -> End {
    let message = message.unwrap_or("the model ended with an error");
    End::Failed(Box::new(ErrorFacts {
        status: 200,
        message: message.chars().take(300).collect(),
        code: Some(reason.to_owned()),
        ..ErrorFacts::default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_meaning() {
        let table = [
            ("STOP", false, Finish::STOP),
            ("STOP", true, Finish::ToolCalls),
            ("MAX_TOKENS", true, Finish::Length),
            ("SAFETY", false, Finish::Filtered),
            ("SPII", false, Finish::Filtered),
            ("LANGUAGE", false, Finish::Other("language".to_owned())),
            ("NEW_ONE", false, Finish::Other("new_one".to_owned())),
        ];
        for (reason, called, expected) in table {
            assert_eq!(of(reason, None, called), End::Finish(expected), "{reason}");
        }
        let End::Failed(facts) = of("MALFORMED_FUNCTION_CALL", Some("broken"), false) else {
            panic!("a broken call is no end");
        };
        assert_eq!(facts.message, "broken");
        assert_eq!(facts.code.as_deref(), Some("MALFORMED_FUNCTION_CALL"));
    }
}
