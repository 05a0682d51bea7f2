//! Owns messages and deltas as they are read: a request's turns, an answer's message, a chunk's delta.
//! Must never refuse what it has no name for beside the content, or let content through that it does not understand.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::detail::Detail;
use super::fields::Content;
use crate::wire::hub::{
    Cache, Citation, Document, Finish, Image, Part, Source, Thought, ThoughtKind, ToolCall,
};
use crate::wire::json::Word;

/// A message, or a delta of one.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Said<'a> {
    #[serde(borrow)]
    pub(super) role: Option<Word<'a>>,
    #[serde(borrow)]
    pub(super) content: Content<SaidPart<'a>>,
    pub(super) reasoning: Option<String>,
    /// DeepSeek's and vLLM's name for it.
    pub(super) reasoning_content: Option<String>,
    #[serde(borrow)]
    pub(super) reasoning_details: Option<Vec<Detail<'a>>>,
    pub(super) refusal: Option<String>,
    #[serde(borrow)]
    pub(super) tool_calls: Option<Vec<SaidCall<'a>>>,
    #[serde(borrow)]
    pub(super) annotations: Option<Vec<Annotation<'a>>>,
    #[serde(borrow)]
    pub(super) images: Option<Vec<SaidPart<'a>>>,
    /// Of the call that a tool's message answers.
    pub(super) tool_call_id: Option<String>,
    pub(super) name: Option<String>,
    /// OpenAI's id of sound that it made.
    #[serde(borrow)]
    pub(super) audio: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) function_call: Option<&'a RawValue>,
}

/// A part of content, of whatever type.
#[derive(Debug, Deserialize)]
pub(super) struct SaidPart<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Word<'a>>,
    text: Option<String>,
    refusal: Option<String>,
    #[serde(borrow)]
    image_url: Option<&'a RawValue>,
    input_audio: Option<Sound>,
    file: Option<File>,
    /// Mistral's thoughts: a list of texts.
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    cache_control: Option<CacheControl>,
}

#[derive(Debug, Deserialize)]
struct ImageUrl {
    url: String,
    detail: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Sound {
    data: String,
    format: String,
}

#[derive(Debug, Deserialize)]
struct File {
    #[serde(rename = "filename")]
    name: Option<String>,
    #[serde(rename = "file_data")]
    data: Option<String>,
    #[serde(rename = "file_id")]
    id: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ThinkingText {
    #[serde(default)]
    text: String,
}

/// Anthropic's mark, as OpenRouter takes it.
#[derive(Debug, Deserialize)]
pub(super) struct CacheControl {
    ttl: Option<String>,
}

/// A tool call, or a piece of one.
#[derive(Debug, Deserialize)]
pub(super) struct SaidCall<'a> {
    pub(super) index: Option<u32>,
    pub(super) id: Option<String>,
    #[serde(borrow)]
    pub(super) function: Option<SaidFunction<'a>>,
    #[serde(borrow)]
    extra_content: Option<Extra<'a>>,
    /// A signature that a piece of reasoning brought.
    #[serde(skip)]
    pub(super) detail: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct SaidFunction<'a> {
    pub(super) name: Option<String>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

/// Where Google's layer of this dialect puts a call's signature.
#[derive(Debug, Deserialize)]
struct Extra<'a> {
    #[serde(borrow)]
    google: Option<GoogleExtra<'a>>,
}

#[derive(Debug, Deserialize)]
struct GoogleExtra<'a> {
    #[serde(borrow)]
    thought_signature: Option<Word<'a>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Annotation<'a> {
    #[serde(borrow)]
    url_citation: Option<UrlCitation<'a>>,
}

#[derive(Debug, Deserialize)]
struct UrlCitation<'a> {
    #[serde(borrow)]
    url: Word<'a>,
    title: Option<String>,
    start_index: Option<u64>,
    end_index: Option<u64>,
}

/// What of a message cannot be read, in words that stand behind its place.
pub(super) type Trouble = String;

// === impl Said ===

