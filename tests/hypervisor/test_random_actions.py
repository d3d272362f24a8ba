"""Random actions, sensible and hostile, on several partitions: after each one every invariant holds."""

import pytest
from invariants import hold

from hvlab.kernel import PLAIN
from hypervisor.actions import Driver

STEPS = 150 if PLAIN else 650
MACHINES = {
    "intel": {},
    "amd": {"vendor": "amd"},
    "five levels, one processor": {"levels": 5, "lps": 1},
    "mode-based execute control": {"mbec": True},
}


@pytest.mark.parametrize("seed", range(4))
def test_every_invariant_holds_after_every_action(seed):
    driver = Driver(seed, **list(MACHINES.values())[seed])

    for k in range(STEPS):
        driver.machine.hv.audit = True
        action = driver.step()
        try:
            hold(driver.machine)
        except AssertionError as breach:
            breach.add_note(f"after action {k}, {action}; before it {driver.log[-6:-1]}")
            raise
        driver.machine.hv.done.clear()

    assert driver.born > 1
    assert driver.refused < STEPS / 5


def test_processors_without_tags_keep_every_invariant():
    driver = Driver(9, lps=1)
    driver.create()

    for _ in range(STEPS // 5):
        driver.machine.tags = 0
        driver.step()
        hold(driver.machine)

    assert driver.born > 0


def test_a_forgotten_flush_breaks_only_what_it_must():
    driver = Driver(11)
    driver.create()

    for _ in range(STEPS // 5):
        driver.machine.flush_on_unmap = 0
        driver.step()
        hold(driver.machine)  # stale entries bear their mark: the flush is owed

    assert driver.born > 0
