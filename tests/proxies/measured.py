"""One combination of proxies and service, measured as `luckyhit load` measures, beside the true counts.

`python tests/proxies/measured.py` prints the table of all combinations.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from lab import Lab, asked_headers
from matrix import CHAINS, SERVICES, UNSEEN
from products import PRODUCTS

from luckyhit.load.command.load_plan import plan_load
from luckyhit.load.command.options import LoadOptions
from luckyhit.load.sharding.engine_pool import run_engine
from luckyhit.records.parquet import read_parts

RATIO_WITHIN, CALLS_WITHIN = 0.02, 0.05
VISIBLE_AT_LEAST = 0.95
"""The first misses may be left out: they show nothing until other responses have come."""
KEYS = 12
IN_BEFORE_S = 2.0
"""How long a response was in the caches behind the nearest one: by then its Age, in whole seconds, shows them."""


@dataclass(frozen=True)
class Figures:
    """Of one combination. Ratios as fractions, `calls` per request; None if the responses show nothing.

    `hit_ratio` of the nearest cache, of the requests (`visible`, a fraction of all) whose responses show it;
    `true_ratio`: requests that it did not send on, or that the service confirmed by a 304; `kept_ratio`: those that did
    not reach the service's handler, whichever cache had them; `true_calls`: from the service's own log. `layers`:
    requests by the recorded chain.
    """

    chain: str
    service: str
    requests: int
    visible: float
    hit_ratio: float | None
    true_ratio: float
    kept_ratio: float
    calls: float | None
    true_calls: float
    layers: dict[str, int]

    @property
    def ratio_right(self) -> bool:
        """Behind a proxy that does not report its misses, a hit may be the next cache's: that is right as well."""
        if self.hit_ratio is None or self.visible < VISIBLE_AT_LEAST:
            return False
        silent = PRODUCTS[self.chain.partition("--")[0]].silent
        truths = [self.true_ratio, *([self.kept_ratio] if silent else [])]
        return any(abs(self.hit_ratio - truth) <= RATIO_WITHIN for truth in truths)

    @property
    def calls_right(self) -> bool:
        return self.calls is not None and abs(self.calls - self.true_calls) <= CALLS_WITHIN

    @property
    def shows_calls(self) -> bool:
        return not self.service.startswith(("bare", "tagged"))

    @property
    def right(self) -> bool:
        return self.ratio_right and (self.calls_right if self.shows_calls else self.calls is None)


def measure(lab: Lab, chain: str, service: str, *, rate: float = 60, seconds: float = 2) -> Figures:
    """Requests for a dozen URLs through the engine in its own process. All are cold in the nearest cache at first, and
    half of them were in the next one for a while: it then has to fill itself from another one's hit."""
    url = lab.url(chain, service)
    if "--" in chain and chain not in UNSEEN:
        lab.warm(chain, service, range(1, KEYS + 1, 2))
        time.sleep(IN_BEFORE_S)
    options = LoadOptions(
        rate=rate, seconds=seconds, keys=f"1-{KEYS}", arrivals="constant", headers=asked_headers(chain)
    )
    before = lab.counted(chain, service)
    rows = recorded(f"{url}/{{key}}", options)
    true = lab.counted(chain, service) - before
    statuses = {entry["values"].as_py(): entry["counts"].as_py() for entry in pc.value_counts(rows["cache"])}
    visible = sum(statuses.get(status, 0) for status in ("hit", "miss", "stale"))
    return Figures(
        chain=chain,
        service=service,
        requests=rows.num_rows,
        visible=visible / rows.num_rows,
        hit_ratio=statuses.get("hit", 0) / visible if visible else None,
        true_ratio=1 - (true.passed[0] - (0 if "--" in chain else true.confirmed)) / rows.num_rows,
        kept_ratio=1 - (true.misses - true.confirmed) / rows.num_rows,
        calls=pc.mean(rows["db_calls"]).as_py(),
        true_calls=true.calls / rows.num_rows,
        layers={str(entry["values"]): entry["counts"].as_py() for entry in pc.value_counts(rows["layers"])},
    )


def recorded(url: str, options: LoadOptions) -> pa.Table:
    """The rows of a load, by an engine that does not check itself first. All its requests have to complete."""
    with tempfile.TemporaryDirectory(prefix="luckyhit-proxies-") as name:
        directory = Path(name)
        (directory / "requests").mkdir()
        run_engine(plan_load(url, options).config(directory, None).model_copy(update={"selfcheck": False}))
        rows = pa.concat_tables(read_parts(directory / "requests", "requests", None))
    if failed := rows.num_rows - rows["error"].null_count:
        raise RuntimeError(f"{url}: {failed} of {rows.num_rows} requests failed: {pc.unique(rows['error'])}")
    return rows


def line(figures: Figures) -> str:
    """A row of the table."""
    ratio, calls = (" – " if value is None else f"{value:.3f}" for value in (figures.hit_ratio, figures.calls))
    return (
        f"| {figures.chain.replace('--', ' over ')} | {figures.service} | {ratio} | {figures.true_ratio:.3f} "
        f"| {calls} | {figures.true_calls:.3f} | {'' if figures.right else 'WRONG'} |"
    )


if __name__ == "__main__":
    with Lab() as running:
        for the_chain in sys.argv[1:] or [*PRODUCTS, *CHAINS]:
            for the_service in SERVICES:
                figures = measure(running, the_chain, the_service)
                print(line(figures), "" if figures.right else figures.layers, flush=True)
