"""The mock provider itself, judged by the SDKs of the providers that it speaks like: text, streams, tools, schemas,
reasoning that is sealed and taken back, errors, and one digest for one conversation."""

import json
import re

import anthropic
import boto3
import botocore.config
import botocore.exceptions
import cohere
import httpx
import openai
import pytest
from google import genai
from google.genai import errors as gemini_errors
from google.genai import types as gemini

from surroundings import ANSWER, DEADLINE, FIRST, PROVIDER_KEY

MODEL = "sdk"
SCHEMA = {
    "type": "object",
    "properties": {"place": {"type": "string"}, "count": {"type": "integer"}},
    "required": ["place", "count"],
    "additionalProperties": False,
}
ARGUMENTS = {"place": "café lamp", "count": 7}
FAILURES = {"s02": 429, "s04": 503, "s12": 400}


def words(tokens):
    """So many tokens of the mock's answer."""
    return "".join(re.findall(r"\S+ ", ANSWER)[:tokens])


class Responses:
    name = "responses"

    def __init__(self, key=PROVIDER_KEY):
        self.client = openai.OpenAI(base_url=f"{FIRST}/v1", api_key=key, max_retries=0, timeout=DEADLINE)

    def tools(self):
        return [{"type": "function", "name": "look", "description": "d", "parameters": SCHEMA, "strict": True}]

    def ask(self, prompt, model=MODEL, **more):
        return self.client.responses.create(model=model, input=prompt, **more)

    def text(self, text, model=MODEL):
        return self.ask(text, model).output_text

    def streamed(self, text, model=MODEL):
        with self.client.responses.stream(model=model, input=text) as stream:
            deltas = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
            assert stream.get_final_response().output_text == deltas
        return deltas

    def called(self, text, stream):
        if not stream:
            output = self.ask(text, tools=self.tools()).output
        else:
            with self.client.responses.stream(model=MODEL, input=text, tools=self.tools()) as events:
                for _ in events:
                    pass
                output = events.get_final_response().output
        return [(item.name, json.loads(item.arguments)) for item in output if item.type == "function_call"]

    def shaped(self):
        form = {"format": {"type": "json_schema", "name": "answer", "schema": SCHEMA, "strict": True}}
        return self.ask("hi", text=form).output_text

    def reasoned(self):
        options = {
            "reasoning": {"effort": "low", "summary": "auto"},
            "include": ["reasoning.encrypted_content"],
            "store": False,
        }
        first = self.ask("hi", **options)
        thought = first.output[0]
        assert thought.type == "reasoning" and thought.summary[0].text and thought.encrypted_content
        assert first.usage.output_tokens_details.reasoning_tokens > 0
        items = [item.model_dump(exclude_none=True) for item in first.output]
        again = [{"role": "user", "content": "hi"}, *items, {"role": "user", "content": "so?"}]
        assert self.ask(again, **options).output_text
        items[0]["encrypted_content"] = "gAAAAABforged"
        with pytest.raises(openai.BadRequestError) as refused:
            self.ask(again, **options)
        assert refused.value.code == "invalid_encrypted_content"

    def status(self, act):
        with pytest.raises(openai.APIStatusError) as failed:
            act()
        assert failed.value.body["message"]
        return failed.value.status_code

    def broken(self):
        with pytest.raises(openai.APIError) as failed:
            self.streamed("hi", f"{MODEL}-broken")
        return str(failed.value)


