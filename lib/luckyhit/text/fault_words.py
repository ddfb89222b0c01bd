"""What each fault class means: the words for the ids of `luckyhit.judge.diagnosis.table`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FaultWords:
    """A class in plain words, whole sentences but for the title. `fix`: what usually helps; `price`: what that usually
    costs."""

    title: str
    wrong: str
    readers: str
    fix: str
    price: str


FAULT_WORDS: dict[str, FaultWords] = {
    "missing-invalidation": FaultWords(
        "no write touches the entry",
        "A write changes the database, and nothing deletes or replaces the cached copy.",
        "Every read is stale until the entry expires, whatever the load.",
        "Delete the entry after the commit, on each path that writes; or declare the staleness that readers accept.",
        "One delete per write, and one miss after it.",
    ),
    "key-mismatch": FaultWords(
        "the write deletes another key than the read uses",
        "Two places build the key, and they differ: in a prefix, a scheme, a variant, the order of a query.",
        "Reads are stale until the entry expires, or only those of some variants.",
        "Build the key in one place for both, and delete all variants of an entry together.",
        "One release in which all entries miss once.",
    ),
    "invalidate-before-commit": FaultWords(
        "the entry is deleted before the write is committed",
        "Between the delete and the commit a read loads the old row and stores it again.",
        "Seldom stale, but then until the entry expires. A write that is rolled back may leave a value nobody wrote.",
        "Delete after the commit, in a hook of the transaction.",
        "A failure between the commit and the delete leaves an old entry: keep a time to live.",
    ),
    "stale-set-race": FaultWords(
        "a slow load stores its old result after the delete",
        "A read loads the old row, a write commits and deletes the entry, and then the read stores what it loaded.",
        "Seldom stale, more often under load, but then until the entry expires.",
        "Store only where nothing was deleted since the load began: by a version, a lease, or a compare-and-set.",
        "One more value to keep for each key, and a few loads that are not stored.",
    ),
    "ttl-wrong": FaultWords(
        "the time to live is not what it should be",
        "It is missing, too long, too short, or starts anew when the entry or one of its group is read.",
        "An old value outlives its declared time; or most requests miss.",
        "Set the time to live with each store, to what the case declares, and never renew it by a read.",
        "A shorter one costs loads, a longer one staleness.",
    ),
    "stampede": FaultWords(
        "many requests load one entry at once",
        "When an entry expires, each request that misses starts its own load.",
        "Answers are right; the slowest become much slower, and errors appear, whenever a popular entry expires.",
        "Let one request load and the others wait (single-flight), or serve the old entry while one refreshes it.",
        "A lock for each key, or a declared time in which reads are stale.",
    ),
    "ttl-shorter-than-load": FaultWords(
        "an entry is dead before it can be used",
        "Its time to live is shorter than the load that fills it, or starts when the load starts.",
        "Hardly a hit as soon as there is load.",
        "Make the time to live several times as long as the slowest load, and start it when the entry is stored.",
        "The longer the time to live, the longer reads may be stale.",
    ),
    "over-invalidation": FaultWords(
        "a write removes far more than it changes",
        "It flushes the cache, deletes by a broad pattern, or raises a counter that is part of every key.",
        "Answers are right, and slow after writes that have nothing to do with them.",
        "Delete the keys that the write changes.",
        "One has to know which keys those are: a forgotten one is stale.",
    ),
    "uncacheable-key": FaultWords(
        "the key is another one on every request",
        "A part of the key changes each time: the address of an object, the time, a random value, an unsorted query.",
        "Every request misses, and the cache fills with entries that nobody reads again.",
        "Build the key from the values that say what is requested, in a fixed order.",
        "None, as long as the new key leaves nothing out.",
    ),
    "underspecified-key": FaultWords(
        "the key leaves something out",
        "Two requests with different answers share a key: the page, user, language, host, or method is not in it.",
        "The second one gets the answer of the first, without any write.",
        "Put everything that changes the answer into the key, and vary on it in every layer.",
        "More entries, and fewer hits.",
    ),
    "cached-error": FaultWords(
        "an error or a 404 is cached",
        "What failed once, or did not exist yet, is cached as if it were the answer.",
        "The error, or the 404, stays after its cause is gone.",
        "Store successful answers only; give a 404 a short time to live, and delete it when its resource is created.",
        "Each failing request reaches the database again.",
    ),
    "per-process-cache": FaultWords(
        "each process has a copy of its own",
        "Entries lie in the memory of a process, and a write deletes only the copy of the process that handled it.",
        "New, old, new: it depends on the connection.",
        "Use the shared cache, or tell the other processes of each delete; else a short time to live.",
        "One round trip for each hit, or a channel for messages that has to be watched.",
    ),
    "outer-layer": FaultWords(
        "a layer in front is stale",
        "The service's own cache is right, and a second layer (validator, browser, proxy) still has the old answer.",
        "A plain read is fresh; one with a validator, or through the front, is stale.",
        "Compute the validator (ETag) from the content, and purge the front's variants together with the entry.",
        "One purge per write, and one load by each front after it.",
    ),
    "restamped-stale": FaultWords(
        "a refresh stores old content as new",
        "The refresh reads through another cache, gets the old answer, and stores it with a new date.",
        "A hit with a small age whose content is old, and stays old over refreshes.",
        "Let the refresh go round all caches.",
        "The refresh costs a whole load.",
    ),
    "eviction": FaultWords(
        "the cache runs out of memory",
        "Entries are removed to make room long before they expire.",
        "Misses without a visible cause; the more different keys are requested, the more misses.",
        "Raise the memory limit, store less, or let entries expire sooner.",
        "Memory.",
    ),
    "foreign-cleaner": FaultWords(
        "something else deletes the cache",
        "A job, a deployment, or another service that shares the cache deletes or flushes its keys.",
        "The hit ratio falls to 0 at intervals, whether or not somebody writes.",
        "Give each service a database or a prefix of its own, and let cleaners delete their own keys only.",
        "None.",
    ),
    "replica-lag": FaultWords(
        "a load reads a replica that is behind",
        "After the delete the entry is loaded from a replica that doesn't have the write yet.",
        "Stale for a moment, or until the entry expires, though it was deleted at the right time.",
        "Load from the primary for a while after a write, or wait until the replica has it.",
        "More load on the primary.",
    ),
    "ack-before-commit": FaultWords(
        "the write is acknowledged before it is committed",
        "The answer is sent first, and the transaction is committed afterwards.",
        "The first read after a write is old, and later ones are right, also with every cache off.",
        "Commit before the answer is sent.",
        "Each write waits for its commit.",
    ),
    "deploy-mismatch": FaultWords(
        "new code reads what old code stored",
        "Entries of the build before stay in the cache, in a shape that the new build doesn't expect.",
        "Errors or odd answers right after a deployment, which end as entries expire.",
        "Put a version of the payload into the key.",
        "All entries miss once after a deployment that raises it.",
    ),
    "lost-signal": FaultWords(
        "a message to invalidate was lost",
        "Deletes come by messages, and one was not delivered: a connection broke, or a subscriber stopped.",
        "Correct up to some moment, and old from then on.",
        "Drop all copies whenever the subscription was interrupted, and keep a time to live.",
        "Misses after each interruption.",
    ),
    "lying-indicator": FaultWords(
        "the cache status is wrong",
        "The header that tells hit or miss is set on every answer, replayed by a layer, or set in the wrong place.",
        "Answers may be right; every number that rests on the header is not.",
        "Set the header where the answer comes from, and let no layer store it.",
        "Numbers change: earlier ones can't be compared.",
    ),
    "replayed-headers": FaultWords(
        "headers of one request are sent to others",
        "The answer is stored with headers that belong to one request: a cookie, a date, a counter.",
        "All clients get the same ones, a session of somebody else in the worst case.",
        "Store only the headers that describe the content; never a cookie.",
        "None.",
    ),
    "bookkeeping-growth": FaultWords(
        "an index of keys grows with every new one",
        "Each miss reads and writes one large entry that lists all keys.",
        "Misses become slower with each new URL; hits stay as they were.",
        "Keep the list in a set of the cache, one member per key, and let it expire; or do without.",
        "Deletes by group need another way.",
    ),
    "clock-content": FaultWords(
        "the content changes with the clock",
        "The answer depends on the date or the hour, and no write comes that could invalidate it.",
        "Correct after a write, and wrong after midnight.",
        "Let the entry expire at the next instant at which the content changes, or put the day into the key.",
        "Many entries expire together: spread them.",
    ),
    "invalidation-breaks-write": FaultWords(
        "writes depend on the cache",
        "Where the cache doesn't answer, the delete makes the write fail, or is skipped without a word.",
        "Errors on writes during an outage of the cache; or stale reads for the whole time to live after it.",
        "Commit the write, note the delete, and make up for it when the cache is back; keep a time to live.",
        "A list of pending deletes.",
    ),
    "none": FaultWords(
        "no fault found",
        "Everything came out as it does for a service without a fault.",
        "What the case declares, such as a window of staleness, is no fault.",
        "Nothing to fix.",
        "None.",
    ),
    "outside": FaultWords(
        "something else is wrong",
        "Something came out as it never does for a service without a fault, and no class explains it.",
        "See the outcomes.",
        "Look at the outcomes and the rows behind them.",
        "Not known.",
    ),
}
"""By id of the class."""
