"""The official OpenAI SDK for Python, through Mainstay and directly."""

import asyncio
import functools
import json
import time

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from surroundings import (
    ANSWER, CLIENT_KEY, DEADLINE, FIRST, PROVIDER_KEY, PROXY, REFUSAL, REQUESTS, ROWS, SECOND, at_provider, cells,
    client_left, fate, is_stream, plain, received, served,
)

SUITE = "py"
# How the SDK asks each `call` of the table.
CALLS = {
    "chat.completions": lambda client: client.chat.completions,
    "completions": lambda client: client.completions,
    "embeddings": lambda client: client.embeddings,
}
# Retries of the SDK would hide ours, and those that are missing.
OPTIONS = {"max_retries": 0, "timeout": DEADLINE}
HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def mainstay():
    return OpenAI(base_url=f"{PROXY}/v1", api_key=CLIENT_KEY, **OPTIONS)


@pytest.fixture(scope="module")
def router():
    """The same SDK on the base path of OpenRouter's clients."""
    return OpenAI(base_url=f"{PROXY}/api/v1", api_key=CLIENT_KEY, **OPTIONS)


@pytest.fixture(scope="module")
def provider():
    return OpenAI(base_url=f"{SECOND}/v1", api_key=PROVIDER_KEY, **OPTIONS)


def ask(client, request, model):
    """Asks and returns the parsed answer (for a stream its chunks) and the headers."""
    case = REQUESTS[request]
    raw = CALLS[case["call"]](client).with_raw_response.create(model=model, **case["body"])
    answer = raw.parse()
    if is_stream(request):
        return [chunk.model_dump() for chunk in answer], raw.headers
    return answer.model_dump(), raw.headers


@functools.cache
def directly(provider, request, model):
    """A healthy provider's answer; it is the same every time."""
    return ask(provider, request, model)[0]


def compare(mainstay, provider, request, row):
    """The answer while the first provider shows `row` is the one that a healthy provider gives directly."""
    sound = at_provider(f"{SUITE}-{request}/ok0")
    direct = directly(provider, request, sound)
    through, headers = ask(mainstay, request, f"{SUITE}-{request}/{row}")
    name = served(SUITE, request, row)
    assert plain(through, name) == plain(direct, sound)
    assert headers["x-mainstay-model"] == name
    return headers


@pytest.mark.parametrize("request_name", REQUESTS)
def test_a_healthy_provider_answers_through_mainstay_as_it_does_directly(mainstay, provider, request_name):
    headers = compare(mainstay, provider, request_name, "ok0")
    assert headers["x-mainstay-attempts"] == "1"
    assert headers["x-mainstay-recovery-ms"] == "0"
    assert headers["x-request-id"]


@pytest.mark.parametrize(("request_name", "row"), cells())
def test_the_answer_is_the_direct_one_while_the_first_provider_fails(mainstay, provider, request_name, row):
    model = f"{SUITE}-{request_name}/{row}"
    match fate(request_name, row):
        case "first" | "fallback" as who:
            headers = compare(mainstay, provider, request_name, row)
            assert headers["x-mainstay-endpoint"].endswith("@first/default" if who == "first" else "@second/default")
            assert ("x-mainstay-fallback" in headers) == (who == "fallback")
        case "refused":
            refused = error_of(openai.BadRequestError, mainstay, request_name, model)
            assert refused.code == "content_policy_violation"
            assert "rejected by the safety system" in refused.message
        case "error":
            broken = error_of(openai.APIError, mainstay, request_name, model)
            assert broken.type == "server_error" and broken.code
    assert received(FIRST, at_provider(model)), "the row was never shown"


@pytest.mark.parametrize("request_name", REQUESTS)
def test_the_provider_gets_the_bytes_that_the_sdk_wrote(mainstay, provider, request_name):
    sound = f"{SUITE}-{request_name}/ok0"
    ask(provider, request_name, at_provider(sound))
    ask(mainstay, request_name, sound)
    direct, through = received(SECOND, at_provider(sound))[-2:]
    asked_for_usage = not is_stream(request_name) or "stream_options" in REQUESTS[request_name]["body"]
    added = "" if asked_for_usage else ',"stream_options":{"include_usage":true}'
    assert through["body"].replace(added, "", 1) == direct["body"]
    assert (added in through["body"]) and through["path"] == direct["path"]
    headers = dict(through["headers"])
    assert headers["authorization"] == f"Bearer {PROVIDER_KEY}"
    assert headers["user-agent"] == dict(direct["headers"])["user-agent"]
    of_the_sdk = lambda request: [pair for pair in request["headers"] if pair[0].startswith("x-stainless")]
    assert of_the_sdk(through) == of_the_sdk(direct)


# === what the answers hold ===


def test_a_chat_is_answered(mainstay):
    answer = mainstay.chat.completions.create(model=f"{SUITE}-chat/ok0", messages=HELLO)
    assert answer.choices[0].message.content == ANSWER
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


