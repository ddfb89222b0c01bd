"""What every kind of cache offers, and what this one can't: the protocols that the rest of the house works with.

A kind is a folder here and a row in `luckyhit.caches.CACHES`. What a kind can't do stands in its `can` as a missing id,
and is told to the reader; it is never guessed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from luckyhit.caches.backup import BackupEntry, BackupWriter
from luckyhit.caches.clear_pace import ClearPace
from luckyhit.caches.scope import Listing, Progress, RemovalCounts, Scope
from luckyhit.caches.shapes import LearnedShapes, Shape
from luckyhit.case import Case
from luckyhit.case.cache_spec import Cache as CacheSpec
from luckyhit.case.changes import SettingChange
from luckyhit.records import Arm, StepOutcome

NOTIFY = "notify"
"""Step in a run's journal, and kind of its inverse: the setting that makes a cache tell its events."""


class Capability(StrEnum):
    """What not every kind of cache can do."""

    LIST_KEYS = "list-keys"
    """Tells which keys it has. Without it, only keys that the case names one by one are looked at."""
    EVENTS = "events"
    """Tells what happens to its keys, when it happens."""
    SETTINGS = "settings"
    """Has settings that can be read, and changed while it runs."""
    PASSWORD = "password"
    """A server of the run's own asks for a password."""


class ServerProcess(Protocol):
    """The process of a server that the run started."""

    @property
    def alive(self) -> bool: ...

    @property
    def pid(self) -> int | None: ...

    def stop(self) -> None: ...


@dataclass(frozen=True, slots=True)
class OwnServer:
    """How a server of the run's own is started. `secret_file`: it stands in `arguments`, and is deleted once the server
    has read it."""

    program: str
    arguments: Callable[[int], list[str]]
    """Without the program; called with the port."""
    url: Callable[[int], str]
    try_by_hand: str
    secret_file: Path | None = None


class CheckFindings(Protocol):
    """Where what is found about rights is told: see `luckyhit.change.permissions.permission_findings`."""

    @property
    def ok(self) -> bool: ...

    def problem(self, fault: str, remedy: str) -> None: ...

    def note(self, sentence: str) -> None: ...


class StepJournal(Protocol):
    """Where a step is written before it is taken: see `luckyhit.change.journal`."""

    def intend(self, step: str, detail: Mapping[str, Any], inverse: Mapping[str, Any], /) -> int: ...

    def confirm(self, step_id: int, outcome: Mapping[str, Any], /) -> None: ...

    def undo(self, step_id: int, outcome: Mapping[str, Any], /) -> None: ...


class KeyRemover(Protocol):
    """Removes keys, each only as it was last seen. `done` tells how far it came, also after an error."""

    done: RemovalCounts

    def run(self, keys: list[bytes], on_progress: Progress | None) -> None: ...


class KeySpace(Protocol):
    """The keys of a cache, while a connection is open. Every method raises what `AnyCache.explained` makes errors of
    the tree of. None counts as a hit, unless it says so."""

    @property
    def servers(self) -> int:
        """How many servers hold keys."""

    def batches(self) -> Iterator[list[bytes]]:
        """All keys; one that comes and goes may be missing, or come twice. Needs `LIST_KEYS`."""

    def listing(self, scope: Scope, *, every: bool = False) -> Listing:
        """The keys in scope. `every`: all others are counted one by one."""

    def dropped(self) -> int:
        """Keys that expired or were evicted since the servers' start, as far as they tell."""

    def lifetimes_ms(self, keys: Sequence[bytes]) -> list[int]:
        """For how long each key lives on: -1 for ever, -2 where it is gone. May count as hits."""

    def clock_ms(self) -> int:
        """The cache's own clock, ms since 1970."""

    def put_back(self, entries: list[BackupEntry]) -> int:
        """Restore each that is absent. Returns how many are there already."""

    def remover(
        self, scope: Scope, pace: ClearPace, *, writer: BackupWriter | None, rebuildable: bool
    ) -> KeyRemover: ...


class UndoResult(NamedTuple):
    """How a step was closed; `how` says what was done."""

    outcome: StepOutcome
    how: str


class SettingControl(Protocol):
    """The settings of a cache. Raises CacheUnreachable, TargetError."""

    def refuse_several(self) -> None:
        """Raise GuardError where they could not be changed on all servers at once."""

    def read(self, name: str) -> str: ...

    def set(self, name: str, value: str) -> str:
        """Returns it as the server reads it back."""

    def same(self, name: str, one: str, other: str) -> bool:
        """Whether two spellings mean the same to the server."""

    def by_hand(self, name: str, old: str) -> str:
        """The command that puts a setting back."""

    def put_back(self, name: str, old: str, ours: Sequence[str], sleep: Callable[[float], None]) -> UndoResult:
        """Put back `old`, unless somebody else changed it since. `ours`: what may be of this run's making. An
        error says what to do by hand."""


