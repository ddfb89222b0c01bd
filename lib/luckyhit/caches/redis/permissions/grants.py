"""What the cache grants, by ACL DRYRUN, or by commands that change nothing. In a cluster, on every primary."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence

import redis
from redis import exceptions as redis_errors

from luckyhit.caches.base import CheckFindings
from luckyhit.caches.key_shapes import cache_keys, watched_keys
from luckyhit.caches.redis.keyspace_events import covers, read_setting
from luckyhit.caches.redis.listener import why_not_watchable
from luckyhit.caches.redis.redis_settings import OPTION
from luckyhit.caches.redis.topology import Topology
from luckyhit.caches.scope import example_key
from luckyhit.case import Case
from luckyhit.case.values.placeholders import key_glob
from luckyhit.text.numbers import listed

Command = tuple[str | bytes, ...]
KEYED = ("UNLINK", "PTTL", "DUMP", "RESTORE", "WATCH")


def check_permissions(
    topology: Topology, case: Case, findings: CheckFindings, *, owned: bool, changeable: bool
) -> None:
    """Whether the cache accepts writes and grants its user what the run needs. `changeable`: whether the run will
    change anything, or only observe. Raises redis.RedisError."""
    commands = needed(case, owned=owned, changeable=changeable)
    servers = topology.primaries()
    for server in servers:
        on = f" on {server.name}" if server.name else ""
        replication = _info(server.client, "replication")
        if replication.get("role") == "slave":
            primary = f"{replication.get('master_host')}:{replication.get('master_port')}"
            findings.problem(
                f"the cache{on} is a read-only replica (of {primary})",
                "Point the variable that cache.url_env names at the primary.",
            )
            continue
        user, refused = refused_of(server.client, commands)
        guarding = _guarding(server.client, case) if changeable and not owned else []
        grant = f"`{granting(user, [*refused, *guarding], case.cache.clear)}`{f' ({on.strip()})' if on else ''}"
        if refused:
            findings.problem(
                f"the cache user lacks the right to {', '.join(names_of(refused))}{on}", f"Grant it with: {grant}."
            )
        elif guarding and guarding[0][0] != "WATCH":
            findings.problem(
                f"the cache user may WATCH, but not {', '.join(names_of(guarding))}{on}", f"Grant: {grant}."
            )
        elif guarding:
            findings.note(
                f"Without the right to WATCH{on}, what somebody writes in the instant of the clear may be lost (grant "
                f"it with: {grant})."
            )
    if findings.ok:
        everywhere = f" on each of its {len(servers)} primaries" if len(servers) > 1 else ""
        findings.note(f"The cache grants what {_purpose(case, owned=owned, changeable=changeable)} takes{everywhere}.")


def check_events(topology: Topology, case: Case, findings: CheckFindings) -> None:
    """Whether the cache's events around the probe's writes can be seen. Only notes, since a run works without them."""
    if case.freshness is None or not case.freshness.watch_cache:
        return
    subject = "The cache's events around probed writes"
    mode = "standalone" if topology.cluster is None else "cluster"
    if why := watched_keys(case)[1] or why_not_watchable(mode):
        findings.note(f"{subject} can't be seen: {why}.")
        return
    client = topology.primaries()[0].client
    try:
        covered = covers(read_setting(client))
    except redis_errors.ResponseError as error:
        findings.note(f"{subject} can't be seen: its {OPTION} can't be read ({error}).")
        return
    database = int(client.connection_pool.connection_kwargs.get("db") or 0)
    key = b"luckyhit:" + secrets.token_hex(12).encode()
    commands: list[Command] = [("SUBSCRIBE", b"__keyspace@%d__:%b" % (database, key))]
    commands += [] if covered else [_setting_trial()]
    commands += [("PTTL", example_key(template, secrets.token_hex(12))) for template in cache_keys(case)]
    user, refused = refused_of(client, commands)
    if not refused:
        findings.note(f"{subject} can be seen.")
        return
    names = names_of(refused)
    channels = [f"&__keyspace@{database}__:*"] if "SUBSCRIBE" in names else []
    grant = granting(user, refused, cache_keys(case), channels)
    visibility = "can be seen, but no times to live" if names == ["PTTL"] else "can't be seen"
    findings.note(
        f"{subject} {visibility}: the cache user lacks the right to {', '.join(names)} (grant it with: `{grant}`)."
    )


def needed(case: Case, *, owned: bool, changeable: bool) -> list[Command]:
    """The commands of the run, on a key for each template that does not exist."""
    commands: list[Command] = [("SCAN", "0"), ("DBSIZE",), ("INFO",), ("CONFIG", "GET", "maxmemory")]
    if not changeable:
        return commands
    if case.change.cache_setting is not None and not owned:
        commands.append(_setting_trial())
    if not owned:
        commands.append(("TIME",))
    for template in case.cache.clear:
        key = example_key(template, secrets.token_hex(12))
        commands += [("UNLINK", key), ("PTTL", key)]
        if not owned:
            commands += [("DUMP", key), ("RESTORE", key, "0", "")]
    return commands


def refused_of(client: redis.Redis, commands: Iterable[Command]) -> tuple[str, list[Command]]:
    """(name of the user, those of `commands` that the server does not grant)."""
    try:
        user = client.execute_command("ACL", "WHOAMI")
        user = user.decode() if isinstance(user, bytes) else str(user)
        return user, [command for command in commands if not _dry_run(client, user, command)]
    except (redis_errors.NoPermissionError, redis_errors.ResponseError):
        # No permission to ask, or a server without ACLs: try each on a key that does not exist.
        user = str(client.connection_pool.connection_kwargs.get("username") or "default")
        return user, [command for command in commands if not _try(client, command)]


def granting(user: str, refused: Sequence[Command], templates: Iterable[str], others: Sequence[str] = ()) -> str:
    """The command for redis-cli that grants just what was refused, on just the declared keys."""
    rules = [f"+{name.lower().replace(' ', '|')}" for name in names_of(refused)] + list(others)
    if any(command[0] in KEYED for command in refused):
        rules += [f"~{key_glob(template).decode(errors='backslashreplace')}" for template in templates]
    return " ".join(["ACL SETUSER", _quoted(user), *map(_quoted, rules)])


def names_of(commands: Iterable[Command]) -> list[str]:
    """`CONFIG GET`, `UNLINK`: each once."""
    named = (f"CONFIG {command[1]!s}" if command[0] == "CONFIG" else str(command[0]) for command in commands)
    return list(dict.fromkeys(named))


def _purpose(case: Case, *, owned: bool, changeable: bool) -> str:
    if not changeable:
        return "observing it"
    actions = ["listing"]
    if case.cache.clear:
        actions += ["clearing"] if owned else ["clearing", "backing up", "restoring"]
    purpose = f"{listed(actions)} {'the declared' if case.cache.clear else 'its'} keys"
    if case.change.cache_setting is not None and not owned:
        purpose += f", and setting its {case.change.cache_setting},"
    return purpose


def _setting_trial() -> Command:
    """CONFIG SET of a setting that no server has: it shows the permission and can't set anything."""
    return ("CONFIG", "SET", f"luckyhit-{secrets.token_hex(4)}", "1")


