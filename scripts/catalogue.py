"""Writes src/config/catalogue/models.json, the catalogue of well-known models, from the list that the package
`litellm` carries: `python3 scripts/catalogue.py FOLDER`, where FOLDER holds the pinned wheel. `make catalogue` does both.

Facts only: what the list does not say is left out, and a price of nothing is no price. Needs no package to be installed.
"""

import datetime
import json
import pathlib
import re
import sys
import zipfile

OUT = pathlib.Path(__file__).parent.parent / "src/config/catalogue"
LIST = "litellm/model_prices_and_context_window_backup.json"

# The list's word for a provider, its prefix of names, our preset, and which names are the preset's.
PROVIDERS = [
    ("openai", "openai/", "openai", r"^[^/:]+$"),
    ("anthropic", "anthropic/", "anthropic", r"^[^/]+$"),
    ("gemini", "gemini/", "gemini", r"^[^/]+$"),
    ("vertex_ai-language-models", "vertex_ai/", "vertex", r"^gemini[^/]*$"),
    ("bedrock", "bedrock/", "bedrock", r"^[^/]+$"),
    ("bedrock_converse", "bedrock/", "bedrock", r"^[^/]+$"),
    ("cohere_chat", "cohere_chat/", "cohere", r"^[^/]+$"),
    ("deepseek", "deepseek/", "deepseek", r"^[^/]+$"),
    ("fireworks_ai", "fireworks_ai/", "fireworks", r"^accounts/"),
    ("groq", "groq/", "groq", r"."),
    ("mistral", "mistral/", "mistral", r"^[^/]+$"),
    ("perplexity", "perplexity/", "perplexity", r"^[^/]+$"),
    ("together_ai", "together_ai/", "together", r"."),
    ("xai", "xai/", "xai", r"^[^/]+$"),
]

# Limits of a prompt beside which the answer has a limit of its own, so that both together are the window: OpenAI's
# (https://platform.openai.com/docs/models: 400000 and 1050000 in all) and Gemini's (https://ai.google.dev/gemini-api/docs/models).
# Every other limit of a prompt is the window itself.
APART = {"openai": (272_000, 922_000), "gemini": (1_048_576,), "vertex": (1_048_576,)}

CAPABILITIES = {
    "tools": "supports_function_calling",
    "images": "supports_vision",
    "json_schema": "supports_response_schema",
    "reasoning": "supports_reasoning",
}


def count(fact):
    """Tokens, where they are said as a number above 0."""
    return int(fact) if isinstance(fact, (int, float)) and fact >= 1 else None


def usd(fact):
    """USD per million tokens from USD per token; rounded, because the list's binary fractions are not."""
    if not isinstance(fact, (int, float)) or fact <= 0:
        return None
    return float(f"{fact * 1e6:.6g}")


def price(facts):
    """Both parts, or nothing: half a price compares with none."""
    prompt, completion = usd(facts.get("input_cost_per_token")), usd(facts.get("output_cost_per_token"))
    if prompt is None or completion is None:
        return None
    parts = {"prompt": prompt, "completion": completion, "cache_read": usd(facts.get("cache_read_input_token_cost"))}
    return {name: part for name, part in parts.items() if part is not None}


def window(provider, facts):
    prompt, output = count(facts.get("max_input_tokens")), count(facts.get("max_output_tokens"))
    if output and prompt in APART.get(provider, ()):
        return prompt + output
    return prompt


def entry(provider, model, facts):
    said = {name: facts.get(field) for name, field in CAPABILITIES.items()}
    # Who may be told which tool to take has tools.
    if said["tools"] is None and facts.get("supports_tool_choice"):
        said["tools"] = True
    fields = {
        "provider": provider,
        "model": model,
        "context_length": window(provider, facts),
        "max_output": count(facts.get("max_output_tokens")),
        "supports": [name for name, yes in said.items() if yes is True],
        "lacks": [name for name, yes in said.items() if yes is False],
        "price": price(facts),
    }
    return {name: value for name, value in fields.items() if value not in (None, [])}


def entries(models, today):
    """The entries of every preset, by preset and name. A bare name comes before the one with a prefix."""
    found = {}
    for listed, prefix, provider, names in PROVIDERS:
        modes = ("chat", "responses") if provider == "openai" else ("chat",)
        for key, facts in models.items():
            if facts.get("litellm_provider") != listed or facts.get("mode") not in modes:
                continue
            name = key.removeprefix(prefix)
            gone = facts.get("deprecation_date") or "9999"
            if not re.search(names, name) or gone <= today:
                continue
            made = entry(provider, name, facts)
            if "price" in made or "context_length" in made:
                found.setdefault((provider, name), made)
    return [found[key] for key in sorted(found)]


def dated(models):
    """Today, or the date that stands there already where no model changes."""
    today = datetime.date.today().isoformat()
    try:
        before = json.loads((OUT / "models.json").read_text())
    except FileNotFoundError:
        return today
    return before["date"] if before["models"] == entries(models, before["date"]) else today


def main():
    wheel = max(pathlib.Path(sys.argv[1]).glob("litellm-*.whl"))
    version = wheel.name.split("-")[1]
    with zipfile.ZipFile(wheel) as package:
        models = json.loads(package.read(LIST))
        licence = package.read(f"litellm-{version}.dist-info/licenses/LICENSE").decode()
    date = dated(models)
    made = entries(models, date)
    head = {
        "source": f"litellm {version}, https://pypi.org/project/litellm/",
        "licence": "MIT, in LICENSE beside this file",
        "date": date,
    }
    lines = [f"  {json.dumps(name)}: {json.dumps(value)}," for name, value in head.items()]
    rows = ",\n".join("    " + json.dumps(row, separators=(",", ":")) for row in made)
    text = "{\n" + "\n".join(lines) + '\n  "models": [\n' + rows + "\n  ]\n}\n"
    (OUT / "models.json").write_text(text)
    (OUT / "LICENSE").write_text(licence)
    print(f"{len(made)} models, {len(text)} bytes, {version} of {date}")


if __name__ == "__main__":
    main()
