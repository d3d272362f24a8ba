"""Every target over its seeds, what earlier runs of the fuzzer found interesting, and what once broke something."""

import contextlib
import importlib
import time

import pytest

from fuzz.run import HERE, corpus, crashes, names

SLOWEST = 2.0  # seconds of one input


@pytest.mark.parametrize("name", names())
def test_no_input_that_was_ever_found_breaks_its_target(name):
    target = importlib.import_module(f"fuzz.target_{name}")
    inputs = [*target.seeds(), *corpus(name), *(path.read_bytes() for path in crashes(name))]

    for data in inputs:
        began = time.process_time()
        with contextlib.suppress(target.ALLOWED):
            target.one(data)
        assert time.process_time() - began < SLOWEST, data[:80]
    assert inputs


@pytest.mark.parametrize("name", names())
def test_a_target_watches_modules_that_are_there_and_says_what_it_may_raise(name):
    target = importlib.import_module(f"fuzz.target_{name}")

    assert target.ALLOWED and target.MODULES and all(importlib.import_module(one) for one in target.MODULES)


def test_every_crash_belongs_to_a_target():
    assert {path.name.rsplit("-", 1)[0] for path in (HERE / "crashes").glob("*-*")} <= set(names())
