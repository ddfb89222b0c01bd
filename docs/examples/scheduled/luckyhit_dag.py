"""Airflow: a baseline every night, by papermill.

Needs the provider (`pip install apache-airflow-providers-papermill`), and the project's interpreter as a kernel:
`.venv/bin/python -m ipykernel install --user --name luckyhit`. The runs have a folder of their own, so that the newest
run that `3-report` finds is the one that `1-baseline` has just made. The first task makes the folder of the executed
notebooks, which papermill expects to exist.
"""

from datetime import datetime, timedelta
from pathlib import Path

from airflow.providers.papermill.operators.papermill import PapermillOperator
from airflow.sdk import DAG, task  # Airflow 2: from airflow import DAG, and from airflow.decorators import task

PROJECT = "/srv/lucky-hit"
CASE = "stale-price"
FOLDERS = {"runs_dir": f"{PROJECT}/data/airflow/runs", "reports_dir": f"{PROJECT}/reports"}
EXECUTED = f"{PROJECT}/data/airflow/{CASE}-{{{{ ds_nodash }}}}"


@task
def folder() -> None:
    """Make the folder of the executed notebooks."""
    Path(EXECUTED).parent.mkdir(parents=True, exist_ok=True)


with DAG(
    dag_id="lucky_hit_baseline",
    description="What the system does now, beside earlier baselines; nothing is changed",
    schedule="30 3 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,  # a baseline of yesterday can't be measured today
    max_active_runs=1,
    default_args={
        "retries": 0,  # each try would be a run of its own
        "execution_timeout": timedelta(minutes=20),
    },
) as dag:
    baseline = PapermillOperator(
        task_id="baseline",
        input_nb=f"{PROJECT}/notebooks/1-baseline.ipynb",
        output_nb=f"{EXECUTED}-1-baseline.ipynb",
        parameters={"case": CASE, "observe": True, **FOLDERS},
        kernel_name="luckyhit",
    )
    report = PapermillOperator(
        task_id="report",
        input_nb=f"{PROJECT}/notebooks/3-report.ipynb",
        output_nb=f"{EXECUTED}-3-report.ipynb",
        parameters={"case": CASE, **FOLDERS},
        kernel_name="luckyhit",
    )
    folder() >> baseline >> report
