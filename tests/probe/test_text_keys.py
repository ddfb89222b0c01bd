"""Keys of the probe that are no whole numbers: read, written, put back and recorded by their names."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from probed import freshness, measure
from pydantic import ValidationError
from versioned_service import VersionedService

from luckyhit.caches.key_shapes import Shape, learned_shapes
from luckyhit.case.freshness import SharedKeys
from luckyhit.probe.probe_plan import KeyRanges

NAMES = [f"blue chair {number}" for number in range(40)]


class NamedService(VersionedService):
    """The same service; its keys are whatever stands in the path."""

    def first(self, key: str) -> int | None:
        return self.original


def test_names_are_quoted_in_paths_and_recorded_as_they_are() -> None:
    measured = measure(NamedService(), spec={"keys": {"names": NAMES}}, preflight=True, restore=True)
    assert len(measured.writes) and set(measured.writes["key"]) <= set(NAMES)
    assert set(measured.outcomes) == {"fresh"} and not measured.problems
    paths = {path for method, path in measured.service.requests if method == "PUT"}
    assert paths <= {f"/things/{quote(name)}" for name in NAMES}
    assert {json.loads(body)["id"] for body in measured.service.bodies if body} <= set(NAMES)
    assert {measured.service.stored(path.removeprefix("/things/")) for path in paths} == {500}


def test_each_name_has_one_use() -> None:
    ranges = KeyRanges.of(freshness(keys={"names": NAMES}))
    assert sorted([*ranges.warm, *ranges.cold, ranges.preflight]) == sorted(NAMES)


def test_the_shape_of_named_keys_is_learned() -> None:
    stored = {name: {f"page:{name}:v2": "set"} for name in ("about", "team", "about-us")}
    (shape,) = learned_shapes(stored, ["page:{slug}:{version}"]).shapes
    assert shape.key_of("page:about-us:v2") == "about-us"
    assert Shape("item:").key_of("item:17") == "17"


@pytest.mark.parametrize(
    "keys",
    [{}, {"first": 1}, {"names": []}, {"names": ["a"], "first": 1, "last": 2}, {"names": ["a\n"]}, {"names": [7]}],
)
def test_keys_are_numbers_or_names(keys: Any) -> None:
    with pytest.raises(ValidationError):
        SharedKeys.model_validate(keys)
    assert SharedKeys.model_validate({"names": ["a", "b"]}).values == ["a", "b"]
    assert list(SharedKeys.model_validate({"first": 3, "last": 4}).values) == [3, 4]
