"""Against volatility3, which reads the page tables of memory images: the same real snapshot, equal answers."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.clock import Row, at_least, not_measured, paired
from hvlab.capture import page_tables, sample
from hvlab.hardware import processor
from hvlab.hardware.bare import SILENT
from hvlab.machine import Machine

NAME = "volatility3 Intel32e.translate / ours, pt_4lvl_pti: {}"
WALKS, HITS = NAME.format("walks"), NAME.format("repeated addresses")
ALIASES = 1000  # Linux maps one page 65,536 times (espfix); volatility3 passes such tables over by design


def their_layer(tables: Any, size: int) -> Any:
    """Return volatility3's translation layer over the snapshot, as a flat image of `size` bytes in memory."""
    from volatility3.framework import contexts
    from volatility3.framework.layers import intel, physical

    image = np.zeros((size >> 12, 512), np.uint64)
    image[(tables.table_gpa >> np.uint64(12)).astype(np.int64)] = tables.table_data
    context = contexts.Context()
    context.add_layer(physical.BufferDataLayer(context, "base", "memory", buffer=image.tobytes()))
    context.config["kernel.memory_layer"] = "memory"
    context.config["kernel.page_map_offset"] = tables.cpus[0].registers.root
    return intel.Intel32e(context, "kernel", "kernel")


def against_volatility(passes: int, pairs: int, wanted: Callable[[str], bool]) -> Iterator[Row]:
    """Yield their time / ours for the mapped pages of a booted Linux guest.

    Walks: each page once in a pass, their cache of entries emptied before it; ours as the hypervisor's own translate
    call, which neither asks nor fills a TLB. Repeated addresses: their cache answers, and our TLB.
    """
    if not any(wanted(name) for name in (WALKS, HITS)):
        return
    try:
        import volatility3  # noqa: F401
    except ImportError:
        why = "volatility3 is not installed (pip install 'hvlab[bench]')"
        yield from (not_measured(name, ">= 100", why) for name in (WALKS, HITS) if wanted(name))
        return
    tables = page_tables(sample("pt_4lvl_pti"))
    size, leaves = max(tables.ram_bytes, int(tables.table_gpa.max()) + 4096), tables.cpus[0].leaves
    _, where, times = np.unique(leaves.gpa, return_inverse=True, return_counts=True)
    pages = leaves.gva[(times[where] < ALIASES) & (leaves.gpa < size)]  # devices are not in an image
    layer, random = their_layer(tables, size), np.random.default_rng(1)
    note = f"{len(pages):,} pages, {passes * len(pages):,} addresses"
    if wanted(WALKS):
        order = np.concatenate([random.permutation(pages) for _ in range(passes)])
        forget = layer._translate_entry.cache_clear
        yield at_least(WALKS, ratios(tables, layer, order, int(processor.PEEK), len(pages), forget, pairs), 100, note)
    if wanted(HITS):
        order = random.choice(pages, passes * len(pages)) + random.integers(0, 4096, passes * len(pages)).astype("u8")
        yield at_least(
            HITS, ratios(tables, layer, order, int(processor.READ), len(order), lambda: None, pairs), 100, note
        )


def ratios(
    tables: Any,
    layer: Any,
    gvas: npt.NDArray[np.uint64],
    access: int,
    every: int,
    forget: Callable[[], Any],
    pairs: int,
) -> list[float]:
    """Return their time / ours of each pair; `forget` is called before each `every` addresses of theirs."""
    machine, addresses, answers = Machine.from_snapshot(tables), gvas.tolist(), [0] * len(gvas)
    gva, wants, fault, spa = gvas.view(np.int64), *(np.full(len(gvas), value) for value in (access, 0, 0))

    def theirs() -> None:
        for begin in range(0, len(addresses), every):
            forget()
            answers[begin : begin + every] = [layer.translate(one)[0] for one in addresses[begin : begin + every]]

    def ours() -> None:
        processor.run(machine.state, machine.mem, SILENT, 0, gva, wants, fault, spa)

    def equal() -> None:
        assert not fault.any() and spa.tolist() == answers, "volatility3 and the engine do not agree"

    return [1 / ratio for ratio in paired(theirs, ours, equal, pairs)]
