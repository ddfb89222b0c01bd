"""The classes of misses, wrong answers and everything else, with the outcomes that each predicts."""

from __future__ import annotations

from luckyhit.judge.diagnosis.fault_forms import Fault, FaultForm, cells

OTHER_FAULTS = (
    Fault(
        "stampede",
        (
            FaultForm(
                "no-single-flight",
                cells(
                    burst_on_cold_key="many-loads",
                    burst_at_expiry="many-loads",
                    baseline_answers="as-expected server-errors",
                    repeat_request="hit",
                    burst_ttl_doubled="as-before",
                ),
            ),
        ),
    ),
    Fault(
        "ttl-shorter-than-load",
        (
            FaultForm(
                "dead-when-stored",
                cells(
                    baseline_hits="hardly-any",
                    repeat_request="always-miss",
                    keys_of_a_repeat="stored-again nothing-stored",
                    entry_lifetime="gone-at-once shorter",
                    burst_on_cold_key="many-loads many-without-harm",
                    burst_at_expiry="many-loads many-without-harm",
                    burst_ttl_doubled="hits-now",
                    unrelated_write="misses-anyway",
                ),
            ),
            FaultForm(
                "shorter-than-its-load",
                cells(
                    baseline_hits="hits hardly-any",
                    repeat_request="hit some-misses always-miss",
                    keys_of_a_repeat="one-key stored-again nothing-stored",
                    entry_lifetime="as-declared shorter gone-at-once",
                    burst_on_cold_key="many-loads many-without-harm",
                    burst_at_expiry="many-loads many-without-harm",
                    burst_ttl_doubled="hits-now",
                    unrelated_write="still-hit misses-anyway",
                ),
            ),
        ),
    ),
    Fault(
        "over-invalidation",
        (
            FaultForm(
                "flush-or-counter",
                cells(
                    unrelated_write="miss",
                    keys_read_and_deleted="same-key nothing-touched other-key many-keys",
                    baseline_hits="hits hardly-any",
                    repeat_request="hit",
                ),
            ),
        ),
    ),
    Fault(
        "uncacheable-key",
        (
            FaultForm(
                "new-key-each-time",
                cells(
                    baseline_hits="hardly-any",
                    repeat_request="always-miss",
                    keys_of_a_repeat="new-key-each-time nothing-stored",
                    keys_read_and_deleted="same-key nothing-touched other-key",
                    burst_on_cold_key="many-loads many-without-harm",
                    burst_at_expiry="many-loads many-without-harm",
                    burst_ttl_doubled="as-before",
                    unrelated_write="misses-anyway",
                    raise_the_memory_limit="never-evicted misses-stay",
                ),
            ),
        ),
    ),
    Fault(
        "underspecified-key",
        (
            FaultForm(
                "part-left-out",
                cells(
                    vary_one_dimension="answer-of-another",
                    baseline_answers="as-expected wrong-answers",
                ),
            ),
        ),
    ),
    Fault(
        "cached-error",
        (
            FaultForm(
                "failure",
                cells(error_then_heal="error-stays", baseline_answers="as-expected wrong-answers server-errors"),
            ),
            FaultForm(
                "absence", cells(create_after_absent="still-absent", baseline_answers="as-expected wrong-answers")
            ),
        ),
    ),
    Fault(
        "eviction",
        (
            FaultForm(
                "memory-pressure",
                cells(
                    evicted_keys="evicted",
                    raise_the_memory_limit="misses-gone",
                    baseline_hits="hits hardly-any",
                    repeat_request="hit some-misses always-miss",
                    keys_of_a_repeat="one-key stored-again",
                    entry_lifetime="as-declared undeclared gone-at-once",
                    unrelated_write="still-hit misses-anyway",
                    burst_ttl_doubled="as-before",
                ),
            ),
        ),
    ),
    Fault(
        "foreign-cleaner",
        (
            FaultForm(
                "deletes-at-intervals",
                cells(
                    quiet_wait="deleted-without-a-write",
                    baseline_hits="hits hardly-any",
                    repeat_request="hit some-misses",
                    keys_of_a_repeat="one-key stored-again",
                    unrelated_write="still-hit misses-anyway",
                    burst_ttl_doubled="as-before",
                    raise_the_memory_limit="never-evicted misses-stay",
                ),
            ),
        ),
    ),
    Fault(
        "deploy-mismatch",
        (
            FaultForm(
                "old-payload",
                cells(
                    read_stored_entries="right-once-deleted",
                    baseline_answers="as-expected wrong-answers server-errors",
                ),
            ),
        ),
    ),
    Fault(
        "lying-indicator",
        (
            FaultForm(
                "status-contradicts",
                cells(
                    header_against_body="contradicts",
                    baseline_hits="hits hardly-any",
                    repeat_request="hit some-misses always-miss",
                    unrelated_write="still-hit misses-anyway",
                ),
            ),
        ),
    ),
    Fault(
        "replayed-headers",
        (
            FaultForm(
                "headers-stored",
                cells(same_headers_for_two="shared-headers", header_against_body="agrees contradicts"),
            ),
        ),
    ),
    Fault("bookkeeping-growth", (FaultForm("index-of-keys", cells(many_new_urls="grows")),)),
    Fault(
        "clock-content",
        (
            FaultForm(
                "changes-by-time",
                cells(
                    # Between two instants nothing is old.
                    wait_for_the_instant="alike old-after-the-instant",
                    baseline_answers="as-expected wrong-answers",
                ),
            ),
        ),
    ),
    Fault(
        "invalidation-breaks-write",
        (
            FaultForm(
                "write-fails",
                cells(stop_cache_during_write="write-fails", baseline_answers="as-expected server-errors"),
            ),
            FaultForm("delete-skipped", cells(stop_cache_during_write="stale-after-outage")),
        ),
    ),
)
