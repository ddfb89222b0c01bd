"""What `luckyhit load` can be asked for, and which of it can't be had together.

The texts of `luckyhit load`'s options: what each means, and what would be right where it means nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from luckyhit.case.model import Case
from luckyhit.case.values.placeholders import escape
from luckyhit.case.values.units import HIGHEST_PER_S, LONGEST_S, parse_duration, parse_rate
from luckyhit.errors import ArgumentError

MOST_CLOSED = 4096


@dataclass(frozen=True)
class Asked:
    """The options, as people write them. None: not asked for.

    `stages` such as `50/s for 10s` and `50/s to 200/s for 20s`; `keys` such as `1-1000` or `@FILE` (for `{key}` in the
    URL); `headers` may hold secrets: they reach the engine through a pipe and are never written. `case`: its workload,
    expected response and signals instead of one URL's; the URL is then the base of its paths, and `root` the folder
    that its file names are relative to.
    """

    rate: float | None = None
    seconds: float | None = None
    closed: int = 0
    seed: int | None = None
    timeout_s: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    method: str | None = None
    body: str | None = None
    arrivals: str | None = None
    stages: Sequence[str] = ()
    keys: str | None = None
    popularity: str | None = None
    exponent: float | None = None
    hot: int | None = None
    hot_share: str | None = None
    replay: Path | None = None
    log_format: str | None = None
    timing: str | None = None
    speed: float | None = None
    case: Case | None = None
    warmup_s: float = 0.0
    fresh: bool = False
    http: str | None = None
    workers: int | None = None
    expect_status: int | None = None
    expect_sha256: str | None = None
    ca_file: Path | None = None
    root: Path | None = None

    def check(self) -> None:
        """Raises ArgumentError for what can't be asked for; its hint says what would be right."""
        _check_numbers(self)
        _check_together(self)


def _check_numbers(asked: Asked) -> None:
    for option, value, most in (
        ("rate", asked.rate, HIGHEST_PER_S),
        ("seconds", asked.seconds, LONGEST_S),
        ("timeout", asked.timeout_s, LONGEST_S),
        ("speed", asked.speed, 1000.0),
    ):
        if value is not None and not 0 < value <= most:
            raise ArgumentError(f"--{option} is {value:g}", hint=f"It is above 0 and up to {most:,.0f}.")
    if not 0 <= asked.warmup_s <= LONGEST_S:
        raise ArgumentError(f"--warmup is {asked.warmup_s:g}", hint=f"0 to {LONGEST_S:,.0f} seconds.")
    if not 0 <= asked.closed <= MOST_CLOSED:
        raise ArgumentError(f"--closed is {asked.closed}", hint=f"0 (open loop), or 1 to {MOST_CLOSED} connections.")

    if asked.http not in (None, "auto", "1.1", "2"):
        raise ArgumentError(f"--http is {asked.http[:20]!r}", hint="auto, 1.1 or 2.")


def _check_together(asked: Asked) -> None:
    """Options that say different things about the same."""
    given = {
        "--rate": asked.rate is not None,
        "--stage": bool(asked.stages),
        "--closed": asked.closed > 0,
        "--arrivals": asked.arrivals is not None,
        "--replay": asked.replay is not None,
        "--keys": asked.keys is not None,
        "--body": asked.body is not None,
        "--method": asked.method is not None,
        "--case": asked.case is not None,
        "--popularity": asked.popularity is not None,
        "--log-format": asked.log_format is not None,
        "--timing": asked.timing is not None,
        "--speed": asked.speed is not None,
    }
    apart = [("--rate", "--stage")]
    apart += [("--closed", other) for other in ("--rate", "--stage", "--arrivals", "--replay")]
    apart += [("--case", other) for other in ("--replay", "--keys", "--body", "--method")]
    apart += [("--replay", other) for other in ("--keys", "--body", "--method")]
    for one, other in apart:
        if given[one] and given[other]:
            raise ArgumentError(f"{one} and {other} can't be combined", hint="Leave one of them out.")
    needs = [("--popularity", "--keys")]
    needs += [(option, "--replay") for option in ("--log-format", "--timing", "--speed")]
    for one, other in needs:
        if given[one] and not given[other]:
            raise ArgumentError(f"{one} means nothing without {other}", hint=f"Add {other}, or leave {one} out.")
    if asked.replay is not None and asked.timing != "rate":
        paced = [name for name in ("--rate", "--stage", "--arrivals") if given[name]]
        if paced:
            hint = f"For the log's order at a rate of yours: --timing rate {paced[0]} ..."
            raise ArgumentError(f"{paced[0]} has no meaning where the log's own gaps set the pace", hint=hint)


