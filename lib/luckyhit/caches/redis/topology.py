"""Which servers hold the keys of a cache: one, or the primaries of a cluster. redis-py keeps track of the slots."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import redis
from redis import exceptions as redis_errors
from redis.cluster import RedisCluster

from luckyhit.errors import CacheUnreachable

_ANSWER_WITHIN_S = 5.0


class RedisEndpoint(Protocol):
    """What this folder needs of a `RedisCache`."""

    url: str
    url_env: str | None

    @property
    def owned(self) -> bool: ...

    @property
    def identity(self) -> str: ...

    def client(self, **options: Any) -> redis.Redis: ...


@dataclass(frozen=True, slots=True)
class Primary:
    """A server that holds keys: `name` is its address, `client` talks to it alone."""

    name: str
    client: redis.Redis


@dataclass(frozen=True, slots=True)
class NodeGroup:
    """Keys of one server that fit into one transaction: in a cluster, those of one slot."""

    primary: Primary
    keys: list[bytes]


class Topology:
    """The servers of one cache now. `cluster` is None for a single server."""

    def __init__(self, seed: redis.Redis, cluster: RedisCluster | None) -> None:
        self.cluster = cluster
        self._seed = seed
        self._by_name: dict[str, Primary] = {}

    @property
    def anywhere(self) -> redis.Redis | RedisCluster:
        """A client that finds the server of each key by itself."""
        return self._seed if self.cluster is None else self.cluster

    def primaries(self) -> list[Primary]:
        """Every server that holds keys, by its address. Raises redis.RedisError, RedisClusterException."""
        if self.cluster is None:
            return [Primary("", self._seed)]
        return [self._primary(node) for node in sorted(self.cluster.get_primaries(), key=lambda node: str(node.name))]

    def in_order(self, keys: Iterable[bytes]) -> list[bytes]:
        """`keys` sorted so that those of one transaction follow each other."""
        return list(keys) if self.cluster is None else sorted(keys, key=self.cluster.keyslot)

    def groups(self, keys: Iterable[bytes]) -> list[NodeGroup]:
        """`keys` by server, and in a cluster by slot."""
        if self.cluster is None:
            return [NodeGroup(Primary("", self._seed), list(keys))]
        by_slot: dict[int, list[bytes]] = {}
        for key in keys:
            by_slot.setdefault(int(self.cluster.keyslot(key)), []).append(key)
        nodes = self.cluster.nodes_manager
        return [NodeGroup(self._primary(nodes.get_node_from_slot(slot)), group) for slot, group in by_slot.items()]

    def refresh(self, moved: redis_errors.MovedError | None = None) -> None:
        """Ask the cluster again for its slots; `moved` names a node that knows."""
        if self.cluster is not None:
            known = [(str(moved.host), int(moved.port))] if moved is not None else []
            self.cluster.nodes_manager.initialize(additional_startup_nodes_info=known)
            self._by_name.clear()

    def _primary(self, node: Any) -> Primary:
        name = str(node.name)
        if name not in self._by_name:
            assert self.cluster is not None
            self._by_name[name] = Primary(name, self.cluster.get_redis_connection(node))
        return self._by_name[name]


@contextlib.contextmanager
def open_topology(cache: RedisEndpoint) -> Iterator[Topology]:
    """The servers of `cache`; their clients are closed at the end. Raises redis.RedisError or RedisClusterException
    where it does not answer, CacheUnreachable where its URL names a Sentinel as if it were a cache."""
    with cache.client() as seed:
        mode = server_mode(seed)
        if mode == "sentinel":
            raise CacheUnreachable(
                "the cache's URL names a Sentinel, which holds no keys",
                hint="Write redis+sentinel://HOST:26379/SERVICE/0, so that the Sentinel is asked for the primary.",
            )
        if mode != "cluster":
            yield Topology(seed, None)
            return
        cluster = RedisCluster.from_url(
            cache.url, socket_timeout=_ANSWER_WITHIN_S, socket_connect_timeout=_ANSWER_WITHIN_S, decode_responses=False
        )
        with cluster:
            yield Topology(seed, cluster)


def server_mode(client: redis.Redis) -> str:
    """`standalone`, `sentinel` or `cluster`; a server that allows this user neither INFO nor HELLO counts as
    standalone."""
    for ask in (lambda: client.info("server"), lambda: client.execute_command("HELLO")):
        try:
            answer = ask()
        except redis_errors.ResponseError:  # not allowed, or older than the command
            continue
        mode = _field(answer, "redis_mode") or _field(answer, "server_mode") or _field(answer, "mode")
        if mode:
            return mode
    return "standalone"


def server_run_id(client: redis.Redis) -> str | None:
    """Id of the server's process; None where INFO is not allowed."""
    try:
        return str(client.info("server")["run_id"])
    except (redis_errors.ResponseError, KeyError):
        return None


def _field(answer: Any, name: str) -> str:
    fields = fields_of(answer)
    value = fields.get(name, fields.get(name.encode(), ""))
    return value.decode() if isinstance(value, bytes) else str(value)


def fields_of(answer: Any) -> Mapping[Any, Any]:
    """An answer as a mapping. RESP2 has names and values in turn in a list."""
    return answer if isinstance(answer, Mapping) else dict(zip(answer[::2], answer[1::2], strict=True))