@dataclass
class Notifications:
    """Whether the events of one block can be seen. `sentences` say what could not be, and what somebody else did to the
    setting; `disturbed`: the server may have stopped telling in the middle, so that its silence means nothing.
    `refused`: whether it was a right that was missing."""

    visible: bool = False
    disturbed: bool = False
    refused: bool = False
    sentences: list[str] = field(default_factory=list)


class EventSwitch(Protocol):
    """Makes a cache tell its events, and puts back what that took."""

    def on(self) -> None: ...

    def off(self) -> None: ...


class EventListener(Protocol):
    """One cache that is listened to, in a thread: `rows` without arm and block (see `records.EVENTS`). `asked`:
    look-ups made for it, each of which counts as a hit."""

    arm: Arm
    ready: threading.Event
    rows: list[list[Any]]

    @property
    def asked(self) -> int: ...

    def run(self) -> None: ...


class EventSource(Protocol):
    """The events of one cache."""

    setting: str
    """Name of the setting that makes it tell them."""

    def switch(
        self,
        journal: StepJournal,
        notifications: Notifications,
        stack: str,
        sleep: Callable[[float], None],
    ) -> EventSwitch:
        """Its step in the journal is `NOTIFY`, of the stack of that name."""

    def listener(
        self,
        arm: Arm,
        channels: Mapping[str, str],
        stopping: threading.Event,
        now_ns: Callable[[], int],
        problem: Callable[[str], None],
        most_rows: int,
        patterns: Sequence[Shape],
        reserved: Callable[[str], bool],
    ) -> EventListener: ...

    def learn(
        self, keys: Sequence[str], read: Callable[[str], object], templates: Sequence[str]
    ) -> LearnedShapes | None:
        """Read each key, and see what that stores; None where it can't be listened to."""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What one server tells of itself: entries of the fingerprint, settings among them as `cache.config.*`. `run_id`:
    of its process, empty where it does not tell."""

    entries: Mapping[str, str]
    run_id: str


class PermissionChecks(Protocol):
    """What the run needs of a cache, proven before anything is touched. Changes nothing. Raises CacheUnreachable,
    TargetError."""

    def permissions(self, case: Case, findings: CheckFindings, *, changeable: bool) -> None:
        """What it grants, and whether its events can be seen. `changeable`: whether the run will change anything."""

    def scope(self, spec: CacheSpec, findings: CheckFindings) -> float:
        """Returns about how many bytes a backup of the keys in scope takes."""

    def setting(self, change: SettingChange, findings: CheckFindings) -> None: ...


class AnyCache(Protocol):
    """One cache. `owned` says whether it is a server of the run's own, which `stop()` ends. `settings` and `events` are
    None where `can` lacks them."""

    url: str
    url_env: str | None
    can: frozenset[Capability]
    kind: str

    @property
    def settings(self) -> SettingControl | None: ...

    @property
    def events(self) -> EventSource | None: ...

    @property
    def checks(self) -> PermissionChecks: ...

    @property
    def owned(self) -> bool: ...

    @property
    def identity(self) -> str:
        """What it is called, without secrets; equal for all spellings of its URL."""

    @property
    def secrets(self) -> list[str]:
        """What must not be shown of its URL."""

    def check(self, *, within_s: float = 5.0) -> None:
        """Raise CacheUnreachable unless it answers in time."""

    def answering_pid(self) -> int:
        """Pid of the server that answers. Raises CacheUnreachable."""

    def stop(self) -> None:
        """End the server where it is the run's own. May be repeated."""

    def explained(self, doing: str) -> AbstractContextManager[None]:
        """Raise what its client raises inside as CacheUnreachable or TargetError. `doing` completes "while ..."."""

    def keys(self) -> AbstractContextManager[KeySpace]: ...

    def sampler(self) -> AbstractContextManager[Callable[[], dict[str, float]]]:
        """What gives the counters, each time it is called. Raises CacheUnreachable, TargetError."""

    def facts(self, changing: str | None) -> list[ServerFacts]:
        """Of each server that holds keys. `changing`: the setting that the change is about. Raises CacheUnreachable."""

    def version(self) -> dict[str, str]:
        """Name and version of the server."""


class CacheKind(Protocol):
    """A row of `CACHES`."""

    name: str
    url_forms: str
    """How its URLs look, for messages."""
    can: frozenset[Capability]

    @property
    def schemes(self) -> tuple[str, ...]:
        """Of its URLs."""

    def at(self, url: str, *, url_env: str | None = None, server: ServerProcess | None = None) -> AnyCache: ...

    def identity(self, url: str) -> str: ...

    def address(self, url: str) -> tuple[str, int] | None:
        """Host and port; None where the URL names no single address."""

    def own_server(self, folder: Path, environ: Mapping[str, str], *, with_password: bool) -> OwnServer:
        """How one is started in `folder`. Raises CacheUnreachable, which says what to install."""
