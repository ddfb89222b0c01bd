"""Predicted from one run, then tried for real: hit ratio, stale share and database calls at other times to live.

python benchmarks/whatif/real_points.py OUT --service demo
python benchmarks/whatif/real_points.py OUT --service group-ttl --services FOLDER --lab FOLDER

`--services`: the folder with the sick services; `--lab`: has an environment for each, in NAME/venv. One run is measured
at the time to live `BASE`, the model is asked for all others, and each is then measured. A point counts where all that
could be measured of it lies within what the real run measures: the 95 % interval of a bootstrap over stretches.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import yaml

from luckyhit.case_run import CaseRun
from luckyhit.whatif.answering import WhatIfQuestion, ask
from luckyhit.whatif.recorded.recorded_trace import recorded_trace
from luckyhit.whatif.surfaces import band_of, drawn_stretches
from luckyhit.whatif.today import measured
from luckyhit.workflow.workbook import baseline

CASES = Path(__file__).resolve().parents[2] / "data" / "cases"
BASE = {"demo": 2.0, "group-ttl": 2.0, "commit-after-response": 2.0, "page-not-in-key": 3.0}
TTLS = {
    "demo": (0.25, 0.5, 0.75, 1.0, 1.5, 3.0, 4.0, 5.0, 7.0, 10.0),
    "group-ttl": (0.25, 0.5, 0.75, 1.0, 1.5, 3.0, 4.0, 5.0, 7.0, 10.0),
    "commit-after-response": (1, 3, 4, 5, 6, 7, 8, 10, 12, 20),
    "page-not-in-key": (1, 2, 4, 5, 6, 7, 8, 10, 12, 20),
}
HEALTHY = {
    "demo": {},
    "group-ttl": {"EXPIRY": "entry"},
    "commit-after-response": {},
    "page-not-in-key": {"LIST_KEY": "object+page"},
}
"""Variables under which one cache stores each entry for its own time, which is what the model knows."""


def case_of(name: str, services: Path) -> dict[str, Any]:
    """The service's case with a time to live in its start, a longer baseline, and no probe."""
    path = CASES / "short-ttl.yml" if name == "demo" else services / name / "case.yml"
    document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    document.pop("freshness", None)
    document["goals"] = {"hit_ratio": {"want": "no-worse", "margin": "5 %"}}
    document.pop("controls", None)
    document["plan"] = {"baseline": "24s", "warmup": "3s", "block": "4s", "blocks": 6, "after_rollback": "3s"}
    document["workload"]["rate"] = "25/s"
    if name == "demo":
        document["target"]["start"]["env"] |= {"CATALOGUE_INVALIDATION": "none"}
        document["workload"]["rate"] = "60/s"
        document["workload"]["routes"][0] |= {"weight": 9, "version": "$.price_cents"}
        document["workload"]["routes"].append(
            {
                "name": "price", "method": "PUT", "path": "/products/{key}/price", "weight": 1,
                "keys": {"first": 1, "last": 80, "popularity": "uniform"},
                "body": {"price_cents": "{number}"}, "version": "{number}",
                "response": {"status": 200},
            }
        )  # fmt: skip
    return document


def run_at(name: str, ttl_s: float, args: argparse.Namespace) -> CaseRun:
    """A run in which the service kept up: one that did not says nothing of the cache."""
    for _ in range(args.attempts):
        run = one_run_at(name, ttl_s, args)
        frame = run.table("requests", ["due_ns", "done_ns", "error"])
        late_ms = ((frame["done_ns"] - frame["due_ns"]) / 1e6).quantile(0.95)
        if frame["error"].isna().all() and late_ms < args.most_p95_ms:
            return run
        print(f"  ttl {ttl_s:g} s  the service did not keep up (p95 {late_ms:.0f} ms): measured again", flush=True)
    raise SystemExit(f"{name}: the machine is too busy")


