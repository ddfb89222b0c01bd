"""Charts of songs: FastAPI with functions in threads, redis-py. A chart is expensive, and many ask for the same one."""

import json
from collections import Counter
from typing import Annotated, Any

from fastapi import Body, FastAPI, HTTPException

from sick import base

LOADERS = base.choice("LOADERS", "all", "one")
TTL_S = base.number("CHART_TTL_S", 30)
charts = base.Table("charts")
cache = base.cache_client()
saves: Counter[int] = Counter()
app = FastAPI()


@app.get("/health")
def health() -> dict[str, Any]:
    return base.health()


def _load(week: int) -> dict[str, Any]:
    base.say("MISS")
    saves_before = saves[week]
    if (version := charts.load(week)) is None:
        raise HTTPException(404, "no such week")
    chart = {"week": week, "songs": list(range(week, week + 40)), "meta": {"v": version}}
    with base.alone(week):
        if saves[week] == saves_before:  # else the chart may be from before the save
            cache.set(f"charts:weekly:{week}", json.dumps(chart), ex=int(TTL_S))
    return chart


def _look(week: int) -> dict[str, Any] | None:
    if (text := cache.get(f"charts:weekly:{week}")) is None:
        return None
    base.say("HIT")
    return json.loads(text)


@app.get("/charts/{week}")
def read(week: int) -> dict[str, Any]:
    if (chart := _look(week)) is not None:
        return chart
    if LOADERS == "all":
        return _load(week)
    with cache.lock(f"charts:lock:{week}", timeout=30, sleep=0.01):
        return _look(week) or _load(week)


@app.put("/charts/{week}")
def write(week: int, v: Annotated[int, Body(embed=True)]) -> dict[str, int]:
    charts.save(week, v)
    with base.alone(week):
        saves[week] += 1
        cache.delete(f"charts:weekly:{week}")
    return {"week": week, "v": v}


application = base.observed_asgi(app)

if __name__ == "__main__":
    base.serve_asgi("sick.stampede.service")
