"""What can be known of Binder without building an image: its plan, our two files that must agree, our two scripts.

Not known from here: that conda-forge holds these versions, that the solve succeeds, the image, the launch.
"""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import jupyterlab.commands
import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
BINDER = ROOT / "binder"
SCRIPTS = ("postBuild", "start")
CONDA_NAMES = {"matplotlib": "matplotlib-base"}
BASH = shutil.which("bash") or "bash"


def conda_requirements() -> dict[str, str]:
    """Name to bounds, as environment.yml has them."""
    lines = re.findall(r"^  - ([a-z0-9-]+)([<>=].*)?$", (ROOT / "environment.yml").read_text("utf-8"), re.MULTILINE)
    return dict(lines)


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def asked_by_pyproject() -> list[Requirement]:
    extras = project()["optional-dependencies"]
    return [Requirement(text) for text in project()["dependencies"] + extras["lab"]]


def set_by(script: str) -> dict[str, str]:
    """The NUMBA variables that a script exports, as bash understands it."""
    exports = [line for line in (BINDER / script).read_text("utf-8").splitlines() if line.startswith("export ")]
    shown = subprocess.run(
        [BASH, "-c", "\n".join([*exports, "env"])], env={"PATH": os.defpath}, capture_output=True, text=True, check=True
    ).stdout
    return dict(line.split("=", 1) for line in shown.splitlines() if line.startswith("NUMBA_CPU"))


@pytest.mark.plan
def test_plan_of_repo2docker_takes_python_and_packages_from_binder_and_runs_our_scripts() -> None:
    run = [
        sys.executable,
        "-m",
        "repo2docker",
        "--no-build",
        "--debug",
        "--user-id",
        "1000",
        "--user-name",
        "jovyan",
        ".",
    ]

    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False)
    plan = done.stdout + done.stderr

    assert done.returncode == 0, plan
    assert "conda environment for python=3.12" in plan
    assert "src/binder/environment.yml" in plan
    assert "./binder/postBuild" in plan
    assert re.search(r"R2D_ENTRYPOINT.*binder/start", plan)


def test_plan_reads_only_binder_so_its_environment_is_a_copy_of_ours() -> None:
    assert (BINDER / "environment.yml").read_bytes() == (ROOT / "environment.yml").read_bytes()
    assert not (BINDER / "environment.yml").is_symlink()
    assert not (ROOT / ".binder").exists()
    assert sorted(path.name for path in BINDER.iterdir()) == [
        "environment.yml",
        "overrides.json",
        "postBuild",
        "start",
    ]


def test_plan_names_one_python_because_a_bound_becomes_another_version() -> None:
    asked = conda_requirements()["python"]

    assert re.fullmatch(r"=3\.\d+", asked)
    assert asked.removeprefix("=") + ".0" in Requirement(f"python{project()['requires-python']}").specifier


def test_plan_asks_for_every_dependency_with_the_same_bounds() -> None:
    conda = conda_requirements()

    for requirement in asked_by_pyproject():
        name = CONDA_NAMES.get(requirement.name, requirement.name)

        assert set(conda[name].split(",")) == {str(bound) for bound in requirement.specifier}


def test_plan_installs_the_package_in_a_script_and_not_in_the_cached_layer() -> None:
    text = (ROOT / "environment.yml").read_text("utf-8")

    assert "- pip:" not in text
    assert "pip install --no-deps --no-cache-dir -e ." in (BINDER / "postBuild").read_text("utf-8")


def test_the_lock_satisfies_what_pyproject_asks() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    locked = [Requirement(line) for line in lines]

    for requirement in asked_by_pyproject():
        versions = [str(lock.specifier).removeprefix("==") for lock in locked if lock.name == requirement.name]

        assert versions and all(version in requirement.specifier for version in versions)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_can_be_run_by_bash(script: str) -> None:
    path = BINDER / script
    content = path.read_bytes()

    assert content.startswith(b"#!/usr/bin/env bash\n")
    assert b"\r" not in content
    assert os.name == "nt" or path.stat().st_mode & stat.S_IXUSR
    assert subprocess.run([BASH, "-n", str(path)], check=False).returncode == 0


def test_start_hands_over_to_the_server() -> None:
    shown = subprocess.run(
        [BASH, str(BINDER / "start"), "printenv", "OMP_NUM_THREADS"], capture_output=True, text=True, check=True
    ).stdout

    assert (BINDER / "start").read_text("utf-8").rstrip().endswith('exec "$@"')
    assert shown == "1\n"


def test_both_scripts_name_the_same_processor_or_the_warm_cache_would_miss() -> None:
    assert set_by("postBuild") == set_by("start") == {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}


@pytest.mark.compiled
def test_a_cache_warmed_by_the_build_is_hit_by_the_server(tmp_path: Path) -> None:
    here = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    warm = [sys.executable, "-m", "hvlab", "warm"]

    subprocess.run(warm, cwd=ROOT, env={**here, **set_by("postBuild")}, check=True, capture_output=True)
    built = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb*")}
    subprocess.run([BASH, str(BINDER / "start"), *warm], cwd=ROOT, env=here, check=True, capture_output=True)
    served = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb*")}

    assert built and served == built


def test_settings_of_jupyterlab_exist_in_its_schemas_and_reach_both_environments() -> None:
    overrides = json.loads((BINDER / "overrides.json").read_text("utf-8"))
    schemas = Path(jupyterlab.commands.get_app_dir()) / "schemas"
    for plugin, settings in overrides.items():
        extension, name = plugin.split(":")
        properties = json.loads((schemas / extension / f"{name}.json").read_text("utf-8"))["properties"]
        for key, value in settings.items():
            choices = [one["const"] for one in properties[key].get("oneOf", [{"const": value}])]
            assert value in choices, f"{plugin}: {key}"
    assert "binder/overrides.json" in (BINDER / "postBuild").read_text("utf-8")
    assert '"overrides.json"' in (ROOT / "lab.py").read_text("utf-8")
