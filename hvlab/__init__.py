"""hvlab: Hyper-V as a machine of bytes and registers, whose every step can be watched in a notebook.

The names below are what a notebook imports. Each is fetched when it is first used, so that a command such as
``hvlab doctor`` loads neither the compiler nor a plotting library.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOME: dict[str, str] = {
    "EptEntry": "hvlab.wire.x64",
    "FETCH": "hvlab.hardware.processor",
    "GUEST_PRIVILEGES": "hvlab.wire.tlfs",
    "Geometry": "hvlab.hardware.tlb",
    "GuestOsId": "hvlab.wire.tlfs",
    "HvlabError": "hvlab.errors",
    "HypercallControl": "hvlab.wire.tlfs",
    "HypercallMsr": "hvlab.wire.tlfs",
    "HypercallResult": "hvlab.wire.tlfs",
    "IoPortAccessInfo": "hvlab.wire.intercepts",
    "Machine": "hvlab.machine",
    "Msr": "hvlab.wire.tlfs",
    "InterruptLens": "hvlab.story.interrupts",
    "MessageHeader": "hvlab.wire.tlfs",
    "PageTableEntry": "hvlab.wire.x64",
    "PrivilegeMask": "hvlab.wire.tlfs",
    "Sint": "hvlab.wire.synic",
    "Status": "hvlab.wire.tlfs",
    "USER": "hvlab.hardware.processor",
    "WRITE": "hvlab.hardware.processor",
    "adding": "hvlab.lab.tiny",
    "again": "hvlab.lab.deal",
    "busy": "hvlab.lab.interrupting",
    "call_log": "hvlab.capture.callog",
    "call_me": "hvlab.lab.progress",
    "call_story": "hvlab.story.call",
    "case": "hvlab.lab.check",
    "check": "hvlab.lab.check",
    "child_with_devices": "hvlab.lab.tiny",
    "compare": "hvlab.story.compare",
    "compose": "hvlab.lab.bitfields",
    "composer": "hvlab.view.composer",
    "costs": "hvlab.view.figures",
    "cpuid_leaves": "hvlab.lab.discovery",
    "create_child": "hvlab.story.system",
    "entry_of": "hvlab.lab.whole",
    "errata": "hvlab.lab.errata",
    "established": "hvlab.lab.calling",
    "every_knob": "hvlab.lab.knobs",
    "explain": "hvlab.view.explain",
    "exit_log": "hvlab.capture.exits",
    "export": "hvlab.view.export",
    "flush_block": "hvlab.lab.calling",
    "glossary": "hvlab.lab.glossary",
    "guest_log": "hvlab.capture.guestlog",
    "hello": "hvlab.lab.tiny",
    "hint": "hvlab.lab.hint",
    "hops": "hvlab.lab.whole",
    "house": "hvlab.lab.whole",
    "hit_rates": "hvlab.view.figures",
    "hunt": "hvlab.lab.hunt",
    "identify": "hvlab.lab.tiny",
    "inspect": "hvlab.lab.permits",
    "inspector": "hvlab.view.inspector",
    "interleavings": "hvlab.lab.interleavings",
    "interrupt_story": "hvlab.story.interrupts",
    "ipi": "hvlab.lab.interrupting",
    "kvm_log": "hvlab.capture.kvmlog",
    "left_out": "hvlab.lab.left_out",
    "letters": "hvlab.lab.letters",
    "load": "hvlab.capture.load",
    "long_call": "hvlab.lab.slices",
    "message_of": "hvlab.lab.tiny",
    "one_apic": "hvlab.lab.interrupting",
    "one_load": "hvlab.story.system",
    "one_walk": "hvlab.lab.walks",
    "own_tables": "hvlab.lab.own_tables",
    "parts": "hvlab.lab.bitfields",
    "power_on": "hvlab.story.system",
    "predict": "hvlab.lab.predict",
    "program": "hvlab.lab.whole",
    "progress": "hvlab.lab.progress",
    "reading": "hvlab.lab.tiny",
    "recall": "hvlab.lab.recall",
    "run_tiny": "hvlab.lab.tiny",
    "sample": "hvlab.capture.samples",
    "scenario": "hvlab.lab.scenario",
    "seen_vectors": "hvlab.lab.interrupting",
    "show": "hvlab.view",
    "slice_stays": "hvlab.view.sweeps",
    "solution": "hvlab.lab.teacher",
    "source": "hvlab.lab.source",
    "study": "hvlab.lab.study",
    "summary": "hvlab.capture.summary",
    "sweep_pages": "hvlab.lab.study",
    "sweep_slices": "hvlab.lab.slices",
    "sweep_spread": "hvlab.lab.spread",
    "sweep_tlb": "hvlab.lab.study",
    "table_memory": "hvlab.view.sweeps",
    "synic_story": "hvlab.story.synic",
    "task": "hvlab.lab.check",
    "tell": "hvlab.lab.tell",
    "timer": "hvlab.lab.interrupting",
    "token": "hvlab.lab.scenario",
    "touch": "hvlab.lab.whole",
    "tree": "hvlab.lab.tree",
    "try_calls": "hvlab.lab.discovery",
    "two_guests": "hvlab.lab.interrupting",
    "worked": "hvlab.lab.worked",
    "wrong_run": "hvlab.lab.teacher",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"hvlab has no {name!r}; it has {', '.join(sorted(_HOME))}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*_HOME, "__version__"])
