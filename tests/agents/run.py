"""Coding agents through Mainstay: Claude Code, Codex CLI and opencode each complete a task with a tool while the provider that
speaks their own dialect is down and the next one speaks another.

    python3 run.py                            every agent, with every other dialect behind it
    python3 run.py --agent codex --upstream gemini
    python3 run.py --returns                  once the tool is called, the first provider is back and the second one down

Standard library only. Each run is a mock that is down, a mock that calls one tool and then talks, Mainstay before them, and the
agent in a folder and a home of its own, without a network. Judged are: how the agent ends, the file that its tool wrote, the
words that it printed, what Mainstay logged of its attempts, and what the second provider understood.
"""

import argparse
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "clients"))
sys.dont_write_bytecode = True

from dialects import UPSTREAMS  # noqa: E402
from fleet import Process, mock_address, proxy_address, wait_until_served  # noqa: E402

CLIENT_KEY = "the-clients-key"
WORDS = "The pilot wrote the log and all lamps are lit."
PROOF = "written by the tool"
PROMPT = "Write the log with your tool, then tell me what you did."
COMMAND = f"printf '%s' '{PROOF}' > proof.txt && cat proof.txt && sleep 1"
DEADLINE = 180.0
CALLING = 10_000  # bytes of a request with tools; opencode's question for a title is smaller
DOWN = {"kind": "status", "status": 503}


class Claude:
    """Anthropic's Claude Code."""

    name, dialect, model = "claude", "anthropic", "anthropic/claude-sonnet-4-5"
    call = {"tool": "Bash", "arguments": {"command": COMMAND, "description": "Writes the log"}}

    @staticmethod
    def command(modules):
        binary = next(modules.glob("@anthropic-ai/claude-code-*/claude"))
        return [binary, "-p", PROMPT, "--model", Claude.model, "--allowedTools", "Bash"]

    @staticmethod
    def surroundings(home, proxy):
        return {
            "ANTHROPIC_BASE_URL": proxy,
            "ANTHROPIC_AUTH_TOKEN": CLIENT_KEY,
            "ANTHROPIC_DEFAULT_HAIKU_MODEL": Claude.model,
            "CLAUDE_CONFIG_DIR": str(home / "claude"),
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
        }


class Codex:
    """OpenAI's Codex CLI."""

    name, dialect, model = "codex", "openai-responses", "openai/gpt-5-mini"
    call = {"tool": "exec_command", "arguments": {"cmd": COMMAND}}

    @classmethod
    def command(cls, modules):
        binary = next(modules.glob("@openai/codex-*/vendor/*/bin/codex"))
        return [binary, "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", PROMPT]

    @classmethod
    def surroundings(cls, home, proxy):
        folder = home / "codex"
        folder.mkdir()
        lines = [
            f'model = "{cls.model}"',
            'model_provider = "mainstay"',
            "[model_providers.mainstay]",
            'name = "Mainstay"',
            f'base_url = "{proxy}/v1"',
            'env_key = "MAINSTAY_KEY"',
            'wire_api = "responses"',
        ]
        (folder / "config.toml").write_text("\n".join(lines) + "\n", "utf-8")
        return {"CODEX_HOME": str(folder), "MAINSTAY_KEY": CLIENT_KEY}


class PatchingCodex(Codex):
    """Codex with a model whose editing tool takes a text and no JSON: a custom tool, which only Responses has."""

    name, model = "codex-patch", "openai/gpt-5.5"
    patch = f"*** Begin Patch\n*** Add File: proof.txt\n+{PROOF}\n*** End Patch\n"
    call = {"tool": "apply_patch", "arguments": {"input": patch}}


