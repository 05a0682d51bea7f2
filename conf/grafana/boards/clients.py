"""What clients feel: success, what recovery cost them, speed, and the objective."""

from .parts import (
    BLUE, BROWN, DASHED, GREEN, GREY, MODEL, ORANGE, PINK, PURPLE, RANGE, RED, YELLOW, colour, coloured, dashboard, explain, floor,
    override, quantile, rate, right, target, timeseries,
)

# The objective of the alerts: 99.9 % of requests answered whole.
BUDGET = 0.001


def panels():
    recovered = (f"sum(rate(mainstay_recovered_requests_total{{{MODEL}}}{RANGE})) "
                 f"/ (sum(rate(mainstay_requests_total{{{MODEL}}}{RANGE})) > 0)")
    succeeded = (f'sum by (model) (rate(mainstay_requests_total{{{MODEL}, result="answered"}}{RANGE})) / '
                 f'(sum by (model) (rate(mainstay_requests_total{{{MODEL}, result!="client_gone"}}{RANGE})) > 0)')
    burn = "max by (model) (job_model:mainstay_requests_failed:ratio_rate{}{{" + MODEL + "}}) / " + str(BUDGET)
    each = (f"sum by (model) (rate(mainstay_request_attempts_sum{{{MODEL}}}{RANGE})) / "
            f"(sum by (model) (rate(mainstay_request_attempts_count{{{MODEL}}}{RANGE})) > 0)")
    return [
        timeseries(
            "Success",
            "Start here: the part of requests that were answered whole, those aside whose clients left. Callers' own bad "
            "requests count as failed here, and not in the objective. Click a line to see where its next request would go.",
            [target(succeeded, "{{model}}")], "percentunit", high=1, links=[explain()],
            thresholds=[{"color": RED, "value": None}, {"color": GREEN, "value": 1 - BUDGET}]),
        timeseries(
            "Requests by result",
            "What clients got, by model where it was no answer. failed: an error answer (callers' own bad requests included). broken: an answer that "
            "began and was cut, with an error. client_gone: hung up. Red or orange here is what users notice; all "
            "green while panels above are red is recovery at work.",
            [target(rate("mainstay_requests_total", MODEL + ', result="answered"', "result"), "{{result}}", "A"),
             target(rate("mainstay_requests_total", MODEL + ', result!="answered"', "model, result") + " > 0",
                    "{{model}} {{result}}", "B")],
            "reqps", stack=True,
            overrides=[colour("answered", GREEN),
                       *coloured(" {}$", (("failed", RED), ("broken", ORANGE), ("client_gone", GREY)))]),
        timeseries(
            "Burn of the error budget",
            "How many times faster than allowed the objective's 0.1 % is spent, over five minutes and over an hour. Above "
            "14.4 in both, the month's budget is gone in two days and somebody is woken. Needs the recording rules.",
            [target(burn.format("5m"), "{{model}}", "A"), target(burn.format("1h"), "{{model}} 1h", "B")], "short",
            axis="times the budget, over 5 min; dashed: 1 h",
            thresholds=[{"color": GREEN, "value": None}, {"color": ORANGE, "value": 6}, {"color": RED, "value": 14.4}],
            overrides=[override(("byRegexp", "/ 1h$/"), **DASHED)]),
        timeseries(
            "Recovered, and time lost",
            "Left: share of requests answered only after at least one failed attempt. Right: what that cost them, "
            f"95th percentile; {floor('mainstay_recovery_seconds')}, a line that stays there says no more than that. Share up and "
            "time low: fast refusals, little harm. Time at many seconds: attempts die "
            "of timeouts; a shorter `first_token` would move on sooner.",
            [target(recovered, "recovered", "A"),
             target(quantile(0.95, "mainstay_recovery_seconds", MODEL, ""), "time lost p95", "B")],
            "percentunit",
            overrides=[colour("recovered", BLUE),
                       override(("byName", "time lost p95"), unit="s",
                                color={"mode": "fixed", "fixedColor": ORANGE}, 
                                **right(f"time lost; {floor('mainstay_recovery_seconds')}"))]),
        timeseries(
            "Time to first token",
            "From the attempt that answered, over all endpoints of a model: 95th percentile (dashed: median); "
            f"{floor('mainstay_first_content_seconds')}. What was lost to failed attempts comes on top: the panel before.",
            [target(quantile(0.5, "mainstay_first_content_seconds", MODEL + ', kind="stream"', "model"),
                    "{{model}} median", "A"),
             target(quantile(0.95, "mainstay_first_content_seconds", MODEL + ', kind="stream"', "model"),
                    "{{model}}", "B")],
            "s", axis=f"p95, dashed: median; {floor('mainstay_first_content_seconds')}",
            overrides=[override(("byRegexp", "/ median$/"), **DASHED)]),
        timeseries(
            "Whole answer",
            "From the begin of the attempt that answered to the end of its answer, 95th percentile; "
            f"{floor('mainstay_attempt_seconds')}. It moves with the length of answers, too.",
            [target(quantile(0.95, "mainstay_attempt_seconds", MODEL, "model"), "{{model}}")], "s",
            axis=f"p95; {floor('mainstay_attempt_seconds')}"),
        timeseries(
            "Attempts a request",
            "1 is a quiet day. At 2 every request fails once before it is answered, and upstreams bear twice the load.",
            [target(each, "{{model}}")], "short", axis="attempts / request", low=None),
        timeseries(
            "Fallbacks by trigger",
            "Requests that another model answered, and the class of failure that moved them. Answers here differ in "
            "quality and price from what was asked for. context_too_long is no incident: prompts outgrow the model. "
            "Anything else that lasts: mend the asked model's endpoints.",
            [target(rate("mainstay_fallbacks_total", MODEL, "model, served, trigger"),
                    "{{model}} → {{served}}: {{trigger}}")],
            "reqps", stack=True),
        timeseries(
            "Drift",
            "Answers that differ from what was meant, by what differs: provider and price are usual in a failover, model "
            "in a fallback. data_collection, zdr and region matter to whoever promised them.",
            [target(f"sum by (in) (rate(mainstay_drift_total{{{MODEL}}}{RANGE}))", "{{in}}")], "reqps",
            overrides=[colour(word, value) for word, value in (
                ("provider", BLUE), ("quantization", BROWN), ("region", PURPLE), ("data_collection", RED), ("zdr", PINK),
                ("model", ORANGE), ("price", GREEN))]),
        timeseries(
            "Retry budget",
            "Extra attempts that a model's pool can pay for. Near 0, what fails first fails for the client: nearly "
            "everything is failing, and more attempts would only add load.",
            [target(f"min by (model) (mainstay_retry_budget_tokens{{{MODEL}}})", "{{model}}")], "short", axis="attempts",
            links=[explain()]),
        timeseries(
            "Refused before routing",
            "Requests that got an error before any endpoint was considered; no other panel counts them. busy is ours: bodies "
            "or exchanges at their limit. key, not_allowed, model, request: the callers'; a jump is a deployment of theirs, or a "
            "key that was taken out here. `/api/requests` has the latest of them.",
            [target("sum by (cause) (rate(mainstay_refused_requests_total" + RANGE + "))", "{{cause}}")],
            "reqps", stack=True,
            overrides=[colour(word, value) for word, value in (
                ("key", BLUE), ("not_allowed", PURPLE), ("model", ORANGE), ("too_large", BROWN), ("too_slow", PINK),
                ("busy", RED), ("request", GREY))]),
        timeseries(
            "Conversations",
            "Answered turns of conversations: new, kept where the turn before went (its prompt cache is there), or moved. Many "
            "moved: an endpoint is ill, and prompts are paid for in full again.",
            [target(rate("mainstay_sticky_total", MODEL, "result"), "{{result}}")], "reqps", stack=True,
            overrides=[colour("kept", GREEN), colour("new", GREY), colour("moved", ORANGE)]),
        timeseries(
            "Routes",
            "What is passed on by path (files, audio, realtime), by the class of the status that clients got. 5xx and none are "
            "failures; there is no fallback here.",
            [target("sum by (route, status) (rate(mainstay_route_requests_total" + RANGE + "))", "{{route}} {{status}}")],
            "reqps", stack=True,
            overrides=coloured(" {}$", (("1xx|2xx|3xx", GREEN), ("4xx", GREY), ("5xx", RED), ("none", YELLOW)))),
    ]


BOARD = dashboard("mainstay-clients", "what clients feel",
                  "Success, what recovery cost, speed, and the objective.", panels())
