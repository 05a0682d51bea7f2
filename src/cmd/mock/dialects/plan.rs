//! Owns what an answer says, before a dialect writes it down: which parts, how they end, what they cost.
//! Must never know a dialect.

use serde_json::{Value, json};

use super::sample;
use super::understood::{Choice, Format, Tool, Understood};
use crate::cmd::mock::script::ScriptedCall;

/// What the mock thinks, where a request asks for reasoning; a word is a token.
const THOUGHT: &str = "The tide is falling, so the pilot weighs the café lamp against the wind.";
/// Characters of one token of JSON.
const JSON_TOKEN: usize = 7;
/// Characters of one token of a digest, which may be long.
const DIGEST_TOKEN: usize = 48;

/// One answer to one request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    /// Counts the mock's answers; ids are made of it.
    pub(crate) number: u64,
    /// Seconds since 1970.
    pub(crate) created: u64,
    pub(crate) model: String,
    pub(crate) parts: Vec<Said>,
    pub(crate) finish: Finish,
    pub(crate) usage: Usage,
    /// Whether usage is told.
    pub(crate) tells_usage: bool,
}

/// A part of an answer, in tokens.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Said {
    Thought(Vec<String>),
    Text(Vec<String>),
    Call {
        id: String,
        name: String,
        /// The JSON of its arguments.
        arguments: Vec<String>,
    },
    Refusal(Vec<String>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    Stop,
    /// At this sequence.
    Sequence(String),
    Length,
    Calls,
    Refusal,
    /// By a filter of the provider's, for the prompt or for what was said.
    Filtered,
}

/// Tokens. `input` and `output` include the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) input: u64,
    pub(crate) cached: u64,
    pub(crate) written: u64,
    pub(crate) output: u64,
    pub(crate) reasoning: u64,
}

/// What the mock was told to say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// The words of a healthy answer, one a token.
    pub(crate) words: Vec<String>,
    /// Answer every request with its digest.
    pub(crate) digest: bool,
    /// The calls to make, in the order of the conversation.
    pub(crate) calls: Vec<ScriptedCall>,
    /// Whether usage is told.
    pub(crate) usage: bool,
    pub(crate) number: u64,
    pub(crate) created: u64,
    /// Of the request's body.
    pub(crate) body_bytes: usize,
}

// === impl Plan ===

impl Plan {
    /// The healthy answer to a request.
    pub(crate) fn new(asked: &Understood, told: &Told) -> Self {
        let mut parts = Vec::new();
        if asked
            .reasoning
            .as_ref()
            .is_some_and(|reasoning| reasoning.on)
        {
            parts.push(Said::Thought(tokens(THOUGHT)));
        }
        let calls =
            scripted(asked, told).map_or_else(|| calls(asked, told.number), |call| vec![call]);
        let finish = if wants(asked, "refuse") {
            parts.push(Said::Refusal(tokens("The pilot declines to say.")));
            Finish::Refusal
        } else if told.digest || wants(asked, "digest") {
            parts.push(Said::Text(chunks(&asked.digest(), DIGEST_TOKEN)));
            Finish::Stop
        } else if !calls.is_empty() {
            parts.extend(calls);
            Finish::Calls
        } else {
            let (text, finish) = text(asked, &told.words);
            let (text, finish) = limited(asked, &parts, text, finish);
            parts.push(Said::Text(text));
            finish
        };
        Self {
            number: told.number,
            created: told.created,
            model: asked.model.clone(),
            usage: usage(asked, told.body_bytes, &parts),
            parts,
            finish,
            tells_usage: told.usage,
        }
    }

    /// Takes everything that was to be said away.
    pub(crate) fn empty(&mut self) {
        self.parts.clear();
        self.finish = Finish::Stop;
        (self.usage.output, self.usage.reasoning) = (0, 0);
    }

    /// Lets a filter end the answer after so many tokens of text.
    pub(crate) fn filter(&mut self, tokens: u32) {
        let most = usize::try_from(tokens).unwrap_or(usize::MAX);
        let text = self.parts.iter().find_map(|said| match said {
            Said::Text(text) => Some(text.iter().take(most).cloned().collect::<Vec<_>>()),
            _ => None,
        });
        let text = text.filter(|text| !text.is_empty());
        self.empty();
        self.finish = Finish::Filtered;
        self.usage.output = text.as_ref().map_or(0, |text| text.len() as u64);
        self.parts = text.map(Said::Text).into_iter().collect();
    }

