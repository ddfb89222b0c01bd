"""The cases that ship say what the service really does."""

import json
import random
from pathlib import Path

import pytest

from luckyhit.case import load_case
from luckyhit.case.values.placeholders import fill, fill_text, key_pattern
from luckyhit.demo.settings import DemoSettings

CASES = Path(__file__).parents[2] / "data" / "cases"
SHIPPED = ["lucky-hit", "placebo", "short-ttl", "stale-price"]


def case_of(name):
    return load_case(CASES / f"{name}.yml")


def settings_of(case, arm):
    """The catalogue's settings in one arm, as the run will give them."""
    env = {name: value for name, value in case.target.start.env.items() if name.startswith("CATALOGUE_")}
    return {**env, case.change.name: getattr(case.change, arm)}


def at(path, content):
    for name in path.removeprefix("$.").split("."):
        content = content[name]
    return content


def send(service, route, rng):
    values = {"key": rng.randint(route.keys.first, route.keys.last), "number": rng.randint(1, 10_000)}
    return service.http.request(
        route.method,
        fill_text(route.path, values),
        json=None if route.body is None else fill(route.body, values),
    )


def probe_once(service, probe, *, version):
    """Read, write, read, as the freshness probe does on a warm key."""
    values = {"key": probe.keys.last, "version": version}
    [read] = probe.reads
    path = fill_text(read.path, values)
    old = at(read.version, service.http.get(path).json())
    written = service.http.request(
        probe.write.method, fill_text(probe.write.path, values), json=fill(probe.write.body, values)
    )
    assert written.status_code == probe.write.status
    return {old: "stale", version: "fresh"}[at(read.version, service.http.get(path).json())]


def test_these_ship():
    assert sorted(path.stem for path in CASES.glob("*.yml")) == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_the_service_answers_as_the_case_says_in_both_arms(name, threaded, cache):
    case = case_of(name)
    effective = []
    for arm in ("before", "after"):
        cache.flushall()
        service = threaded(**settings_of(case, arm))
        rng = random.Random(case.workload.seed)
        for route in case.workload.routes:
            expected = route.response or case.expected.response
            for _ in range(5):
                answer = send(service, route, rng)
                assert answer.status_code == expected.status, answer.text
                for header, part in expected.headers.items():
                    assert part in answer.headers[header]
                for field in expected.fields:
                    at(field, answer.json())
        if case.freshness:
            stale = name == "stale-price" and arm == "before"
            assert probe_once(service, case.freshness, version=1_000_001) == ("stale" if stale else "fresh")
        effective.append(service.http.get(case.target.config).json())

    before, after = (health.pop("settings") for health in effective)
    assert effective[0] == effective[1]
    assert {variable for variable in before if before[variable] != after[variable]} == {case.change.name}
    patterns = [key_pattern(template) for template in case.cache.clear]
    keys = cache.keys("*")
    assert keys and all(any(pattern.fullmatch(key) for pattern in patterns) for key in keys)


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize(("blocks", "most_s"), [(4, 50), (None, 110)], ids=["on a quiet machine", "at most"])
def test_a_case_measures_for_a_minute_or_two(name, blocks, most_s):
    plan = case_of(name).plan
    blocks = blocks or plan.blocks
    measured_s = plan.baseline + plan.block * blocks + plan.after_rollback
    assert measured_s + plan.warmup * (blocks + 2) <= most_s


@pytest.mark.parametrize("name", SHIPPED)
def test_a_case_names_no_path_of_this_machine(name):
    text = (CASES / f"{name}.yml").read_text()
    assert not any(place in text for place in ("/home", "/work", "/tmp", "127.0.0.1", "localhost"))
    case = case_of(name)
    environ = {"REDIS_URL": "redis://cache", "DATABASE": "catalogue.sqlite"}
    for arm in ("before", "after"):
        assert DemoSettings.from_env({**environ, **settings_of(case, arm)})
    json.dumps(case.model_dump(mode="json"))
