"""The real road for tests: the installed command, a real Valkey, the real demo service, in folders of their own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import psutil
import pytest
from ruamel.yaml import YAML

from luckyhit.errors import GuardError
from luckyhit.judge import judge
from luckyhit.project import Project
from luckyhit.workflow import steps
from luckyhit.workflow.unattended.run_case import new_run

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests" / "report"))  # browser, plain_figures
LUCKYHIT = Path(sys.executable).with_name("luckyhit")


@dataclass
class Workspace:
    """A folder for runs and reports, and the command that fills it."""

    folder: Path

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    @property
    def reports(self) -> Path:
        return self.folder / "reports"

    @property
    def folders(self) -> list[str]:
        return ["--runs-dir", str(self.runs), "--reports-dir", str(self.reports)]

    def run(self, case: str, *more: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return self.command("run", case, *self.folders, *more, env=env)

    def command(self, *words: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [LUCKYHIT, *words],
            capture_output=True, text=True, timeout=280, cwd=self.folder, env={**os.environ, **(env or {})},
        )  # fmt: skip

    def here(self, *words: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """The command in this process: what it prints and its exit code, but no other interpreter that imports all
        of it first."""
        from luckyhit.cli import main

        stdout, stderr = io.StringIO(), io.StringIO()
        with (
            contextlib.chdir(self.folder),
            mock.patch.dict(os.environ, env or {}),
            mock.patch.object(sys, "argv", [str(LUCKYHIT), *words]),
            contextlib.redirect_stdout(stdout),
            contextlib.redirect_stderr(stderr),
            pytest.raises(SystemExit) as ended,
        ):
            main()
        return subprocess.CompletedProcess(words, ended.value.code or 0, stdout.getvalue(), stderr.getvalue())

    def run_here(self, case: str, *more: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return self.here("run", case, *self.folders, *more, env=env)

    def steps(self, case: str) -> tuple[int, dict[str, Any] | None, dict[str, Any]]:
        """All steps of a run in this process, without notebooks and report: its exit code, its result (None where
        nothing was measured), its manifest."""
        project = Project.find(runs_dir=str(self.runs), reports_dir=str(self.reports))
        run, code = new_run(project, Path(case)), 0
        try:
            steps.measure_baseline(run, project, lambda *_: None)
            steps.measure_change(run, project, lambda *_: None)
        except GuardError:
            code = run.manifest.failure.exit_code if run.manifest.failure else 1
        result = judge(run).model_dump(mode="json") if run.manifest.blocks else None
        return code, result, self.manifest()

    def start(self, case: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [LUCKYHIT, "run", case, *self.folders],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.folder, start_new_session=True,
        )  # fmt: skip

    def run_dirs(self) -> list[Path]:
        return sorted(self.runs.glob("*/*"))

    def manifest(self) -> dict[str, Any]:
        (run,) = self.run_dirs()
        return json.loads((run / "manifest.json").read_text())

    def left_running(self) -> list[str]:
        """Command lines of processes that name this workspace: services, cache servers, kernels, engines."""
        command_lines = []
        for process in psutil.process_iter(["pid", "cmdline", "cwd"]):
            words = " ".join(process.info["cmdline"] or [])
            if process.pid != os.getpid() and (
                str(self.folder) in words or str(process.info["cwd"] or "").startswith(str(self.folder))
            ):
                command_lines.append(words)
        return command_lines


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


@pytest.fixture
def variant(tmp_path: Path) -> Callable[..., str]:
    """Write a short variant of a shipped case; `edit` may alter its data further. Returns the file's path."""

    def make(name: str = "placebo", edit: Callable[[dict[str, Any]], None] | None = None) -> str:
        yaml = YAML()
        case = yaml.load(ROOT / "data" / "cases" / f"{name}.yml")
        case["plan"] = {"baseline": "1s", "warmup": "500ms", "block": "1s", "blocks": 2, "after_rollback": "1s"}
        if "freshness" in case:
            case["freshness"]["horizon"] = "600ms"
            case["freshness"]["within"] = "200ms"
        if edit is not None:
            edit(case)
        path = tmp_path / f"{name}.yml"
        with path.open("w") as file:
            yaml.dump(case, file)
        return str(path)

    return make