impl Said<'_> {
    /// Everything in it, in the order in which a model says it: thoughts, content, refusal, images, calls.
    pub(super) fn into_parts(self) -> Result<Vec<Part>, Trouble> {
        let mut calls = self
            .tool_calls
            .unwrap_or_default()
            .into_iter()
            .enumerate()
            .map(|(place, call)| call.into_call(place))
            .collect::<Result<Vec<_>, _>>()?;
        let mut parts: Vec<Part> = Vec::new();
        let plain = self.reasoning.or(self.reasoning_content);
        let thoughts = thoughts(self.reasoning_details, plain);
        parts.extend(without_signatures(thoughts, &mut calls).map(Part::Thought));
        parts.extend(content_parts(self.content, "content")?);
        cite(&mut parts, self.annotations);
        let refusal = self.refusal.filter(|refusal| !refusal.is_empty());
        parts.extend(refusal.map(Part::Refusal));
        for (place, image) in self.images.unwrap_or_default().into_iter().enumerate() {
            parts.push(image.into_part(&format!("images[{place}]"))?);
        }
        parts.extend(calls.into_iter().map(Part::ToolCall));
        Ok(parts)
    }
}

/// The thoughts of a message: its details, or the words alone where there are none.
pub(super) fn thoughts(details: Option<Vec<Detail<'_>>>, plain: Option<String>) -> Vec<Thought> {
    let details = details.unwrap_or_default().into_iter();
    let mut thoughts: Vec<Thought> = details.filter_map(Detail::into_thought).collect();
    // The words beside details repeat them.
    let in_words =
        |thought: &Thought| thought.kind != ThoughtKind::Encrypted && !thought.text.is_empty();
    if !thoughts.iter().any(in_words) {
        let text = plain.filter(|text| !text.is_empty());
        thoughts.extend(text.map(|text| Thought {
            text,
            ..Thought::default()
        }));
    }
    thoughts
}

/// Puts encrypted pieces that have a call's id to that call, and hands the others on.
fn without_signatures(
    thoughts: Vec<Thought>,
    calls: &mut [ToolCall],
) -> impl Iterator<Item = Thought> {
    thoughts.into_iter().filter_map(move |thought| {
        let id = thought.id.as_deref();
        let of_call = calls
            .iter_mut()
            .find(|call| thought.kind == ThoughtKind::Encrypted && id == Some(call.id.as_str()));
        match of_call {
            Some(call) => {
                call.signature = Some(thought.text);
                None
            }
            None => Some(thought),
        }
    })
}

/// Annotations are a message's; its first text gets them.
fn cite(parts: &mut [Part], annotations: Option<Vec<Annotation<'_>>>) {
    let found = annotations
        .into_iter()
        .flatten()
        .filter_map(Annotation::into_citation);
    let text = parts.iter_mut().find_map(|part| match part {
        Part::Text { citations, .. } => Some(citations),
        _ => None,
    });
    if let Some(citations) = text {
        citations.extend(found);
    }
}

/// The parts of a message's content, which stands in `place`.
pub(super) fn content_parts(
    content: Content<SaidPart<'_>>,
    place: &str,
) -> Result<Vec<Part>, Trouble> {
    match content {
        Content::None => Ok(Vec::new()),
        Content::Text(text) if text.is_empty() => Ok(Vec::new()),
        Content::Text(text) => Ok(vec![Part::text(text)]),
        Content::List(parts) => parts
            .into_iter()
            .enumerate()
            .map(|(at, part)| part.into_part(&format!("{place}[{at}]")))
            .collect(),
    }
}

// === impl SaidPart ===

impl SaidPart<'_> {
    pub(super) fn into_part(self, place: &str) -> Result<Part, Trouble> {
        let lacks = |field: &str| format!("{place} lacks '{field}'");
        let kind = self.kind.as_deref().ok_or_else(|| lacks("type"))?;
        let cache = self.cache_control.map(CacheControl::into_cache);
        match kind {
            "text" => Ok(Part::Text {
                text: self.text.ok_or_else(|| lacks("text"))?,
                cache,
                citations: Vec::new(),
            }),
            "refusal" => Ok(Part::Refusal(self.refusal.ok_or_else(|| lacks("refusal"))?)),
            "image_url" => {
                let image = self.image_url.and_then(image_url);
                let image = image.ok_or_else(|| lacks("image_url"))?;
                Ok(Part::Image(Image {
                    source: Source::of_url(&image.url),
                    detail: image.detail,
                    cache,
                }))
            }
            "input_audio" => {
                let sound = self.input_audio.ok_or_else(|| lacks("input_audio"))?;
                Ok(Part::Audio {
                    data: sound.data,
                    format: sound.format,
                })
            }
            "file" => {
                let file = self.file.ok_or_else(|| lacks("file"))?;
                let document = file.into_document(cache);
                Ok(Part::Document(document.ok_or_else(|| lacks("file_data"))?))
            }
            "thinking" => {
                let thinking = self.thinking.ok_or_else(|| lacks("thinking"))?;
                Ok(Part::Thought(Thought {
                    text: thinking_text(thinking).ok_or_else(|| lacks("thinking"))?,
                    ..Thought::default()
                }))
            }
            other => Err(format!(
                "{place} is of the type '{other}', which cannot be translated"
            )),
        }
    }
}

