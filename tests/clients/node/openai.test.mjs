// The official OpenAI SDK for Node, through Mainstay and directly.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import OpenAI from "openai";

import {
  ANSWER, CLIENT_KEY, DEADLINE, FIRST, PROVIDER_KEY, PROXY, REFUSAL, REQUESTS, ROWS, SECOND, atProvider, clientLeft,
  collect, fate, isStream, plain, received, served, textOf,
} from "./surroundings.mjs";

const SUITE = "js";
// How the SDK asks each `call` of the table.
const CALLS = {
  "chat.completions": (client) => client.chat.completions,
  completions: (client) => client.completions,
  embeddings: (client) => client.embeddings,
};
const HELLO = [{ role: "user", content: "hello" }];

/** Retries of the SDK would hide ours, and those that are missing. */
const client = (baseURL, apiKey, options = {}) =>
  new OpenAI({ baseURL, apiKey, maxRetries: 0, timeout: DEADLINE, ...options });
const mainstay = client(`${PROXY}/v1`, CLIENT_KEY);
const router = client(`${PROXY}/api/v1`, CLIENT_KEY);
const provider = client(`${SECOND}/v1`, PROVIDER_KEY);
/** A healthy provider's answers; they are the same every time. */
const direct = {};

/** Asks and returns the parsed answer (for a stream its chunks) and the headers. */
async function ask(from, request, model) {
  const { call, body } = REQUESTS[request];
  const { data, response } = await CALLS[call](from).create({ model, ...body }).withResponse();
  return { answer: isStream(request) ? await collect(data) : data, headers: response.headers };
}

async function chat(from, model, way, options = {}) {
  const answer = await from.chat.completions.create({ model, messages: HELLO, stream: way === "stream", ...options });
  return way === "stream" ? collect(answer) : answer;
}

/** The error that a promise ends in, of exactly this class. */
async function errorOf(kind, promise) {
  const error = await promise.then(() => assert.fail("it ended as a success"), (error) => error);
  assert.equal(error.constructor, kind, String(error));
  return error;
}

describe("the answer is the direct one while the first provider fails", () => {
  for (const row of ["ok0", ...Object.keys(ROWS)]) {
    for (const request of Object.keys(REQUESTS)) {
      it(`${row}: ${request}`, async () => {
        const model = `${SUITE}-${request}/${row}`;
        const who = fate(request, row);
        if (who === "refused") {
          const refused = await errorOf(OpenAI.BadRequestError, ask(mainstay, request, model));
          assert.equal(refused.code, "content_policy_violation");
          assert.match(refused.message, /rejected by the safety system/);
        } else if (who === "error") {
          const broken = await errorOf(OpenAI.APIError, ask(mainstay, request, model));
          assert.equal(broken.type, "server_error");
        } else {
          const sound = atProvider(`${SUITE}-${request}/ok0`);
          const name = served(SUITE, request, row);
          direct[request] ??= await ask(provider, request, sound);
          const through = await ask(mainstay, request, model);
          assert.deepEqual(plain(through.answer, name), plain(direct[request].answer, sound));
          assert.equal(through.headers.get("x-mainstay-model"), name);
          const endpoint = through.headers.get("x-mainstay-endpoint");
          assert.ok(endpoint.endsWith(who === "first" ? "@first/default" : "@second/default"), endpoint);
        }
        if (row !== "ok0") assert.ok((await received(FIRST, atProvider(model))).length > 0, "the row was never shown");
      });
    }
  }
});

describe("what the answers hold", () => {
  for (const [base, from] of Object.entries({ "/v1": mainstay, "/api/v1": router })) {
    for (const wanted of [true, false, undefined]) {
      it(`the usage chunk comes exactly when it was asked for: ${wanted} on ${base}`, async () => {
        const options = wanted === undefined ? {} : { stream_options: { include_usage: wanted } };
        const chunks = await chat(from, `${SUITE}-chat/ok0`, "stream", options);
        assert.equal(textOf(chunks), ANSWER);
        assert.equal(chunks.filter((chunk) => chunk.usage).length, wanted ? 1 : 0);
        assert.equal(chunks.filter((chunk) => chunk.choices.length === 0).length, wanted ? 1 : 0);
      });
    }
  }

  it("the stream helper collects the whole answer", async () => {
    const stream = mainstay.chat.completions.stream({ model: `${SUITE}-chat/s11`, messages: HELLO });
    const answer = await stream.finalChatCompletion();
    assert.equal(answer.choices[0].message.content, ANSWER);
    assert.equal(answer.choices[0].finish_reason, "stop");
  });

  it("the arguments of a streamed tool call add up", async () => {
    const { body } = REQUESTS["tools-stream"];
    const stream = mainstay.chat.completions.stream({ model: `${SUITE}-tools-stream/s04`, ...body });
    let pieces = 0;
    stream.on("tool_calls.function.arguments.delta", () => (pieces += 1));
    const [call] = (await stream.finalChatCompletion()).choices[0].message.tool_calls;
    assert.equal(call.function.name, "search");
    assert.deepEqual(JSON.parse(call.function.arguments), { query: "harbour lamps" });
    assert.ok(pieces > 3, "the arguments came in pieces");
  });

  it("structured output is JSON", async () => {
    const { answer } = await ask(mainstay, "schema", `${SUITE}-schema/s08`);
    assert.deepEqual(JSON.parse(answer.choices[0].message.content), JSON.parse(ANSWER));
  });

  it("two choices stream side by side", async () => {
    const { answer } = await ask(mainstay, "two-stream", `${SUITE}-two-stream/s05`);
    assert.deepEqual([textOf(answer, 0), textOf(answer, 1)], [ANSWER, ANSWER]);
  });

  for (const [base, from] of Object.entries({ "/v1": mainstay, "/api/v1": router })) {
    it(`the models are listed on ${base}`, async () => {
      const models = await collect(await from.models.list());
      assert.ok(models.some((model) => model.id === `${SUITE}-chat/ok0` && model.object === "model"));
    });
  }
});

