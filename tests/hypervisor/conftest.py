"""Machines for the hypervisor's tests: small ones, so that they start at once."""

import pytest

from hvlab.machine import Machine

SMALL = 2 << 20


@pytest.fixture
def machine():
    return Machine(memory=SMALL)


@pytest.fixture
def child(machine):
    return machine.child("web", memory=64 * 4096)


@pytest.fixture
def caller(machine):
    """Calls from the root, by name: `caller("GetPartitionId")` returns (status name, reps done, output bytes)."""
    return Caller(machine, machine.root_vp, machine.vid.winhv.input_gpn, machine.vid.winhv.output_gpn)


@pytest.fixture
def guest(child):
    """Calls from the child, which has enabled its hypercall page."""
    child.vp.wrmsr(0x40000000, 1)
    child.vp.wrmsr(0x40000001, 1 | 9 << 12)
    return Caller(child.machine, child.vp, 1, 2)


class Caller:
    """Makes one raw hypercall and takes the result word apart."""

    def __init__(self, machine, vp, input_gpn, output_gpn):
        self.machine, self.vp, self.input, self.output = machine, vp, input_gpn * 4096, output_gpn * 4096

    def __call__(self, name, *elements, count=None, start=0, fast=0, bits=0, **fields):
        from hvlab.hypervisor.vp import Fault
        from hvlab.wire.hypercalls import CALLS, CODES
        from hvlab.wire.tlfs import HypercallControl, HypercallResult, Status

        call = CALLS[CODES[name]]
        block = (call.header.encode(**fields) if call.header else b"") + b"".join(elements)
        reps = (len(elements) if count is None else count) if call.rep else 0
        control = HypercallControl.encode(code=call.code, rep_count=reps, rep_start=start, fast=fast) | bits
        if fast:
            words = [int.from_bytes(block[k : k + 8].ljust(8, b"\0"), "little") for k in (0, 8)]
            answer = self.vp.hypercall(control, *words)
        else:
            if block:
                assert self.vp.write_gpa(self.input, block) is None
            answer = self.vp.hypercall(control, self.input, self.output)
        if isinstance(answer, Fault):
            return answer.kind, 0
        result = HypercallResult.decode(answer)
        return Status(result.status).name, result.reps_done

    def out(self, kind, at=0):
        return kind.decode(self.vp.read_gpa(self.output + at * kind.size, kind.size))
