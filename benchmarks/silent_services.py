"""How close to the truth three services are seen that tell nothing: by the visibility file, its log, and a trace.

    python benchmarks/silent_services.py

A Flask, a FastAPI and a Django service (tests/visibility/silent), psycopg on a PostgreSQL of its own. The truth is what
the service notes of each request itself. Each number is the largest deviation over its routes.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "visibility"), str(TESTS / "change")]

from silent_run import (  # noqa: E402 - of the tests
    COMMANDS,
    Told,
    baseline,
    database,
    of_trace,
    recorded,
    silent_project,
    traced,
    truth,
)

WAYS = ("file", "log", "trace")


def deviations(shown: dict[str, Told], did: dict[str, Told]) -> str:
    """The largest deviations, of the hit ratio in points and of the calls per request; `unknown` where one is."""
    pairs = [(shown.get(route, Told(None, None)), told) for route, told in did.items()]
    ratios = [(one.hit_ratio, other.hit_ratio) for one, other in pairs if other.hit_ratio is not None]
    calls = [(one.database_calls, other.database_calls) for one, other in pairs]
    texts = []
    for values, factor, unit in ((ratios, 100, "points"), (calls, 1, "calls")):
        known = [abs(one - other) * factor for one, other in values if one is not None and other is not None]
        texts.append(f"{max(known):.3f} {unit}" if len(known) == len(values) else "unknown")
    return ", ".join(texts)


def main() -> None:
    print(f"{'service':8} " + " ".join(f"{way:>28}" for way in WAYS))
    with database():
        for name in COMMANDS:
            cells = []
            for way in WAYS:
                with tempfile.TemporaryDirectory() as folder:
                    project, path = silent_project(Path(folder), name, way)
                    shown = of_trace(traced(project, path)) if way == "trace" else recorded(baseline(project, path))
                    cells.append(deviations(shown, truth(Path(folder))))
            print(f"{name:8} " + " ".join(f"{cell:>28}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
