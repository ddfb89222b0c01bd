"""Weights of parcels: FastAPI with functions in threads, redis-py. Two routes share a cast to a number of sixteen bits."""

import json
from typing import Annotated, Any

from fastapi import Body, FastAPI, HTTPException

from sick import base

CAST = base.choice("CAST", "16-bits", "32-bits")
TTL_S = base.number("CARGO_TTL_S", 140)
cargos = base.Table("cargos")
cache = base.cache_client()
app = FastAPI()


@app.get("/health")
def health() -> dict[str, Any]:
    return base.health()


def _grams(cargo: int) -> int | None:
    """The weight, as far as the cast can hold it."""
    grams = 5_000 * (cargo % 7 + 1)
    limit = 2**15 if CAST == "16-bits" else 2**31
    return grams if grams < limit else None


def _weight(cargo: int) -> dict[str, int]:
    grams = _grams(cargo)
    return {} if grams is None else {"grams": grams}


@app.get("/cargos/{cargo}")
def read(cargo: int) -> dict[str, Any]:
    key = f"cargo~{cargo}"
    base.say("HIT")
    if (text := cache.get(key)) is not None:
        return {**json.loads(text), **_weight(cargo)}
    with base.alone(cargo):
        if (text := cache.get(key)) is None:
            base.say("MISS")
            if (manifest := cargos.load(cargo)) is None:
                raise HTTPException(404, "no such cargo")
            text = json.dumps({"cargo": cargo, "manifest": manifest})
            cache.set(key, text, ex=int(TTL_S))
    return {**json.loads(text), **_weight(cargo)}


@app.get("/cargos/{cargo}/label")
def label(cargo: int) -> dict[str, Any]:
    return {"label": f"C-{cargo:05}", **_weight(cargo)}


@app.put("/cargos/{cargo}")
def write(cargo: int, manifest: Annotated[int, Body(embed=True)]) -> dict[str, int]:
    cargos.save(cargo, manifest)
    with base.alone(cargo):
        cache.delete(f"cargo~{cargo}")
    return {"cargo": cargo, "manifest": manifest}


application = base.observed_asgi(app)

if __name__ == "__main__":
    base.serve_asgi("sick.outside.service")
