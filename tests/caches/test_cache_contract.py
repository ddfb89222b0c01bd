"""The contract of each kind of cache (`luckyhit.caches.base`), held against real servers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kinds_under_test import KINDS, Filled

from luckyhit.caches import CACHES, cache_at, kind_at
from luckyhit.caches.base import Capability
from luckyhit.caches.counters import sample
from luckyhit.caches.restore import restore
from luckyhit.caches.scope import Scope
from luckyhit.case.cache_spec import Cache as CacheSpec
from luckyhit.change.clearing.clear import clear
from luckyhit.change.journal import Journal
from luckyhit.errors import CacheUnreachable

DECLARED = [f"a:{number}" for number in range(40)]


@pytest.fixture(scope="module", params=KINDS)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    with KINDS[request.param](tmp_path_factory.mktemp("server")) as filled:
        yield filled


@pytest.fixture
def filled(running: Filled) -> Filled:
    running.empty()
    return running


def spec(**fields: object) -> CacheSpec:
    return CacheSpec.model_validate({"clear": DECLARED, "url_env": "SHOP_CACHE", "dedicated": True, **fields})


def fill(filled: Filled, *, lives_s: int = 1000) -> None:
    for key in DECLARED:
        filled.set(key.encode(), b"v" + key.encode(), lives_s)
    filled.set(b"other", b"not ours", 0)


def test_declared_keys_are_cleared_and_come_back(filled: Filled, tmp_path: Path) -> None:
    fill(filled)
    report = clear(filled.cache, spec(), Journal(tmp_path / "journal.jsonl"))
    assert (report.matched, report.cleared, report.gone) == (len(DECLARED), len(DECLARED), 0)
    assert all(filled.get(key.encode()) is None for key in DECLARED) and filled.get(b"other") == b"not ours"
    filled.set(b"a:3", b"newer", 100)
    restored = restore(filled.cache, tmp_path / str(report.backup))
    assert (restored.restored, restored.present) == (len(DECLARED) - 1, 1)
    assert filled.get(b"a:3") == b"newer" and filled.get(b"a:4") == b"va:4"
    assert restore(filled.cache, tmp_path / str(report.backup)).restored == 0


def test_lifetimes_come_back_as_well(filled: Filled, tmp_path: Path) -> None:
    fill(filled)
    report = clear(filled.cache, spec(), Journal(tmp_path / "journal.jsonl"))
    restore(filled.cache, tmp_path / str(report.backup))
    with filled.cache.keys() as keys:
        assert all(500_000 < left_ms <= 1_001_000 for left_ms in keys.lifetimes_ms([b"a:1", b"a:2"]))
        assert keys.lifetimes_ms([b"other", b"absent"]) == [-1, -2]


def test_keys_without_ttl_stay_unless_rebuildable(filled: Filled, tmp_path: Path) -> None:
    fill(filled, lives_s=0)
    kept = clear(filled.cache, spec(), Journal(tmp_path / "kept.jsonl"))
    assert (kept.cleared, kept.without_ttl_kept) == (0, len(DECLARED))
    cleared = clear(filled.cache, spec(rebuildable=True), Journal(tmp_path / "cleared.jsonl"))
    assert cleared.cleared == len(DECLARED)


def test_listing_keys_does_not_count_as_hits(filled: Filled) -> None:
    fill(filled)
    before = sample(filled.cache)
    with filled.cache.keys() as keys:
        listed = keys.listing(Scope.of(spec()))
    after = sample(filled.cache)
    assert set(listed.inside) == {key.encode() for key in DECLARED} and before
    assert {name: after[name] for name in after if "hits" in name} == {n: before[n] for n in before if "hits" in n}


def test_a_value_written_after_the_look_is_not_lost(filled: Filled, tmp_path: Path) -> None:
    """The last look before a key is removed: what came between is in the backup, or the key stays."""
    fill(filled)
    written = []

    def meddle(done: int, total: int) -> None:
        if not written:
            written.append(done)
            for key in DECLARED:
                filled.set(key.encode(), b"newer", 1000)

    report = clear(filled.cache, spec(), Journal(tmp_path / "journal.jsonl"), on_progress=meddle)
    values = [filled.get(key.encode()) for key in DECLARED]
    restore(filled.cache, tmp_path / str(report.backup))
    newer = [filled.get(key.encode()) for key in DECLARED]
    assert newer.count(b"newer") >= len(DECLARED) - report.cleared
    assert all(again is not None for again in newer) and len(values) == len(DECLARED)


def test_capabilities_match_what_a_kind_has(filled: Filled) -> None:
    assert (filled.cache.settings is not None) == (Capability.SETTINGS in filled.cache.can)
    assert (filled.cache.events is not None) == (Capability.EVENTS in filled.cache.can)
    assert (filled.cache.commands is not None) == (Capability.COMMANDS in filled.cache.can)


def test_nothing_outside_the_scope_is_ever_touched(running: Filled, tmp_path: Path) -> None:
    @settings(max_examples=15)
    @given(st.sets(st.sampled_from([*DECLARED, "a:x", "b:1", "a:40:z", "other"]), max_size=12))
    def holds(present: set[str]) -> None:
        running.empty()
        for key in present:
            running.set(key.encode(), key.encode(), 1000)
        with tempfile.TemporaryDirectory() as folder:
            report = clear(running.cache, spec(), Journal(Path(folder) / "journal.jsonl"))
            assert report.cleared == len(present & set(DECLARED))
            assert all(running.get(key.encode()) == key.encode() for key in present - set(DECLARED))
            if report.backup:
                restore(running.cache, Path(folder) / report.backup)
        assert all(running.get(key.encode()) == key.encode() for key in present)

    holds()


@pytest.mark.parametrize("name", CACHES)
def test_each_row_is_complete(name: str) -> None:
    kind = CACHES[name]
    assert kind.name == name and kind.schemes and kind.url_forms and name in KINDS
    url = f"{kind.schemes[0]}://Cache.test:1234"
    assert kind_at(url) is kind and cache_at(url).kind == name
    assert kind.address(url) == ("cache.test", 1234) and "cache.test:1234" in kind.identity(url)
    assert cache_at(url).can == kind.can and not cache_at(url).owned


def test_no_scheme_has_two_kinds() -> None:
    schemes = [scheme for kind in CACHES.values() for scheme in kind.schemes]
    assert len(schemes) == len(set(schemes))


@pytest.mark.parametrize("url", ["http://cache.test", "cache.test:6379", "://x", ""])
def test_a_url_of_no_kind_is_refused(url: str) -> None:
    with pytest.raises(CacheUnreachable):
        cache_at(url)
