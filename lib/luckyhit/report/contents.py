"""What stands in the report's tables, as rows of text; the page and the notebooks show the same rows.

A dash stands for what was not visible: never a zero in its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from luckyhit.case import changes
from luckyhit.case.units import format_duration
from luckyhit.judge.wording import (
    NAMES,
    difference_text,
    interval_text,
    number,
    percent,
    value_text,
)
from luckyhit.records import HIGHER_IS_BETTER, METRICS, Guard, Metric, MetricName, Result
from luckyhit.report import aggregates
from luckyhit.report.recorded import Recorded

if TYPE_CHECKING:
    from luckyhit.case import Case

DASH = "–"
NOT_RELIED_ON = "not to be relied on"
MOST_GUARDS = 100


def declared(case: Case) -> list[tuple[str, str]]:
    """The case as declared: what is wrong, where, and what should happen."""
    response = case.expected.response
    told = [f"status {response.status}"]
    told += [f"header {name} with {value!r}" for name, value in response.headers.items()]
    told += [f"fields {', '.join(response.fields)}"] if response.fields else []
    return [
        ("Case", case.title),
        ("Owner", f"{case.owner.name} ({case.owner.contact})"),
        ("Route", case.route),
        ("Input", case.input),
        ("Noticed", case.noticed),
        ("Slow query or failing command", case.suspect),
        ("Expected result", case.expected.result),
        ("Expected response", ", ".join(told)),
        ("Hypothesis", case.hypothesis),
    ]


def setting(value: str | None) -> str:
    return "(not set)" if value is None else value or "(empty)"


def change(case: Case) -> list[tuple[str, str]]:
    """What is changed, why that is the smallest safe change, and what may be cleared."""
    cleared = ", ".join(case.cache.clear)
    rows = [("Change", case.change.what)]
    if isinstance(case.change, changes.EnvChange):
        rows.append(("Variable", case.change.name))
    if not isinstance(case.change, changes.NoChange):
        rows += [("Before", setting(case.change.before)), ("After", setting(case.change.after))]
    return [
        *rows,
        ("Smallest safe change", case.change.smallest),
        ("Keys that may be cleared", cleared),
        ("Rollback", case.rollback.note),
    ]


def change_diff(case: Case) -> list[tuple[str, str]]:
    """The change as a diff: (sign, line); no lines where nothing is changed."""
    spec = case.change
    if isinstance(spec, changes.EnvChange):
        values = [("-", spec.before), ("+", spec.after)]
        return [(sign, f"{spec.name}={value}" if value is not None else f"# {spec.name} is not set")
                for sign, value in values]  # fmt: skip
    if isinstance(spec, changes.ArgumentChange):
        command = case.target.start.command if case.target.start else []
        after = [spec.after if word == spec.before else word for word in command]
        return [("-", " ".join(command)), ("+", " ".join(after))]
    return []


def goals(case: Case) -> list[tuple[str, str]]:
    """What has to happen, in words."""
    rows = []
    for name, goal in case.goals.items():
        text = "has to get better" if goal.want == "better" else "may get worse by the margin at most"
        limit = f"; at most {goal.at_most} after the change" if goal.at_most is not None else ""
        rows.append((sentence_case(NAMES[name]), f"{text} (margin {goal.margin}){limit}"))
    return rows


def sentence_case(text: str) -> str:
    return text[:1].upper() + text[1:]


@dataclass(frozen=True)
class Level:
    """One number of the baseline, with the noise floor of the metric where the judge found one."""

    name: str
    value: str
    noise: str = DASH


def baseline(found: Recorded) -> list[Level]:
    """What the system did before anything was changed; measured phase only."""
    mask = found.mask("baseline", "before")
    if not mask.any():
        return []
    levels = aggregates.whole_numbers(found, mask)
    floor = found.result.noise_floor if found.result else {}

    def noise(name: MetricName) -> str:
        return f"± {difference_text(name, floor[name])}" if name in floor else DASH

    def shown(name: MetricName, value: float | None) -> str:
        return DASH if value is None else value_text(name, value)

    rows = [
        Level("Requests", f"{levels['requests']:,} due, {levels['completed']:,} completed"),
        Level("Hit ratio", shown("hit_ratio", levels["hit_ratio"]), noise("hit_ratio")),
        Level("Median latency", shown("latency_p50_ms", levels["p50"]), noise("latency_p50_ms")),
        Level("P95 latency", shown("latency_p95_ms", levels["p95"]), noise("latency_p95_ms")),
        Level("P99 latency", shown("latency_p99_ms", levels["p99"]), noise("latency_p99_ms")),
        Level("P99.9 latency", shown("latency_p99_ms", levels["p99.9"])),
        Level("Error rate", shown("error_rate", levels["error_rate"]), noise("error_rate")),
        Level("Database calls per request", shown("db_calls", levels["db_calls"]), noise("db_calls")),
    ]
    return [*rows, Level("Stale reads", _baseline_stale(found), noise("stale_reads"))]


def _baseline_stale(found: Recorded) -> str:
    if found.within_s is None:
        return DASH
    from luckyhit.judge.freshness import stale_share

    share = stale_share(*found.probe_of("baseline"), found.within_s)
    if share.share is None:
        return DASH
    bound = format_duration(found.within_s)
    return f"{percent(share.share)} ({share.stale:,} of {share.reads:,} reads later than {bound} after a write)"


def not_seen(found: Recorded) -> list[str]:
    """What could not be seen in the baseline, one sentence each."""
    mask = found.mask("baseline", "before")
    if not mask.any():
        return ["No baseline was measured, so nothing can be told about the system as it is."]
    levels = aggregates.whole_numbers(found, mask)
    texts = [f"Workload: {note}" for note in found.manifest.get("inputs") or []]
    for name, what in (("hit_ratio", "the cache status"), ("db_calls", "the number of database calls")):
        told, completed = levels[f"{name}_told"], levels["completed"]
        if completed and not told:
            texts.append(f"{sentence_case(what)}: no answer told it.")
        elif completed and told < 0.995 * completed:
            texts.append(f"{sentence_case(what)}: only {percent(told / completed)} of the answers told it.")
    if found.case is not None and found.case.freshness is None:
        texts.append("Stale reads: the case has no freshness probe, so old data would not be noticed here.")
    elif found.within_s is not None and _baseline_stale(found) == DASH:
        texts.append("Stale reads: no read of the probe could be compared with a write.")
    if levels["p99.9"] is None:
        texts.append(f"The p99.9 latency: {levels['completed']:,} completed requests are too few for it.")
    for entry in found.blocks:
        probe = entry.get("probe")
        if entry.get("stage") == "baseline" and isinstance(probe, Mapping):
            texts += [f"Freshness probe: {problem}" for problem in probe.get("problems") or []]
    return texts


def cleared(found: Recorded) -> list[tuple[str, str, str, int, int, int]]:
    """(block, stage, arm, keys looked at, in scope, cleared) of each clear that was noted."""
    rows = []
    for entry in found.blocks:
        reports = entry.get("clear")
        for arm, report in reports.items() if isinstance(reports, Mapping) else ():
            if isinstance(report, Mapping):
                counts = [int(report.get(name) or 0) for name in ("scanned", "matched", "cleared")]
                rows.append((str(entry["block"]), str(entry["stage"]), str(arm), *counts))
    return rows  # type: ignore[return-value]


def guards(found: Recorded) -> list[Guard]:
    """The result's guards; before the run is judged, those that were noted while measuring. Failed ones come first."""
    if found.result is not None:
        every = found.result.guards
    else:
        every = []
        noted = found.manifest.get("guards")
        for entry in noted if isinstance(noted, list) else []:
            try:
                every.append(Guard.model_validate(entry))
            except ValueError:
                continue
    return sorted(every, key=lambda guard: guard.ok)[:MOST_GUARDS]


