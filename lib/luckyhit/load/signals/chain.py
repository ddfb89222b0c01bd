"""The caches that one response shows, the nearest first, and what follows for everything else in it.

**Nearness.** A cache adds its headers after those that it got, so those of the nearer one come later in the response,
or later in a list. Apache's X-Cache replaces an inner one; its X-Cache-Detail, if it is sent, is at the right place.
**One layer, several headers** (`CacheSource.same_as`): a later header that reports the same is of the same layer; a
word beside Varnish's ids only if they agree, because a nearer cache may have set it. VCL does not write names of
machines (`HIT from host`). What only the edge of the network sends (`CacheSource.edge`) is nearest, at any place.

**Age** belongs to the layer beside whose header it is, if that stores whole responses. After all of them, or without
one, it shows a layer that reports nothing else (HAProxy, Traffic Server, Django): a hit if it is above 0; at 0 only
other responses decide (luckyhit.load.signals.response_history).

**Stale** is a hit with `Warning: 110` or `111`, or whose Age is above what Cache-Control (or CDN-Cache-Control,
Surrogate-Control) allows shared caches, unless its layer has a word of its own for that, or the response forbids to
store it: then its lifetime was set elsewhere. Caches count whole seconds, so an Age above a lifetime is beyond it even
if it was rounded; Varnish truncates its Age, so an Age equal to the lifetime is beyond it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from luckyhit.load.signals.signal_table import CacheSource, Event
from luckyhit.load.signals.statuses import events_in
from luckyhit.records import CacheStatus

AGE, WARNING, CONTROL, VIA = b"age", b"warning", b"cache-control", b"via"
LIFETIMES = (b"cdn-cache-control", b"surrogate-control", CONTROL)
"""Where shared caches find how long a response may be stored: the first that is there."""
READ_BESIDE = frozenset({AGE, WARNING, VIA, *LIFETIMES})

_TOLD_STALE = re.compile(r"(?:^|,)\s*11[01]\b")
_LIFETIME = re.compile(r"(?:^|[\s,])(s-maxage|max-age)\s*=\s*\"?(\d{1,10})")
_ELSEWHERE = re.compile(r"no-cache|no-store|private")
_TIME_LEFT = re.compile(r"(?:private|public), max-age=(\d{1,10})")
_HIT_STALE = re.compile(r"hit-stale")
_CLOCK_S = 2
"""Services set their clock once a second, so a new response may have an Age of 1."""
_MACHINE = re.compile(r"^tcp_| from |hit-(?:fresh|stale)$")


@dataclass(frozen=True, slots=True)
class Layer:
    """One cache on the way. `place`: of its last header among those that are read; `keeps` as in CacheSource, but of
    this one response."""

    name: str
    event: Event
    place: int
    keeps: str | None = None
    tells_stale: bool = False
    edge: bool = False

    @property
    def status(self) -> CacheStatus:
        return "hit" if self.event == "confirmed" else self.event


@dataclass(frozen=True, slots=True)
class Chain:
    """`layers`: the nearest first. `age_s`: None without a valid Age. `lone_age_s`: the same, if it is (at
    `lone_age_place`) of a layer that reports nothing else and is not among `layers`; `late`: what that layer stored is
    past its lifetime."""

    layers: tuple[Layer, ...] = ()
    age_s: float | None = None
    lone_age_s: float | None = None
    lone_age_place: int = -1
    late: bool = False

    @property
    def text(self) -> str | None:
        return " ".join(f"{layer.name}={layer.status}" for layer in self.layers) or None

    @property
    def served(self) -> Layer | None:
        """The nearest that answered from its store; everything behind it is of the moment of the fill."""
        return next((layer for layer in self.layers if layer.status in ("hit", "stale")), None)

    def replayed(self, place: int) -> bool:
        """Whether the header at `place` was stored with the response, and is repeated."""
        served = self.served
        return served is not None and (
            served.keeps == "responses" or (served.keeps == "pages" and place < served.place)
        )


def status_of(layers: Sequence[Layer]) -> CacheStatus:
    """That of the nearest with a hit, a miss or a stale response; else `bypass` if one took no part."""
    statuses = [layer.status for layer in layers]
    telling = next((status for status in statuses if status not in ("bypass", "unknown")), None)
    return telling or ("bypass" if statuses else "unknown")


def chain_of(
    telling: Sequence[tuple[bytes, str]], sources: Mapping[bytes, CacheSource], values: Mapping[str, CacheStatus]
) -> Chain:
    """`telling`: names and values (in lower case) in the order of the response; `values`: what a case says that whole
    values mean."""
    layers: list[Layer] = []
    beside: dict[bytes, str] = {}
    age_place = via_place = -1
    for place, (name, text) in enumerate(telling):
        if name in READ_BESIDE:
            beside[name] = f"{beside[name]}, {text}" if name in beside else text
            if name == AGE:
                age_place, beside[AGE] = place, text
        if (source := sources.get(name)) is not None:
            for event in _events(text, source, values):
                _add(
                    layers,
                    Layer(source.name, event, place, _kept(source, text), source.tells_stale, source.edge),
                    source,
                )
        if name == VIA and age_place < 0:
            via_place = place
    layers.sort(key=lambda layer: layer.edge)
    age_s = _age_s(beside)
    lone = age_s is not None and _is_lone(layers, age_place, via_place)
    if lone and layers and layers[-1].tells_stale and layers[-1].status == "hit" and _is_late(age_s, beside):
        lone = False  # its own, with a lifetime that was set elsewhere
    late = _is_late(age_s, beside) or ((age_s or 0) >= _CLOCK_S and _lifetime_s(beside) is None)
    layers = [_reclassified(layer, late, telling) for layer in layers]
    if age_s is not None and layers:
        layers = _with_age(layers, age_s, age_place, lone)
    if (age_s or 0) >= _CLOCK_S and not lone and _is_passed_on(layers, age_place):
        layers.insert(len(layers) - 1, Layer("age", "hit", layers[-1].place, "responses"))
    layers = _stale(layers, age_s, age_place, beside)
    if not lone:
        return Chain(tuple(layers[::-1]), age_s)
    return Chain(tuple(layers[::-1]), age_s, age_s, age_place, _is_late(age_s, beside))


def _events(text: str, source: CacheSource, values: Mapping[str, CacheStatus]) -> Sequence[Event]:
    meant = values.get(text.strip())
    return [meant] if meant is not None else events_in(text, source)


def _kept(source: CacheSource, text: str) -> str | None:
    """`HIT from host` and Traffic Server's `hit-fresh` are written by caches that store whole responses."""
    return "responses" if source.header == b"x-cache" and _MACHINE.search(text) else source.keeps


