"""The timed echo with answers as services send them: a kilobyte that differs each time, a date, a cache status.

python -P telling_echo.py [MEDIAN_MS]     prints its port; ends with its standard input
"""

from __future__ import annotations

import sys
import time
from email.utils import formatdate
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from timed_echo import TimedEcho, serve

_REST = b"x" * 1000


class TellingEcho(TimedEcho):
    answered = 0

    def _answer(self, began: float) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        type(self).answered += 1
        took_s = time.perf_counter() - began
        body = b'{"n": "%012d", "rest": "%b"}' % (self.answered, _REST)
        self._transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
            b"date: %b\r\ncache-control: max-age=60\r\nx-db-calls: %d\r\nx-cache: MISS\r\n\r\n%b"
            % (len(body), formatdate(usegmt=True).encode(), took_s * 1e9, body)
        )


if __name__ == "__main__":
    serve(TellingEcho)