@dataclass(frozen=True)
class MetricRow:
    """One metric in words. `verdict` is empty where the case sets no goal for it."""

    name: str
    before: str
    after: str
    effect: str
    interval: str
    goal: str
    pairs: str
    verdict: str
    note: str
    margin: str = ""

    @property
    def said(self) -> str:
        """The verdict, with what it means where the word alone could be misread."""
        if self.verdict == "EQUIVALENT" and self.note.startswith("Accepted cost"):
            return f"EQUIVALENT: a cost, inside the accepted {self.margin}"
        if self.verdict == "EQUIVALENT":
            return f"EQUIVALENT: inside the margin of {self.margin}"
        return self.verdict


def metrics(result: Result) -> list[MetricRow]:
    """Every metric: those with a goal first, and of these the ones that should get better."""
    return [metric_row(name, result.metrics[name], result) for name in in_order(result)]


def in_order(result: Result) -> list[MetricName]:
    rank = {"better": 0, "no-worse": 1, None: 2}
    names = [name for name in METRICS if name in result.metrics]
    return sorted(names, key=lambda name: rank[result.metrics[name].want if result.metrics[name].verdict else None])


def metric_row(name: MetricName, metric: Metric, result: Result) -> MetricRow:
    goal, margin = DASH, ""
    if metric.verdict is not None:
        margin = "not comparable" if metric.margin is None else difference_text(name, metric.margin)
        goal = f"{'better' if metric.want == 'better' else 'no worse'}, margin {margin}"
    verdict: str = metric.verdict or ""
    if verdict and result.verdict == "INVALID":
        verdict = NOT_RELIED_ON
    return MetricRow(
        name=sentence_case(NAMES[name]),
        before=DASH if metric.before is None else value_text(name, metric.before),
        after=DASH if metric.after is None else value_text(name, metric.after),
        effect=DASH if metric.effect is None else signed(name, metric.effect),
        interval=DASH if metric.effect is None else interval_text(name, metric.low, metric.high),
        goal=goal,
        pairs=f"{metric.pairs:,}" if metric.pairs else DASH,
        verdict=verdict,
        note=metric.note,
        margin=margin,
    )


