"""Owns the processes that the tests of real clients talk to: three mock providers and one proxy, on free ports.

    python3 fleet.py                  runs every suite, Python's and Node's side by side
    python3 fleet.py -- COMMAND ...   runs one command in the same surroundings

Standard library only: it runs before anything is installed. It ends what it started, by handle, and prints what the
processes said when a suite fails.

Every test asks for a model of its own, so that no breaker, budget or count of one test is felt by another. Through
Mainstay a model is called `<suite>-<request>/<row>`, and its provider calls it `<suite>_<request>/<row>`: two names of
one length, because the mock counts prompt tokens by the length of the body. `ok0` is the row without a fault.
"""

import argparse
import contextlib
import json
import os
import pathlib
import queue
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import dialects

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PROVIDER_KEY = "the-providers-own-key"
CLIENT_KEY = "the-clients-key"
SUITES = ("py", "lc", "js", "by", "br", "or", "op")
START = 20.0
CUT_AFTER = 4
WAYS = ("json", "stream", "v1", "api")  # so many models of each odd kind, for tests that need fresh ones

# Some sixty tokens that are a sentence and JSON at once, so that structured output can be parsed.
ANSWER = json.dumps(
    {
        "report": "A harbour pilot knows every rock by its name and still watches the water. When one lamp goes dark "
        "she steers by the next, and the passengers in the café below feel only a gentle turn. Nobody claps for a "
        "storm that never reached the deck. Her log keeps each decision anyway, plain enough for any stranger there."
    },
    ensure_ascii=False,
)

REFUSAL = {
    "error": {
        "message": "Invalid value for 'temperature': 9 is more than the maximum of 2.",
        "type": "invalid_request_error",
        "param": "temperature",
        "code": "decimal_above_max_value",
    }
}

# Models outside the rows: what the first provider does. All have only this provider, unless a second is named below.
ODD = {
    "refused": {"kind": "status", "status": 400, "text": json.dumps(REFUSAL)},
    "limited": {"kind": "status", "status": 429, "retry_after": "7"},
    "down": {"kind": "status", "status": 500},
    "silent": {"kind": "silence"},
    "badkey": None,  # at the provider `locked`
    "drip": {"kind": "slow_drip", "pace": "100ms"},
    "torn": {"kind": "malformed_event", "at": 4},
    "cut": {"kind": "cut_after", "tokens": CUT_AFTER},
    "stall": {"kind": "stall_after", "tokens": CUT_AFTER},
    "back": {"kind": "status", "status": 503, "within": "1s"},
    "well": None,
    "pair": {"kind": "status", "status": 503},
}
WITH_SECOND = {"limited", "down", "pair"}  # the same model at both providers
WITH_FALLBACK = {"back"}
SICK_AT_SECOND = {"limited", "down"}


def cases():
    return json.loads((HERE / "cases.json").read_text("utf-8"))


def script(name):
    """The mocks' script: scenarios by model name, and the odd models. Some scenarios are redefined: the slow ones are
    shortened, and the broken ones break early, because a tool call has only seven tokens."""
    cut = {"kind": "cut_after", "tokens": CUT_AFTER}
    models = {
        "s01": {"kind": "status", "status": 429, "retry_after": "1", "first": 1},
        "s08": cut,
        "s09": {"kind": "stall_after", "tokens": CUT_AFTER},
        "s14": cut,
        "s15": {"kind": "status", "status": 503, "within": "1s"},
    }
    for odd, fault in ODD.items():
        if fault is None or (name == "second" and odd not in SICK_AT_SECOND):
            continue
        models.update({f"{suite}_{odd}/{way}": fault for suite in SUITES for way in WAYS})
    models["sdk-broken"] = {"kind": "error_event", "at": 5, "body": "overloaded"}  # asked of the mock directly
    return {
        "name": name,
        "keys": [PROVIDER_KEY],
        "first_token": "10ms",
        # One provider in many small writes, the other in few: the answers must not differ for it.
        "pace": "1ms" if name == "first" else "0ms",
        "words": ANSWER,
        "tokens": len(ANSWER.split()),
        "models": models,
    }


