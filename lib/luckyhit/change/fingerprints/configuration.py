"""What a service says of its own configuration (`target.config`), without what differs from process to process.

A pid, a time of start or a count of open connections is no setting: two processes of one arm differ in them. What is
left out is noted (`observed.config_left_out`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx
import psutil

from luckyhit.change.fingerprints.normalize import StackNormalizer, hashed, names_a_version, shown_env, words
from luckyhit.text.json_values import leaves

if TYPE_CHECKING:
    from luckyhit.system import Stack

LEFT_OUT = "observed.config_left_out"
_PREFIX = "config."
# Whole names of values that change by themselves: `uptime_s` is one, `max_connections` is a setting.
_VOLATILE_NAME = re.compile(
    r"up_?time\w*|started|start(ed)?_?(at|on|time|ts)|boot(ed)?_?(at|time)|launched(_at)?|now|date|time|timestamp"
    r"|\w*_?p?pid|process_?id|host_?name|(instance|container|request|trace)_?id|pod(_?name)?|elapsed\w*"
    r"|(cache_)?(hits|misses)|requests|connections|\w+_total|in_?flight"
    r"|(open|opened|active|idle|busy|free|current|used)_?(connections|requests|clients|sessions|threads|tasks)",
    re.IGNORECASE,
)
_OF_A_PROCESS = frozenset({"worker", "process", "proc", "instance", "server", "master", "parent", "replica", "id"})
"""Words of names under which a process's number is one, and no setting that has the same value by chance."""


class Configuration:
    """Reads the answers of one arm; `left_out`: the names of entries that are no settings. `ignored`: those of the case
    (`target.config_ignore`), with all below them."""

    def __init__(self, stack: Stack, normalizer: StackNormalizer, ignored: Iterable[str]) -> None:
        self.left_out: set[str] = set()
        self._normalizer, self._ignored = normalizer, tuple(ignored)
        self._pids = _pids(stack)

    def entries(self, response: httpx.Response) -> dict[str, str]:
        """`{"a": {"b": [1]}}` as `config.a.b.0 = 1`."""
        if response.status_code != 200:
            return {"config": f"status {response.status_code}"}
        try:
            document = response.json()
        except ValueError:
            return {"config": hashed(self._normalizer.normalize(response.text))}
        values = {}
        for path, value in leaves(document, ("config",)):
            name = ".".join(map(str, path))
            if self._by_process([str(step) for step in path], name, value):
                self.left_out.add(name)
                continue
            last = str(path[-1]).rsplit(".", 1)[-1]
            text = value if isinstance(value, str) else json.dumps(value)
            if "port" in last.lower() or isinstance(value, str):
                text = self._normalizer.normalize(text, times=not names_a_version(last))
            values[name] = shown_env(last, text)
        return values

    def observed(self, shown: Iterable[str], constant: Iterable[str]) -> dict[str, str]:
        """The names that were left out, among them those that two readings did not share (`shown`, not `constant`)."""
        changing = {name for name in set(shown) - set(constant) if name.startswith(_PREFIX)}
        names = sorted(name.removeprefix(_PREFIX) for name in self.left_out | changing)
        return {LEFT_OUT: ", ".join(names)} if names else {}

    def _by_process(self, steps: list[str], entry: str, value: Any) -> bool:
        below = entry.removeprefix(_PREFIX)
        if any(below == name or below.startswith(f"{name}.") for name in self._ignored):
            return True
        names = [step.rsplit(".", 1)[-1] for step in steps]
        if any(map(_VOLATILE_NAME.fullmatch, names)):
            return True
        numbers = {value} if isinstance(value, int) else set(map(int, re.findall(r"\d{1,9}", str(value))))
        return bool(_OF_A_PROCESS & set(words(names[-1]))) and bool(numbers & self._pids)


def _pids(stack: Stack) -> frozenset[int]:
    """The numbers of the service's processes, where it runs here."""
    if not stack.owned or stack.pid is None:
        return frozenset()
    with suppress(psutil.Error):
        root = psutil.Process(stack.pid)
        return frozenset({root.pid, *(child.pid for child in root.children(recursive=True))})
    return frozenset()