def one_run_at(name: str, ttl_s: float, args: argparse.Namespace) -> CaseRun:
    document = case_of(name, args.services)
    variable = "CATALOGUE_TTL" if name == "demo" else "CACHE_TTL_S"
    start = document["target"]["start"]["env"]
    start |= {**HEALTHY[name], variable: f"{ttl_s:g}"}
    document["change"] = {
        "kind": "env", "what": "Nothing is changed here.", "name": variable, "before": f"{ttl_s:g}",
        "after": f"{ttl_s * 2:g}", "smallest": "One variable.",
    }  # fmt: skip
    case = args.out / f"{name}.yml"
    case.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    os.environ |= {"SUBJECT": str(args.services / name), "VENV": str(args.lab / name / "venv")}
    book = baseline(str(case), observe=True, runs_dir=str(args.out / "runs"), reports_dir=str(args.out / "reports"))
    book.measure()
    return CaseRun.open(book.run.path)


def facts_of(run: CaseRun) -> dict[str, tuple[float, float, float] | None]:
    """What a run measures: (low, value, high) of each metric; None: not visible."""
    recording = recorded_trace(run)
    fact = measured(recording)
    hits, told = recording.told_by_stretch().T
    costs = recording.costs
    frame = run.table("requests", ["phase", "route", "sent_ns", "db_calls", "error"])
    reads = frame[(frame["phase"] == "measure") & frame["route"].isin(recording.trace.classes) & frame["error"].isna()]
    calls = None
    if reads["db_calls"].notna().all() and costs is not None:
        at = reads["sent_ns"].to_numpy(float)
        place = ((at - at.min()) / (at.max() - at.min() + 1) * 24).astype(int)
        sums, counts = ([0.0] * 24 for _ in range(2))
        for number, value in zip(place.tolist(), reads["db_calls"].tolist(), strict=True):
            sums[number] += value
            counts[number] += 1
        drawn = drawn_stretches(24, 400)
        low, value, high = band_of((drawn @ sums) / (drawn @ counts), 24)
        calls = (float(low), float(value), float(high))
    assert hits.sum() <= told.sum()
    return {"hit_ratio": fact.hit_ratio, "stale": fact.stale, "calls": calls}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--service", choices=BASE, required=True)
    parser.add_argument("--services", type=Path, default=Path())
    parser.add_argument("--lab", type=Path, default=Path())
    parser.add_argument("--points", type=int, default=10)
    parser.add_argument("--attempts", type=int, default=6)
    parser.add_argument("--most-p95-ms", type=float, default=150.0)
    args = parser.parse_args()
    args.out, args.services, args.lab = args.out.resolve(), args.services.resolve(), args.lab.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    name, right = args.service, 0
    base = run_at(name, BASE[name], args)
    ttls = TTLS[name][: args.points]
    answer = ask(recorded_trace(base), WhatIfQuestion(ttls_s=[float(ttl_s) for ttl_s in ttls], now_ttl_s=BASE[name]))
    print(f"{name}: rule {answer.rule.id} (delay {answer.rule.delay_ns / 1e6:g} ms), fit: {answer.fit}", flush=True)
    size = answer.grid.sizes[-1]
    rows = []
    for ttl_s in ttls:
        predicted = answer.surface.at(size, float(ttl_s))
        real = facts_of(run_at(name, ttl_s, args))
        parts = {
            metric: None if share is None else share[0] <= predicted[metric][1] <= share[2]
            for metric, share in real.items()
        }
        good = all(part is not False for part in parts.values())
        right += good
        told = "  ".join(
            f"{metric} {predicted[metric][1]:.4f} in [{share[0]:.4f}, {share[1]:.4f}, {share[2]:.4f}]"
            for metric, share in real.items()
            if share is not None
        )
        print(f"  ttl {ttl_s:g} s  {'inside' if good else 'OUTSIDE'}  {told}", flush=True)
        rows.append({"ttl_s": ttl_s, "inside": parts, "predicted": predicted, "real": real})
    print(f"{name}: {right} of {len(ttls)} points inside", flush=True)
    (args.out / f"{name}.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
