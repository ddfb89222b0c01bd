"""Which proxies and services are measured together."""

from __future__ import annotations

from itertools import product

from products import PRODUCTS

SERVICES = ("bare-600", "counted-600", "cached-600", "listed-600")
CHAINS = (
    "nginx-status--nginx-status",
    "nginx-status--varnish",
    "nginx-status--haproxy",
    "nginx--varnish",
    "varnish--varnish",
    "varnish--nginx-status",
    "varnish--trafficserver",
    "varnish-x-cache--squid",
    "squid--squid",
    "squid--varnish",
    "squid--apache-x-cache",
    "haproxy--haproxy",
    "haproxy--nginx-status",
    "haproxy--varnish",
    "haproxy--squid",
    "haproxy--apache-x-cache",
    "haproxy-status--trafficserver",
    "apache-x-cache--apache-x-cache",
    "apache-x-cache--nginx-status",
    "apache-x-cache--varnish-x-cache",
    "apache--varnish",
    "apache-disk--haproxy",
    "trafficserver--trafficserver",
    "trafficserver--squid",
    "trafficserver--haproxy",
    "trafficserver-via--nginx-status",
)
"""Nearest to the user first."""

SHORT = [
    *product(("nginx-status", "varnish", "squid", "haproxy", "apache-disk"), ("cached-2", "tagged-2")),
    ("trafficserver-debug", "cached-2"),  # its word is the same for what was fetched and what was confirmed
    ("varnish--nginx-status", "listed-2"),
    ("haproxy--squid", "listed-2"),
]
"""Responses that may be kept for two seconds, in loads of five: each expires, and is fetched again, or confirmed by a
304."""

SILENT = {("nginx", "bare-600"), ("nginx-date", "bare-600")}
"""Nothing in the responses distinguishes hits, or only a Date that stays the same for longer than these loads last."""

UNSEEN = {
    # HAProxy removes the Age of what it stores, and nothing else shows that the next cache had it.
    "haproxy--haproxy",
    "haproxy-status--trafficserver",
    # Apache replaces the inner X-Cache by its own, before the next cache's own header.
    "apache-x-cache--apache-x-cache",
    "apache-x-cache--nginx-status",
}
"""The responses don't show what the next cache had before, so that is not tried."""

COMBINATIONS = [pair for pair in product([*PRODUCTS, *CHAINS], SERVICES) if pair not in SILENT]
QUICK = {("haproxy--varnish", "counted-600"), ("varnish--nginx-status", "cached-600")}
"""`make test-all` measures all of them."""
