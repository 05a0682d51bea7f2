#!/usr/bin/env python3
"""Writes conf/grafana/dashboards/upstream-health.json, the dashboard "Upstream health".

    generate.py            writes the file
    generate.py --check    exit 1 when the committed file is another

The dashboard is written here, where it can be read and reviewed, and committed as JSON, which is all that Grafana
needs. tests/metrics/run.py runs every expression below against a live Prometheus.
"""

import json
import pathlib
import sys

OUT = pathlib.Path(__file__).parent / "dashboards" / "upstream-health.json"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}

MODEL = 'model=~"$model"'
ENDPOINT = 'model=~"$model", provider=~"$provider", endpoint=~"$endpoint"'
RANGE = "[$__rate_interval]"

# Blind to red and green or not: the states also differ in lightness and are named.
GREEN, YELLOW, ORANGE, RED, PURPLE, BLUE, GREY = (
    "#56A64B", "#F2CC0C", "#FF9830", "#C4162A", "#A352CC", "#3274D9", "#8E8E8E")
STATES = [("closed", GREEN), ("ramp", YELLOW), ("half open", ORANGE), ("open", RED)]

# Outcome classes by who can do something about them.
OUTCOMES = [
    ("success", GREEN),
    ("auth_rejected|quota_exhausted|payment_required|forbidden|model_unavailable", BLUE),
    ("rate_limited", YELLOW),
    ("connect_failed|dns_failed|tls_failed", ORANGE),
    ("server_error|overloaded|connection_lost|malformed_response|error_in_200|empty_completion|stream_broken", RED),
    ("first_token_timeout|answer_timeout|stalled", PURPLE),
    ("context_too_long|content_filtered|refused|unsupported_parameter|invalid_request|client_gone|superseded"
     "|local_fault", GREY),
]


def target(expr, legend, ref="A"):
    return {"refId": ref, "datasource": SOURCE, "editorMode": "code", "expr": expr,
            "legendFormat": legend, "range": True, "instant": False}


def override(matcher, **properties):
    """What differs for the series that the matcher (kind, options) names."""
    kind, options = matcher
    return {"matcher": {"id": kind, "options": options},
            "properties": [{"id": key.replace("__", "."), "value": value} for key, value in properties.items()]}


def colour(name, value):
    return override(("byName", name), color={"mode": "fixed", "fixedColor": value})


def timeseries(title, description, targets, unit, *, stack=False, bars=False, low=0, high=None,
               thresholds=None, overrides=()):
    custom = {
        "drawStyle": "bars" if bars else "line",
        "lineInterpolation": "linear",
        "lineWidth": 1,
        "fillOpacity": 70 if bars else 30 if stack else 0,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stack else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if thresholds else "off"},
    }
    defaults = {
        "unit": unit,
        "color": {"mode": "palette-classic"},
        "custom": custom,
        "thresholds": {"mode": "absolute", "steps": thresholds or [{"color": GREEN, "value": None}]},
    }
    if low is not None:
        defaults["min"] = low
    if high is not None:
        defaults["max"] = high
    return {
        "type": "timeseries", "title": title, "description": description, "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": list(overrides)},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
    }


def state_timeline(title, description, targets, states):
    options = {str(code): {"text": text, "color": value, "index": code} for code, (text, value) in enumerate(states)}
    steps = [{"color": value, "value": code or None} for code, (_, value) in enumerate(states)]
    return {
        "type": "state-timeline", "title": title, "description": description, "targets": targets,
        "fieldConfig": {
            "defaults": {
                "color": {"mode": "thresholds"},
                "custom": {"fillOpacity": 80, "lineWidth": 0},
                "mappings": [{"type": "value", "options": options}],
                "thresholds": {"mode": "absolute", "steps": steps},
            },
            "overrides": [],
        },
        "options": {
            "mergeValues": True, "showValue": "auto", "alignValue": "left", "rowHeight": 0.85,
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
            "tooltip": {"mode": "single", "sort": "none"},
        },
    }


def state_code():
    """0 closed, 1 ramp, 2 half open, 3 open; of several instances the worst."""
    terms = [f'{code} * mainstay_endpoint_state{{{ENDPOINT}, state="{state}"}}'
             for code, state in ((1, "ramp"), (2, "half_open"), (3, "open"))]
    return "max by (endpoint) (" + " or ".join(terms) + ")"


def rate(metric, labels, by):
    return f"sum by ({by}) (rate({metric}{{{labels}}}{RANGE}))"


def quantile(q, metric, labels, by):
    by = f"{by}, le" if by else "le"
    return f"histogram_quantile({q}, sum by ({by}) (rate({metric}_bucket{{{labels}}}{RANGE})))"


