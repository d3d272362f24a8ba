"""Where each event of a trace happens: the box in which, the box that it reaches, and its token.

`@kernel`, `@user` and `@caller` stand for the boxes of the partition whose virtual processor acts, `@bus` for its end
of VMBus and `@peer` for the other one; `@software` is user or kernel by what an access says, `@flusher` the hypervisor
where a call made it flush, else the processor.
"""

from typing import Final

PROCESSORS, MEMORY, TABLES = "processors", "memory", "address management"
CALLS, MANAGER, INTERCEPTS = "hypercalls", "partition manager", "intercepts"
WALK: Final = {
    "access_begun": ("@software", PROCESSORS, "A"),
    **dict.fromkeys(("tlb_hit", "tlb_missed", "structure_cache_hit", "nested_cache_hit"), (PROCESSORS, "", "A")),
    **dict.fromkeys(("tlb_filled", "translated", "stale_entry_used"), (PROCESSORS, "", "A")),
    **dict.fromkeys(("second_level_entry_read", "table_entry_read"), (PROCESSORS, MEMORY, "A")),
    **dict.fromkeys(("accessed_set", "dirty_set"), (PROCESSORS, MEMORY, "A")),
    **dict.fromkeys(("page_fault_raised", "general_protection_raised"), (PROCESSORS, "@kernel", "!")),
    **dict.fromkeys(("ept_violation_raised", "ept_misconfigured", "nested_page_fault_raised"), (PROCESSORS, "", "!")),
    "memory_missing": (PROCESSORS, MEMORY, "!"),
}
SYNIC: Final = {
    **dict.fromkeys(("message_posted", "message_announced", "message_queued", "slot_filled"), ("SynIC", "", "M")),
    **dict.fromkeys(("message_word_written", "event_flag_set", "event_flag_already_set"), ("SynIC", "", "M")),
    **dict.fromkeys(("message_refused", "signal_refused", "signal_dropped", "messages_dropped"), ("SynIC", "", "!")),
    **dict.fromkeys(("interrupt_withheld", "timer_skipped", "timer_lost"), ("SynIC", "", "!")),
    **dict.fromkeys(("timer_started", "timer_stopped", "timer_expired"), ("SynIC", "", "M")),
    **dict.fromkeys(("eom_written", "message_taken", "event_flag_cleared", "crash_reported"), ("@kernel", "", "M")),
    **dict.fromkeys(("routine_begun", "routine_ended", "flags_read", "flags_overwritten"), ("@kernel", "", "M")),
    **dict.fromkeys(("message_copied", "slot_freed", "barrier_passed", "pending_tested"), ("@kernel", "", "M")),
    **dict.fromkeys(("port_created", "port_deleted", "connection_made", "connection_removed"), ("SynIC", "", "W")),
    **dict.fromkeys(("page_overlaid", "page_uncovered"), (TABLES, "", "W")),
}
INTERRUPTS: Final = {
    **dict.fromkeys(("vector_raised", "vector_coalesced", "nmi_raised", "nmi_merged"), ("APIC", "", "I")),
    **dict.fromkeys(("vector_delivered", "vector_delivered_and_ended", "nmi_taken"), ("APIC", "@kernel", "I")),
    **dict.fromkeys(("vector_refused", "vector_dropped", "eoi_without_interrupt", "ipi_refused"), ("APIC", "", "!")),
    **dict.fromkeys(("eoi_written", "tpr_written", "apic_written", "ipi_sent"), ("@kernel", "APIC", "I")),
    **dict.fromkeys(("eoi_saved", "nmi_ended", "apic_timer_set"), ("@kernel", "", "I")),
    **dict.fromkeys(("vector_ended", "apic_timer_expired"), ("APIC", "", "I")),
    **dict.fromkeys(("init_received", "startup_received", "startup_ignored"), ("APIC", "", "I")),
    **dict.fromkeys(("assist_offered", "assist_withdrawn"), ("APIC", MEMORY, "A")),
    "assist_cleared": (PROCESSORS, MEMORY, "A"),
    **dict.fromkeys(("pin_sent", "pin_ended", "pin_programmed"), ("APIC", "", "I")),
    **dict.fromkeys(("pin_masked", "pin_held"), ("APIC", "", "!")),
}
SCHEDULING: Final = {
    **dict.fromkeys(("vp_ready", "vp_descheduled"), ("scheduler", "", "W")),
    "vp_scheduled": ("scheduler", PROCESSORS, "W"),
    "vp_halted": ("@kernel", "scheduler", "X"),
    "device_interrupt": (PROCESSORS, "APIC", "I"),
    "vp_interrupted": (PROCESSORS, INTERCEPTS, "X"),
    "handler_entered": ("@kernel", "", "I"),
    "burst_begun": ("@user", "", "W"),
    "root_signalled": ("scheduler", "root.VID", "M"),
    "vp_dispatched": ("root.VID", "scheduler", "H"),
}
EMULATION: Final = {
    "instruction_exited": ("@kernel", INTERCEPTS, "X"),
    "parent_told": (INTERCEPTS, "root.VID", "M"),
    "port_answered": (INTERCEPTS, "@kernel", "X"),
    "intercept_installed": (INTERCEPTS, "", "W"),
    "message_handled": ("root.VID", "root.VMWP", "M"),
    **dict.fromkeys(("device_read", "device_written"), ("root.VMWP", "", "W")),
    "instruction_emulated": ("root.VMWP", "", "W"),
}
VMBUS: Final = {
    **dict.fromkeys(("channel_message_sent",), ("@bus", "@peer", "V")),
    **dict.fromkeys(("channel_message_taken", "version_accepted", "channel_state_changed"), ("@bus", "", "V")),
    **dict.fromkeys(("channel_message_refused", "version_refused", "gpadl_refused"), ("@bus", "", "!")),
    **dict.fromkeys(("gpadl_mapped", "gpadl_unmapped"), ("@bus", "", "V")),
    **dict.fromkeys(("gpadl_page_mapped", "ring_word_written"), ("@bus", "", "A")),
    **dict.fromkeys(("write_index_published", "read_index_published"), ("@bus", "@peer", "R")),
    **dict.fromkeys(("ring_begun", "packet_written", "packet_read", "doorbell_saved"), ("@bus", "", "R")),
    **dict.fromkeys(("room_not_signalled", "interrupt_mask_set", "pending_size_set"), ("@bus", "", "R")),
    **dict.fromkeys(("packet_refused", "packet_rejected", "packet_clamped"), ("@bus", "", "!")),
    **dict.fromkeys(("doorbell_rung", "room_signalled", "trigger_set"), ("@bus", "", "F")),
    "trigger_found": ("SynIC", "", "F"),
    "guest_throttled": ("@bus", "", "!"),
}
AT: Final[dict[str, tuple[str, str, str]]] = {
    **WALK,
    **INTERRUPTS,
    **SCHEDULING,
    **SYNIC,
    "tlb_flushed": ("@flusher", "", "A"),
    "hypercall_entered": ("@caller", CALLS, "H"),
    "hypercall_returned": (CALLS, "@caller", "H"),
    "hypercall_continued": (CALLS, "@caller", "H"),
    "rep_done": (CALLS, "", "H"),
    "call_denied": (CALLS, "", "!"),
    **dict.fromkeys(
        ("partition_created", "partition_initialized", "partition_finalized", "partition_deleted", "property_set"),
        (MANAGER, "", "W"),
    ),
    **dict.fromkeys(
        ("memory_deposited", "memory_withdrawn", "vp_created", "vp_deleted", "register_set"), (MANAGER, "", "W")
    ),
    **dict.fromkeys(("page_given", "page_scrubbed", "second_level_entry_written"), (TABLES, MEMORY, "A")),
    **dict.fromkeys(("page_mapped", "page_unmapped", "overlay_placed", "overlay_removed"), (TABLES, "", "W")),
    "flush_withheld": (TABLES, "", "!"),
    "control_register_written": ("@kernel", PROCESSORS, "A"),
    **dict.fromkeys(("msr_written", "msr_read"), ("@caller", "MSRs", "X")),
    "cpuid_answered": (INTERCEPTS, "@caller", "X"),
    "memory_written": (PROCESSORS, MEMORY, "A"),
    "output_written": (CALLS, MEMORY, "A"),
    "exception_raised": (PROCESSORS, "@kernel", "!"),
    "vp_exited": (PROCESSORS, INTERCEPTS, "X"),
    "intercept_posted": (INTERCEPTS, "root.VID", "M"),
    "vp_resumed": ("scheduler", "", "W"),
    **EMULATION,
    **VMBUS,
}
