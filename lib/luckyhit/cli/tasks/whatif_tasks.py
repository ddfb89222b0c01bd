"""`luckyhit whatif`: read the recording, count, and write the page and, where wanted, the case that proves a point."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

from luckyhit.atomic import write_atomically
from luckyhit.case.docs.template import check_name
from luckyhit.cli.app import print_json
from luckyhit.errors import ArgumentError
from luckyhit.project import Project
from luckyhit.report.run_index import refresh_index
from luckyhit.report.tables.other_pages import WHAT_IF
from luckyhit.scrub.redactor import Redactor, project_roots
from luckyhit.whatif.answer_words import as_text
from luckyhit.whatif.answering import MOST_ROWS, WhatIfQuestion, ask
from luckyhit.whatif.proof_case import Choice, proof_case
from luckyhit.whatif.recorded.whatif_source import Source, read_source
from luckyhit.whatif.whatif_page import document, write_answer
from luckyhit.whatif.whatif_request import ARMS, WhatIfRequest

__all__ = ["MOST_ROWS", "WhatIfRequest", "what_if"]


def what_if(
    source: str, request: WhatIfRequest, *, log_format: str, prove: str, as_json: bool, runs_dir: str, reports_dir: str
) -> None:
    """Answer, write, and print."""
    request.check()
    project = Project.find(runs_dir=runs_dir, reports_dir=reports_dir)
    case_file = project.cases / f"{prove}.yml"
    if prove:
        _check_name(case_file)
    made = read_source(project, source, arm=ARMS[request.arm], by=request.by, log_format=log_format)
    question = request.question(made.recording, made.run)
    choice = _choice(made, question, request.variable) if prove else None
    answer = ask(made.recording, question)
    proof = ""
    if choice is not None and made.run is not None:
        write_atomically(case_file, proof_case(made.run, answer, choice, ARMS[request.arm]))
        proof = f"luckyhit run {prove}"
    redactor = made.run.new_redactor() if made.run is not None else Redactor()
    redactor = redactor.with_roots(project_roots(project.reports.absolute(), Path.cwd()))
    case = made.run.name if made.run is not None else ""
    at = datetime.now().astimezone()
    page, record = write_answer(project.reports / WHAT_IF, made.name, answer, redactor, at=at, case=case, proof=proof)
    refresh_index(project.runs, project.reports, lambda text: print(text, file=sys.stderr))
    if as_json:
        written = {"page": str(page), "record": str(record), "case": str(case_file) if proof else None}
        print_json({**written, "answer": redactor.document(document(answer))})
        return
    print(redactor.text(as_text(answer)))
    print(page)
    if proof:
        print(f"Try it: {proof}")
        print(case_file)


def _check_name(case_file: Path) -> None:
    check_name(case_file.stem)
    if case_file.exists():
        raise ArgumentError(f"there is a case {case_file.stem} already", hint="Choose another name, or remove it.")


def _choice(source: Source, question: WhatIfQuestion, variable: str) -> Choice:
    if source.run is None:
        raise ArgumentError("a log has no case, so none can be written from it", hint="Name a run.")
    lives, rooms = question.ttls_s, question.sizes
    if len(lives) + len(rooms) != 1:
        raise ArgumentError(
            f"--prove tries one point, and {len(lives)} times to live and {len(rooms)} sizes are named",
            hint="Name one --ttl, or one --size.",
        )
    return Choice(lives[0] if lives else None, rooms[0] if rooms else None, variable)
