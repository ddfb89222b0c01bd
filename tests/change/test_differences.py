"""Two fingerprints: the declared difference, all of it, and nothing but it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import world
from luckyhit.case.model import Case
from luckyhit.change.fingerprints.differences import (
    OBSERVED,
    _observed,
    difference_guard,
    differences,
    named,
    same_guard,
)
from luckyhit.change.fingerprints.effective import visibility_note
from luckyhit.change.fingerprints.history import FingerprintHistory
from luckyhit.change.fingerprints.normalize import hashed
from luckyhit.records import Guard
from luckyhit.scrub.redactor import Redactor

VERIFY = {"path": "/flags", "value": "$.on"}
CALL = {"path": "/flags", "body": {}}
CHANGES: dict[str, dict[str, Any]] = {
    "env": {"name": "X", "before": "30", "after": "60"},
    "argument": {"before": "--ttl=30", "after": "--ttl=60"},
    "revision": {"before": "main", "after": "keys"},
    "cache-setting": {"name": "maxmemory", "after": "100mb"},
    "http": {"apply": CALL, "revert": CALL, "verify": VERIFY, "before": "off", "after": "on"},
    "command": {"apply": ["a", "{base_url}"], "revert": ["b", "{base_url}"], "verify": ["c", "{base_url}"],
                "before": "off", "after": "on"},
    "none": {},
}  # fmt: skip
REVISIONS: dict[Any, str] = {"before": "a" * 40, "after": "b" * 40}
OLD, NEW = {"git.revision": "a" * 12}, {"git.revision": "b" * 12}
OFF = {"change.state": "off", "config.flag": "false"}
ON = {"change.state": "on", "config.flag": "true"}
MEMORY = "cache.config.maxmemory"


@pytest.fixture
def guard_of(make_case: Callable[..., Case]) -> Callable[..., Guard]:
    """`guard_of(kind, before, after, **change)`."""

    def guard(kind: str, before: dict[str, str], after: dict[str, str], /, **change: Any) -> Guard:
        smallest = {} if kind == "none" else {"smallest": "s"}
        declared = {"kind": kind, "what": "w", **smallest, **CHANGES[kind], **change}
        command = ["serve", "--ttl=30", "{port}", "{cache_url}"]
        case = make_case(change=declared, target={"start": {"command": command}})
        return difference_guard(case, before, after, revisions=REVISIONS)

    return guard


@pytest.mark.parametrize(
    ("kind", "before", "after", "named"),
    [
        # `named`: None where the guard has to hold; else what it names.
        ("env", {"env.X": "30"}, {"env.X": "60"}, None),
        ("env", {"env.X": "30"}, {"env.X": "30"}, "env.X"),
        ("env", {"env.X": "30", "config.some": "130"}, {"env.X": "60", "config.some": "160"}, "config.some (130 -> 160)"),
        ("argument", {"command": "serve --ttl=30 x"}, {"command": "serve --ttl=60 x"}, None),
        ("argument", {"command": "serve --ttl=30 x"}, {"command": "serve --ttl=30 x"}, "command"),
        ("argument", {"command": "serve --ttl=30 x"}, {"command": "serve --ttl=60 y"}, "command"),
        ("argument", {"command": "serve"}, {"command": "serve"}, "'--ttl=30'"),
        ("none", {"a": "1"}, {"a": "1"}, None),
        ("none", {"a": "1"}, {"a": "2"}, "a (1 -> 2)"),
        ("revision", OLD, NEW, None),
        ("revision", OLD, OLD, "'bbbbbbbbbbbb'"),
        ("revision", OLD, {"git.revision": "c" * 12}, "'cccccccccccc'"),
        # Another revision may show as another version, and as nothing else.
        *[("revision", {**OLD, name: "1"}, {**NEW, name: "2"}, None)
          for name in ("header.x-app-version", "header.server", "config.build", "config.app.gitCommit")],
        *[("revision", {**OLD, name: "1"}, {**NEW, name: "2"}, f"{name} (1 -> 2)")
          for name in ("config.conversion", "config.ttl", "package.httpx", "cache.version", "git.changes")],
        ("cache-setting", {MEMORY: "0"}, {MEMORY: "104857600"}, None),
        ("cache-setting", {MEMORY: "0"}, {MEMORY: "100000000"}, MEMORY),
        # The service's configuration has nothing to do with it.
        ("cache-setting", {MEMORY: "0", "config.a": "0"}, {MEMORY: "104857600", "config.a": "100mb"}, "config.a"),
        *[row for kind in ("http", "command") for row in (
            (kind, OFF, ON, None),
            (kind, OFF, OFF, "change.state"),
            (kind, OFF, ON | {"change.state": "not visible: status 500"}, "change.state"),
            (kind, OFF | {"config.ttl": "1"}, ON | {"config.ttl": "2"}, "config.ttl (1 -> 2)"))],
    ],
)  # fmt: skip
def test_only_the_declared_change_may_differ(
    kind: str, before: dict[str, str], after: dict[str, str], named: str | None, guard_of: Callable[..., Guard]
) -> None:
    guard = guard_of(kind, before, after)
    assert guard.ok is (named is None) and bool(guard.remedy) is not guard.ok
    assert (named or "") in guard.detail


@pytest.mark.parametrize(
    ("name", "ok"),
    [("config.ttl", True), ("header.vary", True), ("git.untracked", True), ("git.changes", False), ("env.X", False)],
)
def test_revisions_may_be_said_to_have_other_defaults(name: str, ok: bool, guard_of: Callable[..., Guard]) -> None:
    guard = guard_of("revision", {**OLD, name: "1"}, {**NEW, name: "2"}, other_defaults=True)
    assert guard.ok is ok


@pytest.mark.parametrize(("before", "ok"), [("52428800", True), ("0", False)])
def test_setting_is_compared_in_the_words_of_the_server(before: str, ok: bool, guard_of: Callable[..., Guard]) -> None:
    assert guard_of("cache-setting", {MEMORY: before}, {MEMORY: "104857600"}, before="50mb").ok is ok


@pytest.mark.parametrize(
    ("declared", "shown"),
    [
        (("30", "60"), ("30.0", "60.0")),
        (("30s", "60s"), ("30", "60")),
        (("30s", "60s"), ("30000", "60000")),
        (("on", "off"), ("true", "false")),
        (("a", "b"), ("mode a of two", "mode b of two")),
        ((None, "60"), ("15", "60")),
        (("60", None), ("60", "null")),
    ],
)
def test_configuration_may_show_the_change_in_other_words(
    declared: tuple[str | None, str | None], shown: tuple[str, str], guard_of: Callable[..., Guard]
) -> None:
    before, after = (
        {"config.some": text, **({"env.X": value} if value is not None else {})}
        for value, text in zip(declared, shown, strict=True)
    )
    guard = guard_of("env", before, after, before=declared[0], after=declared[1])
    assert guard.ok, guard.detail


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{{"keys": 1}}', '{{"keys": 2}}'),
        ("2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("http://127.0.0.1/{port}/a", "http://127.0.0.1/{port}/b"),
        ("{workdir}/a", "{workdir}/b"),
    ],
)
def test_declared_value_is_known_however_it_is_written(before: str, after: str, guard_of: Callable[..., Guard]) -> None:
    """The service is given `{"keys": 1}` where the case says `{{"keys": 1}}`."""
    shown = [text.replace("{{", "{").replace("}}", "}") for text in (before, after)]
    assert guard_of("env", {"env.X": shown[0]}, {"env.X": shown[1]}, before=before, after=after).ok


def test_of_many_changed_files_the_differing_ones_are_named() -> None:
    files = [f"module_{number}.py {number:012x}" for number in range(15)]
    edited = [*files[:9], f"module_9.py {'e' * 12}", *files[10:]]
    expected = f"git.changes (module_9.py {9:012x} -> module_9.py {'e' * 12})"
    assert named({"git.changes": (", ".join(files), ", ".join(edited))}) == expected


_PRINTS = st.dictionaries(
    st.sampled_from(["command", "env.SHOP_TTL", "env.B", "config.ttl", "config.b", "git.changes", "cache.role"])
    | st.text(min_size=1, max_size=8),
    st.sampled_from(["30", "60", "none", "a b", "it's"]) | st.text(max_size=8),
    max_size=9,
)


@given(_PRINTS, _PRINTS, st.booleans())
def test_no_difference_is_ever_lost(before: dict[str, str], after: dict[str, str], taken: bool) -> None:
    """Whatever differs is the declared change, or an echo of it in the configuration, or it is named in the failure."""
    if taken:
        before, after = before | {"env.SHOP_TTL": "30"}, after | {"env.SHOP_TTL": "60"}
    guard = difference_guard(Case.model_validate(world.case()), before, after)
    changed = differences(before, after)
    others = [name for name in changed if name != "env.SHOP_TTL" and not name.startswith("config.")]
    assert not (guard.ok and others)
    if taken and others:
        assert sum(f"{name} (" in guard.detail for name in others) >= min(len(others), 6)
    if guard.ok:
        assert changed["env.SHOP_TTL"] == ("30", "60")
    visible = any(not name.startswith("observed.") for name in before)
    assert same_guard(before, after).ok == (visible and not changed)


def test_kept_fingerprints_compare_with_new_ones(make_case: Callable[..., Case], tmp_path: Path) -> None:
    values = {"name": "SHOP_DB", "before": f"{tmp_path}/a", "after": f"{tmp_path}/b"}
    case = make_case(change={"kind": "env", "what": "w", "smallest": "s", **values})
    redactor = Redactor({"s3cret-one", "s3cret-two"}, roots={tmp_path: "."})
    first = {
        "header.x": "Cookie: a=1",
        "config.key": "s3cret-one",
        f"path.{tmp_path}": "sha256:1",
        "env.SHOP_DB": f"{tmp_path}/a",
    }
    history = FingerprintHistory(case, redactor=redactor)
    history.record("before", first, "at first")
    kept = history.facts()
    assert str(tmp_path) not in repr(kept) and "s3cret" not in repr(kept)
    later = FingerprintHistory(case, redactor=redactor)
    later.record("before", redactor.document(kept)["before"], "in the baseline")
    assert later.record("before", first, "now") == {}
    later.record("after", {**first, "env.SHOP_DB": f"{tmp_path}/b"}, "after the change")
    assert later.guard().ok, later.guard().detail
    # A secret that differs still differs.
    assert list(later.record("before", {**first, "config.key": "s3cret-two"}, "now")) == ["config.key"]


def misspelt(make_case: Callable[..., Case], **target: Any) -> tuple[Case, dict[str, str], dict[str, str]]:
    change = {"kind": "env", "what": "w", "name": "SHOP_TLT", "before": "30", "after": "60", "smallest": "s"}
    start = {"command": ["serve", "{port}", "{cache_url}"]}
    case = make_case(change=change, target={"start": start, "config": "/health", **target})
    return case, {"env.SHOP_TLT": "30"}, {"env.SHOP_TLT": "60"}


def test_change_that_no_configuration_shows_fails(make_case: Callable[..., Case]) -> None:
    case, before, after = misspelt(make_case)
    shown = {"config.status": "ok", "config.ttl_s": "30", "config.pool": "5"}
    guard = difference_guard(case, before | shown, after | shown)
    assert not guard.ok and all(text in guard.detail for text in ("SHOP_TLT", "ttl_s = 30"))
    assert "pool" not in guard.detail and "SHOP_TLT" in guard.remedy and "target.config" in guard.remedy
    assert difference_guard(case, before | shown, after | shown | {"config.ttl_s": "60"}).ok


@pytest.mark.parametrize(
    ("shown", "ok"),
    [
        ({"config.status": "ok", "config.service": "shop", "config.database": "up"}, True),
        ({"config": hashed("OK")}, True),
        ({"config": "ok"}, True),
        ({}, True),
        ({"config": "status 404"}, False),
        ({"config": "no answer (ConnectError)"}, False),
        ({"config": hashed("ttl = 30")}, False),
        ({"config.status": "ok", "config.cache": "redis"}, False),
    ],
)
def test_health_without_settings_can_show_no_change(
    shown: dict[str, str], ok: bool, make_case: Callable[..., Case]
) -> None:
    case, before, after = misspelt(make_case)
    guard = difference_guard(case, before | shown, after | shown)
    assert guard.ok is ok, guard.detail
    note = visibility_note(case, before | shown)
    assert not ok or (note and note in guard.detail)


def test_without_a_configuration_a_note_says_so(make_case: Callable[..., Case]) -> None:
    case, before, after = misspelt(make_case, config=None)
    guard, note = difference_guard(case, before, after), visibility_note(case, before)
    assert guard.ok and note and note in guard.detail


def test_nothing_visible_fails() -> None:
    assert same_guard({"a": "1"}, {"a": "1"}).ok
    for nothing in ({}, {"observed.keys_outside_scope": "3"}):
        guard = same_guard(nothing, nothing)
        assert not guard.ok and guard.remedy


@pytest.mark.parametrize("counted", [{"before": "0"}, {"after": "0"}, {}])
def test_keys_counted_once_are_not_compared(counted: dict[str, str]) -> None:
    prints = [{"env.X": side, **({f"{OBSERVED}keys_outside_scope": counted[side]} if side in counted else {})}
             for side in ("before", "after")]  # fmt: skip
    assert _observed(*prints) == ""
