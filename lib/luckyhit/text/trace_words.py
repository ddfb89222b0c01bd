"""Why a trace does not know something, in words."""

from __future__ import annotations

from luckyhit.records.trace import UnknownId

UNKNOWN_WORDS: dict[UnknownId, str] = {
    "not-started": "the service did not start with its libraries watched, so nothing was traced",
    "not-loaded": "the process that answers does not load what watches its libraries (python -I, a container, or an "
    "interpreter older than 3.9), so nothing was traced",
    "ended": "the service ended while it was traced",
    "failed": "this version of {} can't be watched",
    "unwatched-cache": "lookups through {} are not watched",
    "unwatched-database": "calls through {} are not watched",
    "no-database": "no database library that is watched was imported",
    "no-cache": "no cache library that is watched was imported",
    "script": "a script ran in the cache server, and which keys it touches is not known",
    "background": "the service asks its cache or database without a request, too, which may be among the numbers",
    "no-answer": "requests without an answer were left out",
}
"""By id. `{}`: the library, which follows a colon."""


def unknown_sentence(unknown: str) -> str:
    """Half a sentence; an id that is not known is shown as it is."""
    name, _, library = unknown.partition(":")
    return next((words for known, words in UNKNOWN_WORDS.items() if known == name), unknown).replace("{}", library)
