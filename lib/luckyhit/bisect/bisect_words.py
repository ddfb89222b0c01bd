"""What the report of a search says, in words: by conclusion, purpose and outcome."""

from __future__ import annotations

from luckyhit.bisect.search import comparisons_needed
from luckyhit.records import GoalName
from luckyhit.records.bisection import COMPARED, BisectConclusion, Bisection, BisectOutcome, BisectPurpose, GoalReading
from luckyhit.text.numbers import listed, plural
from luckyhit.text.quantities import difference_text, interval_text, name_of

PURPOSES: dict[BisectPurpose, str] = {
    "ends": "the ends",
    "halving": "one between",
    "confirmation": "with its predecessor",
}
OUTCOMES: dict[BisectOutcome, str] = {
    "hurt": "has the fault",
    "not-hurt": "does not have it",
    "undecided": "not decided",
    "not-built": "could not be built",
    "not-started": "did not start",
    "not-measured": "could not be measured",
}
HEADINGS: dict[BisectConclusion, str] = {
    "found": "The commit",
    "cannot-tell": "Between these, can't tell",
    "no-difference": "No fault between them",
    "ends-undecided": "Not decided",
    "contradictory": "No single commit",
}


def short(revision: str | None) -> str:
    """A hash as people write it."""
    return (revision or "")[:12]


def heading(record: Bisection) -> str:
    return HEADINGS[record.conclusion] if record.conclusion is not None else "Not at its end"


def conclusion_text(record: Bisection) -> str:
    """How the search ended, the fact first."""
    good, bad = f"{record.named_good} ({short(record.good)})", f"{record.named_bad} ({short(record.bad)})"
    goals = listed([name_of(name) for name in record.margins])
    match record.conclusion:
        case "found":
            return f"{short(record.first_with)} brought the fault: {goals} got worse. {_confirmed(record)}"
        case "cannot-tell":
            why = _why_open(record)
            return (
                f"One of {plural(len(record.remaining), 'revision')} brought the fault ({goals} got worse), and which "
                f"one can't be told: {why}. {short(record.last_without)} does not have it, {short(record.first_with)} "
                "does."
            )
        case "no-difference":
            return f"{bad} is no worse than {good} in any goal: there is no fault to search for between them."
        case "ends-undecided":
            reason = record.steps[-1].reason if record.steps else ""
            return f"Whether {bad} is worse than {good} was not decided, so no revision was searched. {reason}"
        case "contradictory":
            return (
                f"{short(record.first_with)} is worse than the good revision, and no worse than its predecessor "
                f"{short(record.last_without)}, which is not worse than the good one: the fault grew over several "
                "commits, or one of the comparisons is wrong. No commit is named."
            )
        case None:
            return (
                f"The search was interrupted after {plural(record.compared, 'comparison')}. The same command goes on "
                "with it."
            )


def next_text(record: Bisection) -> str:
    """What to do where no commit was named; empty where nothing is left to do."""
    tried = {step.outcome for step in record.steps if step.after in record.remaining}
    match record.conclusion:
        case "cannot-tell":
            if "undecided" in tried:
                return "Measure on a quieter machine, or longer (`plan.block`, `plan.blocks`), then search again."
            if tried - set(COMPARED):
                return (
                    "Read the differences of these revisions, or make them start (`--build`, the service's settings), "
                    "then search again."
                )
            return "Allow more comparisons (`--at-most`), then search again."
        case "ends-undecided":
            return "Measure longer (`plan.block`, `plan.blocks`), or accept a larger margin, then search again."
        case "contradictory":
            return "Search again with one goal (`--goal`), and with a bad revision nearer to the good one."
        case "no-difference":
            return "Name an older good revision, or the goal that shows the fault with a smaller margin."
        case _:
            return ""


def _confirmed(record: Bisection) -> str:
    if record.last_without == record.good:
        return f"It was compared with its predecessor {short(record.good)}, the good revision itself."
    if record.confirmed:
        return f"It is worse than its predecessor {short(record.last_without)} itself, measured side by side."
    return (
        f"Compared with the good revision, it has the fault and its predecessor {short(record.last_without)} does not; "
        "the two were not told apart directly."
    )


def _why_open(record: Bisection) -> str:
    between = [step for step in record.steps if step.after in record.remaining and step.outcome != "hurt"]
    if not between:
        return f"the limit of {plural(record.at_most, 'comparison')} was reached"
    counts: dict[BisectOutcome, int] = {}
    for step in between:
        counts[step.outcome] = counts.get(step.outcome, 0) + 1
    return listed([f"{plural(count, 'revision')} {OUTCOMES[outcome]}" for outcome, count in counts.items()])


def reading_text(name: GoalName, reading: GoalReading) -> str:
    """`stale reads +31 points (28 to 34 points, margin 12 points)`."""
    interval = interval_text(name, reading.low, reading.high)
    margin = f", margin {difference_text(name, reading.margin)}" if reading.margin is not None else ""
    if reading.effect is None:
        return f"{name_of(name)}: not visible"
    sign = "+" if reading.effect > 0 else ""
    return f"{name_of(name)} {sign}{difference_text(name, reading.effect)} ({interval}{margin})"


def method_text(record: Bisection) -> list[str]:
    """How it was decided, a sentence each."""
    needed = comparisons_needed(len(record.revisions))
    lines = [
        f"{plural(len(record.revisions), 'candidate')}: the first parents after {short(record.good)}, up to "
        f"{short(record.bad)}. {plural(record.compared, 'comparison')}; a search without noise needs {needed} at most.",
        "That the good revision is good is taken on trust: the question is which revision is worse than it.",
        "Both revisions of a comparison ran at the same conditions, each with a service and a cache of its own. The "
        "interval of the judge decides, never a single number; what it left open was measured longer, once.",
        "The comparisons share the case's error rate, so that it holds for the whole search.",
    ]
    if record.margins:
        margins = listed([f"{name_of(name)} by more than {_margin(text)}" for name, text in record.margins.items()])
        lines.append(
            f"A revision has the fault if it is worse than the good one: {margins}. That is the case's margin, or half "
            "of what the bad revision is shown to be worse by, whichever is more."
        )
    if record.build:
        lines.append(f"Each revision was built by `{record.build}`.")
    return lines


def _margin(text: str) -> str:
    return text.replace(" %", " points") if text.endswith("%") else text
