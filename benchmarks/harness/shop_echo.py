"""The timed echo as a shop with a cache: each page has a body of its own, its first answer in a while is a miss.

python -P shop_echo.py [MEDIAN_MS]     prints its port; ends with its standard input
"""

from __future__ import annotations

import sys
import time
import zlib
from pathlib import Path
from typing import ClassVar

sys.path.insert(0, str(Path(__file__).parent))

from timed_echo import TimedEcho, serve

KEPT_S = 20.0


class ShopEcho(TimedEcho):
    filled: ClassVar[dict[bytes, float]] = {}

    def data_received(self, data: bytes) -> None:
        self._path = data.split(b" ", 2)[1]
        super().data_received(data)

    def _response(self, began: float) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        path, now_s = self._path, time.monotonic()
        since_s = self.filled.get(path, -KEPT_S)
        is_hit = now_s - since_s < KEPT_S
        if not is_hit:
            since_s = self.filled[path] = now_s
        number = zlib.crc32(path)
        body = b'{"page": "%b", "stock": %d, "text": "%b"}' % (path, number % 1000, b"x" * (200 + number % 400))
        self._transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\nx-db-calls: %d\r\n"
            b"x-cache: %b\r\nage: %d\r\n\r\n%b"
            % (len(body), 0 if is_hit else 3, b"HIT" if is_hit else b"MISS", now_s - since_s, body)
        )


if __name__ == "__main__":
    serve(ShopEcho)
