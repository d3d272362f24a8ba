"""One guest page looked up by itself is the page that the look at many gives."""

import numpy as np
import pytest

from hvlab import Machine
from hvlab.hypervisor.address import look_up, look_up_one
from hypervisor.desk import PAGE


@pytest.mark.parametrize(("vendor", "levels"), [("intel", 4), ("amd", 4), ("intel", 5)])
def test_a_single_look_agrees_with_the_look_at_many(vendor, levels):
    machine = Machine(memory=8 << 20, vendor=vendor, levels=levels)
    machine.child("large", memory=2 << 20, large=True)
    small = machine.child("small", memory=8 * PAGE)
    machine.vid.protect(small.partition, 3, 1)
    gpns = [*range(1100), 1 << 27, 1 << 36, -1]

    for slot in machine.hv.alive():
        spns, rights = look_up(machine.hv, slot, np.array(gpns))
        assert [look_up_one(machine.hv, slot, gpn) for gpn in gpns] == list(
            zip(spns.tolist(), rights.tolist(), strict=True)
        )
