"""The stage: four scriptable providers, Mainstay before them, a Prometheus that looks on and an Alertmanager that it tells,
all on 127.0.0.1.

`alpha` is the provider that will fall ill, `beta` the one that holds, slower and at twenty times the price. `gamma` will say
that it is asked too much, `delta` that it does not know the key. Of the models one has alpha and beta, one only alpha and a
fallback, one only alpha and none (it must fail), one only beta, and gamma and delta have one each, with a fallback.
"""

import http.client
import json
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import threading
import time

HOST = "127.0.0.1"
# Model and its share of the requests.
MODELS = {"acme/large": 0.45, "acme/solo": 0.2, "acme/small": 0.1, "acme/alone": 0.1, "acme/capped": 0.1,
          "acme/keyed": 0.05}
PACE = {"jitter": 0.3, "pace": "2ms"}
# Told, and never reached.
LIMITS = {"limits": {"requests": 3000, "window": "5m"}}
HEALTHY = {"alpha": {"first_token": "120ms", **PACE}, "beta": {"first_token": "160ms", **PACE, **LIMITS},
           "gamma": {"first_token": "120ms", **PACE}, "delta": {"first_token": "120ms", **PACE}}

# Durations of health are scaled, so that minutes of an incident pass in seconds.
CONFIG = """
server:
  listen: [127.0.0.1:{data}]
  admin: {{ listen: 127.0.0.1:{admin} }}
  drain: 2s
  max_connections: 100
providers:
  alpha:
    base_url: "http://127.0.0.1:{alpha}/v1"
    auth: none
    health_check: {{ path: /health, interval: 500ms, timeout: 400ms }}
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
  default:
    timeouts: {{ first_token: 900ms, answer: 1500ms }}
    patience: {patience}
    sticky: {{ key: [session_id] }}
routes: [{{ path: "/v1/engines*", provider: alpha }}]
telemetry: {telemetry}
health:
  rest: {{ connect: 1s, server_error: 2s, timeout: 2s, auth: 2s }}
  probe_share: 0.2
  probe_fast: {{ below: 250ms, every: 1s }}
  ramp: 3s
  active_probe: {probes}
"""

# What the rules' windows last on the stage.
WINDOWS = {"5m": "10s", "15m": "20s", "30m": "12s", "1h": "12s", "6h": "15s", "1d": "90s"}

PROMETHEUS = """
global: {{ scrape_interval: 1s, evaluation_interval: 1s }}
rule_files: [{rules}]
alerting: {{ alertmanagers: [{{ static_configs: [{{ targets: ["127.0.0.1:{alertmanager}"] }}] }}] }}
scrape_configs:
  - job_name: mainstay
    static_configs: [{{ targets: ["127.0.0.1:{admin}"] }}]
"""


