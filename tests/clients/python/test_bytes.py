"""The bytes of an answer, below any SDK: what Mainstay relays is what the provider sent, with the named exceptions."""

import json

import httpx
import pytest

from surroundings import (
    CLIENT_KEY, DEADLINE, FIRST, PROVIDER_KEY, PROXY, REQUESTS, ROWS, SECOND, at_provider, fate, is_stream, served,
    without_digits,
)

SUITE = "by"
PATHS = {"chat.completions": "chat/completions", "completions": "completions", "embeddings": "embeddings"}


def post(base, key, request, model):
    """The whole body of an answer, and its headers."""
    body = {"model": model, **REQUESTS[request]["body"]}
    headers = {"authorization": f"Bearer {key}"}
    path = PATHS[REQUESTS[request]["call"]]
    answer = httpx.post(f"{base}/{path}", json=body, headers=headers, timeout=DEADLINE)
    assert answer.status_code == 200, answer.text
    return answer.content, answer.headers


def expected(suite, request, name):
    """What a healthy provider sends directly, with Mainstay's name of the model."""
    sound = at_provider(f"{suite}-{request}/ok0")
    direct, _ = post(f"{SECOND}/v1", PROVIDER_KEY, request, sound)
    assert direct.count(sound.encode()) == direct.count(b'"model":')
    return without_digits(direct.replace(sound.encode(), name.encode()))


def asks_for_usage(request):
    return "stream_options" in REQUESTS[request]["body"]


def relayed():
    """The cells that end in an answer; on the second base path some of them."""
    rows = [("by", "v1", row) for row in ["ok0", *ROWS]] + [("br", "api/v1", row) for row in ("ok0", "s04", "s10", "s11")]
    cells = [(request, row, suite, base) for suite, base, row in rows for request in REQUESTS]
    return [cell for cell in cells if fate(cell[0], cell[1]) in ("first", "fallback")]


@pytest.mark.parametrize(("request_name", "row", "suite", "base"), relayed())
def test_an_answer_is_relayed_byte_for_byte(request_name, row, suite, base):
    through, headers = post(f"{PROXY}/{base}", CLIENT_KEY, request_name, f"{suite}-{request_name}/{row}")
    through = without_digits(through)
    direct = expected(suite, request_name, served(suite, request_name, row))
    if base == "api/v1":
        # OpenRouter's SDK takes usage only as an object.
        assert b'"usage":null' not in through
        direct = direct.replace(b',"usage":null', b"")
    elif is_stream(request_name) and not asks_for_usage(request_name):
        # The provider was asked for usage on the client's behalf: its effect on each event stays.
        assert through.count(b',"usage":null') == through.count(b"data: {")
        through = through.replace(b',"usage":null', b"")
    assert through.split(b"\n\n") == direct.split(b"\n\n")
    assert headers["content-type"].startswith("text/event-stream" if is_stream(request_name) else "application/json")


@pytest.mark.parametrize(("base", "way"), [("v1", "v1"), ("api/v1", "api")])
@pytest.mark.parametrize("odd", ["cut", "stall"])
def test_a_broken_stream_ends_in_a_typed_error_and_a_cut_connection(base, way, odd):
    body = {"model": f"{SUITE}-{odd}/{way}", "messages": [{"role": "user", "content": "hello"}], "stream": True}
    headers = {"authorization": f"Bearer {CLIENT_KEY}"}
    seen = b""
    with pytest.raises(httpx.RemoteProtocolError):
        with httpx.stream("POST", f"{PROXY}/{base}/chat/completions", json=body, headers=headers, timeout=DEADLINE) as answer:
            for part in answer.iter_raw():
                seen += part
    events = [event.removeprefix(b"data: ") for event in seen.split(b"\n\n") if event]
    if base == "v1":
        assert b"[DONE]" not in seen
    else:
        assert events.pop() == b"[DONE]"
    last = json.loads(events[-1])
    assert last["choices"][0]["finish_reason"] == "error" and last["error"]["message"]
    assert not any(json.loads(event)["choices"][0]["finish_reason"] for event in events[:-1])


def test_nothing_of_the_providers_address_or_headers_is_shown():
    answer, headers = post(f"{PROXY}/v1", CLIENT_KEY, "chat", f"{SUITE}-chat/ok0")
    assert "x-mock" not in headers
    for address in (FIRST, SECOND):
        assert address.removeprefix("http://") not in str(headers) + answer.decode()
