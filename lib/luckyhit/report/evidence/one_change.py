"""The one change of a case, of every kind: its two values, its diff, and what is sent or run for it.

Values of headers that come from the environment are never here: a case holds the names of their variables only.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from luckyhit.case import changes
from luckyhit.case.units import format_duration
from luckyhit.scrub.secrets import is_secret_name

if TYPE_CHECKING:
    from luckyhit.case import Case
    from luckyhit.run import Run

DIFF = "change.diff"
MOST_LINES = 300
"""Lines of a diff that are shown; more are counted."""
LONGEST_LINE = 400
_HASH = 12
REDACTED = "[redacted]"


def setting(value: str | None) -> str:
    return "(not set)" if value is None else value or "(empty)"


@dataclass(frozen=True)
class Swap:
    """The change at a glance. `name`: of what has these values; empty where they say it themselves."""

    name: str
    before: str
    after: str


def swap(case: Case, manifest: Mapping[str, Any] | None = None) -> Swap | None:
    """What became what; None where nothing is changed. `manifest`: of a run, which knows which revisions they were."""
    spec = case.change
    if isinstance(spec, changes.NoChange):
        return None
    if isinstance(spec, changes.EnvChange):
        return Swap(spec.name, setting(spec.before), setting(spec.after))
    if isinstance(spec, changes.SettingChange):
        return Swap(spec.name, "(as it was)" if spec.before is None else setting(spec.before), setting(spec.after))
    if isinstance(spec, changes.RevisionChange):
        found = (manifest or {}).get("revisions")
        hashes = found if isinstance(found, Mapping) else {}
        return Swap("", *(_revision(getattr(spec, arm), hashes.get(arm)) for arm in ("before", "after")))
    return Swap("", setting(spec.before), setting(spec.after))


def _revision(name: str, found: object) -> str:
    short = found[:_HASH] if isinstance(found, str) else ""
    return f"{name} ({short})" if short and not name.startswith(short) else name


def change(case: Case, manifest: Mapping[str, Any] | None = None) -> list[tuple[str, str]]:
    """What is changed and how, why that is the smallest safe change, and what may be cleared."""
    spec, both = case.change, swap(case, manifest)
    rows = [("Change", spec.what)]
    if isinstance(spec, changes.EnvChange):
        rows.append(("Variable", spec.name))
    if isinstance(spec, changes.SettingChange):
        rows.append(("Setting of the cache", spec.name))
    if both is not None:
        rows += [("Before", both.before), ("After", both.after)]
    return [
        *rows,
        *calls(case),
        ("Smallest safe change", spec.smallest),
        *may_be_cleared(case),
        ("Rollback", case.rollback.note),
    ]


def may_be_cleared(case: Case) -> list[tuple[str, str]]:
    """What the run may clear from the caches, and nothing beyond."""
    rows = [("Keys that may be cleared", ", ".join(case.cache.clear) or _nothing_to_clear(case))]
    return [*rows, *([("Pages that are purged", "; ".join(_purges(case)))] if case.cache.purge else [])]


def _purges(case: Case) -> list[str]:
    return [
        f"{purge.method} {purge.url or ''}{purge.path}"
        + (f" for {{key}} {purge.keys.first} to {purge.keys.last}" if purge.keys is not None else "")
        for purge in case.cache.purge
    ]


def calls(case: Case) -> list[tuple[str, str]]:
    """What is sent or run to make the change, to take it back, and to see which of both holds."""
    spec = case.change
    if isinstance(spec, changes.AdminChange):
        within = format_duration(spec.within)
        rows = [
            ("To apply it", call_text(spec.apply)),
            ("To take it back", call_text(spec.revert)),
            ("To see it", f"GET {spec.verify.path}, where {spec.verify.value} tells the state (within {within})"),
        ]
        names = [f"{header} (from ${name})" for header, name in case.target.headers_env.items()]
        return [*rows, *([("Headers sent with each", ", ".join(names))] if names else [])]
    if isinstance(spec, changes.CommandChange):
        rows = [
            ("To apply it", shlex.join(spec.apply)),
            ("To take it back", shlex.join(spec.revert)),
            ("To see it", shlex.join(spec.verify)),
        ]
        if spec.restart:
            rows.append(("After each", "the service is restarted, since it reads this only when it starts"))
        handed = ", ".join(f"${name}" for name in spec.pass_env)
        return [*rows, *([("Variables handed on", handed)] if handed else [])]
    return []


def call_text(call: changes.AdminCall) -> str:
    """`PUT /flags/new-keys {"value": "on"}`, with the headers that stand in the case."""
    body = ""
    if call.body is not None:
        body = call.body if isinstance(call.body, str) else json.dumps(_without_secrets(call.body), ensure_ascii=False)
    headers = "".join(f", {name}: {value}" for name, value in call.headers.items())
    return f"{call.method} {call.path} {body}".rstrip() + headers


def _without_secrets(value: Any, name: str = "") -> Any:
    if isinstance(value, Mapping):
        return {key: _without_secrets(item, str(key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_secrets(item, name) for item in value]
    return REDACTED if isinstance(value, str) and name and is_secret_name(name) else value


def change_diff(case: Case) -> list[tuple[str, str]]:
    """The change as a diff: (sign, line); no lines where nothing is changed, or where it is a revision: that one's
    diff is the run's (`revision_diff`)."""
    spec = case.change
    if isinstance(spec, changes.EnvChange):
        values = [("-", spec.before), ("+", spec.after)]
        return [(sign, f"{spec.name}={value}" if value is not None else f"# {spec.name} is not set")
                for sign, value in values]  # fmt: skip
    if isinstance(spec, changes.ArgumentChange):
        command = case.target.start.command if case.target.start else []
        after = [spec.after if word == spec.before else word for word in command]
        return [("-", " ".join(command)), ("+", " ".join(after))]
    if isinstance(spec, changes.SettingChange):
        before = f"CONFIG SET {spec.name} {spec.before!r}" if spec.before is not None else f"# {spec.name} as it was"
        return [("-", before), ("+", f"CONFIG SET {spec.name} {spec.after!r}")]
    if isinstance(spec, changes.AdminChange):
        sides = [("-", spec.revert, spec.before), ("+", spec.apply, spec.after)]
        where = f"GET {spec.verify.path} shows"
        return [(sign, line) for sign, call, value in sides for line in (call_text(call), f"  # {where} {value}")]
    if isinstance(spec, changes.CommandChange):
        pairs = [("-", spec.revert, spec.before), ("+", spec.apply, spec.after)]
        return [(sign, line) for sign, command, value in pairs
                for line in (shlex.join(command), f"  # {shlex.join(spec.verify)} prints {value}")]  # fmt: skip
    return []


