"""WinHv: hypercalls as functions. It marshals the blocks, loops over long lists, deposits memory when it is asked for.

The loop follows the root driver of Linux (drivers/hv/mshv_root_hv_call.c): on INSUFFICIENT_MEMORY deposit pages and go
on from the elements that are done. Who wants the memory is named in the call; CreatePartition wants it for the caller.
"""

from dataclasses import dataclass, field
from typing import Any

from hvlab.errors import BadRequest, HvlabError
from hvlab.hypervisor.vp import Fault, Vp
from hvlab.wire.hypercalls import CALLS, CODES, Call
from hvlab.wire.struct import Struct
from hvlab.wire.tlfs import SELF, GuestOsId, HypercallControl, HypercallMsr, HypercallResult, Msr, Status

PAGE = 4096
MOST_REPS = 4095
WINDOWS = GuestOsId.encode(vendor=1, os=4, major=10, build=20348)


class CallFailed(HvlabError):
    """A hypercall ended with a status that its caller did not expect.

    Attributes
    ----------
    call, status : str
        Names, as the TLFS has them.
    done : int
        Elements of a rep call that took effect nevertheless.
    """

    def __init__(self, call: str, status: str, done: int) -> None:
        self.call, self.status, self.done = call, status, done
        super().__init__(f"{call}: {status}, {done} elements done")

    def __reduce__(self) -> tuple[type["CallFailed"], tuple[str, str, int]]:
        return CallFailed, (self.call, self.status, self.done)


@dataclass
class RootMemory:
    """Which of the root's pages nobody uses: plain data, so that a machine can be saved."""

    free: list[int] = field(default_factory=list)

    def take(self, count: int) -> list[int]:
        """Take pages.

        Raises
        ------
        BadRequest
            If there are not so many.
        """
        if count > len(self.free):
            raise BadRequest(f"{count} pages of the root", f"{len(self.free)} free ones", "a machine with more memory")
        taken, self.free = self.free[:count], self.free[count:]
        return taken

    def take_large(self) -> int:
        """Take 512 pages in a row, aligned to 2 MiB; return the first."""
        there = set(self.free)
        for first in sorted(gpn for gpn in there if gpn % 512 == 0):
            run = range(first, first + 512)
            if there.issuperset(run):
                self.free = [gpn for gpn in self.free if gpn not in run]
                return first
        raise BadRequest("512 free pages in a row", "none at a 2 MiB border", "a machine with more memory")

    def give(self, gpns: list[int]) -> None:
        """Take pages back."""
        self.free += gpns


