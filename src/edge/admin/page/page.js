// The status page. It draws what `/api/events` tells, asks `/api/requests` for recoveries, and sends what the operator
// decides. Its lines begin with what `/api/history` tells of the last
// five minutes; it keeps ten, and nothing beyond the tab.
"use strict";

const KEPT = 600; // pictures of about a second each
const STEP = 5; // seconds from one point of a small line to the next
const POINTS = 60;
const PATIENCE = 2000; // milliseconds
const $ = (id) => document.getElementById(id);

// --- small things -----------------------------------------------------------------------------

/** An element with attributes and children; text is always text, never markup. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") element.addEventListener("click", value);
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const percent = (share, digits = 0) => (share == null ? "–" : `${(share * 100).toFixed(digits)} %`);
const number = (value, digits = 0) => (value == null ? "–" : value.toFixed(digits));
const milliseconds = (value) => {
  if (value == null) return "–";
  return value < 1000 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(1)} s`;
};
const clock = (at) => new Date(at).toLocaleTimeString([], { hour12: false });
/** With its zone: pictures of the page are read beside those of others. */
const told = () => new Date().toLocaleTimeString([], { hour12: false, timeZoneName: "short" });

/** What a breaker's word means for traffic; "closed" sounds like a closed door. */
const MEANINGS = {
  closed: "takes traffic", ramp: "takes a growing share", half_open: "gets one try", open: "takes none", blocked: "waits",
  drained: "taken out",
};

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A line of at most 60 points over an 84 by 22 box; gaps where nothing was known. */
function sparkPath(points, from, to) {
  const span = Math.max(to - from, 1e-9);
  let path = "";
  let drawing = false;
  points.forEach((value, index) => {
    if (value == null) {
      drawing = false;
      return;
    }
    const x = (84 * (index + 60 - points.length)) / 59;
    const y = 21 - (20 * (Math.min(Math.max(value, from), to) - from)) / span;
    path += `${drawing ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    drawing = true;
  });
  return path;
}

function spark(label) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "spark");
  svg.setAttribute("viewBox", "0 0 84 22");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `${label}, the last five minutes`);
  svg.append(document.createElementNS("http://www.w3.org/2000/svg", "path"));
  return svg;
}

// --- endpoints --------------------------------------------------------------------------------

const known = new Map(); // id -> { row, cells, past, latest }
let earlier = { at: [], endpoints: {} }; // before the page was there
let opened = null; // { id, row, charts }

function newEndpoint(id) {
  const cell = (label, ...children) => make("td", { "data-label": label }, ...children);
  const name = make("button", { class: "name", "aria-expanded": "false", onclick: () => toggle(id) });
  // Where it has to break, it breaks before its provider.
  id.split(/(?<=@)/).forEach((part, at) => name.append(...(at ? [make("wbr"), part] : [part])));
  const state = make("span", { class: "state" });
  const meaning = make("span", { class: "sub whole" });
  const blocked = make("span", { class: "sub" });
  const pair = (label) => ({ text: make("span"), line: spark(label) });
  const [success, share, first] = [pair("success"), pair("share"), pair("time to first token")];
  const [speed, flight, failure] = [make("span"), make("span"), make("span")];
  const act = make("button", { onclick: () => move(id) });
  const paired = ({ text, line }) => make("div", { class: "pair" }, text, line);
  const row = make("tr", { "data-id": id },
    make("td", {}, name), cell("state", state, meaning, blocked), cell("success", paired(success)),
    cell("share", paired(share)), cell("first token", paired(first)), cell("tokens/s", speed),
    cell("in flight", flight), cell("last failure", failure), make("td", {}, act));
  const past = { at: [], health: [], share: [], p50: [], p95: [] };
  const coarse = { at: [], health: [], share: [], p50: [] };
  recall(id, past, coarse);
  return { row, past, coarse, cells: { name, state, meaning, blocked, success, share, first, speed, flight, failure, act } };
}

/** What the process noted before the page was there. */
function recall(id, past, coarse) {
  const lines = earlier.endpoints[id];
  if (!lines) return;
  past.at.push(...earlier.at.map((at) => at / 1000));
  coarse.at.push(...past.at);
  for (const [key, values] of Object.entries(lines)) {
    past[key].push(...values);
    coarse[key]?.push(...values);
  }
}

/** A point of the small lines: another where the last is old enough, else in its place. */
function rememberCoarsely(coarse, next) {
  const last = coarse.at.at(-1);
  const before = coarse.at.at(-2);
  if (last !== undefined && before !== undefined && last - before < STEP) Object.values(coarse).forEach((line) => line.pop());
  for (const [key, line] of Object.entries(coarse)) {
    line.push(next[key]);
    if (line.length > POINTS) line.shift();
  }
}

function remember({ past, coarse }, endpoint) {
  const next = {
    at: Date.now() / 1000, health: endpoint.health, share: endpoint.share,
    p50: endpoint.ttft_ms?.p50 ?? null, p95: endpoint.ttft_ms?.p95 ?? null,
  };
  for (const [key, value] of Object.entries(next)) {
    past[key].push(value);
    if (past[key].length > KEPT) past[key].shift();
  }
  rememberCoarsely(coarse, next);
}

function drawEndpoint(entry, endpoint) {
  const { cells, coarse } = entry;
  const { state } = endpoint;
  if (entry.latest && entry.latest.state !== state) announce(`${endpoint.id} is ${state.replace("_", " ")}`);
  entry.latest = endpoint;
  setText(cells.state, state.replace("_", " "));
  cells.state.dataset.state = state;
  const waits = endpoint.blocked_until ? `until ${clock(endpoint.blocked_until)}` : "";
  const cap = endpoint.rate_cap == null ? "" : `at most ${number(endpoint.rate_cap, 1)}/s`;
  setText(cells.meaning, MEANINGS[state] ?? "");
  setText(cells.blocked, [waits, cap].filter(Boolean).join(", "));
  setText(cells.success.text, percent(endpoint.health, 1));
  setText(cells.share.text, percent(endpoint.share));
  setText(cells.first.text, milliseconds(endpoint.ttft_ms?.p50));
  setText(cells.speed, number(endpoint.tokens_per_second));
  setText(cells.flight, String(endpoint.in_flight));
  const { last_failure: last } = endpoint;
  setText(cells.failure, last ? `${last.class} ${clock(last.at)}` : "none");
  setText(cells.act, state === "drained" ? "Enable" : "Drain");
  cells.act.setAttribute("aria-label", `${state === "drained" ? "Enable" : "Drain"} ${endpoint.id}`);
  const lines = [
    [cells.success, coarse.health, 0, 1],
    [cells.share, coarse.share, 0, 1],
    [cells.first, coarse.p50, 0, Math.max(...coarse.p50.map((value) => value ?? 0), 1)],
  ];
  for (const [{ line }, values, from, to] of lines) line.firstChild.setAttribute("d", sparkPath(values, from, to));
}

function drawEndpoints(list) {
  const seen = new Set();
  for (const endpoint of list) {
    seen.add(endpoint.id);
    let entry = known.get(endpoint.id);
    if (!entry) {
      entry = newEndpoint(endpoint.id);
      known.set(endpoint.id, entry);
      $("rows").append(entry.row);
    }
    remember(entry, endpoint);
    drawEndpoint(entry, endpoint);
  }
  for (const [id, entry] of known) {
    if (seen.has(id)) continue;
    if (opened?.id === id) close();
    entry.row.remove();
    known.delete(id);
  }
  const unwell = list.filter(({ state }) => state !== "closed").length;
  setText($("tally"), `${list.length}, ${unwell} not closed`);
  drawModels(list);
  drawDetail();
  filter();
}

function drawModels(list) {
  const models = [...new Set(list.map(({ model }) => model))];
  if ($("models").childElementCount === models.length) return;
  $("models").replaceChildren(...models.map((model) => make("option", { value: model })));
}

function filter() {
  const words = $("find").value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const { row, latest } of known.values()) {
    const text = `${latest.id} ${latest.provider} ${latest.state}`.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
  }
}

async function move(id) {
  const { cells, latest } = known.get(id);
  const verb = latest.state === "drained" ? "enable" : "drain";
  cells.act.disabled = true;
  await send(`/api/endpoints/${encodeURIComponent(id)}/${verb}`);
  cells.act.disabled = false;
}

// --- one endpoint in full -----------------------------------------------------------------------

function toggle(id) {
  const again = opened?.id === id;
  close();
  if (!again) open(id);
}

function close() {
  if (!opened) return;
  known.get(opened.id)?.cells.name.setAttribute("aria-expanded", "false");
  opened.charts.forEach(({ plot }) => plot.destroy());
  opened.row.remove();
  opened = null;
}

function open(id) {
  const entry = known.get(id);
  const figures = make("div", { class: "charts" });
  const facts = make("dl", { class: "facts" });
  const row = make("tr", { class: "detail" }, make("td", { colspan: "9" }, figures, facts));
  entry.row.after(row);
  entry.cells.name.setAttribute("aria-expanded", "true");
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const chart = (title, series, keys, range) => {
    const figure = make("figure", {}, make("figcaption", {}, title));
    figures.append(figure);
    const axis = { stroke: colour("--dim"), grid: { stroke: colour("--line"), width: 1 } };
    const plot = new uPlot({
      width: Math.min(380, document.documentElement.clientWidth - 60), height: 150,
      scales: { y: { range } }, axes: [axis, { ...axis, size: 56 }],
      series: [{}, ...series.map(([label, name]) => ({ label, stroke: colour(name), width: 1.5 }))],
    }, [[], ...series.map(() => [])], figure);
    return { plot, keys };
  };
  const fromZero = (_, low, high) => [0, Math.max(high ?? 0, 1)];
  opened = { id, row, facts, charts: [
    chart("time to first token, ms", [["p50", "--accent"], ["p95", "--warn"]], ["p50", "p95"], fromZero),
    chart("expected success and share", [["success", "--good"], ["share", "--accent"]], ["health", "share"], [0, 1]),
  ] };
  drawDetail();
}

function drawDetail() {
  if (!opened) return;
  const { past, latest } = known.get(opened.id);
  for (const { plot, keys } of opened.charts) plot.setData([past.at, ...keys.map((key) => past[key])]);
  const failures = Object.entries(latest.failures).map(([name, count]) => `${name} ${count}`).join(", ");
  const left = Object.entries(latest.remaining ?? {})
    .map(([name, { limit, left: rest }]) => `${name} ${rest}${limit ? ` of ${limit}` : ""}`).join(", ");
  const facts = [
    ["uptime", `${percent(latest.uptime["5m"], 1)} (5 min), ${percent(latest.uptime["30m"], 1)} (30 min), ${percent(latest.uptime["1d"], 2)} (day)`],
    ["first token", `p50 ${milliseconds(latest.ttft_ms?.p50)}, p95 ${milliseconds(latest.ttft_ms?.p95)}, p99 ${milliseconds(latest.ttft_ms?.p99)}`],
    ["failures since the start", failures || "none"],
    ["left of its limits", left || "not told"],
  ];
  const shown = facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]);
  opened.facts.replaceChildren(...shown);
}

// --- recoveries, reloads, explanations ------------------------------------------------------------

function drawRecovery(request) {
  const end = Math.max(...request.attempts.map((one) => one.end_ms ?? one.start_ms), 1);
  const bars = request.attempts.flatMap((one) => {
    const bar = make("i", { "data-class": one.class });
    bar.style.left = `${(100 * one.start_ms) / end}%`;
    bar.style.width = `${(100 * ((one.end_ms ?? end) - one.start_ms)) / end}%`;
    const took = milliseconds((one.end_ms ?? end) - one.start_ms);
    return [
      make("span", { class: "name" }, one.endpoint),
      make("span", { class: "track" }, bar),
      make("span", {}, `${one.class.replaceAll("_", " ")}, ${took}`),
    ];
  });
  return make("li", {},
    make("time", { datetime: request.at }, clock(request.at)),
    `${request.model} ${request.result}, ${milliseconds(request.recovery_ms)} lost `,
    make("a", { href: `/api/requests/${encodeURIComponent(request.id)}` }, request.id),
    make("div", { class: "waterfall" }, ...bars));
}

/** Said only once the process has answered: before that nobody knows. */
function noneYet() {
  return make("li", { class: "none" }, "none yet");
}

async function askRecoveries() {
  const answer = await fetch("/api/requests?recovered=1&limit=12").catch(() => null);
  if (!answer?.ok) return;
  const requests = await answer.json();
  const list = (requests.requests ?? requests).map(drawRecovery);
  $("recoveries").replaceChildren(...(list.length ? list : [noneYet()]));
}

function drawReloads(list) {
  const items = list.map((entry) => {
    const changes = entry.changes.map(describeChange).join("\n");
    const said = entry.error ?? (changes || "nothing changed");
    const detail = make("pre", entry.error ? { class: "bad" } : {}, said);
    const title = entry.error ? "refused, generation" : "generation";
    return make("li", {}, make("time", { datetime: entry.at }, clock(entry.at)), `${title} ${entry.generation}`, detail);
  });
  $("reloads").replaceChildren(...(items.length ? items : [noneYet()]));
}

function describeChange({ change, kind, name, field, from, to, needs_restart: restart }) {
  const what = [kind.replaceAll("_", " "), name].filter(Boolean).join(" ");
  const sign = { added: "+", removed: "-" }[change] ?? "~";
  const value = field ? `: ${field} ${from ?? "none"} → ${to ?? "none"}` : "";
  return `${sign} ${what}${value}${restart ? " (takes a restart)" : ""}`;
}

async function reload() {
  $("reload").disabled = true;
  const answer = await send("/api/reload");
  const told = await answer?.json().catch(() => null);
  const said = { applied: "applied", unchanged: "the file is the one that serves", refused: "refused: the old one serves on" };
  setText($("reload-said"), told ? said[told.result] ?? told.result : "");
  $("reload").disabled = false;
}

async function explain(event) {
  event.preventDefault();
  const form = new FormData(event.target);
  const query = new URLSearchParams({ model: form.get("model"), stream: form.get("stream") ? "1" : "0" });
  if (form.get("key")) query.set("key", form.get("key"));
  const answer = await fetch(`/api/explain?${query}`).catch(() => null);
  const shown = answer?.ok ? explanation(await answer.json()) : [make("p", { class: "bad" }, await answer?.text() ?? "no answer")];
  $("explained").replaceChildren(...shown);
}

function explanation({ policy, models, if_first_fails: failure }) {
  const rows = models.flatMap(({ endpoints }) => endpoints.map((one) => make("tr", {},
    make("td", {}, one.id),
    make("td", { "data-label": "verdict" }, one.verdict, make("span", { class: "sub" }, one.why ?? "")),
    make("td", { "data-label": "share" }, percent(one.share)),
    make("td", { "data-label": "score" }, number(one.score, 2)),
    make("td", { "data-label": "first token" }, milliseconds(one.latency_seconds == null ? null : one.latency_seconds * 1000)),
    make("td", { "data-label": "cost" }, one.cost == null ? "–" : `$${one.cost.toPrecision(2)}`))));
  const heads = ["Endpoint", "Verdict", "Share", "Score", "First token", "Cost"].map((name) => make("th", { scope: "col" }, name));
  const table = make("table", {}, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows));
  const shown = [make("p", {}, `policy ${policy.name} (${policy.sort}), ${policy.attempts} attempts`), table];
  if (failure) {
    const next = failure.next ? `then ${failure.next}` : "then nobody is left";
    shown.push(make("p", {}, `If ${failure.first} fails: at most ${number(failure.seconds_lost_at_most, 1)} s lost, ${next}`));
  }
  return shown;
}

// --- the connection ---------------------------------------------------------------------------

function announce(text) {
  $("announcer").textContent = text;
}

function trouble(text) {
  $("trouble").hidden = !text;
  setText($("trouble"), text);
}

async function send(path) {
  const answer = await fetch(path, { method: "POST" }).catch(() => null);
  if (!answer) trouble("The process does not answer.");
  else if (!answer.ok && answer.status !== 422) trouble(await answer.clone().text());
  return answer;
}

function drawStatus({ version, config, draining, uptime_seconds: up }) {
  const since = up < 120 ? `${up} s` : up < 7200 ? `${Math.round(up / 60)} min` : `${Math.round(up / 3600)} h`;
  const state = draining ? ", draining" : "";
  setText($("standing"), `${version}, up ${since}, generation ${config.generation} (${config.hash.slice(0, 8)})${state}`);
  const restart = config.needs_restart.length ? `Takes a restart:\n${config.needs_restart.join("\n")}` : "";
  trouble([config.last_error, restart].filter(Boolean).join("\n\n"));
}

function live(state, text) {
  $("live").dataset.state = state;
  setText($("live"), text);
}

function listen() {
  const events = new EventSource("/api/events");
  const on = (name, draw) => events.addEventListener(name, ({ data }) => {
    live("live", "live");
    setText($("as-of"), `figures of ${told()}`);
    draw(JSON.parse(data));
  });
  on("endpoints", drawEndpoints);
  on("status", drawStatus);
  on("reloads", drawReloads);
  events.addEventListener("error", async () => {
    live("lost", "no connection, trying again");
    if (events.readyState !== EventSource.CLOSED) return;
    // Refused: the session is over, or too many pages are open.
    const answer = await fetch("/api/status").catch(() => null);
    if (answer?.status === 401) location.reload();
    else setTimeout(listen, 3000);
  });
}

$("find").addEventListener("input", filter);
$("reload").addEventListener("click", reload);
$("explain").addEventListener("submit", explain);
/** The lines' past is worth a moment, and no more: without it the page shows what is now. */
async function begin() {
  try {
    const answer = await fetch("/api/history", { signal: AbortSignal.timeout(PATIENCE) });
    if (answer.ok) earlier = await answer.json();
  } catch (error) {
    console.warn("the lines begin now", error);
  }
  listen();
}

begin();
askRecoveries();
setInterval(askRecoveries, 2000);