    /// An id with a prefix of the dialect.
    pub(crate) fn id(&self, prefix: &str) -> String {
        format!("{prefix}mock{:08}", self.number)
    }
}

// === impl Said ===

impl Said {
    /// Its tokens.
    pub(crate) fn tokens(&self) -> &[String] {
        match self {
            Self::Thought(tokens) | Self::Text(tokens) | Self::Refusal(tokens) => tokens,
            Self::Call { arguments, .. } => arguments,
        }
    }
}

/// Whether the user's last text asks for something that only a plan answers: a digest, a refusal, calls by name.
pub(crate) fn is_asked(asked: &Understood) -> bool {
    let is_tool = |name: &&str| asked.tools.iter().any(|tool| tool.name == *name);
    wants(asked, "digest")
        || wants(asked, "refuse")
        || named_calls(asked.last_text()).iter().any(is_tool)
}

/// Whether the user's last text asks for something by this word.
fn wants(asked: &Understood, word: &str) -> bool {
    let text = asked.last_text();
    let mut words = text.split(|c: char| !c.is_alphanumeric());
    words.any(|known| known.eq_ignore_ascii_case(word))
}

/// The tools that are called: those after the word `call` in the user's last text, or one that must be.
fn calls(asked: &Understood, number: u64) -> Vec<Said> {
    let functions: Vec<_> = asked
        .tools
        .iter()
        .filter(|tool| tool.server.is_none())
        .collect();
    let named: Vec<_> = match &asked.tool_choice {
        None | Some(Choice::None) => return Vec::new(),
        Some(Choice::Named(name)) => vec![name.as_str()],
        Some(choice) => {
            let mut named = named_calls(asked.last_text());
            if let Choice::OneOf(allowed) = choice {
                named.retain(|name| allowed.iter().any(|known| known == name));
            }
            let first = match choice {
                Choice::OneOf(allowed) => allowed.first().map(String::as_str),
                Choice::Required => functions.first().map(|tool| tool.name.as_str()),
                _ => None,
            };
            if named.is_empty() {
                first.into_iter().collect()
            } else {
                named
            }
        }
    };
    let most = if asked.parallel == Some(false) {
        1
    } else {
        named.len()
    };
    let found = named
        .into_iter()
        .filter_map(|name| functions.iter().find(|tool| tool.name == name));
    found
        .take(most)
        .enumerate()
        .map(|(index, tool)| call(tool, number, index))
        .collect()
}

/// The call that the script has next, where its tool is offered.
fn scripted(asked: &Understood, told: &Told) -> Option<Said> {
    let next = told.calls.get(asked.called.len())?;
    let is_it = |tool: &Tool| tool.server.is_none() && tool.name == next.tool;
    let may_call = !matches!(asked.tool_choice, None | Some(Choice::None));
    (may_call && asked.tools.iter().any(is_it)).then(|| Said::Call {
        id: format!("mock{:06}00", told.number),
        name: next.tool.clone(),
        arguments: chunks(&next.arguments.to_string(), JSON_TOKEN),
    })
}

/// The names after the word `call`, as far as they are joined by `and` or commas.
fn named_calls(text: &str) -> Vec<&str> {
    let is_name = |c: char| c.is_alphanumeric() || "_-./:".contains(c);
    let words = text
        .split(|c: char| !is_name(c))
        .filter(|word| !word.is_empty());
    let mut words = words
        .skip_while(|word| !word.eq_ignore_ascii_case("call"))
        .skip(1);
    let mut names = Vec::new();
    while let Some(name) = words.next() {
        names.push(name.trim_end_matches(['.', ':']));
        if !words
            .next()
            .is_some_and(|word| word.eq_ignore_ascii_case("and"))
        {
            break;
        }
    }
    names
}

