"""Plays incidents with real processes in real time, and the same ones in the simulator: do they agree?

Four `mainstay mock` providers stand behind one `mainstay run` with the default settings; a client sends streams as a
Poisson process. Nothing is scaled: the routing's constants (30 s of memory, rests from 1 s) cannot be, so incidents are
short instead: 25 s of calm, 20 s of trouble, 20 s after it. `mainstay simulate` plays the same fleet, rate and times.

All scenarios of a round run side by side, each with processes of its own, on port 0.
"""

import argparse
import asyncio
import concurrent.futures
import json
import pathlib
import random
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

RPS = 10.0
FROM, TO, END = 25.0, 45.0, 65.0
TOKENS = 40
# id, price, seconds to the first token, tokens a second: `quad` of conf/scenarios/tuned.json.
FLEET = [("A", 1.0, 0.4, 100), ("B", 1.3, 0.6, 80), ("C", 1.8, 0.5, 120), ("D", 3.0, 0.3, 150)]
BASE_ERRORS = 0.005
WINDOW = max(5.0, 20.0 / RPS)
STEP = 0.5
DIVERTED = 0.05
# The mock fails at once; so does the simulated endpoint.
AT_ONCE = 0.001
# Runs of the simulator: it takes a second.
SIMULATED = 200


def simulated(kind, at="A", **fields):
    return [{"ep": ep, "from": FROM, "to": TO, "kind": kind, **fields} for ep in at]


# What the mocks of `at` are told, and what the simulator is.
SCENARIOS = {
    "hard_outage": {"at": "A", "kill": True, "incidents": simulated("refuse")},
    "fast_5xx_sinkhole": {
        "at": "A",
        "script": {"fault": {"kind": "status", "status": 500, "delay": "5ms"}},
        "incidents": simulated("err", p=1.0, delay=0.005),
    },
    "brownout60": {
        "at": "A",
        "script": {"fail": 0.6},
        "incidents": simulated("err", p=0.6, delay=AT_ONCE),
    },
    "black_hole": {
        "at": "A",
        "script": {"fault": {"kind": "silence", "for": "10m"}},
        "incidents": simulated("hole"),
    },
    "ratelimit_storm": {
        "at": "A",
        "script": {"fault": {"kind": "status", "status": 429, "retry_after": "5"}},
        "incidents": simulated("rate", rate_x=0.0, retry_after=5),
    },
    "slow_stream_div10": {"at": "A", "slow": 10, "incidents": simulated("tps", k=10)},
    "correlated_3of4": {
        "at": "ABC",
        "script": {"fail": 0.6},
        "incidents": simulated("err", at="ABC", p=0.6, delay=AT_ONCE),
        # One run spreads by more than two seconds: the mean of five is further off than what is allowed.
        "at_once": 4,
    },
}


# --- the processes ---------------------------------------------------------------------------


class Provider:
    """A mock that can be told what to do, killed and started again at the same place."""

    def __init__(self, program, endpoint):
        self.program = program
        self.name, self.price, self.first_token, self.speed = endpoint
        self.address = "127.0.0.1:0"
        self.process = None
        self.seen = []

    def start(self):
        command = [self.program, "mock", "--listen", self.address]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.address = self.process.stdout.readline().strip().removeprefix("mock provider on http://")
        self.begun = time.monotonic()
        self.tell({})

    def tell(self, more, slow=1):
        script = {
            "name": self.name,
            "first_token": f"{self.first_token * 1000:.0f}ms",
            "pace": f"{1e6 * slow / self.speed:.0f}us",
            "jitter": 0.4,
            "tokens": TOKENS,
            "fail": BASE_ERRORS,
            **more,
        }
        ask(f"http://{self.address}/mock/script", script, "PUT")

    def collect(self):
        """Notes when requests arrived, by this program's clock."""
        entries = json.loads(ask(f"http://{self.address}/mock/received"))
        entries = entries if isinstance(entries, list) else entries["received"]
        self.seen += [self.begun + entry["at_ms"] / 1000 for entry in entries]

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Proxy:
    def __init__(self, program, providers, folder):
        config = {
            "server": {"listen": ["127.0.0.1:0"], "admin": {"listen": "127.0.0.1:0"}},
            "providers": {
                one.name: {
                    "dialects": ["openai"],
                    "base_url": f"http://{one.address}/v1",
                    "keys": [{"value": f"sk-prove-{one.name}"}],
                }
                for one in providers
            },
            "models": {
                "prove/model": {
                    "endpoints": [
                        {"provider": one.name, "price": {"prompt": one.price, "completion": one.price}}
                        for one in providers
                    ]
                }
            },
        }
        path = pathlib.Path(folder) / "mainstay.yaml"
        path.write_text(json.dumps(config))
        self.log = open(pathlib.Path(folder) / "log", "w+")
        command = [program, "run", "-c", str(path)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=self.log)
        serving = self.await_serving()
        self.data, self.admin = serving["listen"], serving["admin"]
        for address in (self.data, self.admin):
            await_listener(address)

    def await_serving(self):
        for _ in range(300):
            self.log.seek(0)
            for line in self.log.read().splitlines():
                entry = json.loads(line) if line.startswith("{") else {}
                if entry.get("message") == "serving":
                    return entry
            time.sleep(0.1)
        self.log.seek(0)
        raise SystemExit(f"the proxy does not serve:\n{self.log.read()}")

    def unconnected(self, provider):
        """How many attempts on a provider had no connection."""
        text = ask(f"http://{self.admin}/metrics")
        lines = re.findall(r"^mainstay_attempts_total{([^}]*)} (\S+)", text, re.M)
        mine = (f'provider="{provider}"', 'outcome="connect_failed"')
        return sum(float(value) for labels, value in lines if all(label in labels for label in mine))

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.log.close()


