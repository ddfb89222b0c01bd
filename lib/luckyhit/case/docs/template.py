"""The case file that `luckyhit new NAME` writes: commented, and valid as it is."""

from __future__ import annotations

import re
import textwrap

from luckyhit.case.changes import MODELS
from luckyhit.case.examples import example
from luckyhit.designs import DEFAULT_DESIGN, DESIGNS
from luckyhit.errors import ArgumentError

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")


def new_case(name: str, like: str = "") -> str:
    """A starting case; `like`: one of `luckyhit.case.examples`. Raises ArgumentError for an invalid name and for an
    unknown example."""
    check_name(name)
    text = example(like) if like else _TEMPLATE.replace("{KINDS}", _kinds()) + _DESIGN + _PLAN
    # Only as a whole word: a variable may be called DATABASE_NAME, and ${NAME} stands for any.
    return re.sub(r"(?<![A-Z_{])NAME(?![A-Z_])", name, text)


def check_name(name: str) -> None:
    """Raises ArgumentError for a name that no case can have."""
    if not _NAME.fullmatch(name):
        raise ArgumentError(
            f"invalid case name {name[:80]!r}",
            hint="Use up to 60 lower-case letters, digits and hyphens, such as slow-basket.",
        )


def _kinds() -> str:
    """A comment with each kind of change, as its model describes it."""
    described = (
        f"{kind} ({str(model.model_fields['kind'].description).partition(': ')[2][:-1]})"
        for kind, model in MODELS.items()
    )
    text = f"The one change. Kinds: {', '.join(described)}."
    return textwrap.fill(text, 118, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)


_TEMPLATE = """\
# yaml-language-server: $schema=case.schema.json
#
# Case NAME. Fill in what says TODO, then:  luckyhit check NAME   and   luckyhit run NAME
# docs/case-file.md describes every field. No secrets in here: name environment variables instead.

# What is wrong, in one line, in the words of a user.
title: "TODO: what the user sees, and should not see"

# Who is responsible for this case, and how to reach them.
owner:
  name: "TODO: a person or a team"
  contact: "TODO: an address or a channel"

# The route in question.
route: GET /items/{id}

# The usual input of the route.
input: "TODO: path, query and body, with usual values"

# The slow query or the failing command, as one would run it by hand.
suspect: "TODO: the query or command, and its output"

# Where exactly the user notices it: which page, which number on it, after which action.
noticed: "TODO: the page, the place on it, and after what"

# What should happen when the cache works correctly, and what a correct response of the route looks like. Every timed
# response is checked against it. Paths such as $.price are those of a JSON response.
expected:
  result: "TODO: what the user should see instead"
  response:
    status: 200
    fields: [$.id]

# Why it happens, as far as is known now; and what goes wrong if the change is wrong, and who is affected.
hypothesis: "TODO: because ..."
failure_mode: "TODO: if this is wrong, then ..."

# Assumptions, one sentence each.
assumptions:
  - "TODO: the workload below is like the real one in ..."

{KINDS}
# Start with none, which shows how much the numbers vary without a change.
change:
  kind: env
  what: "TODO: what the change does"
  name: CACHE_TTL_SECONDS
  before: "60"  # values are texts: quote numbers; null if the variable is not set
  after: "300"
  smallest: "TODO: why no smaller or safer change is enough"

# The keys that may be cleared: {name} stands for one or more characters other than a colon. Other keys are never
# touched. Without url_env, each arm gets a cache server of its own, which starts empty. If the service caches only in
# its own processes, leave out this section and {cache_url} below: the service is restarted before each block.
cache:
  clear:
    - item:{id}
  dedicated: true  # true if only this service uses the cache
  rebuildable: false  # true if keys without a time to live may be cleared too

# How to roll back, in words that another engineer can follow, and how to notice that it is necessary.
rollback:
  note: "TODO: set CACHE_TTL_SECONDS back to 60 and restart the service"
  notice: "TODO: which number, on which dashboard, above which value, for how long"

# The service, started once per arm on a free port. Filled in are {port}, {cache_url} (or {cache_host}, {cache_port} and
# {cache_password}), {workdir} (an empty directory of its own), {python}, and ${NAME}, an environment variable whose
# value is not hidden. For secrets, name the variables in pass_env. PATH, and so a virtual environment, is the shell's.
target:
  start:
    # python: venv/bin/python  # the interpreter for {python}, if the service has its own environment
    command: ["{python}", -m, uvicorn, "myservice.app:app", --port, "{port}"]
    env:
      REDIS_URL: "{cache_url}"
      CACHE_TTL_SECONDS: "60"
    pass_env: []
    cwd: .  # or "{workdir}", if the service writes to its working directory
    ready: /health
    ready_within: 20s
  # config: /health  # a path that returns the effective configuration as JSON, if there is one

# The requests, generated from the seed, the same for both arms. {key} is filled in from keys, {number} at random.
workload:
  seed: 1
  rate: 100/s
  arrivals: poisson
  timeout: 5s
  routes:
    - name: item
      path: /items/{key}
      weight: 9
      keys: {first: 1, last: 500, popularity: zipf, exponent: 1.0}
    - name: update
      method: PUT
      path: /items/{key}
      weight: 1
      keys: {first: 1, last: 500, popularity: uniform}
      body: {price: "{number}"}

# The probe for stale data writes increasing numbers and measures when readers see them. It has its own keys.
# Leave this section out if nothing can be written; then stale reads are not visible.
freshness:
  write:
    method: PUT
    path: /items/{key}
    body: {price: "{version}"}
    status: 200
  reads:
    - name: detail
      path: /items/{key}
      version: $.price
  keys: {first: 1001, last: 2000}
  within: 100ms  # acceptable staleness
  horizon: 2s
  # rate: 5/s  # probes; default: chosen with the plan, up to 30 % of the workload's requests

# What has to improve (better), what must not get worse by more than the margin (no-worse), and hard limits (at_most).
# Proportions in percentage points, latencies relative (10 %) or absolute (5ms), database calls per request as a number.
goals:
  hit_ratio: {want: better, margin: 2 %}
  latency_p95_ms: {want: no-worse, margin: 10 %}
  stale_reads: {want: no-worse, margin: 5 %, at_most: 10 %}

# Negative controls: what the change can't affect, with a margin. If one moves by more, the run is INVALID.
# controls: {health.latency_p50_ms: 20 %}

# What was predicted for the after arm: `luckyhit whatif --prove` writes it, and the report says whether it came true.
# predicted: {hit_ratio: {low: 0.9, value: 0.92, high: 0.94}}

"""

_DESIGN = (
    "".join(f"# {design.id}: {design.words.summary}.\n" for design in DESIGNS.values()) + f"design: {DEFAULT_DESIGN}\n"
)

_PLAN = """\

# How long to measure: a baseline, then blocks of the comparison, then one after the rollback. auto: as long as the
# goals need, at most two minutes of load; `luckyhit check` says what it can decide. Or with numbers:
# plan: {baseline: 10s, warmup: 2s, block: 7s, blocks: 4, after_rollback: 5s}
plan: auto
"""