class WinHv:
    """Hypercalls from one of the root's virtual processors.

    Parameters
    ----------
    vp : Vp
        The virtual processor that calls.
    memory : RootMemory
        Where the pages of input, output and deposits come from.
    deposit_step : int
        Pages to deposit when the hypervisor asks for memory.
    physical : bool
        Whether it writes and reads its blocks by physical address: a driver that knows where its pages are.
    """

    def __init__(self, vp: Vp, memory: RootMemory, deposit_step: int = 4, physical: bool = False) -> None:
        self.vp, self.memory, self.deposit_step, self.physical = vp, memory, deposit_step, physical
        self.input_gpn, self.output_gpn, self.hypercall_gpn = memory.take(3)

    def establish(self) -> None:
        """Say who we are, then enable the hypercall page. Source: TLFS, establishing the hypercall interface."""
        for register, value in (
            (Msr.GUEST_OS_ID, WINDOWS),
            (Msr.HYPERCALL, HypercallMsr.encode(enable=1, gpn=self.hypercall_gpn)),
        ):
            if fault := self.vp.wrmsr(register, value):
                raise CallFailed(f"WRMSR {register.name}", fault.kind, 0)

    def raw(self, call: Call, header: bytes, elements: list[bytes], count: int, start: int = 0) -> tuple[Status, int]:
        """Make one call with this input block; return (status, elements done)."""
        block = header + b"".join(elements)
        fast = int(not call.output and not call.output_element and len(block) <= 16)
        control = HypercallControl.encode(code=call.code, fast=fast, rep_count=count, rep_start=start)
        if fast:
            words = [int.from_bytes(block[k : k + 8], "little") for k in (0, 8)]
            answer = self.vp.hypercall(control, *words)
        else:
            write = self.vp.write_gpa if self.physical else self.vp.write
            if block and (fault := write(self.input_gpn * PAGE, block)):
                raise CallFailed(call.name, f"input block: {fault.kind}", 0)
            answer = self.vp.hypercall(control, self.input_gpn * PAGE, self.output_gpn * PAGE)
        if isinstance(answer, Fault):
            raise CallFailed(call.name, answer.kind, 0)
        result = HypercallResult.decode(answer)
        return Status(result.status), result.reps_done

    def batch(self, call: Call) -> int:
        """Return how many elements of a rep call fit into one page of input and one of output."""
        header = call.header.size if call.header else 0
        room = [(PAGE - header) // call.element.size if call.element else MOST_REPS]
        room.append(PAGE // call.output_element.size if call.output_element else MOST_REPS)
        return min(*room, MOST_REPS)

    def call(self, name: str, for_whom: int | None = None, **fields: Any) -> Any:
        """Make a simple call; return its decoded output, or None.

        Parameters
        ----------
        name : str
            The call's name, as in the TLFS without ``HvCall``.
        for_whom : int, optional
            The partition whose pool grows when memory is lacking; by default the `partition_id` of the input.

        Raises
        ------
        CallFailed
            For any status but SUCCESS (and INSUFFICIENT_MEMORY, which is answered with a deposit).
        """
        call = CALLS[CODES[name]]
        header = call.header.encode(**fields) if call.header else b""
        pool = fields.get("partition_id", SELF) if for_whom is None else for_whom
        while True:
            status, _ = self.raw(call, header, [], 0)
            if status == Status.SUCCESS:
                return self._output(call.output, 1)[0] if call.output else None
            if status != Status.INSUFFICIENT_MEMORY:
                raise CallFailed(name, status.name, 0)
            self.deposit(pool, self.deposit_step)

    def call_list(
        self, name: str, elements: list[bytes] | int, step: str = "", stride: int = 1, **fields: Any
    ) -> list[Any]:
        """Make a rep call over a list of any length (or a count, for calls without one); return its output elements.

        Parameters
        ----------
        step : str
            The header's field that moves on with each batch (the first page of a map or unmap), by `stride`.
        """
        call, out = CALLS[CODES[name]], list[Any]()
        total = elements if isinstance(elements, int) else len(elements)
        done = 0
        while done < total:
            count = min(self.batch(call), total - done)
            moved = fields | ({step: fields[step] + done * stride} if step else {})
            header = call.header.encode(**moved) if call.header else b""
            part = [] if isinstance(elements, int) else elements[done : done + count]
            reps = self._batch(call, header, part, count, fields.get("partition_id", SELF))
            if call.output_element:
                out += self._output(call.output_element, reps)
            done += reps
            if reps < count:
                break  # only WithdrawMemory ends early without a failure
        return out

    def _batch(self, call: Call, header: bytes, part: list[bytes], count: int, pool: int) -> int:
        """Make one rep call until all its elements are done; a failure starts again from the elements that are done."""
        start = 0
        while True:
            status, start = self.raw(call, header, part, count, start)
            if status == Status.SUCCESS or status == Status.NO_RESOURCES and call.name == "WithdrawMemory":
                return start
            if status != Status.INSUFFICIENT_MEMORY:
                raise CallFailed(call.name, status.name, start)
            self.deposit(pool, self.deposit_step)

    def _output(self, kind: type[Struct], count: int) -> list[Any]:
        read = self.vp.read_gpa if self.physical else self.vp.read
        data = read(self.output_gpn * PAGE, max(kind.size * count, 1))
        if isinstance(data, Fault):
            raise CallFailed("output block", data.kind, 0)
        return [kind.decode(data[k * kind.size :]) for k in range(count)]

    def deposit(self, partition_id: int, count: int) -> None:
        """Give pages to a partition's pool (HvCallDepositMemory)."""
        gpns = self.memory.take(count)
        self.call_list("DepositMemory", [gpn.to_bytes(8, "little") for gpn in gpns], partition_id=partition_id)

    def withdraw(self, partition_id: int) -> int:
        """Take all free pages out of a partition's pool; return how many there were."""
        count = 0
        while found := self.call_list("WithdrawMemory", 256, partition_id=partition_id):
            self.memory.give([page.gpn for page in found])
            count += len(found)
        return count