LARGEST_BODY = 1_000_000
_FILLED_IN = re.compile(r"\{(key|number)\}")
_STAGE = re.compile(r"(?P<rate>.+?)(?:\s+to\s+(?P<to>.+?))?\s+for\s+(?P<time>.+)")
_RANGE = re.compile(r"(-?\d+)\s*-\s*(-?\d+)")


def number(text: str, option: str, *, rate: bool = False) -> float:
    """`200`, `200/s`, `30/m` (a rate) or `10`, `10s`, `2m` (a time) as requests per second, or seconds."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return parse_rate(text) if rate else parse_duration(text)
    except ValueError as error:
        example = "200 or 200/s" if rate else "10 or 500ms"
        hint = f"For example {example} ({error})."
        raise ArgumentError(f"{option} is {text[:60]!r}, which is no {'rate' if rate else 'time'}", hint=hint) from None


def stage_facts(text: str) -> dict[str, Any]:
    """`50/s for 10s`, `50/s to 200/s for 20s`."""
    match = _STAGE.fullmatch(text.strip())
    try:
        if match is None:
            raise ValueError("a stage")
        stage = {"lasts": match["time"], "rate": match["rate"]}
        parse_duration(match["time"]), parse_rate(match["rate"])
        if match["to"]:
            parse_rate(match["to"])
            stage["to"] = match["to"]
        return stage
    except ValueError as error:
        hint = f"For example --stage '50/s for 10s' or --stage '50/s to 200/s for 20s' ({error})."
        raise ArgumentError(f"{text[:80]!r} is no stage", hint=hint) from None


def key_facts(given: str) -> dict[str, Any]:
    """`1-1000` or `@FILE` as fields of the case's `keys`."""
    if given.startswith("@"):
        return {"file": given[1:]}
    if match := _RANGE.fullmatch(given.strip()):
        first, last = int(match[1]), int(match[2])
        if first <= last:
            return {"first": first, "last": last}
    raise ArgumentError(f"--keys is {given[:60]!r}", hint="A range such as 1-1000, or @FILE with a key a line.")


def headers_of(lines: Sequence[str], from_env: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    """`Name: value` and `Name=VARIABLE` as headers. Values are never shown: they may be secrets."""
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise ArgumentError("--header is not Name: value", hint="For example --header 'Accept-Language: de'.")
        headers[name.strip()] = value.strip()
    for pair in from_env:
        name, equals, variable = pair.partition("=")
        if not equals or not name.strip() or not variable.strip():
            raise ArgumentError(
                "--header-env is not Name=VARIABLE", hint="For example --header-env Authorization=API_TOKEN."
            )
        if variable.strip() not in environ:
            raise ArgumentError(
                f"not set in the environment: {variable.strip()[:60]}", hint="Export it, then start again."
            )
        headers[name.strip()] = environ[variable.strip()]
    return headers


def template(text: str, names: Sequence[str]) -> str:
    """`text` as a template in which only `names` are filled in: other braces are what they are."""
    parts = _FILLED_IN.split(text)  # literal, name, literal, name, ..., literal
    return "".join(
        escape(part) if index % 2 == 0 else f"{{{part}}}" if part in names else escape(f"{{{part}}}")
        for index, part in enumerate(parts)
    )


def given_text(given: str, option: str) -> str:
    """A text, or with @ before it the text of a file."""
    if not given.startswith("@"):
        return given
    path = Path(given[1:])
    try:
        if path.stat().st_size > LARGEST_BODY:
            raise ArgumentError(f"{path} is larger than {LARGEST_BODY:,} bytes", hint=f"A smaller file for {option}.")
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise ArgumentError(f"{path} can't be read: {error.strerror}", hint=f"{option} @FILE names a text.") from None
    except UnicodeDecodeError:
        raise ArgumentError(f"{path} is no UTF-8 text", hint=f"{option} sends texts only.") from None


def is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(_FILLED_IN.sub("0", text)), (dict, list))
    except ValueError:
        return False
