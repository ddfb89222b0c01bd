"""The environment variables that a case names: all that are not set are said at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from luckyhit.case import Case
from luckyhit.case.changes import CommandChange
from luckyhit.errors import ArgumentError


def named_variables(case: Case) -> Iterator[tuple[str, str]]:
    """(variable, field that names it), in the order of a case file."""
    target, cache, probe = case.target, case.cache, case.freshness
    if isinstance(case.change, CommandChange):
        yield from ((name, "change.pass_env") for name in case.change.pass_env)
    if cache.url_env is not None:
        yield cache.url_env, "cache.url_env"
    for index, entry in enumerate(cache.purge):
        yield from ((name, f"cache.purge[{index}].headers_env") for name in entry.headers_env.values())
    if target.start is not None:
        yield from ((name, "target.start.pass_env") for name in target.start.pass_env)
    yield from ((name, "target.headers_env") for name in target.headers_env.values())
    if probe is not None:
        writes = [probe.write, probe.absent.create if probe.absent else None, probe.refused]
        yield from ((write.database_env, "freshness") for write in writes if write and write.database_env)


def refuse_unset(case: Case, environ: Mapping[str, str]) -> None:
    """Raise ArgumentError, which names every variable that the case names and that is not set, and where."""
    missing: dict[str, dict[str, None]] = {}
    for name, where in named_variables(case):
        unset = name not in environ or (where == "cache.url_env" and not environ[name].strip())
        if unset:
            missing.setdefault(name, {})[where] = None
    if missing:
        named = "; ".join(f"{name} (named in {', '.join(where)})" for name, where in missing.items())
        raise ArgumentError(
            f"not set in the environment: {named}", hint=f"Export {', '.join(missing)}, then start again."
        )
