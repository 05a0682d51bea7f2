"""OpenRouter's SDK for Python, which checks every field of an answer, on the base path of its clients."""

import pytest
from openrouter import OpenRouter, errors

from surroundings import ANSWER, CLIENT_KEY, DEADLINE, PROXY

SUITE = "op"
HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def router():
    with client(CLIENT_KEY) as router:
        yield router


def client(key):
    """An SDK that does not try again by itself: its retries would hide ours."""
    return OpenRouter(api_key=key, server_url=f"{PROXY}/api/v1", retry_config=None, timeout_ms=int(DEADLINE * 1000))


def send(router, model, **options):
    return router.chat.send(model=model, messages=HELLO, **options)


def text_of(chunks):
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


@pytest.mark.parametrize("row", ["ok0", "s04", "s08"])
def test_a_chat_is_taken(router, row):
    answer = send(router, f"{SUITE}-chat/{row}")
    assert answer.choices[0].message.content == ANSWER
    assert answer.model == f"{SUITE}-chat/ok0" and answer.usage.total_tokens > 0


@pytest.mark.parametrize("row", ["ok0", "s04", "s11"])
def test_a_stream_is_taken(router, row):
    with send(router, f"{SUITE}-stream/{row}", stream=True) as stream:
        chunks = list(stream)
    assert text_of(chunks) == ANSWER


def test_a_stream_with_its_usage_is_taken(router):
    with send(router, f"{SUITE}-stream-usage/ok0", stream=True, stream_options={"include_usage": True}) as stream:
        assert list(stream)[-1].usage.total_tokens > 0


def test_the_list_of_models_is_taken(router):
    assert f"{SUITE}-chat/ok0" in [model.id for model in router.models.list().result.data]


def test_a_broken_stream_ends_in_an_error_that_is_taken(router):
    with send(router, f"{SUITE}-cut/api", stream=True) as stream:
        chunks = list(stream)
    assert chunks[-1].error.message and chunks[-1].error.code >= 500
    assert chunks[-1].choices[0].finish_reason == "error"
    assert ANSWER.startswith(text_of(chunks)) and text_of(chunks) != ANSWER


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("refused/api", errors.BadRequestResponseError),
        ("limited/api", errors.TooManyRequestsResponseError),
        ("down/api", errors.BadGatewayResponseError),
        ("badkey/api", errors.ServiceUnavailableResponseError),
        ("nobody/api", errors.NotFoundResponseError),
    ],
)
def test_an_error_keeps_its_class(router, model, kind):
    with pytest.raises(kind) as raised:
        send(router, f"{SUITE}-{model}")
    assert raised.value.data.error.message


def test_a_wrong_key_is_an_authentication_error():
    with client("sk-wrong") as stranger, pytest.raises(errors.UnauthorizedResponseError):
        send(stranger, f"{SUITE}-chat/ok0")
