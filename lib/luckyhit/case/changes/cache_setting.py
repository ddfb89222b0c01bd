"""The change of one setting of the cache server by CONFIG SET."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from luckyhit.case.changes.spec import ChangeSpec, Check, Inverse, Rows, Sides, field_text, value_text
from luckyhit.case.findings import FieldPath, Finding, shown
from luckyhit.case.values.texts import Line, SettingName, Text
from luckyhit.records import Arm

if TYPE_CHECKING:
    from luckyhit.case.model import Case

SETTING = "setting"
_EVICTION = (
    "maxmemory maxmemory-policy maxmemory-samples maxmemory-eviction-tenacity maxmemory-clients "
    "active-expire-effort lazyfree-lazy-eviction lazyfree-lazy-expire lazyfree-lazy-server-del "
    "lazyfree-lazy-user-del hz dynamic-hz activedefrag active-defrag-ignore-bytes "
    "active-defrag-threshold-lower active-defrag-threshold-upper active-defrag-cycle-min "
    "active-defrag-cycle-max active-defrag-max-scan-fields lfu-log-factor lfu-decay-time "
    "tracking-table-max-keys"
)
_ENCODING = (
    "hash-max-listpack-entries hash-max-listpack-value hash-max-ziplist-entries hash-max-ziplist-value "
    "list-max-listpack-size list-max-ziplist-size list-compress-depth set-max-intset-entries "
    "set-max-listpack-entries set-max-listpack-value zset-max-listpack-entries zset-max-listpack-value "
    "zset-max-ziplist-entries zset-max-ziplist-value stream-node-max-bytes stream-node-max-entries"
)
_WATCHING = (
    "client-query-buffer-limit timeout tcp-keepalive latency-monitor-threshold slowlog-log-slower-than slowlog-max-len"
)
SETTINGS = frozenset(f"{_EVICTION} {_ENCODING} {_WATCHING}".split())
"""Settings that a case may change: none of them writes a file, changes access, or affects persistence."""
EVICTING = ("maxmemory", "maxmemory-policy")
"""Settings that can evict keys, which can't be restored."""


def _harmless(change: CacheSettingChange, case: Case) -> Iterator[Finding]:
    """A cache setting is on the list of safe ones, and the cache is known (`cache.url_env`, or the run's own). Settings
    that evict keys are changed only in a dedicated cache, or in the run's own."""
    at: FieldPath = ("change", "name")
    if change.name not in SETTINGS:
        yield Finding(at, shown(change.name), f"one of {', '.join(sorted(SETTINGS))}")
    if case.target.start is None and case.cache.url_env is None:
        yield Finding(("cache", "url_env"), "no url_env", "the variable with the URL of the cache to change")
    if change.name in EVICTING and case.cache.url_env is not None and not case.cache.dedicated:
        expected = "a cache with dedicated: true, or the run's own: evicted keys can't be restored"
        yield Finding(at, f"{change.name} of a shared cache", expected)


def setting_put_back(inverse: Inverse, name: str | None = None) -> str:
    """For an inverse with a setting's `value` and the `cache`. `name`: of the setting, if the inverse lacks it."""
    name = field_text(inverse, "name") if name is None else name
    value = "empty" if inverse.get("value") == "" else f"“{field_text(inverse, 'value')}”"
    cache = field_text(inverse, "cache")
    return f"Set {name} of the cache {cache} back to {value}, unless it was changed again since."


class CacheSettingChange(ChangeSpec):
    """One setting of the cache server, by `CONFIG SET`."""

    kind: Literal["cache-setting"] = Field(description="The kind of change: a setting of the cache server.")
    what: Line = Field(description="What the change does, in one line.")
    name: SettingName = Field(
        description="The setting's name, for example `maxmemory-policy`: one of those that decide about eviction, "
        "expiry, memory and encodings."
    )
    before: Line | None = Field(
        default=None,
        description="Its value before the change. Null: whatever it is. A cache of the run's own is given this value; "
        "somebody else's must have it.",
    )
    after: Line = Field(description="Its value after the change.")
    smallest: Text = Field(description="Why this is the smallest safe change.")

    checks: ClassVar[tuple[Check, ...]] = (_harmless,)
    inverses: ClassVar[Mapping[str, Callable[[Inverse], str]]] = {SETTING: setting_put_back}

    @property
    def entry(self) -> str | None:
        return f"cache.config.{self.name}"

    @property
    def cache_setting(self) -> str | None:
        return self.name

    @property
    def subject(self) -> tuple[str, str] | None:
        return "Setting of the cache", self.name

    def sides(self, revisions: Mapping[Arm, str]) -> Sides | None:
        return Sides("(as it was)" if self.before is None else value_text(self.before), value_text(self.after))

    def diff(self, case: Case) -> Rows:
        before = f"CONFIG SET {self.name} {self.before!r}" if self.before is not None else f"# {self.name} as it was"
        return [("-", before), ("+", f"CONFIG SET {self.name} {self.after!r}")]
