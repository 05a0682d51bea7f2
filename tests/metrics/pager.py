"""What a real Alertmanager makes of the alerts that Prometheus sends it: which arrive, with what text, and which are hidden."""

import json
import re
import threading
import time

from stage import request

RULE = re.compile(
    r"- source_matchers: \[alertname = (?P<source>\w+)\]\s+"
    r'target_matchers: \[alertname =~? "?(?P<targets>[\w|]+)"?\]\s+'
    r"equal: \[(?P<equal>[^]]*)\]")
ANNOTATIONS = ("summary", "description", "runbook_url")


class Pager:
    """Asks Alertmanager twice a second what it holds, from the beginning of a `with` to its end."""

    def __init__(self, port):
        self.port, self.over = port, threading.Event()
        self.samples, self.failure = [], None
        self.asking = threading.Thread(target=self.ask_on)

    def __enter__(self):
        self.asking.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.asking.join()

    def ask_on(self):
        try:
            while not self.over.wait(0.5):
                self.samples.append((time.time(), held(self.port)))
        except (OSError, ValueError) as error:
            self.failure = error


def held(port):
    """The alerts that Alertmanager holds, hidden ones and all."""
    status, body = request(port, "GET", "/api/v2/alerts")
    if status != 200:
        raise ValueError(f"Alertmanager answers {status}: {body[:200]}")
    return json.loads(body)


def named(alert):
    return alert["labels"]["alertname"]


def is_hidden(alert):
    return alert["status"]["state"] == "suppressed"


def inhibitions(text):
    """(source, target, labels that are equal in both) of each rule of the file, a target at a time."""
    text = re.sub(r"^ *#.*$", "", text, flags=re.MULTILINE)
    rules = list(RULE.finditer(text))
    if len(rules) != text.count("source_matchers:"):
        raise ValueError("alertmanager.yml has an inhibition that this does not read")
    return [(rule["source"], target, re.findall(r"\w+", rule["equal"])) for rule in rules
            for target in rule["targets"].split("|")]


def hides(rule, source, target):
    """Whether the rule lets the one alert hide the other."""
    from_name, to_name, equal = rule
    return (named(source) == from_name and named(target) == to_name
            and all(source["labels"].get(label) == target["labels"].get(label) for label in equal))


def check(pager, alerts, text):
    """What is wrong with what arrived: of `alerts`, by the inhibitions of the file `text`."""
    if pager.failure or not pager.samples:
        return [f"Alertmanager could not be asked: {pager.failure}"]
    rules = inhibitions(text)
    faults = [fault for name in alerts if (fault := check_arrival(pager.samples, name))]
    faults += [fault for rule in rules if (fault := check_rule(pager.samples, rule))]
    return faults + check_others(pager.samples, rules)


def check_arrival(samples, name):
    """Each alert reaches it with all of its text."""
    arrived = [one for _, alerts in samples for one in alerts if named(one) == name]
    if not arrived:
        return f"{name} never reaches Alertmanager"
    for one in arrived:
        texts = [one["annotations"].get(key, "") for key in ANNOTATIONS]
        if not all(texts) or any("<error" in text or "<no value>" in text for text in texts):
            return f"{name} reaches Alertmanager with {one['annotations']}"
    return None


def check_texts(pager, expected):
    """Whether what arrived said, at least once, what `expected` wants of its summary and its description."""
    faults = []
    for (name, label, value), parts in expected.items():
        texts = {(one["annotations"]["summary"], one["annotations"]["description"]) for _, alerts in pager.samples
                 for one in alerts if named(one) == name and one["labels"].get(label) == value}
        if not any(parts[0] in summary and parts[1] in description for summary, description in texts):
            faults.append(f"{name} of {value} never says {' and '.join(parts)}, but {sorted(texts)[:3]}")
    return faults


def check_rule(samples, rule):
    """Alertmanager itself says that the one hides the other."""
    found = 0
    for _, alerts in samples:
        sources = {one["fingerprint"]: one for one in alerts}
        found += any(is_hidden(one) and any(by in sources and hides(rule, sources[by], one)
                                            for by in one["status"]["inhibitedBy"]) for one in alerts)
    print(f"{rule[0]} hides {rule[1]} where {', '.join(rule[2])} are the same: {found} of {len(samples)} looks")
    return None if found else f"alertmanager.yml: {rule[0]} never hid {rule[1]}"


def check_others(samples, rules):
    """An alert is hidden while a rule says so, and at no other time. Once may be a race of the two, twice is not."""
    wrong = []
    for _, alerts in samples:
        told = {one["fingerprint"]: any(hides(rule, source, one) for rule in rules for source in alerts) for one in alerts}
        wrong.append({(named(one), one["labels"].get("endpoint", one["labels"].get("model")), is_hidden(one))
                      for one in alerts if is_hidden(one) != told[one["fingerprint"]]})
    lasting = {one for first, second in zip(wrong, wrong[1:]) for one in first & second}
    return [f"{name} of {whose} is {'hidden' if hidden else 'shown'} against alertmanager.yml"
            for name, whose, hidden in sorted(lasting, key=str)]
