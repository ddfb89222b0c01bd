"""The journal keeps whole lines in order, and its paths lead to the same place again."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luckyhit.change.journal import Journal, PortablePaths
from luckyhit.errors import GuardError, RunUnreadable


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.jsonl", clock=lambda: 1234.5)


def test_no_journal_has_no_steps(journal: Journal) -> None:
    assert journal.steps() == []
    assert not journal.path.exists()


def test_a_step_with_an_inverse_stays_open_until_it_is_undone(journal: Journal) -> None:
    step = journal.intend("apply", {"name": "TTL"}, {"kind": "restart"})
    journal.confirm(step, {"took": True})
    (known,) = journal.open_steps()
    assert (known.id, known.step, known.confirmed, known.at) == (step, "apply", True, 1234.5)
    assert known.detail == {"name": "TTL"} and known.inverse == {"kind": "restart"} and known.outcome == {"took": True}
    journal.undo(step)
    assert journal.open_steps() == []


def test_a_step_without_an_inverse_is_closed_by_its_confirmation(journal: Journal) -> None:
    step = journal.intend("clear")
    assert [known.id for known in journal.open_steps()] == [step]
    journal.confirm(step)
    assert journal.open_steps() == []


def test_later_confirmations_add_and_never_reopen(journal: Journal) -> None:
    step = journal.intend("start", {}, {"kind": "end-processes"})
    journal.confirm(step, {"a": 1, "b": 1})
    journal.undo(step)
    journal.confirm(step, {"b": 2})
    (known,) = journal.steps()
    assert known.outcome == {"a": 1, "b": 2} and not known.open


def test_a_crash_at_any_byte_loses_the_last_line_only(journal: Journal) -> None:
    first = journal.intend("one", {"text": "ü\n{"}, {"kind": "x"})
    whole = journal.path.read_bytes()
    journal.confirm(first)
    both = journal.path.read_bytes()
    for length in range(len(whole), len(both)):
        journal.path.write_bytes(both[:length])
        assert [(step.step, step.confirmed) for step in journal.steps()] == [("one", False)]
    # Going on after the crash writes whole lines again.
    second = journal.intend("two")
    assert second == first + 1
    assert [step.step for step in journal.steps()] == ["one", "two"]


def test_damage_in_the_middle_is_an_error(journal: Journal) -> None:
    journal.intend("one")
    journal.path.write_bytes(b"\x00\x00\n" + journal.path.read_bytes())
    with pytest.raises(RunUnreadable, match="line 1"):
        journal.open_steps()


def test_a_confirmation_of_an_unknown_step_is_refused(journal: Journal) -> None:
    journal.intend("one")
    with pytest.raises(KeyError, match="no step 7"):
        journal.confirm(7)


def test_unwritable_journal_stops_the_step(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GuardError, match="can't be written") as raised:
        Journal(tmp_path / "file" / "journal.jsonl").intend("one")
    assert raised.value.hint


def test_full_disk_stops_the_step_and_leaves_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    code = """
import resource, signal, sys
from pathlib import Path
from luckyhit.change.journal import Journal, PortablePaths
from luckyhit.errors import GuardError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sys.dont_write_bytecode = True
journal = Journal(Path(sys.argv[1]))
journal.intend("one")
size = journal.path.stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, size + 20))  # part of the next line still fits
try:
    journal.intend("two", {}, {"kind": "restart"})
except GuardError as error:
    print("stopped")
"""
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert "stopped" in done.stdout
    assert path.read_bytes().endswith(b"\n") and path.read_bytes().count(b"\n") == 1
    assert [step.step for step in Journal(path).steps()] == ["one"]


def test_threads_and_journals_on_one_file_get_ids_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    ids: list[int] = []

    def write() -> None:
        journal = Journal(path)
        for _ in range(5):
            ids.append(journal.intend("step"))

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ids) == list(range(1, 21))
    assert len(Journal(path).steps()) == 20


# Paths

RUN = Path("/srv/people/ann/shop/data/runs/slow/20260102-030405-beef")
PARTS = st.sampled_from(["⟦", "⟧", "run", "⟦run/..⟧", "⟦run", "/", "..", " ", str(RUN), str(RUN.parents[3]), str(Path.home()), tempfile.gettempdir(), "x"])  # fmt: skip


@given(st.recursive(st.lists(PARTS).map("".join) | st.text() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))  # fmt: skip
def test_encoded_paths_are_decoded_again(value: object) -> None:
    paths = PortablePaths(RUN)
    assert paths.decode(paths.encode(value)) == value


@pytest.mark.parametrize(
    ("text", "encoded"),
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
def test_paths_are_relative_to_the_run(text: str, encoded: str) -> None:
    assert PortablePaths(RUN).encode(text) == encoded


def test_paths_follow_a_moved_run() -> None:
    moved = Path("/mnt/kept/projects/shop/data/runs/slow") / RUN.name
    assert PortablePaths(moved).decode(PortablePaths(RUN).encode(["/srv/people/ann/shop/app"])) == [
        "/mnt/kept/projects/shop/app"
    ]


def test_path_out_of_the_tree_stays_encoded() -> None:
    assert PortablePaths(Path("/slow/run")).decode("rm -r ⟦run/../../../..⟧/app") == "rm -r ⟦run/../../../..⟧/app"