fn call(tool: &Tool, number: u64, index: usize) -> Said {
    let arguments = sample::instance(&tool.schema).to_string();
    Said::Call {
        id: format!("mock{number:06}{index:02}"),
        name: tool.name.clone(),
        arguments: chunks(&arguments, JSON_TOKEN),
    }
}

/// What is said in text, and how it ends: an instance of the format, or the words up to a stop sequence.
fn text(asked: &Understood, words: &[String]) -> (Vec<String>, Finish) {
    let made = match &asked.format {
        Some(Format::Schema(schema)) => Some(sample::instance(schema)),
        Some(Format::Json) => Some(json!({"log": words.concat().trim_end()})),
        None => None,
    };
    if let Some(value) = made {
        return (chunks(&Value::to_string(&value), JSON_TOKEN), Finish::Stop);
    }
    let whole = words.concat();
    let stops = asked.stop.iter().filter(|stop| !stop.is_empty());
    let first = stops
        .filter_map(|stop| whole.find(stop.as_str()).map(|at| (at, stop)))
        .min_by_key(|(at, _)| *at);
    match first {
        None => (words.to_vec(), Finish::Stop),
        Some((at, stop)) => (up_to(words, at), Finish::Sequence(stop.clone())),
    }
}

/// The words up to a byte of them.
fn up_to(words: &[String], mut left: usize) -> Vec<String> {
    let mut kept = Vec::new();
    for word in words {
        if left == 0 {
            break;
        }
        let part = word.get(..left.min(word.len())).unwrap_or(word);
        kept.push(part.to_owned());
        left = left.saturating_sub(word.len());
    }
    kept
}

/// The text within the tokens that are left for it.
fn limited(
    asked: &Understood,
    before: &[Said],
    mut text: Vec<String>,
    finish: Finish,
) -> (Vec<String>, Finish) {
    let spent: usize = before.iter().map(|said| said.tokens().len()).sum();
    let most = asked.max_tokens.map_or(usize::MAX, |most| {
        usize::try_from(most).unwrap_or(usize::MAX)
    });
    let left = most.saturating_sub(spent);
    if text.len() <= left {
        return (text, finish);
    }
    text.truncate(left);
    (text, Finish::Length)
}

/// A quarter of the body's bytes goes in. A conversation is cached up to its middle, and a mark writes a quarter.
fn usage(asked: &Understood, body_bytes: usize, parts: &[Said]) -> Usage {
    let input = (body_bytes as u64 / 4).max(4);
    let count = |said: &Said| said.tokens().len() as u64;
    let is_thought = |said: &&Said| matches!(said, Said::Thought(_));
    Usage {
        input,
        cached: if asked.turns.len() > 1 { input / 2 } else { 0 },
        written: if asked.cache_marks > 0 { input / 4 } else { 0 },
        output: parts.iter().map(count).sum(),
        reasoning: parts.iter().filter(is_thought).map(count).sum(),
    }
}

/// One word and its trailing space a token.
fn tokens(text: &str) -> Vec<String> {
    text.split_inclusive(' ').map(str::to_owned).collect()
}

