// Owns the processes that the page is tried on: mock providers and the proxy, on free ports. It ends what it started.
import { spawn } from "node:child_process";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const BINARY = new URL("../../target/debug/mainstay", import.meta.url).pathname;
const START = 20_000;

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** Waits until `holds` returns something, and returns it with the milliseconds that it took. */
export async function eventually(what, holds, within = 10_000) {
  const begun = performance.now();
  for (;;) {
    const found = await holds();
    const took = performance.now() - begun;
    if (found) return { found, took };
    if (took > within) throw new Error(`never: ${what}`);
    await sleep(20);
  }
}

/** Starts the program; `address` finds what is waited for in a line of what it says. */
function start(args, address) {
  const child = spawn(BINARY, args, { stdio: ["ignore", "pipe", "pipe"] });
  const said = [];
  const ready = new Promise((done, fail) => {
    const read = (line) => {
      said.push(line);
      const found = address(line);
      if (found) done(found);
    };
    createInterface({ input: child.stdout }).on("line", read);
    createInterface({ input: child.stderr }).on("line", read);
    child.on("exit", (code) => fail(new Error(`${args[0]} ended with ${code}:\n${said.join("\n")}`)));
    setTimeout(() => fail(new Error(`${args[0]} never began:\n${said.join("\n")}`)), START).unref();
  });
  return { child, said, ready };
}

function logged(line, message) {
  try {
    const entry = JSON.parse(line);
    return entry.message === message ? entry : null;
  } catch {
    return null;
  }
}

/** One mock provider that answers quickly. */
async function mock(folder, name) {
  const script = join(folder, `${name}.json`);
  writeFileSync(script, JSON.stringify({ name, first_token: "20ms", pace: "1ms", tokens: 20 }));
  const process = start(["mock", "--listen", "127.0.0.1:0", "--script", script], (line) => line.match(/127\.0\.0\.1:\d+/)?.[0]);
  return { ...process, address: await process.ready };
}

export class Stage {
  /** `admin`: fields of the admin listener; `endpoints`: so many, over two providers. */
  static async open({ admin = {}, endpoints = 2 } = {}) {
    const stage = new Stage();
    stage.folder = mkdtempSync(join(tmpdir(), "mainstay-page-"));
    stage.mocks = [await mock(stage.folder, "first"), await mock(stage.folder, "second")];
    const [first, second] = stage.mocks.map(({ address }) => `http://${address}/v1`);
    const models = {};
    for (let count = 0; count < endpoints / 2; count += 1) {
      models[`t/m${count}`] = { endpoints: [{ provider: "first" }, { provider: "second" }] };
    }
    stage.config = {
      server: { listen: ["127.0.0.1:0"], admin: { listen: "127.0.0.1:0", ...admin } },
      providers: { first: { base_url: first, auth: "none" }, second: { base_url: second, auth: "none" } },
      models,
      policies: { default: { sort: "ordered" } },
      health: { trip_after: 1, rest: { server_error: "10s" } },
    };
    stage.file = join(stage.folder, "mainstay.yaml");
    stage.write(stage.config);
    stage.proxy = start(["run", "-c", stage.file], (line) => logged(line, "serving"));
    const serving = await stage.proxy.ready;
    Object.assign(stage, { data: `http://${serving.listen}`, admin: `http://${serving.admin}` });
    return stage;
  }

  /** JSON is YAML; replaced in one step, as editors do. */
  write(config) {
    writeFileSync(`${this.file}.next`, typeof config === "string" ? config : JSON.stringify(config));
    renameSync(`${this.file}.next`, this.file);
  }

  async ask(model = "t/m0") {
    const body = JSON.stringify({ model, stream: true, messages: [{ role: "user", content: "hello" }] });
    const answer = await fetch(`${this.data}/v1/chat/completions`, { method: "POST", body });
    await answer.text();
    return answer.status;
  }

  /** Breaks or mends the first provider. */
  async fault(fault) {
    const [{ address }] = this.mocks;
    const how = fault ? { method: "POST", body: JSON.stringify(fault) } : { method: "DELETE" };
    await fetch(`http://${address}/mock/fault`, how);
  }

  async close() {
    for (const { child } of [this.proxy, ...this.mocks]) {
      child.removeAllListeners("exit");
      child.kill("SIGKILL");
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}
