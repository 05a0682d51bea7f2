"""Draws each panel's data as one small chart of an SVG sheet, in the dashboard's order and colours."""

import math
import re
import time
from xml.sax.saxutils import escape

WIDTH, LEFT, TOP, PLOT, RIGHT = 580, 60, 46, 150, 60
HEAD, FOOT, LINE = 84, 16, 15
# Grafana draws a name's colour from the name's hash. Here names take turns: no two are alike until all are used up.
PALETTE = ["#3274D9", "#E0752D", "#56A64B", "#A352CC", "#C4162A", "#00A3A3", "#8C6D1F", "#E83E8C", "#1F3B73", "#F2B400",
           "#7FB800", "#6B6B6B", "#7A2E2E", "#5AC8FA", "#B8A2E3", "#14532D"]
# Of one name's lines in one chart, where the panel does not tell them apart.
DASHES = ["", "5 3", "2 3", "8 3 2 3"]
PARTS = [("before", "healthy"), ("status", "503"), ("silence", "silent"), ("after", "recovery")]
TINTS = {"status": "#C4162A", "silence": "#A352CC"}
TOLD = ("Drawn by tests/metrics from the panels' own queries against a real Prometheus during a scripted incident of "
        "provider alpha. Not a screenshot of Grafana.")


def draw(dashboard, results, windows, colours, told=TOLD):
    """The sheet of one dashboard, and its size. `windows`: when each of PARTS began, and the end, or `before` and `end` alone;
    `colours`: of `colours_of` all that is drawn at that time."""
    charts = [Chart(panel, [result for result in results if result["panel"] == panel["title"]], windows, colours)
              for panel in dashboard["panels"]]
    out, y = [], HEAD
    for left in range(0, len(charts), 2):
        row = [chart.draw() for chart in charts[left:left + 2]]
        out += [f'<g transform="translate({WIDTH * column},{y})">{drawn}</g>' for column, drawn in enumerate(row)]
        y += max(chart.height for chart in charts[left:left + 2])
    clock = lambda moment, form="%H:%M:%S": time.strftime(form, time.gmtime(moment))
    span = (f'{clock(windows["before"], "%Y-%m-%d %H:%M:%S")} to {clock(windows["end"])} UTC; taken at '
            f'{clock(time.time())} UTC')
    head = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {y}" width="{2 * WIDTH}" height="{y}" '
            'font-family="Helvetica, Arial, sans-serif" font-size="11">',
            '<rect width="100%" height="100%" fill="#fff"/>',
            f'<text x="14" y="24" font-size="17" font-weight="bold">{escape(dashboard["title"])}</text>',
            f'<text x="14" y="44" font-size="13" font-weight="bold">{span}</text>',
            f'<text x="14" y="62" fill="#666">{escape(told)}</text>']
    return "\n".join(head + out + ["</svg>\n"]), (2 * WIDTH, y)


def colours_of(boards, results):
    """A colour for each name that has none of its own, the same in every panel of every board. Endpoints first and by
    themselves: of those no two should share one."""
    names = set()
    for result in results:
        panels = boards[result["board"]]["panels"] if result["board"] in boards else ()
        for panel in (panel for panel in panels if panel["title"] == result["panel"]):
            names |= {whose(short(name)) for name in result["series"]
                      if panel["type"] == "state-timeline" or not fixed(look_of(panel, name))}
    endpoints = sorted(name for name in names if "@" in name)
    # What is only there in an incident comes last, so that the others keep their colours from one run to the next.
    others = sorted(names - set(endpoints), key=lambda name: ("→" in name, name))
    return {name: PALETTE[position % len(PALETTE)] for listed in (endpoints, others)
            for position, name in enumerate(listed)}


def look_of(panel, name):
    """The properties of a series, overrides applied."""
    defaults = panel["fieldConfig"]["defaults"]
    found = {"unit": defaults.get("unit"), "max": defaults.get("max"), **defaults["custom"]}
    for one in panel["fieldConfig"]["overrides"]:
        kind, text = one["matcher"]["id"], one["matcher"]["options"]
        if name == text if kind == "byName" else re.search(text.strip("/"), name):
            found |= {p["id"].removeprefix("custom."): p["value"] for p in one["properties"]}
    return found