class Opencode:
    """opencode, with the OpenAI-compatible provider of the AI SDK."""

    name, dialect, model = "opencode", "openai", "openai/gpt-5-mini"
    call = {"tool": "bash", "arguments": {"command": COMMAND, "description": "Writes the log"}}

    @staticmethod
    def command(modules):
        binary = next(modules.glob("opencode-*-x64/bin/opencode"), None) or next(modules.glob("opencode-*/bin/opencode"))
        return [binary, "run", "--model", f"mainstay/{Opencode.model}", PROMPT]

    @staticmethod
    def surroundings(home, proxy):
        provider = {
            "npm": "@ai-sdk/openai-compatible",
            "name": "Mainstay",
            "options": {"baseURL": f"{proxy}/v1", "apiKey": "{env:MAINSTAY_KEY}"},
            "models": {Opencode.model: {"name": "Through Mainstay"}},
        }
        config = {
            "$schema": "https://opencode.ai/config.json",
            "autoupdate": False,
            "share": "disabled",
            "provider": {"mainstay": provider},
            "permission": {"bash": "allow"},
        }
        (home / "opencode.json").write_text(json.dumps(config), "utf-8")
        return {
            "OPENCODE_CONFIG": str(home / "opencode.json"),
            "OPENCODE_DISABLE_AUTOUPDATE": "1",
            "OPENCODE_DISABLE_MODELS_FETCH": "1",
            "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
            "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
            "MAINSTAY_KEY": CLIENT_KEY,
        }


AGENTS = [Claude, Codex, PatchingCodex, Opencode]
# Of whom a conversation can go back to its first provider in the middle. Codex's editing tool gives no time for it, and opencode
# sends thoughts back that OpenAI's Chat has no field for, which passes untouched and is refused there (docs/clients.md).
RETURNING = [Claude, Codex]


def config(agent, upstream, down, up):
    """The proxy's configuration: the agent's own dialect first, which is down, then the other. Rests are short,
    so that a provider that is back is asked soon."""
    own_root, _ = UPSTREAMS[agent.dialect]
    root, model = UPSTREAMS[upstream]
    endpoints = [{"provider": "first", "model": agent.model.split("/")[1]}, {"provider": "second", "model": model}]
    key = [{"value": "sk-provider"}]
    return {
        "server": {"listen": ["127.0.0.1:0"], "admin": {"listen": "127.0.0.1:0"}, "threads": 2, "drain": "1s"},
        "auth": {"keys": [{"name": "agents", "key": CLIENT_KEY}]},
        "providers": {
            "first": {"dialects": [agent.dialect], "base_url": down + own_root, "keys": key},
            "second": {"dialects": [upstream], "base_url": up + root, "keys": key},
        },
        "models": {agent.model: {"endpoints": endpoints}},
        "policies": {"default": {"sort": "ordered", "sticky": "off"}},
        "health": {"rest": {"server_error": "200ms"}, "ramp": "10ms"},
    }


def scripts(agent):
    """What the mocks are told: both would call the tool and then talk, and the first one is down."""
    able = {"strict": True, "words": WORDS, "tokens": len(WORDS.split()), "calls": [agent.call]}
    return {"down": able | {"fault": DOWN}, "up": able}


