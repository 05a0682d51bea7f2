"""What the SDKs of OpenAI and Anthropic make of answers that come from providers of every dialect: each case as one answer, as a
stream that is read event by event, and as a stream that the SDK itself gathers, all three the same. Every answer is validated
strictly against the SDK's own types. What a cell must come to is read from the table in docs/dialects.md.
"""

import dataclasses
import json
import pathlib

import anthropic
import openai
import pytest

from surroundings import ANSWER, CLIENT_KEY, DEADLINE, PROXY

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
ARGUMENTS = {"city": "café lamp"}  # the mock's instance of the schema
PLAN = "I will look it up."  # what Cohere says beside its calls
LONG = "Tides turn, and the lamp at the pier is lit again. " * 4000
UPSTREAMS = ("openai", "openai-responses", "anthropic", "gemini", "bedrock", "cohere")
# Cases by their name in the table.
CASES = {
    "text": "text",
    "turns": "several turns",
    "tool": "a tool",
    "tools": "tools at once, with results",
    "both": "two tools called at once",
    "image": "an image",
    "schema": "a schema",
    "reasoning": "reasoning",
    "stop": "stop sequences",
    "long": "a long prompt",
}
NOT_IN_TABLE = {"both": "yes"}
STOP = "harbour"
# Thoughts that nobody shows: Chat has no field for them of its own, and Responses shows a summary only to who asks for one.
UNTOLD = {("chat", "openai"), ("chat", "openai-responses"), ("messages", "openai-responses")}
OPTIONS = {"max_retries": 0, "timeout": DEADLINE, "_strict_response_validation": True}


@dataclasses.dataclass
class Told:
    """What a client learns from an answer."""

    text: str
    calls: list
    finish: str
    tokens: tuple
    reasoning_tokens: int
    thought: str