def fixed(look):
    return look.get("color", {}).get("fixedColor")


def whose(name):
    """The endpoint, model or provider of a series: its median, its p95 and its trips have one colour."""
    return name if "→" in name else name.split()[0]


class Chart:
    def __init__(self, panel, results, windows, colours):
        self.panel, self.windows, self.colours = panel, windows, colours
        self.defaults = panel["fieldConfig"]["defaults"]
        self.lines = [(short(name), points, look_of(panel, name)) for result in results
                      for name, points in sorted(result["series"].items()) if points]
        self.out, self.height = [], 0

    def draw(self):
        self.text(14, 20, self.panel["title"], 'font-size="14" font-weight="bold"')
        self.background()
        legend = self.states() if self.panel["type"] == "state-timeline" else self.values()
        if not self.lines:
            self.text(WIDTH / 2, TOP + PLOT / 2, "no data", 'fill="#888" text-anchor="middle"')
        self.height = self.legend(legend) + FOOT
        return "".join(self.out)

    def text(self, x, y, text, more=""):
        self.out.append(f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(text)}</text>')

    def rect(self, x, y, width, height, fill, opacity=1.0):
        self.out.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}" '
                        f'fill-opacity="{opacity}"/>')

    def line(self, path, colour, width, dash=""):
        dash = f' stroke-dasharray="{dash}"' if dash else ""
        self.out.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width}"{dash}/>')

    def x(self, moment):
        start, end = self.windows["before"], self.windows["end"]
        return LEFT + (WIDTH - LEFT - RIGHT) * (moment - start) / (end - start)

    def background(self):
        self.clock()
        if "after" not in self.windows:
            return
        ends = [start for start, _ in PARTS[1:]] + ["end"]
        for (start, label), end in zip(PARTS, ends):
            left, right = self.x(self.windows[start]), self.x(self.windows[end])
            if start in TINTS:
                self.rect(left, TOP, right - left, PLOT, TINTS[start], 0.07)
            self.text((left + right) / 2, TOP + PLOT + 29, label, 'fill="#777" text-anchor="middle"')

    def clock(self):
        """Marks of whole seconds, as many as can be read."""
        start, end = self.windows["before"], self.windows["end"]
        step = next((step for step in (5, 10, 15, 20, 30, 60, 120, 300) if (end - start) / step <= 7), 600)
        for moment in range(math.ceil(start / step) * step, int(end) + 1, step):
            x = self.x(moment)
            self.line(f"M{x:.1f} {TOP}V{TOP + PLOT + 3}", "#ddd", 0.7)
            self.text(x, TOP + PLOT + 15, time.strftime("%H:%M:%S", time.gmtime(moment)), 'fill="#444" text-anchor="middle"')

    def states(self):
        looks = self.defaults["mappings"][0]["options"]
        step = PLOT / max(1, len(self.lines))
        for row, (name, points, _) in enumerate(self.lines):
            y = TOP + row * step
            for moment, value in points:
                self.rect(self.x(moment), y, self.x(moment + 1) - self.x(moment) + 0.3, step * 0.85,
                          looks[str(int(value))]["color"])
            self.text(LEFT + 6, y + step * 0.6, name, 'font-weight="bold" fill="#fff" stroke="#000" stroke-opacity="0.45" '
                      'stroke-width="2.5" paint-order="stroke"')
        return [(look["text"], look["color"], "") for look in looks.values()]

    def values(self):
        sides, below, seen, legend = {False: [], True: []}, {}, {}, []
        for name, points, look in self.lines:
            colour = fixed(look) or self.colours[whose(name)]
            base, dash = {}, "5 3" if "lineStyle" in look else ""
            if look["stacking"]["mode"] == "normal":
                base = {moment: below.get(moment, 0.0) for moment, _ in points}
                below |= {moment: base[moment] + value for moment, value in points}
            elif not dash and look["drawStyle"] == "line":
                dash = DASHES[seen.setdefault(colour, 0) % len(DASHES)]
                seen[colour] += 1
            points = [(moment, base.get(moment, 0.0) + value, base.get(moment, 0.0)) for moment, value in points]
            sides[look.get("axisPlacement") == "right"].append((points, look, colour, dash))
            legend.append((name, colour, dash))
        for right, lines in sides.items():
            if lines:
                self.side(lines, right)
        return legend

    def side(self, lines, right):
        look = lines[0][1]
        top = max([value for points, *_ in lines for _, value, _ in points] + [0])
        limits = [look["max"] for _, look, *_ in lines if look.get("max") is not None]
        marks = ticks(max(limits) if limits else top)
        top = marks[-1]
        axis = f'fill="#666" text-anchor="{"end" if right else "start"}"'
        self.text(WIDTH - 14 if right else 14, TOP - 10, look.get("axisLabel", ""), axis)
        height = lambda value: TOP + PLOT * (1 - min(value, top) / top)
        for mark in marks:
            y = height(mark)
            self.text(WIDTH - RIGHT + 5 if right else LEFT - 5, y + 4, told(mark, look["unit"]),
                      'fill="#444" ' + ('' if right else 'text-anchor="end"'))
            self.line(f"M{LEFT} {y:.1f}H{WIDTH - RIGHT}", "#ddd", 0.7)
        if not right:
            self.thresholds(top, height)
        for points, look, colour, dash in lines:
            self.series(points, look, colour, dash, height)

    def series(self, points, look, colour, dash, height):
        if look["drawStyle"] == "bars":
            for moment, value, base in points:
                self.rect(self.x(moment), height(value), 5, height(base) - height(value), colour, 0.55)
            return
        for run in runs(points):
            place = [f"{self.x(moment):.1f} {height(value):.1f}" for moment, value, _ in run]
            if look["stacking"]["mode"] == "normal":
                floor = [f"{self.x(moment):.1f} {height(base):.1f}" for moment, _, base in reversed(run)]
                self.out.append(f'<path d="M{"L".join(place + floor)}Z" fill="{colour}" '
                                f'fill-opacity="{look["fillOpacity"] / 100}"/>')
            if look["lineWidth"]:
                self.line(f"M{'L'.join(place)}", colour, 1.6, dash)

    def legend(self, entries):
        """Returns where it ends."""
        x, y = LEFT, TOP + PLOT + (48 if "after" in self.windows else 34)
        for name, colour, dash in entries:
            width = 26 + 6.3 * len(name) + (8 if "@" in name else 0)
            if x + width > WIDTH - 10 and x > LEFT:
                x, y = LEFT, y + LINE
            if dash:
                self.line(f"M{x} {y - 4}h14", colour, 2.5, dash)
            else:
                self.rect(x, y - 9, 10, 10, colour)
            self.text(x + (18 if dash else 14), y, name)
            x += width
        return y

    def thresholds(self, top, height):
        if self.defaults["custom"]["thresholdsStyle"]["mode"] == "off":
            return
        for step in self.defaults["thresholds"]["steps"]:
            if step["value"] is not None and step["value"] <= top:
                self.line(f"M{LEFT} {height(step['value']):.1f}H{WIDTH - RIGHT}", step["color"], 0.8, "2 3")


