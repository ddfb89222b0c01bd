"""Each fault that the catalogue can be told to have, by what the freshness probe sees of it.

What has to be seen follows from the service's design; each docstring derives it. Nothing here depends on how fast the
machine is: either the outcome of each single read is known, or its probability is, and then the bounds are those of
the binomial distribution that are missed less than once in a million runs.
"""

import json
import time

import pandas as pd
import pytest
from probed_catalogue import ABSENT, BULK, DETAIL, LIST, REFUSED, freshness, late_reads, probe
from scipy.stats import binom

from luckyhit.judge.freshness import classify
from luckyhit.judge.freshness.sessions import disagreements, session_violations
from luckyhit.judge.freshness.windows import staleness_windows
from world.sick import PAUSE_S, SICK

RARE = 1e-6 / 2
QUIET = {"prestates": ["warm", "cold"]}
WARM = {"prestates": ["warm"]}
ENOUGH_RACES = 8
"""Of so many in a row one is caught, where the machine has the time: see `assert_race_is_caught`."""
RACES = {"prestates": ["in-flight"], "modes": ["once"], "first_version": 2_000_000}


def only(outcomes, outcome, *, at_least):
    """Whether all reads had this outcome, and were not too few to tell."""
    return set(outcomes) == {outcome} and outcomes[outcome] >= at_least


def seen_in_each_state(measured):
    """Late reads, and polls that tell how long a version was old."""
    some = late_reads(warm=1, cold=1, in_flight=1)
    return some(measured) and len(staleness_windows(measured.classified, measured.writes)) > 0


@pytest.mark.parametrize("local_ttl", ["0", "300"])
def test_the_healthy_service_shows_nothing_in_any_state(threaded, small_database, local_ttl):
    """By default an update empties the pages that show it between its commit and its answer; loads that it overtook
    store nothing; absence is not cached; a refused update reaches no table. So no read that is sent after an answer can
    show what was before, by no route, plain or conditional (the validator is the page's), on no connection. A memory in
    front of Redis changes none of it while there is one process."""
    service = threaded(CATALOGUE_LOCAL_TTL=local_ttl)
    spec = freshness(reads=[DETAIL, LIST], keys={"first": 1001, "last": 1040}, refused=REFUSED)
    measured = probe(service.base_url, spec, small_database, seconds=1.2, enough=seen_in_each_state)
    for prestate in ("warm", "cold", "in-flight"):
        assert only(measured.outcomes(prestate), "fresh", at_least=1), prestate
    assert set(measured.writes["prestate"]) == {"warm", "cold", "in-flight", "refused"}
    assert set(measured.reads["route"]) == {"detail", "list"}
    assert {"stale", "never-committed"}.isdisjoint(measured.classified["outcome"])
    refused = measured.writes[measured.writes["prestate"] == "refused"]
    assert set(refused["status"]) == {422} and not measured.reads["seen_version"].isin(refused["version"]).any()
    conditional = measured.late[measured.late["conditional"]]
    assert len(conditional) and set(conditional["status"]) == {200}
    violations = session_violations(measured.classified, measured.writes)
    assert not any(violations[kind] for kind in ("monotonic_reads", "read_your_writes", "never_committed"))
    assert disagreements(measured.classified).empty
    assert set(staleness_windows(measured.classified, measured.writes)["low_ms"]) == {0}

    spec = freshness(prestates=["cold"], absent=ABSENT, first_version=5_000_000)
    created = probe(service.base_url, spec, small_database, seconds=0.7, enough=late_reads(absent=3))
    assert only(created.outcomes("absent"), "fresh", at_least=3)


def test_the_wrong_key_leaves_what_was_read_and_nothing_else(threaded, small_database):
    """The DEL names a key that is not there. A page that was read before the write stays for the TTL (300 s, beyond
    the horizon): every read of a warm key is stale, and a 304 to the old validator is the same fault. A cold key has
    no entry: its first read comes from the database."""
    service = threaded(**SICK["key-mismatch"].settings)
    some = late_reads(warm=17, cold=1)  # of fewer, a share of 1 is no proof of one above 0.8

    def enough(measured):
        return some(measured) and len(staleness_windows(measured.classified, measured.writes)) > 0

    measured = probe(service.base_url, freshness(**QUIET), small_database, enough=enough)
    assert only(measured.outcomes("warm"), "stale", at_least=17)
    assert only(measured.outcomes("cold"), "fresh", at_least=1)
    assert set(measured.late[measured.late["conditional"]]["status"]) == {304}
    windows = staleness_windows(measured.classified, measured.writes)
    assert len(windows) and windows["censored"].all()
    share = classify.share_of(classify.late_reads(measured.classified, within_s=0))
    assert share.share == 1 and share.reads > 10


