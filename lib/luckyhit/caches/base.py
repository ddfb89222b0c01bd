"""The protocols of a cache, whatever its kind: all that the other rooms use.

A kind is a folder here and a row in `luckyhit.caches.CACHES`. What a kind can't do is missing from its `can`, and the
reader is told so; it is never guessed.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from luckyhit.caches.backup import BackupEntry, BackupWriter
from luckyhit.caches.key_shapes import LearnedShapes, Shape
from luckyhit.caches.scope import ClearPace, Listing, Progress, RemovalCounts, Scope
from luckyhit.case import Case
from luckyhit.case.cache_spec import Cache as CacheSpec
from luckyhit.case.changes import CacheSettingChange
from luckyhit.records import Arm, StepOutcome

NOTIFY = "notify"
"""Step in a run's journal, and kind of its inverse: the setting that makes a cache report its events."""
BYTES = {"": 1, "b": 1, "k": 10**3, "kb": 2**10, "m": 10**6, "mb": 2**20, "g": 10**9, "gb": 2**30}
"""Units of memory in a cache's settings."""
_SIZE = re.compile(r"(\d+)\s*(b|k|kb|m|mb|g|gb)?", re.IGNORECASE)


class Capability(StrEnum):
    """What not every kind of cache can do."""

    LIST_KEYS = "list-keys"
    """Lists its keys. Without it, only keys that the case names one by one are looked at."""
    EVENTS = "events"
    """Reports what happens to its keys when it happens."""
    SETTINGS = "settings"
    """Has settings that can be read, and changed while it runs."""
    COMMANDS = "commands"
    """A server of the run's own shows which commands it carries out."""
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
    """How to start a server of the run's own. `arguments` and `url` are called with the port. `secret_file`: named in
    the arguments, and deleted once the server has read it."""

    program: str
    arguments: Callable[[int], list[str]]
    url: Callable[[int], str]
    try_by_hand: str
    secret_file: Path | None = None


class CheckFindings(Protocol):
    """What checks find: see `luckyhit.change.permissions.permission_findings`."""

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
    """Removes keys, each only as it was last seen. `done` counts them, also after an error."""

    done: RemovalCounts

    def run(self, keys: list[bytes], on_progress: Progress | None) -> None: ...


class KeySpace(Protocol):
    """The keys of a cache, while a connection is open. Methods raise what `AnyCache.explained` translates. None of them
    counts as a hit unless it says so."""

    @property
    def servers(self) -> int:
        """Number of servers that hold keys."""

    def batches(self) -> Iterator[list[bytes]]:
        """All keys; one that comes and goes may be missing or come twice. Needs `LIST_KEYS`."""

    def listing(self, scope: Scope, *, every: bool = False) -> Listing:
        """The keys in scope. `every`: count all others one by one."""

    def dropped(self) -> int:
        """Keys that expired or were evicted since the servers' start, as far as they report it."""

    def lifetimes_ms(self, keys: Sequence[bytes]) -> list[int]:
        """Time to live of each key: -1 without an end, -2 where it is gone. May count as hits."""

    def clock_ms(self) -> int:
        """The cache's own clock, ms since 1970."""

    def put_back(self, entries: list[BackupEntry]) -> int:
        """Restore each that is absent. Returns how many are present."""

    def remover(
        self, scope: Scope, pace: ClearPace, *, writer: BackupWriter | None, rebuildable: bool
    ) -> KeyRemover: ...


class UndoResult(NamedTuple):
    """How a step was closed, as an id and in words."""

    outcome: StepOutcome
    how: str


class SettingControl(Protocol):
    """The settings of a cache. Raises CacheUnreachable, TargetError."""

    def refuse_several(self) -> None:
        """Raise GuardError where they could not be changed on all servers at once."""

    def read(self, name: str) -> str: ...

    def set(self, name: str, value: str) -> str:
        """Returns the value as the server reads it back."""

    def same(self, name: str, one: str, other: str) -> bool:
        """Whether two spellings mean the same to the server."""

    def by_hand(self, name: str, old: str) -> str:
        """The command that puts a setting back."""

    def put_back(self, name: str, old: str, ours: Sequence[str], sleep: Callable[[float], None]) -> UndoResult:
        """Put back `old`, unless somebody else changed it since. `ours`: values that this run may have set. Errors say
        what to do by hand."""


@dataclass
class Notifications:
    """Whether the events of one block can be seen. `sentences`: what could not be seen, and what somebody else did to
    the setting. `disturbed`: the server may have stopped reporting in between, so its silence proves nothing.
    `refused`: a permission was missing."""

    visible: bool = False
    disturbed: bool = False
    refused: bool = False
    sentences: list[str] = field(default_factory=list)


class EventSwitch(Protocol):
    """Makes a cache report its events, and undoes that."""

    def on(self) -> None: ...

    def off(self) -> None: ...


@dataclass(frozen=True)
class ListenOptions:
    """`channels`: the probed key of each of the cache's keys. `patterns`: keys without a channel of their own; of
    those of one probed key, only `reserved` ones are kept. `problem` takes a sentence."""

    arm: Arm
    channels: Mapping[str, str]
    stopping: threading.Event
    now_ns: Callable[[], int]
    problem: Callable[[str], None]
    most_rows: int
    patterns: Sequence[Shape] = ()
    reserved: Callable[[str], bool] = lambda key: True


class EventListener(Protocol):
    """Listens to one cache, in a thread. `rows` have no arm and block (see `records.EVENTS`). `asked`: look-ups made
    for it, each of which counts as a hit."""

    arm: Arm
    ready: threading.Event
    rows: list[list[Any]]

    @property
    def asked(self) -> int: ...

    def run(self) -> None: ...


