"""All cases every night, as a Prefect flow: it calls the command line, and its exit code decides.

Needs prefect 3. `python luckyhit_prefect.py` serves the flow; `limit=1` keeps two nights apart.
"""

import subprocess

from prefect import flow

PROJECT = "/srv/lucky-hit"
COMMAND = [f"{PROJECT}/.venv/bin/luckyhit", "fleet", "--dask", "tcp://scheduler.example.com:8786"]


@flow(retries=0, log_prints=True)
def luckyhit_fleet() -> None:
    """Exit codes: docs/fleet.md. 5 asks for somebody at once."""
    process = subprocess.Popen(COMMAND, cwd=PROJECT)
    try:
        code = process.wait()
    finally:
        process.terminate()  # a cancelled flow: everything is rolled back before it ends
        process.wait()
    print(f"the digest is in {PROJECT}/reports/nightly.html")
    if code:
        raise RuntimeError(f"luckyhit fleet ended with {code}")


if __name__ == "__main__":
    luckyhit_fleet.serve(name="nightly", cron="0 1 * * *", limit=1)
