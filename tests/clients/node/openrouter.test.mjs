// OpenRouter's SDK for Node, which checks every field of an answer, on the base path of its clients.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { OpenRouter } from "@openrouter/sdk";
import * as errors from "@openrouter/sdk/models/errors";

import { ANSWER, CLIENT_KEY, DEADLINE, PROXY, collect, textOf } from "./surroundings.mjs";

const SUITE = "or";
const HELLO = [{ role: "user", content: "hello" }];
// Retries of the SDK would hide ours, and those that are missing.
const router = (apiKey = CLIENT_KEY) =>
  new OpenRouter({ apiKey, serverURL: `${PROXY}/api/v1`, retryConfig: { strategy: "none" }, timeoutMs: DEADLINE });
const send = (model, options = {}, from = router()) =>
  from.chat.send({ chatRequest: { model, messages: HELLO, ...options } });

describe("OpenRouter's SDK takes the answers", () => {
  for (const row of ["ok0", "s04", "s08"]) {
    it(`a chat: ${row}`, async () => {
      const answer = await send(`${SUITE}-chat/${row}`);
      assert.equal(answer.choices[0].message.content, ANSWER);
      assert.equal(answer.model, `${SUITE}-chat/ok0`);
      assert.ok(answer.usage.totalTokens > 0);
    });
  }

  for (const row of ["ok0", "s04", "s11"]) {
    it(`a stream: ${row}`, async () => {
      const chunks = await collect(await send(`${SUITE}-stream/${row}`, { stream: true }));
      assert.equal(textOf(chunks), ANSWER);
      assert.equal(chunks.flatMap((chunk) => chunk.choices).at(-1).finishReason, "stop");
    });
  }

  it("a stream with its usage", async () => {
    const options = { stream: true, streamOptions: { includeUsage: true } };
    const chunks = await collect(await send(`${SUITE}-stream-usage/ok0`, options));
    assert.ok(chunks.at(-1).usage.totalTokens > 0);
  });

  it("the list of models", async () => {
    const { result } = await router().models.list();
    assert.ok(result.data.some((model) => model.id === `${SUITE}-chat/ok0`));
  });

  it("the error at the end of a broken stream", async () => {
    const chunks = await collect(await send(`${SUITE}-cut/api`, { stream: true }));
    const last = chunks.at(-1);
    assert.ok(last.error.message && last.error.code >= 500, JSON.stringify(last));
    assert.equal(last.choices[0].finishReason, "error");
    assert.ok(ANSWER.startsWith(textOf(chunks)) && textOf(chunks) !== ANSWER);
  });
});

describe("OpenRouter's SDK takes the errors for what they are", () => {
  const cases = {
    "a refused parameter": ["refused/api", errors.BadRequestResponseError],
    "a limit everywhere": ["limited/api", errors.TooManyRequestsResponseError],
    "a failure everywhere": ["down/api", errors.BadGatewayResponseError],
    "a rejected provider key": ["badkey/api", errors.ServiceUnavailableResponseError],
    "an unknown model": ["nobody/api", errors.NotFoundResponseError],
  };
  for (const [name, [model, kind]] of Object.entries(cases)) {
    it(name, async () => {
      const error = await send(`${SUITE}-${model}`).catch((error) => error);
      assert.equal(error.constructor, kind, String(error));
      assert.equal(error.error.code, error.statusCode);
      assert.ok(error.error.message);
    });
  }

  it("a wrong key", async () => {
    const error = await send(`${SUITE}-chat/ok0`, {}, router("sk-wrong")).catch((error) => error);
    assert.equal(error.constructor, errors.UnauthorizedResponseError, String(error));
  });
});
