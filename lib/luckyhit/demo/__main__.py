"""`python -m luckyhit.demo --port 8000`

Its modules are made without collecting garbage, which would take a fifth of the start and find none, and later
collections leave them out.
"""

from __future__ import annotations

import gc
from importlib import import_module

if __name__ == "__main__":
    gc.disable()
    serving = import_module("luckyhit.demo.serving")
    gc.freeze()
    gc.enable()
    serving.main()