def await_listener(address):
    host, port = address.rsplit(":", 1)
    for _ in range(300):
        try:
            return socket.create_connection((host, int(port)), 1).close()
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"nobody listens on {address}")


def ask(url, body=None, method="GET"):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


# --- the client ------------------------------------------------------------------------------


async def request(address):
    """Asks for a stream. Returns whether it came whole, and after how many attempts."""
    body = b'{"model":"prove/model","stream":true,"messages":[{"role":"user","content":"hi"}]}'
    head = "POST /v1/chat/completions HTTP/1.1\r\nhost: prove\r\ncontent-type: application/json\r\n"
    head += f"connection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    host, port = address.rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(head.encode() + body)
        answer = await asyncio.wait_for(reader.read(-1), 120)
    except (OSError, asyncio.TimeoutError):
        return False, 0
    finally:
        writer.close()
    whole = answer.startswith(b"HTTP/1.1 200") and b"data: [DONE]" in answer and answer.endswith(b"0\r\n\r\n")
    attempts = re.search(rb"(?i)x-mainstay-attempts: (\d+)", answer)
    return whole, int(attempts[1]) if attempts else 0


async def play(scenario, providers, proxy, seed):
    """Plays the incident. Returns each request's time and result, and A's failed connections by the proxy's count."""
    rng = random.Random(seed)
    begun = time.monotonic()
    now = lambda: time.monotonic() - begun
    results, counted, under_way = [], [], set()
    spoiled = [one for one in providers if one.name in scenario["at"]]

    async def one(at):
        results.append((at, *await request(proxy.data)))

    async def arrivals():
        at = 0.0
        while (at := at + rng.expovariate(RPS)) < END:
            await asyncio.sleep(max(0.0, at - now()))
            task = asyncio.create_task(one(now()))
            under_way.add(task)
            task.add_done_callback(under_way.discard)

    async def incident():
        await asyncio.sleep(FROM - now())
        for one in spoiled:
            if scenario.get("kill"):
                one.collect()
                one.stop()
            else:
                one.tell(scenario.get("script", {}), scenario.get("slow", 1))
        await asyncio.sleep(TO - now())
        for one in spoiled:
            one.start() if scenario.get("kill") else one.tell({})

    async def counts():
        while now() < END:
            counted.append((now(), await asyncio.to_thread(proxy.unconnected, "A")))
            await asyncio.sleep(0.25)

    await asyncio.gather(arrivals(), incident(), counts())
    while under_way:
        await asyncio.sleep(0.1)
    for one in providers:
        one.collect()
    return begun, results, counted


# --- the figures, as docs/simulate.md defines them ---------------------------------------------


