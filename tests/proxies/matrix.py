"""Which proxies and services are measured together."""

from __future__ import annotations

from itertools import product

from products import PRODUCTS

SERVICES = ("bare-60", "counted-60", "cached-60", "listed-60")
CHAINS = (
    "nginx-status--nginx-status",
    "nginx-status--varnish",
    "nginx-status--haproxy",
    "nginx--varnish",
    "nginx--squid",
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
    "haproxy--trafficserver",
    "apache-x-cache--apache-x-cache",
    "apache-x-cache--nginx-status",
    "apache--varnish",
    "apache-disk--haproxy",
    "trafficserver--trafficserver",
    "trafficserver--squid",
    "trafficserver--haproxy",
    "trafficserver-via--nginx-status",
)
"""Nearest to the user first."""

COMBINATIONS = [*product(PRODUCTS, SERVICES), *product(CHAINS, SERVICES)]
QUICK = {
    ("nginx-status", "cached-60"),
    ("varnish", "cached-60"),
    ("squid", "cached-60"),
    ("haproxy", "cached-60"),
    ("apache-x-cache", "cached-60"),
    ("trafficserver", "cached-60"),
    ("haproxy--varnish", "counted-60"),
    ("varnish--nginx-status", "counted-60"),
}
"""Once each product, and two chains; `make test-all` measures all."""
