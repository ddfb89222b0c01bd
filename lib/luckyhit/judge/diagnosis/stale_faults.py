"""The classes whose readers get old data, with the outcomes that each predicts."""

from __future__ import annotations

from luckyhit.judge.diagnosis.fault_forms import Fault, FaultForm, cells, or_healthy

_STALE = cells(
    baseline_staleness="stale",
    write_then_read="stays-stale",
    overlapping_reads="stale-after-overlap",
    delay_the_store="stale-as-before stale-with-delay",
    delay_the_delete_reply="stale-as-before",
    hold_the_commit="stale-as-before",
    one_worker="stale-with-one",
    cut_the_signal="stale-as-before",
    restart="stale-after-restart",
    read_from_primary="stale-from-primary",
    stop_cache_during_write="stale-as-before",
    wait_out_the_ttl="ends-at-ttl",
    delete_the_read_key="fresh-after",
    refresh_then_read="new",
    write_then_each_variant="alike",
)
"""An entry of a shared cache that stays after every write."""
_SOMETIMES_STALE = or_healthy(_STALE)
_NEVER_BY_ITSELF = cells(
    delay_the_delete_reply="never-stale stale-as-before", hold_the_commit="never-stale stale-as-before"
)
_REPLICA = (
    _SOMETIMES_STALE
    | _NEVER_BY_ITSELF
    | cells(
        read_from_primary="fresh-from-primary",
        read_with_cache_emptied="fresh first-read-stale",
        keys_read_and_deleted="same-key",
        delete_the_read_key="not-stale fresh-after still-stale",
        write_then_each_worker="alike workers-differ",
    )
)

