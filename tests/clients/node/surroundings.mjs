// Owns what Node's suites share: where the processes are, the table of cases, and how two answers are compared.

import { readFileSync } from "node:fs";
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";

const env = process.env;
export const PROXY = env.FLEET_PROXY;
export const FIRST = env.FLEET_FIRST;
export const SECOND = env.FLEET_SECOND;
export const PROVIDER_KEY = env.FLEET_PROVIDER_KEY;
export const CLIENT_KEY = env.FLEET_CLIENT_KEY;
export const ANSWER = `${env.FLEET_ANSWER} `;
export const { requests: REQUESTS, rows: ROWS } = JSON.parse(readFileSync(env.FLEET_CASES, "utf8"));
export const REFUSAL = "Invalid value for 'temperature': 9 is more than the maximum of 2.";
export const DEADLINE = 20_000;

export const isStream = (request) => REQUESTS[request].body.stream === true;

/** Who answers `request` while the first provider shows `row`: first, fallback, refused or error. */
export const fate = (request, row) => (row === "ok0" ? "fallback" : ROWS[row][isStream(request) ? "stream" : "json"]);

/** What the provider calls a model of Mainstay's. */
export const atProvider = (model) => model.replace("-", "_");

/** The name of the model that answers, as the client is told it. */
export const served = (suite, request, row) => `${suite}-${request}/${fate(request, row) === "first" ? row : "ok0"}`;

/**
 * An answer without what may differ: ids and times; `model`, which must be the only name in it; and the null that
 * asking for usage on the client's behalf puts into each event.
 */
export function plain(value, model) {
  if (Array.isArray(value)) return value.map((item) => plain(item, model));
  if (value === null || typeof value !== "object") return value;
  if ("model" in value) assert.equal(value.model, model);
  const kept = Object.entries(value).filter(
    ([key, item]) => !["id", "created", "model", "_request_id"].includes(key) && !(key === "usage" && item === null),
  );
  return Object.fromEntries(kept.map(([key, item]) => [key, plain(item, model)]));
}

/** What a mock got for a model (its own name of it), in order. */
export async function received(mock, model) {
  const entries = await (await fetch(`${mock}/mock/received`)).json();
  return entries.filter((entry) => entry.model === model);
}

/** Waits until the mock has seen the client of its last request for `model` leave. */
export async function clientLeft(mock, model, within = 1000) {
  const until = Date.now() + within;
  let fates = [];
  while (Date.now() < until) {
    fates = (await received(mock, model)).map((entry) => entry.fate);
    if (fates.at(-1) === "client_left") return;
    await sleep(20);
  }
  assert.fail(`after ${within} ms the provider still has: ${fates}`);
}

export async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

export const textOf = (chunks, index = 0) =>
  chunks.flatMap((chunk) => chunk.choices.filter((choice) => choice.index === index))
    .map((choice) => choice.delta.content ?? "").join("");
