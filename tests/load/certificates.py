"""Self-signed certificates for tests, made from nothing: RSA in whole numbers, X.509 in DER."""

from __future__ import annotations

import base64
import hashlib
import random
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path


def _prime(bits: int, rng: random.Random) -> int:
    while True:
        number = rng.getrandbits(bits) | 1 | (3 << (bits - 2))
        if (
            number % 65537 != 1
            and pow(2, number - 1, number) == 1
            and all(pow(a, number - 1, number) == 1 for a in (3, 5, 7))
        ):
            return number


@cache
def _key() -> tuple[int, int, int, int]:
    rng = random.Random(7)
    p, q = _prime(1024, rng), _prime(1024, rng)
    return p * q, pow(65537, -1, (p - 1) * (q - 1)), p, q


def _der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = len(content)
    length = (
        bytes([size])
        if size < 128
        else bytes([0x80 + (size.bit_length() + 7) // 8]) + size.to_bytes((size.bit_length() + 7) // 8)
    )
    return bytes([tag]) + length + content


def _int(number: int) -> bytes:
    return _der(2, number.to_bytes(number.bit_length() // 8 + 1))


def _oid(dotted: str) -> bytes:
    first, second, *others = map(int, dotted.split("."))
    encoded = bytes([40 * first + second])
    for number in others:
        groups = [number & 0x7F]
        while number := number >> 7:
            groups.append(0x80 | number & 0x7F)
        encoded += bytes(reversed(groups))
    return _der(6, encoded)


_RSA = _der(0x30, _oid("1.2.840.113549.1.1.1"), b"\x05\x00")
_SHA256_RSA = _der(0x30, _oid("1.2.840.113549.1.1.11"), b"\x05\x00")


def _pem(kind: str, content: bytes) -> str:
    return f"-----BEGIN {kind}-----\n{base64.encodebytes(content).decode()}-----END {kind}-----\n"


def write_certificate(path: Path, address: bytes = bytes([127, 0, 0, 1]), *, expired: bool = False) -> Path:
    """Key and certificate for an IPv4 address, in one PEM file."""
    n, d, p, q = _key()
    now = datetime.now(UTC)
    begin, end = (
        (now - timedelta(days=30), now - timedelta(days=1))
        if expired
        else (now - timedelta(days=1), now + timedelta(days=2))
    )
    name = _der(0x30, _der(0x31, _der(0x30, _oid("2.5.4.3"), _der(0x0C, b"luckyhit test"))))
    times = _der(0x30, *(_der(0x17, f"{moment:%y%m%d%H%M%SZ}".encode()) for moment in (begin, end)))
    public = _der(0x30, _RSA, _der(3, b"\x00", _der(0x30, _int(n), _int(65537))))
    names = _der(0x30, _oid("2.5.29.17"), _der(4, _der(0x30, _der(0x87, address))))
    authority = _der(0x30, _oid("2.5.29.19"), b"\x01\x01\xff", _der(4, _der(0x30, b"\x01\x01\xff")))
    extensions = _der(0xA3, _der(0x30, names, authority))
    body = _der(0x30, _der(0xA0, _int(2)), _int(1), _SHA256_RSA, name, times, name, public, extensions)
    digest = _der(0x30, _der(0x30, _oid("2.16.840.1.101.3.4.2.1"), b"\x05\x00"), _der(4, hashlib.sha256(body).digest()))
    padded = b"\x00\x01" + b"\xff" * (256 - 3 - len(digest)) + b"\x00" + digest
    signature = pow(int.from_bytes(padded), d, n).to_bytes(256)
    certificate = _der(0x30, body, _SHA256_RSA, _der(3, b"\x00", signature))
    key = _der(0x30, *map(_int, (0, n, 65537, d, p, q, d % (p - 1), d % (q - 1), pow(q, -1, p))))
    path.write_text(_pem("RSA PRIVATE KEY", key) + _pem("CERTIFICATE", certificate))
    return path
