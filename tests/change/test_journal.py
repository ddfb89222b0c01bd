from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from luckyhit.change.journal import Journal
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


def test_later_confirmations_add_to_earlier_ones_and_never_reopen(journal: Journal) -> None:
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


def test_damage_in_the_middle_is_not_passed_over(journal: Journal) -> None:
    journal.intend("one")
    journal.path.write_bytes(b"\x00\x00\n" + journal.path.read_bytes())
    with pytest.raises(RunUnreadable, match="line 1"):
        journal.open_steps()


def test_a_confirmation_of_an_unknown_step_is_refused(journal: Journal) -> None:
    journal.intend("one")
    with pytest.raises(KeyError, match="no step 7"):
        journal.confirm(7)


def test_where_nothing_can_be_written_the_step_is_stopped(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GuardError, match="can't be written") as raised:
        Journal(tmp_path / "file" / "journal.jsonl").intend("one")
    assert raised.value.hint


def test_a_full_disk_stops_the_step_and_leaves_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    code = """
import resource, signal, sys
from pathlib import Path
from luckyhit.change.journal import Journal
from luckyhit.errors import GuardError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
journal = Journal(Path(sys.argv[1]))
journal.intend("one")
size = journal.path.stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, size + 20))  # part of the next line still fits
try:
    journal.intend("two", {}, {"kind": "restart"})
except GuardError as error:
    print("stopped:", error.message)
"""
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert "stopped:" in done.stdout
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
