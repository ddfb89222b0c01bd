"""All cases every night, as a Dagster job: it calls the command line, and its exit code decides.

Needs dagster. In Dagster's settings, `run_queue` with one run at a time keeps two nights apart; the command itself
refuses a second fleet in one project (exit code 3).
"""

import subprocess

import dagster

PROJECT = "/srv/lucky-hit"
COMMAND = [f"{PROJECT}/.venv/bin/luckyhit", "fleet", "--dask", "tcp://scheduler.example.com:8786"]


@dagster.op
def fleet(context: dagster.OpExecutionContext) -> None:
    """Exit codes: docs/fleet.md. 5 asks for somebody at once."""
    process = subprocess.Popen(COMMAND, cwd=PROJECT)
    try:
        code = process.wait()
    finally:
        process.terminate()  # a cancelled run: everything is rolled back before it ends
        process.wait()
    context.log.info(f"the digest is in {PROJECT}/reports/nightly.html")
    if code:
        raise dagster.Failure(f"luckyhit fleet ended with {code}", allow_retries=False)


@dagster.job
def luckyhit_fleet() -> None:
    fleet()


nightly = dagster.ScheduleDefinition(job=luckyhit_fleet, cron_schedule="0 1 * * *", execution_timezone="Europe/Berlin")
defs = dagster.Definitions(jobs=[luckyhit_fleet], schedules=[nightly])
