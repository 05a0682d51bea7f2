//! Owns what is known of well-known providers and servers: a row of data each, which fills in what a file does not say.
//! Must never be asked for anything else: whatever stands in the file wins, and no other code knows a provider.

use crate::wire::dialects::Dialect::{self, Anthropic, Bedrock, Cohere, Gemini, OpenAi, Responses};

/// What a provider is known to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Preset {
    pub name: &'static str,
    /// What it speaks, the preferred first.
    pub dialects: &'static [Dialect],
    /// Its API root; `None` where each installation has its own. `{region}` stands for the provider's region.
    pub base_url: Option<&'static str>,
    /// The roots of regions that have another.
    pub roots: &'static [(&'static str, &'static str)],
    pub auth: &'static str,
    /// Where its paths are not its dialect's: see `path` of a provider.
    pub path: Option<&'static str>,
    pub stream_path: Option<&'static str>,
    pub count_tokens_path: Option<&'static str>,
    /// The version that its paths name unless the file names another.
    pub api_version: Option<&'static str>,
    /// The version that bodies in Anthropic's dialect name, in the place of the model.
    pub anthropic_version: Option<&'static str>,
    /// Where it is documented.
    pub docs: &'static str,
}

const PLAIN: Preset = Preset {
    name: "",
    dialects: &[OpenAi],
    base_url: None,
    roots: &[],
    auth: "bearer",
    path: None,
    stream_path: None,
    count_tokens_path: None,
    api_version: None,
    anthropic_version: None,
    docs: "",
};

/// A server of one's own that asks for no key.
const LOCAL: Preset = Preset {
    auth: "none",
    ..PLAIN
};

/// Google Cloud's models. The roots are those of Google's and Anthropic's own clients (google-genai 3.4.0, anthropic 2.12.0).
const VERTEX: Preset = Preset {
    base_url: Some("https://{region}-aiplatform.googleapis.com/v1"),
    roots: &[
        ("global", "https://aiplatform.googleapis.com/v1"),
        ("us", "https://aiplatform.us.rep.googleapis.com/v1"),
        ("eu", "https://aiplatform.eu.rep.googleapis.com/v1"),
    ],
    auth: "google",
    ..PLAIN
};

/// Every preset, by name.
#[rustfmt::skip] // a row each, as far as it goes
pub(crate) const PRESETS: &[Preset] = &[
    Preset { name: "anthropic", dialects: &[Anthropic], base_url: Some("https://api.anthropic.com/v1"), auth: "header x-api-key", docs: "https://docs.anthropic.com/en/api", ..PLAIN },
    Preset {
        name: "azure", auth: "header api-key", path: Some("/openai/deployments/{model}{operation}?api-version={api_version}"),
        api_version: Some("2024-10-21"), docs: "https://learn.microsoft.com/azure/ai-services/openai/reference", ..PLAIN
    },
    Preset { name: "azure-v1", dialects: &[OpenAi, Responses], auth: "header api-key", docs: "https://learn.microsoft.com/azure/ai-services/openai/api-version-lifecycle", ..PLAIN },
    Preset { name: "bedrock", dialects: &[Bedrock], base_url: Some("https://bedrock-runtime.{region}.amazonaws.com"), docs: "https://docs.aws.amazon.com/bedrock/latest/APIReference", ..PLAIN },
    Preset { name: "cohere", dialects: &[Cohere], base_url: Some("https://api.cohere.com/v2"), docs: "https://docs.cohere.com/reference/chat", ..PLAIN },
    Preset { name: "deepseek", base_url: Some("https://api.deepseek.com/v1"), docs: "https://api-docs.deepseek.com", ..PLAIN },
    Preset { name: "fireworks", base_url: Some("https://api.fireworks.ai/inference/v1"), docs: "https://docs.fireworks.ai/api-reference", ..PLAIN },
    Preset { name: "gemini", dialects: &[Gemini], base_url: Some("https://generativelanguage.googleapis.com/v1beta"), auth: "header x-goog-api-key", docs: "https://ai.google.dev/api", ..PLAIN },
    Preset { name: "groq", base_url: Some("https://api.groq.com/openai/v1"), docs: "https://console.groq.com/docs/api-reference", ..PLAIN },
    Preset { name: "llama.cpp", base_url: Some("http://127.0.0.1:8080/v1"), docs: "https://github.com/ggml-org/llama.cpp/tree/master/tools/server", ..LOCAL },
    Preset { name: "lmstudio", base_url: Some("http://127.0.0.1:1234/v1"), docs: "https://lmstudio.ai/docs/app/api", ..LOCAL },
    Preset { name: "mistral", base_url: Some("https://api.mistral.ai/v1"), docs: "https://docs.mistral.ai/api", ..PLAIN },
    Preset { name: "ollama", base_url: Some("http://127.0.0.1:11434/v1"), docs: "https://docs.ollama.com/openai", ..LOCAL },
    Preset { name: "openai", dialects: &[OpenAi, Responses], base_url: Some("https://api.openai.com/v1"), docs: "https://platform.openai.com/docs/api-reference", ..PLAIN },
    Preset { name: "openrouter", dialects: &[OpenAi, Anthropic], base_url: Some("https://openrouter.ai/api/v1"), docs: "https://openrouter.ai/docs/api-reference", ..PLAIN },
    Preset { name: "perplexity", base_url: Some("https://api.perplexity.ai"), docs: "https://docs.perplexity.ai/api-reference", ..PLAIN },
    Preset { name: "sglang", base_url: Some("http://127.0.0.1:30000/v1"), docs: "https://docs.sglang.ai/basic_usage/openai_api.html", ..LOCAL },
    Preset { name: "together", base_url: Some("https://api.together.xyz/v1"), docs: "https://docs.together.ai/reference", ..PLAIN },
    Preset {
        name: "vertex", dialects: &[Gemini], path: Some("/projects/{project}/locations/{region}/publishers/google{operation}"),
        docs: "https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference", ..VERTEX
    },
    Preset {
        name: "vertex-anthropic", dialects: &[Anthropic],
        path: Some("/projects/{project}/locations/{region}/publishers/anthropic/models/{model}:rawPredict"),
        stream_path: Some("/projects/{project}/locations/{region}/publishers/anthropic/models/{model}:streamRawPredict"),
        count_tokens_path: Some("/projects/{project}/locations/{region}/publishers/anthropic/models/count-tokens:rawPredict"),
        anthropic_version: Some("vertex-2023-10-16"), docs: "https://docs.claude.com/en/api/claude-on-vertex-ai", ..VERTEX
    },
    Preset { name: "vllm", base_url: Some("http://127.0.0.1:8000/v1"), docs: "https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html", ..LOCAL },
    Preset { name: "xai", base_url: Some("https://api.x.ai/v1"), docs: "https://docs.x.ai/docs/api-reference", ..PLAIN },
];

/// What a provider is of which nothing is known.
pub(super) const UNKNOWN: Preset = PLAIN;

/// The preset of a name.
pub(super) fn named(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_stand_in_order_and_each_says_what_it_speaks() {
        assert!(PRESETS.is_sorted_by(|one, next| one.name < next.name));
        for preset in PRESETS {
            assert!(!preset.dialects.is_empty() && preset.docs.starts_with("https://"));
            let names = |path: &str| path.contains("{model}") || path.contains("{operation}");
            assert!(preset.path.is_none_or(names));
            assert!(preset.path.is_some() || preset.stream_path.is_none());
        }
    }
}