describe("errors", () => {
  for (const way of ["json", "stream"]) {
    it(`a wrong key is an authentication error: ${way}`, async () => {
      const stranger = client(`${PROXY}/v1`, "sk-wrong");
      const error = await errorOf(OpenAI.AuthenticationError, chat(stranger, `${SUITE}-chat/ok0`, way));
      assert.equal(error.code, "invalid_api_key");
    });

    it(`an unknown model is not found: ${way}`, async () => {
      const error = await errorOf(OpenAI.NotFoundError, chat(mainstay, `${SUITE}-chat/ok1`, way));
      assert.deepEqual([error.code, error.param, error.type], ["model_not_found", "model", "invalid_request_error"]);
    });

    it(`a refused parameter is told in the provider's words: ${way}`, async () => {
      const model = `${SUITE}-refused/${way}`;
      const refusing = client(`${FIRST}/v1`, PROVIDER_KEY);
      const told = await errorOf(OpenAI.BadRequestError, chat(mainstay, model, way, { temperature: 9 }));
      const said = await errorOf(OpenAI.BadRequestError, chat(refusing, atProvider(model), way, { temperature: 9 }));
      assert.deepEqual(told.error, said.error);
      assert.equal(told.message, said.message);
      assert.equal(told.error.message, REFUSAL);
    });

    it(`a limit everywhere is a rate limit error that says when to come back: ${way}`, async () => {
      const error = await errorOf(OpenAI.RateLimitError, chat(mainstay, `${SUITE}-limited/${way}`, way));
      assert.equal(error.code, "rate_limit_exceeded");
      const wait = Number(error.headers.get("retry-after"));
      assert.ok(wait >= 1 && wait <= 7, `retry-after: ${wait}`);
    });

    it(`a failure everywhere is a server error: ${way}`, async () => {
      const error = await errorOf(OpenAI.InternalServerError, chat(mainstay, `${SUITE}-down/${way}`, way));
      assert.deepEqual([error.status, error.code, error.type], [502, "server_error", "server_error"]);
    });

    it(`a rejected provider key is not the client's fault: ${way}`, async () => {
      const error = await errorOf(OpenAI.InternalServerError, chat(mainstay, `${SUITE}-badkey/${way}`, way));
      assert.equal(error.status, 503);
    });
  }
});

describe("a broken stream never ends as a success", () => {
  for (const odd of ["cut", "stall"]) {
    for (const [way, from] of Object.entries({ v1: mainstay, api: router })) {
      it(`${odd} on ${way}`, async () => {
        let text = "";
        const read = async () => {
          const body = { model: `${SUITE}-${odd}/${way}`, messages: HELLO, stream: true };
          for await (const chunk of await from.chat.completions.create(body)) {
            text += chunk.choices[0].delta.content ?? "";
            assert.equal(chunk.choices[0].finish_reason, null);
          }
        };
        const error = await errorOf(OpenAI.APIError, read());
        assert.equal(error.type, "server_error");
        assert.ok(text !== "" && text !== ANSWER && ANSWER.startsWith(text), text);
      });
    }
  }

  it("a torn tool call is an error and not a call", async () => {
    const { body } = REQUESTS["tools-stream"];
    const stream = await mainstay.chat.completions.create({ model: `${SUITE}-torn/stream`, ...body });
    await errorOf(OpenAI.APIError, collect(stream));
  });
});

describe("clients that leave are felt by the provider within a second", () => {
  it("a stream that is aborted", async () => {
    const model = `${SUITE}-drip/stream`;
    const stream = await mainstay.chat.completions.create({ model, messages: HELLO, stream: true });
    for await (const chunk of stream) {
      if (chunk.choices[0].delta.content) break;
    }
    stream.controller.abort();
    await clientLeft(FIRST, atProvider(model));
  });

  it("a request that is aborted before its first byte", async () => {
    const model = `${SUITE}-silent/stream`;
    const leaving = new AbortController();
    const body = { model, messages: HELLO, stream: true };
    const asked = mainstay.chat.completions.create(body, { signal: leaving.signal });
    const ended = errorOf(OpenAI.APIUserAbortError, asked);
    await sleep(200);
    leaving.abort();
    await ended;
    await clientLeft(FIRST, atProvider(model));
  });

  it("an answer that is not waited for", async () => {
    const model = `${SUITE}-silent/json`;
    const hasty = client(`${PROXY}/v1`, CLIENT_KEY, { timeout: 300 });
    await errorOf(OpenAI.APIConnectionTimeoutError, chat(hasty, model, "json"));
    await clientLeft(FIRST, atProvider(model));
  });
});
