"""All cases every night, as one Airflow task: it calls the command line, and its exit code decides.

Needs apache-airflow and apache-airflow-providers-standard. A task that is stopped sends SIGTERM to the command, which
rolls everything back first: give it that time (`killed_task_cleanup_time` in airflow.cfg).
"""

from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

PROJECT = "/srv/lucky-hit"

with DAG(
    dag_id="luckyhit_fleet",
    schedule="0 1 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
) as dag:
    BashOperator(
        task_id="fleet",
        bash_command=f"exec {PROJECT}/.venv/bin/luckyhit fleet --dask tcp://scheduler.example.com:8786",
        cwd=PROJECT,
        append_env=True,
        # A case that was interrupted is not begun again by itself: the next night does.
        retries=0,
        execution_timeout=timedelta(hours=5),
    )
