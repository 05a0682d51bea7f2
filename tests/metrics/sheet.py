"""Draws each panel's data as one small chart of an SVG sheet, in the dashboard's order and colours."""

import math
import re
import time
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 580, 272, 46, 34, 46, 88
HEAD = 56
PALETTE = ["#56A64B", "#E0A800", "#3274D9", "#FF780A", "#A352CC", "#C4162A", "#37872D", "#8AB8FF", "#B877D9"]
PARTS = [("before", "healthy"), ("status", "503"), ("silence", "silent"), ("after", "recovery")]
TOLD = ("Drawn by tests/metrics from the panels' own queries against a real Prometheus during a scripted incident of "
        "provider alpha. Not a screenshot of Grafana.")


def draw(dashboard, results, windows, told=TOLD):
    """`windows`: when each of PARTS began, and the end; one with `before` and `end` alone shows the time instead."""
    rows = (len(dashboard["panels"]) + 1) // 2
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {HEAD + rows * HEIGHT}" '
           'font-family="Helvetica, Arial, sans-serif" font-size="11">',
           '<rect width="100%" height="100%" fill="#fff"/>',
           f'<text x="14" y="24" font-size="17" font-weight="bold">{escape(dashboard["title"])}</text>',
           f'<text x="14" y="43" fill="#666">{escape(told)}</text>']
    for position, panel in enumerate(dashboard["panels"]):
        own = [result for result in results if result["panel"] == panel["title"]]
        x, y = WIDTH * (position % 2), HEAD + HEIGHT * (position // 2)
        out.append(f'<g transform="translate({x},{y})">{Chart(panel, own, windows).draw()}</g>')
    return "\n".join(out + ["</svg>\n"])


class Chart:
    def __init__(self, panel, results, windows):
        self.panel, self.windows = panel, windows
        self.defaults = panel["fieldConfig"]["defaults"]
        self.lines = []  # (name, points, properties)
        for result in results:
            for name, points in sorted(result["series"].items()):
                if points:
                    self.lines.append((short(name), points, self.properties(name)))
        self.out = []
        self.endpoints = sorted({endpoint for name, _, _ in self.lines if "@" in (endpoint := name.split()[0])})

    def properties(self, name):
        found = {"unit": self.defaults.get("unit"), "max": self.defaults.get("max"), **self.defaults["custom"]}
        for one in self.panel["fieldConfig"]["overrides"]:
            kind, text = one["matcher"]["id"], one["matcher"]["options"]
            if name == text if kind == "byName" else re.search(text.strip("/"), name):
                found |= {p["id"].removeprefix("custom."): p["value"] for p in one["properties"]}
        return found

    def draw(self):
        self.text(14, 20, self.panel["title"], 'font-size="13" font-weight="bold"')
        self.background()
        if self.panel["type"] == "state-timeline":
            self.states()
        else:
            self.values()
        return "".join(self.out)

    def text(self, x, y, text, more=""):
        self.out.append(f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(text)}</text>')

    def rect(self, x, y, width, height, fill, opacity=1.0):
        self.out.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}" '
                        f'fill-opacity="{opacity}"/>')

    def x(self, moment):
        start, end = self.windows["before"], self.windows["end"]
        return LEFT + (WIDTH - LEFT - RIGHT) * (moment - start) / (end - start)

    def background(self):
        if "after" not in self.windows:
            return self.clock()
        tints = {"status": "#C4162A", "silence": "#A352CC"}
        ends = [start for start, _ in PARTS[1:]] + ["end"]
        for (start, label), end in zip(PARTS, ends):
            left, right = self.x(self.windows[start]), self.x(self.windows[end])
            if start in tints:
                self.rect(left, TOP, right - left, HEIGHT - TOP - BOTTOM, tints[start], 0.07)
            self.text((left + right) / 2, HEIGHT - BOTTOM + 13, label, 'fill="#888" text-anchor="middle"')

    def clock(self):
        start, end = self.windows["before"], self.windows["end"]
        for moment in range(math.ceil(start / 10) * 10, int(end) + 1, 10):
            x = self.x(moment)
            self.out.append(f'<path d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#eee" stroke-width="0.7"/>')
            told = time.strftime("%H:%M:%S", time.gmtime(moment))
            self.text(x, HEIGHT - BOTTOM + 13, told, 'fill="#888" text-anchor="middle" font-size="9"')

    def states(self):
        looks = self.defaults["mappings"][0]["options"]
        step = (HEIGHT - TOP - BOTTOM) / max(1, len(self.lines))
        for row, (name, points, _) in enumerate(self.lines):
            y = TOP + row * step
            for moment, value in points:
                self.rect(self.x(moment), y, self.x(moment + 1) - self.x(moment) + 0.3, step * 0.85,
                          looks[str(int(value))]["color"])
            self.text(LEFT + 6, y + step * 0.55, name, 'font-weight="bold" fill="#fff"')
        self.legend([(look["text"], look["color"]) for look in looks.values()])

    def values(self):
        sides = {False: [], True: []}
        below = {}
        legend = []
        for position, (name, points, look) in enumerate(self.lines):
            endpoint = name.split()[0]
            if endpoint in self.endpoints:  # its median, its p95 and its trips have one colour
                position = self.endpoints.index(endpoint)
            colour = look.get("color", {}).get("fixedColor") or PALETTE[position % len(PALETTE)]
            base = {}
            if look["stacking"]["mode"] == "normal":
                base = {moment: below.get(moment, 0.0) for moment, _ in points}
                below |= {moment: base[moment] + value for moment, value in points}
            points = [(moment, base.get(moment, 0.0) + value, base.get(moment, 0.0)) for moment, value in points]
            sides[look.get("axisPlacement") == "right"].append((points, look, colour))
            legend.append((name, colour))
        for right, lines in sides.items():
            if lines:
                self.side(lines, right)
        self.legend(legend)

    def side(self, lines, right):
        top = max([value for points, _, _ in lines for _, value, _ in points] + [0])
        limits = [look["max"] for _, look, _ in lines if look.get("max") is not None]
        top = max(limits) if limits else top * 1.1 or 1
        self.named(lines[0][1].get("axisLabel", ""), right)
        room = HEIGHT - TOP - BOTTOM
        height = lambda value: TOP + room * (1 - min(value, top) / top)
        for part in (0, 0.5, 1):
            y = height(part * top)
            anchor = 'fill="#666" ' + ('' if right else 'text-anchor="end"')
            self.text(WIDTH - RIGHT + 5 if right else LEFT - 5, y + 4, told(part * top, lines[0][1]["unit"]), anchor)
            self.out.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd" stroke-width="0.7"/>')
        if not right:
            self.thresholds(top, height)
        for points, look, colour in lines:
            if look["drawStyle"] == "bars":
                for moment, value, base in points:
                    self.rect(self.x(moment), height(value), 5, height(base) - height(value), colour, 0.55)
                continue
            for run in runs(points):
                place = [f"{self.x(moment):.1f} {height(value):.1f}" for moment, value, _ in run]
                if look["stacking"]["mode"] == "normal":
                    floor = [f"{self.x(moment):.1f} {height(base):.1f}" for moment, _, base in reversed(run)]
                    self.out.append(f'<path d="M{"L".join(place + floor)}Z" fill="{colour}" '
                                    f'fill-opacity="{look["fillOpacity"] / 100}"/>')
                if not look["lineWidth"]:
                    continue
                dash = 'stroke-dasharray="5 3"' if "lineStyle" in look else ""
                self.out.append(f'<path d="M{"L".join(place)}" fill="none" stroke="{colour}" '
                                f'stroke-width="1.6" {dash}/>')

    def legend(self, entries):
        x, y = LEFT, HEIGHT - BOTTOM + 29
        for name, colour in entries:
            width = 20 + 5.6 * len(name)
            if x + width > WIDTH - 10:
                x, y = LEFT, y + 14
            self.rect(x, y - 8, 9, 9, colour)
            self.text(x + 13, y, name, 'font-size="10"')
            x += width

    def named(self, axis, right):
        place = f'fill="#888" font-size="9" text-anchor="{"end" if right else "start"}"'
        self.text(WIDTH - 6 if right else 14, TOP - 4, axis, place)

    def thresholds(self, top, height):
        if self.defaults["custom"]["thresholdsStyle"]["mode"] == "off":
            return
        for step in self.defaults["thresholds"]["steps"]:
            if step["value"] is not None and step["value"] <= top:
                y = height(step["value"])
                self.out.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="{step["color"]}" '
                                'stroke-width="0.8" stroke-dasharray="2 3"/>')


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


def short(name):
    return name.replace("acme/", "").replace("/default", "")


def told(value, unit):
    if unit == "percentunit":
        return f"{100 * value:.0f}%"
    return f"{value:.2g}" + {"s": " s", "reqps": "/s"}.get(unit, "")
