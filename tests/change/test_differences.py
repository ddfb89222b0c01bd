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
from luckyhit.change.fingerprints.effective import unseen
from luckyhit.change.fingerprints.history import Looks
from luckyhit.change.fingerprints.normalize import hashed
from luckyhit.scrub.redactor import Redactor

VERIFY = {"path": "/flags", "value": "$.on"}
CALL = {"path": "/flags", "body": {}}


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
def test_a_configuration_may_show_the_change_in_other_words(
    declared: tuple[str | None, str | None], shown: tuple[str, str], make_case: Callable[..., Case]
) -> None:
    change = {"kind": "env", "what": "w", "name": "X", "before": declared[0], "after": declared[1], "smallest": "s"}
    case = make_case(change=change)
    before, after = ({"env.X": value} if value is not None else {} for value in declared)
    guard = difference_guard(case, {**before, "config.some": shown[0]}, {**after, "config.some": shown[1]})
    assert guard.ok, guard.detail


def test_a_configuration_value_that_only_looks_alike_fails_it(make_case: Callable[..., Case]) -> None:
    case = make_case()
    guard = difference_guard(
        case, {"env.SHOP_TTL": "30", "config.some": "130"}, {"env.SHOP_TTL": "60", "config.some": "160"}
    )
    assert not guard.ok and "config.some (130 -> 160)" in guard.detail


def test_an_argument(make_case: Callable[..., Case]) -> None:
    change = {"kind": "argument", "what": "w", "before": "--ttl=30", "after": "--ttl=60", "smallest": "s"}
    case = make_case(change=change, target={"start": {"command": ["serve", "--ttl=30", "{port}", "{cache_url}"]}})
    before = {"command": "serve --ttl=30 x"}
    assert difference_guard(case, before, {"command": "serve --ttl=60 x"}).ok
    assert "did not take" in difference_guard(case, before, before).detail
    assert "no argument '--ttl=30'" in difference_guard(case, {"command": "serve"}, {"command": "serve"}).detail
    assert not difference_guard(case, before, {"command": "serve --ttl=60 y"}).ok


def test_no_change_means_no_difference(make_case: Callable[..., Case]) -> None:
    case = make_case(change={"kind": "none", "what": "compare with itself"})
    assert difference_guard(case, {"a": "1"}, {"a": "1"}).ok
    guard = difference_guard(case, {"a": "1"}, {"a": "2"})
    assert not guard.ok and "a (1 -> 2)" in guard.detail


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{{"keys": 1}}', '{{"keys": 2}}'),
        ("2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("http://127.0.0.1/{port}/a", "http://127.0.0.1/{port}/b"),
        ("{workdir}/a", "{workdir}/b"),
    ],
)
def test_a_declared_value_is_known_however_it_is_written(
    before: str, after: str, make_case: Callable[..., Case]
) -> None:
    """The service is given `{"keys": 1}` where the case says `{{"keys": 1}}`."""
    shown = [text.replace("{{", "{").replace("}}", "}") for text in (before, after)]
    change = {"kind": "env", "what": "w", "name": "X", "before": before, "after": after, "smallest": "s"}
    assert difference_guard(make_case(change=change), {"env.X": shown[0]}, {"env.X": shown[1]}).ok


def revision(make_case: Callable[..., Case]) -> Case:
    return make_case(change={"kind": "revision", "what": "w", "before": "main", "after": "keys", "smallest": "s"})


REVISIONS = {"before": "a" * 40, "after": "b" * 40}


def test_a_revision(make_case: Callable[..., Case]) -> None:
    case, before, after = revision(make_case), {"git.revision": "a" * 12}, {"git.revision": "b" * 12}
    assert difference_guard(case, before, after, revisions=REVISIONS).ok
    guard = difference_guard(case, before, before, revisions=REVISIONS)
    assert "did not take: git.revision should be 'bbbbbbbbbbbb'" in guard.detail
    guard = difference_guard(case, before, {"git.revision": "c" * 12}, revisions=REVISIONS)
    assert not guard.ok and "is 'cccccccccccc'" in guard.detail


