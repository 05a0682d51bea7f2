"""The proxy itself: what it holds, how late it is, and what it runs."""

from .parts import BLUE, DASHED, GREEN, ORANGE, PURPLE, RANGE, RED, colour, dashboard, floor, override, right, target, timeseries


def panels():
    lag = "histogram_quantile({}, sum by (le) (rate(mainstay_event_loop_lag_seconds_bucket" + RANGE + ")))"
    return [
        timeseries(
            "Configuration",
            "Bars: reloads, applied or refused. Line, right: 1 while the file on disk is what serves. At 0 the file "
            "was refused and the last good one serves on; the log and /api/status name file, line and column. Did the "
            "trouble begin at a bar? Then undo that change first.",
            [target(f"sum by (result) (increase(mainstay_config_reloads_total{RANGE}))", "{{result}}", "A"),
             target("min(mainstay_config_last_reload_successful)", "file in force", "B")],
            "short", bars=True, axis="reloads",
            overrides=[colour("applied", BLUE), colour("refused", RED),
                       override(("byName", "file in force"), color={"mode": "fixed", "fixedColor": GREEN}, max=1,
                                custom__drawStyle="line", custom__lineInterpolation="stepAfter",
                                custom__fillOpacity=0, **right("file in force"))]),
        timeseries(
            "Generation",
            "Number of the configuration that serves, by instance. Instances apart for long: one does not see the file.",
            [target("max by (instance) (mainstay_config_generation)", "{{instance}}")], "short", axis="number"),
        timeseries(
            "Connections and exchanges",
            "Clients' connections, exchanges under way, and those of them that are streams. All climb together when an "
            "upstream is silent; connections alone: clients that keep too many.",
            [target("sum(mainstay_downstream_connections)", "connections", "A"),
             target("sum(mainstay_exchanges_in_flight)", "exchanges", "B"),
             target("sum(mainstay_streams_in_flight)", "streams", "C")], "short", axis="open",
            overrides=[colour("connections", BLUE), colour("exchanges", ORANGE), colour("streams", PURPLE)]),
        timeseries(
            "Bodies held",
            "Bytes of request bodies that are kept for another attempt. At server.max_inflight_bytes requests get 503.",
            [target("sum(mainstay_held_body_bytes)", "held")], "bytes", overrides=[colour("held", BLUE)]),
        timeseries(
            "Event loop lag",
            "How late a timer fired among the data threads' tasks, 99th percentile (dashed: median); "
            f"{floor('mainstay_event_loop_lag_seconds')}. Milliseconds are usual; "
            "more means that the machine is too small or something holds a thread up: every request is that much later. "
            "Above the line (0.1 s) clients feel it.",
            [target(lag.format(0.5), "p50", "A"), target(lag.format(0.99), "p99", "B")], "s",
            axis=f"p99, dashed: p50; {floor('mainstay_event_loop_lag_seconds')}",
            thresholds=[{"color": GREEN, "value": None}, {"color": RED, "value": 0.1}],
            overrides=[colour("p99", ORANGE), override(("byName", "p50"), color={"mode": "fixed", "fixedColor": BLUE}, **DASHED)]),
        timeseries(
            "CPU",
            "Cores in use.",
            [target(f"sum by (instance) (rate(process_cpu_seconds_total{RANGE}))", "{{instance}}")], "short", axis="cores"),
        timeseries(
            "Memory, and descriptors",
            "Resident memory, and right: open file descriptors. Memory that climbs with held bodies falls with them.",
            [target("sum by (instance) (process_resident_memory_bytes)", "{{instance}} memory", "A"),
             target("sum by (instance) (process_open_fds)", "{{instance}} descriptors", "B")], "bytes", axis="memory",
            overrides=[override(("byRegexp", "/ descriptors$/"), unit="short", **DASHED, **right("dashed: descriptors"))]),
        timeseries(
            "Scrape",
            "What writing the metrics took. It runs beside the requests; a second is too long for the scrape's timeout.",
            [target("max by (instance) (mainstay_scrape_seconds)", "{{instance}}")], "s"),
        timeseries(
            "Refused connections",
            "Clients' connections that were closed at once because server.max_connections were open. Above 0: clients that "
            "keep too many, or a limit that is too low.",
            [target(f"sum by (instance) (rate(mainstay_downstream_connections_refused_total{RANGE}))", "{{instance}}")],
            "cps", axis="connections / s"),
        timeseries(
            "Lost telemetry",
            "Lines of the access log and spans that were dropped. Requests are not slowed by it. Lines: the disk is full, or "
            "who reads standard output is slow or gone. Spans: the collector.",
            [target(f"sum(rate(mainstay_access_log_dropped_total{RANGE}))", "log lines", "A"),
             target(f"sum(rate(mainstay_spans_dropped_total{RANGE}))", "spans", "B")], "cps", axis="lost / s",
            overrides=[colour("log lines", ORANGE), colour("spans", PURPLE)]),
    ]


BOARD = dashboard("mainstay-proxy", "the proxy itself", "What it holds, how late it is, and what it runs.", panels())
