"""LangChain's ChatOpenAI, through Mainstay and directly."""

import asyncio
import functools
import json

import openai
import pytest
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from surroundings import (
    ANSWER, CLIENT_KEY, DEADLINE, FIRST, PROVIDER_KEY, PROXY, REQUESTS, ROWS, SECOND, at_provider, client_left, fate,
    is_stream, received, served,
)

SUITE = "lc"
# Of the requests of the table, those that LangChain has a notion of; it sends n only in batches of its own.
ASKED = [name for name in REQUESTS if REQUESTS[name]["call"] == "chat.completions" and not name.startswith("two")]


class Report(BaseModel):
    """A report."""

    report: str


@tool
def search(query: str) -> str:
    """Searches the log book."""
    return query


def chat(base, key, model, **options):
    """A model that does not try again by itself: its retries would hide ours."""
    options = {"max_retries": 0, "timeout": DEADLINE, "include_response_headers": True} | options
    return ChatOpenAI(base_url=base, api_key=key, model=model, **options)


def through(model, base="v1", **options):
    return chat(f"{PROXY}/{base}", CLIENT_KEY, model, **options)


def directly(model, **options):
    return chat(f"{SECOND}/v1", PROVIDER_KEY, at_provider(model), **options)


def ask(make, request, model):
    """The answer to a request of the table, as LangChain's messages (for a stream its chunks), and the headers."""
    body = REQUESTS[request]["body"]
    messages = [HumanMessage(body["messages"][-1]["content"])]
    runnable = make(model, stream_usage="stream_options" in body)
    if "tools" in body:
        runnable = runnable.bind_tools([search], tool_choice="search")
    if "response_format" in body:
        runnable = runnable.bind(response_format=body["response_format"])
    answers = list(runnable.stream(messages)) if is_stream(request) else [runnable.invoke(messages)]
    headers = next(answer.response_metadata["headers"] for answer in answers if "headers" in answer.response_metadata)
    return [plain(answer.model_dump(), served(SUITE, request, model.split("/")[1])) for answer in answers], headers


@functools.cache
def direct_answer(request):
    """A healthy provider's answer; it is the same every time."""
    return ask(directly, request, f"{SUITE}-{request}/ok0")[0]


def plain(value, name):
    """A message without ids, times and headers; the name of the model must be the right one."""
    if isinstance(value, dict):
        if "model_name" in value:
            assert value["model_name"] in (name, at_provider(name.split("/")[0] + "/ok0"))
        return {key: plain(item, name) for key, item in value.items() if key not in ("id", "created", "headers", "model_name")}
    if isinstance(value, list):
        return [plain(item, name) for item in value]
    return value


@pytest.mark.parametrize("row", ["ok0", *ROWS])
@pytest.mark.parametrize("request_name", ASKED)
def test_the_message_is_the_direct_one_while_the_first_provider_fails(request_name, row):
    model = f"{SUITE}-{request_name}/{row}"
    match fate(request_name, row):
        case "first" | "fallback" as who:
            answer, headers = ask(through, request_name, model)
            assert answer == direct_answer(request_name)
            assert headers["x-mainstay-endpoint"].endswith("@first/default" if who == "first" else "@second/default")
        case "refused":
            with pytest.raises(openai.BadRequestError) as refused:
                ask(through, request_name, model)
            assert refused.value.code == "content_policy_violation"
        case "error":
            with pytest.raises(openai.APIError):
                ask(through, request_name, model)
    assert row == "ok0" or received(FIRST, at_provider(model)), "the row was never shown"


@pytest.mark.parametrize("base", ["v1", "api/v1"])
def test_a_stream_adds_up_to_the_answer_with_its_usage(base):
    whole = None
    for chunk in through(f"{SUITE}-chat/ok0", base, stream_usage=True).stream("hello"):
        whole = chunk if whole is None else whole + chunk
    assert whole.content == ANSWER and whole.response_metadata["finish_reason"] == "stop"
    assert whole.usage_metadata["output_tokens"] == len(ANSWER.split())


def test_a_streamed_tool_call_is_parsed():
    whole = None
    for chunk in through(f"{SUITE}-tools/s04").bind_tools([search], tool_choice="search").stream("Look up the lamps."):
        whole = chunk if whole is None else whole + chunk
    assert [(call["name"], call["args"]) for call in whole.tool_calls] == [("search", {"query": "harbour lamps"})]


@pytest.mark.parametrize("row", ["ok0", "s06", "s08"])
def test_structured_output_is_parsed(row):
    model = through(f"{SUITE}-schema/{row}").with_structured_output(Report, method="json_schema")
    assert model.invoke("Report as JSON.") == Report(**json.loads(ANSWER))


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("refused/json", openai.BadRequestError),
        ("limited/json", openai.RateLimitError),
        ("down/json", openai.InternalServerError),
        ("nobody/json", openai.NotFoundError),
    ],
)
def test_an_error_keeps_its_class(model, kind):
    with pytest.raises(kind):
        through(f"{SUITE}-{model}").invoke("hello")


def test_a_wrong_key_is_an_authentication_error():
    with pytest.raises(openai.AuthenticationError):
        chat(f"{PROXY}/v1", "sk-wrong", f"{SUITE}-chat/ok0").invoke("hello")


@pytest.mark.parametrize(("base", "way"), [("v1", "v1"), ("api/v1", "api")])
@pytest.mark.parametrize("odd", ["cut", "stall"])
def test_a_broken_stream_never_ends_as_a_success(base, way, odd):
    text = ""
    with pytest.raises(openai.APIError):
        for chunk in through(f"{SUITE}-{odd}/{way}", base).stream("hello"):
            text += chunk.content
    assert text and ANSWER.startswith(text) and text != ANSWER


def test_a_cancelled_task_reaches_the_provider_within_a_second():
    model = f"{SUITE}-drip/stream"

    async def leave():
        async def read():
            async for _ in through(model).astream("hello"):
                pass

        task = asyncio.create_task(read())
        await asyncio.sleep(0.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(leave())
    client_left(FIRST, at_provider(model))
