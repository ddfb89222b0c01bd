"""A family of processes, each named by a file with its pid in it: python -S family_tree.py FOLDER [END]

child, ignoring (SIGTERM), setsid (a session of its own), daemon (forked twice, in a session of its own, deaf, too).
With END, the first of them ends with that exit code once all are there.
"""

import os
import signal
import sys
import time
from pathlib import Path

FOLDER = Path(sys.argv[1])


def note(name: str) -> None:
    (FOLDER / f".{name}").write_text(str(os.getpid()))
    (FOLDER / f".{name}").rename(FOLDER / name)


def live(name: str) -> None:
    note(name)
    while True:
        signal.pause()


if os.fork() == 0:
    live("child")
if os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    live("ignoring")
if os.fork() == 0:
    os.setsid()
    live("setsid")
if os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.setsid()
    if os.fork():
        os._exit(0)
    live("daemon")
while not all((FOLDER / name).exists() for name in ("child", "ignoring", "setsid", "daemon")):
    time.sleep(0.005)
note("first")
if len(sys.argv) > 2:
    sys.exit(int(sys.argv[2]))
while True:
    signal.pause()