class Anthropic:
    name = "anthropic"

    def __init__(self, key=PROVIDER_KEY):
        self.client = anthropic.Anthropic(base_url=FIRST, api_key=key, max_retries=0, timeout=DEADLINE)

    def tools(self):
        return [{"name": "look", "description": "d", "input_schema": SCHEMA}]

    def options(self, text, model=MODEL, **more):
        return {"model": model, "max_tokens": 2000, "messages": [{"role": "user", "content": text}], **more}

    def text(self, text, model=MODEL):
        message = self.client.messages.create(**self.options(text, model))
        assert message.stop_reason == "end_turn" and message.usage.output_tokens > 0
        return message.content[0].text

    def streamed(self, text, model=MODEL):
        with self.client.messages.stream(**self.options(text, model)) as stream:
            deltas = "".join(stream.text_stream)
            assert stream.get_final_message().content[0].text == deltas
        return deltas

    def called(self, text, stream):
        options = self.options(text, tools=self.tools())
        if stream:
            with self.client.messages.stream(**options) as events:
                message = events.get_final_message()
        else:
            message = self.client.messages.create(**options)
        assert message.stop_reason == "tool_use"
        return [(block.name, block.input) for block in message.content if block.type == "tool_use"]

    def shaped(self):
        form = {"format": {"type": "json_schema", "schema": SCHEMA}}
        return self.client.messages.create(**self.options("hi", output_config=form)).content[0].text

    def reasoned(self):
        thinking = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
        first = self.client.messages.create(**self.options("hi", **thinking))
        with self.client.messages.stream(**self.options("hi", **thinking)) as stream:
            assert stream.get_final_message().content[0] == first.content[0]
        assert first.content[0].type == "thinking" and first.content[0].signature
        blocks = [block.model_dump(exclude_none=True) for block in first.content]
        again = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": blocks}, {"role": "user", "content": "so?"}]
        options = {**self.options("", **thinking), "messages": again}
        assert self.client.messages.create(**options).content[1].text
        blocks[0]["signature"] = "EqQBforged"
        with pytest.raises(anthropic.BadRequestError, match="Invalid `signature` in `thinking` block"):
            self.client.messages.create(**options)

    def status(self, act):
        with pytest.raises(anthropic.APIStatusError) as failed:
            act()
        assert failed.value.body["type"] == "error" and failed.value.request_id
        return failed.value.status_code

    def broken(self):
        with pytest.raises(anthropic.APIStatusError) as failed:
            self.streamed("hi", f"{MODEL}-broken")
        return str(failed.value)


class Gemini:
    name = "gemini"

    def __init__(self, key=PROVIDER_KEY):
        options = gemini.HttpOptions(base_url=FIRST, timeout=int(DEADLINE * 1000))
        self.client = genai.Client(api_key=key, vertexai=False, http_options=options)

    def config(self, **more):
        return gemini.GenerateContentConfig(automatic_function_calling={"disable": True}, **more)

    def ask(self, text, model=MODEL, **more):
        return self.client.models.generate_content(model=model, contents=text, config=self.config(**more))

    def chunks(self, text, model=MODEL, **more):
        return list(self.client.models.generate_content_stream(model=model, contents=text, config=self.config(**more)))

    def text(self, text, model=MODEL):
        answer = self.ask(text, model)
        assert answer.usage_metadata.candidates_token_count > 0
        return answer.text

    def streamed(self, text, model=MODEL):
        return "".join(chunk.text or "" for chunk in self.chunks(text, model))

    def called(self, text, stream):
        declaration = {"name": "look", "description": "d", "parameters_json_schema": SCHEMA}
        tools = [gemini.Tool(function_declarations=[declaration])]
        answers = self.chunks(text, tools=tools) if stream else [self.ask(text, tools=tools)]
        return [(call.name, call.args) for answer in answers for call in answer.function_calls or []]

    def shaped(self):
        return self.ask("hi", response_mime_type="application/json", response_json_schema=SCHEMA).text

    def reasoned(self):
        thinking = {"thinking_config": {"include_thoughts": True, "thinking_budget": 100}}
        content = self.ask("hi", **thinking).candidates[0].content
        assert content.parts[0].thought and content.parts[1].thought_signature
        user = gemini.Content(role="user", parts=[gemini.Part(text="hi")])
        assert self.ask([user, content, user], **thinking).text
        content.parts[1].thought_signature = b"forged"
        with pytest.raises(gemini_errors.ClientError, match="Corrupted thought signature"):
            self.ask([user, content, user], **thinking)

    def status(self, act):
        with pytest.raises(gemini_errors.APIError) as failed:
            act()
        assert failed.value.status and failed.value.message
        return failed.value.code

    def broken(self):
        with pytest.raises(gemini_errors.APIError) as failed:
            self.streamed("hi", f"{MODEL}-broken")
        return str(failed.value)