class Chat:
    name, title, sdk = "chat", "from Chat Completions", openai
    finishes = {"text": "stop", "calls": "tool_calls"}

    def __init__(self, key=CLIENT_KEY):
        self.client = openai.OpenAI(base_url=f"{PROXY}/v1", api_key=key, **OPTIONS)

    @staticmethod
    def tool(name):
        function = {"name": name, "description": "Looks it up.", "parameters": SCHEMA}
        return {"type": "function", "function": function}

    def case(self, name):
        user = lambda content: {"role": "user", "content": content}
        call = lambda at, tool, city: {
            "id": f"call_{at}", "type": "function", "function": {"name": tool, "arguments": json.dumps({"city": city})},
        }
        told = {
            "text": {"messages": [{"role": "system", "content": "Be brief."}, user("hello")]},
            "turns": {"temperature": 0.5, "top_p": 0.75, "messages": [
                {"role": "system", "content": "Be brief."},
                user([{"type": "text", "text": "one"}, {"type": "text", "text": "more"}]),
                {"role": "assistant", "content": "two"}, user("three"),
            ]},
            "tool": {"messages": [user("call weather")], "tools": [self.tool("weather")],
                     "tool_choice": {"type": "function", "function": {"name": "weather"}}},
            "tools": {"tools": [self.tool("weather"), self.tool("tide")], "messages": [
                user("what now?"),
                {"role": "assistant", "content": None, "tool_calls": [call(1, "weather", "Gdańsk"), call(2, "tide", "Brest")]},
                {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
                {"role": "tool", "tool_call_id": "call_2", "content": "low"}, user("and then?"),
            ]},
            "both": {"messages": [user("call weather and tide")], "tools": [self.tool("weather"), self.tool("tide")]},
            "image": {"messages": [user([
                {"type": "text", "text": "what is it?"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
            ])]},
            "schema": {"messages": [user("where?")], "response_format": {
                "type": "json_schema", "json_schema": {"name": "place", "strict": True, "schema": SCHEMA}}},
            "reasoning": {"max_tokens": 8000, "messages": [user("think")], "reasoning_effort": "medium"},
            "stop": {"messages": [user("hello")], "stop": [STOP]},
            "long": {"messages": [user(LONG)]},
        }
        return {"max_tokens": 200} | told[name]

    def ask(self, model, case, **more):
        raw = self.client.chat.completions.with_raw_response.create(model=model, **self.case(case), **more)
        return raw.parse(), raw.headers

    def whole(self, model, case):
        answer, headers = self.ask(model, case)
        return self.told(answer), headers

    def told(self, answer):
        (choice,) = answer.choices
        message = choice.message
        calls = [(call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or []]
        return self.fact(message.content or "", calls, choice.finish_reason, answer.usage, getattr(message, "reasoning", None))

    @staticmethod
    def fact(text, calls, finish, usage, thought):
        details = usage.completion_tokens_details
        return Told(text, calls, finish, (usage.prompt_tokens, usage.completion_tokens),
                    (details and details.reasoning_tokens) or 0, thought or "")

    def streamed(self, model, case):
        """By hand, as an application without a helper does it."""
        events, headers = self.ask(model, case, stream=True, stream_options={"include_usage": True})
        text, thought, calls, finishes, usages, ids = "", "", {}, [], [], set()
        for chunk in events:
            ids.add(chunk.id)
            usages += [chunk.usage] if chunk.usage else []
            for choice in chunk.choices:
                text += choice.delta.content or ""
                thought += getattr(choice.delta, "reasoning", None) or ""
                finishes += [choice.finish_reason] if choice.finish_reason else []
                for call in choice.delta.tool_calls or []:
                    known = calls.setdefault(call.index, ["", ""])
                    known[0] += call.function.name or ""
                    known[1] += call.function.arguments or ""
        assert len(finishes) == len(usages) == len(ids) == 1
        calls = [(name, json.loads(arguments)) for name, arguments in calls.values()]
        return self.fact(text, calls, finishes[0], usages[0], thought), headers

    def gathered(self, model, case):
        with self.client.chat.completions.stream(
            model=model, **self.case(case), stream_options={"include_usage": True}
        ) as stream:
            for _ in stream:
                pass
            return self.told(stream.get_final_completion())

    def simple(self, model, stream):
        messages = [{"role": "user", "content": "hello"}]
        return self.client.chat.completions.create(model=model, messages=messages, stream=stream)

    @staticmethod
    def word(chunk):
        return (chunk.choices[0].delta.content or "") if chunk.choices else ""

    def conversation(self, thinks):
        return Conversation(self, {"max_tokens": 8000} | ({"reasoning_effort": "medium"} if thinks else {}))

    def turn(self, model, asked, options):
        answer = self.client.chat.completions.create(
            model=model, messages=asked, tools=[self.tool("weather"), self.tool("tide")], **options
        )
        message = answer.choices[0].message
        asked.append(message.model_dump(exclude_none=True))
        for call in message.tool_calls or []:
            asked.append({"role": "tool", "tool_call_id": call.id, "content": f"{call.function.name}: rising"})
        return self.told(answer)


class Responses:
    name, title, sdk = "responses", "from Responses", openai
    finishes = {"text": "completed", "calls": "completed"}

    def __init__(self, key=CLIENT_KEY):
        self.client = openai.OpenAI(base_url=f"{PROXY}/v1", api_key=key, **OPTIONS)

    @staticmethod
    def tool(name):
        return {"type": "function", "name": name, "description": "Looks it up.", "parameters": SCHEMA, "strict": False}

    def case(self, name):
        user = lambda content: {"role": "user", "content": content}
        call = lambda at, tool, city: {
            "type": "function_call", "call_id": f"call_{at}", "name": tool, "arguments": json.dumps({"city": city}),
        }
        told = {
            "text": {"instructions": "Be brief.", "input": "hello"},
            "turns": {"temperature": 0.5, "top_p": 0.75, "instructions": "Be brief.", "input": [
                user([{"type": "input_text", "text": "one"}, {"type": "input_text", "text": "more"}]),
                {"role": "assistant", "content": "two"}, user("three"),
            ]},
            "tool": {"input": "call weather", "tools": [self.tool("weather")],
                     "tool_choice": {"type": "function", "name": "weather"}},
            "tools": {"tools": [self.tool("weather"), self.tool("tide")], "input": [
                user("what now?"), call(1, "weather", "Gdańsk"), call(2, "tide", "Brest"),
                {"type": "function_call_output", "call_id": "call_1", "output": "rain"},
                {"type": "function_call_output", "call_id": "call_2", "output": "low"}, user("and then?"),
            ]},
            "both": {"input": "call weather and tide", "tools": [self.tool("weather"), self.tool("tide")]},
            "image": {"input": [user([
                {"type": "input_text", "text": "what is it?"},
                {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "auto"},
            ])]},
            "schema": {"input": "where?", "text": {
                "format": {"type": "json_schema", "name": "place", "strict": True, "schema": SCHEMA}}},
            "reasoning": {"max_output_tokens": 8000, "input": "think", "reasoning": {"effort": "medium", "summary": "auto"},
                          "include": ["reasoning.encrypted_content"]},
            "stop": {"input": "hello"},  # Responses has no stop sequences.
            "long": {"input": LONG},
        }
        return {"max_output_tokens": 200, "store": False} | told[name]

    def ask(self, model, case, **more):
        raw = self.client.responses.with_raw_response.create(model=model, **self.case(case), **more)
        return raw.parse(), raw.headers

    def whole(self, model, case):
        answer, headers = self.ask(model, case)
        return self.told(answer), headers

    @staticmethod
    def told(answer):
        assert answer.error is None and answer.incomplete_details is None
        calls = [(item.name, json.loads(item.arguments)) for item in answer.output if item.type == "function_call"]
        thoughts = [item for item in answer.output if item.type == "reasoning"]
        thought = "".join(part.text for item in thoughts for part in [*item.summary, *(item.content or [])])
        usage = answer.usage
        return Told(answer.output_text, calls, answer.status, (usage.input_tokens, usage.output_tokens),
                    usage.output_tokens_details.reasoning_tokens, thought)

    def streamed(self, model, case):
        events, headers = self.ask(model, case, stream=True)
        events = list(events)
        assert [event.sequence_number for event in events] == list(range(len(events)))
        assert [event.type for event in events[:2]] == ["response.created", "response.in_progress"]
        last = events[-1]
        assert last.type == "response.completed"
        told = self.told(last.response)
        of = lambda kind, field: "".join(getattr(event, field) for event in events if event.type == kind)
        assert of("response.output_text.delta", "delta") == told.text
        thoughts = ("response.reasoning_summary_text.delta", "response.reasoning_text.delta")
        assert "".join(of(kind, "delta") for kind in thoughts) == told.thought
        arguments = {}
        for event in events:
            if event.type == "response.function_call_arguments.delta":
                arguments[event.output_index] = arguments.get(event.output_index, "") + event.delta
        assert [json.loads(text) for text in arguments.values()] == [call[1] for call in told.calls]
        added = [event.item.id for event in events if event.type == "response.output_item.added"]
        assert added == [item.id for item in last.response.output]
        return told, headers

    def gathered(self, model, case):
        with self.client.responses.stream(model=model, **self.case(case)) as stream:
            for _ in stream:
                pass
            return self.told(stream.get_final_response())

    def simple(self, model, stream):
        return self.client.responses.create(model=model, input="hello", stream=stream)

    @staticmethod
    def word(event):
        return event.delta if event.type == "response.output_text.delta" else ""

    def conversation(self, thinks):
        options = {"store": False, "max_output_tokens": 8000, "include": ["reasoning.encrypted_content"]}
        return Conversation(self, options | ({"reasoning": {"effort": "medium", "summary": "auto"}} if thinks else {}))

    def turn(self, model, asked, options):
        answer = self.client.responses.create(
            model=model, input=asked, tools=[self.tool("weather"), self.tool("tide")], **options
        )
        asked.extend(item.model_dump(exclude_none=True) for item in answer.output)
        for item in answer.output:
            if item.type == "function_call":
                output = f"{item.name}: rising"
                asked.append({"type": "function_call_output", "call_id": item.call_id, "output": output})
        return self.told(answer)


class Messages:
    name, title, sdk = "messages", "from Messages", anthropic
    finishes = {"text": "end_turn", "calls": "tool_use", "stop": "stop_sequence"}

    def __init__(self, key=CLIENT_KEY):
        self.client = anthropic.Anthropic(base_url=PROXY, api_key=key, **OPTIONS)

    @staticmethod
    def tool(name):
        return {"name": name, "description": "Looks it up.", "input_schema": SCHEMA}

    def case(self, name):
        user = lambda content: {"role": "user", "content": content}
        call = lambda at, tool, city: {"type": "tool_use", "id": f"call_{at}", "name": tool, "input": {"city": city}}
        told = {
            "text": {"system": "Be brief.", "messages": [user("hello")]},
            "turns": {"extra_body": {"temperature": 0.5}, "system": [{"type": "text", "text": "Be brief."}], "messages": [
                user([{"type": "text", "text": "one"}, {"type": "text", "text": "more"}]),
                {"role": "assistant", "content": "two"}, user("three"),
            ]},
            "tool": {"messages": [user("call weather")], "tools": [self.tool("weather")],
                     "tool_choice": {"type": "tool", "name": "weather"}},
            "tools": {"tools": [self.tool("weather"), self.tool("tide")], "messages": [
                user("what now?"),
                {"role": "assistant", "content": [call(1, "weather", "Gdańsk"), call(2, "tide", "Brest")]},
                user([
                    {"type": "tool_result", "tool_use_id": "call_1", "content": "rain"},
                    {"type": "tool_result", "tool_use_id": "call_2", "content": "low"},
                    {"type": "text", "text": "and then?"},
                ]),
            ]},
            "both": {"messages": [user("call weather and tide")], "tools": [self.tool("weather"), self.tool("tide")]},
            "image": {"messages": [user([
                {"type": "text", "text": "what is it?"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
            ])]},
            "schema": {"messages": [user("where?")], "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
            "reasoning": {"max_tokens": 8000, "messages": [user("think")],
                          "thinking": {"type": "enabled", "budget_tokens": 4000}},
            "stop": {"messages": [user("hello")], "stop_sequences": [STOP]},
            "long": {"messages": [user(LONG)]},
        }
        return {"max_tokens": 200} | told[name]

    def ask(self, model, case, **more):
        raw = self.client.messages.with_raw_response.create(model=model, **self.case(case), **more)
        return raw.parse(), raw.headers

    def whole(self, model, case):
        answer, headers = self.ask(model, case)
        return self.told(answer), headers

    @staticmethod
    def told(answer):
        of = lambda kind: [block for block in answer.content if block.type == kind]
        text = "".join(block.text for block in of("text"))
        calls = [(block.name, block.input) for block in of("tool_use")]
        details = getattr(answer.usage, "output_tokens_details", None)
        return Told(text, calls, answer.stop_reason, (answer.usage.input_tokens, answer.usage.output_tokens),
                    getattr(details, "thinking_tokens", 0), "".join(block.thinking for block in of("thinking")))

    def streamed(self, model, case):
        events, headers = self.ask(model, case, stream=True)
        events = list(events)
        kinds = [event.type for event in events]
        assert (kinds[0], kinds[-2:]) == ("message_start", ["message_delta", "message_stop"])
        blocks, open_at = [], None
        for event in events:
            if event.type == "content_block_start":
                assert open_at is None and event.index == len(blocks)
                blocks.append([event.content_block, ""])
                open_at = event.index
            elif event.type == "content_block_delta":
                assert event.index == open_at
                delta = event.delta
                blocks[-1][1] += getattr(delta, {
                    "text_delta": "text", "input_json_delta": "partial_json", "thinking_delta": "thinking",
                }.get(delta.type, ""), "")
            elif event.type == "content_block_stop":
                assert event.index == open_at
                open_at = None
        of = lambda kind: [(block, said) for block, said in blocks if block.type == kind]
        calls = [(block.name, json.loads(said)) for block, said in of("tool_use")]
        end = events[-2]
        details = getattr(end.usage, "output_tokens_details", None)
        told = Told("".join(said for _, said in of("text")), calls, end.delta.stop_reason,
                    (end.usage.input_tokens, end.usage.output_tokens), getattr(details, "thinking_tokens", 0),
                    "".join(said for _, said in of("thinking")))
        return told, headers

    def gathered(self, model, case):
        with self.client.messages.stream(model=model, **self.case(case)) as stream:
            return self.told(stream.get_final_message())

    def simple(self, model, stream):
        messages = [{"role": "user", "content": "hello"}]
        return self.client.messages.create(model=model, max_tokens=200, messages=messages, stream=stream)

    @staticmethod
    def word(event):
        return getattr(event.delta, "text", "") if event.type == "content_block_delta" else ""

    def conversation(self, thinks):
        thinking = {"thinking": {"type": "enabled", "budget_tokens": 4000}} if thinks else {}
        return Conversation(self, {"max_tokens": 8000} | thinking)

    def turn(self, model, asked, options):
        answer = self.client.messages.create(
            model=model, messages=asked, tools=[self.tool("weather"), self.tool("tide")], **options
        )
        asked.append({"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in answer.content]})
        results = [
            {"type": "tool_result", "tool_use_id": block.id, "content": f"{block.name}: rising"}
            for block in answer.content if block.type == "tool_use"
        ]
        asked.extend([{"role": "user", "content": results}] if results else [])
        return self.told(answer)


class Conversation:
    """Two turns of a loop with tools, in which the SDK's own objects are sent back."""

    def __init__(self, way, options):
        self.way, self.options = way, options
        self.asked = [{"role": "user", "content": "call weather and tide"}]

    def turn(self, model):
        return self.way.turn(model, self.asked, self.options)

    def say(self, text):
        self.asked.append({"role": "user", "content": text})


CLIENTS = [Chat, Responses, Messages]


@pytest.fixture(params=CLIENTS, ids=lambda client: client.name, scope="module")
def client(request):
    return request.param()


def table():
    """What docs/dialects.md says of each client, case and upstream."""
    path = pathlib.Path(__file__).resolve().parents[3] / "docs" / "dialects.md"
    text = path.read_text("utf-8").split("<!-- matrix: begin -->")[1].split("<!-- matrix: end -->")[0]
    cells, title, upstreams = {}, "", []
    for line in text.strip().splitlines():
        words = [word.strip() for word in line.strip("|").split("|")]
        if words[0].startswith("from "):
            title, upstreams = words[0], words[1:]
        elif len(words) > 1 and not words[0].startswith("---"):
            cells.update({(title, words[0], upstream): word for upstream, word in zip(upstreams, words[1:])})
    return cells


TABLE = table()


def expected(client, case, upstream):
    if (client.name, case) == ("responses", "reasoning") and upstream not in ("openai-responses", "gemini"):
        return "without reasoning.summary"  # The SDK's user asks for one; the table's case does not.
    return NOT_IN_TABLE.get(case) or TABLE[client.title, CASES[case], upstream]


def model_of(upstream):
    return f"dialect/{upstream}"


def check(told, client, case, upstream):
    """What the case asks for is in the answer."""
    calls = {"tool": [("weather", ARGUMENTS)], "both": [("weather", ARGUMENTS), ("tide", ARGUMENTS)]}.get(case, [])
    assert told.calls == calls
    # Only Anthropic says which stop sequence it was, and its clients are told of a stop only with it.
    names_stop = case == "stop" and upstream == "anthropic" and "stop" in client.finishes
    finish = "stop" if names_stop else "calls" if calls else "text"
    assert told.finish == client.finishes[finish]
    if calls:
        assert told.text == (PLAN if upstream == "cohere" else "")
    elif case == "schema":
        assert json.loads(told.text) == ARGUMENTS
    elif case == "stop" and client.name != "responses":
        assert told.text and ANSWER.startswith(told.text + STOP)
    else:
        assert told.text == ANSWER
    assert all(tokens > 0 for tokens in told.tokens)
    assert bool(told.thought) == (case == "reasoning" and (client.name, upstream) not in UNTOLD)


def plain(told):
    """An answer without its prompt's tokens: the mock counts them by the bytes of the request, which `stream` changes."""
    return dataclasses.replace(told, tokens=told.tokens[1:])


@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("case", CASES)
def test_every_answer_is_read_whole_and_streamed(client, case, upstream):
    fate = expected(client, case, upstream)
    model = model_of(upstream)
    if fate.startswith("no: "):
        for ask in (client.whole, client.streamed):
            with pytest.raises(client.sdk.BadRequestError, match=f"cannot carry '{fate[4:]}'"):
                ask(model, case)
        return
    whole, headers = client.whole(model, case)
    check(whole, client, case, upstream)
    streamed, stream_headers = client.streamed(model, case)
    assert plain(streamed) == plain(whole) == plain(client.gathered(model, case))
    for head in (headers, stream_headers):
        assert head["x-mainstay-endpoint"] == f"{model}@speaks-{upstream}/default"
        dropped = fate.removeprefix("without ") if fate.startswith("without ") else None
        assert head.get("x-mainstay-dropped") == dropped


@pytest.mark.parametrize("thinks", [False, True], ids=["plain", "thinking"])
@pytest.mark.parametrize("second", UPSTREAMS)
@pytest.mark.parametrize("first", UPSTREAMS)
def test_what_the_sdk_read_is_taken_back_by_any_provider(client, first, second, thinks):
    """A loop with tools: the second turn may be another provider's, and holds what the first one thought and called."""
    talk = client.conversation(thinks)
    called = talk.turn(model_of(first))
    assert called.calls == [("weather", ARGUMENTS), ("tide", ARGUMENTS)]
    assert bool(called.thought) == (thinks and (client.name, first) not in UNTOLD)
    talk.say("and now?")
    if thinks and client.name == "chat" and second == "openai":
        # Chat to chat passes untouched, and OpenAI's own API has no field for thoughts (docs/dialects.md).
        with pytest.raises(openai.BadRequestError, match="reasoning"):
            talk.turn(model_of(second))
        return
    told = talk.turn(model_of(second))
    assert (told.text, told.finish, told.calls) == (ANSWER, client.finishes["text"], [])


# === errors ===


def failed(client, act, kind):
    """The error that something ends in, of exactly this class of the SDK."""
    with pytest.raises(client.sdk.APIError) as raised:
        act()
    assert type(raised.value).__name__ == kind, repr(raised.value)
    assert raised.value.message
    return raised.value


def kind_of(client, error):
    """How the SDK names the error of its dialect."""
    inner = error.body["error"] if client.sdk is anthropic else error.body
    return inner["type"]


WAYS = pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])


@WAYS
@pytest.mark.parametrize(("trouble", "kind"), [
    ("limited", "RateLimitError"),
    ("overloaded", "InternalServerError"),
    ("down", "InternalServerError"),
    ("long", "BadRequestError"),
    ("policy", "BadRequestError"),
])
@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_a_providers_error_is_the_sdks_own(client, upstream, trouble, kind, stream):
    model = f"dialect/{upstream}-{trouble}-{client.name}"
    if client.sdk is anthropic and trouble == "overloaded":
        kind = "ServiceUnavailableError"  # a kind of InternalServerError
    error = failed(client, lambda: client.simple(model, stream), kind)
    status = {"limited": 429, "overloaded": 503, "down": 502}.get(trouble, 400)
    assert error.status_code == status
    if trouble == "limited":
        assert kind_of(client, error) == "rate_limit_error"
        assert 1 <= int(error.response.headers["retry-after"]) <= 14  # a second refusal may lengthen the rest
    elif client.sdk is anthropic:
        assert kind_of(client, error) == {502: "api_error", 503: "overloaded_error", 400: "invalid_request_error"}[status]
    elif status > 500:
        assert kind_of(client, error) == "server_error"


@WAYS
def test_an_unknown_model_is_not_found(client, stream):
    failed(client, lambda: client.simple("dialect/none", stream), "NotFoundError")


@WAYS
def test_a_wrong_key_is_an_authentication_error(client, stream):
    stranger = type(client)(key="sk-wrong")
    failed(stranger, lambda: stranger.simple("dialect/openai", stream), "AuthenticationError")


@pytest.mark.parametrize("trouble", ["cut", "told", "stall"])
@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_a_stream_that_breaks_raises(client, upstream, trouble):
    model = f"dialect/{upstream}-{trouble}-{client.name}"
    told = []
    with pytest.raises(client.sdk.APIError) as raised:
        for event in client.simple(model, True):
            told.append(client.word(event))
    text = "".join(told)
    assert text and ANSWER.startswith(text) and text != ANSWER
    assert type(raised.value).__name__ == ("APIStatusError" if client.sdk is anthropic else "APIError")
    assert kind_of(client, raised.value)
