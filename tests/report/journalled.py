"""Journals as a run writes them, made by hand: for tests of what a report tells of what was touched."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

START_S = 1_795_400_130.0
"""2026-11-23 02:15:30 UTC, when the made-up runs start."""
CLEARED: dict[str, Any] = {
    "scanned": 97, "matched": 96, "cleared": 90, "gone": 2, "appeared": 1, "without_ttl_kept": 4, "outside": 1,
    "outside_gone": 0, "expired_meanwhile": 0, "rewritten": 0, "contended": 0, "unguarded": 0, "named": 92,
    "servers": 1, "backup": None, "seconds": 0.02, "detail": "90 of 97 keys cleared.",
}  # fmt: skip
RESTORE = {"kind": "restore", "backup": "cleared-1.backup", "keys": 96, "cache": "127.0.0.1:6379/0", "url_env": "C"}
HTTP = {
    "kind": "http", "base_url": "http://127.0.0.1:8100", "call": {"method": "PUT", "path": "/flags/x", "body": {"on": 0}},
    "verify": {"path": "/flags", "value": "$.x"}, "shows": "0", "within_s": 10.0,
    "by_hand": "curl --fail -X PUT http://127.0.0.1:8100/flags/x",
}  # fmt: skip


class Book:
    """A journal that is being written; each line is a second after the one before."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.number = 0

    def intent(
        self, step: str, detail: Mapping[str, Any] | None = None, inverse: Mapping[str, Any] | None = None
    ) -> int:
        self.number += 1
        self._add("intent", self.number, detail=detail or {}, step=step, inverse=inverse or {})
        return self.number

    def confirm(self, number: int, **detail: Any) -> None:
        self._add("confirm", number, detail=detail)

    def undone(self, number: int, how: str, **detail: Any) -> None:
        self._add("undone", number, detail={"how": how, **detail})

    def taken(
        self, step: str, detail: Mapping[str, Any] | None = None, inverse: Mapping[str, Any] | None = None, *,
        outcome: Mapping[str, Any] | None = None, how: str | None = None,
    ) -> int:  # fmt: skip
        """A step that was done; undone too where `how` says how."""
        number = self.intent(step, detail, inverse)
        self.confirm(number, **(outcome or {}))
        if how is not None:
            self.undone(number, how)
        return number

    def write(self, run_path: Path) -> None:
        (run_path / "journal.jsonl").write_text("".join(f"{line}\n" for line in self.lines), encoding="utf-8")

    def _add(self, event: str, number: int, **fields: Any) -> None:
        self.lines.append(json.dumps({"event": event, "id": number, "at": START_S + len(self.lines), **fields}))


def a_whole_journal(blocks: int) -> Book:
    """As a run with services and caches of its own leaves it: all closed."""
    book = Book()
    processes = [
        {"pid": 10, "created": 1.5, "what": "service python"},
        {"pid": 11, "created": 1.6, "what": "cache valkey"},
    ]
    start = book.intent("start", {"stack": "before"}, {"kind": "end-processes"})
    book.confirm(start, processes=processes)
    apply = book.intent("apply", {"change": "env", "what": "The key that readers use"}, {"kind": "restart"})
    book.confirm(apply, processes=[{"pid": 12, "created": 2.5, "what": "service python"}])
    for _ in range(blocks):
        book.taken(
            "clear", {"listed": 96, "listed_sha256": "ab" * 32, "templates": ["catalogue:{id}"]}, outcome=CLEARED
        )
    book.undone(apply, "restarted without the change")
    book.undone(start, "the run ended well")
    return book
