"""The trace of a service: what each route asks of database and cache, from one pass of its own before the baseline.

asked          its requests, one at a time, and the calls that the service made meanwhile
call_lines     the file into which the service's libraries write those calls
traced_routes  from both to a `Trace`

The service is started once more, with `luckyhit.visibility.trace_file` first on its PYTHONPATH. One request at a time
makes every call that request's; so nothing of the pass is timed, and nothing of it is in a block.
"""

from __future__ import annotations

import json
from dataclasses import replace
from urllib.parse import urlsplit

from luckyhit.atomic import write_atomically
from luckyhit.errors import LuckyHitError, TargetError
from luckyhit.records.trace import TRACE, Trace, trace_document
from luckyhit.system import Stack
from luckyhit.system.running_command import running_python
from luckyhit.text.trace_words import unknown_sentence
from luckyhit.visibility import trace_file
from luckyhit.workflow.step import RunningStep, start_stacks
from luckyhit.workflow.tracing.asked import Asked, ask_service, loaded
from luckyhit.workflow.tracing.call_lines import CallLines
from luckyhit.workflow.tracing.traced_routes import trace_of

NAME = "traced"
"""Of the stack, and so of its log."""


def trace_service(step: RunningStep) -> None:
    """Make the pass and write `trace.json`. Where the service can't be traced, the file says why, and the run goes on.

    Raises what stops a run anyway: an interrupt, or a disk without room.
    """
    run = step.run
    folder = run.path / "work" / f"{NAME}-hooks"
    folder.mkdir(parents=True, exist_ok=True)
    lines = CallLines(folder / "calls.jsonl")
    (folder / "sitecustomize.py").write_text(trace_file(str(folder), str(lines.path)), encoding="utf-8")
    try:
        stack = start_stacks(step, {"before": NAME}, hooks=str(folder))["before"]
    except TargetError:
        trace = Trace(unknown=["not-started"])
    else:
        try:
            _start_directly(stack, lines)
            asked = ask_service(run, stack, step.headers, lines)
        except LuckyHitError:
            asked = Asked(unknown=["ended"])
        finally:
            stack.stop()
        trace = trace_of(run.case, asked, lines.facts)
    document = run.redactor.document(trace_document(trace))
    write_atomically(run.path / TRACE, json.dumps(document, indent=2) + "\n")
    for unknown in trace.unknown:
        run.progress(f"Trace: {unknown_sentence(unknown)}.", stays=True)


def _start_directly(stack: Stack, lines: CallLines) -> None:
    """A script may set PYTHONPATH anew: then what it came to is started in its place. Where that fails, the service is
    started again as it was."""
    lines.when_quiet()
    if loaded(stack, lines) or stack.pid is None:
        return
    in_place = running_python(urlsplit(stack.base_url).port or 0, stack.pid)
    if in_place is None:
        return
    as_declared = stack.settings
    try:
        stack.restart(replace(as_declared, in_place=in_place))
    except TargetError:
        stack.restart(as_declared)


__all__ = ["trace_service"]
