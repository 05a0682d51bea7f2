#!/usr/bin/env python3
"""Stages five incidents, one after the other, and shows each as the one who is woken sees it: the alerts that fire, the four
dashboards and the status page, as pictures. Whoever tries the runbook gets a folder of pictures, docs/runbook.md and
docs/operating.md, and says which endpoint is ill, with which class, since when, what clients feel, and whether it gets better;
answers.json, beside the folders, says what is so.

The dashboards are drawn from their own queries against a real Prometheus; Grafana is not needed. The alerts are those that a
real Alertmanager shows. The status page is opened in Chromium, by the packages of tests/page. Load and listeners on 127.0.0.1 only. About 5 minutes.

    trial.py --tools FOLDER --into FOLDER [--mainstay PROGRAM] [--chromium PROGRAM] [--only NUMBER]
"""

import argparse
import html
import json
import os
import pathlib
import subprocess
import tempfile
import time

from pager import held, is_hidden, named
from run import DASHBOARDS, ROOT, RULES, evaluate, queries
from sheet import colours_of, draw
from stage import HEALTHY, HOST, PACE, Stage, Traffic

WARM_UP, BEFORE, DURING, AFTER = 8, 25, 45, 20
# The rules' hour. Their usual is that of its quieter quarter: an incident must not last most of it.
HOUR = "90s"
TOLD = "Drawn from the panels' own queries against a real Prometheus. Not a screenshot of Grafana. Times are UTC."

# Health as it is by default, but for rests: a minute of the trial is some ten of life.
CONFIG = """
server: {{ listen: [127.0.0.1:{data}], admin: {{ listen: 127.0.0.1:{admin} }}, drain: 2s }}
providers:
  alpha: {{ base_url: "http://127.0.0.1:{alpha}/v1", auth: none }}
  beta: {{ base_url: "http://127.0.0.1:{beta}/v1", auth: none }}
  gamma: {{ base_url: "http://127.0.0.1:{gamma}/v1", auth: none }}
  delta: {{ base_url: "http://127.0.0.1:{delta}/v1", keys: [{{ value: key-of-delta }}] }}
models:
  acme/large:
    endpoints:
      - {{ provider: alpha, price: {{ prompt: 1, completion: 4 }} }}
      - {{ provider: beta, price: {{ prompt: 1.2, completion: 5 }} }}
      - {{ provider: gamma, price: {{ prompt: 1.1, completion: 4.5 }} }}
  acme/small:
    endpoints:
      - {{ provider: beta, price: {{ prompt: 0.2, completion: 0.8 }} }}
      - {{ provider: gamma, price: {{ prompt: 0.2, completion: 0.8 }} }}
  acme/solo:
    endpoints: [{{ provider: delta, price: {{ prompt: 2, completion: 8 }} }}]
    fallbacks: [acme/large]
  acme/alone:
    endpoints: [{{ provider: gamma, price: {{ prompt: 1, completion: 4 }} }}]
retry_budget: {{ per_success: 0.3, floor_per_second: 0.3 }}
policies: {{ default: {{ timeouts: {{ first_token: 3s, answer: 8s }}, patience: {patience} }} }}
health:
  rest: {{ connect: 2s, server_error: 3s, timeout: 4s, auth: 8s }}
  ramp: 4s
  active_probe: {probes}
telemetry: {telemetry}
"""
MODELS = {"acme/large": 0.5, "acme/small": 0.2, "acme/solo": 0.15, "acme/alone": 0.15}

# Who is ill and how, what is true of it, and whether it is over when the pictures are taken.
INCIDENTS = [
    {"provider": "alpha", "fault": {"fault": {"kind": "status", "status": 503}}, "over": False,
     "class": "overloaded (503)", "clients": "next to nothing: acme/large is answered by beta and gamma, milliseconds later"},
    {"provider": "beta", "fault": {"fault": {"kind": "status", "status": 429, "retry_after": "5"}}, "over": True,
     "class": "rate_limited (429)", "clients": "next to nothing: others answer acme/large and acme/small"},
    {"provider": "gamma", "fault": {"first_token": "1500ms", "jitter": 0.3, "pace": "20ms"}, "over": False,
     "class": "no failures: it is slow, its first token takes 1.5 s instead of 0.12 s",
     "clients": "those of acme/alone wait over a second longer; nobody gets an error"},
    {"provider": "delta", "fault": {"keys": ["another"]}, "over": False,
     "class": "auth_rejected (401): the key",
     "clients": "acme/solo is answered by its fallback acme/large: another model, another price"},
    {"provider": "gamma", "fault": {"fault": {"kind": "cut_after", "tokens": 20}}, "over": True,
     "class": "stream_broken: streams are cut after their beginning; connection_lost where JSON was asked for",
     "clients": "streams that gamma began end in an error, and acme/alone fails while it lasts"},
]


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--tools", required=True, help="folder of prometheus and promtool")
    options.add_argument("--into", required=True, type=pathlib.Path)
    options.add_argument("--mainstay", default=ROOT / "target/debug/mainstay")
    options.add_argument("--chromium", default=os.environ.get("CHROMIUM", "/usr/bin/chromium"))
    options.add_argument("--only", type=int, help="the number of one incident")
    options = options.parse_args()
    answers = {}
    for number, incident in enumerate(INCIDENTS, 1):
        if options.only not in (None, number):
            continue
        into = options.into / str(number)
        into.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder, \
                Stage(options.mainstay, options.tools, RULES, folder, CONFIG, {"1h": HOUR}) as stage:
            answers[number] = play(stage, incident, into, options.chromium)
        print(f"incident {number}: {', '.join(sorted(path.name for path in into.iterdir()))}")
    text = json.dumps(answers, indent=2, ensure_ascii=False)
    (options.into / "answers.json").write_text(text + "\n", encoding="utf-8")


