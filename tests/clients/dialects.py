"""Owns the providers of the matrix of dialects: one for each dialect, all at one strict mock, and what goes wrong there.
Standard library only, as `fleet.py`, which starts them; `python/test_dialects.py` asks them.

A model is called `dialect/DIALECT` where all is well and `dialect/DIALECT-TROUBLE` where something is not, with one endpoint at
the provider of that dialect, so that what answers is known.
"""

# Where a mock speaks a dialect, and a model that is sold there: what a request may hold depends on the family.
UPSTREAMS = {
    "openai": ("/v1", "gpt-5-mini"),
    "openai-responses": ("/v1", "gpt-5-mini"),
    "anthropic": ("/v1", "claude-sonnet-4-5"),
    "gemini": ("/v1beta", "gemini-2.5-flash"),
    "bedrock": ("", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
    "cohere": ("/v2", "command-a-reasoning-08-2025"),
}
CUT_AFTER = 8

# What is wrong with a model.
TROUBLES = {
    "limited": {"kind": "status", "status": 429, "retry_after": "7"},
    "overloaded": {"kind": "status", "status": 503, "body": "overloaded"},
    "down": {"kind": "status", "status": 500},
    "long": {"kind": "status", "status": 400, "body": "context_length"},
    "policy": {"kind": "status", "status": 400, "body": "content_policy"},
    "cut": {"kind": "cut_after", "tokens": CUT_AFTER},
    "told": {"kind": "error_event", "at": CUT_AFTER, "body": "overloaded"},
    "stall": {"kind": "stall_after", "tokens": CUT_AFTER},
}
WAYS = ("chat", "responses", "messages")  # each client has a model of its own, so that none feels another's rest


def names():
    """The models: what each is called here and at its provider, and what is wrong with it."""
    for dialect, (_, model) in UPSTREAMS.items():
        yield dialect, f"dialect/{dialect}", model, None
        for trouble, fault in TROUBLES.items():
            for way in WAYS:
                yield dialect, f"dialect/{dialect}-{trouble}-{way}", f"{model}-{dialect}-{trouble}-{way}", fault


def providers(address, key):
    return {
        f"speaks-{dialect}": {"dialects": [dialect], "base_url": address + root, "keys": [{"value": key}]}
        for dialect, (root, _) in UPSTREAMS.items()
    }


def models():
    return {
        name: {"endpoints": [{"provider": f"speaks-{dialect}", "model": sold}]} for dialect, name, sold, _ in names()
    }


def script(key, words):
    """The mock's script. It is strict: what a provider would refuse is refused, in every dialect."""
    return {
        "keys": [key],
        "strict": True,
        "first_token": "5ms",
        "pace": "0ms",
        "words": words,
        "tokens": len(words.split()),
        "models": {sold: fault for _, _, sold, fault in names() if fault},
    }
