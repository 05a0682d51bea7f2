"""Upstream health: which provider is ill, and what Mainstay does about it."""

from .parts import (
    BLUE, DASHED, ENDPOINT, GREEN, GREY, ORANGE, OUTCOMES, PURPLE, RANGE, RED, STATES, YELLOW,
    colour, coloured, counted, dashboard, explain, floor, override, quantile, rate, right, state_code, state_timeline, target,
    timeseries,
)


def panels():
    share = (f"{rate('mainstay_attempts_total', ENDPOINT, 'endpoint')} / ignoring (endpoint) group_left () "
             f"(sum(rate(mainstay_attempts_total{{{ENDPOINT}}}{RANGE})) > 0)")
    return [
        state_timeline(
            "Endpoint state",
            "Start here. Green (closed, as a circuit is that carries current): takes traffic. Red (open): not used, except for "
            "single probes (half open). Yellow (ramp): coming back, with a growing share. One red row: an endpoint, and others answer. Every row of a provider red: the provider, "
            "its host or its key. Every row of a model red: the model lives off its fallbacks, or fails.",
            [target(state_code(), "{{endpoint}}")], STATES),
        timeseries(
            "Health",
            "What the next attempt on an endpoint is expected to succeed with, learnt from real traffic. It falls "
            "before the breaker opens: a line that sags for minutes without opening is a provider that is partly ill. "
            "Rate limits (429) do not count here.",
            [target(f"min by (endpoint, model) (mainstay_endpoint_health_ratio{{{ENDPOINT}}})", "{{endpoint}}")],
            "percentunit", axis="expected success", high=1, links=[explain()],
            thresholds=[{"color": RED, "value": None}, {"color": ORANGE, "value": 0.5},
                        {"color": GREEN, "value": 0.9}]),
        timeseries(
            "What health is made of",
            "The weighed failures (dashed: successes) of about the last half minute, endpoint by endpoint. Both near 0: it gets "
            "no traffic, and its health is a prior, not a finding. Failures alone: it is tried and fails.",
            [target(f'max by (endpoint) (mainstay_endpoint_health_evidence{{{ENDPOINT}, part="failure"}})', "{{endpoint}}", "A"),
             target(f'max by (endpoint) (mainstay_endpoint_health_evidence{{{ENDPOINT}, part="success"}})',
                    "{{endpoint}} success", "B")],
            "short", axis="weighed failures; dashed: successes", overrides=[override(("byRegexp", "/ success$/"), **DASHED)]),
        timeseries(
            "Share of attempts",
            "Where the attempts go. A sick endpoint's band should shrink within seconds and grow back in steps. If it "
            "keeps its share while its health is low, it is the only one left. Look at who carries the rest: can that "
            "account bear the load, and its price?",
            [target(share, "{{endpoint}}")], "percentunit", stack=True, high=1),
        timeseries(
            "Share by choice",
            "Where the next request's first attempt would go, from Mainstay itself: it falls with the first failures, "
            "before the attempts show it, and tells of endpoints that nobody asks for at the moment.",
            [target(f"avg by (endpoint, model) (mainstay_endpoint_share_ratio{{{ENDPOINT}}})", "{{endpoint}}")],
            "percentunit", high=1, links=[explain()]),
        timeseries(
            "Time to first token",
            "From the request sent to the first content of a stream: 95th percentile (dashed: median) by endpoint, of "
            f"attempts that got that far; {floor('mainstay_first_content_seconds')}. Both up on one endpoint: it is slow or overloaded. Only p95 up: part of it "
            "is. All up at once: look at this machine and its network first. A line that ends has no answers left.",
            [target(quantile(0.5, "mainstay_first_content_seconds", ENDPOINT + ', kind="stream"', "endpoint"),
                    "{{endpoint}} median", "A"),
             target(quantile(0.95, "mainstay_first_content_seconds", ENDPOINT + ', kind="stream"', "endpoint"),
                    "{{endpoint}}", "B")],
            "s", axis=f"p95, dashed: median; {floor('mainstay_first_content_seconds')}",
            overrides=[override(("byRegexp", "/ median$/"), **DASHED)]),
        timeseries(
            "Silence between tokens",
            "95th percentile of the silence between one piece of a stream and the next; "
            f"{floor('mainstay_content_gap_seconds')}. Up on one endpoint: it stalls, "
            "though its first token is quick. Above a second readers notice.",
            [target(quantile(0.95, "mainstay_content_gap_seconds", ENDPOINT, "endpoint"), "{{endpoint}}")], "s",
            axis=f"p95; {floor('mainstay_content_gap_seconds')}"),
        timeseries(
            "Attempts by outcome",
            "What providers did to single attempts; clients did not see most of it. The colour names the remedy. Blue: "
            "the key, its account or its rights. Yellow: too much for its rate limit. Orange: the host or the way "
            "there. Red (errors), brown (a lost connection), pink (a cut stream) and purple (silence): theirs, see their "
            "status page. Grey: the request, the client, or (local_fault) this machine.",
            [target(rate("mainstay_attempts_total", ENDPOINT, "outcome"), "{{outcome}}")],
            "reqps", stack=True, axis="attempts / s", overrides=coloured("^{}$", OUTCOMES)),
        timeseries(
            "Failures by endpoint and class",
            "Attempts that failed, and nothing else: whose, and of which class; a single one shows, too. Bars that end are "
            "no recovery by themselves: an endpoint that rests is not asked. Colours as in the panel before.",
            [target(counted("mainstay_attempts_total", ENDPOINT + ', outcome!~"success|client_gone|superseded"',
                            "endpoint, outcome"), "{{endpoint}} {{outcome}}")],
            "short", bars=True, stack=True, axis="attempts", overrides=coloured(" {}$", OUTCOMES)),
        timeseries(
            "In flight",
            "Attempts under way. A line that climbs while traffic does not is an endpoint that accepts and stays silent.",
            [target(f"sum by (endpoint) (mainstay_endpoint_in_flight{{{ENDPOINT}}})", "{{endpoint}}")], "short",
            axis="attempts"),
        timeseries(
            "Moves by reason",
            "Moves of breakers. To open: host, key, silence, missing (the model is not there) and error say who must act. "
            "half open: probed; ramp: it answered; closed: the ramp is over. Open again and again every few seconds: "
            "probes fail, it is still down. A few far apart: it flaps.",
            [target(f"sum by (endpoint, to, reason) (increase(mainstay_endpoint_transitions_total{{{ENDPOINT}}}{RANGE})) "
                    "> 0", "{{endpoint}} {{to}}: {{reason}}")],
            "short", bars=True, stack=True, axis="moves",
            overrides=coloured(": {}$", (("host", ORANGE), ("key", BLUE), ("silence", PURPLE), ("missing", GREY), ("error", RED),
                                         ("probed", YELLOW), ("answered|settled", GREEN)))),
        timeseries(
            "Blocked, and rate caps",
            "Lines: how much longer a Retry-After keeps requests away. Dashed, right: requests a second that were learnt "
            "to be taken, where 429s have taught a limit. Blocked most of the time: the limit is too small for its share; another key or endpoint helps.",
            [target(f"max by (endpoint) (mainstay_endpoint_blocked_seconds{{{ENDPOINT}}})", "{{endpoint}}", "A"),
             target(f"min by (endpoint) (mainstay_endpoint_rate_cap{{{ENDPOINT}}} > 0)", "{{endpoint}} cap", "B")],
            "s", axis="seconds blocked",
            overrides=[override(("byRegexp", "/ cap$/"), unit="reqps", **DASHED, **right("dashed: cap, requests / s"))]),
        timeseries(
            "Speed",
            "Tokens a second that the next stream is expected to bring. A fall without failures is a provider under load; "
            "policies that weigh throughput move away by themselves.",
            [target(f"min by (endpoint) (mainstay_endpoint_tokens_per_second{{{ENDPOINT}}})", "{{endpoint}}")], "short",
            axis="tokens / s"),
        timeseries(
            "Used of told limits",
            "The part of a rate limit that is used up, where the upstream tells it. Near 100 %: 429 comes next, and requests "
            "go elsewhere. Requests or tokens: which of them to ask the provider to raise.",
            [target(f"1 - min by (endpoint, quantity) (mainstay_endpoint_ratelimit_remaining_ratio{{{ENDPOINT}}})",
                    "{{endpoint}} {{quantity}}")], "percentunit", axis="used", high=1),
        timeseries(
            "Servers, by active checks",
            "Lines: 1 while a server of a provider passes its active checks, where there are any. Bars, right: checks that fail. "
            "Down here and well above: the path that is checked is wrong, or the server fails for checks alone.",
            [target('min by (provider, address) (mainstay_address_up{provider=~"$provider"})',
                    "{{provider}} {{address}}", "A"),
             target('sum by (provider) (rate(mainstay_health_checks_total{provider=~"$provider", result="failed"}' + RANGE
                    + "))", "{{provider}} failed", "B")],
            "short", axis="up",
            overrides=[override(("byRegexp", "/ failed$/"), unit="reqps", custom__drawStyle="bars",
                                **right("checks / s"))]),
        timeseries(
            "Probes of our own",
            "Requests of Mainstay's own to open endpoints of quiet models, where `health.active_probe` is on. Failed: still down. "
            "Dashed, right: what they cost, USD an hour.",
            [target("sum by (result) (rate(mainstay_probes_total" + RANGE + "))", "{{result}}", "A"),
             target("3600 * sum(rate(mainstay_probes_cost_usd_total" + RANGE + "))", "cost", "B")],
            "reqps", axis="probes / s", overrides=[colour("failed", RED), colour("passed", GREEN),
                                override(("byName", "cost"), unit="currencyUSD", color={"mode": "fixed", "fixedColor": GREY},
                                         **DASHED, **right("dashed: USD / hour"))]),
    ]


BOARD = dashboard("mainstay-upstream-health", "upstream health",
                  "Which provider is ill, and what Mainstay does about it.", panels())