@pytest.mark.parametrize("base", ["mainstay", "router"])
@pytest.mark.parametrize("wanted", [True, False, None])
def test_the_usage_chunk_comes_exactly_when_it_was_asked_for(request, base, wanted):
    client = request.getfixturevalue(base)
    options = {} if wanted is None else {"stream_options": {"include_usage": wanted}}
    chunks = list(client.chat.completions.create(model=f"{SUITE}-chat/ok0", messages=HELLO, stream=True, **options))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == ANSWER
    counted = [chunk.usage for chunk in chunks if chunk.usage]
    assert len(counted) == (1 if wanted else 0)
    assert all(chunk.choices for chunk in chunks[: len(chunks) - len(counted)])


def test_the_stream_helper_collects_the_whole_answer(mainstay):
    with mainstay.chat.completions.stream(model=f"{SUITE}-chat/s11", messages=HELLO) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta"]
        assert "".join(deltas) == ANSWER
        assert stream.get_final_completion().choices[0].finish_reason == "stop"


def test_the_arguments_of_a_streamed_tool_call_add_up(mainstay):
    body = REQUESTS["tools-stream"]["body"]
    chunks = list(mainstay.chat.completions.create(model=f"{SUITE}-tools-stream/s04", **body))
    calls = [call for chunk in chunks for choice in chunk.choices for call in choice.delta.tool_calls or []]
    assert calls[0].function.name == "search" and calls[0].id
    assert len(calls) > 3, "the arguments came in pieces"
    assert json.loads("".join(call.function.arguments or "" for call in calls)) == {"query": "harbour lamps"}


def test_a_tool_call_and_its_result_go_back_and_forth(mainstay):
    body = REQUESTS["tools"]["body"]
    first = mainstay.chat.completions.create(model=f"{SUITE}-tools/ok0", **body).choices[0]
    assert first.finish_reason == "tool_calls"
    result = {"role": "tool", "tool_call_id": first.message.tool_calls[0].id, "content": "three lamps"}
    messages = [*body["messages"], first.message, result]
    second = mainstay.chat.completions.create(model=f"{SUITE}-tools/ok0", messages=messages, tools=body["tools"])
    assert second.choices[0].message.content == ANSWER


@pytest.mark.parametrize("row", ["ok0", "s04", "s08"])
def test_structured_output_is_parsed(mainstay, row):
    class Report(BaseModel):
        report: str

    answer = mainstay.chat.completions.parse(model=f"{SUITE}-schema/{row}", messages=HELLO, response_format=Report)
    assert answer.choices[0].message.parsed == Report(**json.loads(ANSWER))


def test_two_choices_stream_side_by_side(mainstay):
    chunks = list(mainstay.chat.completions.create(model=f"{SUITE}-two-stream/s05", **REQUESTS["two-stream"]["body"]))
    for index in (0, 1):
        parts = [c for chunk in chunks for c in chunk.choices if c.index == index]
        assert "".join(part.delta.content or "" for part in parts) == ANSWER
        assert parts[-1].finish_reason == "stop"


@pytest.mark.parametrize("way", ["json", "stream"])
def test_another_provider_of_the_same_model_answers_in_its_name(mainstay, way):
    model = f"{SUITE}-pair/{way}"
    raw = mainstay.chat.completions.with_raw_response.create(model=model, messages=HELLO, stream=way == "stream")
    answer = raw.parse()
    models = {chunk.model for chunk in answer} if way == "stream" else {answer.model}
    assert models == {model}
    assert raw.headers["x-mainstay-endpoint"] == f"{model}@second/default"
    assert raw.headers["x-mainstay-drift"] == "provider"
    assert "x-mainstay-fallback" not in raw.headers


def test_traffic_goes_back_to_a_provider_that_recovers(mainstay):
    model = f"{SUITE}-back/json"
    until = time.monotonic() + 8
    served = []
    while time.monotonic() < until and served[-1:] != [model]:
        served.append(mainstay.chat.completions.create(model=model, messages=HELLO).model)
        time.sleep(0.1)
    assert served[0] != model and served[-1] == model


# === models ===


@pytest.mark.parametrize("base", ["mainstay", "router"])
def test_the_models_are_listed(request, base):
    models = {model.id: model for model in request.getfixturevalue(base).models.list()}
    assert f"{SUITE}-chat/ok0" in models and models[f"{SUITE}-chat/ok0"].object == "model"
    assert models[f"{SUITE}-chat/ok0"].owned_by == f"{SUITE}-chat"


# === errors ===


def error_of(kind, client, request, model):
    """The error that a request ends in, of exactly this class."""
    with pytest.raises(openai.OpenAIError) as raised:
        ask(client, request, model)
    assert type(raised.value) is kind, repr(raised.value)
    return raised.value


WAYS = pytest.mark.parametrize("way", ["json", "stream"])


def refused_chat(client, model, way, **options):
    with pytest.raises(openai.OpenAIError) as raised:
        answer = client.chat.completions.create(model=model, messages=HELLO, stream=way == "stream", **options)
        if way == "stream":
            list(answer)
    return raised.value