/// So many characters a token.
fn chunks(text: &str, size: usize) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    characters
        .chunks(size)
        .map(|chunk| chunk.iter().collect())
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::cmd::mock::dialects::understood::{Part, Reasoning, Role};

    /// What the tests of the dialects tell the mock to say.
    pub(crate) fn told() -> Told {
        Told {
            words: tokens("one two three café five "),
            usage: true,
            number: 3,
            created: 1_700_000_000,
            body_bytes: 400,
            ..Told::default()
        }
    }

    fn asked(text: &str) -> Understood {
        let mut asked = Understood::new("m");
        asked.tools = ["look", "list_all"]
            .map(|name| {
                Tool::function(
                    name,
                    None,
                    Some(json!({"properties": {"a": {"type": "string"}}})),
                )
            })
            .to_vec();
        asked.tool_choice = Some(Choice::Auto);
        asked.say(Role::User, vec![Part::Text(text.into())]);
        asked
    }

    fn names(asked: &Understood) -> Vec<String> {
        let parts = Plan::new(asked, &told()).parts.into_iter();
        let name = |said| match said {
            Said::Call { name, .. } => Some(name),
            _ => None,
        };
        parts.filter_map(name).collect()
    }

    #[test]
    fn tools_are_called_when_asked_or_forced() {
        assert_eq!(
            names(&asked("Please call list_all and look.")),
            ["list_all", "look"]
        );
        assert_eq!(names(&asked("Call look, then rest")), ["look"]);
        assert!(names(&asked("Recall nothing; call nobody")).is_empty());
        let mut forced = asked("call look and list_all");
        forced.parallel = Some(false);
        assert_eq!(names(&forced), ["look"]);
        forced.tool_choice = Some(Choice::Named("list_all".into()));
        assert_eq!(names(&forced), ["list_all"]);
        forced.tool_choice = Some(Choice::None);
        assert!(names(&forced).is_empty());
        let mut required = asked("hello");
        required.tool_choice = Some(Choice::Required);
        assert_eq!(names(&required), ["look"]);
        required.tool_choice = Some(Choice::OneOf(vec!["list_all".into()]));
        assert_eq!(names(&required), ["list_all"]);
    }

    #[test]
    fn scripted_calls_come_one_after_the_other_where_their_tool_is_offered() {
        let call = |tool: &str| ScriptedCall {
            tool: tool.into(),
            arguments: json!({"a": "é"}),
        };
        let told = Told {
            calls: vec![call("look"), call("dive")],
            ..told()
        };
        let mut asked = asked("hello");
        let plan = Plan::new(&asked, &told);
        let Some(Said::Call {
            name, arguments, ..
        }) = plan.parts.first()
        else {
            panic!("no call: {plan:?}");
        };
        assert_eq!((name.as_str(), plan.finish), ("look", Finish::Calls));
        assert_eq!(arguments.concat(), r#"{"a":"é"}"#);
        asked.called.push("look".into());
        assert_eq!(
            Plan::new(&asked, &told).finish,
            Finish::Stop,
            "no such tool"
        );
        asked.tools.push(Tool::function("dive", None, None));
        assert_eq!(Plan::new(&asked, &told).finish, Finish::Calls);
        asked.tool_choice = Some(Choice::None);
        assert_eq!(Plan::new(&asked, &told).finish, Finish::Stop);
        asked.tool_choice = Some(Choice::Auto);
        asked.called.push("dive".into());
        assert_eq!(
            Plan::new(&asked, &told).finish,
            Finish::Stop,
            "all were made"
        );
    }

    #[test]
    fn stops_and_limits_end_the_words() {
        let mut stopped = asked("hello");
        stopped.stop = vec!["x".into(), "afé".into(), "hree".into()];
        let plan = Plan::new(&stopped, &told());
        assert_eq!(plan.finish, Finish::Sequence("hree".into()));
        assert_eq!(
            plan.parts,
            [Said::Text(vec!["one ".into(), "two ".into(), "t".into()])]
        );
        stopped.stop = vec!["one".into()];
        assert_eq!(Plan::new(&stopped, &told()).parts, [Said::Text(vec![])]);
        let mut short = asked("hello");
        short.max_tokens = Some(2);
        let plan = Plan::new(&short, &told());
        assert_eq!((plan.usage.output, plan.finish), (2, Finish::Length));
        short.max_tokens = Some(5);
        assert_eq!(Plan::new(&short, &told()).finish, Finish::Stop);
    }

    #[test]
    fn digests_formats_reasoning_and_usage_are_told() {
        let digest = asked("your digest, please");
        let Said::Text(text) = &Plan::new(&digest, &told()).parts[0] else {
            panic!()
        };
        assert_eq!(text.concat(), digest.digest());
        let mut format = asked("hello");
        format.format = Some(Format::Schema(
            json!({"properties": {"n": {"type": "integer"}}}),
        ));
        format.reasoning = Some(Reasoning {
            on: true,
            ..Reasoning::default()
        });
        format.cache_marks = 1;
        let plan = Plan::new(&format, &told());
        assert_eq!(plan.parts[1], Said::Text(vec!["{\"n\":7}".into()]));
        let usage = Usage {
            input: 100,
            cached: 0,
            written: 25,
            output: 15,
            reasoning: 14,
        };
        assert_eq!(plan.usage, usage);
    }
}
