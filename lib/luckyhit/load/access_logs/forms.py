"""The forms of access logs: one row for each that is read, or refused by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from luckyhit.load.access_logs.json_lines import parse_ecs, parse_json, parse_otel
from luckyhit.load.access_logs.line import LogLine, plain
from luckyhit.load.access_logs.text_lines import (
    CloudFront,
    parse_alb,
    parse_combined,
    parse_daphne,
    parse_granian,
    parse_haproxy,
    parse_hypercorn,
    parse_sanic,
    parse_squid,
    parse_tornado,
    parse_uvicorn,
    parse_uwsgi,
)

Parse = Callable[[str], LogLine | None]


@dataclass(frozen=True)
class Form:
    """`source`: product and version whose lines were examined, or the page that shows them. `example`: one line.
    `begin` makes a parser for one file. `log_queries`: how to log query strings, for a form without them."""

    source: str
    example: str
    begin: Callable[[], Parse]
    log_queries: str = ""

    def reader(self) -> Parse:
        """A parser for one file. It takes any text, with terminal colours or without; None: no request."""
        parse = self.begin()
        return lambda text: parse(plain(text))


@dataclass(frozen=True)
class Refused:
    """A form that can't be replayed: `lacks` completes "which …"."""

    source: str
    example: str
    mark: re.Pattern[str]
    lacks: str
    remedy: str


def _always(parse: Parse) -> Callable[[], Parse]:
    return lambda: parse


FORMS: dict[str, Form] = {
    "combined": Form(
        "Apache httpd 2.4 and nginx 1.22 (common, combined, with a virtual host before them), gunicorn 27.0, Envoy",
        '127.0.0.1 - - [29/Nov/2026:16:12:26 +0000] "GET /items/7?q=a%20b&page=2 HTTP/1.1" 200 2 "-" "curl/7.88.1"',
        _always(parse_combined),
    ),
    "uvicorn": Form(
        "uvicorn 0.54, also with --use-colors",
        '\x1b[32mINFO\x1b[0m:     127.0.0.1:53620 - "\x1b[1mGET /items/7?q=a%20b&page=2 HTTP/1.1\x1b[0m" '
        "\x1b[32m200 OK\x1b[0m",
        _always(parse_uvicorn),
    ),
    "json": Form(
        "JSON lines of nginx, Caddy 2, Traefik 3, Google Cloud, Sanic 25.12 and others",
        '{"timestamp": "2026-11-29 16:12:26 +0000", "method": "GET", "path": "/items/7", "query": "q=a%20b&page=2"}',
        _always(parse_json),
    ),
    "ecs": Form(
        "Elastic Common Schema 8.17, reference of the fields http, url and base; dotted or nested",
        '{"@timestamp":"2026-11-29T16:12:26.250Z","http":{"request":{"method":"GET"},"response":{"status_code":200}},'
        '"url":{"path":"/items/7","query":"q=a%20b&page=2"}}',
        _always(parse_ecs),
    ),
    "otel": Form(
        "OpenTelemetry log records, a record a line; semantic conventions 1.27 for HTTP (and http.target before 1.23)",
        '{"timeUnixNano":"1795968746250000000","attributes":[{"key":"http.request.method","value":{"stringValue":"GET"}},'
        '{"key":"url.path","value":{"stringValue":"/items/7"}},'
        '{"key":"url.query","value":{"stringValue":"q=a%20b&page=2"}}]}',
        _always(parse_otel),
    ),
    "granian": Form(
        "Granian 2.8.9 (ASGI, RSGI, WSGI), --access-log; paths are decoded",
        '[2026-11-29 16:12:26 +0000] 127.0.0.1 - "GET /items/7 HTTP/1.1" 200 0.072',
        _always(parse_granian),
        log_queries='--access-log-fmt \'[%(time)s] %(addr)s - "%(method)s %(path)s?%(query_string)s %(protocol)s" '
        "%(status)d %(dt_ms).3f'",
    ),
    "hypercorn": Form(
        "Hypercorn 0.18.0, --access-logfile; the protocol without HTTP/, paths decoded",
        "[2026-11-29 16:12:26 +0000] [18881] [INFO] 127.0.0.1:53646 - - [29/Nov/2026:16:12:26 +0000] "
        '"GET /items/7 1.1" 200 2 "-" "curl/7.88.1"',
        _always(parse_hypercorn),
        log_queries='--access-logformat \'%(h)s %(l)s %(l)s %(t)s "%(R)s" %(s)s %(b)s "%(f)s" "%(a)s"\'',
    ),
    "daphne": Form(
        "Daphne 4.2.3; no zone, no protocol",
        '127.0.0.1:50032 - - [29/Nov/2026:16:12:26] "GET /items/7?q=a%20b&page=2" 200 2',
        _always(parse_daphne),
    ),
    "haproxy": Form(
        "HAProxy 2.6.12, option httplog (and httpslog); no zone",
        "127.0.0.1:57624 [29/Nov/2026:16:12:26.943] fe be/s1 0/0/0/0/0 200 98 - - ---- 1/1/0/0/0 0/0 "
        '"GET /items/7?q=a%20b&page=2 HTTP/1.1"',
        _always(parse_haproxy),
    ),
    "alb": Form(
        "AWS Application Load Balancer, user guide, Access log entries (and Classic Load Balancer)",
        "http 2026-11-29T16:12:26.186641Z app/shop/50dc6c495c0c9188 192.168.131.39:2817 10.0.0.1:80 0.000 0.001 0.000 "
        '200 200 34 366 "GET http://shop.example:80/items/7?q=a%20b&page=2 HTTP/1.1" "curl/7.46.0" - - '
        'arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/shop/73e2d6bc24d8a067 "Root=1-5833" "-" "-" 0 '
        '2026-11-29T16:12:25.364000Z "forward" "-" "-" "10.0.0.1:80" "200" "-" "-"',
        _always(parse_alb),
    ),
    "squid": Form(
        "Squid 5.7, logformat squid (native), strip_query_terms off",
        "1795968746.717     17 127.0.0.1 TCP_MISS/200 203 GET http://shop.example/items/7?q=a%20b&page=2 - "
        "FIRSTUP_PARENT/127.0.0.1 -",
        _always(parse_squid),
    ),
    "uwsgi": Form(
        "uWSGI 2.0.30, its default request log; no zone",
        "[pid: 18874|app: 0|req: 1/1] 127.0.0.1 () {24 vars in 289 bytes} [Sun Nov 29 16:12:26 2026] "
        "GET /items/7?q=a%20b&page=2 => generated 2 bytes in 0 msecs (HTTP/1.1 200) 1 headers in 38 bytes "
        "(1 switches on core 0)",
        _always(parse_uwsgi),
    ),
    "sanic": Form(
        "Sanic 25.12.1, access_log, in production, on a terminal, and its legacy format; an absolute URL",
        "Main |2026-11-29 16:12:26 +0000 INFO: 127.0.0.1:41056 GET http://127.0.0.1:9106/items/7?q=a%20b&page=2 200 2  "
        "0.2ms",
        _always(parse_sanic),
    ),
    "tornado": Form(
        "Tornado 6.6.1, tornado.access; no zone",
        "[I 261129 16:12:26 web:2591] 200 GET /items/7?q=a%20b&page=2 (127.0.0.1) 1.40ms",
        _always(parse_tornado),
    ),
    "cloudfront": Form(
        "AWS CloudFront, developer guide, Standard logging reference; columns named by #Fields, or JSON (version 2)",
        "2026-11-29\t16:12:26\tFRA2\t182\t192.0.2.10\tGET\td111111abcdef8.cloudfront.net\t/items/7\t200\t-\t"
        "Mozilla/5.0\tq=a%2520b&page=2\t-\tHit\tMRVMF7Kydg==\tshop.example\thttps\t98\t0.001\t-\tTLSv1.3\t"
        "TLS_AES_128_GCM_SHA256\tHit\tHTTP/2.0\t-\t-",
        CloudFront,
    ),
}
"""By the name in `replay.format`. Each example is read by its own form only."""