STALE_FAULTS = (
    Fault("missing-invalidation", (FaultForm("no-delete", _STALE | cells(keys_read_and_deleted="nothing-touched")),)),
    Fault(
        "key-mismatch",
        (
            FaultForm("another-key", _STALE | cells(keys_read_and_deleted="other-key")),
            FaultForm(
                "variant-left-out",
                _SOMETIMES_STALE
                | cells(keys_read_and_deleted="other-key", write_then_each_variant="some-variants-stale"),
            ),
        ),
    ),
    Fault(
        "invalidate-before-commit",
        (
            FaultForm(
                "inside-the-transaction",
                _SOMETIMES_STALE
                | cells(
                    keys_read_and_deleted="same-key",
                    # Its window ends with the acknowledgement, behind which these reads begin.
                    write_then_read="fresh within-bound",
                    delay_the_delete_reply="stale-with-delay",
                    hold_the_commit="stale-with-delay",
                    refused_write="unchanged refused-value-shown",
                ),
            ),
        ),
    ),
    Fault(
        "stale-set-race",
        (
            FaultForm(
                "slow-loader",
                _SOMETIMES_STALE
                | _NEVER_BY_ITSELF
                | cells(
                    keys_read_and_deleted="same-key",
                    write_then_read="fresh within-bound",
                    delay_the_store="stale-with-delay",
                ),
            ),
        ),
    ),
    Fault(
        "ttl-wrong",
        (
            FaultForm(
                "missing-or-long",
                _SOMETIMES_STALE
                | cells(
                    keys_read_and_deleted="nothing-touched",
                    entry_lifetime="no-ttl longer",
                    wait_out_the_ttl="not-stale within-bound outlives-ttl",
                ),
            ),
            # Reads behind a write are right then; what else changes the thing stays unseen for too long.
            FaultForm("long-beside-a-delete", cells(keys_read_and_deleted="same-key", entry_lifetime="no-ttl longer")),
            FaultForm(
                "renewed-by-reads",
                _SOMETIMES_STALE
                | cells(
                    keys_read_and_deleted="same-key nothing-touched",
                    entry_lifetime="as-declared undeclared longer",
                    lifetime_runs_down="renewed",
                    wait_out_the_ttl="outlives-ttl",
                    wait_with_siblings="same-end renewed",
                ),
            ),
            FaultForm(
                "renewed-by-siblings",
                _SOMETIMES_STALE
                | cells(
                    keys_read_and_deleted="same-key nothing-touched",
                    entry_lifetime="as-declared undeclared longer",
                    siblings_in_use="siblings",
                    wait_out_the_ttl="not-stale within-bound ends-at-ttl outlives-ttl",
                    wait_with_siblings="renewed",
                ),
            ),
            FaultForm(
                "too-short",
                cells(
                    baseline_hits="hits hardly-any",
                    repeat_request="hit some-misses",
                    keys_of_a_repeat="one-key stored-again",
                    entry_lifetime="shorter",
                    unrelated_write="still-hit misses-anyway",
                    burst_ttl_doubled="as-before",
                    raise_the_memory_limit="never-evicted misses-stay",
                ),
            ),
        ),
    ),
    Fault(
        "per-process-cache",
        (
            FaultForm(
                "own-copy",
                _SOMETIMES_STALE
                | _NEVER_BY_ITSELF
                | cells(
                    workers_in_use="several-processes",
                    write_then_read="fresh within-bound flapping stays-stale",
                    write_then_each_worker="workers-differ",
                    one_worker="fresh-with-one",
                    restart="never-stale fresh-after-restart stale-after-restart",
                    keys_read_and_deleted="same-key nothing-touched",
                    delete_the_read_key="not-stale still-stale",
                    read_with_cache_emptied="fresh first-read-stale stays-stale",
                    wait_out_the_ttl="not-stale within-bound ends-at-ttl outlives-ttl",
                    refresh_then_read="new old-after-refresh",
                    repeat_request="hit some-misses",
                    keys_of_a_repeat="one-key nothing-stored stored-again",
                ),
            ),
        ),
    ),
    Fault(
        "outer-layer",
        (
            FaultForm(
                "validator",
                cells(
                    baseline_staleness="none-stale stale",
                    write_then_conditional_read="conditional-stale",
                    write_then_read="fresh within-bound",
                ),
            ),
            FaultForm(
                "front",
                _SOMETIMES_STALE
                | _NEVER_BY_ITSELF
                | cells(
                    layers_in_use="several-layers",
                    around_the_layer="front-stale",
                    write_then_conditional_read="as-plain conditional-stale",
                    write_then_each_variant="alike some-variants-stale",
                    keys_read_and_deleted="same-key other-key",
                    delete_the_read_key="not-stale still-stale",
                    read_with_cache_emptied="fresh stays-stale",
                    wait_out_the_ttl="not-stale within-bound ends-at-ttl outlives-ttl",
                    refresh_then_read="new",
                    header_against_body="agrees contradicts",
                ),
            ),
        ),
    ),
    Fault(
        "restamped-stale",
        (
            FaultForm(
                "refreshed-from-a-cache",
                _STALE
                | _NEVER_BY_ITSELF
                | cells(
                    refresh_then_read="old-after-refresh",
                    around_the_layer="alike front-stale",
                    keys_read_and_deleted="same-key nothing-touched other-key",
                    delete_the_read_key="not-stale fresh-after still-stale",
                    read_with_cache_emptied="fresh stays-stale",
                    wait_out_the_ttl="outlives-ttl",
                    write_then_each_variant="alike some-variants-stale",
                ),
            ),
        ),
    ),
    Fault(
        "replica-lag",
        (
            FaultForm(
                "load-from-a-replica",
                _REPLICA
                | cells(
                    databases_in_use="several-databases",
                    write_then_read="fresh within-bound first-read-stale flapping stays-stale",
                ),
            ),
            # In memory, or behind an address that could not be seen.
            FaultForm(
                "load-from-an-unseen-replica",
                _REPLICA
                | cells(databases_in_use="one-database", write_then_read="stays-stale", write_then_each_worker="alike"),
            ),
        ),
    ),
    Fault(
        "ack-before-commit",
        (
            FaultForm(
                "answered-first",
                _SOMETIMES_STALE
                | cells(
                    write_then_read="first-read-stale",
                    read_with_cache_emptied="first-read-stale",
                    hold_the_commit="acknowledged-at-once",
                    delay_the_delete_reply="never-stale stale-as-before",
                    keys_read_and_deleted="same-key nothing-touched",
                    delete_the_read_key="not-stale",
                    wait_out_the_ttl="not-stale within-bound",
                ),
            ),
            # A read between the delete and the late commit stores the old value again.
            FaultForm(
                "answered-and-deleted-first",
                _SOMETIMES_STALE
                | cells(
                    databases_in_use="one-database",
                    write_then_read="first-read-stale stays-stale",
                    read_with_cache_emptied="first-read-stale",
                    hold_the_commit="acknowledged-at-once",
                    delay_the_delete_reply="never-stale stale-as-before stale-with-delay",
                    keys_read_and_deleted="same-key",
                    delete_the_read_key="not-stale fresh-after still-stale",
                    wait_out_the_ttl="not-stale within-bound ends-at-ttl",
                ),
            ),
        ),
    ),
    Fault(
        "lost-signal",
        (
            FaultForm(
                "message-lost",
                _SOMETIMES_STALE
                | _NEVER_BY_ITSELF
                | cells(
                    subscribers_in_use="subscribers",
                    cut_the_signal="stale-since-cut",
                    restart="never-stale fresh-after-restart",
                    one_worker="never-stale fresh-with-one stale-with-one",
                    keys_read_and_deleted="same-key nothing-touched",
                    delete_the_read_key="not-stale fresh-after still-stale",
                    write_then_each_worker="alike workers-differ",
                    write_then_read="fresh within-bound flapping stays-stale",
                    wait_out_the_ttl="not-stale within-bound ends-at-ttl outlives-ttl",
                ),
            ),
        ),
    ),
)
