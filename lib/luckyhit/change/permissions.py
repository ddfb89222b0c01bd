"""Every right that the run will need, proven before anything is touched."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import redis
from redis import exceptions as redis_errors

from luckyhit.case import Case
from luckyhit.case.placeholders import key_glob
from luckyhit.change.clear import example_key
from luckyhit.change.notify import OPTION, covers, read_setting
from luckyhit.change.refusals import explained
from luckyhit.records import Guard
from luckyhit.target.keyspace import cache_keys, watched_keys
from luckyhit.target.listener import server_facts, unsuited

if TYPE_CHECKING:
    from luckyhit.target import Cache

NAME = "permissions checked"


def check_permissions(case: Case, cache: Cache | None, directories: Iterable[Path]) -> Guard:
    """Whether `directories` (the run's and the reports') can be written to, and the cache grants what the run
    needs. Changes nothing. Raises CacheUnreachable where the cache does not answer.
    """
    problems, remedies = _unwritable(directories)
    checked, events = "The run and report directories can be written to", ""
    if cache is not None:
        with cache.client() as client, explained("looking at its permissions"):
            missing, remedy = _cache_rights(client, case, backup=not cache.owned)
            events = _events(client, case) if not cache.owned else ""
        problems += missing
        remedies += remedy
        checked += "; the cache grants what listing, clearing" + ("" if cache.owned else ", backing up and restoring")
        checked += " the declared keys takes"
    if problems:
        return Guard(name=NAME, ok=False, detail="; ".join(problems) + f".{events}", remedy=" ".join(remedies))
    return Guard(name=NAME, ok=True, detail=f"{checked}.{events}")


def _unwritable(directories: Iterable[Path]) -> tuple[list[str], list[str]]:
    problems, remedies = [], []
    for directory in directories:
        there = next(path for path in (directory, *directory.parents) if path.exists())
        try:
            with tempfile.NamedTemporaryFile(dir=there, prefix=".luckyhit-check-"):
                pass
        except OSError as error:
            problems.append(f"{directory} can't be written to ({error.strerror})")
            remedies.append(f"Make {there} writable, or choose another directory.")
    return problems, remedies


def _cache_rights(client: redis.Redis, case: Case, *, backup: bool) -> tuple[list[str], list[str]]:
    replication = _info(client, "replication")
    if replication.get("role") == "slave":
        return ["the cache is a read-only replica"], ["Point the variable that cache.url_env names at the primary."]
    user, refused = _refused(client, _commands(case, backup=backup))
    if not refused:
        return [], []
    names = list(dict.fromkeys(_name(command) for command in refused))
    grants = " ".join(f"+{name.lower().replace(' ', '|')}" for name in names)
    keys = " ".join(f"~{key_glob(template).decode(errors='backslashreplace')}" for template in case.cache.clear)
    return (
        [f"the cache user lacks the right to {', '.join(names)}"],
        [f"Grant it with: ACL SETUSER {user} {grants} {keys}"],
    )


def _refused(client: redis.Redis, commands: list[tuple[str | bytes, ...]]) -> tuple[str, list[tuple[str | bytes, ...]]]:
    """(name of the user, those of `commands` that the cache does not grant)."""
    try:
        user = client.execute_command("ACL", "WHOAMI")
        user = user.decode() if isinstance(user, bytes) else str(user)
        return user, [command for command in commands if not _dry_run(client, user, command)]
    except (redis_errors.NoPermissionError, redis_errors.ResponseError):
        # No right to ask, or a server without ACLs: try each on a key that does not exist.
        user = str(client.connection_pool.connection_kwargs.get("username") or "default")
        return user, [command for command in commands if not _try(client, command)]


def _events(client: redis.Redis, case: Case) -> str:
    """Whether the cache's events around the probe's writes can be seen: a sentence, as a run goes on without them."""
    if case.freshness is None or not case.freshness.watch_cache:
        return ""
    if why := watched_keys(case)[1] or unsuited(server_facts(client)[0]):
        return f" The cache's events around probed writes can't be seen: {why.removeprefix('not visible: ')}."
    try:
        told = covers(read_setting(client))
    except redis_errors.ResponseError as error:
        return (
            f" The cache's events around probed writes can't be seen: it does not let its {OPTION} be read ({error})."
        )
    database = client.connection_pool.connection_kwargs.get("db") or 0
    key = b"luckyhit:" + secrets.token_hex(12).encode()
    commands: list[tuple[str | bytes, ...]] = [("SUBSCRIBE", b"__keyspace@%d__:%b" % (int(database), key))]
    if not told:
        # By trial: a setting that no server has.
        commands.append(("CONFIG", "SET", f"luckyhit-{key[-8:].decode()}", "1"))
    commands += [("PTTL", example_key(template, secrets.token_hex(12))) for template in cache_keys(case)]
    user, refused = _refused(client, commands)
    if not refused:
        return " The cache's events around probed writes can be seen."
    names = list(dict.fromkeys(_name(command) for command in refused))
    grants = [f"+{name.lower().replace(' ', '|')}" for name in names]
    grants += [f"&__keyspace@{database}__:*"] if "SUBSCRIBE" in names else []
    if "PTTL" in names:
        grants += [f"~{key_glob(template).decode(errors='backslashreplace')}" for template in cache_keys(case)]
    seen = "can be seen, but no times to live" if names == ["PTTL"] else "can't be seen"
    return (
        f" The cache's events around probed writes {seen}: the cache user lacks the right to {', '.join(names)} (grant "
        f"it with: ACL SETUSER {user} {' '.join(grants)})."
    )


def _commands(case: Case, *, backup: bool) -> list[tuple[str | bytes, ...]]:
    """What the run will send, on a key that fits each template and does not exist."""
    commands: list[tuple[str | bytes, ...]] = [
        ("SCAN", "0"),
        ("DBSIZE",),
        ("INFO",),
        ("CONFIG", "GET", "maxmemory"),
    ]
    if backup:
        commands.append(("TIME",))
    for template in case.cache.clear:
        key = example_key(template, secrets.token_hex(12))
        commands += [("UNLINK", key), ("PTTL", key)]
        if backup:
            commands += [("DUMP", key), ("RESTORE", key, "0", "")]
    return commands


def _name(command: tuple[str | bytes, ...]) -> str:
    return f"CONFIG {command[1]!s}" if command[0] == "CONFIG" else str(command[0])


def _dry_run(client: redis.Redis, user: str, command: tuple[str | bytes, ...]) -> bool:
    answer = client.execute_command("ACL", "DRYRUN", user, *command)
    return answer in (b"OK", "OK", True)


def _try(client: redis.Redis, command: tuple[str | bytes, ...]) -> bool:
    """Send it, where that is harmless: on a key that does not exist, RESTORE with a payload that no server takes, and
    CONFIG SET of a setting that no server has."""
    try:
        if command[0] == "SUBSCRIBE":  # on a connection of its own: one that listens can't be used for anything else
            with client.pubsub() as listening:
                listening.subscribe(command[1])
                listening.parse_response()
        else:
            client.execute_command(*command)
    except redis_errors.NoPermissionError:
        return False
    except redis_errors.ResponseError as error:
        return "NOPERM" not in str(error)
    return True


def _info(client: redis.Redis, section: str) -> dict[str, object]:
    try:
        return client.info(section)
    except redis_errors.NoPermissionError:
        return {}
