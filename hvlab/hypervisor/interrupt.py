"""An interrupt for a virtual processor: into its local APIC, and the scheduler is told.

SynIC, timers, IPIs and devices all raise through `request`; an EOI goes through `end`. A virtual processor that halts
becomes ready; one that runs takes the interrupt; for one that waits it stays pending.
"""

from hvlab.hardware import apic, ioapic
from hvlab.hypervisor import scheduler, virtual_apic
from hvlab.kernel import kernel, routine


@kernel
def request(m, mem, trace, vp, cause, vector, level, auto_eoi):
    """Raise a vector in a virtual processor's APIC, and let the scheduler look at it: (result, cause)."""
    result, cause = apic.raise_vector(m, trace, vp, cause, vector, level, auto_eoi)
    if result == apic.QUEUED:
        scheduler.kick(m, vp, cause)
    return result, cause


@routine
def end(m, mem, trace, vp, cause):
    """EOI: (vector or -1, cause). What waits in the APIC may come next."""
    vector, _, cause = virtual_apic.eoi(m, mem, trace, vp, cause)
    scheduler.kick(m, vp, cause)
    return vector, cause


@kernel
def hear(m, mem, trace):
    """Let the I/O APIC send what it is to, look at each APIC that something reached, and tell the scheduler."""
    if m["ioapic"]["wanted"] != 0:
        ioapic.pump(m, trace)
    news = m["news"]
    bits, news["who"] = news["who"], 0
    while bits != 0:
        vp = scheduler.lowest(bits)
        bits &= bits - 1
        scheduler.kick(m, vp, virtual_apic.attend(m, mem, trace, vp, news["row"][vp]))
