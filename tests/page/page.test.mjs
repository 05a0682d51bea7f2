// The status page in a real browser: what an operator sees within a second, and what they can do there.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, before, test } from "node:test";
import puppeteer from "puppeteer-core";
import { Stage, eventually, sleep } from "./stage.mjs";

const PICTURES = process.env.PICTURES;
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
let browser;

before(async () => {
  // Containers have no user namespaces for the sandbox; only this machine's own pages are opened.
  browser = await puppeteer.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-gpu"] });
});
after(() => browser?.close());

/** Opens the page; every request to any other host, every error and every refusal by the policy is a failure. */
async function open(stage, { width = 1280, height = 900, scheme = "light" } = {}) {
  const page = await browser.newPage();
  const wrong = [];
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(stage.admin) && !url.startsWith("data:")) wrong.push(url);
  });
  page.on("pageerror", (error) => wrong.push(String(error)));
  page.on("console", (message) => message.type() === "error" && !message.text().includes("Failed to load resource") && wrong.push(message.text()));
  await page.setViewport({ width, height });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  await page.goto(stage.admin);
  return { page, wrong };
}

async function picture(page, name, fullPage = true) {
  if (!PICTURES) return;
  mkdirSync(PICTURES, { recursive: true });
  await page.screenshot({ path: `${PICTURES}/${name}.png`, fullPage });
}

const stateOf = (page, id) => page.$eval(`tr[data-id="${id}"] .state`, (element) => element.dataset.state).catch(() => null);
const count = (page, selector) => page.$$eval(selector, (all) => all.length);
const text = (page, selector) => page.$eval(selector, (element) => element.textContent);
const FIRST = "t/m0@first/default";

async function within(stage, use) {
  try {
    await use();
  } finally {
    await stage.close();
  }
}

test("it is live within a moment, says of when its figures are, and waits for no history", async () => {
  const stage = await Stage.open();
  await within(stage, async () => {
    const { page, wrong } = await open(stage);
    const { took } = await eventually("figures", async () => (await text(page, "#live")) === "live" && (await count(page, "#rows tr")) === 2);
    console.log(`figures were there ${took.toFixed(0)} ms after the page was loaded`);
    assert.ok(took < 3000, `${took} ms`);
    assert.match(await text(page, "#as-of"), /^figures of \d+:\d\d:\d\d( [AP]M)? \S+/);
    const cell = await page.$eval(`tr[data-id="${FIRST}"] td[data-label="state"]`, (element) => element.innerText);
    assert.match(cell, /closed\s+takes traffic/);
    assert.deepEqual(wrong, []);

    const held = await browser.newPage();
    await held.setRequestInterception(true);
    held.on("request", (request) => request.url().includes("/api/history") || request.continue());
    await held.goto(stage.admin);
    await eventually("figures without a history", async () => (await count(held, "#rows tr")) === 2);
    assert.equal(await text(held, "#live"), "live");
  });
});

test("a trip shows within a second, and a drain, a reload and an explanation work", async () => {
  const stage = await Stage.open();
  await within(stage, async () => {
    const { page, wrong } = await open(stage);
    await eventually("both endpoints", async () => (await count(page, "#rows tr")) === 2);
    for (let asked = 0; asked < 5; asked += 1) assert.equal(await stage.ask(), 200);
    await stage.fault({ kind: "status", status: 503 });
    for (let asked = 0; asked < 4; asked += 1) assert.equal(await stage.ask(), 200);
    const endpoints = async () => (await fetch(`${stage.admin}/api/endpoints`)).json();
    await eventually("a trip", async () => (await endpoints())[0].state === "open");
    const { took } = await eventually("a trip on the page", async () => (await stateOf(page, FIRST)) === "open");
    console.log(`a trip showed ${took.toFixed(0)} ms after the process knew of it`);
    assert.ok(took < 1000, `${took} ms`);
    await eventually("a word to screen readers", async () => (await text(page, "#announcer")).includes(FIRST));
    await page.focus(`tr[data-id="${FIRST}"] button.name`);
    await page.keyboard.press("Enter");
    await eventually("two charts", async () => (await count(page, ".detail canvas")) === 2);
    assert.match(await text(page, ".detail dl"), /server_error|overloaded/);

    const second = "t/m0@second/default";
    await page.click(`tr[data-id="${second}"] td:last-child button`);
    await eventually("a drain", async () => (await stateOf(page, second)) === "drained");
    assert.equal((await endpoints())[1].state, "drained");
    await page.click(`tr[data-id="${second}"] td:last-child button`);
    await eventually("an end of it", async () => (await stateOf(page, second)) === "closed");

    await page.type("#explain input[name=model]", "t/m0");
    await page.click("#explain button");
    await eventually("an explanation", async () => (await count(page, "#explained tbody tr")) === 2);
    assert.match(await text(page, "#explained"), /policy default \(ordered\)/);

    stage.write({ ...stage.config, health: { trip_after: 5 } });
    await page.click("#reload");
    await eventually("a reload", async () => (await text(page, "#reloads")).includes("trip_after"));
    await sleep(1500);
    await picture(page, "status-page");
    stage.write("models: nonsense");
    await page.click("#reload");
    await eventually("a refusal", async () => (await text(page, "#trouble")).includes("mainstay.yaml:1"));
    assert.match(await text(page, "#reload-said"), /refused/);
    assert.deepEqual(wrong, []);
  });
});

