"""Findings in words: one row for each of `luckyhit.judge.findings.FINDERS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from luckyhit.judge.facade import NOT_LOOKED_FOR, in_doubt
from luckyhit.records import CACHE_STATUSES, Arm, CountOf, Doubt, Result, RunFinding
from luckyhit.report.figures.late_reads import seconds_text
from luckyhit.report.tables.cache_event_table import signed_ms
from luckyhit.report.tables.prediction_sentence import prediction_sentence
from luckyhit.text.numbers import listed, number, percent


def finding_lines(result: Result) -> list[str]:
    """All findings of a result, one or a few sentences each, the most important first."""
    return [sentence_of(finding) for finding in result.findings]


def sentence_of(finding: RunFinding) -> str:
    """One finding as a sentence, or a few."""
    return SENTENCES[finding.id](finding)


def unexpected_rows(result: Result) -> list[tuple[str, ...]]:
    """One example of each kind of response that differs from the case: the cells of UNEXPECTED_HEADINGS."""
    examples = [row for finding in result.findings if finding.id == "unexpected-answers" for row in finding.examples]
    names = ("arm", "route", "status", "cache", "count", "request", "wrong")
    return [tuple(f"{row[name]:,}" if name == "count" else str(row[name]) for name in names) for row in examples]


UNEXPECTED_HEADINGS = ("Arm", "Route", "Status", "Cache", "Responses", "Example", "What is wrong")


LAYERS = "layers"
"""The finding that holds them (luckyhit.judge.findings.layers)."""
LAYER_HEADINGS = ("Arm", "Cache, nearest first", "Requests", "Hits", "Misses", "Stale", "Bypassed")
LONE_NAMES = {
    "age": "Age",
    "date": "an unchanged Date",
    "expires": "an unchanged Expires",
    "replay": "parts of an earlier response",
}
"""How a layer without a header of its own shows itself."""
_MOST_NAMED = 2
_STATUSES = ("hit", "miss", "stale", "bypass")


def layer_rows(findings: Sequence[RunFinding]) -> list[tuple[str, ...]]:
    """Rows under LAYER_HEADINGS; none without layers."""
    rows: list[tuple[str, ...]] = []
    for row in (row for finding in findings if finding.id == LAYERS for row in finding.examples):
        counts = [_layer_count(row, word) for word in _STATUSES]
        rows.append((str(row.get("arm")), _layer_name(row), *(f"{count:,}" for count in (sum(counts), *counts))))
    return rows


def layers_sentence(finding: RunFinding) -> str:
    """Both arms in one sentence: the two nearest caches, each with its hits and requests."""
    arms = []
    for arm in ("before", "after"):
        of_arm = [row for row in finding.examples if row.get("arm") == arm]
        if of_arm:
            named = [
                f"{_layer_name(row)} {_layer_count(row, 'hit'):,} hits of "
                f"{sum(_layer_count(row, word) for word in _STATUSES):,}"
                for row in of_arm[:_MOST_NAMED]
            ]
            arms.append(f"{arm}: {', then '.join(named)}")
    return f"Caches on the way, the nearest first. {'; '.join(arms).capitalize()}."


def _layer_name(row: dict[str, float | int | str | bool | None]) -> str:
    name = str(row.get("layer"))
    return f"one inferred from {LONE_NAMES[name]}" if name in LONE_NAMES else name


def _layer_count(row: dict[str, float | int | str | bool | None], word: str) -> int:
    value = row.get(word)
    return int(value) if value is not None else 0


def in_both(finding: RunFinding, subject: str) -> str:
    """`subject` with its counts: `66 of 766 (8.6 %) before, 0 of 767 after`."""
    arms = (("before", finding.before), ("after", finding.after))
    counts = [f"{_counted(counted)} {arm}" for arm, counted in arms if counted]
    return f"{subject}: {', '.join(counts)}."


def _counted(counted: CountOf) -> str:
    share = f" ({percent(counted.count / counted.of)})" if counted.of and counted.count else ""
    return f"{counted.count:,} of {counted.of:,}{share}"


def _probe_is_the_load(finding: RunFinding) -> str:
    facts = finding.facts
    declared = facts["declared_rate_per_s"]
    asked = f" (freshness.rate: {number(float(declared))}/s)" if declared is not None else ""
    return (
        f"The freshness probe{asked} added {facts['probe_requests']:,} requests to the workload's "
        f"{facts['workload_requests']:,} (+{percent(float(facts['added_share'] or 0))}), all arms together: it may "
        "have caused what it found."
    )


def _probe_changes_the_picture(finding: RunFinding) -> str:
    facts, parts = finding.facts, []
    for arm in ("before", "after"):
        if facts.get(f"hit_differs_{arm}"):
            beside, slots, alone = (int(facts[f"hit_{name}_{arm}"] or 0) for name in ("probed", "slots", "control"))
            parts.append(f"hits of the workload {beside:,} of {slots:,} with it, {alone:,} without ({arm})")
    return f"The freshness probe causes part of what it finds. On the same requests: {'; '.join(parts)}."


def _same_bytes(finding: RunFinding) -> str:
    facts = finding.facts
    if facts["compared"] == "arms":
        return in_both(finding, f"Responses with the bytes of another URL (route {facts['route']})")
    routes = {facts["route"], facts["other_route"]}
    pair = f"route {facts['route']}" if len(routes) == 1 else f"{facts['route']} as {facts['other_route']}"
    text = in_both(finding, f"Wrong, not stale: hits with the bytes of another URL ({pair})")
    return f"{text} Of {_plain(facts['misses'])} misses in both arms together: {_plain(facts['misses_wrong'])}."


def _unexpected(finding: RunFinding) -> str:
    facts = finding.facts
    text = in_both(finding, "Responses that differ from the case")
    arms = [arm for arm, counted in (("before", finding.before), ("after", finding.after)) if counted]
    statuses = [
        f"{count:,} {cache} {arm}" for arm in arms for cache in CACHE_STATUSES if (count := _fact(facts, arm, cache))
    ]
    good = [f"{count:,} {arm}" for arm in arms if (count := _fact(facts, arm, "good_status"))]
    status = f"with a status of 200 to 299: {', '.join(good)}" if good else "none with a status of 200 to 299"
    example = next(iter(finding.examples), None)
    shown = f" For example {example['request']} ({example['arm']} arm): {example['wrong']}." if example else ""
    return f"{text} Cache status: {', '.join(statuses)}; {status}.{shown}"


def _fact(facts: Mapping[str, float | int | str | bool | None], arm: str, name: str) -> int:
    return int(facts.get(f"{arm}_{name}") or 0)


def _differing(finding: RunFinding) -> str:
    facts = finding.facts
    text = f"The same request, different bytes in the two arms: {_share(facts['differ'], facts['slots'])}"
    text += f"; where neither came from a cache {_share(facts['made_differ'], facts['made'])}."
    if facts["differ_in_version"]:
        text += f" In {_plain(facts['differ_in_version'])} of them the version differs: old data."
    return text


def _share(count: float | int | str | bool | None, whole: float | int | str | bool | None) -> str:
    return _counted(CountOf(count=int(count or 0), of=int(whole or 0)))


def _plain(count: float | int | str | bool | None) -> str:
    return f"{int(count or 0):,}"


def _met_beforehand(finding: RunFinding) -> str:
    """With the first response as an example."""
    first, counted = finding.examples[0], finding.before or CountOf(count=len(finding.examples), of=0)
    return (
        f"Before anything was measured, {counted.count:,} of {counted.of:,} routes did not respond as the case expects "
        f"({first['arm']} arm): {first['request']}: {first['wrong']}."
    )


def _medians(finding: RunFinding) -> str:
    """`+46.8 ms before, −0.5 ms after`, against the acknowledgement."""
    names = [arm for arm in ("before", "after") if f"{arm}_median_ms" in finding.facts]
    return ", ".join(f"{signed_ms(float(finding.facts[f'{arm}_median_ms'] or 0))} {arm}" for arm in names)


def _deleted_after(finding: RunFinding) -> str:
    text = in_both(finding, "Entries deleted only after the write was acknowledged")
    return f"{text} In the median: {_medians(finding)}, against the acknowledgement."


def _set_again(finding: RunFinding) -> str:
    text = "Deleted before the acknowledgement, then set again to the old value, which stayed"
    racing = [
        f"{finding.facts[f'{arm}_in_flight_set_again']} of {finding.facts[f'{arm}_in_flight']} {arm}"
        for arm in ("before", "after")
        if finding.facts.get(f"{arm}_in_flight")
    ]
    return in_both(finding, text) + (f" With a read in progress: {', '.join(racing)}." if racing else "")


def _without_cache(finding: RunFinding) -> str:
    parts = []
    if _sum(finding, "unread_stale"):
        parts.append("of keys that nobody had read")
    if _sum(finding, "uncached_stale"):
        parts.append(f"on {finding.facts['routes']}, without any cache status")
    return (
        f"{in_both(finding, f'Stale reads {listed(parts)}')} Nothing can be cached there: the cache is not the cause."
    )


def _sum(finding: RunFinding, name: str) -> int:
    return sum(int(finding.facts.get(f"{arm}_{name}") or 0) for arm in ("before", "after"))


def _stale_workload(finding: RunFinding) -> str:
    """All reads, popular keys as often as they are read: the metric, where there is one, has another share."""
    within_ms = float(finding.facts.get("within_ms") or 0)
    metric = " The metric stale reads has another share: it takes one read for each write."
    other = metric if finding.facts.get("probed") else ""
    subject = "Reads of the workload, every one counted"
    if not within_ms:
        return in_both(finding, f"{subject}, that were stale") + other
    text = in_both(finding, f"{subject}, older than the accepted {number(within_ms)} ms")
    agreed = [
        f"{int(finding.facts[f'{arm}_agreed'] or 0):,} {arm}"
        for arm in ("before", "after")
        if finding.facts.get(f"{arm}_agreed") is not None
    ]
    return f"{text} Stale, but within it: {', '.join(agreed)}.{other}"


def _variants_differ(finding: RunFinding) -> str:
    facts = finding.facts
    others = RunFinding(id=finding.id)
    for arm in ("before", "after"):
        if reads := facts.get(f"other_reads_{arm}"):
            counted = CountOf(count=int(facts[f"other_stale_{arm}"] or 0), of=int(reads))
            others = others.model_copy(update={arm: counted})
    stale = in_both(finding, f"Stale reads of variant {facts['variant']}").removesuffix(".")
    fresher = f"of variant {facts['other']}"
    return f"{stale}; {in_both(others, fresher)}"


def _cache_outlives_clear(finding: RunFinding) -> str:
    differ = ": the arms started from different states" if finding.facts["arms_differ"] else ""
    subject = "Blocks in which a cache answered the first read after the clear, of a key that nobody else reads"
    return in_both(finding, subject).removesuffix(".") + f"{differ}."


def _outlives_ttl(finding: RunFinding) -> str:
    arms = [arm for arm in ("before", "after") if finding.facts.get(f"{arm}_oldest_ms") is not None]
    ttls = [_seconds(finding, f"{arm}_ttl_ms") for arm in arms]
    oldest = [f"{_seconds(finding, f'{arm}_oldest_ms')} {arm}" for arm in arms]
    renewals = [f"{int(finding.facts[f'{arm}_renewals'] or 0):,} times {arm}" for arm in arms]
    text = in_both(finding, f"Old HITs beyond the time to live of {listed(list(dict.fromkeys(ttls)))}")
    return (
        f"{text} The oldest: {', '.join(oldest)}. The keys' expiry was set again while they lived, {listed(renewals)}."
    )


def _seconds(finding: RunFinding, name: str) -> str:
    return seconds_text(float(finding.facts[name] or 0) / 1000)


def _status(finding: RunFinding) -> str:
    doubts: dict[Arm, list[Doubt]] = {}
    both = all(f"counters_hit_ratio_{arm}" in finding.facts for arm in ("before", "after"))
    # Where the cache's own ratios follow, one of them need not be said twice.
    for row in [row for row in finding.examples if not both or row["doubt"] != "counters-disagree"] or finding.examples:
        numbers = {name: value for name, value in row.items() if name not in ("arm", "doubt", "count", "of")}
        doubt = {"id": row["doubt"], "count": row["count"], "of": row["of"], "facts": numbers}
        doubts.setdefault("before" if row["arm"] == "before" else "after", []).append(Doubt.model_validate(doubt))
    own = [
        f"{percent(float(share))} {arm}"
        for arm in ("before", "after")
        if (share := finding.facts.get(f"counters_hit_ratio_{arm}")) is not None
    ]
    counted = f" Of the look-ups that the cache counted, {' and '.join(own)} found their key." if own else ""
    outcome = "Its hit ratio is therefore not shown."
    if finding.facts["by_calls"]:
        outcome = "Its hit ratio is therefore counted by database calls, like the other arm's."
    return f"{in_doubt(doubts, evidence=True)} {outcome}{counted}"


def _growth(finding: RunFinding) -> str:
    facts, other = finding.facts, "after" if finding.facts["arm"] == "before" else "before"
    ms = {name: number(float(value or 0)) for name, value in facts.items() if name.endswith("_ms")}
    return (
        f"Latency grows with time: like responses of route {facts['route']} took {ms['first_ms']} ms at first and "
        f"{ms['last_ms']} ms at the end {facts['arm']}, {ms['other_first_ms']} ms and {ms['other_last_ms']} ms {other}."
    )


def _untouched_moved(finding: RunFinding) -> str:
    kinds = {"write": "a write", "uncached": "without any cache status"}
    moved = [
        f"{row['route']} ({kinds[str(row['kind'])]}) from {number(float(row['before_ms'] or 0))} to "
        f"{number(float(row['after_ms'] or 0))} ms"
        for row in finding.examples
    ]
    return (
        f"Routes without a goal moved by more than a fifth, in the median: {listed(moved)}. If the change can't affect "
        "them, the arms differed by more than the change: declare them as `controls`. If it can, this is part of its "
        "effect."
    )


SENTENCES: dict[str, Callable[[RunFinding], str]] = {
    NOT_LOOKED_FOR: lambda finding: (
        f"Not looked for: {finding.facts['finding']}; the records don't allow it ({finding.facts['error']})."
    ),
    "same-bytes-other-url": _same_bytes,
    "unexpected-answers": _unexpected,
    "phantom-reads": lambda finding: in_both(finding, "Values that no accepted write wrote were read"),
    "stale-by-status": lambda finding: in_both(
        finding, "Stale reads marked as a miss (the nearer cache fetched anew; the old body came from behind it)"
    ),
    "changed-without-write": lambda finding: in_both(
        finding, "Responses that returned to an earlier body without a write (URLs between two writes)"
    ),
    "arms-differ": _differing,
    "preflight-met-fault": _met_beforehand,
    "deleted-after-acknowledgement": _deleted_after,
    "stale-without-cache": _without_cache,
    "deleted-before-acknowledgement-and-set-again": _set_again,
    "outlives-ttl": _outlives_ttl,
    "stale-workload-reads": _stale_workload,
    "probe-changes-the-picture": _probe_changes_the_picture,
    "probe-is-the-load": _probe_is_the_load,
    "variants-differ": _variants_differ,
    "cache-outlives-clear": _cache_outlives_clear,
    "write-flushes": lambda finding: in_both(finding, "Writes that flushed the cache: all keys gone"),
    "status-not-believable": _status,
    "untouched-route-moved": _untouched_moved,
    "latency-grows": _growth,
    "prediction": prediction_sentence,
    "replayed-counts": lambda finding: in_both(
        finding,
        f"Hits of {finding.facts['routes']} repeated the database calls of the stored response, and are counted as "
        "having made none",
    ),
    "layers": layers_sentence,
}
