"""What `luckyhit load` can be asked for, and which of it can't be had together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from luckyhit.case.model import Case
from luckyhit.case.units import HIGHEST_PER_S, LONGEST_S
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
    for what, value, most in (
        ("rate", asked.rate, HIGHEST_PER_S),
        ("seconds", asked.seconds, LONGEST_S),
        ("timeout", asked.timeout_s, LONGEST_S),
        ("speed", asked.speed, 1000.0),
    ):
        if value is not None and not 0 < value <= most:
            raise ArgumentError(f"--{what} is {value:g}", hint=f"It is above 0 and up to {most:,.0f}.")
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