@dataclass(frozen=True)
class RevisionDiff:
    """A diff between two revisions: Git's summary by file, the (sign, line) of the first lines, and how many `more`
    there are. `problem`: why there is none."""

    stat: str = ""
    lines: tuple[tuple[str, str], ...] = ()
    more: int = 0
    problem: str = ""


def revision_diff(run: Run, *, most: int = MOST_LINES) -> RevisionDiff:
    """Read what the run noted of the difference; never raises for what is in it, or missing."""
    path = run.path / DIFF
    stat: list[str] = []
    lines: list[tuple[str, str]] = []
    more, in_hunk, in_patch = 0, False, False
    try:
        with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
            for raw in file:
                line = raw.rstrip("\n")
                in_patch = in_patch or line.startswith("diff --git ")
                if not in_patch:
                    stat.append(line[:LONGEST_LINE])
                    continue
                if line.startswith(("diff --git ", "@@ ")):
                    in_hunk = line.startswith("@@ ")
                if len(lines) >= most:
                    more += 1
                    continue
                signed = in_hunk and line[:1] in ("+", "-", " ")
                shown = line[1:] if signed else line
                if len(shown) > LONGEST_LINE:
                    shown = f"{shown[:LONGEST_LINE]}… ({len(shown) - LONGEST_LINE:,} more characters)"
                lines.append((line[0] if signed else "", shown))
    except FileNotFoundError:
        return RevisionDiff(
            problem="The run left no change.diff, so the difference between the revisions can't be shown."
        )
    except OSError as error:
        return RevisionDiff(problem=f"change.diff can't be read: {error.strerror}.")
    if len(stat) > most:
        stat[most:] = [f"… ({len(stat) - most:,} more lines)"]
    return RevisionDiff("\n".join(stat).strip("\n"), tuple(lines), more)


def _nothing_to_clear(case: Case) -> str:
    return (
        "none: the only cache is inside the service, which is started anew before each block"
        if case.caches_inside
        else "none"
    )
