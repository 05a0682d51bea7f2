"""What dashboards are made of: panels, queries, colours, marks and menus. It names no dashboard."""

SOURCE = {"type": "prometheus", "uid": "${datasource}"}

MODEL = 'model=~"$model"'
ENDPOINT = 'model=~"$model", provider=~"$provider", endpoint=~"$endpoint"'
RANGE = "[$__rate_interval]"

# Blind to red and green or not: the states also differ in lightness and are named.
GREEN, YELLOW, ORANGE, RED, BROWN, PINK, PURPLE, BLUE, GREY = (
    "#56A64B", "#F2CC0C", "#FF9830", "#C4162A", "#7A4A2B", "#FF7AB6", "#A352CC", "#3274D9", "#8E8E8E")
# A breaker's words are those of an electrician: what each means for traffic stands beside it.
STATES = [("closed: takes traffic", GREEN), ("ramp: takes a growing share", YELLOW), ("half open: one try", ORANGE),
          ("open: takes none", RED), ("drained: taken out", GREY)]

# Outcome classes by who can do something about them.
OUTCOMES = [
    ("success", GREEN),
    ("auth_rejected|quota_exhausted|payment_required|forbidden|model_unavailable", BLUE),
    ("rate_limited", YELLOW),
    ("connect_failed|dns_failed|tls_failed", ORANGE),
    ("server_error|overloaded|malformed_response|error_in_200|empty_completion", RED),
    ("connection_lost", BROWN),
    ("stream_broken", PINK),
    ("first_token_timeout|answer_timeout|stalled", PURPLE),
    ("context_too_long|content_filtered|refused|unsupported_parameter|invalid_request|client_gone|superseded"
     "|local_fault", GREY),
]


# Seconds of each histogram's lowest bucket: below it a quantile is drawn somewhere in between 0 and this, whatever was so.
FLOORS = {"mainstay_first_content_seconds": 0.1, "mainstay_attempt_seconds": 0.25, "mainstay_content_gap_seconds": 0.005,
          "mainstay_recovery_seconds": 0.01, "mainstay_event_loop_lag_seconds": 0.002}


def floor(metric):
    """As words, for an axis and a description."""
    return f"under {FLOORS[metric] * 1000:g} ms all alike"


DASHED = {"custom__lineStyle": {"fill": "dash", "dash": [6, 4]}}

# What an axis says where its panel says nothing else.
AXES = {"reqps": "requests / s", "cps": "a second", "s": "seconds", "percentunit": "part of all",
        "currencyUSD": "USD / hour", "bytes": "bytes", "short": ""}


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


def coloured(pattern, values):
    """Fixed colours of a closed list: `pattern` is the series' name with {} for the word, or words."""
    return [override(("byRegexp", "/" + pattern.format(f"({words})") + "/"), color={"mode": "fixed", "fixedColor": value})
            for words, value in values]


def right(axis, **properties):
    """Properties of series that have the axis on the right."""
    return {"custom__axisPlacement": "right", "custom__axisLabel": axis, **properties}


def timeseries(title, description, targets, unit, *, axis=None, links=(), stack=False, bars=False, low=0, high=None,
               thresholds=None, overrides=()):
    custom = {
        "axisLabel": AXES[unit] if axis is None else axis,
        "drawStyle": "bars" if bars else "line",
        "lineInterpolation": "linear",
        # A line on top of a stack would show a series that is 0 as the one that is all.
        "lineWidth": 0 if stack and not bars else 1,
        "fillOpacity": 70 if bars or stack else 0,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stack else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if thresholds else "off"},
    }
    defaults = {
        "unit": unit,
        "links": list(links),
        # A name has one colour in every panel, whoever else has data. Closed lists have colours of their own.
        "color": {"mode": "palette-classic-by-name"},
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
    """0 closed, 1 ramp, 2 half open, 3 open, 4 drained; of several instances the worst."""
    terms = [f'{code} * mainstay_endpoint_state{{{ENDPOINT}, state="{state}"}}'
             for code, state in ((1, "ramp"), (2, "half_open"), (3, "open"), (4, "drained"))]
    return "max by (endpoint) (" + " or ".join(terms) + ")"


def rate(metric, labels, by):
    return f"sum by ({by}) (rate({metric}{{{labels}}}{RANGE}))"


def counted(metric, labels, by):
    """How many within the range. A series that is born as 1 has no increase, and is counted all the same."""
    series = f"{metric}{{{labels}}}"
    return (f"sum by ({by}) (increase({series}{RANGE}) > 0 or ({series} unless {series} offset {RANGE[1:-1]})) > 0")


def quantile(q, metric, labels, by):
    by = f"{by}, le" if by else "le"
    return f"histogram_quantile({q}, sum by ({by}) (rate({metric}_bucket{{{labels}}}{RANGE})))"


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
        marks("Trips", RED, f'sum by (endpoint, reason) (increase(mainstay_endpoint_transitions_total{{{ENDPOINT}, to="open"}}{RANGE})) > 0',
              "breaker tripped: {{reason}}", "{{endpoint}}"),
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
        {"name": "admin", "label": "Admin port", "type": "textbox", "query": "http://127.0.0.1:8081", "hide": 0,
         "current": {"text": "http://127.0.0.1:8081", "value": "http://127.0.0.1:8081", "selected": True},
         "options": [], "skipUrlSync": False},
    ]}


def placed(panels_in_order):
    """Two columns of panels, eight rows high, read line by line; ids in that order."""
    for position, panel in enumerate(panels_in_order):
        column, line = position % 2, position // 2
        yield {"id": position + 1, "gridPos": {"x": 12 * column, "y": 8 * line, "w": 12, "h": 8},
               "datasource": SOURCE, **panel}


def explain(label="model"):
    """From a series to where a request for its model would go now."""
    return {"title": "Where would a request for ${__field.labels." + label + "} go now?", "targetBlank": True,
            "url": "${admin}/api/explain?model=${__field.labels." + label + ":percentencode}"}


def dashboard(uid, title, description, panels):
    link = {"type": "link", "icon": "external link", "tooltip": "", "tags": [], "asDropdown": False,
            "targetBlank": True, "includeVars": False, "keepTime": False}
    return {
        "uid": uid,
        "id": None,
        "title": f"Mainstay: {title}",
        "description": description,
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
        "links": [
            {**link, "type": "dashboards", "title": "Mainstay", "tags": ["mainstay"], "url": "", "icon": "dashboard",
             "includeVars": True, "keepTime": True, "targetBlank": False},
            {**link, "title": "Explain the model", "url": "${admin}/api/explain?model=${model:percentencode}"},
            {**link, "title": "All endpoints", "url": "${admin}/api/endpoints"},
        ],
        "templating": variables(),
        "annotations": annotations(),
        "panels": list(placed(panels)),
    }
