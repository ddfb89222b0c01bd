"""Where attempts are carried out: what the dispatcher asks of this machine, or of a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from luckyhit.fleet.attempt import AttemptOutcome, Request


@dataclass(frozen=True)
class Place:
    """Room for one case at a time. `id`: unique; `host`: the machine's name."""

    id: str
    host: str


@dataclass(frozen=True)
class Ended:
    """An attempt that ended. Of each attempt this is told once, whatever happened to its machine."""

    request: Request
    outcome: AttemptOutcome


class Places(Protocol):
    """An engine. All calls come from one thread.

    Nothing waits inside an engine: an attempt is started only on a free place. That is the back pressure: where results
    can't be brought back fast enough, no place is free.
    """

    def free(self) -> list[Place]:
        """The places that can take an attempt now."""
        ...

    def start(self, place: Place, request: Request) -> None:
        """Begin an attempt on a free place."""
        ...

    def ended(self, wait_s: float) -> list[Ended]:
        """The attempts that ended since the last call; waits up to `wait_s` for one."""
        ...

    def stop(self, *, kill: bool) -> None:
        """Ask all attempts to stop and roll back; `kill`: end them at once, and roll back from their journals. Each is
        told by `ended` all the same."""
        ...

    def news(self) -> list[str]:
        """Sentences about machines since the last call: which came, which went, which was refused and why."""
        ...

    def gone_s(self) -> float:
        """For how long there has been no place at all, free or not; 0 where there is one."""
        ...
