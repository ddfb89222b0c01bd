"""The proxies in front of the service: one row each, with its configuration in `configs/`.

Each runs as a child process in the foreground, in a temporary folder, with the defaults of Debian's package plus the
row's `more`. A product that can report its cache in several ways has several rows.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CONFIGS = Path(__file__).with_name("configs")
APACHE_MODULES = "/usr/lib/apache2/modules"
AS_ROOT = os.geteuid() == 0


@dataclass(frozen=True)
class Product:
    """One proxy as it is set up. In texts, `@name@` stands for a port, the folder, or one of the other values.

    binary       looked up in PATH and in the folders of system programs
    config       a file of `configs/`, written to `path` in the folder
    command      its arguments
    more         lines that the configuration has at `@more@`
    as_root      the line at `@as_root@` if the tests run as root, so that it keeps its user
    beside       other files, by path
    environment  beside that of the tests
    asks         headers that requests need for it to report its status
    version      arguments that make it print its version
    silent       it does not report its misses: then the status of the cache behind it is seen
    """

    binary: str
    config: str
    command: tuple[str, ...]
    path: str = ""
    more: str = ""
    as_root: str = ""
    beside: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    asks: dict[str, str] = field(default_factory=dict)
    version: tuple[str, ...] = ("-v",)
    silent: bool = False

    @property
    def program(self) -> str | None:
        """Where it is installed; None if it isn't."""
        return shutil.which(self.binary, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")

    def write(self, folder: Path, port: int, upstream: int) -> list[str]:
        """Its files; returns the command to start it."""
        values = {"dir": str(folder), "port": str(port), "upstream": str(upstream), "modules": APACHE_MODULES}
        values |= {"as_root": self.as_root if AS_ROOT else ""}
        texts = {self.path or self.config: (CONFIGS / self.config).read_text(encoding="utf-8"), **self.beside}
        for path, text in texts.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(_filled(text.replace("@more@", self.more), values), encoding="utf-8")
        return [str(self.program), *(_filled(argument, values) for argument in self.command)]


def _filled(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def nginx(more: str = "", **other: Any) -> Product:
    command = ("-p", "@dir@", "-e", "stderr", "-c", "@dir@/nginx.conf")
    return Product("nginx", "nginx.conf", command, more=more, as_root="user root;", **other)


def varnish(more: str = "") -> Product:
    command = ("-F", "-a", "127.0.0.1:@port@", "-f", "@dir@/varnish.vcl", "-n", "@dir@/work", "-j", "none")
    command += ("-s", "malloc,16m", "-l", "1m", "-T", "none", "-p", "thread_pools=1", "-p", "thread_pool_min=10")
    return Product("varnishd", "varnish.vcl", command, more=more, version=("-V",))


def squid(more: str = "", **other: Any) -> Product:
    command = ("-N", "-d", "1", "-n", "luckyhit@port@", "-f", "@dir@/squid.conf")
    return Product("squid", "squid.conf", command, more=more, **other)


def haproxy(more: str = "", **other: Any) -> Product:
    return Product("haproxy", "haproxy.cfg", ("-db", "-f", "@dir@/haproxy.cfg"), more=more, **other)


def apache(more: str = "", **other: Any) -> Product:
    command = ("-d", "@dir@", "-f", "@dir@/apache.conf", "-DFOREGROUND")
    return Product("apache2", "apache.conf", command, more=more, as_root="User www-data", **other)


def traffic_server(more: str = "", plugins: str = "", **other: Any) -> Product:
    beside = {
        "runroot.yaml": RUNROOT,
        "etc/remap.config": "map / http://127.0.0.1:@upstream@/\n",
        "etc/storage.config": "@dir@/cache 32M\n",
        "etc/plugin.config": plugins,
        "etc/ip_allow.yaml": IP_ALLOW,
        "cache/.keep": "",
        "run/.keep": "",
        "log/.keep": "",
    }
    return Product(
        "traffic_server", "records.config", (), path="etc/records.config", more=more, beside=beside,
        environment={"TS_RUNROOT": "@dir@/runroot.yaml"}, version=("-V",), **other,
    )  # fmt: skip


RUNROOT = """\
prefix: /usr
exec_prefix: /usr
bindir: /usr/bin
sbindir: /usr/bin
sysconfdir: @dir@/etc
datadir: @dir@/cache
includedir: /usr/include
libdir: /usr/lib/trafficserver
libexecdir: /usr/lib/trafficserver/modules
localstatedir: @dir@
runtimedir: @dir@/run
logdir: @dir@/log
cachedir: @dir@/cache
"""

IP_ALLOW = """\
ip_allow:
  - apply: in
    ip_addrs: 127.0.0.1
    action: allow
    methods: ALL
"""
VCL_X_CACHE = """\
sub vcl_deliver {
    if (obj.hits > 0) { set resp.http.X-Cache = "HIT"; } else { set resp.http.X-Cache = "MISS"; }
}
"""
APACHE_MEMORY = """\
LoadModule cache_socache_module @modules@/mod_cache_socache.so
LoadModule socache_shmcb_module @modules@/mod_socache_shmcb.so
CacheSocache shmcb:@dir@/answers(4194304)
CacheEnable socache /
"""
APACHE_DISK = """\
LoadModule cache_disk_module @modules@/mod_cache_disk.so
CacheRoot @dir@
CacheEnable disk /
"""
SQUID_QUIET = """\
reply_header_access X-Cache deny all
reply_header_access X-Cache-Lookup deny all
reply_header_access Cache-Status deny all
"""
HAPROXY_X_CACHE = """\
http-response set-header X-Cache-Status HIT if !{ srv_id -m found }
    http-response set-header X-Cache-Status MISS if { srv_id -m found }"""

PRODUCTS: dict[str, Product] = {
    "nginx": nginx(silent=True),
    "nginx-status": nginx("add_header X-Cache-Status $upstream_cache_status;"),
    "nginx-date": nginx("proxy_pass_header Date;", silent=True),
    "varnish": varnish(),
    "varnish-x-cache": varnish(VCL_X_CACHE),
    "squid": squid(),
    "squid-quiet": squid(SQUID_QUIET, silent=True),
    "haproxy": haproxy(silent=True),
    "haproxy-status": haproxy(HAPROXY_X_CACHE),
    "apache": apache(APACHE_MEMORY, silent=True),
    "apache-x-cache": apache(APACHE_MEMORY + "CacheHeader on\n"),
    "apache-disk": apache(APACHE_DISK + "CacheHeader on\nCacheDetailHeader on\n"),
    "trafficserver": traffic_server(silent=True),
    "trafficserver-via": traffic_server("CONFIG proxy.config.http.insert_response_via_str INT 3"),
    "trafficserver-debug": traffic_server(plugins="xdebug.so\n", asks={"X-Debug": "x-cache"}),
}
