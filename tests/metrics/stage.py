"""The stage: two scriptable providers, Mainstay before them and a Prometheus that looks on, all on 127.0.0.1.

`alpha` is the provider that will fall ill, `beta` the one that holds, slower and at twenty times the price. `gamma` will say
that it is asked too much, `delta` that it does not know the key. Of the models one has alpha and beta, one only alpha and a
fallback, one only alpha and none (it must fail), one only beta, and gamma and delta have one each, with a fallback.
"""

import http.client
import json
import pathlib
import random
import re
import socket
import subprocess
import threading
import time

HOST = "127.0.0.1"
# Model and its share of the requests.
MODELS = {"acme/large": 0.45, "acme/solo": 0.2, "acme/small": 0.1, "acme/alone": 0.1, "acme/capped": 0.1,
          "acme/keyed": 0.05}
PACE = {"jitter": 0.3, "pace": "2ms"}
HEALTHY = {"alpha": {"first_token": "120ms", **PACE}, "beta": {"first_token": "160ms", **PACE},
           "gamma": {"first_token": "120ms", **PACE}, "delta": {"first_token": "120ms", **PACE}}

# Durations of health are scaled, so that minutes of an incident pass in seconds.
CONFIG = """
server:
  listen: [127.0.0.1:{data}]
  admin: {{ listen: 127.0.0.1:{admin} }}
  drain: 2s
providers:
  alpha: {{ base_url: "http://127.0.0.1:{alpha}/v1", auth: none }}
  beta: {{ base_url: "http://127.0.0.1:{beta}/v1", auth: none }}
  gamma: {{ base_url: "http://127.0.0.1:{gamma}/v1", auth: none }}
  delta: {{ base_url: "http://127.0.0.1:{delta}/v1", keys: [{{ value: key-of-delta }}] }}
models:
  acme/large:
    endpoints:
      - {{ provider: alpha, price: {{ prompt: 1, completion: 4 }} }}
      - {{ provider: beta, price: {{ prompt: 20, completion: 80 }} }}
  acme/solo:
    endpoints: [{{ provider: alpha, price: {{ prompt: 1, completion: 4 }} }}]
    fallbacks: [acme/large]
  acme/small: {{ endpoints: [{{ provider: beta, price: {{ prompt: 20, completion: 80 }} }}] }}
  acme/alone: {{ endpoints: [{{ provider: alpha, price: {{ prompt: 1, completion: 4 }} }}] }}
  acme/capped:
    endpoints: [{{ provider: gamma, price: {{ prompt: 1, completion: 4 }} }}]
    fallbacks: [acme/small]
  acme/keyed:
    endpoints: [{{ provider: delta, price: {{ prompt: 1, completion: 4 }} }}]
    fallbacks: [acme/small]
retry_budget: {{ per_success: 0.05, floor_per_second: 0.1 }}
policies:
  default: {{ timeouts: {{ first_token: 900ms, answer: 1500ms }}, patience: {patience} }}
health:
  rest: {{ connect: 1s, server_error: 2s, timeout: 2s, auth: 2s }}
  probe_share: 0.2
  probe_fast: {{ below: 250ms, every: 1s }}
  ramp: 3s
"""

