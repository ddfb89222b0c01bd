"""Ids that a path may be asked for: from lists of any form, and rows of numbers from anywhere."""

from __future__ import annotations

from typing import Any

import pytest

from luckyhit.discover.evidence import Parameter, ServiceRoute
from luckyhit.discover.exploring.ids import candidates, numbers_answered, spread


@pytest.mark.parametrize(
    ("path", "listed"),
    [
        ("/flights/{flight}", {"flights": [{"number": 5001, "gate": "A1"}]}),
        ("/products/{sku}", [{"sku": 5001, "id": 1, "name": "chair"}]),
        ("/products/{x}", [{"product_id": 5001, "name": "chair"}]),
        ("/tags/{tag}", [5001]),
        ("/items/{pk}", {"results": [{"url": "http://shop.example/items/5001"}]}),
    ],
)
def test_ids_are_taken_from_a_list(path: str, listed: Any) -> None:
    collection, _, name = path.removesuffix("}").rpartition("/{")
    found = candidates(ServiceRoute("GET", path, (Parameter(name),)), name, {collection: listed})
    assert found[0] == "5001" and "chair" not in found and "A1" not in found


@pytest.mark.parametrize("first", [0, 1, 100, 5000, 10_001])
def test_a_row_of_numbers_is_followed_to_its_end(first: int) -> None:
    last = first + 119
    answers = numbers_answered(lambda text: first <= int(text) <= last, [str(first)])
    assert answers == tuple(map(str, range(first, last + 1)))


def test_numbers_with_gaps_are_those_that_answered() -> None:
    known = ["2", "4", "8"]
    assert numbers_answered(lambda text: int(text) in (2, 4, 8, 16), known) == tuple(known)


def test_texts_stay_as_they_are() -> None:
    assert numbers_answered(lambda _: True, ["about", "team"]) == ("about", "team")


@pytest.mark.parametrize("count", range(4, 400, 7))
def test_a_sample_is_not_all_in_one_shard(count: int) -> None:
    sample = [int(text) for text in spread(tuple(map(str, range(1, count + 1))))]
    assert len(sample) == 3
    assert all(len({number % shards for number in sample}) > 1 for shards in range(2, min(count, 9)))