class Fleet:
    """What an agent talks to."""

    def __init__(self, binary, folder, agent, upstream, stack):
        self.processes = []
        address = {}
        for name, script in scripts(agent).items():
            path = folder / f"{name}.json"
            path.write_text(json.dumps(script), "utf-8")
            address[name] = self.start(stack, name, [binary, "mock", "--script", path]).wait_for(mock_address)
        path = folder / "mainstay.yaml"
        path.write_text(json.dumps(config(agent, upstream, **address), indent=1), "utf-8")
        self.mainstay = self.start(stack, "mainstay", [binary, "run", "-c", path])
        self.proxy = self.mainstay.wait_for(proxy_address)
        wait_until_served(self.proxy)
        self.address = address

    def start(self, stack, name, command):
        process = Process(name, [str(word) for word in command])
        self.processes.append(process)
        stack.callback(process.end)
        return process

    def requests(self):
        """Mainstay's log of the model's requests."""
        entries = [json.loads(line) for line in self.mainstay.lines if line.startswith("{") and '"attempts"' in line]
        return [entry for entry in entries if entry.get("attempts")]

    def control(self, name, method, path, body=None):
        """Asks or tells a mock something."""
        told = urllib.request.Request(f"{self.address[name]}/mock/{path}", method=method, data=body and json.dumps(body).encode())
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(told, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if method == "GET" else None

    def received(self, name):
        """What a provider got."""
        return self.control(name, "GET", "received")

    def swap(self, ended):
        """Waits until the second provider has called the tool; then it goes down, and the first one is back."""
        while not ended.wait(0.02):
            calls = [it for it in self.received("up") if it["fate"] == "answered" and it["meaning"]["hints"] is not None]
            if any(it["body_bytes"] > CALLING for it in calls):
                self.control("up", "POST", "fault", DOWN)
                return self.control("down", "DELETE", "fault")


# What the mocks call the dialects.
SPOKEN = {"openai": "chat", "openai-responses": "responses"}


def judge(agent, upstream, returns, fleet, work, ended):
    """Why the run is not as it should be; nothing if it is."""
    if ended.returncode != 0:
        yield f"it ended with {ended.returncode}"
    proof = work / "proof.txt"
    if not proof.exists() or proof.read_text("utf-8").strip() != PROOF:
        yield "its tool did not write the file"
    if WORDS not in " ".join(ended.stdout.split()):
        yield "it did not print the answer"
    requests = fleet.requests()
    ends = {(attempt["endpoint"].split("@")[1].split("/")[0], attempt["outcome"]) for it in requests for attempt in it["attempts"]}
    wanted = {("first", "overloaded"), ("second", "success")} | ({("first", "success")} if returns else set())
    if not wanted <= ends or (not returns and ends != wanted):
        yield f"the attempts ended so: {ends}"
    if any(it["status"] != 200 or it["result"] != "answered" for it in requests):
        yield "not every request was answered"
    meanings = {name: [it["meaning"] for it in fleet.received(name) if it.get("meaning")] for name in ("down", "up")}
    for name, dialect in (("down", agent.dialect), ("up", upstream)):
        if any(it["dialect"] != SPOKEN.get(dialect, dialect) or it["refused"] for it in meanings[name]):
            yield f"a provider did not understand: {[(it['dialect'], it['refused']) for it in meanings[name]]}"
    # A call stands in a conversation only with its result: the mock refuses it else.
    if not any(it["ids"] for it in meanings["down" if returns else "up"]):
        yield "the tool's result did not reach the provider"


def ask(command, work, env):
    """Lets an agent work, without a terminal."""
    try:
        return subprocess.run(
            command, cwd=work, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=DEADLINE, check=False,
        )
    except subprocess.TimeoutExpired as late:
        return subprocess.CompletedProcess(command, -1, str(late.stdout), str(late.stderr))


def run(asked, agent, upstream):
    """One agent with one dialect behind it. Returns whether all was well."""
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mainstay-agents-")))
        home, work = folder / "home", folder / "work"
        home.mkdir()
        work.mkdir()
        fleet = Fleet(asked.binary, folder, agent, upstream, stack)
        env = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        env |= {"HOME": str(home), "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "TERM": "dumb"}
        env |= agent.surroundings(home, fleet.proxy)
        start = time.monotonic()
        over = threading.Event()
        if asked.returns:
            threading.Thread(target=fleet.swap, args=(over,), daemon=True).start()
        ended = ask([str(word) for word in agent.command(asked.modules)], work, env)
        over.set()
        seconds = time.monotonic() - start
        faults = list(judge(agent, upstream, asked.returns, fleet, work, ended))
        how = f"{agent.name} on {upstream}{' and back' if asked.returns else ''}"
        print(f"{'FAILED' if faults else 'passed'}  {how}: {len(fleet.requests())} requests, {seconds:.1f} s", flush=True)
        if faults:
            print("\n".join(f"  - {fault}" for fault in faults))
            print(f"--- what it printed\n{ended.stdout[-3000:]}\n{ended.stderr[-3000:]}")
            for process in fleet.processes:
                print(f"--- the last lines of {process.name}")
                print("\n".join(line[:900] for line in process.lines[-12:]), flush=True)
        return not faults


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(ROOT / "target" / "debug" / "mainstay"))
    parser.add_argument("--modules", type=pathlib.Path, default=HERE / "node_modules")
    parser.add_argument("--agent", action="append", choices=[agent.name for agent in AGENTS])
    parser.add_argument("--upstream", action="append", choices=sorted(UPSTREAMS))
    parser.add_argument("--returns", action="store_true", help="the first provider is back after the tool was called")
    asked = parser.parse_args()
    able = RETURNING if asked.returns else AGENTS
    agents = [agent for agent in able if not asked.agent or agent.name in asked.agent]
    cells = [(agent, it) for agent in agents for it in asked.upstream or UPSTREAMS if it != agent.dialect]
    fine = [run(asked, agent, upstream) for agent, upstream in cells]
    print(f"{sum(fine)} of {len(fine)} passed")
    return 0 if all(fine) else 1


if __name__ == "__main__":
    sys.exit(main())
