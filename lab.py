#!/usr/bin/env python3
"""Install hvlab into an environment of its own, then run it.

python lab.py lab            install if needed, warm the engine, open JupyterLab on the first notebook
python lab.py lab --check    the same without a browser: serve the notebook, run it, say what worked
python lab.py test           install if needed, run the tests

Further arguments go to JupyterLab or to pytest. The environment is $HVLAB_VENV, else .venv beside this file, else
~/.cache/hvlab/.venv where this folder cannot be written. Standard library only, and Python 3.8 can still read it,
so that an old Python gets a sentence and not a syntax error.
"""

import contextlib
import hashlib
import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent
OLDEST, NEWEST = (3, 11), (3, 15)
MARK = ".hvlab"  # in the environment: whose it is, and which versions were installed
QUIET = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
START_SECONDS, RUN_SECONDS = 120, 600
TRY_AGAIN = "the installation failed. Behind a proxy set HTTPS_PROXY, for a mirror PIP_INDEX_URL, and run this again"
ELSEWHERE = " (delete it, or set HVLAB_VENV to another folder)"
NO_VENV = (
    "python -m venv failed ({}). On Debian and Ubuntu: sudo apt install python3-venv; "
    "without root: conda env create -f environment.yml"
)


class Stop(Exception):
    """One sentence for the user; the program ends with code 1."""