test("a recovery is drawn as it was, and the lines begin before the page", async () => {
  const stage = await Stage.open();
  await within(stage, async () => {
    for (let asked = 0; asked < 3; asked += 1) assert.equal(await stage.ask(), 200);
    // The first answers 503 after a while, so that its bar has a length.
    await stage.fault({ kind: "status", status: 503, delay: "300ms" });
    assert.equal(await stage.ask(), 200);
    const history = async () => (await fetch(`${stage.admin}/api/history`)).json();
    await eventually("two moments", async () => (await history()).at.length >= 2, 20_000);
    const { page, wrong } = await open(stage);

    await eventually("a recovery", async () => (await count(page, "#recoveries .waterfall")) === 1);
    const [kept] = await (await fetch(`${stage.admin}/api/requests?recovered=1`)).json();
    assert.deepEqual(kept.attempts.map((one) => one.endpoint), [FIRST, "t/m0@second/default"]);
    const drawn = await page.$eval("#recoveries .waterfall", (waterfall) => {
      const names = [...waterfall.querySelectorAll(".name")].map((name) => name.textContent);
      const bars = [...waterfall.querySelectorAll(".track")].map((track) => {
        const [whole, bar] = [track.getBoundingClientRect(), track.firstElementChild.getBoundingClientRect()];
        return { class: track.firstElementChild.dataset.class, from: (bar.left - whole.left) / whole.width, to: (bar.right - whole.left) / whole.width, top: bar.top };
      });
      return { names, bars, text: waterfall.textContent };
    });
    assert.deepEqual(drawn.names, kept.attempts.map((one) => one.endpoint));
    assert.deepEqual(drawn.bars.map((bar) => bar.class), kept.attempts.map((one) => one.class));
    const end = kept.attempts[1].end_ms;
    kept.attempts.forEach(({ start_ms: start, end_ms: over }, at) => {
      const { from, to } = drawn.bars[at];
      // A bar has at least a few pixels, however short the attempt.
      assert.ok(Math.abs(from - start / end) < 0.02, `bar ${at} begins at ${from}, ${start} of ${end} ms`);
      assert.ok(Math.abs(to - over / end) < 0.03, `bar ${at} ends at ${to}, ${over} of ${end} ms`);
    });
    assert.ok(kept.attempts[0].end_ms >= 300 && kept.attempts[1].start_ms >= kept.attempts[0].end_ms, JSON.stringify(kept));
    assert.ok(drawn.bars[1].top > drawn.bars[0].top, "the first attempt is above the second");
    assert.match(drawn.text, /overloaded|server error/);
    assert.match(await text(page, "#recoveries li"), new RegExp(`t/m0 answered, ${kept.recovery_ms} ms lost`));

    // What the process noted before the page was opened is there at once.
    const points = await page.$eval(`tr[data-id="${FIRST}"] .spark path`, (path) => path.getAttribute("d").split(/[ML]/).length - 1);
    assert.ok(points >= 3, `${points} points: those of the history and the page's own`);
    const before = (await history()).endpoints[FIRST];
    assert.ok(before.health.length >= 2 && before.p50.some((value) => value > 0), JSON.stringify(before));
    assert.deepEqual(wrong, []);
  });
});

test("with a token there is a form, a cookie that no script reads, and an end", async () => {
  const stage = await Stage.open({ admin: { token: "the-operators-token" } });
  await within(stage, async () => {
    const { page, wrong } = await open(stage);
    assert.equal(await count(page, "#rows"), 0);
    await page.type("#token", "a guess");
    await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
    assert.match(await text(page, "[role=alert]"), /not the token/);
    await picture(page, "status-page-login");
    await page.type("#token", "the-operators-token");
    await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
    await eventually("the endpoints", async () => (await count(page, "#rows tr")) === 2);
    const [cookie] = await browser.cookies();
    assert.deepEqual([cookie.httpOnly, cookie.sameSite], [true, "Strict"]);
    assert.ok(!cookie.value.includes("token"));
    assert.equal(await page.evaluate(() => document.cookie), "");
    await Promise.all([page.waitForNavigation(), page.click("header form button")]);
    assert.equal(await count(page, "#token"), 1);
    const status = await page.evaluate(async () => (await fetch("/api/status")).status);
    assert.equal(status, 401);
    assert.deepEqual(wrong, []);
  });
});

test("two hundred endpoints, in the dark and on a phone", async () => {
  const stage = await Stage.open({ endpoints: 200 });
  await within(stage, async () => {
    const { page, wrong } = await open(stage, { width: 390, height: 844, scheme: "dark" });
    await eventually("all endpoints", async () => (await count(page, "#rows tr")) === 200);
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(overflow <= 0, `${overflow} pixels stand out`);
    const busy = await page.evaluate(() => new Promise((done) => {
      let longest = 0;
      let last = performance.now();
      const look = (now) => {
        longest = Math.max(longest, now - last);
        last = now;
        if (now - first < 3000) requestAnimationFrame(look);
        else done(longest);
      };
      const first = last;
      requestAnimationFrame(look);
    }));
    console.log(`the longest frame with 200 endpoints took ${busy.toFixed(0)} ms`);
    assert.ok(busy < 1000, `${busy} ms`);
    await page.type("#find", "t/m17 second");
    const shown = () => page.$$eval("#rows tr", (rows) => rows.filter((row) => !row.hidden).length);
    await eventually("the one that is looked for", async () => (await shown()) === 1);
    await page.$eval("#find", (field) => { field.value = ""; field.dispatchEvent(new Event("input")); });
    await page.evaluate(() => scrollTo(0, 0));
    await picture(page, "status-page-phone", false);
    assert.deepEqual(wrong, []);
  });
});

test("a process that ends is said, and one that comes back is found", async () => {
  const stage = await Stage.open();
  await within(stage, async () => {
    const { page } = await open(stage);
    await eventually("a live page", async () => (await text(page, "#live")) === "live");
    stage.proxy.child.kill("SIGKILL");
    await eventually("a word about it", async () => (await text(page, "#live")).includes("no connection"));
  });
});
