#!/usr/bin/env python3
"""Proves the dashboard and the alert rules on a real Prometheus: a healthy time, an incident, a recovery.

Every expression of conf/grafana/dashboards/upstream-health.json must show the incident as EXPECTED says, every alert
must be silent before it and fire in it, every name must be in a live scrape, and that must satisfy promtool.
Python's standard library only; load and listeners on 127.0.0.1 only. About 70 s.

    run.py --tools FOLDER [--mainstay PROGRAM] [--picture FILE.svg]
"""

import argparse
import json
import math
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import urllib.parse

from sheet import draw
from stage import HEALTHY, Stage, Traffic, request

ROOT = pathlib.Path(__file__).resolve().parents[2]
DASHBOARD = ROOT / "conf/grafana/dashboards/upstream-health.json"
RULES = ROOT / "conf/prometheus/rules/mainstay.yaml"

WARM_UP, BEFORE, STATUS, SILENCE, AFTER = 6, 18, 12, 13, 15
RISES, FALLS = "rises", "falls"
# What the incident must do to the series whose legend has this text, by panel or annotation and query. A series
# that is not there counts as 0. A panel that is not listed fails the run.
EXPECTED = {
    ("Endpoint state", "A"): ("@alpha", RISES),
    ("Health", "A"): ("@alpha", FALLS),
    ("Share of attempts", "A"): ("@alpha", FALLS),
    ("Time to first token", "A"): ("large@beta", RISES),
    ("Time to first token", "B"): ("large@beta", RISES),
    ("Attempts by outcome", "A"): ("first_token_timeout", RISES),
    ("Requests by result", "A"): ("failed", RISES),
    ("Recovered, and time lost", "A"): ("recovered", RISES),
    ("Recovered, and time lost", "B"): ("time lost", RISES),
    ("Fallbacks by trigger", "A"): ("acme/solo → acme/large", RISES),
    ("In flight, and trips", "A"): ("@beta", RISES),
    ("In flight, and trips", "B"): ("@alpha", RISES),
    ("Configuration", "A"): ("refused", RISES),
    ("Configuration", "B"): ("file in force", FALLS),
    ("Annotation: Reloads", "A"): ("applied", RISES),
    ("Annotation: Trips", "A"): ("@alpha", RISES),
    ("Rule", "job_model_provider_endpoint:mainstay_endpoint_usable:max"): ("@alpha", FALLS),
    ("Rule", "job_model:mainstay_requests:rate5m"): ("acme", "is there"),
    ("Rule", "job_model:mainstay_requests_failed:ratio_rate5m"): ("acme/alone", RISES),
    ("Rule", "job_model:mainstay_requests_rescued:ratio_rate5m"): ("acme/solo", RISES),
}
# By how much, of itself, a value must move: clients draw their models, so rates differ by a few percent anyway.
MOVED = 1.25


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--tools", required=True, help="folder of prometheus and promtool")
    options.add_argument("--mainstay", default=ROOT / "target/debug/mainstay")
    options.add_argument("--picture", help="SVG file to draw the panels' data into")
    options = options.parse_args()
    began = time.monotonic()
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder, \
            Stage(options.mainstay, options.tools, RULES, folder) as stage:
        windows, counts = play(stage)
        print(f"clients saw: {counts}")
        scrape = stage.scrape().decode()
        faults = check_style(scrape, options.tools)
        faults += check_names(scrape, dashboard)
        faults += check_variables(stage, dashboard)
        results = [evaluate(stage, windows, *query) for query in queries(dashboard)]
        faults += [fault for result in results if (fault := judge(result))]
        faults += check_alerts(stage, windows)
    if options.picture:
        pathlib.Path(options.picture).write_text(draw(dashboard, results, windows), encoding="utf-8")
    print(f"{time.monotonic() - began:.0f} s")
    if faults:
        sys.exit("\n".join(["", "FAILED", *faults]))
    print(f"{len(results)} expressions and 5 alerts show the incident")


def play(stage):
    """The whole piece. Returns when each of its parts was, and what clients counted."""
    at = {}
    with Traffic(stage.ports["data"]) as traffic:
        time.sleep(WARM_UP)
        at["before"] = time.time()
        time.sleep(BEFORE)
        at["status"] = time.time()
        stage.script("beta", {"first_token": "350ms", "jitter": 0.3})  # it carries more, and slows down
        stage.script("alpha", {"fault": {"kind": "status", "status": 503}})
        time.sleep(STATUS / 2)
        stage.configure("2s")
        time.sleep(STATUS / 2)
        at["silence"] = time.time()
        stage.script("alpha", {"fault": {"kind": "silence"}})
        stage.configure("fast")  # not a duration: refused
        time.sleep(SILENCE)
        at["after"] = time.time()
        for name, script in HEALTHY.items():
            stage.script(name, script)
        stage.configure("3s")
        time.sleep(AFTER)
        at["end"] = time.time()
        counts = dict(traffic.counts)
    return at, counts


def queries(dashboard):
    """(panel, query, expression, legend) of everything that is asked of Prometheus."""
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["refId"], target["expr"], target["legendFormat"]
    for mark in dashboard["annotations"]["list"]:
        if "expr" in mark:
            yield f"Annotation: {mark['name']}", "A", mark["expr"], mark["textFormat"]
    for name in re.findall(r"record: (\S+)", RULES.read_text(encoding="utf-8")):
        yield "Rule", name, name, "{{model}} {{endpoint}}"


