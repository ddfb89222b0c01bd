"""Accounts of a bank: FastAPI with functions in threads, redis-py (hashes). A replica of the database follows it, later."""

import threading
from typing import Annotated, Any

from fastapi import Body, FastAPI, HTTPException

from sick import base

LOAD_FROM = base.choice("LOAD_FROM", "replica", "primary")
LAG_MS = base.number("LAG_MS", 300)
TTL_S = base.number("ACCOUNT_TTL_S", 110)
primary = base.Table("accounts", file="primary.sqlite3")
replica = base.Table("accounts", file="replica.sqlite3")
cache = base.cache_client()
app = FastAPI()


@app.get("/health")
def health() -> dict[str, Any]:
    return base.health()


def _answer(fields: dict[str, str]) -> dict[str, Any]:
    return {"account": fields["account"], "statement": int(fields["statement"])}


@app.get("/accounts/{account}")
def read(account: int) -> dict[str, Any]:
    key = f"acc:{account:06}"
    base.say("HIT")
    if fields := cache.hgetall(key):
        return _answer(fields)
    with base.alone(account):
        if fields := cache.hgetall(key):
            return _answer(fields)
        base.say("MISS")
        if (statement := (replica if LOAD_FROM == "replica" else primary).load(account)) is None:
            raise HTTPException(404, "no such account")
        fields = {"account": f"{account:06}", "statement": str(statement)}
        with cache.pipeline() as pipeline:
            pipeline.hset(key, mapping=fields)
            pipeline.expire(key, int(TTL_S))
            pipeline.execute()
    return _answer(fields)


@app.put("/accounts/{account}")
def write(account: int, statement: Annotated[int, Body(embed=True)]) -> dict[str, int]:
    primary.save(account, statement)
    threading.Timer(LAG_MS / 1000, replica.save, (account, statement)).start()
    with base.alone(account):
        cache.delete(f"acc:{account:06}")
    return {"account": account, "statement": statement}


application = base.observed_asgi(app)

if __name__ == "__main__":
    base.serve_asgi("sick.replica_lag.service")