@pytest.mark.parametrize("base", ["v1", "api/v1"])
@WAYS
def test_a_wrong_key_is_an_authentication_error(base, way):
    stranger = OpenAI(base_url=f"{PROXY}/{base}", api_key="sk-wrong", **OPTIONS)
    error = refused_chat(stranger, f"{SUITE}-chat/ok0", way)
    assert type(error) is openai.AuthenticationError
    if base == "v1":
        assert (error.code, error.param) == ("invalid_api_key", None)
    assert "sk-wrong" not in error.message
    with pytest.raises(openai.AuthenticationError):
        stranger.models.list()


@WAYS
def test_an_unknown_model_is_not_found(mainstay, way):
    error = refused_chat(mainstay, f"{SUITE}-chat/ok1", way)
    assert type(error) is openai.NotFoundError
    assert (error.code, error.param, error.type) == ("model_not_found", "model", "invalid_request_error")
    assert f"{SUITE}-chat/ok0" in error.message


@WAYS
def test_a_refused_parameter_is_told_in_the_providers_words(mainstay, way):
    model = f"{SUITE}-refused/{way}"
    direct = OpenAI(base_url=f"{FIRST}/v1", api_key=PROVIDER_KEY, **OPTIONS)
    told = refused_chat(mainstay, model, way, temperature=9)
    said = refused_chat(direct, at_provider(model), way, temperature=9)
    assert type(told) is type(said) is openai.BadRequestError
    assert told.body == said.body and told.body["message"] == REFUSAL
    assert (told.code, told.param, told.type) == (said.code, said.param, said.type)
    assert len(received(FIRST, at_provider(model))) == 2, "one attempt of ours"


@WAYS
def test_a_limit_everywhere_is_a_rate_limit_error_that_says_when_to_come_back(mainstay, way):
    error = refused_chat(mainstay, f"{SUITE}-limited/{way}", way)
    assert type(error) is openai.RateLimitError
    assert (error.code, error.type) == ("rate_limit_exceeded", "rate_limit_error")
    assert 1 <= int(error.response.headers["retry-after"]) <= 7


@pytest.mark.parametrize(("odd", "status", "code"), [("down", 502, "server_error"), ("silent", 504, "first_token_timeout")])
@WAYS
def test_a_failure_everywhere_is_a_server_error(mainstay, odd, status, code, way):
    error = refused_chat(mainstay, f"{SUITE}-{odd}/{way}", way)
    assert type(error) is openai.InternalServerError
    assert error.status_code == status and error.type == "server_error"
    assert error.code == ("answer_timeout" if odd == "silent" and way == "json" else code)


@WAYS
def test_a_rejected_provider_key_is_not_the_clients_fault(mainstay, way):
    error = refused_chat(mainstay, f"{SUITE}-badkey/{way}", way)
    assert type(error) is openai.InternalServerError and error.status_code == 503
    assert "key" not in error.message.lower()


# === broken streams ===


@pytest.mark.parametrize(("base", "way"), [("mainstay", "v1"), ("router", "api")])
@pytest.mark.parametrize("odd", ["cut", "stall"])
def test_a_broken_stream_never_ends_as_a_success(request, base, way, odd):
    client = request.getfixturevalue(base)
    chunks = []
    with pytest.raises(openai.APIError) as broken:
        for chunk in client.chat.completions.create(model=f"{SUITE}-{odd}/{way}", messages=HELLO, stream=True):
            chunks.append(chunk)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text and ANSWER.startswith(text) and text != ANSWER
    assert not any(chunk.choices[0].finish_reason for chunk in chunks)
    assert type(broken.value) is openai.APIError and broken.value.message
    assert broken.value.body["type"] == "server_error"


def test_a_torn_tool_call_is_an_error_and_not_a_call(mainstay):
    body = REQUESTS["tools-stream"]["body"]
    with pytest.raises(openai.APIError):
        list(mainstay.chat.completions.create(model=f"{SUITE}-torn/stream", **body))


def test_a_torn_text_loses_only_the_torn_event(mainstay):
    chunks = mainstay.chat.completions.create(model=f"{SUITE}-torn/json", messages=HELLO, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == ANSWER


# === clients that leave ===


def test_a_closed_stream_reaches_the_provider_within_a_second(mainstay):
    model = f"{SUITE}-drip/stream"
    stream = mainstay.chat.completions.create(model=model, messages=HELLO, stream=True)
    for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    stream.close()
    client_left(FIRST, at_provider(model))


def test_a_cancelled_task_reaches_the_provider_within_a_second():
    model = f"{SUITE}-drip/json"

    async def leave():
        async with AsyncOpenAI(base_url=f"{PROXY}/v1", api_key=CLIENT_KEY, **OPTIONS) as client:

            async def read():
                async for _ in await client.chat.completions.create(model=model, messages=HELLO, stream=True):
                    pass

            task = asyncio.create_task(read())
            await asyncio.sleep(0.4)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(leave())
    client_left(FIRST, at_provider(model))


@WAYS
def test_a_client_that_does_not_wait_for_the_first_byte_frees_the_provider(mainstay, way):
    model = f"{SUITE}-silent/{way}"
    error = refused_chat(mainstay.with_options(timeout=0.3), model, way)
    assert type(error) is openai.APITimeoutError
    client_left(FIRST, at_provider(model))