def _guarding(client: redis.Redis, case: Case) -> list[Command]:
    """The refused ones of the commands that show a clear whether somebody wrote a key meanwhile; it works without
    them."""
    if not case.cache.clear:
        return []
    key = example_key(case.cache.clear[0], secrets.token_hex(12))
    return refused_of(client, [("WATCH", key), ("UNWATCH",), ("MULTI",), ("EXEC",)])[1]


def _dry_run(client: redis.Redis, user: str, command: Command) -> bool:
    answer = client.execute_command("ACL", "DRYRUN", user, *command)
    return answer in (b"OK", "OK", True)


def _try(client: redis.Redis, command: Command) -> bool:
    """Send it harmlessly: on a key that does not exist, RESTORE with an invalid payload, CONFIG SET of an unknown
    setting."""
    try:
        if command[0] == "SUBSCRIBE":  # a connection that listens can't be used for anything else
            with client.pubsub() as listening:
                listening.subscribe(command[1])
                listening.parse_response()
        elif command[0] in ("WATCH", "MULTI"):  # these stay with the connection, so it is not reused
            with client.client() as alone:
                try:
                    alone.execute_command(*command)
                finally:
                    if alone.connection is not None:
                        alone.connection.disconnect()
        else:
            client.execute_command(*command)
    except redis_errors.NoPermissionError:
        return False
    except redis_errors.ResponseError as error:  # in a cluster also where the key belongs to another node
        return "NOPERM" not in str(error)
    return True


def _info(client: redis.Redis, section: str) -> dict[str, object]:
    try:
        return client.info(section)
    except redis_errors.NoPermissionError:
        return {}


def _quoted(word: str) -> str:
    """A word of a command as redis-cli reads it."""
    if word and not any(character.isspace() or character in "\"'" for character in word):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'