def panels():
    share = (f"{rate('mainstay_attempts_total', ENDPOINT, 'endpoint')} / ignoring (endpoint) group_left () "
             f"sum(rate(mainstay_attempts_total{{{ENDPOINT}}}{RANGE}))")
    recovered = (f"sum(rate(mainstay_recovered_requests_total{{{MODEL}}}{RANGE})) "
                 f"/ sum(rate(mainstay_requests_total{{{MODEL}}}{RANGE}))")
    right = {"custom__axisPlacement": "right"}
    return [
        state_timeline(
            "Endpoint state",
            "Start here. Red (open): not used, except for single probes (half open). Yellow (ramp): coming back, with "
            "a growing share. One red row: an endpoint, and others answer. Every row of a provider red: the provider, "
            "its host or its key. Every row of a model red: the model lives off its fallbacks, or fails.",
            [target(state_code(), "{{endpoint}}")], STATES),
        timeseries(
            "Health",
            "What the next attempt on an endpoint is expected to succeed with, learnt from real traffic. It falls "
            "before the breaker opens: a line that sags for minutes without opening is a provider that is partly ill. "
            "Rate limits (429) do not count here.",
            [target(f"min by (endpoint) (mainstay_endpoint_health_ratio{{{ENDPOINT}}})", "{{endpoint}}")],
            "percentunit", high=1,
            thresholds=[{"color": RED, "value": None}, {"color": ORANGE, "value": 0.5},
                        {"color": GREEN, "value": 0.9}]),
        timeseries(
            "Share of attempts",
            "Where the attempts go. A sick endpoint's band should shrink within seconds and grow back in steps. If it "
            "keeps its share while its health is low, it is the only one left. Look at who carries the rest: can that "
            "account bear the load, and its price?",
            [target(share, "{{endpoint}}")], "percentunit", stack=True, high=1),
        timeseries(
            "Time to first token",
            "From the request sent to the first content of a stream: median and 95th percentile by endpoint, of "
            "attempts that got that far. Both up on one endpoint: it is slow or overloaded. Only p95 up: part of it "
            "is. All up at once: look at this machine and its network first. A line that ends has no answers left.",
            [target(quantile(0.5, "mainstay_first_content_seconds", ENDPOINT + ', kind="stream"', "endpoint"),
                    "{{endpoint}} p50", "A"),
             target(quantile(0.95, "mainstay_first_content_seconds", ENDPOINT + ', kind="stream"', "endpoint"),
                    "{{endpoint}} p95", "B")],
            "s", overrides=[override(("byRegexp", "/ p50$/"), custom__lineStyle={"fill": "dash", "dash": [6, 4]})]),
        timeseries(
            "Attempts by outcome",
            "What providers did to single attempts; clients did not see most of it. The colour names the remedy. Blue: "
            "the key, its account or its rights. Yellow: too much for its rate limit. Orange: the host or the way "
            "there. Red (errors) and purple (silence): theirs, see their status page. Grey: the request, the client, "
            "or (local_fault) this machine.",
            [target(rate("mainstay_attempts_total", ENDPOINT, "outcome"), "{{outcome}}")],
            "reqps", stack=True,
            overrides=[override(("byRegexp", f"/^({classes})$/"), color={"mode": "fixed", "fixedColor": value})
                       for classes, value in OUTCOMES]),
        timeseries(
            "Requests by result",
            "What clients got. failed: an error answer (callers' own bad requests included). broken: an answer that "
            "began and was cut, with an error. client_gone: hung up. Red or orange here is what users notice; all "
            "green while panels above are red is recovery at work.",
            [target(rate("mainstay_requests_total", MODEL, "result"), "{{result}}")],
            "reqps", stack=True,
            overrides=[colour("answered", GREEN), colour("failed", RED), colour("broken", ORANGE),
                       colour("client_gone", GREY)]),
        timeseries(
            "Recovered, and time lost",
            "Left: share of requests answered only after at least one failed attempt. Right: what that cost them, "
            "95th percentile. Share up and time low: fast refusals, little harm. Time at many seconds: attempts die "
            "of timeouts; a shorter `first_token` would move on sooner.",
            [target(recovered, "recovered", "A"),
             target(quantile(0.95, "mainstay_recovery_seconds", MODEL, ""), "time lost p95", "B")],
            "percentunit",
            overrides=[colour("recovered", BLUE),
                       override(("byName", "time lost p95"), unit="s",
                                color={"mode": "fixed", "fixedColor": ORANGE}, **right)]),
        timeseries(
            "Fallbacks by trigger",
            "Requests that another model answered, and the class of failure that moved them. Answers here differ in "
            "quality and price from what was asked for. context_too_long is no incident: prompts outgrow the model. "
            "Anything else that lasts: mend the asked model's endpoints.",
            [target(rate("mainstay_fallbacks_total", MODEL, "model, served, trigger"),
                    "{{model}} → {{served}}: {{trigger}}")],
            "reqps", stack=True),
        timeseries(
            "In flight, and trips",
            "Lines: attempts under way. A line that climbs while traffic does not is an endpoint that accepts and "
            "stays silent. Bars, right: outcomes that tripped a breaker. Trips again and again every few seconds: "
            "probes fail, it is still down. A few far apart: it flaps.",
            [target(f"sum by (endpoint) (mainstay_endpoint_in_flight{{{ENDPOINT}}})", "{{endpoint}}", "A"),
             target(f"sum by (endpoint) (increase(mainstay_endpoint_trips_total{{{ENDPOINT}}}{RANGE}))",
                    "{{endpoint}} trips", "B")],
            "short",
            overrides=[override(("byRegexp", "/ trips$/"), custom__drawStyle="bars", custom__fillOpacity=40,
                                custom__lineWidth=0, **right)]),
        timeseries(
            "Configuration",
            "Bars: reloads, applied or refused. Line, right: 1 while the file on disk is what serves. At 0 the file "
            "was refused and the last good one serves on; the log and /api/status name file, line and column. Did the "
            "trouble begin at a bar? Then undo that change first.",
            [target(f"sum by (result) (increase(mainstay_config_reloads_total{RANGE}))", "{{result}}", "A"),
             target("min(mainstay_config_last_reload_successful)", "file in force", "B")],
            "short", bars=True,
            overrides=[colour("applied", BLUE), colour("refused", RED),
                       override(("byName", "file in force"), color={"mode": "fixed", "fixedColor": GREEN}, max=1,
                                custom__drawStyle="line", custom__lineInterpolation="stepAfter",
                                custom__fillOpacity=0, **right)]),
    ]