PROMETHEUS = """
global: {{ scrape_interval: 1s, evaluation_interval: 1s }}
rule_files: [{rules}]
scrape_configs:
  - job_name: mainstay
    static_configs: [{{ targets: ["127.0.0.1:{admin}"] }}]
"""


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind((HOST, 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def request(port, method, path, body=None, timeout=10):
    """Status and body of one exchange."""
    connection = http.client.HTTPConnection(HOST, port, timeout=timeout)
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"content-type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


class Stage:
    """Everything that runs. Ends what it started, and nothing else."""

    def __init__(self, mainstay, tools, rules, folder):
        self.folder = pathlib.Path(folder)
        self.processes = []
        names = ["alpha", "beta", "gamma", "delta", "data", "admin", "prometheus"]
        self.ports = dict(zip(names, free_ports(len(names))))
        self.config = self.folder / "mainstay.yaml"
        self.mainstay, self.tools, self.rules = mainstay, pathlib.Path(tools), pathlib.Path(rules)

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        ports = self.ports
        listen = [flag for name in HEALTHY for flag in ("--listen", f"{HOST}:{ports[name]}")]
        self.run("mock", [self.mainstay, "mock", *listen])
        for name, script in HEALTHY.items():
            self.wait(lambda name=name: self.script(name, script))
        self.configure("3s")
        self.run("mainstay", [self.mainstay, "run", "-c", self.config])
        self.wait(lambda: request(ports["admin"], "GET", "/readyz")[0] == 200)
        config = self.folder / "prometheus.yml"
        config.write_text(PROMETHEUS.format(admin=ports["admin"], rules=self.scaled_rules()))
        self.run("prometheus", [
            self.tools / "prometheus", f"--config.file={config}", f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address={HOST}:{ports['prometheus']}", "--log.level=warn"])
        self.wait(lambda: request(ports["prometheus"], "GET", "/-/ready")[0] == 200)

    def run(self, name, command):
        with open(self.folder / f"{name}.log", "wb") as log:
            child = subprocess.Popen([str(part) for part in command], stdout=log, stderr=log,
                                     stdin=subprocess.DEVNULL)
        self.processes.append((name, child))

    def wait(self, ready):
        """Until `ready` says so; a process that has ended by then is an error."""
        until = time.monotonic() + 20
        while True:
            try:
                if ready():
                    return
            except OSError:
                pass
            for name, child in self.processes:
                if child.poll() is not None:
                    raise RuntimeError(f"{name} ended:\n{(self.folder / f'{name}.log').read_text()}")
            if time.monotonic() > until:
                raise RuntimeError("what was started is not ready after 20 s")
            time.sleep(0.05)

    def stop(self):
        for _, child in reversed(self.processes):
            child.terminate()
        for _, child in self.processes:
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def script(self, name, script):
        return request(self.ports[name], "PUT", "/mock/script", {"name": name, **script})[0] == 200

    def configure(self, patience):
        """Replaces Mainstay's file as an editor does; it notices."""
        fresh = self.folder / "fresh"
        fresh.write_text(CONFIG.format(**self.ports, patience=patience))
        fresh.rename(self.config)

    def scaled_rules(self):
        """The committed rules with seconds for minutes, hours and the day."""
        text = self.rules.read_text(encoding="utf-8")
        for window, scaled in {"5m": "10s", "30m": "12s", "1h": "12s", "6h": "15s", "1d": "40s"}.items():
            text = text.replace(f"[{window}]", f"[{scaled}]").replace(f"offset {window}", f"offset {scaled}")
        text = re.sub(r"\bfor: \d+m", "for: 3s", text)
        text = re.sub(r"\binterval: 15s", "interval: 1s", text)
        path = self.folder / "rules.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    def scrape(self):
        return request(self.ports["admin"], "GET", "/metrics")[1]


class Traffic:
    """Steady clients: threads that each begin two exchanges a second, JSON and streams in turn."""

    def __init__(self, port, threads=6, pause=0.5, prompt="hello"):
        self.port, self.pause, self.prompt = port, pause, prompt
        self.over = threading.Event()
        self.counts, self.lock = {}, threading.Lock()
        self.threads = [threading.Thread(target=self.client, args=(seed,)) for seed in range(threads)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()

    def client(self, seed):
        draw = random.Random(seed)
        stream = seed % 2 == 0
        self.over.wait(draw.random() * self.pause)
        while not self.over.is_set():
            began = time.monotonic()
            model, = draw.choices(list(MODELS), list(MODELS.values()))
            status = self.exchange(model, stream)
            with self.lock:
                self.counts[status] = self.counts.get(status, 0) + 1
            stream = not stream
            self.over.wait(max(0.0, self.pause - (time.monotonic() - began)))

    def exchange(self, model, stream):
        body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": self.prompt}]}
        try:
            return request(self.port, "POST", "/v1/chat/completions", body)[0]
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__