def play(stage, incident, into, chromium):
    """One incident, and its pictures. Returns what is true of it."""
    with Traffic(stage.ports["data"], models=MODELS) as traffic:
        time.sleep(WARM_UP)
        windows = {"before": time.time()}
        time.sleep(BEFORE)
        began = time.time()
        name = incident["provider"]
        stage.script(name, {**HEALTHY[name], **incident["fault"]})
        time.sleep(DURING)
        # Nobody is woken by an alert that has ended: they are those of the incident.
        alerts, told_at = held(stage.ports["alertmanager"]), time.time()
        ended = None
        if incident["over"]:
            stage.script(name, HEALTHY[name])
            ended = time.time()
            time.sleep(AFTER)
        windows["end"] = time.time()
        page = f"http://{HOST}:{stage.ports['admin']}/"
        photograph_page(chromium, page, into / "status-page.png", (1280, 1700))
        show(stage, windows, into, chromium)
        show_alerts(alerts, told_at, into, chromium)
        counts = dict(traffic.counts)
    clock = lambda moment: moment and time.strftime("%H:%M:%S", time.gmtime(moment))
    return {"provider": name, "class": incident["class"], "clients": incident["clients"], "since": clock(began),
            "over since": clock(ended), "statuses that clients saw": counts}


def show(stage, windows, into, chromium):
    """The dashboards, each a picture."""
    boards = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in DASHBOARDS}
    results = [evaluate(stage, windows, *query) for query in queries(boards)]
    colours = colours_of(boards, results)
    for name, board in boards.items():
        picture = into / f"{name}.svg"
        own = [result for result in results if result["board"] == name]
        drawn, size = draw(board, own, windows, colours, TOLD)
        picture.write_text(drawn, encoding="utf-8")
        photograph(chromium, picture.resolve().as_uri(), picture.with_suffix(".png"), size)
        picture.unlink()


def show_alerts(alerts, told_at, into, chromium):
    """The alerts as a pager would send them, and in a line each those that Alertmanager hides."""
    text = lambda part: html.escape(part)
    alerts = sorted(alerts, key=lambda one: one["startsAt"])
    rows = [f"<h3>{text(named(one))} ({text(one['labels']['severity'])})</h3>"
            f"<p>{text(one['annotations']['summary'])}<br><small>{text(one['annotations']['description'])}<br>"
            f"since {one['startsAt'][11:19]} UTC, {text(one['annotations']['runbook_url'])}</small></p>"
            for one in alerts if not is_hidden(one)]
    names = {one["fingerprint"]: named(one) for one in alerts}
    hidden = [f"<li>{text(named(one))}: {text(one['annotations']['summary'])} (by "
              f"{', '.join(sorted({names.get(by, by) for by in one['status']['inhibitedBy']}))})</li>"
              for one in alerts if is_hidden(one)]
    if hidden:
        rows.append(f"<h3>Not sent, as another alert says why</h3><ul>{''.join(hidden)}</ul>")
    page = into / "alerts.html"
    page.write_text("<meta charset=utf-8><body style='font-family: sans-serif'>"
                    f"<h2>Alerts that fire at {time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(told_at))} UTC</h2>"
                    + ("".join(rows) or "<p>none</p>"), encoding="utf-8")
    photograph(chromium, page.resolve().as_uri(), into / "alerts.png", (900, 160 + 170 * max(1, len(rows)) + 30 * len(hidden)))
    page.unlink()


def photograph_page(chromium, url, into, size):
    """The status page, once it shows figures: what it shows before, all of them would show for a moment."""
    subprocess.run(["node", ROOT / "tests/page/photograph.mjs", url, into.resolve(), *map(str, size), chromium], check=True,
                   timeout=60)


def photograph(chromium, url, into, size):
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run([chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                        f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}",
                        f"--screenshot={into}", url],
                       check=True, timeout=60, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