@pytest.mark.parametrize(
    ("name", "ok"),
    [
        ("header.x-app-version", True),
        ("header.server", True),
        ("config.build", True),
        ("config.app.gitCommit", True),
        ("config.conversion", False),
        ("config.ttl", False),
        ("package.httpx", False),
        ("cache.version", False),
        ("git.changes", False),
    ],
)
def test_another_revision_may_show_as_another_version_and_as_nothing_else(
    name: str, ok: bool, make_case: Callable[..., Case]
) -> None:
    before = {"git.revision": "a" * 12, name: "1"}
    after = {"git.revision": "b" * 12, name: "2"}
    guard = difference_guard(revision(make_case), before, after, revisions=REVISIONS)
    assert guard.ok is ok and (ok or f"{name} (1 -> 2)" in guard.detail)


def test_a_setting_of_the_cache_is_known_in_the_words_of_the_server(make_case: Callable[..., Case]) -> None:
    change = {"kind": "cache-setting", "what": "w", "name": "maxmemory", "after": "100mb", "smallest": "s"}
    case, name = make_case(change=change), "cache.config.maxmemory"
    assert difference_guard(case, {name: "0"}, {name: "104857600"}).ok
    assert "did not take" in difference_guard(case, {name: "0"}, {name: "100000000"}).detail
    declared = make_case(change={**change, "before": "50mb"})
    assert difference_guard(declared, {name: "52428800"}, {name: "104857600"}).ok
    assert not difference_guard(declared, {name: "0"}, {name: "104857600"}).ok
    # The service's configuration has nothing to do with it.
    assert not difference_guard(case, {name: "0", "config.a": "0"}, {name: "104857600", "config.a": "100mb"}).ok


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "http", "apply": CALL, "revert": CALL, "verify": VERIFY},
        {"kind": "command", "apply": ["a", "{base_url}"], "revert": ["b", "{base_url}"], "verify": ["c", "{base_url}"]},
    ],
)
def test_what_verify_shows_is_the_declared_difference(change: dict[str, Any], make_case: Callable[..., Case]) -> None:
    case = make_case(change={**change, "what": "w", "before": "off", "after": "on", "smallest": "s"})
    before, after = {"change.state": "off", "config.flag": "false"}, {"change.state": "on", "config.flag": "true"}
    guard = difference_guard(case, before, after)
    assert guard.ok and "config.flag" in guard.detail
    assert "did not take: change.state should be 'on'" in difference_guard(case, before, before).detail
    unseen = {"change.state": "not visible: status 500", "config.flag": "true"}
    assert not difference_guard(case, before, unseen).ok
    other = difference_guard(case, before | {"config.ttl": "1"}, after | {"config.ttl": "2"})
    assert "config.ttl (1 -> 2)" in other.detail


def test_of_many_changed_files_those_that_differ_are_named() -> None:
    files = [f"module_{number}.py {number:012x}" for number in range(15)]
    edited = [*files[:9], f"module_9.py {'e' * 12}", *files[10:]]
    told = named({"git.changes": (", ".join(files), ", ".join(edited))})
    assert told == f"git.changes (module_9.py {9:012x} -> module_9.py {'e' * 12})"


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
    found = differences(before, after)
    others = [name for name in found if name != "env.SHOP_TTL" and not name.startswith("config.")]
    assert not (guard.ok and others)
    if taken and others:
        assert sum(f"{name} (" in guard.detail for name in others) >= min(len(others), 6)
    if guard.ok:
        assert found["env.SHOP_TTL"] == ("30", "60")
    seen = any(not name.startswith("observed.") for name in before)
    assert same_guard(before, after).ok == (seen and not found)