/// An object with a URL, or the URL alone, as Mistral takes it.
fn image_url(json: &RawValue) -> Option<ImageUrl> {
    let json = json.get();
    if json.starts_with('{') {
        return serde_json::from_str(json).ok();
    }
    let url = serde_json::from_str(json).ok()?;
    Some(ImageUrl { url, detail: None })
}

fn thinking_text(json: &RawValue) -> Option<String> {
    let json = json.get();
    if json.starts_with('"') {
        return serde_json::from_str(json).ok();
    }
    let texts: Vec<ThinkingText> = serde_json::from_str(json).ok()?;
    Some(texts.into_iter().map(|part| part.text).collect())
}

// === impl File ===

impl File {
    fn into_document(self, cache: Option<Cache>) -> Option<Document> {
        let source = match (self.data, self.id) {
            (Some(data), _) => Source::of_url(&data),
            (None, Some(id)) => Source::File(id),
            (None, None) => return None,
        };
        Some(Document {
            source,
            name: self.name,
            cache,
        })
    }
}

// === impl CacheControl ===

impl CacheControl {
    pub(super) fn into_cache(self) -> Cache {
        Cache { ttl: self.ttl }
    }
}

// === impl SaidCall ===

impl SaidCall<'_> {
    /// A call that is whole, at its place among those of the message.
    fn into_call(self, place: usize) -> Result<ToolCall, Trouble> {
        let signature = self.signature();
        let (id, function) = (self.id, self.function);
        let named = function.and_then(|function| Some((function.arguments(), function.name?)));
        let Some((arguments, name)) = named else {
            return Err(format!(
                "tool_calls[{place}] is no call of a function with a name"
            ));
        };
        Ok(ToolCall {
            id: id.unwrap_or_default(),
            name,
            arguments,
            cache: None,
            signature,
        })
    }

    pub(super) fn signature(&self) -> Option<String> {
        let google = self.extra_content.as_ref()?.google.as_ref()?;
        Some((**google.thought_signature.as_ref()?).to_owned())
    }
}

// === impl SaidFunction ===

impl SaidFunction<'_> {
    /// The arguments as text; some write them as an object.
    pub(super) fn arguments(&self) -> String {
        match self.arguments.map(RawValue::get) {
            None | Some("null") => String::new(),
            Some(text) if text.starts_with('"') => serde_json::from_str(text).unwrap_or_default(),
            Some(json) => json.to_owned(),
        }
    }
}

// === impl Annotation ===

impl Annotation<'_> {
    pub(super) fn into_citation(self) -> Option<Citation> {
        let cited = self.url_citation?;
        let span = cited.start_index.zip(cited.end_index);
        Some(Citation {
            url: cited.url.to_owned(),
            title: cited.title,
            // OpenRouter writes 0 and 0 where it does not know.
            span: span.filter(|(from, to)| from < to),
        })
    }
}

/// Why a choice ended, of its `finish_reason`; `None` while it goes on. A refusal ends with `stop`.
pub(super) fn finish_of(reason: Option<&str>, refused: bool) -> Option<Finish> {
    match reason? {
        "" => None,
        "stop" if refused => Some(Finish::Refused),
        "stop" => Some(Finish::STOP),
        "length" => Some(Finish::Length),
        "tool_calls" | "function_call" => Some(Finish::ToolCalls),
        "content_filter" => Some(Finish::Filtered),
        other => Some(Finish::Other(other.to_owned())),
    }
}

/// An id for a call that an upstream gave none: results name it, so that it must be the only one of its
/// conversation. Of letters and digits, as other dialects want ids.
pub(super) fn own_call_id(answer: &str, choice: u32, call: u32) -> String {
    let letters = answer.chars().filter(char::is_ascii_alphanumeric);
    let letters: String = letters.take(40).collect();
    format!("call_{letters}_{choice}_{call}")
}