def _add(layers: list[Layer], layer: Layer, source: CacheSource) -> None:
    """Add a layer, or another word of one that is there."""
    for index in range(len(layers) - 1, -1, -1):
        earlier = layers[index]
        if earlier.name.encode() not in source.same_as:
            continue
        if earlier.name == "x-varnish":
            if layer.keeps == "responses" and layer.name == "x-cache":
                continue
            if layer.status not in (earlier.status, "bypass"):
                continue
            earlier = replace(earlier, event=layer.event)
        del layers[index]
        layers.append(replace(earlier, place=layer.place, keeps=earlier.keeps or layer.keeps))
        return
    layers.append(layer)


def _age_s(beside: Mapping[bytes, str]) -> float | None:
    """The Age, unless it is the time left (cashews 7.6: the same number as in its Cache-Control)."""
    text = beside.get(AGE, "").strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        return None
    left = _TIME_LEFT.fullmatch(beside.get(CONTROL, "").strip())
    return None if left is not None and left[1] == text and text != "0" else float(text)


def _is_lone(layers: Sequence[Layer], age_place: int, via_place: int) -> bool:
    """Whether no known layer can have written the Age. Those that store whole responses outside the service write it
    beside their header; hardly any inside it does, and then it means the same."""
    if not layers:
        return True
    nearest = layers[-1]
    if age_place < nearest.place:
        return False
    if nearest.name == "x-varnish":  # it writes X-Varnish, Age, Via: what follows is another layer's
        return nearest.place < via_place < age_place
    # A miss has no Age. Squid writes Age, X-Cache, Via.
    return nearest.event == "miss" or nearest.keeps != "responses" or nearest.place < via_place < age_place


def _is_passed_on(layers: Sequence[Layer], age_place: int) -> bool:
    """Whether the layer that missed received the Age (Varnish counts on from it): then a cache behind it answered."""
    all_missed = all(layer.event == "miss" for layer in layers)
    return all_missed and (layers[-1].name == "x-varnish" or age_place < layers[-1].place)


def _reclassified(layer: Layer, late: bool, telling: Sequence[tuple[bytes, str]]) -> Layer:
    """Traffic Server's `hit-stale` was found too old; unless its Age says so, it is a new response, or a confirmed
    one."""
    if layer.event == "stale" and not late and _HIT_STALE.search(telling[layer.place][1]):
        return replace(layer, event="miss")
    return layer


def _with_age(layers: list[Layer], age_s: float, age_place: int, lone: bool) -> list[Layer]:
    """A hit reaches as far as the Age that it wrote: the headers before that were stored with it."""
    nearest = layers[-1]
    if lone or nearest.status not in ("hit", "stale") or age_place < nearest.place or nearest.keeps is None:
        return layers
    return [*layers[:-1], replace(nearest, place=age_place)]


def _stale(layers: list[Layer], age_s: float | None, age_place: int, beside: Mapping[bytes, str]) -> list[Layer]:
    """The nearest hit as stale, if its response is past its lifetime."""
    for index in range(len(layers) - 1, -1, -1):
        layer = layers[index]
        if layer.status == "hit":
            owned = layer.event == "hit" and not layer.tells_stale and (layer.keeps or age_place > layer.place)
            # Varnish truncates its Age, others count whole seconds of their clocks.
            exact = layer.name == "x-varnish"
            if _is_late(age_s + exact if owned and age_s is not None else None, beside):
                layers[index] = replace(layer, event="stale")
        if layer.status != "bypass":
            break
    return layers


def _is_late(age_s: float | None, beside: Mapping[bytes, str]) -> bool:
    """Whether a stored response is past its lifetime: by its Warning, or by its Age."""
    if _TOLD_STALE.search(beside.get(WARNING, "")) is not None:
        return True
    lifetime_s = _lifetime_s(beside)
    return age_s is not None and lifetime_s is not None and 0 < lifetime_s < age_s


def _lifetime_s(beside: Mapping[bytes, str]) -> float | None:
    """What shared caches are allowed, in seconds; None if it was set elsewhere."""
    for name in LIFETIMES:
        if (text := beside.get(name)) is None:
            continue
        if _ELSEWHERE.search(text):
            return None
        lifetimes = {directive: float(seconds) for directive, seconds in _LIFETIME.findall(text)}
        return lifetimes.get("s-maxage", lifetimes.get("max-age"))
    return None