class EventSource(Protocol):
    """The events of one cache. `setting`: the name of the setting that makes it report them."""

    setting: str

    def switch(
        self, journal: StepJournal, notifications: Notifications, stack: str, sleep: Callable[[float], None]
    ) -> EventSwitch:
        """Its step in the journal is `NOTIFY`, of the stack of that name."""

    def listener(self, options: ListenOptions) -> EventListener: ...

    def learn(
        self, keys: Sequence[str], read: Callable[[str], object], templates: Sequence[str]
    ) -> LearnedShapes | None:
        """Read each key and see what that stores; None where the cache can't be listened to."""


@dataclass(frozen=True, slots=True)
class KeyCommand:
    """What one command did with its keys. `keys`: undecodable bytes as backslash escapes; `*` alone: all keys. `name`:
    of the command, in small letters. `fields`: those of a hash that it stored, spelt as keys are."""

    verb: Literal["read", "stored", "deleted"]
    keys: tuple[str, ...]
    name: str
    fields: tuple[str, ...] = ()


class CommandWindow(Protocol):
    """The commands that arrive from its opening on, those of all clients."""

    def close(self) -> list[KeyCommand]:
        """All commands that were carried out before this call, in order; those without a key are left out. Raises
        CacheUnreachable, TargetError. May be called once."""


class CommandSource(Protocol):
    """The commands of one server of the run's own, and nobody else's: tracing a server costs it half its speed."""

    def window(self) -> AbstractContextManager[CommandWindow]:
        """Raises GuardError for a server that the run did not start."""

    def empty(self) -> None:
        """Delete all keys. Raises GuardError for a server that the run did not start."""

    def delete(self, keys: Iterable[str]) -> int:
        """Delete these keys, as `KeyCommand` spells them; how many there were. Raises as `empty` does."""

    def subscribers(self) -> int:
        """Number of clients that wait for messages: of channels, of keys' events, or of their own cached keys."""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """Entries of the fingerprint, settings among them as `cache.config.*`. `run_id`: of the server's process, empty
    where it is not visible."""

    entries: Mapping[str, str]
    run_id: str


class PermissionChecks(Protocol):
    """Prove what the run needs of a cache before anything is touched. Changes nothing. Raises CacheUnreachable,
    TargetError."""

    def permissions(self, case: Case, findings: CheckFindings, *, changeable: bool) -> None:
        """`changeable`: whether the run will change anything."""

    def scope(self, spec: CacheSpec, findings: CheckFindings) -> float:
        """Returns roughly the bytes of a backup of the keys in scope."""

    def setting(self, change: CacheSettingChange, findings: CheckFindings) -> None: ...


class AnyCache(Protocol):
    """One cache. `owned`: a server of the run's own, which `stop()` ends. `settings`, `events` and `commands` are None
    where `can` lacks them. `identity`: its name without secrets, equal for all spellings of its URL. `secrets`: the
    parts of its URL that must not be shown."""

    url: str
    url_env: str | None
    can: frozenset[Capability]
    kind: str

    @property
    def settings(self) -> SettingControl | None: ...

    @property
    def events(self) -> EventSource | None: ...

    @property
    def commands(self) -> CommandSource | None: ...

    @property
    def checks(self) -> PermissionChecks: ...

    @property
    def owned(self) -> bool: ...

    @property
    def identity(self) -> str: ...

    @property
    def secrets(self) -> list[str]: ...

    def check(self, *, within_s: float = 5.0) -> None:
        """Raise CacheUnreachable unless it answers in time."""

    def answering_pid(self) -> int:
        """Pid of the server that answers. Raises CacheUnreachable."""

    def stop(self) -> None:
        """End the server where it is the run's own. May be repeated."""

    def explained(self, doing: str) -> AbstractContextManager[None]:
        """Raise its client's errors as CacheUnreachable or TargetError. `doing` completes "while ..."."""

    def keys(self) -> AbstractContextManager[KeySpace]: ...

    def sampler(self) -> AbstractContextManager[Callable[[], dict[str, float]]]:
        """A function that returns the counters at each call. Raises CacheUnreachable, TargetError."""

    def facts(self, changing: str | None) -> list[ServerFacts]:
        """Of each server that holds keys. `changing`: the setting that the change is about. Raises CacheUnreachable."""

    def version(self) -> dict[str, str]:
        """Name and version of the server."""


class CacheKind(Protocol):
    """A row of `CACHES`. `url_forms`: what its URLs look like, for messages."""

    name: str
    url_forms: str
    can: frozenset[Capability]

    @property
    def schemes(self) -> tuple[str, ...]:
        """Of its URLs."""

    def at(self, url: str, *, url_env: str | None = None, server: ServerProcess | None = None) -> AnyCache: ...

    def identity(self, url: str) -> str: ...

    def address(self, url: str) -> tuple[str, int] | None:
        """Host and port; None where the URL names no single address."""

    def own_server(self, folder: Path, environ: Mapping[str, str], *, with_password: bool) -> OwnServer:
        """How to start one in `folder`. Raises CacheUnreachable with what to install."""


def same_value(one: str, other: str) -> bool:
    """Whether two spellings of a setting mean the same: a server reads `100mb` back as 104857600."""
    first, second = one.strip().lower(), other.strip().lower()
    sizes = [_SIZE.fullmatch(text) for text in (first, second)]
    numbers = [int(size[1]) * BYTES[size[2] or ""] for size in sizes if size is not None]
    return first == second or (len(numbers) == 2 and numbers[0] == numbers[1])
