"""Runs at the start of each Python process of a service that is started to be found out: its folder is on PYTHONPATH.

Once the file `ask` is in the folder that LUCKYHIT_ROUTES names, the process writes its routes there, as
`<process id>.json`. Nothing else of it changes. Python imports a module of this name by itself; another one of this
name, which the environment has, is imported too.
"""

# mypy: disallow-untyped-defs=False

import importlib.machinery
import importlib.util
import os
import sys
import threading
import time

OWN = os.path.dirname(os.path.abspath(__file__))
ASK = "ask"
_POLL_S = 0.1
_sleep = time.sleep  # as it is before something replaces it


def loaded(name, places):
    """A module by its name, from places of our own choice; None where there is none."""
    spec = importlib.machinery.PathFinder.find_spec(name, places)
    if spec is None or spec.loader is None:
        return None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_routes(folder):
    import json

    route_tables = loaded("route_tables", [OWN])
    try:
        result = route_tables.of_process()
        result["files"] = route_tables.source_files()
    except Exception as error:
        result = dict(route_tables.empty(), problem=route_tables.described(error))
    path = os.path.join(folder, "%d.json" % os.getpid())
    with open(path + ".part", "w") as file:
        json.dump(result, file, default=str)
    os.replace(path + ".part", path)


def watch(folder):
    while os.path.isdir(folder):
        if os.path.exists(os.path.join(folder, ASK)):
            write_routes(folder)
            return
        _sleep(_POLL_S)


def begin():
    threading.Thread(target=watch, args=(os.environ["LUCKYHIT_ROUTES"],), name="routes", daemon=True).start()


sys.path[:] = [path for path in sys.path if os.path.abspath(path or ".") != OWN]
loaded("sitecustomize", sys.path)
if os.environ.get("LUCKYHIT_ROUTES"):
    begin()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=begin)
