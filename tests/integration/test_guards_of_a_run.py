"""Guards of whole runs: what fails for good ends the run at once, rolled back; what is right is not taken for a
fault."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import world
from luckyhit.change.clearing.coverage import UnmatchedKey

SERVICE = str(Path(__file__).with_name("shelf_service.py"))
REDIS = {"CACHE_URL": "{cache_url}"}


@pytest.fixture
def shelf(workspace) -> Callable[..., tuple[int, dict[str, Any] | None, dict[str, Any]]]:
    """`shelf(variable, before, after, env, clear)`: measure a case; its exit code, its result, its manifest."""

    def run(
        variable: str, before: str, after: str, env: dict[str, str] | None = None, clear: list[str] | None = None
    ) -> tuple[int, dict[str, Any] | None, dict[str, Any]]:
        start = {"command": [sys.executable, SERVICE, "{port}"], "env": env or {}, "ready": "/health"}
        routes = [{"name": "thing", "path": "/things/{key}", "keys": {"first": 1, "last": 30}}]
        case = world.case(
            change={
                "kind": "env", "what": "A larger cache", "name": variable, "before": before, "after": after,
                "smallest": "One variable.",
            },
            cache=None,
            target={"start": start, "config": "/health"},
            workload={"seed": 3, "rate": "100/s", "routes": routes},
            goals={"hit_ratio": {"want": "better", "margin": "5 %"}},
            plan={"baseline": "1s", "warmup": "500ms", "block": "1500ms", "blocks": 2, "after_rollback": "1s",
                  "stop_early": False},
        )  # fmt: skip
        if clear is not None:
            case["cache"] = {"clear": clear}
        path = workspace.folder / "shelf.yml"
        path.write_text(json.dumps(case), encoding="utf-8")
        ended = workspace.steps(str(path))
        assert workspace.left_running() == []
        return ended

    return run


def guards(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {guard["id"]: guard for guard in result["guards"]}


@pytest.mark.measures
def test_a_cache_inside_the_process_starts_anew_with_it(shelf) -> None:
    code, result, manifest = shelf("SHELF_SIZE", "0", "1000")
    assert [guard for guard in result["guards"] if not guard["ok"]] == []
    assert (code, result["verdict"]) == (0, "HELPED"), result["reason"]
    changed = [entry for entry in manifest["blocks"] if entry["stage"] == "change"]
    processes = [entry["started"][arm] for entry in changed for arm in ("before", "after")]
    assert len(set(processes)) == len(processes) == 4
    assert [entry["start"] for entry in changed] == [{"before": 2, "after": 1}, {"before": 3, "after": 2}]
    assert all(entry["clear"] == {} for entry in manifest["blocks"])
    assert guards(result)["same-cache-state-at-block-start"]["ok"]


def test_a_change_without_effect_is_invalid_unmeasured(shelf) -> None:
    code, result, manifest = shelf("SHELF_SIEZ", "0", "1000")
    assert (code, result["verdict"]) == (4, "INVALID"), result
    failed = guards(result)["declared-difference-only"]
    assert not failed["ok"] and "SHELF_SIEZ" in failed["detail"]
    assert {entry["stage"] for entry in manifest["blocks"]} == {"baseline"}
    assert manifest["rollback"]["confirmed"] and not manifest["changed"]


def test_a_template_that_matches_nothing_stops_the_run(shelf) -> None:
    code, result, manifest = shelf("LIFE_MS", "900", "60000", REDIS | {"SHAPE": "conj:a:id=%d"}, ["conj:{x}"])
    assert code == 3 and result is None and manifest["blocks"] == []
    unmatched = UnmatchedKey(b"conj:a:id=1", "fewer-colons", "conj:{x}", colons=1)
    assert unmatched.sentence() in manifest["failure"]["message"]
    (failed,) = [guard for guard in manifest["guards"] if not guard["ok"]]
    assert failed["id"] == "cache-clear-names-what-is-stored" and "`conj:{a}:{b}`" in failed["remedy"]


@pytest.mark.measures
def test_entries_that_live_shorter_than_a_block_are_no_left_over(shelf) -> None:
    """They expire beside the scope as well, and the server counts them until it comes by."""
    env = REDIS | {"SHAPE": "thing:%d"}
    code, result, manifest = shelf("LIFE_MS", "200", "60000", env, ["thing:{id}"])
    assert [guard for guard in result["guards"] if not guard["ok"]] == []
    assert (code, result["verdict"]) == (0, "HELPED"), result["reason"]
    assert all(report["outside_left"] == 0 for entry in manifest["blocks"] for report in entry["clear"].values())


def test_keys_that_the_change_alone_leaves_end_the_run(shelf) -> None:
    """The second block would begin with them in one arm alone."""
    code, result, manifest = shelf("LEFT_KEYS", "nothing", "beside", REDIS, ["thing:{id}"])
    assert (code, result["verdict"]) == (4, "INVALID"), result
    failed = next(
        guard for guard in result["guards"] if guard["id"] == "same-cache-state-at-block-start" and not guard["ok"]
    )
    assert "block 2" in failed["detail"] and "'beside:" in failed["detail"]
    assert [entry["stage"] for entry in manifest["blocks"]] == ["baseline", "change"]
    assert manifest["rollback"]["confirmed"] and not manifest["changed"]
