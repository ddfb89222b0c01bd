"""The options of `luckyhit load`: which values they take, and which can't be combined."""

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
from luckyhit.text.json_values import is_list, is_object

MOST_CLOSED = 4096
LARGEST_BODY = 1_000_000
_PLACEHOLDER = re.compile(r"\{(key|number)\}")
_STAGE = re.compile(r"(?P<rate>.+?)(?:\s+to\s+(?P<to>.+?))?\s+for\s+(?P<time>.+)")
_RANGE = re.compile(r"(-?\d+)\s*-\s*(-?\d+)")
_APART = [
    ("rate", "stages"),
    *(("closed", other) for other in ("rate", "stages", "arrivals", "replay")),
    *(("case", other) for other in ("replay", "keys", "body", "method")),
    *(("replay", other) for other in ("keys", "body", "method")),
]
_NEEDS = [("popularity", "keys"), *((option, "replay") for option in ("log_format", "timing", "speed"))]


@dataclass(frozen=True)
class LoadOptions:
    """The options as people write them. None: not given.

    `stages` such as `50/s for 10s` and `50/s to 200/s for 20s`; `keys` such as `1-1000` or `@FILE` (for `{key}` in the
    URL); `headers` may hold secrets: they reach the engine through a pipe and are never written. `case`: use its
    workload, expected response and signals; the URL is then the base of its paths, and `root` the folder that its file
    names are relative to. `shards`: how many hosts send, on the workers of the Dask scheduler `dask`, or without one as
    processes of this machine.
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
    shards: int | None = None
    dask: str | None = None
    expect_status: int | None = None
    expect_sha256: str | None = None
    ca_file: Path | None = None
    root: Path | None = None

    def check(self) -> None:
        """Raises ArgumentError for values out of range, and for options that contradict or need each other."""
        for option, value, most in (
            ("rate", self.rate, HIGHEST_PER_S),
            ("seconds", self.seconds, LONGEST_S),
            ("timeout", self.timeout_s, LONGEST_S),
            ("speed", self.speed, 1000.0),
        ):
            if value is not None and not 0 < value <= most:
                raise ArgumentError(
                    f"--{option} must be greater than 0 and at most {most:,.0f} (got {value:g})",
                    hint=f"Choose a value above 0, up to {most:,.0f}.",
                )
        if not 0 <= self.warmup_s <= LONGEST_S:
            raise ArgumentError(
                f"--warmup must be from 0 to {LONGEST_S:,.0f} (got {self.warmup_s:g})",
                hint=f"Choose 0 to {LONGEST_S:,.0f} seconds.",
            )
        if not 0 <= self.closed <= MOST_CLOSED:
            raise ArgumentError(
                f"--closed must be from 0 to {MOST_CLOSED} (got {self.closed})",
                hint=f"Choose 0 for an open loop, or 1 to {MOST_CLOSED} connections.",
            )
        if self.http not in (None, "auto", "1.1", "2"):
            raise ArgumentError(f"invalid --http: {self.http[:20]!r}", hint="Choose auto, 1.1 or 2.")
        for one, other in _APART:
            if self._given(one) and self._given(other):
                raise ArgumentError(f"{_flag(one)} and {_flag(other)} can't be combined", hint="Leave one of them out.")
        for one, other in _NEEDS:
            if self._given(one) and not self._given(other):
                raise ArgumentError(
                    f"{_flag(one)} needs {_flag(other)}", hint=f"Add {_flag(other)}, or leave {_flag(one)} out."
                )
        if self._given("replay") and self.timing != "rate":
            paced = [_flag(name) for name in ("rate", "stages", "arrivals") if self._given(name)]
            if paced:
                raise ArgumentError(
                    f"{paced[0]} has no effect, because the gaps of the log set the pace",
                    hint=f"For the order of the log at your own rate: --timing rate {paced[0]} ...",
                )

    def _given(self, name: str) -> bool:
        return getattr(self, name) not in (None, 0, ())


def _flag(name: str) -> str:
    return "--stage" if name == "stages" else "--" + name.replace("_", "-")


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
        raise ArgumentError(
            f"invalid {'rate' if rate else 'time'} for {option}: {text[:60]!r}",
            hint=f"For example {example} ({error}).",
        ) from None


def stage_facts(text: str) -> dict[str, Any]:
    """`50/s for 10s`, `50/s to 200/s for 20s`."""
    match = _STAGE.fullmatch(text.strip())
    try:
        if match is None:
            raise ValueError("a rate, then `for` and a time")
        stage = {"lasts": match["time"], "rate": match["rate"]}
        parse_duration(match["time"]), parse_rate(match["rate"])
        if match["to"]:
            parse_rate(match["to"])
            stage["to"] = match["to"]
        return stage
    except ValueError as error:
        example = "--stage '50/s for 10s' or --stage '50/s to 200/s for 20s'"
        raise ArgumentError(f"invalid --stage: {text[:80]!r}", hint=f"For example {example} ({error}).") from None


def key_facts(text: str) -> dict[str, Any]:
    """`1-1000` or `@FILE` as fields of the case's `keys`."""
    if text.startswith("@"):
        return {"file": text[1:]}
    if match := _RANGE.fullmatch(text.strip()):
        first, last = int(match[1]), int(match[2])
        if first <= last:
            return {"first": first, "last": last}
    hint = "Give a range such as 1-1000, or @FILE with one key per line."
    raise ArgumentError(f"invalid --keys: {text[:60]!r}", hint=hint)


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
    """`text` as a template in which only `names` are filled in: other braces stay as they are."""
    parts = _PLACEHOLDER.split(text)  # literal, name, literal, name, ..., literal
    return "".join(
        escape(part) if index % 2 == 0 else f"{{{part}}}" if part in names else escape(f"{{{part}}}")
        for index, part in enumerate(parts)
    )


def text_or_file(text: str, option: str) -> str:
    """A text, or after an @ the text of a file."""
    if not text.startswith("@"):
        return text
    path = Path(text[1:])
    try:
        if path.stat().st_size > LARGEST_BODY:
            raise ArgumentError(f"{path} is larger than {LARGEST_BODY:,} bytes", hint=f"Give {option} a smaller file.")
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise ArgumentError(
            f"{path} can't be read: {error.strerror}", hint=f"Let {option} @FILE name a text file."
        ) from None
    except UnicodeDecodeError:
        raise ArgumentError(f"{path} is not UTF-8", hint=f"{option} sends texts only.") from None


def is_json(text: str) -> bool:
    try:
        value = json.loads(_PLACEHOLDER.sub("0", text))
    except ValueError:
        return False
    return is_object(value) or is_list(value)
