"""Each test of the lab has a progress file of its own, and a session that begins empty."""

import pytest

from hvlab.lab import predict, progress

pytest.register_assert_rewrite("lab.lesson_rules")


def pytest_generate_tests(metafunc):
    """Run the tests of `lesson_rules` over each part of the lesson whose module imports them."""
    if "lesson_part" in metafunc.fixturenames:
        metafunc.parametrize("lesson_part", metafunc.module.PARTS, ids="-to-".join)


@pytest.fixture(autouse=True)
def book(monkeypatch, tmp_path):
    """The file that work goes to; no test writes beside the sources."""
    path = tmp_path / "work.jsonl"
    monkeypatch.setenv("HVLAB_PROGRESS", str(path))
    monkeypatch.delenv("HVLAB_LEARNER", raising=False)
    monkeypatch.setattr(progress.BOOK, "memory", [])
    monkeypatch.setattr(progress.BOOK, "said", set())
    return path


@pytest.fixture(autouse=True)
def unasked(monkeypatch):
    """No prediction is in yet."""
    monkeypatch.setattr(predict, "_asked", {})


@pytest.fixture
def learning(monkeypatch):
    """A learner at work, not a test."""
    monkeypatch.setenv("HVLAB_MODE", "learn")
