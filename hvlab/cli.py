"""The ``hvlab`` command. Each command imports what it needs when it runs, so that asking for help costs nothing."""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import hvlab
from hvlab.errors import MODES, HvlabError, UnknownMode

if TYPE_CHECKING:
    from hvlab.capture.accesses import AddressTrace

Command = Callable[[argparse.Namespace], int]
LIBRARIES = ("numba", "numpy", "matplotlib", "networkx", "ipywidgets", "anywidget", "jupyterlab")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; what goes wrong on purpose is one line, not a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    parser = commands()
    chosen, rest = parser.parse_known_args(arguments)
    if rest and chosen.run is not lab:
        parser.error(f"unknown: {' '.join(rest)}")
    chosen.rest = rest
    run: Command = chosen.run
    try:
        if os.environ.get("HVLAB_MODE", "") not in ("", *MODES):
            raise UnknownMode(os.environ["HVLAB_MODE"], MODES)
        return run(chosen)
    except HvlabError as error:
        problem = str(error)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read us has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        problem = f"{error.filename or 'a file'}: {error.strerror or error}"
    print(f"hvlab: {problem}", file=sys.stderr)
    return 1


def commands() -> argparse.ArgumentParser:
    """Return the parser; each command carries its function."""
    parser = argparse.ArgumentParser(prog="hvlab", description="A Jupyter lab about Hyper-V.")
    parser.add_argument("--version", action="version", version=f"hvlab {hvlab.__version__}")
    some = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Command, says: str) -> argparse.ArgumentParser:
        one = some.add_parser(name, help=says, description=says, allow_abbrev=False)
        one.set_defaults(run=run)
        return one

    add("lab", lab, "open JupyterLab on the first lesson; further arguments go to JupyterLab")
    add("warm", warm, "compile the engine into this user's cache, so that the first picture comes at once")
    add("doctor", doctor, "say what is installed and what can be written; changes nothing")
    one = add("open", open_file, "say in plain words what a file is and holds")
    one.add_argument("path", metavar="PATH", help="a file; - for what is piped in")
    one.add_argument("--html", metavar="OUT", help="write it as a page with pictures instead")
    one = add("verify", verify, "replay files that have an oracle through the engine, and count")
    one.add_argument("paths", metavar="PATH", nargs="+")
    one = add("html", html, "write a lesson, or the whole lab, as pages that need neither a kernel nor a network")
    which = one.add_mutually_exclusive_group(required=True)
    which.add_argument("notebook", metavar="NOTEBOOK", nargs="?")
    which.add_argument("--all", metavar="DIR", help="all lessons with index, glossary and errata, into a new folder")
    one.add_argument("--out", metavar="OUT", help="where to write the one lesson; else beside the notebook")
    one = add("refresh", refresh, "run the lessons and renew what they store")
    one.add_argument("paths", metavar="NOTEBOOK", nargs="*", help="else all lessons of this checkout")
    one.add_argument("--text", action="store_true", help="run nothing; only bring them into their committed form")
    one = add(
        "class",
        classroom,
        "a sheet of seeds for a list of aliases; report and marks from the progress files of a class",
    )
    one.add_argument("what", choices=("seeds", "report", "marks"))
    one.add_argument("path", metavar="LIST.csv|FOLDER")
    one.add_argument("--lesson", default="", metavar="NN", help="seeds: only the exercises of this lesson")
    one.add_argument(
        "--list", metavar="LIST.csv", help="marks: the aliases, whose files are ALIAS.jsonl or ALIAS/*.jsonl"
    )
    one.add_argument("--seed", metavar="HEX", help="marks: the worlds on which functions run, to make marks once more")
    one = add("notebooks", notebooks, "copy the lessons into a folder; a changed file is never overwritten")
    one.add_argument("folder", metavar="DIR")
    return parser


def lab(chosen: argparse.Namespace) -> int:
    """Warm the engine in a process of its own, so that the server stays small, then become the server."""
    from hvlab.notebooks import start_page

    try:
        from jupyterlab.labapp import LabApp
    except ImportError as error:
        raise HvlabError(f"JupyterLab is not here ({error.name} is missing): pip install 'hvlab[lab]'") from error
    root, page = start_page(Path.cwd())
    if subprocess.call([sys.executable, "-m", "hvlab", "warm"]):
        raise HvlabError("the engine does not start; hvlab doctor says more")
    words = [f"--ServerApp.root_dir={root}", f"--LabApp.default_url=/lab/tree/{page}" if page else "", *chosen.rest]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        words.insert(0, "--allow-root")  # a container; the server still listens on this machine only
    LabApp.launch_instance([word for word in words if word])
    return 0


def warm(chosen: argparse.Namespace) -> int:
    """Call each compiled entry point once, and clear caches that nobody uses any more."""
    print("hvlab: warming the engine (some 15 s the first time, then at once)", flush=True)
    from hvlab import kernel, machine

    seconds = machine.warm()
    kernel.sweep()
    print(f"hvlab: engine warm, wall {seconds:.1f} s, cache {kernel.CACHE or 'nowhere: nothing can be written'}")
    return 0


