"""`luckyhit whatif`: read the recording, count, and write the page and, where wanted, the case that proves a point."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from luckyhit.atomic import write_atomically
from luckyhit.cli.app import print_json
from luckyhit.errors import ArgumentError
from luckyhit.project import Project
from luckyhit.records import Arm
from luckyhit.scrub.redactor import Redactor, project_roots
from luckyhit.whatif.asking import MOST_ROWS, Question, WhatIf, ask
from luckyhit.whatif.proof_case import Choice, proof_case
from luckyhit.whatif.settings_now import parse_size, parse_ttl, ttl_variable
from luckyhit.whatif.sources import Source, read_source
from luckyhit.whatif.whatif_page import document, write_answer
from luckyhit.whatif.words import as_text

_CASE_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")
_BY = ("auto", "bytes", "entries")
_ARMS: dict[str, Arm] = {"before": "before", "after": "after"}


def what_if(
    source: str,
    *,
    ttls: Sequence[str],
    sizes: Sequence[str],
    policies: Sequence[str],
    rule: str,
    delay: str,
    now_ttl: str,
    now_size: str,
    by: str,
    arm: str,
    log_format: str,
    most_rows: int | None,
    prove: str,
    variable: str,
    as_json: bool,
    runs_dir: str,
    reports_dir: str,
) -> None:
    """Answer, and print it."""
    if by not in _BY:
        raise ArgumentError(f"unknown unit for --by: {by!r}", hint=f"Choose from {', '.join(_BY)}.")
    if arm not in _ARMS:
        raise ArgumentError(f"unknown arm {arm!r}", hint="Choose from before, after.")
    if delay and rule != "delayed":
        raise ArgumentError("--delay belongs to the rule delayed", hint="Add --rule delayed, or leave it out.")
    if prove and not _CASE_NAME.fullmatch(prove):
        raise ArgumentError(f"{prove!r} is no name of a case", hint="Use small letters, digits and dashes.")
    lives = [parse_ttl(text) for text in ttls]
    project = Project.find(runs_dir=runs_dir, reports_dir=reports_dir)
    made = read_source(project, source, arm=_ARMS[arm], by=by, log_format=log_format)
    by_bytes = made.recording.trace.by_bytes
    rooms = [parse_size(text, by_bytes=by_bytes) for text in sizes]
    now = _ttl_now(made, _ARMS[arm], now_ttl, variable)
    question = Question(
        ttls_s=lives,
        sizes=rooms,
        policies=("lru", *policies),
        rule=rule,
        delay_s=parse_ttl(delay) if delay else None,
        now_ttl_s=now[0],
        now_ttl_from=now[1],
        now_size=parse_size(now_size, by_bytes=by_bytes) if now_size else None,
        most_rows=most_rows or MOST_ROWS,
    )
    choice = _choice(made, lives, rooms, variable) if prove else None
    answer = ask(made.recording, question)
    case_file = project.cases / f"{prove}.yml"
    proof = ""
    if choice is not None:
        proof = f"luckyhit run {prove}"
        _write_proof(case_file, made, answer, choice, _ARMS[arm])
    redactor = made.run.new_redactor() if made.run is not None else Redactor()
    redactor = redactor.with_roots(project_roots(project.reports.absolute(), Path.cwd()))
    page, record = write_answer(project.reports / "whatif", made.name, answer, redactor, proof=proof)
    if as_json:
        written = {"page": str(page), "record": str(record), "case": str(case_file) if choice is not None else None}
        print_json({**written, "answer": redactor.document(document(answer))})
        return
    print(redactor.text(as_text(answer)))
    print(page)
    if choice is not None:
        print(f"Try it: {proof}")
        print(case_file)


def _ttl_now(source: Source, arm: Arm, now_ttl: str, variable: str) -> tuple[float | None, str]:
    """Today's time to live, and where it is from: the command line; else a variable of the case, where the cache's own
    events tell none."""
    if now_ttl:
        return parse_ttl(now_ttl), "--now-ttl"
    if source.recording.ttl_s is not None or source.run is None:
        return None, ""
    held = ttl_variable(source.run.case, arm, variable) or ttl_variable(source.run.case, arm)
    if held is None or held.ttl_s is None:
        return None, ""
    return held.ttl_s, held.name


def _choice(source: Source, lives: Sequence[float], rooms: Sequence[int], variable: str) -> Choice:
    if source.run is None:
        raise ArgumentError("a log has no case, so none can be written from it", hint="Name a run.")
    if len(lives) + len(rooms) != 1:
        raise ArgumentError(
            f"--prove tries one point, and {len(lives)} times to live and {len(rooms)} sizes are named",
            hint="Name one --ttl, or one --size.",
        )
    return Choice(lives[0] if lives else None, rooms[0] if rooms else None, variable)


def _write_proof(case_file: Path, source: Source, answer: WhatIf, choice: Choice, arm: Arm) -> None:
    assert source.run is not None
    if case_file.exists():
        raise ArgumentError(f"there is a case {case_file.stem} already", hint="Choose another name, or remove it.")
    write_atomically(case_file, proof_case(source.run, answer, choice, arm))
