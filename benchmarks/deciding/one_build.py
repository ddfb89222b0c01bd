"""The scenarios in one build, a line of JSON each. The build is that of PYTHONPATH.

PYTHONPATH=CHECKOUT/lib python benchmarks/deciding/one_build.py SEED [NUMBER ...]
"""

from __future__ import annotations

import json
import sys

from deciding_cases import scenarios
from whole_run import run


def main(seed: int, chosen: list[int]) -> None:
    for number, scenario in enumerate(scenarios()):
        if not chosen or number in chosen:
            print(json.dumps({"number": number, **run(scenario, 1000 * seed + number)}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), [int(number) for number in sys.argv[2:]])