class Bedrock:
    name = "bedrock"

    def __init__(self, key=PROVIDER_KEY):
        config = botocore.config.Config(retries={"total_max_attempts": 1}, read_timeout=DEADLINE)
        self.client = boto3.client(
            "bedrock-runtime", endpoint_url=FIRST, region_name="us-east-1", aws_access_key_id=key,
            aws_secret_access_key="any", config=config,
        )

    def options(self, text, model=MODEL, **more):
        return {"modelId": model, "messages": [{"role": "user", "content": [{"text": text}]}], **more}

    def tools(self):
        return {"tools": [{"toolSpec": {"name": "look", "description": "d", "inputSchema": {"json": SCHEMA}}}]}

    def text(self, text, model=MODEL):
        answer = self.client.converse(**self.options(text, model))
        assert answer["stopReason"] == "end_turn" and answer["usage"]["outputTokens"] > 0
        return answer["output"]["message"]["content"][0]["text"]

    def events(self, text, model=MODEL, **more):
        return self.client.converse_stream(**self.options(text, model, **more))["stream"]

    def streamed(self, text, model=MODEL):
        deltas = [event["contentBlockDelta"]["delta"] for event in self.events(text, model) if "contentBlockDelta" in event]
        return "".join(delta["text"] for delta in deltas)

    def called(self, text, stream):
        if not stream:
            answer = self.client.converse(**self.options(text, toolConfig=self.tools()))
            calls = [block["toolUse"] for block in answer["output"]["message"]["content"]]
            return [(call["name"], call["input"]) for call in calls]
        names, inputs = {}, {}
        for event in self.events(text, toolConfig=self.tools()):
            if start := event.get("contentBlockStart"):
                names[start["contentBlockIndex"]] = start["start"]["toolUse"]["name"]
            elif delta := event.get("contentBlockDelta"):
                index = delta["contentBlockIndex"]
                inputs[index] = inputs.get(index, "") + delta["delta"]["toolUse"]["input"]
        return [(names[index], json.loads(inputs[index])) for index in sorted(names)]

    def shaped(self):
        schema = {"schema": json.dumps(SCHEMA), "name": "answer"}
        form = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}}}
        answer = self.client.converse(**self.options("hi", outputConfig=form))
        return answer["output"]["message"]["content"][0]["text"]

    def reasoned(self):
        thinking = {"additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 1024}}}
        message = self.client.converse(**self.options("hi", **thinking))["output"]["message"]
        sealed = message["content"][0]["reasoningContent"]["reasoningText"]
        assert sealed["text"] and sealed["signature"]
        user = {"role": "user", "content": [{"text": "hi"}]}
        options = {**self.options("", **thinking), "messages": [user, message, user]}
        assert self.client.converse(**options)["output"]["message"]["content"][1]["text"]
        sealed["signature"] = "EqQBforged"
        with pytest.raises(self.client.exceptions.ValidationException, match="Invalid `signature`"):
            self.client.converse(**options)

    def status(self, act):
        with pytest.raises(botocore.exceptions.ClientError) as failed:
            act()
        assert failed.value.response["Error"]["Code"].endswith("Exception")
        return failed.value.response["ResponseMetadata"]["HTTPStatusCode"]

    def broken(self):
        with pytest.raises(botocore.exceptions.EventStreamError) as failed:
            self.streamed("hi", f"{MODEL}-broken")
        return str(failed.value)


class Cohere:
    name = "cohere"

    def __init__(self, key=PROVIDER_KEY):
        self.client = cohere.ClientV2(api_key=key, base_url=FIRST, timeout=DEADLINE)
        self.once = {"request_options": {"max_retries": 0}}

    def options(self, text, model=MODEL, **more):
        return {"model": model, "messages": [{"role": "user", "content": text}], **self.once, **more}

    def tools(self):
        return [{"type": "function", "function": {"name": "look", "description": "d", "parameters": SCHEMA}}]

    def text(self, text, model=MODEL):
        answer = self.client.chat(**self.options(text, model))
        assert answer.finish_reason == "COMPLETE" and answer.usage.tokens.output_tokens > 0
        return answer.message.content[0].text

    def streamed(self, text, model=MODEL):
        events = list(self.client.chat_stream(**self.options(text, model)))
        assert events[-1].type == "message-end"
        return "".join(event.delta.message.content.text for event in events if event.type == "content-delta")

    def called(self, text, stream):
        if not stream:
            calls = self.client.chat(**self.options(text, tools=self.tools())).message.tool_calls
            return [(call.function.name, json.loads(call.function.arguments)) for call in calls]
        names, arguments = [], []
        for event in self.client.chat_stream(**self.options(text, tools=self.tools())):
            if event.type == "tool-call-start":
                names.append(event.delta.message.tool_calls.function.name)
                arguments.append("")
            elif event.type == "tool-call-delta":
                arguments[-1] += event.delta.message.tool_calls.function.arguments
        return [(name, json.loads(text)) for name, text in zip(names, arguments)]

    def shaped(self):
        form = {"type": "json_object", "json_schema": SCHEMA}
        return self.client.chat(**self.options("hi", response_format=form)).message.content[0].text

    def reasoned(self):
        answer = self.client.chat(**self.options("hi", thinking={"type": "enabled"}))
        assert answer.message.content[0].type == "thinking" and answer.message.content[0].thinking

    def status(self, act):
        with pytest.raises(cohere.core.api_error.ApiError) as failed:
            act()
        assert failed.value.body["message"] and failed.value.body["id"]
        return failed.value.status_code

    def broken(self):
        events = list(self.client.chat_stream(**self.options("hi", f"{MODEL}-broken")))
        assert events[-1].delta.finish_reason == "ERROR"
        return events[-1].delta.error


DIALECTS = [Responses, Anthropic, Gemini, Bedrock, Cohere]


@pytest.fixture(params=DIALECTS, ids=lambda dialect: dialect.name, scope="module")
def sdk(request):
    return request.param()


def test_text_and_streams_are_read(sdk):
    assert sdk.text("hello") == ANSWER
    assert sdk.streamed("hello") == ANSWER


@pytest.mark.parametrize("stream", [False, True])
def test_calls_are_read_alone_and_in_parallel(sdk, stream):
    assert sdk.called("call look", stream) == [("look", ARGUMENTS)]
    assert sdk.called("call look and look", stream) == [("look", ARGUMENTS)] * 2


def test_an_answer_has_the_shape_that_is_asked(sdk):
    assert json.loads(sdk.shaped()) == ARGUMENTS


def test_reasoning_is_read_and_taken_back(sdk):
    sdk.reasoned()


@pytest.mark.parametrize(("row", "status"), FAILURES.items())
def test_errors_are_read(sdk, row, status):
    assert sdk.status(lambda: sdk.text("hi", f"{MODEL}-{row}")) == status
    assert sdk.status(lambda: sdk.streamed("hi", f"{MODEL}-{row}")) == status


def test_a_wrong_key_is_refused(sdk):
    wrong = type(sdk)(key="a-revoked-key")
    assert sdk.status(lambda: wrong.text("hi")) in (400, 401, 403)


def test_an_error_in_a_stream_is_read(sdk):
    assert "overloaded" in sdk.broken().lower()


def test_a_digest_tells_what_was_asked(sdk):
    digest = json.loads(sdk.text("your digest"))
    assert digest["turns"] == [{"role": "user", "parts": [{"text": "your digest"}]}]
    assert digest["n"] == 1 and digest["stream"] is False
    seen = [entry["meaning"] for entry in httpx.get(f"{FIRST}/mock/received", timeout=DEADLINE).json() if entry["meaning"]]
    assert any(meaning["dialect"] == sdk.name and meaning["understood"] == digest for meaning in seen)


def test_limits_and_stops_end_an_answer():
    client = Anthropic().client
    options = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}
    short = client.messages.create(max_tokens=3, **options)
    assert (short.stop_reason, short.content[0].text) == ("max_tokens", words(3))
    stop = client.messages.create(max_tokens=900, stop_sequences=["harbour"], **options)
    assert (stop.stop_reason, stop.stop_sequence) == ("stop_sequence", "harbour")
    assert ANSWER.startswith(stop.content[0].text + "harbour")
    assert client.messages.count_tokens(**options).input_tokens > 0
