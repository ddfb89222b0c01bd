"""Paths in a journal lead to the same place again, and tell nothing of the machine."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luckyhit.change.journal import Places

RUN = Path("/srv/people/ann/shop/data/runs/slow/20260102-030405-beef")
PARTS = st.sampled_from(["⟦", "⟧", "run", "⟦run/..⟧", "⟦run", "/", "..", " ", str(RUN), str(RUN.parents[3]), str(Path.home()), tempfile.gettempdir(), "x"])  # fmt: skip


@given(st.recursive(st.lists(PARTS).map("".join) | st.text() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))  # fmt: skip
def test_what_was_written_is_read_again(value: object) -> None:
    places = Places(RUN)
    assert places.read(places.written(value)) == value


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (f"{RUN}/revisions/before", "⟦run⟧/revisions/before"),
        ("/srv/people/ann/shop/app", "⟦run/../../../..⟧/app"),
        (
            f"git -C /srv/people/ann/shop fetch; ls {tempfile.gettempdir()}/x",
            "git -C ⟦run/../../../..⟧ fetch; ls ⟦tmp⟧/x",
        ),
        ("/srv/people/ann/shopping/x", "⟦run/../../../../..⟧/shopping/x"),
        (f"ls {RUN}/../..", "ls ⟦run⟧/../.."),
        ("ls /mnt/srv/people/ann/shop", "ls /mnt/srv/people/ann/shop"),
        ("cc -I/srv/people/ann/shop", "cc -I⟦run/../../../..⟧"),
        ("echo ~ $HOME {base_url}", "echo ~ $HOME {base_url}"),
    ],
)
def test_a_way_is_told_from_the_run(text: str, written: str) -> None:
    assert Places(RUN).written(text) == written


def test_a_folder_that_was_moved_takes_its_ways_along() -> None:
    moved = Path("/mnt/kept/projects/shop/data/runs/slow") / RUN.name
    assert Places(moved).read(Places(RUN).written(["/srv/people/ann/shop/app"])) == ["/mnt/kept/projects/shop/app"]


def test_a_way_out_of_a_folder_nearer_to_the_root_leads_nowhere() -> None:
    assert Places(Path("/slow/run")).read("rm -r ⟦run/../../../..⟧/app") == "rm -r ⟦run/../../../..⟧/app"
