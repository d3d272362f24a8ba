"""The catalogue: everything that can be said to have happened.

An event's function signature names its words; its docstring says what happened; `rule` cites the platform.
"""

# The bodies are empty on purpose: `event` makes the emitter from the signature.

from hvlab.trace.event import event

PROCESSOR, MEMORY, TLB = "processor", "memory", "tlb"
HYPERVISOR, GUEST = "hypervisor", "guest"

SDM_WALK = "Intel SDM vol. 3A, 4.5 (four- and five-level paging)"
SDM_CACHES = "Intel SDM vol. 3A, 4.10 (caching translation information)"
SDM_EPT = "Intel SDM vol. 3C, EPT translation mechanism; AMD APM vol. 2, 15.25 (nested paging)"
AMD_NPT = "AMD APM vol. 2, 15.25 (nested paging)"


@event(box=PROCESSOR, says="VP {actor} asks for {gva:gva} ({access:enum:access}).", rule=SDM_WALK)
def access_begun(gva, access, cr3, levels, second_level, second_levels):
    """A virtual processor asks for one address; CR3 and the levels of both stages say which tables count."""


@event(
    box=TLB,
    says="The {cache:enum:cache} knows {gva:gva}: SPA {spa:spa}, a {shift:enum:page_size} page; no table is read.",
    rule=SDM_CACHES,
)
def tlb_hit(cache, gva, spa, shift):
    """A cached translation answered."""


@event(box=TLB, says="Neither TLB answers for {gva:gva}; the page walker starts.", rule=SDM_CACHES)
def tlb_missed(gva):
    """No usable cached translation: absent, or it does not grant this access."""


@event(
    box=TLB,
    says="The paging-structure cache knows the level-{level} table at SPA {table:spa}; the levels above are not read.",
    rule=SDM_CACHES,
)
def structure_cache_hit(level, gva, table):
    """The walk starts lower, at a table that a cache remembered with the rights of the levels above it."""


@event(
    box=TLB,
    says="The nested cache knows GPA {gpa:gpa} ({guest_level:enum:guest_level}): SPA {spa:spa}.",
    rule=SDM_CACHES,
)
def nested_cache_hit(guest_level, gpa, spa):
    """A cached guest-physical translation spared one second-level walk."""


@event(
    box=PROCESSOR,
    says="Second level, level {level}: entry {index} at SPA {spa:spa} is {entry:hex}, "
    "for {guest_level:enum:guest_level}.",
    rule=SDM_EPT,
)
def second_level_entry_read(guest_level, level, index, spa, entry, gpa):
    """The page walker read one second-level entry on behalf of a GPA."""


@event(
    box=PROCESSOR,
    says="Guest level {level}: entry {index} at SPA {spa:spa} is {entry:hex}.",
    rule=SDM_WALK,
)
def table_entry_read(level, index, gpa, spa, entry):
    """The page walker read one entry of the guest's own tables."""


@event(
    box=MEMORY,
    says="The processor sets A in {stage:enum:stage} level-{level} entry at SPA {spa:spa}: "
    "{old:hex} becomes {new:hex}.",
    rule="Intel SDM vol. 3A, 4.8 (accessed and dirty flags)",
)
def accessed_set(stage, level, spa, old, new):
    """An accessed flag was written to memory."""


@event(
    box=MEMORY,
    says="The processor sets D (and A) in {stage:enum:stage} level-{level} entry at SPA {spa:spa}: "
    "{old:hex} to {new:hex}.",
    rule="Intel SDM vol. 3A, 4.8 (accessed and dirty flags)",
)
def dirty_set(stage, level, spa, old, new):
    """A dirty flag (and A with it, where it was clear) was written to memory."""


@event(
    box=TLB,
    says="The {cache:enum:cache} keeps {gva:gva} as SPA {spa:spa}, a {shift:enum:page_size} page.",
    rule=SDM_CACHES,
)
def tlb_filled(cache, gva, spa, shift, evicted):
    """A finished translation entered a cache; `evicted` says whether another one left it."""


@event(
    box=TLB,
    says="The {cache:enum:cache} answers {gva:gva} with SPA {spa:spa}: stale, a flush is owed.",
    rule=SDM_CACHES,
)
def stale_entry_used(cache, gva, spa):
    """A translation was used after the tables behind it changed and before the flush that is owed for it."""


@event(
    box=PROCESSOR,
    says="The processor raises #PF in the guest for {gva:gva} at level {level}: error code {error_code:hex}.",
    rule="Intel SDM vol. 3A, 4.7 (page-fault exceptions)",
)
def page_fault_raised(gva, error_code, level):
    """The guest's own tables forbid the access: an exception inside the guest, no exit by itself."""


@event(
    box=PROCESSOR,
    says="The processor raises #GP in the guest: {gva:gva} is not canonical, no table is read.",
    rule="Intel SDM vol. 1, 3.3.7.1 (canonical addressing)",
)
def general_protection_raised(gva):
    """The upper bits of the address do not repeat its highest used bit."""


@event(
    box=PROCESSOR,
    says="EPT violation at GPA {gpa:gpa} ({guest_level:enum:guest_level}), level {level}: "
    "qualification {qualification:hex}.",
    rule="Intel SDM vol. 3C, EPT violations",
)
def ept_violation_raised(gpa, qualification, guest_level, level, gva):
    """The second level forbids the access: the processor leaves the guest, which learns nothing of it."""


@event(
    box=PROCESSOR,
    says="EPT misconfiguration at level {level}: the entry at SPA {spa:spa} is {entry:hex}, for GPA {gpa:gpa}.",
    rule="Intel SDM vol. 3C, EPT misconfigurations",
)
def ept_misconfigured(gpa, guest_level, level, spa, entry):
    """An entry that no table may contain: an error of the hypervisor, not of the guest."""


@event(
    box=PROCESSOR,
    says="Nested page fault at GPA {gpa:gpa} ({guest_level:enum:guest_level}), level {level}: "
    "error code {error_code:hex}.",
    rule=AMD_NPT,
)
def nested_page_fault_raised(gpa, error_code, guest_level, level, gva):
    """AMD's second level forbids the access: the processor leaves the guest with #VMEXIT(NPF)."""


@event(
    box=MEMORY,
    says="There is no memory at SPA {spa:spa}.",
    rule="A hole in the physical address map (real machines answer with all ones or a machine check)",
)
def memory_missing(spa, guest_level, level):
    """A table pointer leads to an address behind which this machine has no memory; level 0 is the guest's own entry."""


@event(
    box=PROCESSOR,
    says="{gva:gva} is GPA {gpa:gpa} is SPA {spa:spa} ({shift:enum:page_size} page) after {reads} table reads.",
    rule=SDM_EPT,
)
def translated(gva, gpa, spa, shift, reads, access):
    """The walk is done; `reads` counts guest and second-level entries read from memory."""


@event(box=TLB, says="Flushed: {what:enum:flush} (tag {vpid}, {gva:gva}).", rule=SDM_CACHES)
def tlb_flushed(what, vpid, gva):
    """Cached translations were dropped."""
