#!/usr/bin/env python3
"""Proves the dashboards, the alert rules and the inhibitions on a real Prometheus and a real Alertmanager: a healthy time,
an incident, a recovery.

Every expression of conf/grafana/dashboards must show the incident as EXPECTED says, every alert must be silent before
it, fire in it and clear after it, and reach Alertmanager with its text; there each inhibition must hide what it names, and
nothing else be hidden. Every name must be in a live scrape, and that must satisfy promtool.
Python's standard library only; load and listeners on 127.0.0.1 only. About 110 s.

    run.py --tools FOLDER [--mainstay PROGRAM] [--pictures FOLDER]
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

import pager
from sheet import colours_of, draw
from stage import HEALTHY, INHIBITIONS, Stage, Traffic, request

ROOT = pathlib.Path(__file__).resolve().parents[2]
DASHBOARDS = sorted((ROOT / "conf/grafana/dashboards").glob("*.json"))
RULES = ROOT / "conf/prometheus/rules/mainstay.yaml"

WARM_UP, BEFORE, STATUS, SILENCE, AFTER = 10, 25, 14, 14, 30
# MOVES: a figure of the machine, which need not rise or fall, but is never the same twice.
RISES, FALLS, MOVES = "rises", "falls", "moves"
# What the incident must do to the series whose legend has this text, by panel or annotation and query. A series
# that is not there counts as 0. A panel that is not listed fails the run. A third entry stands in for MOVED.
EXPECTED = {
    ("upstream-health", "Endpoint state", "A"): ("@alpha", RISES),
    ("upstream-health", "Health", "A"): ("@alpha", FALLS),
    ("upstream-health", "What health is made of", "A"): ("@alpha", RISES),
    ("upstream-health", "What health is made of", "B"): ("@alpha/default success", FALLS),
    ("upstream-health", "Share of attempts", "A"): ("@alpha", FALLS),
    ("upstream-health", "Share by choice", "A"): ("large@alpha", FALLS),
    ("upstream-health", "Time to first token", "A"): ("large@beta", RISES),
    ("upstream-health", "Time to first token", "B"): ("large@beta", RISES),
    ("upstream-health", "Silence between tokens", "A"): ("large@beta", RISES),
    ("upstream-health", "Attempts by outcome", "A"): ("first_token_timeout", RISES),
    ("upstream-health", "Failures by endpoint and class", "A"): ("keyed@delta/default auth_rejected", RISES),
    ("upstream-health", "In flight", "A"): ("@beta", RISES),
    ("upstream-health", "Moves by reason", "A"): ("open", RISES),
    ("upstream-health", "Blocked, and rate caps", "A"): ("capped@gamma", RISES),
    ("upstream-health", "Blocked, and rate caps", "B"): ("capped@gamma", RISES),
    ("upstream-health", "Speed", "A"): ("small@beta", FALLS),
    ("upstream-health", "Used of told limits", "A"): ("@beta", RISES),
    ("upstream-health", "Servers, by active checks", "A"): ("alpha 127.0.0.1", FALLS),
    ("upstream-health", "Servers, by active checks", "B"): ("alpha failed", RISES),
    ("upstream-health", "Probes of our own", "A"): ("failed", RISES),
    ("upstream-health", "Probes of our own", "B"): ("cost", RISES),
    ("upstream-health", "Annotation: Reloads", "A"): ("applied", RISES),
    ("upstream-health", "Annotation: Trips", "A"): ("@alpha", RISES),
    ("what-clients-feel", "Success", "A"): ("alone", FALLS),
    ("what-clients-feel", "Requests by result", "A"): ("answered", MOVES),
    ("what-clients-feel", "Requests by result", "B"): ("acme/alone failed", RISES),
    ("what-clients-feel", "Burn of the error budget", "A"): ("alone", RISES),
    ("what-clients-feel", "Burn of the error budget", "B"): ("alone", RISES),
    ("what-clients-feel", "Recovered, and time lost", "A"): ("recovered", RISES),
    ("what-clients-feel", "Recovered, and time lost", "B"): ("time lost", RISES),
    ("what-clients-feel", "Time to first token", "A"): ("large", RISES),
    ("what-clients-feel", "Time to first token", "B"): ("large", RISES),
    ("what-clients-feel", "Whole answer", "A"): ("large", RISES),
    ("what-clients-feel", "Attempts a request", "A"): ("keyed", RISES, 1.05),
    ("what-clients-feel", "Fallbacks by trigger", "A"): ("acme/solo → acme/large", RISES),
    ("what-clients-feel", "Drift", "A"): ("model", RISES),
    ("what-clients-feel", "Retry budget", "A"): ("alone", FALLS),
    ("what-clients-feel", "Refused before routing", "A"): ("model", RISES),
    ("what-clients-feel", "Conversations", "A"): ("moved", RISES),
    ("what-clients-feel", "Routes", "A"): ("/v1/engines* 5xx", RISES),
    ("cost-and-tokens", "Cost by model", "A"): ("large", RISES),
    ("cost-and-tokens", "Cost by endpoint", "A"): ("@beta", RISES),
    ("cost-and-tokens", "Against the day", "A"): ("large", RISES),
    ("cost-and-tokens", "Against the day", "B"): ("large", RISES),
    ("cost-and-tokens", "Wasted", "A"): ("@alpha", RISES),
    ("cost-and-tokens", "Wasted", "B"): ("part of all", RISES),
    ("cost-and-tokens", "Tokens by type", "A"): ("prompt", RISES),
    ("cost-and-tokens", "Completion tokens by endpoint", "A"): ("@beta", RISES),
    ("cost-and-tokens", "Cost of an answer", "A"): ("large", RISES),
    ("cost-and-tokens", "Answers in drift of price", "A"): ("acme", RISES),
    ("the-proxy-itself", "Configuration", "A"): ("refused", RISES),
    ("the-proxy-itself", "Configuration", "B"): ("file in force", FALLS),
    ("the-proxy-itself", "Generation", "A"): ("127.0.0.1", RISES),
    ("the-proxy-itself", "Connections and exchanges", "A"): ("connections", RISES),
    ("the-proxy-itself", "Connections and exchanges", "B"): ("exchanges", RISES),
    ("the-proxy-itself", "Connections and exchanges", "C"): ("streams", RISES),
    ("the-proxy-itself", "Bodies held", "A"): ("held", RISES),
    ("the-proxy-itself", "Event loop lag", "A"): ("p50", MOVES),
    ("the-proxy-itself", "Event loop lag", "B"): ("p99", RISES),
    ("the-proxy-itself", "CPU", "A"): ("127.0.0.1", RISES),
    # Long prompts in memory are little beside the program itself.
    ("the-proxy-itself", "Memory, and descriptors", "A"): ("memory", RISES, 1.005),
    ("the-proxy-itself", "Memory, and descriptors", "B"): ("descriptors", RISES, 1.1),
    ("the-proxy-itself", "Scrape", "A"): ("127.0.0.1", MOVES),
    ("the-proxy-itself", "Refused connections", "A"): ("127.0.0.1", RISES),
    ("the-proxy-itself", "Lost telemetry", "A"): ("log lines", RISES),
    ("the-proxy-itself", "Lost telemetry", "B"): ("spans", RISES),
    ("rules", "Rule", "job_model_provider_endpoint:mainstay_endpoint_usable:max"): ("@alpha", FALLS),
    ("rules", "Rule", "job_model:mainstay_requests:rate5m"): ("acme", MOVES),
    ("rules", "Rule", "job_model:mainstay_requests_fallback:ratio_rate5m"): ("acme/solo", RISES),
    ("rules", "Rule", "job_model:mainstay_requests_recovered:ratio_rate5m"): ("acme/solo", RISES),
    ("rules", "Rule", "job_model:mainstay_cost_usd:rate5m"): ("acme/large", RISES),
    ("rules", "Rule", "job_model:mainstay_cost_usd:avg1d"): ("acme/large", RISES),
    ("rules", "Rule", "job_model_provider_endpoint_outcome:mainstay_attempts_failed:increase15m"): ("@alpha", RISES),
    ("rules", "Rule", "job_model_result:mainstay_requests:increase5m"): ("failed acme/alone", RISES),
    ("rules", "Rule", "job_model_served_trigger:mainstay_requests_fallback:increase5m"): ("acme/solo", RISES),
    ("rules", "Rule", "job_model_kind:mainstay_first_content_seconds:p95_5m"): ("acme/large", RISES),
    ("rules", "Rule", "job_model:mainstay_requests_failed:ratio_rate5m"): ("acme/alone", RISES),
    ("rules", "Rule", "job_model:mainstay_requests_failed:ratio_rate30m"): ("acme/alone", RISES),
    ("rules", "Rule", "job_model:mainstay_requests_failed:ratio_rate1h"): ("acme/alone", RISES),
    ("rules", "Rule", "job_model:mainstay_requests_failed:ratio_rate6h"): ("acme/alone", RISES),
}
# What the text of an alert has to say of the incident: its summary of whose illness it is, its description of clients.
TEXTS = {
    ("MainstayEndpointOpen", "endpoint", "acme/keyed@delta/default"): ("mostly auth_rejected", "by acme/small instead"),
    ("MainstayEndpointOpen", "endpoint", "acme/alone@alpha/default"): ("mostly overloaded", "none was answered by a fallback, and"),
    ("MainstayModelDown", "model", "acme/solo"): ("mostly overloaded", "by acme/large instead"),
    ("MainstayModelDown", "model", "acme/alone"): ("mostly overloaded", "No fallback answers for it."),
    ("MainstayFallbacksMany", "model", "acme/solo"): ("mostly overloaded", "by acme/large instead"),
    ("MainstayModelSlow", "model", "acme/small"): ("of acme/small take", "Its slowest endpoint: acme/small@beta/default, "),
    ("MainstayErrorBudgetBurnsFast", "model", "acme/alone"): ("of the requests for acme/alone fail", "most were overloaded"),
}
# By how much, of itself, a value must move: clients draw their models, so rates differ by a few percent anyway.
MOVED = 1.25


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--tools", required=True, help="folder of prometheus, promtool and alertmanager")
    options.add_argument("--mainstay", default=ROOT / "target/debug/mainstay")
    options.add_argument("--pictures", help="folder to draw each dashboard's data into, as SVG")
    options = options.parse_args()
    began = time.monotonic()
    boards = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in DASHBOARDS}
    with tempfile.TemporaryDirectory() as folder, \
            Stage(options.mainstay, options.tools, RULES, folder) as stage:
        with pager.Pager(stage.ports["alertmanager"]) as sent:
            windows, counts = play(stage)
        print(f"clients saw: {counts}")
        scrape = stage.scrape().decode()
        faults = check_style(scrape, options.tools)
        faults += check_names(scrape, boards)
        faults += check_floors(scrape, boards)
        faults += check_variables(stage, boards["upstream-health"])
        results = [evaluate(stage, windows, *query) for query in queries(boards)]
        faults += [fault for result in results if (fault := judge(result))]
        faults += check_alerts(stage, windows)
        faults += pager.check(sent, alert_names(), INHIBITIONS.read_text(encoding="utf-8"))
        faults += pager.check_texts(sent, TEXTS)
    colours = colours_of(boards, results)
    for name, board in boards.items():
        picture, _ = draw(board, [result for result in results if result["board"] == name], windows, colours)
        if options.pictures:
            (pathlib.Path(options.pictures) / f"{name}.svg").write_text(picture, encoding="utf-8")
    print(f"{time.monotonic() - began:.0f} s")
    if faults:
        sys.exit("\n".join(["", "FAILED", *faults]))
    print(f"{len(results)} expressions of {len(boards)} dashboards and the rules, and {len(alert_names())} alerts, show the incident")


def alert_names():
    return re.findall(r"alert: (\S+)", RULES.read_text(encoding="utf-8"))


def play(stage):
    """The whole piece. Returns when each of its parts was, and what clients counted."""
    at = {}
    with Traffic(stage.ports["data"]) as traffic:
        time.sleep(WARM_UP)
        at["before"] = time.time()
        time.sleep(BEFORE)
        at["status"] = time.time()
        # It carries more, and slows down.
        stage.script("beta", {**HEALTHY["beta"], "first_token": "500ms", "pace": "9ms"})
        stage.script("gamma", {"fault": {"kind": "status", "status": 429, "retry_after": "2"}})
        stage.script("delta", {"fault": {"kind": "status", "status": 401}})
        stage.script("alpha", {"fault": {"kind": "status", "status": 503}})
        with Traffic(stage.ports["data"], prompt="hello " * 10_000, scolding=True):
            time.sleep(STATUS / 2)
            stage.log.stop()
            stage.configure("2s", collector=True)
            time.sleep(STATUS / 2)
            at["silence"] = time.time()
            stage.script("alpha", {"fault": {"kind": "silence"}})
            stage.configure("2s", collector=True, probes="{ every: 500ms }")
            time.sleep(SILENCE / 2)
            stage.script("delta", HEALTHY["delta"])  # found out by probes, which cost something
            stage.configure("fast")  # not a duration: refused
            # Beside all that, the machine is too small and clients keep too many connections.
            for _ in range(3):
                stage.hold_up(0.4)
                time.sleep(0.3)
            stage.crowd(120, 1.5)
            time.sleep(SILENCE / 2 - 3.6)
        at["after"] = time.time()
        stage.log.start()
        for name, script in HEALTHY.items():
            stage.script(name, script)
        stage.configure("3s")
        time.sleep(AFTER)
        at["end"] = time.time()
        counts = dict(traffic.counts)
    return at, counts


def queries(boards):
    """(dashboard, panel, query, expression, legend) of everything that is asked of Prometheus."""
    for name, board in boards.items():
        for panel in board["panels"]:
            for target in panel["targets"]:
                yield name, panel["title"], target["refId"], target["expr"], target["legendFormat"]
    # All dashboards have the same marks.
    for mark in boards["upstream-health"]["annotations"]["list"]:
        if "expr" in mark:
            yield "upstream-health", f"Annotation: {mark['name']}", "A", mark["expr"], mark["textFormat"]
    for name in re.findall(r"record: (\S+)", RULES.read_text(encoding="utf-8")):
        yield "rules", "Rule", name, name, "{{result}}{{trigger}}{{outcome}} {{model}} {{endpoint}}"


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


def evaluate(stage, windows, board, panel, query, expression, legend):
    data = ask(stage, "query_range", query=substituted(expression), step="1",
               start=windows["before"], end=windows["end"])
    series = {}
    for one in data["result"]:
        name = re.sub(r"{{(\w+)}}", lambda label: one["metric"].get(label[1], ""), legend)
        points = [(moment, float(value)) for moment, value in one["values"]]
        series[name] = [point for point in points if not math.isnan(point[1])]
    return {"board": board, "panel": panel, "query": query, "series": series, "windows": windows}


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
    board, panel, query = result["board"], result["panel"], result["query"]
    if (board, panel, query) not in EXPECTED:
        return f"{board}: {panel} {query}: EXPECTED does not say what the incident does to it"
    part, change, *moved = EXPECTED[board, panel, query]
    moved = moved[0] if moved else MOVED
    before, during, after = (mean(result, part, *span) for span in
                             (("before", "status"), ("status", "after"), ("after", "end")))
    told = lambda value: "-" if value is None else f"{value:.3f}"
    print(f"{panel + ' ' + query:<72} {part:<24} {told(before):>8} {told(during):>8} {told(after):>8}  {change}")
    low, high = (during or 0, before or 0) if change == FALLS else (before or 0, during or 0)
    if before is None and during is None:
        return f"{board}: {panel} {query}: no data"
    if change == MOVES and before == during:
        return f"{board}: {panel} {query}: {part} should not stay at {told(before)}"
    if change in (RISES, FALLS) and not high > low * moved:
        all_means = {name: told(mean(result, name, "status", "after")) for name in result["series"]}
        return (f"{board}: {panel} {query}: {part} should be a value that {change}: {told(before)} to {told(during)}, "
                f"beside {all_means}")
    return None


def check_style(scrape, tools):
    """promtool's opinion of a scrape."""
    check = subprocess.run([f"{tools}/promtool", "check", "metrics"], input=scrape.encode(), capture_output=True,
                           check=False)
    said = (check.stdout + check.stderr).decode().strip()
    print(f"promtool check metrics: {said or 'clean'}")
    return [f"promtool check metrics: {said}"] if check.returncode or said else []


