"""The workers of a Dask cluster as places. Needs the extra `fleet` (Dask distributed); imported by `--dask` alone.

cluster         the workers as they come and go; calls beside their tasks
dask_places     attempts on them: starts, ends, lost ones
worker_side     what runs inside a worker: carry out, stop, settle, hand files over
host_facts      versions of a machine, compared before it gets a case
bringing        run directories: from a worker in pieces, or on shared storage
"""
