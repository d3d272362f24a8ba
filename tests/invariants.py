"""The invariants, for tests: `hold(machine)` fails with the sentences of every breach."""

from hvlab.hypervisor.invariants import check_all


def hold(machine) -> None:
    """Fail if any invariant is broken."""
    found = check_all(machine)
    assert found == [], "\n".join(found)
