"""`fleet.yml`: which cases, in which order, what they must not share at one time, when, and for how long.

cases:
  - stale-price
  - {case: live-price, environment: staging, exclusive: [shared-redis], window: 22:00-04:00}
  - case: team-*
observe: true
timeout: 20m
order: longest-first
window: 21:00-06:00
budget: {elapsed: 8h, case_time: 30h}
"""

from __future__ import annotations

import datetime as dt
import difflib
import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from luckyhit.case.document import read_document
from luckyhit.case.findings import Finding, field_name, shown
from luckyhit.case.part import Part
from luckyhit.case.values.units import Duration
from luckyhit.errors import ArgumentError
from luckyhit.fleet.digest.nightly import ALARMS
from luckyhit.text.json_values import as_object

FLEET_FILE = "fleet.yml"
LARGEST_BYTES = 1_000_000
Order = Literal["listed", "longest-first", "oldest-first"]
"""listed: as in the file. longest-first: the night ends soonest. oldest-first: what was not measured for longest."""
ORDERS: tuple[Order, ...] = get_args(Order)
MOST_HOURS = 10_000
_LONG_TIME = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)\s*([smh])")
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


def parse_window(value: object) -> tuple[dt.time, dt.time]:
    """`22:00-04:00`, which may go over midnight. Raises ValueError."""
    if isinstance(value, tuple):
        return value
    expected = "two times of day, such as 22:00-04:00"
    ends = [_CLOCK.fullmatch(part.strip()) for part in value.split("-")] if isinstance(value, str) else []
    if len(ends) != 2 or ends[0] is None or ends[1] is None:
        raise ValueError(expected)
    first, last = (dt.time(int(end[1]), int(end[2])) for end in ends if end is not None)
    if first == last:
        raise ValueError(f"{expected}, which are not the same")
    return first, last


def parse_long_time(value: object) -> float:
    """Seconds of `90m` or `30h`: longer than a run's durations may be. Raises ValueError."""
    match = _LONG_TIME.fullmatch(value.strip()) if isinstance(value, str) else None
    seconds = float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]] if match else 0.0
    if not 0 < seconds <= MOST_HOURS * 3600:
        raise ValueError(f"a duration of at most {MOST_HOURS:,} h, such as 90m or 30h")
    return seconds


def _alarms(names: list[str]) -> list[str]:
    for name in names:
        if name not in ALARMS:
            near = difflib.get_close_matches(name, ALARMS, n=1)
            raise ValueError(f"of {', '.join(ALARMS)}" + (f" (did you mean '{near[0]}'?)" if near else ""))
    return names


Window = Annotated[tuple[dt.time, dt.time], BeforeValidator(parse_window)]
LongTime = Annotated[float, BeforeValidator(parse_long_time)]
Name = Annotated[str, Field(min_length=1, max_length=120)]


class FleetCase(Part):
    """One entry of `cases`; a text is short for `{case: text}`."""

    case: Name = Field(description="A case in data/cases, the path of a case file, or a pattern such as `team-*`.")
    environment: str = Field(default="", description="As --environment of `luckyhit run`: allows the change there.")
    observe: bool | None = Field(default=None, description="Only its baseline. Default: `observe` of the fleet.")
    timeout: Duration | None = Field(default=None, description="It is stopped and rolled back after this time.")
    exclusive: list[Name] = Field(default=[], description="No two cases that name the same thing run at one time.")
    window: Window | None = Field(default=None, description="It begins only in this part of the day.")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, written: Any) -> Any:
        return {"case": written} if isinstance(written, str) else written


class Budget(Part):
    """What a fleet may take; what does not fit in it is not begun."""

    elapsed: LongTime | None = Field(default=None, description="From the start of the fleet.")
    case_time: LongTime | None = Field(default=None, description="Of all cases together.")


class FleetFile(Part):
    """`fleet.yml`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    cases: list[FleetCase] = Field(min_length=1, description="What to run.")
    order: Order = Field(default="listed", description="Which is begun first.")
    observe: bool = Field(default=False, description="Only baselines: nothing is changed.")
    timeout: Duration | None = Field(default=None, description="Of each case that has none.")
    grace: Duration = Field(default=120.0, description="How long a stopped case may take to roll back.")
    attempts: Annotated[int, Field(ge=1, le=10)] = Field(
        default=3, description="Of a case whose machine is lost before it changed anything."
    )
    window: Window | None = Field(default=None, description="No case begins outside of this part of the day.")
    budget: Budget = Field(default=Budget(), description="What the fleet may take.")
    results: str = Field(default="", description="A URL on shared storage, where the run directories stay.")
    fail_on: Annotated[list[str], AfterValidator(_alarms)] = Field(
        default=[], description="What makes the exit code 1, as --fail-on."
    )
    notify_command: str = Field(default="", description="As --notify-command.")


def load_fleet_file(path: Path) -> FleetFile:
    """The fleet in a file. Raises ArgumentError with every problem, its line and its field."""
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise ArgumentError(f"{path.name} has more than {LARGEST_BYTES:,} bytes", hint="A fleet file lists cases.")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ArgumentError(
            f"no {path.name}, and no case is named",
            hint=f"Name cases (`luckyhit fleet stale-price short-ttl`), or write {FLEET_FILE} (docs/fleet.md).",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ArgumentError(f"{path.name} can't be read: {error}") from None
    document = read_document(text)
    findings = list(document.findings)
    fleet: FleetFile | None = None
    if document.usable:
        try:
            fleet = FleetFile.model_validate(document.data)
        except ValidationError as error:
            findings += [_finding(details, document.data) for details in error.errors(include_url=False)]
    if fleet is None or findings:
        lines = sorted({(finding.line or document.line(finding.path), _text(finding)) for finding in findings})
        raise ArgumentError(
            f"{len(lines)} problem{'s' if len(lines) != 1 else ''} in the fleet file:\n"
            + "\n".join(f"{path.name}:{line}: {words}" for line, words in lines),
            hint="docs/fleet.md describes each field.",
        )
    return fleet


def _text(finding: Finding) -> str:
    return f"{field_name(finding.path)}: {finding.actual}; expected {finding.expected}"


def _finding(details: Any, data: Any) -> Finding:
    path, kind, value = tuple(details["loc"]), details["type"], details["input"]
    inner = path[0] if len(path) > 1 else None
    model = FleetCase if inner == "cases" else Budget if inner == "budget" else FleetFile
    if kind == "missing":
        return Finding(path, "missing field", model.model_fields[str(path[-1])].description or "a value")
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(str(path[-1]), model.model_fields, n=1)
        meant = f" (did you mean '{near[0]}'?)" if near else ""
        return Finding(path, f"unknown field {shown(path[-1])}", f"one of {', '.join(model.model_fields)}{meant}")
    if kind == "value_error":
        return Finding(path, shown(value), str(details["ctx"]["error"]))
    if kind == "literal_error":
        near = difflib.get_close_matches(str(value), ORDERS, n=1)
        meant = f" (did you mean '{near[0]}'?)" if near else ""
        return Finding(path, shown(value), f"one of {', '.join(ORDERS)}{meant}")
    if kind == "too_short":
        return Finding(path, "an empty list" if value == [] else "empty", "at least one")
    if not path and not as_object(data):
        return Finding(path, shown(value), f"a mapping with {', '.join(FleetFile.model_fields)}")
    return Finding(path, shown(value), details["msg"][:1].lower() + details["msg"][1:])