def test_without_invalidation_each_page_is_fresh_from_its_ttl_on(threaded, small_database):
    """Nothing but the TTL ends an entry. Stored at s, it ends at s + TTL: a read that is done before shows the old
    version, one that is sent after shows the new one, and the window that the polls find holds s + TTL. The service's
    log tells between which instants s lies: the first request for the key stored it."""
    ttl_s = 0.3
    service = threaded(**SICK["missing-invalidation"].settings, CATALOGUE_TTL=str(ttl_s))
    wall_ns = time.time_ns() - time.monotonic_ns()
    rounding_ns = 2_000_000  # the log and Redis count in whole milliseconds
    ttl_ns = round(ttl_s * 1e9)

    def entry_ends():
        """By key: the earliest and the latest instant at which the first entry can have ended."""
        ends = {}
        for line in service.log_lines():
            if line["method"] == "GET" and line["cache"] == "fwd=miss; stored":
                done_ns = round(line["at"] * 1e9) - wall_ns
                sent_ns = done_ns - round(line["ms"] * 1e6)
                first_end = ends.setdefault(line["key"].rpartition(":")[2], [sent_ns + ttl_ns, done_ns + ttl_ns])
                if sent_ns < first_end[0]:  # two that missed at the same time
                    first_end[1] = max(first_end[1], done_ns + ttl_ns)
        return ends

    def around(measured, ends):
        """Reads that were surely done before their page ended, and reads that were surely sent behind that."""
        warm = measured.late[(measured.late["prestate"] == "warm") & measured.late["key"].isin(ends)]
        earliest, latest = (
            pd.Series([ends[key][end] for key in warm["key"]], index=warm.index, dtype="int64") for end in (0, 1)
        )
        return warm[warm["done_ns"] < earliest - rounding_ns], warm[warm["sent_ns"] > latest + rounding_ns]

    def enough(measured):
        stale, fresh = around(measured, entry_ends())
        return late_reads(cold=1)(measured) and len(stale) >= 10 and len(fresh) >= 5

    spec = freshness(horizon="500ms", **QUIET)
    measured = probe(service.base_url, spec, small_database, seconds=1.4, enough=enough)
    service.stop()

    ends = entry_ends()
    assert measured.writes["key"].is_unique and set(measured.late["key"]) <= set(ends)
    surely_stale, surely_fresh = around(measured, ends)
    assert len(surely_stale) >= 10 and set(surely_stale["outcome"]) == {"stale"}
    assert len(surely_fresh) >= 5 and set(surely_fresh["outcome"]) == {"fresh"}
    assert only(measured.outcomes("cold"), "fresh", at_least=1)

    windows = staleness_windows(measured.classified, measured.writes)
    # A window stays open only where no read of its poll came that late.
    ended = windows[~windows["censored"]]
    assert len(ended) and not set(windows[windows["censored"]]["version"]) & set(surely_fresh["probe"])
    for window in ended.itertuples():
        write = measured.writes[measured.writes["version"] == window.version].iloc[0]
        assert write["acked_ns"] + window.low_ms * 1e6 <= ends[window.key][1] + rounding_ns
        assert write["acked_ns"] + window.high_ms * 1e6 >= ends[window.key][0] - rounding_ns


def raced(measured):
    """Whether enough probes had what `assert_race_is_caught` takes for granted: write and racing read, of which one has
    the pause in it, took 3/5 of it longer at most. A machine that is short of time needs a slower pace for that."""
    late = measured.late[measured.late["prestate"] == "in-flight"]
    racing = measured.reads.query("delay_ns == 0").set_index("probe")
    took = [late["acked_ns"] - late["written_ns"], late["probe"].map(racing["done_ns"] - racing["sent_ns"])]
    in_time = [(ns <= 1.6 * float(PAUSE_S) * 1e9).fillna(False) for ns in took]
    return (in_time[0] & in_time[1]).sum() >= ENOUGH_RACES


