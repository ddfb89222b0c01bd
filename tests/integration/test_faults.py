"""Wrong input and faults: a clear error, the exit code of the contract, nothing left running, nothing half-done."""

import contextlib
import signal
import socket
import threading
import time
from collections.abc import Callable

import pytest

POLL = threading.Event()


def ended_cleanly(workspace) -> bool:
    """Nothing is left, give or take the moment that a killed process takes to go."""
    deadline = time.monotonic() + 20
    while workspace.left_running() and time.monotonic() < deadline:
        POLL.wait(0.05)
    return workspace.left_running() == []


def incomplete_report(workspace) -> str:
    (page,) = [path for path in workspace.reports.glob("*.html") if path.name != "index.html"]
    return page.read_text()


def test_a_misspelt_case_is_refused_with_the_nearest_name(workspace) -> None:
    done = workspace.run_here("stale-prise")
    assert done.returncode == 2
    assert "'stale-price'" in done.stderr
    assert workspace.run_dirs() == []


def test_a_misspelt_parameter_is_refused_before_a_kernel_starts(workspace) -> None:
    done = workspace.run_here("placebo", "-p", "report_dir=elsewhere")
    assert done.returncode == 2
    assert "'reports_dir'" in done.stderr
    assert workspace.run_dirs() == []


@pytest.mark.parametrize("content", [b"title: [unclosed", b"\xff\xfe\x00", b"title: Old price\n"])
def test_an_invalid_case_file_is_refused(content: bytes, workspace) -> None:
    path = workspace.folder / "broken.yml"
    path.write_bytes(content)
    done = workspace.run_here(str(path))
    assert done.returncode == 2
    assert "broken.yml:1" in done.stderr and "Traceback" not in done.stderr
    assert workspace.run_dirs() == []


def test_a_service_that_is_never_ready_shows_its_log(workspace, variant) -> None:
    def never_ready(case: dict) -> None:
        code = "import time; print('waiting', 'in vain', flush=True); time.sleep(600)"
        case["target"]["start"]["command"] = ["{python}", "-c", code, "{port}"]
        case["target"]["start"]["ready_within"] = "2s"

    done = workspace.run_here(variant(edit=never_ready))
    assert done.returncode == 3
    assert "waiting in vain" in done.stderr
    assert "INCOMPLETE" in incomplete_report(workspace)
    assert ended_cleanly(workspace)


def test_an_unreachable_cache_is_named_without_password(workspace, variant) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    def external(case: dict) -> None:
        case["cache"]["url_env"] = "SHOP_CACHE_URL"
        case["design"] = "crossover"

    done = workspace.run_here(
        variant(edit=external), env={"SHOP_CACHE_URL": f"redis://:s3cr3t-canary@127.0.0.1:{port}/0"}
    )
    assert done.returncode == 3
    assert str(port) in done.stderr
    assert "s3cr3t-canary" not in done.stderr + done.stdout
    for path in workspace.folder.rglob("*"):
        if path.is_file():
            assert b"s3cr3t-canary" not in path.read_bytes(), path


@pytest.mark.slow  # the check of such a route is tested with `luckyhit check`
def test_a_route_that_answers_500_stops_the_run(workspace, variant) -> None:
    def failing(case: dict) -> None:
        code = (
            "import http.server as h\n"
            "class S(h.BaseHTTPRequestHandler):\n"
            "    def do_GET(self):\n"
            "        self.send_response(200 if self.path == '/health' else 500)\n"
            "        self.send_header('Content-Length', '2'); self.end_headers(); self.wfile.write(b'[]')\n"
            "h.ThreadingHTTPServer(('127.0.0.1', {port}), S).serve_forever()\n"
        )
        case["target"]["start"]["command"] = ["{python}", "-c", code]

    done = workspace.run_here(variant(edit=failing))
    assert done.returncode == 3
    assert "500" in done.stderr
    assert "INCOMPLETE" in incomplete_report(workspace)
    assert ended_cleanly(workspace)


ABSENT = {
    "keys": {"first": 300, "last": 400},
    "create": {"path": "/products/{key}", "body": {"price_cents": "{version}"}, "status": 201},
    "remove": {"path": "/products/{key}"},
}


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        ({"reads": [{"path": "/products/{key}", "version": "$.price"}]}, "$.price"),
        pytest.param({"keys": {"first": 5001, "last": 5100}}, "404", marks=pytest.mark.slow),
        pytest.param({"first_version": 3}, "first_version", marks=pytest.mark.slow),
        pytest.param({"absent": ABSENT}, "freshness.absent.keys", marks=pytest.mark.slow),
    ],
    ids=["no such field", "no such keys", "values above the versions", "data where nothing should be"],
)
def test_a_probe_that_cannot_work_is_found_by_the_check(edit, named, workspace, variant) -> None:
    def probe(case: dict) -> None:
        case["freshness"].update(edit)

    done = workspace.here("check", variant("stale-price", edit=probe))
    assert done.returncode == 3
    assert named in done.stdout
    assert ended_cleanly(workspace)