def doctor(chosen: argparse.Namespace) -> int:
    """Say what a question about a broken installation needs to know."""
    rows = [
        ("hvlab", f"{hvlab.__version__} in {Path(hvlab.__file__).parent}"),
        ("Python", f"{platform.python_version()} ({platform.python_implementation()}), {sys.executable}"),
        ("platform", f"{platform.platform()}, {platform.machine()}, {os.cpu_count()} processors"),
        ("environment", f"{sys.prefix} ({_kind_of_environment()})"),
        *((name, _version(name)) for name in LIBRARIES),
        *((f"{name} folder", f"{folder} ({_writable(folder)})") for name, folder in _folders()),
        *_compiler(),
    ]
    for name, value in rows:
        print(f"{name:<16} {value}")
    return 0


def open_file(chosen: argparse.Namespace) -> int:
    """Describe a file, as text or as a page."""
    what = _standard_input() if chosen.path == "-" else Path(chosen.path)
    if chosen.html is None:
        from hvlab.capture.describe import describe

        print(describe(what, _study))
        return 0
    from hvlab.view import report

    return _write(Path(chosen.html), report.html(what))


def _standard_input() -> str:
    """Return what is piped in, as a text; one byte more than a file may have is enough to refuse it."""
    from hvlab.capture.gate import FILE_CAP

    data = sys.stdin.buffer.read(FILE_CAP + 1)
    return data.decode("utf-8", "surrogateescape") + "\n"


def _study(trace: "AddressTrace") -> str:
    from hvlab.lab.study import describe_study

    return describe_study(trace)


def verify(chosen: argparse.Namespace) -> int:
    """Replay everything that has an oracle."""
    from hvlab import verify as replay

    return replay.main([Path(path) for path in chosen.paths])


def html(chosen: argparse.Namespace) -> int:
    """Write one lesson as a page, or all of them as a site."""
    if chosen.all is not None:
        return _site(chosen)
    from hvlab.view import page

    notebook = Path(chosen.notebook)
    return _write(Path(chosen.out) if chosen.out else notebook.with_suffix(".html"), page.notebook_html(notebook))


def _site(chosen: argparse.Namespace) -> int:
    from hvlab import notebooks as lessons
    from hvlab.view import site

    if chosen.out is not None:
        raise HvlabError("--out is the page of one lesson; the site goes into the folder after --all")
    folder = Path(chosen.all)
    sizes = site.write(lessons.shipped(), folder)
    for name, size in sizes.items():
        print(f"{folder / name}: {size / 1024:.0f} KiB")
    print(f"{folder}: {len(sizes)} pages, {sum(sizes.values()) / 1024 / 1024:.1f} MiB; begin with index.html")
    return 0


def refresh(chosen: argparse.Namespace) -> int:
    """Renew what the lessons store."""
    from hvlab import notebooks as lessons

    for path in [Path(path) for path in chosen.paths] or lessons.shipped():
        print(lessons.refresh(path, run=not chosen.text), flush=True)
    return 0


def notebooks(chosen: argparse.Namespace) -> int:
    """Copy the lessons for students."""
    from hvlab import notebooks as lessons

    for name, done in lessons.copy(Path(chosen.folder)):
        print(f"{name}: {done}")
    return 0


def classroom(chosen: argparse.Namespace) -> int:
    """Print a class's seeds, its report, or its marks."""
    from hvlab.lab import classroom as room

    if chosen.what == "marks":
        from hvlab.lab.marks import marks

        if chosen.list is None:
            raise HvlabError("marks need the list of aliases: hvlab class marks FOLDER --list LIST.csv")
        try:
            secret = None if chosen.seed is None else int(chosen.seed, 16)
        except ValueError:
            raise HvlabError(f"the seed {chosen.seed!r}: wanted the 16 digits below the marks") from None
        print(marks(Path(chosen.path), Path(chosen.list), secret))
        return 0

    if chosen.what == "seeds":
        print(room.seeds(Path(chosen.path), chosen.lesson), end="")
        return 0
    print("\n\n".join(map(repr, room.report(Path(chosen.path)))))
    return 0


def _write(out: Path, text: str) -> int:
    out.write_text(text, encoding="utf-8", newline="\n")
    print(f"{out}: {len(text.encode()) / 1024:.0f} KiB")
    return 0


def _kind_of_environment() -> str:
    if os.environ.get("CONDA_PREFIX") == sys.prefix:
        return "conda"
    return "of its own" if sys.prefix != sys.base_prefix else "the system's Python"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _folders() -> list[tuple[str, Path]]:
    home = Path(os.path.expanduser("~"))
    return [("current", Path.cwd()), ("home", home), ("temporary", Path(tempfile.gettempdir()))]


def _writable(folder: Path) -> str:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return "can be written"
    except OSError as error:
        return f"cannot be written: {error.strerror}"


def _compiler() -> list[tuple[str, str]]:
    try:
        import llvmlite.binding as llvm
        import numba

        from hvlab import kernel
    except ImportError as error:
        return [("compiler", f"does not load: {error}")]
    processor = numba.config.CPU_NAME or llvm.get_host_cpu_name()
    way = f"by numba's own way ({why})" if (why := "" if kernel.PLAIN else kernel.own_way()) else "as a whole"
    mode = "off: every kernel is plain Python" if kernel.PLAIN else f"on, for {processor}; each entry point {way}"
    return [("compiler", mode), ("cache folder", str(kernel.CACHE or "none"))]
