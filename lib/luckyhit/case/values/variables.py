"""The environment variables that a case names: whether they are set, and which values are secrets."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from luckyhit.case.findings import field_name
from luckyhit.case.values.path_variables import REQUESTED, STARTED, fits_a_path, variables_in
from luckyhit.errors import ArgumentError
from luckyhit.scrub.secrets import SHORTEST, SecretValues, is_literal, is_secret_name

if TYPE_CHECKING:
    from luckyhit.case.model import Case

_NEVER_EMPTY = ("cache.url_env", "target.start.python")


def named_variables(case: Case) -> Iterator[tuple[str, str]]:
    """(variable, field that names it), in the order of a case file."""
    target, cache, probe = case.target, case.cache, case.freshness
    yield from path_variables(case)
    yield from case.change.variables()
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


def path_variables(case: Case, fields: tuple[str, ...] = (*STARTED, *REQUESTED)) -> Iterator[tuple[str, str]]:
    """(variable, field) of each `${NAME}` in these fields of a case."""
    exclude = None if case.change.start_texts() else {"change": True}  # elsewhere it is the value itself
    for name, path in variables_in(case.model_dump(exclude=exclude), fields):
        yield name, field_name(path)


def noted_variables(case: Case, environ: Mapping[str, str]) -> dict[str, str]:
    """The values of the variables in the paths of requests. A run records them.

    Raises ArgumentError for a value that can't be part of a path.
    """
    noted = {}
    for name, where in path_variables(case, REQUESTED):
        if name in environ:
            if not fits_a_path(environ[name]):
                raise ArgumentError(
                    f"the value of {name} can't be part of a path ({where})",
                    hint="Use letters, digits and URL characters without braces; %-encode the others.",
                )
            noted[name] = environ[name]
    return noted


def refuse_unset(case: Case, environ: Mapping[str, str]) -> None:
    """Raise ArgumentError with every variable that the case names and that is not set."""
    missing: dict[str, dict[str, None]] = {}
    for name, where in named_variables(case):
        unset = name not in environ or (where in _NEVER_EMPTY and not environ[name].strip())
        if unset:
            missing.setdefault(name, {})[where] = None
    if missing:
        named = "; ".join(f"{name} (named in {', '.join(where)})" for name, where in missing.items())
        raise ArgumentError(
            f"not set in the environment: {named}", hint=f"Export {', '.join(missing)}, then try again."
        )


def named_secrets(case: Case, environ: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """(variable, field that names it, value) of each secret, by its use in the case or by its name."""
    for name, where in named_variables(case):
        for value in _secrets_in(name, where, environ.get(name, "")):
            if len(value) >= SHORTEST and is_literal(value):
                yield name, where, value


def known_secrets(
    case: Case | None, environ: Mapping[str, str] = os.environ, *, public: Collection[str] = ()
) -> set[str]:
    """The values of the environment variables that the case names, which must not be published.

    Public are: a value that is written in the case file, unless its variable is a secret by its name (then the case is
    refused, see `refuse_quoted`); a URL without credentials; a variable in a path (`${NAME}`); and a passed-on variable
    that holds an existing path. `public`: variables that were filled in already.
    """
    secrets: set[str] = set()
    if case is not None:
        declared: str | None = None
        in_paths = {*public, *(name for name, _ in path_variables(case))}
        for name, where in named_variables(case):
            if name in in_paths and not is_secret_name(name):
                continue
            value = environ.get(name, "")
            secrets.update(_secrets_in(name, where, value))
            if where.endswith("pass_env") and value and value not in secrets:
                declared = case.model_dump_json() if declared is None else declared
                secrets.update(() if _is_a_place(value) or _stands_in(value, declared) else (value,))
    return secrets


def refuse_quoted(case_file: Path, case: Case, environ: Mapping[str, str]) -> None:
    """Raise ArgumentError if a case file contains the value of a secret that it names, in any spelling."""
    lines = case_file.read_text(encoding="utf-8", errors="replace").splitlines()
    for name, where, value in named_secrets(case, environ):
        known = SecretValues({value})
        for number, line in enumerate(lines, 1):
            if known.hidden(line) != line:
                raise ArgumentError(
                    f"{case_file.name}:{number}: the case file contains the value of {name} (named in {where})",
                    hint="Remove it: a case is committed, and copied into each run. If the value is not secret, write "
                    "it in target.start.env, or give the variable another name.",
                )


def mentioned_secrets(case_file: Path, environ: Mapping[str, str] = os.environ) -> set[str]:
    """The same for a case that can't be loaded: the values of all variables whose names occur in its file. Too many
    rather than one too few."""
    try:
        text = case_file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return set()
    return {environ[name] for name in set(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", text)) if environ.get(name)}


def _secrets_in(name: str, where: str, value: str) -> Iterator[str]:
    """The secrets in a variable's value, by its use in the case or by its name."""
    holds_one = where == "freshness" or where.endswith(("url_env", "headers_env"))
    if not value or not (holds_one or is_secret_name(name)):
        return
    if where == "freshness" or where.endswith("url_env"):
        yield from _credentials(value)
        return
    if where.endswith("headers_env"):
        scheme, space, rest = value.partition(" ")
        if space and scheme.lower() in ("bearer", "basic", "token", "apikey", "digest"):
            yield rest.strip()
    yield value


def _credentials(url: str) -> Iterator[str]:
    """Of a URL with credentials: the URL, and the password, percent-encoded and decoded."""
    try:
        parts = urlsplit(url)
        password, user = parts.password, parts.username
    except ValueError:
        yield url
        return
    pairs = [pair.partition("=") for pair in parts.query.split("&")]
    for secret in filter(None, (password or user, *(value for name, _, value in pairs if is_secret_name(name)))):
        yield from (url, secret, unquote(secret))


def _is_a_place(value: str) -> bool:
    """Whether a value is an existing path on this machine."""
    return Path(value).is_absolute() and len(Path(value).parts) > 1 and os.path.lexists(value)


def _stands_in(value: str, text: str) -> bool:
    alone = rf"(?<![A-Za-z0-9]){re.escape(value)}(?![A-Za-z0-9])"
    return len(value) >= SHORTEST and is_literal(value) and re.search(alone, text) is not None