def annotations():
    def marks(name, value, expr, title, text):
        return {"name": name, "enable": True, "hide": False, "iconColor": value, "datasource": SOURCE,
                "expr": expr, "step": "", "titleFormat": title, "textFormat": text, "useValueForTime": False}

    built_in = {"builtIn": 1, "datasource": {"type": "grafana", "uid": "-- Grafana --"}, "enable": True, "hide": True,
                "iconColor": "rgba(0, 211, 255, 1)", "name": "Annotations & Alerts", "type": "dashboard"}
    return {"list": [
        built_in,
        marks("Reloads", BLUE, f"sum by (result) (increase(mainstay_config_reloads_total{RANGE})) > 0",
              "configuration {{result}}", "{{result}}"),
        marks("Trips", RED, f"sum by (endpoint) (increase(mainstay_endpoint_trips_total{{{ENDPOINT}}}{RANGE})) > 0",
              "breaker tripped", "{{endpoint}}"),
    ]}


def variables():
    everything = {"text": ["All"], "value": ["$__all"], "selected": True}

    def label(name, matchers):
        query = f"label_values(mainstay_endpoint_state{matchers}, {name})"
        # `.*` and not the list: endpoints that a reload removed stay in sight.
        return {"name": name, "label": name.capitalize(), "type": "query", "datasource": SOURCE,
                "query": {"query": query, "refId": name}, "refresh": 2, "sort": 1,
                "multi": True, "includeAll": True, "allValue": ".*", "current": everything,
                "hide": 0, "options": [], "regex": "", "skipUrlSync": False}

    return {"list": [
        {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "refresh": 1,
         "hide": 0, "includeAll": False, "multi": False, "options": [], "regex": "",
         "skipUrlSync": False},
        label("model", ""),
        label("provider", '{model=~"$model"}'),
        label("endpoint", '{model=~"$model", provider=~"$provider"}'),
    ]}


def placed(panels_in_order):
    """Two columns of panels, eight rows high, read line by line; ids in that order."""
    for position, panel in enumerate(panels_in_order):
        column, line = position % 2, position // 2
        yield {"id": position + 1, "gridPos": {"x": 12 * column, "y": 8 * line, "w": 12, "h": 8},
               "datasource": SOURCE, **panel}


def dashboard():
    return {
        "uid": "mainstay-upstream-health",
        "id": None,
        "title": "Mainstay: upstream health",
        "description": "Which provider is ill, what Mainstay does about it, and what clients notice of it.",
        "tags": ["mainstay"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "",
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "10s",
        "fiscalYearStartMonth": 0,
        "liveNow": False,
        "weekStart": "",
        "links": [],
        "templating": variables(),
        "annotations": annotations(),
        "panels": list(placed(panels())),
    }


def main():
    text = json.dumps(dashboard(), indent=2, ensure_ascii=False) + "\n"
    if sys.argv[1:] == ["--check"]:
        if not OUT.exists() or OUT.read_text(encoding="utf-8") != text:
            sys.exit(f"{OUT} is not what generate.py writes; run it and commit both")
        return
    if sys.argv[1:]:
        sys.exit(__doc__)
    OUT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
