"""A strict reader of the Prometheus text format 0.0.4."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf"^({NAME})(?:\{{((?:{LABEL})(?:,{LABEL})*)?\}})? (\S+)( \d+)?$")
PAIR = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count")}


@dataclass
class Family:
    name: str
    kind: str
    help: str = ""
    samples: list[tuple[str, dict[str, str], float]] = field(default_factory=list)

    def value(self, **labels: str) -> float:
        """The sum of all samples that have these labels."""
        return sum(value for _, own, value in self.samples if labels.items() <= own.items())


def parse(text: str) -> dict[str, Family]:
    assert text.endswith("\n")
    families: dict[str, Family] = {}
    helps: dict[str, str] = {}
    current: Family | None = None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name, _, help_text = line[7:].partition(" ")
            helps[name] = help_text
        elif line.startswith("# TYPE "):
            name, _, kind = line[7:].partition(" ")
            assert name not in families, f"{name} comes twice"
            assert kind in ("counter", "gauge", "histogram", "summary", "untyped"), line
            current = families[name] = Family(name, kind, helps.get(name, ""))
        elif line and not line.startswith("#"):
            assert current is not None, f"a sample before its TYPE: {line}"
            add(current, line)
    for family in families.values():
        check_histogram(family)
    return families


def add(family: Family, line: str) -> None:
    match = SAMPLE.match(line)
    assert match, f"not a sample: {line}"
    name, labels, value = match[1], match[2] or "", match[3]
    allowed = [family.name + suffix for suffix in SUFFIXES.get(family.kind, ("",))]
    assert name in allowed, f"{name} stands under {family.name}"
    pairs = {pair[1]: pair[2] for pair in PAIR.finditer(labels)}
    key = (name, tuple(sorted(pairs.items())))
    assert key not in {(n, tuple(sorted(p.items()))) for n, p, _ in family.samples}, f"{line} comes twice"
    family.samples.append((name, pairs, float(value)))


def check_histogram(family: Family) -> None:
    if family.kind != "histogram":
        return
    series: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
    counts: dict[tuple[tuple[str, str], ...], float] = {}
    for name, labels, value in family.samples:
        own = tuple(sorted((key, text) for key, text in labels.items() if key != "le"))
        if name.endswith("_bucket"):
            series.setdefault(own, []).append((float(labels["le"]), value))
        elif name.endswith("_count"):
            counts[own] = value
    for own, buckets in series.items():
        bounds, values = zip(*buckets)
        assert list(bounds) == sorted(bounds) and bounds[-1] == float("inf"), family.name
        assert list(values) == sorted(values), f"{family.name}: buckets are not cumulative"
        assert values[-1] == counts[own], f"{family.name}: _count differs from the last bucket"
