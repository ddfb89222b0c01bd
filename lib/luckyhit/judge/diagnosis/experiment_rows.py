"""The experiments: what each needs, how long it takes, and the outcomes it can have.

One row an experiment; what its ids mean stands in `luckyhit.text.experiment_words`.
"""

from __future__ import annotations

from luckyhit.judge.diagnosis.experiment import Experiment, Outcome


def _healthy(outcome_id: str) -> Outcome:
    return Outcome(outcome_id, healthy=True)


def _exact(outcome_id: str) -> Outcome:
    """What a healthy service never has, such as an old value: a few of many trials are enough."""
    return Outcome(outcome_id, above=0.01, below=0.45, exact=True)


def _fact(outcome_id: str) -> Outcome:
    """Seen once, it is certain, and a healthy service may have it."""
    return Outcome(outcome_id, healthy=True, above=0.0)


_ROWS = (
    # What the baseline's records show, without another request.
    Experiment("baseline-staleness", ("baseline",), 0.0, (_healthy("none-stale"), _exact("stale")), look=True),
    Experiment("baseline-hits", ("baseline",), 0.0, (_healthy("hits"), Outcome("hardly-any")), look=True),
    Experiment(
        "baseline-answers",
        ("baseline",),
        0.0,
        (_healthy("as-expected"), _exact("wrong-answers"), _exact("server-errors")),
        look=True,
    ),
    # What the processes of a stack of our own show: facts that rule classes out.
    Experiment(
        "workers-in-use",
        ("own-stack",),
        1.0,
        (_fact("one-process"), _fact("several-processes")),
        ranked=False,
        look=True,
    ),
    Experiment(
        "databases-in-use",
        ("own-stack",),
        1.0,
        (_fact("one-database"), _fact("several-databases")),
        ranked=False,
        look=True,
    ),
    Experiment("layers-in-use", (), 1.0, (_fact("one-layer"), _fact("several-layers")), ranked=False, look=True),
    Experiment(
        "subscribers-in-use",
        ("cache-trace", "own-stack"),
        0.1,
        (_fact("no-subscribers"), _fact("subscribers")),
        ranked=False,
        look=True,
    ),
    Experiment(
        "siblings-in-use",
        ("cache-trace",),
        0.5,
        (_fact("no-siblings"), _fact("siblings")),
        ranked=False,
        look=True,
    ),
    Experiment(
        "lifetime-runs-down",
        ("cache-access", "known-ttl"),
        1.5,
        (_healthy("runs-down"), _healthy("renewed")),
        ranked=False,
        look=True,
    ),
    # Before anything else is read: what others stored is there only now.
    Experiment(
        "read-stored-entries",
        ("cache-trace", "cache-writes", "stored-entries"),
        1.0,
        (_healthy("none-stored"), _healthy("as-expected"), _exact("right-once-deleted")),
        look=True,
    ),
    # No class explains a wrong answer that was just loaded, nor one that storing and reading back made wrong.
    Experiment(
        "answers-when-loaded",
        ("cache-writes",),
        2.0,
        (_healthy("as-expected"), _exact("wrong-when-read-again"), _exact("wrong-when-loaded")),
        look=True,
    ),
    # Reads alone.
    Experiment(
        "repeat-request",
        (),
        2.0,
        (_healthy("hit"), Outcome("some-misses", above=0.1, below=0.45), Outcome("always-miss")),
    ),
    Experiment(
        "keys-of-a-repeat",
        ("cache-access",),
        2.0,
        (_healthy("one-key"), _healthy("nothing-stored"), Outcome("stored-again"), Outcome("new-key-each-time")),
        ranked=False,
        within="repeat-request",
    ),
    Experiment(
        "entry-lifetime",
        ("cache-access", "known-ttl"),
        1.0,
        (
            _healthy("as-declared"),
            _healthy("undeclared"),
            Outcome("no-ttl"),
            Outcome("longer"),
            Outcome("shorter"),
            Outcome("gone-at-once"),
        ),
        ranked=False,
        look=True,
    ),
    Experiment(
        "header-against-body",
        ("cache-status", "db-calls"),
        3.0,
        (_healthy("agrees"), _exact("contradicts")),
        within="repeat-request",
    ),
    Experiment(
        "same-headers-for-two",
        (),
        2.0,
        (_healthy("own-headers"), Outcome("shared-headers")),
        within="repeat-request",
    ),
    Experiment(
        "vary-one-dimension",
        ("variants",),
        4.0,
        (_healthy("own-answer"), _exact("answer-of-another")),
    ),
    Experiment(
        "burst-on-cold-key",
        ("db-calls",),
        4.0,
        (_healthy("one-load"), _healthy("one-per-worker"), _healthy("many-without-harm"), Outcome("many-loads")),
    ),
    Experiment(
        "burst-at-expiry",
        ("db-calls", "known-ttl"),
        8.0,
        (_healthy("one-load"), _healthy("one-per-worker"), _healthy("many-without-harm"), Outcome("many-loads")),
    ),
    Experiment(
        "burst-ttl-doubled",
        ("db-calls", "own-stack", "ttl-setting"),
        12.0,
        (_healthy("as-before"), Outcome("hits-now")),
        ranked=False,
    ),
    Experiment("many-new-urls", (), 10.0, (_healthy("flat"), Outcome("grows", above=0.6, below=0.8)), trials=40),
    Experiment(
        "quiet-wait",
        ("cache-access",),
        20.0,
        (_healthy("quiet"), _exact("deleted-without-a-write")),
    ),
    Experiment(
        "evicted-keys", ("cache-access",), 1.0, (_fact("none-evicted"), _fact("evicted")), ranked=False, look=True
    ),
    Experiment(
        "raise-the-memory-limit",
        ("cache-settings", "own-stack"),
        15.0,
        (_healthy("never-evicted"), Outcome("misses-gone"), Outcome("misses-stay")),
        ranked=False,
    ),
    Experiment(
        "wait-for-the-instant",
        ("cache-trace", "cache-writes"),
        20.0,
        (_healthy("alike"), _exact("old-after-the-instant")),
        within="quiet-wait",
    ),
    # A write, then reads.
    Experiment(
        "write-then-read",
        ("probe-writes",),
        6.0,
        (
            _healthy("fresh"),
            _healthy("within-bound"),
            _exact("first-read-stale"),
            _exact("flapping"),
            _exact("stays-stale"),
        ),
        trials=20,
    ),
    Experiment(
        "write-then-conditional-read",
        ("probe-writes", "validators"),
        3.0,
        (_healthy("as-plain"), _exact("conditional-stale")),
        within="write-then-read",
    ),
    Experiment(
        "write-then-each-worker",
        ("probe-writes", "several-workers"),
        4.0,
        (_healthy("alike"), _exact("workers-differ")),
    ),
    Experiment(
        "write-then-each-variant",
        ("probe-writes", "variants"),
        4.0,
        (_healthy("alike"), _exact("some-variants-stale")),
    ),
    Experiment("around-the-layer", ("front-layer", "probe-writes"), 4.0, (_healthy("alike"), _exact("front-stale"))),
    Experiment("refresh-then-read", ("known-ttl", "probe-writes"), 8.0, (_healthy("new"), _exact("old-after-refresh"))),
    Experiment(
        "keys-read-and-deleted",
        ("cache-trace", "probe-writes"),
        3.0,
        (_healthy("same-key"), _healthy("nothing-touched"), Outcome("other-key"), Outcome("many-keys")),
        ranked=False,
        within="write-then-read",
    ),
    Experiment(
        "delete-the-read-key",
        ("cache-trace", "cache-writes", "probe-writes"),
        4.0,
        (_healthy("not-stale"), Outcome("fresh-after"), Outcome("still-stale")),
        ranked=False,
    ),
    Experiment(
        "read-with-cache-emptied",
        ("cache-writes", "probe-writes"),
        5.0,
        (_healthy("fresh"), _exact("first-read-stale"), _exact("stays-stale")),
        trials=10,
    ),
    Experiment(
        "unrelated-write",
        ("probe-writes",),
        4.0,
        # Misses without the write are no fault of the write; `repeat-request` tells whether they are one.
        (_healthy("still-hit"), _healthy("misses-anyway"), Outcome("miss")),
    ),
    Experiment(
        "wait-out-the-ttl",
        ("known-ttl", "probe-writes"),
        10.0,
        (_healthy("not-stale"), _healthy("within-bound"), Outcome("ends-at-ttl"), Outcome("outlives-ttl")),
        ranked=False,
    ),
    Experiment(
        "wait-with-siblings",
        ("known-ttl", "probe-writes", "siblings"),
        10.0,
        (_healthy("same-end"), Outcome("renewed")),
    ),
    Experiment(
        "refused-write",
        ("probe-writes", "refused-write"),
        3.0,
        (_healthy("unchanged"), _exact("refused-value-shown")),
    ),
    Experiment("create-after-absent", ("probe-creates",), 4.0, (_healthy("appears"), _exact("still-absent"))),
    Experiment("error-then-heal", ("origin-fault", "own-stack"), 6.0, (_healthy("heals"), _exact("error-stays"))),
    # Reads in flight while something is written: delays are made outside the service.
    Experiment(
        "overlapping-reads",
        ("probe-writes",),
        7.0,
        # Of aimed overlaps a few are old wherever a cache is filled unconditionally: that alone is no fault.
        (_healthy("fresh"), _healthy("within-bound"), _healthy("raced"), _exact("stale-after-overlap")),
        trials=30,
    ),
    Experiment(
        "delay-the-store",
        ("cache-relay", "own-stack", "probe-writes"),
        8.0,
        # Any read that fills a cache unconditionally has this race: without a stale read of itself it is no fault.
        (_healthy("never-stale"), Outcome("stale-as-before"), _healthy("stale-with-delay")),
    ),
    Experiment(
        "delay-the-delete-reply",
        ("cache-relay", "own-stack", "probe-writes"),
        8.0,
        (_healthy("never-stale"), Outcome("stale-as-before"), Outcome("stale-with-delay")),
    ),
    Experiment(
        "hold-the-commit",
        ("database-relay", "own-stack", "probe-writes"),
        10.0,
        (
            _healthy("never-stale"),
            Outcome("stale-as-before"),
            Outcome("stale-with-delay"),
            Outcome("acknowledged-at-once"),
        ),
    ),
    # Another setting, a restart, an outage.
    Experiment(
        "one-worker",
        ("own-stack", "probe-writes", "worker-setting"),
        12.0,
        (_healthy("never-stale"), Outcome("fresh-with-one"), Outcome("stale-with-one")),
        ranked=False,
    ),
    Experiment(
        "cut-the-signal",
        ("cache-relay", "own-stack", "probe-writes"),
        8.0,
        (_healthy("fresh-after-cut"), Outcome("stale-as-before"), Outcome("stale-since-cut")),
    ),
    Experiment(
        "restart",
        ("own-stack", "probe-writes"),
        12.0,
        (_healthy("never-stale"), Outcome("fresh-after-restart"), Outcome("stale-after-restart")),
        ranked=False,
    ),
    Experiment(
        "stop-cache-during-write",
        ("cache-outage", "cache-relay", "own-stack", "probe-writes"),
        8.0,
        (
            _healthy("fresh-afterwards"),
            _healthy("refused-as-declared"),
            Outcome("stale-as-before"),
            Outcome("stale-after-outage"),
            Outcome("write-fails"),
        ),
    ),
    Experiment(
        "read-from-primary",
        ("own-stack", "probe-writes", "replica-setting"),
        10.0,
        (_healthy("never-stale"), Outcome("fresh-from-primary"), Outcome("stale-from-primary")),
        ranked=False,
    ),
)

EXPERIMENTS: dict[str, Experiment] = {experiment.id: experiment for experiment in _ROWS}
"""All experiments, by id."""