def main(arguments):
    """Run one command and return its exit code; whatever goes wrong ends in one sentence."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="replace")
    try:
        check_python(sys.version_info[:2])
        return command(arguments)
    except Stop as stop:
        problem = str(stop)
    except OSError as error:
        problem = "{}: {}".format(error.filename or "a file", error.strerror or error)
    except KeyboardInterrupt:
        return 130
    print("hvlab: " + problem, file=sys.stderr)
    return 1


def command(arguments):
    name, rest = (arguments[0], arguments[1:]) if arguments else (None, [])
    if name in ("-h", "--help"):
        print(__doc__.strip())
        return 0
    if name == "test":
        return test(rest)
    if name == "lab" and "--check" in rest:
        return check([word for word in rest if word != "--check"])
    if name == "lab":
        return lab(rest)
    raise Stop("{} is not a command; say: python lab.py lab, or: python lab.py test".format(name or "nothing"))


def check_python(found):
    if not OLDEST <= found <= NEWEST:
        raise Stop("Python {}.{} found, {}.{} to {}.{} needed".format(*found, *OLDEST, *NEWEST))


# ---- the environment ----


def environment():
    """(folder, its Python) of an environment that holds exactly what this checkout asks for."""
    folder = writable()
    python, mark = python_of(folder), folder / MARK
    place, wants = fingerprint()
    seen = mark.read_text(encoding="utf-8").split("\n") if mark.is_file() else None
    if seen == [place, wants] and python.exists():
        return folder, python
    new = not python.exists() or seen is None or seen[0] != place
    if new:
        if seen is None and folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
            raise Stop(f"{folder} is neither empty nor an environment of hvlab; nothing was changed" + ELSEWHERE)
        make(folder)
    try:
        mark.write_text(place + "\n", encoding="utf-8")
        install(folder, python)
    except KeyboardInterrupt:
        if new:
            shutil.rmtree(str(folder), ignore_errors=True)
        raise
    mark.write_text(place + "\n" + wants, encoding="utf-8")  # only after success
    return folder, python


def fingerprint():
    """What an environment is for (another Python or a moved checkout: start anew), and what must be in it."""
    named = ("pyproject.toml", "constraints.txt", "binder/overrides.json")
    asked = b"".join((ROOT / name).read_bytes() for name in named)
    return repr((sys.version_info[:2], sys.platform, str(ROOT))), hashlib.sha256(asked).hexdigest()


def python_of(folder):
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def writable():
    """The first place that can be used; one that is complete already need not be writable."""
    chosen = os.environ.get("HVLAB_VENV")
    if chosen:
        places = [Path(os.path.abspath(os.path.expanduser(chosen)))]
    else:
        places = [ROOT / ".venv", Path(os.path.expanduser("~")) / ".cache" / "hvlab" / ".venv"]
    complete = "\n".join(fingerprint())
    for place in places:
        with contextlib.suppress(OSError):
            if (place / MARK).is_file() and (place / MARK).read_text(encoding="utf-8") == complete:
                return place
        with contextlib.suppress(OSError):
            if place.is_file() or can_write(place):
                return place
    asked = " and ".join(str(place) for place in places)
    raise Stop(f"{asked} cannot be written; set HVLAB_VENV to a folder that can be")


def can_write(place):
    """Whether a file can be made in `place`, or in the nearest folder above it that exists."""
    while not place.exists():
        place = place.parent
    with tempfile.TemporaryFile(dir=str(place)):
        return True


def make(folder):
    print(f"hvlab: making an environment in {folder}", flush=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    run = [sys.executable, "-m", "venv", "--clear", str(folder)]
    try:
        made = subprocess.run(run, check=False, **QUIET)
        if made.returncode:
            lines = made.stdout.decode(errors="replace").split("\n")
            raise Stop(NO_VENV.format(next((line.strip() for line in lines if line.strip()), "no reason given")))
    except BaseException:
        shutil.rmtree(str(folder), ignore_errors=True)
        raise


def install(folder, python):
    print("hvlab: installing (1 to 3 minutes the first time)", flush=True)
    run = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-warn-script-location"]
    run += ["-c", "constraints.txt", "-e", ".[test]"]
    if subprocess.call(run, cwd=str(ROOT), env=surroundings(folder)):
        raise Stop(TRY_AGAIN)
    settings = folder / "share" / "jupyter" / "lab" / "settings"
    settings.mkdir(parents=True, exist_ok=True)
    shutil.copy(str(ROOT / "binder" / "overrides.json"), str(settings / "overrides.json"))


def surroundings(folder):
    """The variables of a child: the environment's programs come first, and its kernels win over the user's own."""
    variables = dict(os.environ, VIRTUAL_ENV=str(folder), PIP_USER="0")
    variables["PATH"] = str(python_of(folder).parent) + os.pathsep + variables.get("PATH", os.defpath)
    variables.pop("PYTHONHOME", None)
    variables.setdefault("JUPYTER_PREFER_ENV_PATH", "1")
    return variables


# ---- the commands ----


def lab(arguments):
    folder, python = environment()
    return follow([str(python), "-m", "hvlab", "lab"] + arguments, folder)


def test(arguments):
    folder, python = environment()
    if follow([str(python), "-m", "hvlab", "warm"], folder):
        print("hvlab: the engine does not start; the tests say why", file=sys.stderr)
    return follow([str(python), "-m", "pytest"] + arguments, folder)


def follow(run, folder):
    """Run a child to its end and return its code; Ctrl-C is the child's to answer, and it never outlives us."""
    child = subprocess.Popen(run, cwd=str(ROOT), env=surroundings(folder))
    signal.signal(signal.SIGTERM, lambda number, frame: child.terminate())
    while True:
        try:
            code = child.wait()
            return 130 if code == -signal.SIGINT else code
        except KeyboardInterrupt:
            continue


def check(arguments):
    """Do what `lab` does, without a browser, and say line by line what worked."""
    notebook = first_notebook()
    signal.signal(signal.SIGTERM, interrupted)
    folder, python = environment()
    say("environment", folder)
    began = time.monotonic()
    finish([str(python), "-m", "hvlab", "warm"], folder, "the engine does not start")
    say("engine", f"warm, wall {time.monotonic() - began:.1f} s")
    with tempfile.TemporaryDirectory(prefix="hvlab-", ignore_cleanup_errors=True) as scratch:
        with server(folder, python, Path(scratch), arguments) as (address, token):
            fetch_notebook(address, token, notebook)
        say("server", "stopped")
        execute(folder, python, Path(scratch), notebook)
    print("hvlab: everything works; python lab.py lab opens it", flush=True)
    return 0


def say(what, result):
    print(f"ok  {what:<12} {result}", flush=True)


def interrupted(number, frame):
    raise KeyboardInterrupt