def check_names(scrape, boards):
    """Whether every metric and every state, result and kind that is asked for exists."""
    known = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", scrape, re.MULTILINE):
        suffixes = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
        known |= {name + suffix for suffix in suffixes}
    rules = re.sub(r"^ *#.*$", "", RULES.read_text(encoding="utf-8"), flags=re.MULTILINE)
    asked = json.dumps(boards) + rules
    # A recorded name has colons around its metric's; the dashboard's own uids have dashes.
    names = set(re.findall(r"(?<![:\w-])mainstay_\w+(?![:\w])", asked))
    # Outcome classes are held against the code by a test there: not all of them happen here.
    values = {f'{label}="{value}"' for label, listed in re.findall(r'\b(state|result|kind)=~?\\?"([\w|]+)\\?"', asked)
              for value in listed.split("|")}
    exposed = set(re.findall(r'\w+="\w+"', scrape))
    print(f"asked for: {len(names)} metrics, {len(values)} label values")
    return [f"{name} is asked for and not exposed" for name in sorted((names - known) | (values - exposed))]


def check_floors(scrape, boards):
    """Whether every panel of a quantile says, beside the line and in its text, from where on it tells anything apart."""
    faults = []
    for board in boards.values():
        for panel in board["panels"]:
            asked = " ".join(target["expr"] for target in panel["targets"])
            for name in set(re.findall(r"histogram_quantile\(.*?(mainstay_\w+)_bucket", asked)):
                bounds = re.findall(rf'^{name}_bucket{{.*?le="([\d.]+)"', scrape, re.MULTILINE)
                words = f"under {1000 * min(map(float, bounds)):g} ms all alike"
                for where in (panel["description"], json.dumps(panel["fieldConfig"])):
                    if words not in where:
                        faults.append(f"{panel['title']}: should say in its text and on its axis: {words}")
    return faults


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
    """Each alert is silent while all is well, fires in the incident, and is over before the end."""
    faults = []
    for name in alert_names():
        result = evaluate(stage, windows, "rules", "Alert", name,
                          f'count(ALERTS{{alertname="{name}", alertstate="firing"}})', name)
        before = mean(result, name, "before", "status")
        moments = [moment for points in result["series"].values() for moment, _ in points]
        told = "never fires"
        if moments:
            told = f"fires after {min(moments) - windows['status']:.0f} s, clears {max(moments) - windows['after']:+.0f} s"
        print(f"{name:<32} {told}")
        fired = mean(result, name, "status", "after") is not None
        if before is not None or not fired or max(moments) > windows["end"] - 2:
            faults.append(f"{name}: should be silent before the incident, fire in it and clear after it; {told}")
    return faults


if __name__ == "__main__":
    main()
