"""A PostgreSQL server of a test's own: started on a free port, as an unprivileged user, with a password."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from waiting import eventually

WITHIN_S = 60.0


def programs() -> Path | None:
    """The folder of initdb and postgres: Debian keeps them off PATH."""
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = shutil.which("initdb") or (str(candidates[-1]) if candidates else None)
    return Path(initdb).resolve().parent if initdb else None


@contextmanager
def postgres(bin_dir: Path) -> Iterator[str]:
    """The server's URL, as SQLAlchemy has it."""
    password = secrets.token_hex(8)
    # Not below pytest's own folder: nobody else may enter that.
    with tempfile.TemporaryDirectory(prefix="luckyhit-postgres-") as name:
        folder = Path(name)
        (folder / "password").write_text(password)
        as_user: list[str] = []
        if os.geteuid() == 0:  # which PostgreSQL refuses to run as
            as_user = ["runuser", "-u", "postgres", "--"]
            for path in (folder, folder / "password"):
                shutil.chown(path, "postgres")
        made = [str(bin_dir / "initdb"), "-D", str(folder / "data"), "-U", "shop", "-A", "scram-sha-256", "--no-sync"]
        subprocess.run([*as_user, *made, f"--pwfile={folder / 'password'}"], check=True, capture_output=True, cwd="/")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        options = ["-p", str(port), "-k", str(folder), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [*as_user, str(bin_dir / "postgres"), "-D", str(folder / "data"), *options],
                stdout=log, stderr=log, cwd="/",
            )  # fmt: skip
        try:
            _await(server, port, folder / "log")
            yield f"postgresql+psycopg://shop:{password}@127.0.0.1:{port}/postgres"
        finally:
            server.terminate()
            with suppress(subprocess.TimeoutExpired):
                server.wait(WITHIN_S)


def _await(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Until it accepts: its log says so once it is ready."""
    eventually(
        lambda: server.poll() is not None or b"ready to accept connections" in log.read_bytes(), within_s=WITHIN_S
    )
    if server.poll() is not None:
        raise RuntimeError(f"PostgreSQL did not start at {port}: {log.read_text(errors='replace')}")
