"""Stands in for `luckyhit run`, in moments: `python stand_in.py run CASE --json …`, as the keeper starts it.

`data/behaviour/CASE.json` in the project says what it does:

    exit, verdict    how it ends
    change           it makes a run directory with a journal, and switches the case's service on before it waits
    wait_for         a file that it waits for, once it has made `begun` beside it
    on_term          `roll-back` (as a run does), `ignore`
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from luckyhit.case import load_case
from luckyhit.case_run import CaseRun
from luckyhit.change import Journal, processes, revert_run
from luckyhit.change.lock import target_identities

CALL = {"method": "PUT", "headers": {}, "status": [200]}


def change(project: Path, name: str) -> CaseRun:
    """A run that has its change in place, as its journal says."""
    case_file = project / "data" / "cases" / f"{name}.yml"
    case = load_case(case_file)
    assert case.target.url is not None
    run = CaseRun.create(project / "data" / "runs", case_file, now=datetime.now().astimezone(), manifest={})
    inverse = {
        "kind": "http",
        "base_url": case.target.url,
        "call": {**CALL, "path": "/switch", "body": {"on": False}},
        "verify": {"path": "/switch", "value": "$.on"},
        "shows": "false",
        "within_s": 5.0,
        "by_hand": "curl",
    }
    detail = {"target": target_identities(case), "run_process": processes.myself(), "what": "The switch"}
    step = Journal(run.path / "journal.jsonl").intend("apply", detail, inverse)
    httpx.put(f"{case.target.url}/switch", json={"on": True}, trust_env=False).raise_for_status()
    Journal(run.path / "journal.jsonl").confirm(step, {})
    return run


def main() -> None:
    project, name = Path.cwd(), sys.argv[2]
    path = project / "data" / "behaviour" / f"{name}.json"
    behaviour: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    stopped = threading.Event()
    handler: Any = signal.SIG_IGN if behaviour.get("on_term") == "ignore" else lambda *_: stopped.set()
    signal.signal(signal.SIGTERM, handler)
    run = change(project, name) if behaviour.get("change") else None
    if wait_for := behaviour.get("wait_for"):
        Path(wait_for).with_suffix(".begun").touch()
        while not Path(wait_for).exists() and not stopped.wait(0.02):
            pass
    if run is not None:
        revert_run(run, project=project)
    code = 130 if stopped.is_set() else behaviour.get("exit", 0)
    reason = "interrupted" if stopped.is_set() else behaviour.get("reason", "")
    answer: dict[str, Any] = {"run": run.id if run is not None else None, "exit_code": code, "reason": reason}
    print(json.dumps({**answer, "hint": "", "report": None, "result": None}))
    sys.exit(code)


if __name__ == "__main__":
    main()