def test_looks_that_are_kept_are_like_new_ones_and_a_secret_that_differs_still_differs(
    make_case: Callable[..., Case], tmp_path: Path
) -> None:
    change = {
        "kind": "env",
        "what": "w",
        "name": "SHOP_DB",
        "before": f"{tmp_path}/a",
        "after": f"{tmp_path}/b",
        "smallest": "s",
    }
    case, redactor = make_case(change=change), Redactor({"s3cret-one", "s3cret-two"}, roots={tmp_path: "."})
    seen = {
        "header.x": "Cookie: a=1",
        "config.key": "s3cret-one",
        f"path.{tmp_path}": "sha256:1",
        "env.SHOP_DB": f"{tmp_path}/a",
    }
    looks = Looks(case, redactor=redactor)
    looks.note("before", seen, "at first")
    kept = looks.facts()
    assert str(tmp_path) not in repr(kept) and "s3cret" not in repr(kept)
    later = Looks(case, redactor=redactor)
    later.note("before", redactor.document(kept)["before"], "in the baseline")
    assert later.note("before", seen, "now") == {}
    later.note("after", {**seen, "env.SHOP_DB": f"{tmp_path}/b"}, "after the change")
    assert later.guard().ok, later.guard().detail
    assert list(later.note("before", {**seen, "config.key": "s3cret-two"}, "now")) == ["config.key"]


def misspelt(make_case: Callable[..., Case], **target: Any) -> tuple[Case, dict[str, str], dict[str, str]]:
    change = {"kind": "env", "what": "w", "name": "SHOP_TLT", "before": "30", "after": "60", "smallest": "s"}
    start = {"command": ["serve", "{port}", "{cache_url}"]}
    case = make_case(change=change, target={"start": start, "config": "/health", **target})
    return case, {"env.SHOP_TLT": "30"}, {"env.SHOP_TLT": "60"}


def test_a_change_that_the_configuration_does_not_show_fails(make_case: Callable[..., Case]) -> None:
    case, before, after = misspelt(make_case)
    shown = {"config.status": "ok", "config.shop_ttl_s": "30", "config.pool": "5"}
    guard = difference_guard(case, before | shown, after | shown)
    assert (
        not guard.ok and "SHOP_TLT" in guard.detail and "shop_ttl_s = 30" in guard.detail and "pool" not in guard.detail
    )
    assert "SHOP_TLT" in guard.remedy and "target.config" in guard.remedy
    assert difference_guard(case, before | shown, after | shown | {"config.shop_ttl_s": "60"}).ok


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
def test_what_tells_no_settings_could_show_no_change(
    shown: dict[str, str], ok: bool, make_case: Callable[..., Case]
) -> None:
    case, before, after = misspelt(make_case)
    guard = difference_guard(case, before | shown, after | shown)
    assert guard.ok is ok, guard.detail
    note = unseen(case, before | shown)
    assert not ok or (note and note in guard.detail)


def test_without_a_configuration_that_nothing_shows_the_change_is_told(make_case: Callable[..., Case]) -> None:
    case, before, after = misspelt(make_case, config=None)
    guard = difference_guard(case, before, after)
    note = unseen(case, before)
    assert guard.ok and note and note in guard.detail


def test_nothing_seen_is_nothing_compared() -> None:
    assert same_guard({"a": "1"}, {"a": "1"}).ok
    for nothing in ({}, {"observed.keys_outside_scope": "3"}):
        guard = same_guard(nothing, nothing)
        assert not guard.ok and guard.remedy


@pytest.mark.parametrize("counted", [{"before": "0"}, {"after": "0"}, {}])
def test_keys_that_one_look_did_not_count_are_not_told(counted: dict[str, str]) -> None:
    looks = [{"env.X": side, **({f"{OBSERVED}keys_outside_scope": counted[side]} if side in counted else {})}
             for side in ("before", "after")]  # fmt: skip
    assert _observed(*looks) == ""