def test_a_service_that_exits_is_not_taken_for_a_slow_one(workspace, variant) -> None:
    def mortal(case: dict) -> None:
        code = (
            "import http.server as h, os\n"
            "class S(h.BaseHTTPRequestHandler):\n"
            "    served = 0\n"
            "    def do_GET(self):\n"
            "        S.served += self.path != '/health'\n"
            "        if S.served > 40: print('out of memory', flush=True); os._exit(9)\n"
            "        body = b'[]'\n"
            "        self.send_response(200); self.send_header('Content-Length', '2')\n"
            "        self.end_headers(); self.wfile.write(body)\n"
            "h.ThreadingHTTPServer(('127.0.0.1', {port}), S).serve_forever()\n"
        )
        case["target"]["start"]["command"] = ["{python}", "-c", code]
        case["expected"]["response"] = {"status": 200}
        for route in case["workload"]["routes"]:
            route.pop("response", None)

    done = workspace.run_here(variant(edit=mortal))
    assert done.returncode == 3
    assert "out of memory" in done.stderr
    assert "INCOMPLETE" in incomplete_report(workspace)
    assert ended_cleanly(workspace)


def wait_for(text: str, workspace) -> Callable[[], bool]:
    def reached() -> bool:
        for run in workspace.run_dirs():
            with contextlib.suppress(OSError):
                if text in (run / "progress.jsonl").read_text():
                    return True
        return False

    return reached


WELL = """
import http.server as h
class S(h.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"[]")
    do_PUT = do_GET
    def log_message(self, *_): pass
h.ThreadingHTTPServer(("127.0.0.1", {port}), S).serve_forever()
"""


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        (None, signal.SIGINT),
        pytest.param("starting the service", signal.SIGINT, marks=pytest.mark.slow),
        pytest.param("measuring the baseline", signal.SIGINT, marks=pytest.mark.slow),
        pytest.param("measuring the change", signal.SIGINT, marks=pytest.mark.slow),
        ("measuring the change", signal.SIGTERM),
    ],
    ids=["at the start", "service starting", "baseline", "change", "change, terminated"],
)
def test_an_interruption_rolls_back_and_leaves_nothing(
    moment: str | None, number: signal.Signals, workspace, variant
) -> None:
    def longer(case: dict) -> None:
        case["plan"]["block"] = "5s"
        case["plan"]["baseline"] = "3s" if moment == "measuring the baseline" else "1s"
        if number == signal.SIGTERM:  # with a service that starts at once and has no fault, so that nothing is probed
            del case["freshness"], case["goals"]["stale_reads"]
            case["target"]["start"]["command"] = ["{python}", "-S", "-c", WELL]
            case["expected"]["response"] = {"status": 200}
            for route in case["workload"]["routes"]:
                route.pop("response", None)

    process = workspace.start(variant("stale-price", edit=longer))
    reached = wait_for(moment, workspace) if moment else lambda: bool(workspace.run_dirs())
    deadline = time.monotonic() + 90
    while not reached() and process.poll() is None and time.monotonic() < deadline:
        POLL.wait(0.05)
    assert process.poll() is None, process.communicate()
    process.send_signal(number)
    _, stderr = process.communicate(timeout=90)

    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert "INCOMPLETE" in incomplete_report(workspace)
    assert ended_cleanly(workspace)
    reverted = workspace.here("revert", "latest", "--runs-dir", str(workspace.runs))
    assert reverted.returncode == 0, reverted.stderr + reverted.stdout


@pytest.mark.slow
def test_a_second_ctrl_c_ends_at_once_and_still_leaves_nothing(workspace, variant) -> None:
    def longer(case: dict) -> None:
        case["plan"]["block"] = "5s"

    process = workspace.start(variant("stale-price", edit=longer))
    reached = wait_for("measuring the change", workspace)
    deadline = time.monotonic() + 90
    while not reached() and process.poll() is None and time.monotonic() < deadline:
        POLL.wait(0.05)
    process.send_signal(signal.SIGINT)
    POLL.wait(0.3)  # what is sent at once is one interruption: a person needs a moment for the second
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=90)

    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert "INCOMPLETE" in incomplete_report(workspace)
    assert ended_cleanly(workspace)
    assert workspace.manifest()["rollback"]["confirmed"] is True


def test_the_command_explains_itself(workspace) -> None:
    assert workspace.command("--help").returncode == 0
    assert workspace.here("run").returncode == 2
    assert workspace.here("run", "placebo", "--fail-on", "hutr").returncode == 2
    assert workspace.here("judge", "no-such-run").returncode == 2