# As committed: what is tried is the file that operators copy from.
INHIBITIONS = pathlib.Path(__file__).resolve().parents[2] / "conf/prometheus/alertmanager.yml"


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

    def __init__(self, mainstay, tools, rules, folder, template=CONFIG, windows=()):
        self.template, self.log = template, None
        self.windows = {**WINDOWS, **dict(windows)}
        self.folder = pathlib.Path(folder)
        self.processes = []
        names = ["alpha", "beta", "gamma", "delta", "data", "admin", "prometheus", "alertmanager", "nobody"]
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
        self.log = Reader(self.folder / "access.log")
        self.run("mainstay", [self.mainstay, "run", "-c", self.config], self.log.writing)
        self.wait(lambda: request(ports["admin"], "GET", "/readyz")[0] == 200)
        self.run("alertmanager", [
            self.tools / "alertmanager", f"--config.file={INHIBITIONS}", f"--storage.path={self.folder / 'alerts'}",
            f"--web.listen-address={HOST}:{ports['alertmanager']}", "--cluster.listen-address=", "--log.level=warn"])
        self.wait(lambda: request(ports["alertmanager"], "GET", "/-/ready")[0] == 200)
        config = self.folder / "prometheus.yml"
        config.write_text(PROMETHEUS.format(**ports, rules=self.scaled_rules()))
        self.run("prometheus", [
            self.tools / "prometheus", f"--config.file={config}", f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address={HOST}:{ports['prometheus']}", "--log.level=warn"])
        self.wait(lambda: request(ports["prometheus"], "GET", "/-/ready")[0] == 200)

    def run(self, name, command, out=None):
        with open(self.folder / f"{name}.log", "wb") as log:
            child = subprocess.Popen([str(part) for part in command], stdout=out or log, stderr=log,
                                     stdin=subprocess.DEVNULL)
        self.processes.append((name, child))

    def hold_up(self, seconds):
        """Stops Mainstay for a moment, as a machine does that is too small."""
        child = dict(self.processes)["mainstay"]
        child.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        child.send_signal(signal.SIGCONT)

    def crowd(self, connections, seconds):
        """Opens more connections than are allowed, and keeps them open."""
        crowd = [socket.create_connection((HOST, self.ports["data"])) for _ in range(connections)]
        time.sleep(seconds)
        for one in crowd:
            one.close()

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
        if self.log:
            self.log.close()
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

    def configure(self, patience, collector=False, probes="null"):
        """Replaces Mainstay's file as an editor does; it notices. `collector`: with one for traces, which is not there."""
        fresh = self.folder / "fresh"
        telemetry = f'{{ otlp: "http://{HOST}:{self.ports["nobody"]}" }}' if collector else "{}"
        fresh.write_text(self.template.format(**self.ports, patience=patience, probes=probes,
                                              telemetry=telemetry))
        fresh.rename(self.config)

    def scaled_rules(self):
        """The committed rules with seconds for minutes, hours and the day."""
        text = self.rules.read_text(encoding="utf-8")
        for window, scaled in self.windows.items():
            text = text.replace(f"[{window}]", f"[{scaled}]").replace(f"offset {window}", f"offset {scaled}")
        text = re.sub(r"\bfor: \d+m", "for: 3s", text)
        text = re.sub(r"\binterval: 15s", "interval: 1s", text)
        path = self.folder / "rules.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    def scrape(self):
        return request(self.ports["admin"], "GET", "/metrics")[1]


class Reader:
    """Who reads the access log: a pipe, whose reader can go away and come back."""

    def __init__(self, path):
        os.mkfifo(path)
        self.path, self.over, self.reading = path, threading.Event(), None
        self.start()
        self.writing = os.open(path, os.O_WRONLY)

    def start(self):
        self.over.clear()
        # Without a writer this would wait for one.
        pipe = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self.reading = threading.Thread(target=self.read, args=(pipe,))
        self.reading.start()

    def read(self, pipe):
        while not self.over.wait(0.05):
            try:
                while os.read(pipe, 65536):
                    pass
            except BlockingIOError:
                pass
        os.close(pipe)

    def stop(self):
        self.over.set()
        self.reading.join()

    def close(self):
        self.stop()
        os.close(self.writing)


class Traffic:
    """Steady clients: threads that each begin two exchanges a second, JSON and streams in turn; one holds conversations,
    one asks a route, and one scolds where that is wanted."""

    def __init__(self, port, threads=6, pause=0.5, prompt="hello", models=None, scolding=False):
        self.port, self.pause, self.prompt, self.models = port, pause, prompt, models or MODELS
        self.over = threading.Event()
        self.counts, self.lock = {}, threading.Lock()
        self.threads = [threading.Thread(target=self.client, args=(seed,)) for seed in range(threads)]
        self.threads += [threading.Thread(target=self.talk), threading.Thread(target=self.browse)]
        self.threads += [threading.Thread(target=self.scold)] if scolding else []

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
            model, = draw.choices(list(self.models), list(self.models.values()))
            status = self.exchange(model, stream)
            with self.lock:
                self.counts[status] = self.counts.get(status, 0) + 1
            stream = not stream
            self.over.wait(max(0.0, self.pause - (time.monotonic() - began)))

    def scold(self):
        """Asks for what there is not, as fast as it is refused, until the end."""
        while not self.over.wait(0.005):
            self.exchange("acme/unknown", False)

    def talk(self):
        """Conversations of four turns."""
        turn = 0
        while not self.over.wait(self.pause):
            self.exchange("acme/large", True, session_id=f"talk-{turn // 4}")
            turn += 1

    def browse(self):
        """What no model answers."""
        while not self.over.wait(self.pause):
            try:
                request(self.port, "GET", "/v1/engines/models")
            except (OSError, http.client.HTTPException):
                pass

    def exchange(self, model, stream, **more):
        # Each begins differently: only those of one session are one conversation.
        prompt = f"{random.random()} {self.prompt}"
        body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": prompt}], **more}
        try:
            return request(self.port, "POST", "/v1/chat/completions", body)[0]
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__
