"""The wording of a night's ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from luckyhit.fleet.digest.nightly import Alarm, CaseState, Departure, LevelShift, Night, NightCase
from luckyhit.text.numbers import listed, minutes, number, percent, plural, sentence, sentence_case
from luckyhit.text.quantities import name_of, value_text

STATES: Mapping[CaseState, str] = {
    "finished": "finished",
    "not-begun": "not begun",
    "case-invalid": "its case file is not valid",
    "guarded": "stopped by a guard before anything was changed",
    "not-enough-data": "ended without enough data, rolled back",
    "not-rolled-back": "ROLLBACK NOT CONFIRMED",
    "interrupted": "interrupted on request, rolled back",
    "lost": "lost with its machine or process, rolled back",
    "failed": "measured, but something failed",
}
REFUSALS: Mapping[str, str] = {
    "window": "its part of the day was over",
    "budget": "it did not fit into the budget",
    "interrupted": "the fleet was stopped before",
    "case": "its case file is not valid",
    "no-place": "no machine was there to run it",
}
ALARM_WORDS: Mapping[Alarm, str] = {
    "hurt": "HURT",
    "invalid": "INVALID",
    "inconclusive": "INCONCLUSIVE",
    "equivalent": "EQUIVALENT",
    "outside": "a metric beyond all earlier nights",
    "worse": "a metric worse than in all earlier nights",
    "lasting": "the same metric beyond them for two nights or more",
    "shifted": "a level that changed for good",
    "decided-otherwise": "another verdict than before",
    "not-run": "no result",
}


def label(case: NightCase) -> str:
    """The word in front of a case: its verdict, or nothing."""
    return case.verdict or ""


def headline(night: Night) -> str:
    """One sentence about the whole night."""
    counts = Counter(case.state for case in night.cases)
    parts = [f"{plural(len(night.cases), 'case')} in {minutes(night.seconds)}: {counts['finished']} finished"]
    others = [f"{count} {STATES[state]}" for state, count in counts.items() if state != "finished"]
    alarms = [case for case in night.cases if set(case.alarms) & set(night.chosen)]
    text = ", ".join([*parts, *others])
    return sentence(f"{text}. {plural(len(alarms), 'case')} raised an alarm" if alarms else text)


def by_chance_text(night: Night) -> str:
    """How many metrics lie outside, and how many would by chance alone; empty where nothing was compared."""
    compared = sum(case.metrics for case in night.cases)
    if not compared:
        return ""
    outside = sum(len(case.outside) for case in night.cases)
    expected = sum(case.by_chance for case in night.cases)
    return (
        f"{outside} of {plural(compared, 'metric')} lie beyond all earlier nights; by chance alone {number(expected)} "
        "would, on average."
    )


def why(case: NightCase) -> str:
    """Why a case has no result of its own, or what its result is."""
    if case.refusal is not None:
        return sentence_case(REFUSALS.get(case.refusal, case.refusal)) + (f": {case.reason}" if case.reason else ".")
    return case.reason


def departure_text(departure: Departure) -> str:
    """`Median latency 19 ms, worse (12.1 ms to 14 ms in 39 earlier nights; by chance 5 %)`."""
    name, value = sentence_case(name_of(departure.metric)), value_text(departure.metric, departure.value)
    span = ""
    if departure.low is not None and departure.high is not None:
        low, high = (value_text(departure.metric, bound) for bound in (departure.low, departure.high))
        span = f"{low if low == high else f'{low} to {high}'} in {departure.earlier} earlier nights; "
    nights = f" for {departure.nights} nights in a row" if departure.nights > 1 else ""
    return f"{name} {value}, {departure.direction}{nights} ({span}by chance {percent(departure.chance)})"


def shift_text(shift: LevelShift) -> str:
    """`Hit ratio went from 90 % to 60 % on 2026-11-20, worse; 9 nights ago`."""
    was, became = (value_text(shift.metric, value) for value in (shift.was, shift.became))
    name = sentence_case(name_of(shift.metric))
    return (
        f"{name} went from {was} to {became} on {shift.date}, {shift.direction}; {plural(shift.nights, 'night')} so far"
    )


def alarms_text(case: NightCase, night: Night) -> str:
    """The alarms of a case that were asked for."""
    return listed([ALARM_WORDS[alarm] for alarm in case.alarms if alarm in night.chosen])
