"""What two runs on one clock are compared by: how often each kind of thing happened."""

from typing import Final

from hvlab.language import N_
from hvlab.trace.journal import Trace

LEDGER: Final[dict[str, frozenset[str]]] = {
    N_("hypercalls"): frozenset({"hypercall_entered"}),
    N_("exits"): frozenset(
        {"vp_exited", "msr_written", "msr_read", "cpuid_answered", "hypercall_entered"}
        | {"eoi_written", "vp_interrupted", "vp_halted"}
    ),
    N_("table reads"): frozenset({"table_entry_read", "second_level_entry_read"}),
    N_("memory writes"): frozenset(
        {"memory_written", "output_written", "second_level_entry_written", "accessed_set", "dirty_set"}
    ),
    N_("pages given"): frozenset({"page_given"}),
}
# Where one of these happens, the ledger has them, and of the others what happens at all.
MORE: Final[dict[str, frozenset[str]]] = {
    N_("interrupts"): frozenset({"vector_delivered", "vector_delivered_and_ended"}),
    N_("EOIs saved"): frozenset({"eoi_saved"}),
    N_("put to run"): frozenset({"vp_scheduled"}),
    N_("messages"): frozenset({"message_posted", "message_refused"}),
    N_("signals"): frozenset({"event_flag_set", "event_flag_already_set", "signal_dropped", "signal_refused"}),
}
TIME: Final = N_("time")


def counted(*traces: Trace) -> dict[str, frozenset[str]]:
    """Return the rows of the ledger for these runs, and the events that each row counts."""
    seen = {name for trace in traces for name in trace.kinds()}
    more = {name: events for name, events in MORE.items() if events & seen}
    return {name: events for name, events in LEDGER.items() if events & seen} | more if more else LEDGER