def runs(points):
    """Points in a row without a gap."""
    run = []
    for point in points:
        if run and point[0] - run[-1][0] > 1.5:
            yield run
            run = []
        run.append(point)
    if run:
        yield run


def ticks(top):
    """From 0 up to `top` or above it, at most five steps of 1, 2, 2.5 or 5."""
    if top <= 0:
        return [0, 1]
    power = 10.0 ** math.floor(math.log10(top / 5))
    step = next(step * power for step in (1, 2, 2.5, 5, 10) if top / (step * power) <= 5 + 1e-9)
    return [step * count for count in range(math.ceil(top / step - 1e-9) + 1)]


def short(name):
    return name.replace("acme/", "").replace("/default", "").strip()


def told(value, unit):
    """As short as an axis has room for."""
    if unit == "percentunit":
        return f"{100 * value:.4g}%"
    if unit == "s" and 0 < value < 1:
        return f"{1000 * value:.4g} ms"
    scale, letter = next(((scale, letter) for scale, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k"))
                          if value >= (scale if unit == "bytes" else 10 * scale)), (1, ""))
    number = f"{value / scale:.4g}{letter}"
    return {"s": f"{number} s", "reqps": f"{number}/s", "cps": f"{number}/s", "bytes": f"{number}B",
            "currencyUSD": f"${number}"}.get(unit, number)
