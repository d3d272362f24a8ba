"""x86-64 words: page-table entries, second-level entries, control registers, error codes, exit qualifications.

Bit positions: reference of the Intel SDM vol. 3A ch. 4 and vol. 3C (EPT), AMD APM vol. 2 (nested paging), cross-
checked with openvmm x86defs and Linux arch/x86/include/asm/{pgtable_types,vmx}.h.
"""

from hvlab.wire.struct import Word, bit, bits


class PageTableEntry(Word):
    """An entry of a guest's page table (or of an AMD nested table). Source: SDM vol. 3A 4.5; openvmm x86defs Pte."""

    present: int = bit(0, "The entry is in use; all else is ignored without it.")
    writable: int = bit(1, "Writes are allowed below this entry.")
    user: int = bit(2, "User mode may go below this entry.")
    write_through: int = bit(3, "Cache policy, with PCD and PAT.")
    cache_disable: int = bit(4, "Cache policy, with PWT and PAT.")
    accessed: int = bit(5, "Set by the processor when it uses the entry.")
    dirty: int = bit(6, "Set by the processor when it writes through a leaf.")
    large: int = bit(7, "A leaf above level 1 (2 MiB, 1 GiB); in a level-1 entry the PAT bit.")
    global_page: int = bit(8, "Leaf: valid in every address space of this guest (with CR4.PGE).")
    available0: int = bits(9, 3, "Free for the operating system.")
    frame: int = bits(12, 40, "Page number of the next table or of the page.", kind="page")
    available1: int = bits(52, 7, "Free for the operating system.")
    key: int = bits(59, 4, "Leaf: protection key (with CR4.PKE).")
    no_execute: int = bit(63, "No instruction fetch below this entry (with EFER.NXE; else reserved).")


class EptEntry(Word):
    """An entry of Intel's second-level table. Source: SDM vol. 3C, EPT; Linux arch/x86/include/asm/vmx.h."""

    read: int = bit(0, "Reads are allowed below this entry.")
    write: int = bit(1, "Writes are allowed below this entry; without read a misconfiguration.")
    execute: int = bit(2, "Fetches are allowed (with MBEC: in supervisor mode).")
    memory_type: int = bits(3, 3, "Leaf: 0 UC, 1 WC, 4 WT, 5 WP, 6 WB.")
    ignore_pat: int = bit(6, "Leaf: the guest's PAT does not count.")
    large: int = bit(7, "A leaf above level 1 (2 MiB, 1 GiB).")
    accessed: int = bit(8, "Set when the entry is used, if the EPT pointer asks for it.")
    dirty: int = bit(9, "Leaf: set on a write, if the EPT pointer asks for it.")
    user_execute: int = bit(10, "With MBEC: user-mode fetches are allowed.")
    ignored0: int = bit(11, "Ignored by the processor.")
    frame: int = bits(12, 40, "Page number of the next table or of the page.", kind="page")
    ignored1: int = bits(52, 11, "Ignored by the processor.")
    suppress_ve: int = bit(63, "Leaf: no #VE for this page.")


class EptPointer(Word):
    """Where a second-level table begins. Source: SDM vol. 3C; Linux vmx.h VMX_EPTP_*."""

    memory_type: int = bits(0, 3, "6 WB or 0 UC, for reading the tables.")
    levels_less_one: int = bits(3, 3, "3 for four levels, 4 for five.")
    accessed_dirty: int = bit(6, "Keep A and D bits in the entries.")
    frame: int = bits(12, 40, "Page number of the top table.", kind="page")


class PageFaultCode(Word):
    """The error code of #PF. Source: SDM vol. 3A 4.7."""

    present: int = bit(0, "A right was missing; 0: an entry was not present.")
    write: int = bit(1, "The access was a write.")
    user: int = bit(2, "The access came from user mode.")
    reserved: int = bit(3, "A reserved bit was set in an entry.")
    fetch: int = bit(4, "The access was an instruction fetch.")
    key: int = bit(5, "A protection key forbade it.")
    shadow_stack: int = bit(6, "Shadow-stack access.")
    sgx: int = bit(15, "SGX rule; unrelated to the tables.")
    final: int = bit(32, "AMD nested page fault: the final guest physical address.")
    table: int = bit(33, "AMD nested page fault: a guest page-table access.")


class EptQualification(Word):
    """Why an EPT violation left the guest. Source: SDM vol. 3C, exit qualification for EPT violations."""

    read: int = bit(0, "The access was a read.")
    write: int = bit(1, "The access was a write.")
    fetch: int = bit(2, "The access was a fetch.")
    may_read: int = bit(3, "All entries used allow reads.")
    may_write: int = bit(4, "All entries used allow writes.")
    may_execute: int = bit(5, "All entries used allow fetches (MBEC: supervisor).")
    may_user_execute: int = bit(6, "MBEC: all entries used allow user fetches.")
    linear_valid: int = bit(7, "The guest linear address field is valid.")
    final: int = bit(8, "The translated address itself; 0: a guest page-table entry on the way.")


class Cr0(Word):
    """Control register 0, the bits that translation looks at. Source: SDM vol. 3A 2.5."""

    protection: int = bit(0, "PE: protected mode.")
    write_protect: int = bit(16, "WP: the supervisor, too, obeys read-only pages.")
    paging: int = bit(31, "PG: addresses go through page tables.")


class Cr3(Word):
    """Control register 3. Source: SDM vol. 3A 4.5."""

    pcid: int = bits(0, 12, "Process-context identifier (with CR4.PCIDE).")
    frame: int = bits(12, 40, "Page number of the top table.", kind="page")


class Cr4(Word):
    """Control register 4, the bits that translation looks at. Source: SDM vol. 3A 2.5."""

    pae: int = bit(5, "PAE: 64-bit entries.")
    page_global: int = bit(7, "PGE: honour the G bit.")
    la57: int = bit(12, "LA57: five levels.")
    pcid: int = bit(17, "PCIDE: tag translations with CR3's process-context identifier.")
    smep: int = bit(20, "SMEP: the supervisor may not fetch from user pages.")
    smap: int = bit(21, "SMAP: the supervisor may not touch user data unless AC is set.")
    keys: int = bit(22, "PKE: protection keys for user pages.")


class Efer(Word):
    """The extended feature register, the bits that translation looks at. Source: SDM vol. 3A 2.2.1."""

    long_mode_enable: int = bit(8, "LME.")
    long_mode_active: int = bit(10, "LMA.")
    no_execute: int = bit(11, "NXE: bit 63 of an entry forbids fetches.")


class Rflags(Word):
    """The flags register, the bit that translation looks at. Source: SDM vol. 3A 2.3."""

    alignment_check: int = bit(18, "AC: lifts SMAP for explicit supervisor accesses.")