def ask(stage, path, **parameters):
    query = urllib.parse.urlencode(parameters, doseq=True)
    status, body = request(stage.ports["prometheus"], "GET", f"/api/v1/{path}?{query}")
    answer = json.loads(body)
    if status != 200:
        raise RuntimeError(f"{parameters}: {answer.get('error')}")
    return answer["data"]


def substituted(expression):
    """As Grafana would with `All` chosen everywhere and a scrape every second."""
    return re.sub(r"\$(model|provider|endpoint)\b", ".*", expression).replace("$__rate_interval", "5s")


def evaluate(stage, windows, panel, query, expression, legend):
    data = ask(stage, "query_range", query=substituted(expression), step="1",
               start=windows["before"], end=windows["end"])
    series = {}
    for one in data["result"]:
        name = re.sub(r"{{(\w+)}}", lambda label: one["metric"].get(label[1], ""), legend)
        points = [(moment, float(value)) for moment, value in one["values"]]
        series[name] = [point for point in points if not math.isnan(point[1])]
    return {"panel": panel, "query": query, "series": series, "windows": windows}


def mean(result, part, start, end):
    """Of the series that `part` names, their means added up; None without any value."""
    start, end = result["windows"][start], result["windows"][end]
    means = []
    for name, points in result["series"].items():
        values = [value for moment, value in points if start <= moment <= end]
        if part in name and values:
            means.append(sum(values) / len(values))
    return sum(means) if means else None


def judge(result):
    """Prints the result's line of the table. What is wrong with it, if anything."""
    panel, query = result["panel"], result["query"]
    if (panel, query) not in EXPECTED:
        return f"{panel} {query}: EXPECTED does not say what the incident does to it"
    part, change = EXPECTED[panel, query]
    before, during, after = (mean(result, part, *span) for span in
                             (("before", "status"), ("status", "after"), ("after", "end")))
    told = lambda value: "-" if value is None else f"{value:.3f}"
    print(f"{panel + ' ' + query:<72} {part:<24} {told(before):>8} {told(during):>8} {told(after):>8}  {change}")
    low, high = (during or 0, before or 0) if change == FALLS else (before or 0, during or 0)
    if before is None and during is None:
        return f"{panel} {query}: no data"
    if change in (RISES, FALLS) and not high > low * MOVED:
        return f"{panel} {query}: {part} should be a value that {change}: {told(before)} to {told(during)}"
    return None


def check_style(scrape, tools):
    """promtool's opinion of a scrape."""
    check = subprocess.run([f"{tools}/promtool", "check", "metrics"], input=scrape.encode(), capture_output=True,
                           check=False)
    said = (check.stdout + check.stderr).decode().strip()
    print(f"promtool check metrics: {said or 'clean'}")
    return [f"promtool check metrics: {said}"] if check.returncode or said else []


def check_names(scrape, dashboard):
    """Whether every metric and every state, result and kind that is asked for exists."""
    known = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", scrape, re.MULTILINE):
        suffixes = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
        known |= {name + suffix for suffix in suffixes}
    rules = re.sub(r"^ *#.*$", "", RULES.read_text(encoding="utf-8"), flags=re.MULTILINE)
    asked = json.dumps(dashboard) + rules
    # A recorded name has colons around its metric's; the dashboard's own uids have dashes.
    names = set(re.findall(r"(?<![:\w-])mainstay_\w+(?![:\w])", asked))
    # Outcome classes are held against the code by a test there: not all of them happen here.
    values = {f'{label}="{value}"' for label, listed in re.findall(r'\b(state|result|kind)=~?\\?"([\w|]+)\\?"', asked)
              for value in listed.split("|")}
    exposed = set(re.findall(r'\w+="\w+"', scrape))
    print(f"asked for: {len(names)} metrics, {len(values)} label values")
    return [f"{name} is asked for and not exposed" for name in sorted((names - known) | (values - exposed))]


def check_variables(stage, dashboard):
    """The queries of the variables, as Grafana translates them."""
    faults = []
    for variable in dashboard["templating"]["list"]:
        if variable["type"] != "query":
            continue
        selector, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"]).groups()
        values = ask(stage, f"label/{label}/values", **{"match[]": substituted(selector)})
        print(f"${variable['name']}: {', '.join(values)}")
        if not values:
            faults.append(f"${variable['name']} has no values")
    return faults


def check_alerts(stage, windows):
    """Each alert is silent while all is well and fires in the incident."""
    faults = []
    for name in re.findall(r"alert: (\S+)", RULES.read_text(encoding="utf-8")):
        result = evaluate(stage, windows, "Alert", name,
                          f'count(ALERTS{{alertname="{name}", alertstate="firing"}})', name)
        before = mean(result, name, "before", "status")
        moments = [moment for points in result["series"].values() for moment, _ in points]
        first = f"fires after {min(moments) - windows['status']:.0f} s" if moments else "never fires"
        print(f"{name:<24} {first}")
        if before is not None or mean(result, name, "status", "after") is None:
            faults.append(f"{name}: should be silent before the incident and fire in it; {first}")
    return faults


if __name__ == "__main__":
    main()