REFUSED: dict[str, Refused] = {
    "otlp": Refused(
        "OTLP JSON, as the Collector's file exporter writes it; opentelemetry-proto 1.5, examples/logs.json",
        '{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"1544712660300000000"}]}]}]}',
        re.compile(r'\s*\{\s*"resourceLogs"'),
        "holds many requests in one line",
        "Write one record a line: `jq -c '.resourceLogs[].scopeLogs[].logRecords[]' LOG`, and replay that.",
    ),
    "json-over-lines": Refused(
        "indented JSON, as OpenTelemetry's ConsoleLogRecordExporter for Python writes it (opentelemetry-sdk 1.38)",
        '    "severity_text": "INFO",',
        re.compile(r'\s+"[\w.@-]{1,80}": '),
        "spreads one request over many lines",
        "Write one object a line: `jq -c . LOG`, and replay that.",
    ),
    "haproxy-tcp": Refused(
        "HAProxy 2.6, option tcplog, and without any option",
        "127.0.0.1:57624 [29/Nov/2026:16:12:26.943] fe be/s1 0/0/5007 212 -- 0/0/0/0/3 0/0",
        re.compile(
            r"\S{0,200}:\d{1,5} \[\d\d/[A-Z][a-z]{2}/\d{4}:[\d:.]{8,12}\] \S{1,99} \S{1,199}/\S{1,99} [-\d/+]{5,60} "
            r"\d+ \S\S "
            r"|.{0,200}Connect from \S{1,99} to \S{1,99} \("
        ),
        "names no requests",
        "Log requests: `option httplog` in HAProxy.",
    ),
    "nlb": Refused(
        "AWS Network Load Balancer, user guide, Access log entries",
        "tls 2.0 2026-11-29T16:12:26 net/shop/c6e77e28c25b2234 g3d4b5e8bb8464cd 72.21.218.154:513",
        re.compile(r"tls \d\.\d \d{4}-\d\d-\d\dT[\d:.]{8,15}Z? net/"),
        "names no requests",
        "Replay the log of the service behind it.",
    ),
}
"""By id, in the order in which they are looked for."""
