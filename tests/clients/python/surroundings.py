"""Owns what the Python suites share: where the processes are, the table of cases, and how two answers are compared."""

import json
import os
import pathlib
import re
import time

import httpx

PROXY = os.environ["FLEET_PROXY"]
FIRST = os.environ["FLEET_FIRST"]
SECOND = os.environ["FLEET_SECOND"]
PROVIDER_KEY = os.environ["FLEET_PROVIDER_KEY"]
CLIENT_KEY = os.environ["FLEET_CLIENT_KEY"]
ANSWER = os.environ["FLEET_ANSWER"] + " "
TABLE = json.loads(pathlib.Path(os.environ["FLEET_CASES"]).read_text("utf-8"))
REQUESTS = TABLE["requests"]
ROWS = TABLE["rows"]
REFUSAL = "Invalid value for 'temperature': 9 is more than the maximum of 2."
DEADLINE = 20.0


def is_stream(request):
    return REQUESTS[request]["body"].get("stream", False)


def fate(request, row):
    """Who answers `request` while the first provider shows `row`: first, fallback, refused or error."""
    return "fallback" if row == "ok0" else ROWS[row]["stream" if is_stream(request) else "json"]


def cells():
    """Every request under every row."""
    return [(request, row) for row in ROWS for request in REQUESTS]



def at_provider(model):
    """What the provider calls a model of Mainstay's."""
    return model.replace("-", "_", 1)


def served(suite, request, row):
    """The name of the model that answers, as the client is told it."""
    return f"{suite}-{request}/{row if fate(request, row) == 'first' else 'ok0'}"


def plain(value, model):
    """An answer without what may differ: ids and times, and `model`, which must be the only name in it."""
    if isinstance(value, dict):
        if "model" in value:
            assert value["model"] == model
        return {key: plain(item, model) for key, item in value.items() if key not in ("id", "created", "model")}
    if isinstance(value, list):
        return [plain(item, model) for item in value]
    return value


def received(mock, model):
    """What a mock got for a model (its own name of it), in order."""
    entries = httpx.get(f"{mock}/mock/received", timeout=DEADLINE).json()
    return [entry for entry in entries if entry["model"] == model]


def client_left(mock, model, within=1.0):
    """Waits until the mock has seen the client of its last request for `model` leave, and says after how long."""
    start = time.monotonic()
    while time.monotonic() < start + within:
        entries = received(mock, model)
        if entries and entries[-1]["fate"] == "client_left":
            return time.monotonic() - start
        time.sleep(0.02)
    raise AssertionError(f"after {within} s the provider still has: {[entry['fate'] for entry in received(mock, model)]}")


def without_digits(text):
    """A text of the mock without the number of its answer and its time."""
    return re.sub(rb'("created":)\d+', rb"\1", re.sub(rb"cmpl-mock\d+", b"cmpl-mock", text))