def assert_race_is_caught(measured, cache):
    """At least one in-flight probe left an old page behind: the one that the racing read had seen, which is then in
    the cache until it expires.

    The race is open for nearly all of the pause (for all but a load and a few round trips), and the probe spreads its
    offsets evenly over the pause, a load and a few round trips. Where load and round trips take as long as 3/5 of the
    pause, that is still a quarter, and of any eight offsets in a row at least one is in any quarter.
    """
    late = measured.late[measured.late["prestate"] == "in-flight"]
    stale = late[late["outcome"] == "stale"]
    assert len(late) >= ENOUGH_RACES and len(stale) >= 1
    # What was stored is the version that the emptied key got first: the one that the racing read saw.
    assert (stale["seen_version"] == stale["probe"] - 1).all()
    racing = measured.reads.query("delay_ns == 0").set_index("probe")["seen_version"]
    assert (stale["probe"].map(racing) == stale["seen_version"]).all()
    last = measured.writes.groupby("key")["version"].max()
    for key, probed, seen in zip(stale["key"], stale["probe"], stale["seen_version"], strict=True):
        if last[key] == probed:
            name = f"catalogue:v2:product:{key}"
            assert json.loads(cache.get(name).partition(b"\n")[2])["price_cents"] == seen
            assert cache.pttl(name) > 0


def test_a_read_undoes_a_delete_before_the_commit(threaded, small_database, cache):
    """DEL, pause, commit, answer. Nobody reads a warm key in the pause, so its next read misses: all fresh. A read
    that is sent in the pause finds no entry, reads the old row and stores it for the whole TTL: nothing comes behind
    the commit to delete it, so every later read is stale."""
    service = threaded(**SICK["invalidate-before-commit"].settings)
    quiet = probe(service.base_url, freshness(**WARM), small_database, seconds=0.9, enough=late_reads(warm=5))
    assert only(quiet.outcomes("warm"), "fresh", at_least=5)
    spec = freshness(**RACES, keys={"first": 1, "last": 200})
    racing = probe(service.base_url, spec, small_database, enough=raced)
    assert_race_is_caught(racing, cache)


@pytest.mark.parametrize("guard", ["off", "on"])
def test_a_load_that_a_write_overtakes_stores_the_old_page(threaded, small_database, cache, guard):
    """A load reads the row, pauses, stores the page. Where commit and DEL come in that pause, the old page is stored
    behind the DEL and stays for the TTL. A warm key's load is over when it is written: always fresh. With the guard,
    the load knows that it was overtaken, and stores nothing: fresh in every state."""
    service = threaded(**{**SICK["stale-set-race"].settings, "CATALOGUE_STORE_GUARD": guard})
    quiet = probe(service.base_url, freshness(**WARM), small_database, seconds=0.9, enough=late_reads(warm=5))
    assert only(quiet.outcomes("warm"), "fresh", at_least=5)
    spec = freshness(**RACES, keys={"first": 1, "last": 200})
    racing = probe(service.base_url, spec, small_database, enough=raced if guard == "off" else late_reads(in_flight=5))
    if guard == "off":
        assert_race_is_caught(racing, cache)
    else:
        assert only(racing.outcomes("in-flight"), "fresh", at_least=5)


def test_a_cached_absence_hides_what_was_created(threaded, small_database):
    """The read before the creation stores "no such product" for the TTL (300 s), and the creation deletes list pages
    only: every read behind it says 404. Products that are there are invalidated as ever."""
    service = threaded(**SICK["cached-error"].settings)
    spec = freshness(prestates=["cold"], absent=ABSENT)
    created = probe(service.base_url, spec, small_database, seconds=0.8, enough=late_reads(absent=3, cold=3))
    assert only(created.outcomes("absent"), "stale", at_least=3)
    assert created.late[created.late["prestate"] == "absent"]["absent"].all()
    assert only(created.outcomes("cold"), "fresh", at_least=3)
    spec = freshness(first_version=2_000_000, **WARM)
    updated = probe(service.base_url, spec, small_database, seconds=0.8, enough=late_reads(warm=5))
    assert only(updated.outcomes("warm"), "fresh", at_least=5)


