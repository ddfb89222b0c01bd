"""A real JupyterLab, as somebody at a desk uses it: a server on a free port, and a notebook opened in Chromium."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
from playwright.sync_api import Page

from browser import a_browser, browser, open_page

ROOT = Path(__file__).parents[2]
LONG_MS = 240_000
_WIDGET = "window.jupyterapp?.shell.currentWidget"
_READY = f"{_WIDGET}?.sessionContext?.isReady && {_WIDGET}.context.isReady"
_IDLE = f"{_WIDGET}.sessionContext.session.kernel.status === 'idle'"


@contextlib.contextmanager
def lab_in(folder: Path) -> Iterator[str]:
    """A server on a project with the notebooks in it, as `luckyhit lab` starts it from a folder inside; everything that
    Jupyter keeps is kept there. Yields its URL. Skips the test where there is no browser."""
    browser()
    shutil.copytree(ROOT / "notebooks", folder / "notebooks")
    (folder / "data" / "cases").mkdir(parents=True)
    own = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime"}
    env = {**os.environ, **{name: str(folder / ".jupyter" / part) for name, part in own.items()}}
    env |= {"IPYTHONDIR": str(folder / ".ipython")}
    settings = ["--ServerApp.port=0", "--IdentityProvider.token=", "--LabApp.expose_app_in_browser=True"]
    settings += ["--ServerApp.open_browser=False", "--LabApp.collaborative=False"]
    command = [sys.executable, "-m", "luckyhit", "lab", "1-baseline", "--", *settings]
    with (folder / "lab.log").open("w") as log:
        server = subprocess.Popen(command, cwd=folder / "data", env=env, stdout=log, stderr=log, start_new_session=True)
        try:
            yield _address(server, folder / "lab.log")
        finally:
            _end(server)


def _address(server: subprocess.Popen, log: Path) -> str:
    """Where the server answers, by the file that it keeps of itself."""
    for info in iter(lambda: list((log.parent / ".jupyter" / "runtime").glob("jpserver-*.json")), None):
        assert server.poll() is None, log.read_text()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(0.05)  # leaves the processor to it
        with contextlib.suppress(IndexError, ValueError, OSError):
            url = json.loads(info[0].read_text())["url"]
            urllib.request.urlopen(f"{url}api/status", timeout=30).close()
            return url
    raise AssertionError


def _end(server: subprocess.Popen) -> None:
    """The server ends its kernels; what is left after that would be a leak, and is ended too."""
    children = psutil.Process(server.pid).children(recursive=True)
    server.terminate()
    try:
        server.wait(60)
    finally:
        for process in [*children, *([psutil.Process(server.pid)] if server.poll() is None else [])]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


class Notebook:
    """One notebook in the browser."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def open(self, url: str, name: str) -> Notebook:
        self.page.goto(f"{url}lab/tree/notebooks/{name}.ipynb")
        self.page.wait_for_function(f"{_READY} && {_WIDGET}.context.path.endsWith('{name}.ipynb')", timeout=LONG_MS)
        return self

    def begin(self, url: str, name: str) -> Notebook:
        """What the server's address shows by itself."""
        self.page.goto(url)
        self.page.wait_for_function(f"{_READY} && {_WIDGET}.context.path.endsWith('{name}.ipynb')", timeout=LONG_MS)
        return self

    @property
    def listed(self) -> list[str]:
        """The names in the list of files."""
        return self.page.locator(".jp-DirListing-itemText").all_text_contents()

    def replace(self, old: str, new: str) -> None:
        """Edit the one code cell that has `old` in it."""
        edited = self.page.evaluate(
            f"""([old, wanted]) => {{
                const cells = [...{_WIDGET}.content.model.cells].map(each => each.sharedModel);
                const found = cells.filter(each => each.cell_type === 'code' && each.getSource().includes(old));
                found.forEach(each => each.setSource(each.getSource().replace(old, wanted)));
                return found.length;
            }}""",
            [old, new],
        )
        assert edited == 1, f"{edited} cells have {old!r} in them"

    def run_all(self) -> None:
        """Start running all cells; `wait` tells when that is done."""
        self._command("notebook:run-all-cells")

    def run_cell(self, part: str) -> None:
        """Start running the code cell that has `part` in it."""
        self.page.evaluate(
            f"""part => {{
                const panel = {_WIDGET}, cells = panel.content.widgets;
                panel.content.activeCellIndex = cells.findIndex(
                    each => each.model.type === 'code' && each.model.sharedModel.getSource().includes(part));
            }}""",
            part,
        )
        self._command("notebook:run-cell")

    def interrupt(self) -> None:
        self._command("notebook:interrupt-kernel")

    def _command(self, name: str) -> None:
        """By its name, as the menu does; not waiting for what it starts."""
        self.page.evaluate(f"() => {{ window.running = window.jupyterapp.commands.execute('{name}'); }}")

    def wait(self) -> Notebook:
        """Until what was started is done, and the kernel rests."""
        self.page.evaluate("() => window.running.catch(() => null)")
        self.page.wait_for_function(_IDLE, timeout=LONG_MS)
        return self

    def see(self, text: str) -> None:
        """Wait until an output shows `text`."""
        self.page.locator(".jp-OutputArea").get_by_text(text).first.wait_for(state="attached", timeout=LONG_MS)

    @property
    def outputs(self) -> str:
        return "\n".join(self.page.locator(".jp-OutputArea-output").all_text_contents())

    @property
    def errors(self) -> list[str]:
        found = f"""() => [...{_WIDGET}.content.model.cells].filter(each => each.type === 'code').flatMap(
            each => each.outputs.toJSON().filter(out => out.output_type === 'error' || out.name === 'stderr'))"""
        return [str(each.get("traceback") or each.get("text")) for each in self.page.evaluate(found)]


@contextlib.contextmanager
def notebook_in_browser() -> Iterator[Notebook]:
    with a_browser() as chromium, open_page(chromium, width=1400, height=1000) as page:
        page.set_default_timeout(LONG_MS)
        yield Notebook(page)