def config(first, second, polyglot):
    """The proxy's configuration: YAML, written as the JSON that it contains."""
    table = cases()
    models = {}

    def add(name, *providers, context=None, fallbacks=()):
        endpoints = [{"provider": provider, "model": name.replace("-", "_", 1)} for provider in providers]
        models[name] = {"endpoints": endpoints, "fallbacks": list(fallbacks)}
        if context:
            models[name]["context_length"] = context

    for suite in SUITES:
        for request in table["requests"]:
            sound = f"{suite}-{request}/ok0"
            add(sound, "second", context=100_000)
            for row in table["rows"]:
                add(f"{suite}-{request}/{row}", "first", context=8192, fallbacks=[sound])
        for odd in ODD:
            for way in WAYS:
                name = f"{suite}-{odd}/{way}"
                providers = ["first", "second"] if odd in WITH_SECOND else ["locked" if odd == "badkey" else "first"]
                add(name, *providers, fallbacks=[f"{suite}-chat/ok0"] if odd in WITH_FALLBACK else [])
    key = [{"value": PROVIDER_KEY}]
    return {
        "server": {"listen": ["127.0.0.1:0"], "admin": {"listen": "127.0.0.1:0"}, "threads": 2, "drain": "1s"},
        "auth": {"keys": [{"name": "clients", "key": CLIENT_KEY}]},
        "providers": {
            "first": {"base_url": f"{first}/v1", "keys": key},
            "second": {"base_url": f"{second}/v1", "keys": key},
            # The listener of `first`, and a key that it does not take. A rejected key rests for all models that use it,
            # so no other test may use this one.
            "locked": {"base_url": f"{first}/v1", "keys": [{"value": "a-revoked-key"}]},
            **dialects.providers(polyglot, PROVIDER_KEY),
        },
        "models": models | dialects.models(),
        "policies": {
            "default": {
                "sort": "ordered",
                "timeouts": {"connect": "2s", "first_token": "1s", "answer": "1500ms", "idle": "1s"},
            }
        },
        "health": {
            "rest": {"connect": "300ms", "server_error": "300ms", "timeout": "300ms", "auth": "300ms"},
            "probe_fast": {"below": "250ms", "every": "200ms"},
            "ramp": "100ms",
        },
    }


class Process:
    """A child whose lines are kept, for finding ports now and for reading after a failure."""

    def __init__(self, name, command, env=None):
        self.name = name
        self.lines = []
        self._fresh = queue.Queue()
        self._child = subprocess.Popen(
            command, env=env, text=True, errors="replace", stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for stream in (self._child.stdout, self._child.stderr):
            threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, stream):
        for line in stream:
            self.lines.append(line.rstrip())
            self._fresh.put(line)
        self._fresh.put(None)

    def wait_for(self, find):
        """The first thing that `find` makes of a line."""
        until = time.monotonic() + START
        ended = 0
        while time.monotonic() < until and ended < 2:
            with contextlib.suppress(queue.Empty):
                line = self._fresh.get(timeout=0.2)
                if line is None:
                    ended += 1
                elif found := find(line):
                    return found
        raise RuntimeError(f"{self.name} did not start:\n" + "\n".join(self.lines[-20:]))

    def end(self):
        self._child.terminate()
        try:
            self._child.wait(5)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()


def mock_address(line):
    return line.split()[-1] if line.startswith("mock provider on ") else None


def proxy_address(line):
    if '"serving"' not in line:
        return None
    entry = json.loads(line)
    fields = entry.get("fields", entry)
    return "http://" + fields["listen"].split(",")[0]