def test_the_bulk_route_forgets_what_the_single_route_does(threaded, small_database):
    """The same probe of the same service, with only the way of writing exchanged: by the single route each write
    empties the page (all fresh), by the bulk route none does (warm reads stale for the TTL of 300 s, cold ones
    fresh)."""
    service = threaded(**SICK["key-mismatch-in-bulk"].settings)
    both = late_reads(warm=1, cold=1)
    single = probe(service.base_url, freshness(**QUIET), small_database, seconds=0.9, enough=both)
    by_bulk = freshness(write=BULK, keys={"first": 1, "last": 200}, **QUIET)
    bulk = probe(service.base_url, by_bulk, small_database, seconds=0.9, enough=both)
    for prestate, of_bulk in (("warm", "stale"), ("cold", "fresh")):
        assert only(single.outcomes(prestate), "fresh", at_least=1)
        assert only(bulk.outcomes(prestate), of_bulk, at_least=1)


def mixed(measured):
    """Outcomes of reads on new connections between the first and the last stale one of each poll."""
    outcomes = []
    for _, reads in measured.late.sort_values("sent_ns").groupby("probe"):
        stale = reads.index[reads["outcome"] == "stale"]
        if len(stale) >= 2:
            inside = reads.loc[stale[0] : stale[-1]].iloc[1:-1]
            outcomes += inside[inside["fresh_connection"]]["outcome"].to_list()
    return outcomes


def test_a_cache_in_each_process_is_emptied_in_one_of_two(start_service, small_database):
    """Each worker keeps a page for the local TTL, and the writer's own is emptied. So a read that the writer's worker
    answers is never stale, nor is one that is sent a local TTL after the write: all reads before it are over by then
    (a read beside the write could store the old page later). The other worker, where it was warmed, is stale until
    then: each worker goes from old to new once.
    A new connection leads to either with probability 1/2, independently of all others: of the reads on new
    connections between the first and the last stale one of a poll, half are stale."""
    local_ttl_s = 0.4
    service = start_service(
        database=small_database, **{**SICK["per-process-cache"].settings, "CATALOGUE_LOCAL_TTL": str(local_ttl_s)}
    )
    spec = freshness(modes=["burst"], horizon="600ms", rate="30/s", **WARM)
    measured = probe(
        str(service.http.base_url), spec, small_database, seconds=1.7, enough=lambda block: len(mixed(block)) >= 10
    )
    late = measured.late
    workers = set(late["worker"].dropna())
    assert len(workers) == 2

    new = late[late["fresh_connection"]]
    counts = new["worker"].value_counts()
    assert binom.ppf(RARE, len(new), 0.5) <= counts.min()

    assert set(late[late["sent_ns"] > late["written_ns"] + local_ttl_s * 1e9]["outcome"]) == {"fresh"}
    by_connection = measured.reads.drop_duplicates("connection").set_index("connection")["worker"].astype(object)
    writers = measured.writes.set_index("version")["connection"].map(by_connection).dropna()
    assert len(writers) >= 3
    for version, writer in writers.items():
        assert set(late[(late["probe"] == version) & (late["worker"] == writer)]["outcome"]) <= {"fresh"}
    violations = session_violations(measured.classified, measured.writes)
    assert violations["read_your_writes"] == 0

    for _, reads in late.groupby("probe"):
        for _, of_worker in reads.sort_values("sent_ns").groupby("worker", observed=True):
            assert (of_worker["outcome"] == "fresh").is_monotonic_increasing, "from old to new, once"
    between, stale = len(mixed(measured)), mixed(measured).count("stale")
    assert between >= 10
    assert binom.ppf(RARE, between, 0.5) <= stale <= binom.ppf(1 - RARE, between, 0.5)

    between_workers = disagreements(measured.classified).query("between == 'workers'")
    assert len(between_workers) and set(between_workers["first"]) | set(between_workers["second"]) == workers
