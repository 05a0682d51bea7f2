#!/usr/bin/env python3
"""Writes what follows from the registry: the dashboards of conf/grafana/dashboards, and docs/metrics.md.

    generate.py            writes them
    generate.py --check    exit 1 when a committed file is another

metrics.json is the registry (a test of the crate holds it against the code; `make dashboards` writes both). A
dashboard, a rule or the runbook that names a metric, a label or a word that the registry does not have, is refused, as
is an alert without a section of the runbook, a section without its alert, or a word of a closed list without a colour. The dashboards themselves are in boards/.
"""

import json
import pathlib
import re
import sys

from boards import BOARDS

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RULES = ROOT / "conf/prometheus/rules/mainstay.yaml"
INHIBITIONS = ROOT / "conf/prometheus/alertmanager.yml"
RUNBOOK = ROOT / "docs/runbook.md"
LISTING = json.loads((HERE / "metrics.json").read_text(encoding="utf-8"))
FAMILIES = {family["name"]: family for family in LISTING["families"]}
SELECTOR = re.compile(r"(?<![\w:])((?:mainstay|process)_\w+)(?![\w:])(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
# A label that every target has.
OF_TARGETS = {"job", "instance"}


def family_of(name):
    """The family that a series' name belongs to."""
    base = re.sub(r"_(bucket|sum|count)$", "", name)
    family = FAMILIES.get(name) or FAMILIES.get(base)
    if family is None:
        return None
    is_part = name != family["name"]
    return family if is_part == (family["type"] == "histogram") else None


def faults_of(where, expression):
    """What the expression names and the registry does not have."""
    for name, selector in SELECTOR.findall(expression):
        family = family_of(name)
        if family is None:
            yield f"{where}: {name} is no metric of the registry"
            continue
        for label, value in MATCHER.findall(selector):
            if label not in {*family["labels"], *OF_TARGETS, "le"}:
                yield f"{where}: {name} has no label {label}"
            words = LISTING["words"].get(label)
            for word in value.split("|") if words and "$" not in value else ():
                if word not in words:
                    yield f"{where}: {label} is never {word}"


def expressions(board):
    """(where, expression) of everything that a dashboard asks for."""
    for panel in board["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for mark in board["annotations"]["list"]:
        if "expr" in mark:
            yield mark["name"], mark["expr"]
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["query"]["query"]


def colourless(panel):
    """Words of closed lists that a panel tells apart and has no fixed colour for: they would change with their neighbours."""
    fixed = [one["matcher"]["options"] for one in panel["fieldConfig"]["overrides"]
             if any(each["id"] == "color" for each in one["properties"])]
    for aim in panel["targets"]:
        told = re.search(r"{{(outcome|in|cause|type|reason|status)}}$", aim["legendFormat"])
        for word in LISTING["words"][told[1]] if told else ():
            name = aim["legendFormat"].replace(told[0], word)
            if not any(name == one if not one.startswith("/") else re.search(one.strip("/"), name) for one in fixed):
                yield f"{panel['title']}: {told[1]} {word} has no colour"


def faults():
    rules = re.sub(r"^ *#.*$", "", RULES.read_text(encoding="utf-8"), flags=re.MULTILINE)
    yield from faults_of("rules", rules)
    recorded = set(re.findall(r"record: (\S+)", rules))
    for title, board in BOARDS.items():
        for where, expression in expressions(board):
            yield from faults_of(f"{title}, {where}", expression)
            for name in set(re.findall(r"\b[\w]+:mainstay_\w+:\w+", expression)) - recorded:
                yield f"{title}, {where}: no rule records {name}"
        for panel in board["panels"]:
            yield from colourless(panel)
    alerts = re.findall(r"alert: (\S+)", rules)
    links = re.findall(r"runbook_url: docs/runbook.md#(\S+)", rules)
    if [alert.lower() for alert in alerts] != links:
        yield "rules: each alert's runbook_url is docs/runbook.md and its own name"
    for name in set(re.findall(r"Mainstay[A-Z]\w+", re.sub(r"#.*", "", INHIBITIONS.read_text(encoding="utf-8")))) - set(alerts):
        yield f"alertmanager.yml: no alert is named {name}"
    sections = re.findall(r"^## (\S+)$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE)
    for name in set(alerts) ^ set(sections):
        yield f"{name}: an alert without a section of the runbook, or the other way round"


def metrics_page():
    """docs/metrics.md: every family, and who uses it."""
    used = {name: [] for name in FAMILIES}
    sources = [(board["title"].removeprefix("Mainstay: "), " ".join(text for _, text in expressions(board)))
               for board in BOARDS.values()]
    for title, text in [*sources, ("alerts", RULES.read_text(encoding="utf-8"))]:
        for name in {found for found, _ in SELECTOR.findall(text)}:
            if family := family_of(name):
                used[family["name"]].append(title)
    lines = [
        "# Metrics", "",
        "<!-- Written by conf/grafana/generate.py from the registry. `make dashboards` writes it anew. -->", "",
        "What `GET /metrics` of the admin port tells. Label values come from the configuration and closed lists only; no text of a",
        "client's becomes one. `endpoint` is `<model>@<provider>/<key>`. An endpoint has at most 100 series; those of an outcome, of",
        "JSON answers and of told limits begin when first seen. A removed endpoint's end with the reload.", "",
        "| metric | type | labels | meaning | used by |", "|---|---|---|---|---|",
    ]
    for name, family in FAMILIES.items():
        labels = ", ".join(family["labels"])
        lines.append(f"| `{name}` | {family['type']} | {labels} | {family['help']} | {', '.join(used[name])} |")
    lines += ["", "## Words of closed lists", "", "| label | words |", "|---|---|"]
    for label, words in LISTING["words"].items():
        lines.append(f"| {label} | {' '.join(dict.fromkeys(words))} |")
    return "\n".join(lines) + "\n"


def files():
    for name, board in BOARDS.items():
        yield HERE / "dashboards" / f"{name}.json", json.dumps(board, indent=2, ensure_ascii=False) + "\n"
    yield ROOT / "docs/metrics.md", metrics_page()


def main():
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(__doc__)
    if found := list(faults()):
        sys.exit("\n".join(found))
    expected = dict(files())
    if not sys.argv[1:]:
        for path, text in expected.items():
            path.write_text(text, encoding="utf-8")
        return
    there = set((HERE / "dashboards").glob("*.json"))
    stale = [str(path.relative_to(ROOT)) for path in sorted(there - set(expected))]
    stale += [str(path.relative_to(ROOT)) for path, text in expected.items()
              if not path.exists() or path.read_text(encoding="utf-8") != text]
    if stale:
        sys.exit(f"not what generate.py writes: {', '.join(stale)}; run `make dashboards` and commit both")


if __name__ == "__main__":
    main()