@contextlib.contextmanager
def fleet(binary):
    """Starts everything; gives the environment that the suites read, and the processes."""
    processes = []
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mainstay-clients-")))

        def start(name, *arguments):
            process = Process(name, [binary, *map(str, arguments)])
            processes.append(process)
            stack.callback(process.end)
            return process

        address = {}
        scripts = {"first": script("first"), "second": script("second"), "polyglot": dialects.script(PROVIDER_KEY, ANSWER)}
        for name, told in scripts.items():
            path = folder / f"{name}.json"
            path.write_text(json.dumps(told), "utf-8")
            address[name] = start(name, "mock", "--listen", "127.0.0.1:0", "--script", path).wait_for(mock_address)
        path = folder / "mainstay.yaml"
        path.write_text(json.dumps(config(**address), indent=1), "utf-8")
        proxy = start("mainstay", "run", "-c", path).wait_for(proxy_address)
        wait_until_served(proxy)
        env = {
            "FLEET_PROXY": proxy,
            "FLEET_FIRST": address["first"],
            "FLEET_SECOND": address["second"],
            "FLEET_POLYGLOT": address["polyglot"],
            "FLEET_PROVIDER_KEY": PROVIDER_KEY,
            "FLEET_CLIENT_KEY": CLIENT_KEY,
            "FLEET_ANSWER": ANSWER,
            "FLEET_CASES": str(HERE / "cases.json"),
            "LANGSMITH_TRACING": "false",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }
        yield env, processes


def wait_until_served(proxy):
    """The log line comes before the listeners take connections."""
    request = urllib.request.Request(f"{proxy}/v1/models", headers={"authorization": f"Bearer {CLIENT_KEY}"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    until = time.monotonic() + START
    while True:
        try:
            return opener.open(request, timeout=2).read()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def suites(python):
    """Every test file is a process of its own: they mostly wait, and no two share a model."""
    pytest = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--durations=3"]
    found = {path.name: [*pytest, str(path)] for path in sorted((HERE / "python").glob("test_*.py"))}
    found |= {path.name: ["node", "--test", str(path)] for path in sorted((HERE / "node").glob("*.test.mjs"))}
    return found


def run(commands, env, alone):
    """Runs commands side by side and prints each one's output when it ends. Returns whether all went well."""
    running = {}
    for name, command in commands.items():
        pipe = None if alone else subprocess.PIPE
        running[name] = subprocess.Popen(command, env=env, stdout=pipe, stderr=subprocess.STDOUT if pipe else None)
    outputs = {}

    def collect(name, child):
        outputs[name], _ = child.communicate()

    threads = [threading.Thread(target=collect, args=item) for item in running.items()]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        for child in running.values():
            if child.poll() is None:
                child.terminate()
    for name, child in running.items():
        if outputs.get(name):
            lines = outputs[name].decode(errors="replace").splitlines()
            fine = child.returncode == 0
            print(f"=== {name}: {'passed' if fine else 'FAILED'}")
            print("\n".join(lines[-1:] if fine and name.endswith(".py") else lines[-8:] if fine else lines), flush=True)
    return all(child.returncode == 0 for child in running.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(ROOT / "target" / "debug" / "mainstay"))
    parser.add_argument("--python", default=sys.executable, help="the interpreter that has the SDKs")
    parser.add_argument("--logs", type=pathlib.Path, help="a folder that gets everything the processes said")
    parser.add_argument("command", nargs="*", help="one command instead of the suites")
    arguments = parser.parse_args()
    commands = {"command": arguments.command} if arguments.command else suites(arguments.python)
    with fleet(arguments.binary) as (env, processes):
        fine = run(commands, os.environ | env | {"PYTHONDONTWRITEBYTECODE": "1"}, len(commands) == 1)
        for process in processes if arguments.logs else ():
            arguments.logs.mkdir(parents=True, exist_ok=True)
            (arguments.logs / f"{process.name}.log").write_text("\n".join(process.lines), "utf-8")
        if not fine:
            for process in processes:
                lines = [line for line in process.lines if '"result":"answered"' not in line]
                print(f"=== the last lines of {process.name}, without answered requests")
                print("\n".join(line[:600] for line in lines[-40:]))
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
