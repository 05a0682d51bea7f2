//! Owns what a client made of an answer: its words, its end, its error. Reads the wire by itself, so that a
//! fault in the proxy's own reader shows. Must never forgive a word that is missing, twice, or out of order.

use serde_json::Value;

use crate::cmd::mock::WORDS;

/// What has arrived.
#[derive(Debug, Default)]
pub(crate) struct Transcript {
    pending: Vec<u8>,
    words: String,
    done: bool,
    error: bool,
    trouble: Option<String>,
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whole {
    Yes,
    /// A part, and an error that says so.
    EndedInError,
}

impl Transcript {
    /// The answer that a JSON body holds.
    pub(crate) fn of_json(body: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let words = value.pointer("/choices/0/message/content");
        Ok(Self {
            words: words.and_then(Value::as_str).unwrap_or("").to_owned(),
            done: true,
            error: value.get("error").is_some(),
            ..Self::default()
        })
    }

    /// Takes in the next bytes of a stream.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        while let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.pending.drain(..=end).collect();
            if let Some(data) = line.strip_prefix(b"data:") {
                self.read(data.trim_ascii());
            }
        }
    }

    pub(crate) fn has_words(&self) -> bool {
        !self.words.is_empty()
    }

    /// How the answer ended.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn judge(self) -> Result<Whole, String> {
        if let Some(trouble) = self.trouble {
            return Err(trouble);
        }
        let expected = WORDS.split_whitespace();
        let got = self.words.split_whitespace();
        if self.error {
            let is_part = got.zip(expected).all(|(got, expected)| got == expected);
            return match is_part {
                true => Ok(Whole::EndedInError),
                false => Err("wrong words before the error".to_owned()),
            };
        }
        match (got.eq(expected), self.done) {
            (true, true) => Ok(Whole::Yes),
            (true, false) => Err("no end marker".to_owned()),
            (false, _) => Err(format!("wrong words: {}", self.words)),
        }
    }

    fn read(&mut self, data: &[u8]) {
        if self.done || self.error {
            self.trouble = Some("something after the end".to_owned());
        } else if data == b"[DONE]" {
            self.done = true;
        } else {
            match serde_json::from_slice::<Value>(data) {
                Ok(event) => self.read_event(&event),
                Err(error) => self.trouble = Some(format!("an event is not JSON: {error}")),
            }
        }
    }

    fn read_event(&mut self, event: &Value) {
        self.error = event.pointer("/error/message").is_some();
        let words = event.pointer("/choices/0/delta/content");
        self.words
            .push_str(words.and_then(Value::as_str).unwrap_or(""));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> String {
        let delta = serde_json::json!({ "choices": [{ "delta": { "content": text } }] });
        format!("data: {delta}\n\n")
    }

    fn judge(stream: &str) -> Result<Whole, String> {
        let mut transcript = Transcript::default();
        for byte in stream.as_bytes() {
            transcript.push(&[*byte]);
        }
        transcript.judge()
    }

    const ERROR: &str = "data: {\"choices\":[],\"error\":{\"message\":\"broken\"}}\n\n";
    const DONE: &str = "data: [DONE]\n\n";

    #[test]
    fn only_every_word_once_with_an_end_is_whole() {
        let whole = word(WORDS);
        assert_eq!(judge(&format!("{whole}{DONE}")), Ok(Whole::Yes));
        assert!(judge(&whole).is_err(), "no end");
        assert!(judge(&format!("{whole}{whole}{DONE}")).is_err(), "twice");
        assert!(judge(&format!("{}{DONE}", word("A harbour "))).is_err());
        assert!(judge(&format!("{whole}{DONE}{DONE}")).is_err());
        assert!(judge("data: {\"cho\n\n").is_err());
        assert!(judge("").is_err());
    }

    #[test]
    fn a_part_with_an_error_is_told_from_a_garbled_one() {
        let part = format!("{}{ERROR}", word("A harbour "));
        assert_eq!(judge(&part), Ok(Whole::EndedInError));
        assert!(judge(&format!("{}{ERROR}", word("harbour "))).is_err());
    }

    #[test]
    fn json_is_held_to_the_same() {
        let body = |text: &str| {
            serde_json::json!({ "choices": [{ "message": { "content": text } }] }).to_string()
        };
        let judge = |body: String| Transcript::of_json(body.as_bytes()).and_then(Transcript::judge);
        assert_eq!(judge(body(WORDS)), Ok(Whole::Yes));
        assert!(judge(body("A harbour")).is_err());
        assert!(judge("{".to_owned()).is_err());
    }
}