def signed(name: MetricName, effect: float) -> str:
    text = difference_text(name, effect)
    return f"+{text}" if effect > 0 and not text.startswith("0 ") and text != "0" else text


def key_numbers(found: Recorded) -> list[MetricRow]:
    """The three numbers that matter: goals first, the decided and the costly before the rest."""
    result = found.result
    if result is None:
        return []

    def rank(name: MetricName) -> tuple[int, int]:
        metric = result.metrics[name]
        if metric.verdict is None:
            return (3 if metric.effect is not None else 4), METRICS.index(name)
        if metric.want == "better" or metric.verdict == "HURT":
            return 0, METRICS.index(name)
        return (1 if _moved(name, metric) else 2), METRICS.index(name)

    names = sorted(result.metrics, key=rank)[:3]
    return [metric_row(name, result.metrics[name], result) for name in names if rank(name)[0] < 4]


def _moved(name: MetricName, metric: Metric) -> bool:
    """Whether it got worse for certain: a cost that a reader has to know of."""
    if name in HIGHER_IS_BETTER:
        return metric.high is not None and metric.high < 0
    return metric.low is not None and metric.low > 0


def naive_rows(result: Result) -> list[tuple[str, str, str]]:
    """(name, before, after) of what a plain before/after would have looked at."""
    naive = result.naive

    def ms(value: float | None) -> str:
        return DASH if value is None else f"{number(value)} ms"

    def share(value: float | None) -> str:
        return DASH if value is None else percent(value)

    return [
        ("Mean latency", ms(naive.latency_before_ms), ms(naive.latency_after_ms)),
        ("Hit ratio", share(naive.hit_ratio_before), share(naive.hit_ratio_after)),
    ]


def environment(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Where and with what it was measured."""
    host, versions = (_mapping(manifest.get(name)) for name in ("host", "versions"))
    rows = [
        ("Run", manifest.get("run")),
        ("Started", manifest.get("started")),
        ("Revision", manifest.get("revision")),
        ("Design", manifest.get("design")),
        ("Seed", manifest.get("seed")),
        ("Host", ", ".join(str(value) + (" CPUs" if name == "cpus" else "") for name, value in host.items())),
        ("Versions", ", ".join(f"{name} {value}" for name, value in versions.items())),
        ("Load engine", engine(manifest)),
        ("File format", f"schema {manifest.get('schema')}" if manifest.get("schema") else None),
    ]
    return [(name, str(value)) for name, value in rows if value not in (None, "")]


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def engine(manifest: Mapping[str, Any]) -> str:
    """What the load engine added by itself, in the worst block."""
    worst: dict[str, float] = {}
    blocks = manifest.get("blocks")
    for entry in blocks if isinstance(blocks, list) else []:
        check = entry.get("engine") if isinstance(entry, Mapping) else None
        for name in ("added_p50_ms", "added_p99_ms", "schedule_error_p99_ms"):
            value = check.get(name) if isinstance(check, Mapping) else None
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                worst[name] = max(worst.get(name, 0.0), float(value))
    words = {
        "added_p50_ms": "added {} ms at the median",
        "added_p99_ms": "{} ms at p99",
        "schedule_error_p99_ms": "requests left at most {} ms late (p99)",
    }
    return ", ".join(words[name].format(number(value)) for name, value in worst.items())
