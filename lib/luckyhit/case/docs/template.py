"""The case file that `luckyhit new NAME` writes: commented, and right as it stands, to be changed bit by bit."""

from __future__ import annotations

import re
import textwrap

from luckyhit.case.changes import MODELS
from luckyhit.case.examples import example
from luckyhit.designs import DEFAULT_DESIGN, DESIGNS
from luckyhit.errors import ArgumentError

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")


def new_case(name: str, like: str = "") -> str:
    """A starting case for one's own service; `like`: one of `luckyhit.case.examples`. Raises ArgumentError for a name
    that makes no good file name, and for an example that there is not."""
    if not _NAME.fullmatch(name):
        raise ArgumentError(
            f"{name[:80]!r} is no name for a case",
            hint="Small letters, digits and hyphens, 60 at most: slow-basket, for example.",
        )
    text = example(like) if like else _TEMPLATE.replace("{KINDS}", _kinds()) + _DESIGN + _PLAN
    # As a word of its own: a variable may be called DATABASE_NAME.
    return re.sub(r"(?<![A-Z_])NAME(?![A-Z_])", name, text)


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
# Every field is described in docs/case-file.md. No secrets in here: name environment variables instead.

# What is wrong, in one line, as the user would say it.
title: "TODO: what the user sees, and should not see"

# Who answers for this case, and where they can be reached.
owner:
  name: "TODO: a person or a team"
  contact: "TODO: an address or a channel"

# The route in question.
route: GET /items/{id}

# The input that the route expects.
input: "TODO: what belongs in the path, the query and the body, with the values that are usual"

# The slow query or the failing command, as one would run it by hand.
suspect: "TODO: the query or command, and what it answers"

# The exact place where the user notices: which page, which number on it, after which action.
noticed: "TODO: the page, the place on it, and after what"

# What should happen once the cache behaves, and what a right answer of the route looks like. Every timed answer is
# checked against it. Paths such as $.price lead into a JSON answer.
expected:
  result: "TODO: what the user should see instead"
  response:
    status: 200
    fields: [$.id]

# Why it happens, as far as one believes now; and what goes wrong if the change is wrong, and how far that reaches.
hypothesis: "TODO: because ..."
failure_mode: "TODO: if this is wrong, then ..."

# What is taken for granted, one sentence each.
assumptions:
  - "TODO: the workload below is like the real one in ..."

{KINDS}
# A good first run is none, which shows how much the numbers vary anyway.
change:
  kind: env
  what: "TODO: what the change does"
  name: CACHE_TTL_SECONDS
  before: "60"  # values are texts: quote numbers; null where the variable is not set
  after: "300"
  smallest: "TODO: why no smaller or safer change would do"

# The keys that may be cleared: {name} stands for one or more characters other than a colon. Nothing else is touched.
# Without url_env, each arm gets a cache server of its own, which starts empty. Leave the section out, and {cache_url}
# below, where the service caches in its own processes alone: it is started anew before each block.
cache:
  clear:
    - item:{id}
  dedicated: true  # true where the cache serves this service alone
  rebuildable: false  # true where keys without a time to live may be cleared too

# How to get back, in words that another engineer can follow, and how one would notice that it is time to.
rollback:
  note: "TODO: set CACHE_TTL_SECONDS back to 60 and restart the service"
  notice: "TODO: which number, on which dashboard, above which value, for how long"

# The service, started once for each arm on a free port. {port}, {cache_url} (or {cache_host}, {cache_port} and
# {cache_password}), {workdir} (an empty directory of its own) and {python} are filled in; ${NAME} is a variable of the
# shell, which is shown. Secrets come from the shell too: name their variables in pass_env.
target:
  start:
    # python: venv/bin/python  # where the service has an environment of its own: {python} stands for it
    command: ["{python}", -m, uvicorn, "myservice.app:app", --port, "{port}"]
    env:
      REDIS_URL: "{cache_url}"
      CACHE_TTL_SECONDS: "60"
    pass_env: []
    cwd: .  # or "{workdir}", where the service writes into the directory it is started in
    ready: /health
    ready_within: 20s
  # config: /health  # a path that tells the effective configuration as JSON, where there is one

# The requests: the same for both arms, made from the seed. {key} is filled in from keys, {number} at random.
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

# The probe for stale data: it writes a number that only grows, and looks when readers see it. Its keys are its own.
# Leave the section out where nothing can be written; then stale reads are not visible.
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
  within: 100ms  # staleness up to this is acceptable
  horizon: 2s
  # rate: 5/s  # probes; left out: sized with the plan, up to 3 in 10 of the workload's requests

# What has to improve (better), what may not get worse by more than the margin (no-worse), and hard limits (at_most).
# Shares in percentage points, latencies relative (10 %) or absolute (5ms), database calls per request as a number.
goals:
  hit_ratio: {want: better, margin: 2 %}
  latency_p95_ms: {want: no-worse, margin: 10 %}
  stale_reads: {want: no-worse, margin: 5 %, at_most: 10 %}

# What the change can't touch, with the margin beyond which it counts as moved: where it moves, the run is INVALID.
# controls: {health.latency_p50_ms: 20 %}

"""

_DESIGN = (
    "".join(f"# {design.id}: {design.words.summary}.\n" for design in DESIGNS.values()) + f"design: {DEFAULT_DESIGN}\n"
)

_PLAN = """\

# How long to measure: a baseline, then blocks of the comparison, then one after the rollback. auto: as long as the
# goals need, two minutes of load at most; `luckyhit check` says what that gives each of them. Or with numbers:
# plan: {baseline: 10s, warmup: 2s, block: 7s, blocks: 4, after_rollback: 5s}
plan: auto
"""
