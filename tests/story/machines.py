"""The four runs that the pictures of the machine tell, made once."""

from functools import cache

from hvlab.machine import Machine
from hvlab.trace.journal import Trace

GVA, GPA = 0x402000, 0x20000  # mapped by the child's tables, not by its second level


@cache
def runs() -> dict[str, Trace]:
    machine = Machine(memory=4 << 20)
    found = {"power_on": machine.boot}
    web = machine.child("web", memory=16 << 12)
    found["create_child"] = machine.trace
    web.enable_paging({0x400000: 0x5000, 0x401000: 0x6000, GVA: GPA}, root_gpn=1)
    web.read(0x401000)
    found["one_load"] = machine.trace
    web.read(0x401000)
    found["load_again"] = machine.trace
    with machine.action():
        web.read(GVA)
        machine.vid.message(web.partition, 0)
        machine.vid.add_memory(web.partition, GPA >> 12, 1)
        machine.vid.resume(web.partition, 0)
        web.read(GVA)
    found["one_intercept"] = machine.trace
    machine.child("second", memory=4 << 12).destroy()
    found["destroyed"] = machine.trace
    return found