def figures(scenario, begun, results, counted, providers):
    scored = [(whole, attempts) for at, whole, attempts in results if FROM <= at < END]
    share = lambda holds: sum(1 for one in scored if holds(one)) / max(1, len(scored))
    starts = {one.name: [at - begun for at in one.seen] for one in providers}
    its = starts["A"]
    if scenario.get("kill"):
        # Who is not there logs nothing: the proxy's count of failed connections stands in, to a quarter of a second.
        # Streams that break with the process are attempts of before.
        its = [at for at in its if not FROM <= at < TO]
        pairs = zip(counted, counted[1:])
        for (_, before), (at, after) in pairs:
            its += [at] * round(after - before) if FROM <= at < TO else []
    others = [at for name, all in starts.items() if name != "A" for at in all]

    def part(at):
        inside = lambda all: sum(1 for start in all if at <= start < at + WINDOW)
        mine = inside(its)
        return mine / max(1, mine + inside(others))

    steps = [FROM + STEP * step for step in range(int((TO - FROM) / STEP))]
    divert = next((at for at in steps if part(at) < DIVERTED), TO) - FROM
    return {
        "divert": divert,
        "success": 100 * share(lambda one: one[0]),
        "first": 100 * share(lambda one: one[0] and one[1] == 1),
        "hits": sum(1 for at in its if FROM <= at < TO),
    }


def run(program, name, seed):
    scenario = SCENARIOS[name]
    providers = [Provider(program, endpoint) for endpoint in FLEET]
    with tempfile.TemporaryDirectory() as folder:
        started = []
        try:
            for one in providers:
                one.start()
                started.append(one)
            proxy = Proxy(program, providers, folder)
            started.append(proxy)
            played = asyncio.run(play(scenario, providers, proxy, seed))
            return figures(scenario, *played, providers)
        finally:
            for one in started:
                one.stop()


def seeds(name, nth):
    """The seeds of a scenario's runs in a round."""
    times = SCENARIOS[name].get("at_once", 1)
    return [1000 * part + nth for part in range(times)]


def simulate(program, seeds):
    fleet = [
        {"id": name, "price": price, "ttft": ttft, "tps": tps, "base_err": BASE_ERRORS}
        for name, price, ttft, tps in FLEET
    ]
    scenarios = [
        {"id": name, "fleet": "prove", "rps": RPS, "dur": END, "window": [FROM, END], "incidents": one["incidents"]}
        for name, one in SCENARIOS.items()
    ]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"fleets": {"prove": fleet}, "scenarios": scenarios}, file)
        file.flush()
        command = [program, "simulate", file.name, "--seeds", str(seeds), "--format", "json"]
        text = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
    found = json.loads(text)["scenarios"]
    for one in found.values():
        one["success"] *= 100
        one["first"] *= 100
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default="target/debug/mainstay")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--scenario", action="append", choices=list(SCENARIOS))
    args = parser.parse_args()
    names = args.scenario or list(SCENARIOS)
    rounds = {name: [] for name in names}
    side_by_side = sum(len(seeds(name, 1)) for name in names)
    with concurrent.futures.ProcessPoolExecutor(side_by_side) as pool:
        for seed in range(1, args.runs + 1):
            played = [(name, pool.submit(run, args.program, name, one)) for name in names for one in seeds(name, seed)]
            for name, one in played:
                rounds[name].append(one.result())
            print(f"round {seed} of {args.runs}", file=sys.stderr)
    expected = simulate(args.program, SIMULATED)
    print(f"{RPS:g} requests a second; real: the mean of {args.runs} rounds; simulated: of {SIMULATED} runs")
    print(
        "| incident | left after s: real | simulated | answered %: real | simulated "
        "| by the first attempt %: real | simulated | attempts on it: real | simulated | agrees |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|---|")
    differ = False
    for name, runs in rounds.items():
        real = {figure: sum(one[figure] for one in runs) / len(runs) for figure in runs[0]}
        model = expected[name]
        near = abs(real["divert"] - model["divert"]) <= max(1.0, 0.5 * model["divert"])
        agrees = near and abs(real["success"] - model["success"]) <= 0.5
        differ |= not agrees
        cells = [f"{real['divert']:.1f}", f"{model['divert']:.1f}"]
        for figure in ("success", "first"):
            cells += [f"{real[figure]:.2f}", f"{model[figure]:.2f}"]
        cells += [f"{real['hits']:.0f}", f"{model['hits']:.0f}", "yes" if agrees else "**no**"]
        print(f"| {name} | {' | '.join(cells)} |")
    sys.exit(differ)


if __name__ == "__main__":
    main()
