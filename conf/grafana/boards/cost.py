"""Cost and tokens: what is spent, on whom, and what for nothing."""

from .parts import (
    BLUE, DASHED, ENDPOINT, GREEN, GREY, MODEL, ORANGE, PURPLE, RANGE, RED, colour, dashboard, override, rate, right, target,
    timeseries,
)


def hourly(metric, by):
    return f"3600 * {rate(metric, ENDPOINT, by)}"


def panels():
    wasted, cost = "mainstay_endpoint_wasted_cost_usd_total", "mainstay_endpoint_cost_usd_total"
    part = (f"sum(rate({wasted}{{{ENDPOINT}}}{RANGE})) / (sum(rate({cost}{{{ENDPOINT}}}{RANGE})) > 0)")
    each = (f"sum by (model) (rate({cost}{{{MODEL}}}{RANGE})) / "
            f'(sum by (model) (rate(mainstay_attempts_total{{{MODEL}, outcome="success"}}{RANGE})) > 0)')
    return [
        timeseries(
            "Cost by model",
            "USD an hour by the model that was asked upstream, as prices and upstreams' counts say; estimated where an "
            "attempt did not come to its count. Endpoints without a price cost nothing here.",
            [target(hourly(cost, "model"), "{{model}}")], "currencyUSD", stack=True),
        timeseries(
            "Cost by endpoint",
            "The same by endpoint: a dear one that carries a sick one's traffic shows at once.",
            [target(hourly(cost, "endpoint"), "{{endpoint}}")], "currencyUSD", stack=True),
        timeseries(
            "Against the day",
            "The last five minutes and the average of the last day, USD an hour. Over three times as much for five minutes "
            "is an alert. Needs the recording rules.",
            [target(f"3600 * sum by (model) (job_model:mainstay_cost_usd:rate5m{{{MODEL}}})", "{{model}}", "A"),
             target(f"3600 * sum by (model) (job_model:mainstay_cost_usd:avg1d{{{MODEL}}})", "{{model}} day", "B")],
            "currencyUSD", axis="USD / hour; dashed: the day's average",
            overrides=[override(("byRegexp", "/ day$/"), **DASHED)]),
        timeseries(
            "Wasted",
            "USD an hour for attempts that did not answer (their prompts, and what came), by endpoint. Line, right: the "
            "part of all cost. Much of it with timeouts: they are too short for the model, or the endpoint should rest.",
            [target(hourly(wasted, "endpoint"), "{{endpoint}}", "A"), target(part, "part of all", "B")], "currencyUSD",
            stack=True,
            overrides=[override(("byName", "part of all"), unit="percentunit", custom__fillOpacity=0, custom__lineWidth=1,
                                custom__stacking={"mode": "none", "group": "A"},
                                color={"mode": "fixed", "fixedColor": RED}, **right("part of all"))]),
        timeseries(
            "Tokens by type",
            "Tokens a second as upstreams counted them. cached is part of prompt, reasoning part of completion. Prompts "
            "that grow while requests do not are longer conversations.",
            [target(rate("mainstay_tokens_total", ENDPOINT, "type"), "{{type}}")], "short", axis="tokens / s",
            overrides=[colour("prompt", BLUE), colour("cached", GREEN), colour("completion", PURPLE), colour("reasoning", GREY)]),
        timeseries(
            "Completion tokens by endpoint",
            "Who writes what clients read.",
            [target(rate("mainstay_tokens_total", ENDPOINT + ', type="completion"', "endpoint"), "{{endpoint}}")],
            "short", stack=True, axis="tokens / s"),
        timeseries(
            "Cost of an answer",
            "USD an answer, wasted attempts included, by model. A gap: nothing was answered.",
            [target(each, "{{model}}")], "currencyUSD", axis="USD / answer"),
        timeseries(
            "Answers in drift of price",
            "Answers whose endpoint's price differs from that of the one that was meant.",
            [target(f'sum by (model) (rate(mainstay_drift_total{{{MODEL}, in="price"}}{RANGE}))', "{{model}}")], "reqps",
            thresholds=[{"color": GREEN, "value": None}, {"color": ORANGE, "value": 0.1}]),
    ]


BOARD = dashboard("mainstay-cost", "cost and tokens", "What is spent, on whom, and what for nothing.", panels())
