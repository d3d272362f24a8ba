"""Fuzz one target: `python tests/fuzz/run.py lsvmbus --seconds 300`. See README.md beside this file."""

from __future__ import annotations

import argparse
import ast
import base64
import gzip
import hashlib
import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
LONGEST = 4096  # bytes of one input
SMALLEST = 600  # inputs that a corpus keeps


def names() -> list[str]:
    """All targets."""
    return sorted(path.stem.removeprefix("target_") for path in HERE.glob("target_*.py"))


def watched(name: str) -> list[str]:
    """The modules that a target wants to see inside; read, as what is imported already is not instrumented."""
    tree = ast.parse((HERE / f"target_{name}.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "MODULES":
            return list(ast.literal_eval(node.value))
    raise SystemExit(f"target_{name}.py: no MODULES")


def corpus(name: str) -> list[bytes]:
    """The inputs that earlier runs left."""
    path = HERE / "corpus" / f"{name}.json.gz"
    return [base64.b64decode(one) for one in json.loads(gzip.decompress(path.read_bytes()))] if path.exists() else []


def crashes(name: str) -> list[Path]:
    """The inputs that once broke something."""
    return sorted((HERE / "crashes").glob(f"{name}-*"))


def keep(name: str, inputs: list[bytes]) -> int:
    """Store inputs, the small ones first; the same inputs give the same bytes."""
    chosen = sorted(set(inputs), key=lambda one: (len(one), one))[:SMALLEST]
    text = json.dumps([base64.b64encode(one).decode() for one in chosen], indent=0)
    (HERE / "corpus").mkdir(exist_ok=True)
    (HERE / "corpus" / f"{name}.json.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    return len(chosen)


def fuzz(name: str, arguments: list[str]) -> None:
    """Become the fuzzer; it ends the process."""
    import atheris

    with atheris.instrument_imports(include=watched(name)):
        target = importlib.import_module(f"fuzz.target_{name}")
    # A merge starts processes of its own, through a shell, by what stands in the first place.
    atheris.Setup([f"{sys.executable} {__file__} --become {name}", *arguments], target.one)
    atheris.Fuzz()


def main() -> int:
    """Fuzz in a process of its own, keep what broke, and the smallest corpus with the coverage that was reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=names())
    parser.add_argument("--seconds", type=int, default=300)
    chosen = parser.parse_args()
    target = importlib.import_module(f"fuzz.target_{chosen.target}")
    with tempfile.TemporaryDirectory() as scratch:
        old, new, broken = (Path(scratch) / part for part in ("old", "new", "broken"))
        for folder in (old, new, broken):
            folder.mkdir()
        for one in [*target.seeds(), *corpus(chosen.target), *(path.read_bytes() for path in crashes(chosen.target))]:
            (old / hashlib.sha1(one).hexdigest()).write_bytes(one)
        words = Path(scratch) / "words"
        words.write_text("".join(f'"{_escaped(word)}"\n' for word in target.WORDS), encoding="ascii")
        limits = [f"-max_len={LONGEST}", "-timeout=5", "-rss_limit_mb=4096", f"-artifact_prefix={broken}/"]
        said = _become(chosen.target, [*limits, f"-dict={words}", f"-max_total_time={chosen.seconds}", str(old)])
        if not list(broken.iterdir()):
            _become(chosen.target, [*limits, "-merge=1", str(new), str(old)])
            print(f"corpus: {keep(chosen.target, [path.read_bytes() for path in new.iterdir()])} inputs")
        for path in broken.iterdir():
            (HERE / "crashes").mkdir(exist_ok=True)
            kept = HERE / "crashes" / f"{chosen.target}-{path.name[-12:]}"
            kept.write_bytes(path.read_bytes())
            print(f"broke: {kept}")
        found = re.findall(r"stat::number_of_executed_units: (\d+)|Done (\d+) runs in (\d+) second", said)
        print(f"{chosen.target}: {found}")
        return 1 if list(broken.iterdir()) else 0


def _escaped(word: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() or c in " _-:=./{}[]()" else f"\\x{ord(c):02x}" for c in word)


def _become(name: str, arguments: list[str]) -> str:
    """Run the fuzzer in a process of its own, with plain Python in the place of the compiler."""
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": _path()}
    command = [sys.executable, str(Path(__file__)), "--become", name, *arguments]
    done = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True, errors="replace", check=False)
    print("\n".join(done.stderr.splitlines()[-12:]), flush=True)
    return done.stderr


def _path() -> str:
    return os.pathsep.join([str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    if sys.argv[1:2] == ["--become"]:
        fuzz(sys.argv[2], sys.argv[3:])
    else:
        raise SystemExit(main())