def first_notebook():
    found = sorted((ROOT / "notebooks").glob("*.ipynb"))
    if not found:
        raise Stop("there is no notebook in {}".format(ROOT / "notebooks"))
    return found[0]


def finish(run, folder, problem, **variables):
    """Run a child quietly; if it fails, show what it said and stop."""
    where = dict(surroundings(folder), **variables)
    try:
        done = subprocess.run(
            run,
            cwd=str(ROOT),
            env=where,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=RUN_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Stop(f"{problem}: no end after {RUN_SECONDS} s") from None
    if done.returncode:
        show_end(done.stdout.decode(errors="replace"))
        raise Stop(problem)


def show_end(text):
    for line in text.rstrip().split("\n")[-20:]:
        print("    " + line, file=sys.stderr)


@contextlib.contextmanager
def server(folder, python, scratch, arguments):
    """(address, token) of a JupyterLab that runs as `lab` runs it, and is stopped whatever happens."""
    token = secrets.token_hex(16)
    variables = dict(surroundings(folder), JUPYTER_TOKEN=token, JUPYTER_RUNTIME_DIR=str(scratch / "runtime"))
    run = [str(python), "-m", "hvlab", "lab", "--no-browser", "--ServerApp.ip=127.0.0.1"]
    run += [f"--ServerApp.port={free_port()}"] + arguments
    with open(str(scratch / "server.log"), "wb") as log:
        child = subprocess.Popen(run, cwd=str(ROOT), env=variables, stdout=log, stderr=subprocess.STDOUT)
    try:
        try:
            yield address_of(child, scratch, token), token
        except Stop:
            show_end((scratch / "server.log").read_text(encoding="utf-8", errors="replace"))
            raise
    finally:
        child.terminate()
        try:
            child.wait(15)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def address_of(child, scratch, token):
    """Wait until the server answers; it writes its address into its runtime folder."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if child.poll() is not None:
            raise Stop(f"JupyterLab ended with code {child.returncode} before it answered")
        for file in (scratch / "runtime").glob("jpserver-*.json"):
            with contextlib.suppress(OSError, ValueError, KeyError, http.client.HTTPException):
                address = json.loads(file.read_text(encoding="utf-8"))["url"]
                version = json.loads(get(address + "api", token))["version"]
                say("server", f"answers at {address} (Jupyter server {version})")
                return address
        time.sleep(0.2)
    raise Stop(f"JupyterLab did not answer within {START_SECONDS} s")


def get(address, token):
    """The body at a loopback address, never through a proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(address, headers={"Authorization": "token " + token})
    with opener.open(request, timeout=30) as answer:
        return answer.read()


def fetch_notebook(address, token, notebook):
    path = notebook.relative_to(ROOT).as_posix()
    quoted = urllib.request.pathname2url(path)
    try:
        served = json.loads(get(address + "api/contents/" + quoted + "?content=1", token))
        page = get(address + "lab/tree/" + quoted, token)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise Stop(f"{path} is not served: {error}") from error
    own = json.loads(notebook.read_text(encoding="utf-8"))
    if [words(cell) for cell in served["content"]["cells"]] != [words(cell) for cell in own["cells"]]:
        raise Stop(f"{path} is served with other cells than it holds")
    say("notebook", "{} served over HTTP, {} cells".format(path, len(own["cells"])))
    if b"jupyter-config-data" not in page:
        raise Stop(f"the page of {path} is not JupyterLab's")
    say("lab page", f"served, {len(page)} bytes")


def words(cell):
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)


def execute(folder, python, scratch, notebook):
    began = time.monotonic()
    run = [str(python), "-m", "nbconvert", "--to", "notebook", "--execute", "--output-dir", str(scratch), str(notebook)]
    finish(run, folder, f"{notebook.name} does not run to its end", HVLAB_MODE="test")
    cells = json.loads((scratch / notebook.name).read_text(encoding="utf-8"))["cells"]
    ran = sum(1 for cell in cells if cell["cell_type"] == "code")
    say("executed", f"{notebook.name}, {ran} code cells, wall {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
