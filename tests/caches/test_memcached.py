"""What a memcached can't do is said; what it can is done with its own commands."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from luckyhit.caches.memcached import MEMCACHED
from luckyhit.caches.scope import Scope
from luckyhit.case.cache_spec import Cache as CacheSpec
from luckyhit.change.clearing.clear import clear
from luckyhit.change.journal import Journal
from luckyhit.errors import CacheUnreachable, ScopeRefused
from luckyhit.system.embedded import start_embedded

needs_server = pytest.mark.skipif(
    shutil.which("memcached") is None, reason="no memcached is installed (Debian: apt-get install memcached)"
)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    cache = start_embedded(tmp_path_factory.mktemp("server"), kind=MEMCACHED)
    yield cache
    cache.stop()


def test_keys_are_listed_by_their_numbers() -> None:
    spec = CacheSpec.model_validate({"clear": ["a:{id}", "b"], "keys": {"first": 1, "last": 3}})
    scope = Scope.of(spec)
    assert scope.listed_keys == [b"a:1", b"a:2", b"a:3", b"b"] and scope.unlisted_templates == []
    two = Scope.of(spec.model_copy(update={"clear": ["a:{id}:{page}"]}))
    assert two.listed_keys == [] and two.unlisted_templates == ["a:{id}:{page}"]


@needs_server
def test_a_template_without_keys_is_refused(own: object, tmp_path: Path) -> None:
    spec = CacheSpec.model_validate({"clear": ["a:{id}"]})
    journal = Journal(tmp_path / "journal.jsonl")
    with pytest.raises(ScopeRefused) as refused:
        clear(own, spec, journal)  # type: ignore[arg-type]
    assert "cache.keys" in refused.value.hint and not journal.path.exists()


@needs_server
def test_an_own_memcached_is_owned(own: object) -> None:
    assert own.owned and own.kind == "memcached" and "memcached" in own.version()  # type: ignore[attr-defined]


def test_a_missing_memcached_is_an_error_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(CacheUnreachable) as missing:
        start_embedded(tmp_path, {"PATH": str(tmp_path)}, kind=MEMCACHED)
    assert missing.value.hint


def test_an_unreachable_memcached(tmp_path: Path) -> None:
    with pytest.raises(CacheUnreachable):
        MEMCACHED.at("memcached://127.0.0.1:1").check(within_s=1.0)
