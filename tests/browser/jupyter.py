"""A JupyterLab of its own for the tests: own folders, loopback, no token; and what a test asks of it."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
IDLE = "jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
QUIET = ("favicon", "lsp", "ResizeObserver", "translations", "debugger state")  # what Lab itself says


@contextmanager
def server(home: Path, **environment: str) -> Iterator[str]:
    """Start JupyterLab on `home`/work, and stop it; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = {name: str(home / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "HOME")}
    own["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    work = home / "work"
    settings = {"ServerApp.token": "", "ServerApp.password": "", "ServerApp.port": port, "ServerApp.ip": "127.0.0.1",
                "ServerApp.root_dir": str(work), "ServerApp.open_browser": False, "ServerApp.allow_root": True,
                "LabApp.expose_app_in_browser": True, "LabApp.news_url": "", "IdentityProvider.token": ""}  # fmt: skip
    command = [sys.executable, "-m", "jupyterlab", *(f"--{name}={value}" for name, value in settings.items())]
    with (home / "log").open("w") as log:
        env = {**os.environ, **own, **environment}
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log, cwd=work)
        try:
            yield wait_for(f"http://127.0.0.1:{port}", process, home / "log")
        finally:
            process.terminate()
            process.wait(20)


def wait_for(address: str, process: subprocess.Popen, log: Path) -> str:
    for _ in range(240):
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            urllib.request.urlopen(f"{address}/api", timeout=2).close()
            return address
        except OSError:
            time.sleep(0.25)
    raise AssertionError("JupyterLab did not answer within a minute: " + log.read_text()[-3000:])


def open_notebook(page: Any, address: str, name: str) -> None:
    """Open a notebook in a fresh workspace, and wait for its kernel."""
    page.goto(f"{address}/lab/tree/{name}?reset")
    page.wait_for_selector(".jp-NotebookPanel .jp-CodeCell")
    page.wait_for_function("() => window.jupyterapp?.commands.hasCommand('notebook:run-all-cells')")


def command(page: Any, name: str, arguments: dict[str, Any] | None = None) -> None:
    """Run a command of Lab without waiting for what it returns."""
    page.evaluate(f"() => {{ window.jupyterapp.commands.execute({name!r}, {json.dumps(arguments or {})}) }}")


def wait_idle(page: Any) -> None:
    page.wait_for_function(f"() => {IDLE}", timeout=60_000)


def restart(page: Any) -> None:
    """Restart the kernel as a user does, with the question that Lab asks."""
    command(page, "notebook:restart-kernel")
    page.locator(".jp-Dialog .jp-mod-accept").click()
    page.locator(".jp-Dialog").wait_for(state="detached")
    wait_idle(page)


def own_errors(page: Any) -> list[str]:
    """What the console said, without what Lab says by itself."""
    return [error for error in page.errors if not any(word in error for word in QUIET)]
