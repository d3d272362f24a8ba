"""A driver that does random things to a machine, sensible and hostile: seeded, the same everywhere."""

import random

from hvlab.child.discovery import enable_synic
from hvlab.errors import BadRequest
from hvlab.hypervisor.vp import Fault
from hvlab.machine import Machine
from hvlab.root.winhv import CallFailed
from hvlab.wire.hypercalls import CALLS
from hvlab.wire.synic import ConnectionInfo, EventPortInfo, MessagePortInfo
from hvlab.wire.tlfs import SELF, HypercallControl, HypercallMsr, Msr, Register

PAGE = 4096
MEMORY = 2 << 20
CHILD = 40 * PAGE


class Driver:
    """Random actions on one machine."""

    def __init__(self, seed: int, **machine) -> None:
        self.pick, self.how = random.Random(seed), machine
        self.machine = Machine(memory=MEMORY, **machine)
        self.born = 0
        self.refused = 0
        self.log: list[str] = []

    def vps(self):
        """The virtual processors that can run now: the root's first."""
        children = [vp for child in self.machine.children.values() for vp in child.vps]
        return [self.machine.root_vp] + [vp for vp in children if not vp.suspended]

    def child(self):
        children = sorted(self.machine.children)
        return self.machine.children[self.pick.choice(children)] if children else None

    def step(self) -> str:
        """Do one action; return its name."""
        name = self.pick.choice(ACTIONS)
        try:
            getattr(self, name)()
        except (CallFailed, BadRequest):
            self.refused += 1
        self.log.append(name)
        self.bury()
        return name

    def bury(self) -> None:
        """Take away what is left of a child that a stray call of the root has finalized."""
        if isinstance(self.machine.root_vp.read(self.machine.vid.winhv.input_gpn * PAGE), Fault):
            audit = self.machine.hv.audit
            self.machine = Machine(memory=MEMORY, **self.how)  # the root gave its own page tables away
            self.machine.hv.audit = audit
        for name, child in list(self.machine.children.items()):
            if not child.vp.exists:
                del self.machine.children[name]
                self.machine.vid.winhv.withdraw(child.partition_id)
                self.machine.vid.winhv.call("DeletePartition", partition_id=child.partition_id)
                used = set(child.partition.pages.values())
                self.machine.vid.winhv.memory.give(sorted(used - set(self.machine.vid.winhv.memory.free)))

    # sensible ----------------------------------------------------------------------------------------------------

    def create(self) -> None:
        if len(self.machine.children) < 3:
            self.born += 1
            self.machine.child(
                f"c{self.born}", memory=CHILD, vps=self.pick.choice((1, 1, 2)), pool=self.pick.choice((0, 8))
            )

    def destroy(self) -> None:
        child = self.child()
        if child and self.pick.random() < 0.3:
            child.destroy()

    def more_memory(self) -> None:
        child = self.child()
        if child:
            gpn = self.pick.choice((40, 64, 600, 1 << 20)) + self.pick.randrange(8)
            if gpn not in child.partition.pages and len(child.partition.pages) < 60:
                self.machine.vid.add_memory(child.partition, gpn, 1)

    def less_memory(self) -> None:
        child = self.child()
        if child and len(child.partition.pages) > 20:
            self.machine.vid.remove_memory(child.partition, self.pick.choice(sorted(child.partition.pages)), 1)

    def protect(self) -> None:
        child = self.child()
        if child and child.partition.pages:
            gpn = self.pick.choice(sorted(child.partition.pages))
            self.machine.vid.protect(child.partition, gpn, self.pick.choice((1, 3, 5, 7, 15)))

    def access(self) -> None:
        vp = self.pick.choice(self.vps())
        gva = self.address() if vp.number else self.pick.choice((0, 0x40000)) + self.pick.randrange(6) * PAGE
        if self.pick.random() < 0.5:
            vp.read(gva, self.pick.choice((1, 8, 24)))
        else:
            vp.write(gva, self.pick.randbytes(self.pick.choice((1, 8, 24))))

    def address(self) -> int:
        return self.pick.choice((0x7000_0000, 0, 0, 0, 1 << 47)) + self.pick.randrange(48 * PAGE) & ~7

    def paging(self) -> None:
        child = self.child()
        if child and not child.vp.suspended:
            pages = {0x7000_0000 + k * PAGE: self.pick.randrange(40) * PAGE for k in range(8)}
            child.enable_paging(pages | {k * PAGE: k * PAGE for k in range(40)}, self.pick.choice((16, 24)))

    def spoil_table(self) -> None:
        child = self.child()
        if child and not child.vp.suspended:
            entry = self.pick.randrange(40) << 12 | self.pick.choice((0, 3, 7, 0x67))
            child.vp.write_gpa(
                (16 + self.pick.randrange(14)) * PAGE + 8 * self.pick.randrange(48), entry.to_bytes(8, "little")
            )

    def flush(self) -> None:
        vp = self.pick.choice(self.vps())
        self.pick.choice(
            (lambda: vp.invlpg(self.address()), lambda: vp.invpcid(2), lambda: vp.invpcid(1), lambda: vp.invpcid(3))
        )()

    def resume(self) -> None:
        child = self.child()
        if child:
            self.machine.vid.resume(child.partition, 0)

    def registers(self) -> None:
        child = self.child()
        if child:
            self.machine.vid.registers(child.partition, 0, [Register.CR0, Register.RIP])
            self.machine.vid.set_registers(child.partition, 0, {Register.RAX: self.pick.getrandbits(64)})

    def hypercall_page(self) -> None:
        vp = self.pick.choice(self.vps())
        if vp.number == 0:
            return
        vp.wrmsr(Msr.GUEST_OS_ID, self.pick.choice((0, 1, 1, 1, 1, 1)))
        gpn = self.pick.choice((3, 5, 38, 600, 1 << 30))
        vp.wrmsr(Msr.HYPERCALL, HypercallMsr.encode(enable=self.pick.choice((0, 1, 1)), gpn=gpn))

    def synic(self) -> None:
        """Registers of SynIC, timers and pages, sensible and not, by anyone."""
        vp = self.pick.choice(self.vps())
        gpn = self.pick.choice((3, 5, 38, 600, 1 << 30, 1 << 45)) + self.pick.randrange(3)
        page = gpn << 12 | self.pick.choice((0, 1, 1, 1))
        msr, value = self.pick.choice(
            (
                (Msr.SIMP, page),
                (Msr.SIEFP, page),
                (Msr.REFERENCE_TSC, page),
                (Msr.VP_ASSIST_PAGE, page),
                (Msr.SCONTROL, self.pick.choice((0, 1, 1, 1))),
                (Msr.SINT2, self.pick.choice((0x10000, 0xF3, 0x200F3, 0x400F3, 5))),
                (Msr.EOM, 0),
                (Msr.STIMER0_CONFIG, self.pick.choice((0, 0x20001, 0x20003, 0x20009, 0x1801, 1, 1 << 40))),
                (Msr.STIMER0_COUNT, self.pick.choice((0, 1, 50, 10_000, SELF))),
            )
        )
        vp.wrmsr(msr, value)

    def letters(self) -> None:
        """A port and a connection now and then; posts and signals, wired or not."""
        child, winhv = self.child(), self.machine.vid.winhv
        if child and self.pick.random() < 0.3:
            if not child.vp.suspended and self.pick.random() < 0.8:
                enable_synic(child.vp, self.pick.choice((33, 34)), self.pick.choice((35, 36)), 0xF3)
            here, number, kind = child.partition_id, self.pick.randrange(6), self.pick.choice((1, 1, 2))
            info = (MessagePortInfo if kind == 1 else EventPortInfo).encode(
                type=kind,
                sint=2,
                vp_index=self.pick.choice((0, 0, 1, 0xFFFFFFFF)),
                **({"flag_count": 64} if kind == 2 else {}),
            )
            winhv.call(
                "CreatePort", for_whom=here, port_partition=here, port_id=number, connection_partition=1, info=info
            )
            there = ConnectionInfo.encode(type=kind)
            winhv.call(
                "ConnectPort",
                connection_partition=1,
                connection_id=number,
                port_partition=here,
                port_id=number,
                info=there,
            )
        elif child:
            connection = self.pick.randrange(6)
            payload = self.pick.randbytes(self.pick.choice((0, 8, 100)))
            self.machine.root_vp.post_message(connection, self.pick.choice((1, 0)), payload, winhv.input_gpn * PAGE)
            self.machine.root_vp.signal_event(connection, self.pick.choice((0, 5, 64)))

    def time_passes(self) -> None:
        with self.machine.action():
            self.machine.hv.turn(
                (), until=int(self.machine.state["now"][0]) + self.pick.choice((100, 10_000, 1_000_000))
            )

    def read_message(self) -> None:
        child = self.child()
        if child:
            self.machine.vid.message(child.partition, 0)

    def slices(self) -> None:
        self.machine.slice_reps = self.pick.choice((0, 0, 1, 3))

    def cpuid(self) -> None:
        self.pick.choice(self.vps()).cpuid(0x40000000 + self.pick.randrange(8))

    # hostile -----------------------------------------------------------------------------------------------------

    def hostile_call(self) -> None:
        """A call with a well-formed control word and a block of half-sensible numbers, from anyone."""
        vp, call = self.pick.choice(self.vps()), CALLS[self.pick.choice(sorted(CALLS))]
        count = self.pick.choice((1, 2, 5)) if call.rep else 0
        if call.code in (0x42, 0x4F) and self.pick.random() < 0.8:
            return  # else no child lives long
        code = HypercallControl.encode(code=call.code, rep_count=count)
        place = self.machine.vid.winhv.input_gpn if vp.number == 0 else self.pick.randrange(30)
        words = [self.word() for _ in range(20)]
        if self.pick.random() < 0.8:
            words[0] = self.pick.choice([1, SELF, *(child.partition_id for child in self.machine.children.values())])
            words[1] = self.pick.choice((0, 0, 1, 3, 45, 0x10000))
        if not isinstance(vp.write_gpa(place * PAGE, b"".join(word.to_bytes(8, "little") for word in words)), Fault):
            vp.hypercall(code, place * PAGE, place * PAGE + self.pick.choice((2048, 2048, 2048, 2048, 4095, 1 << 40)))

    def word(self) -> int:
        numbers = [0, 1, 2, 3, 4, 5, SELF, 7, 15, 1 << 31, 0x10000, 39, 41, 300, 1 << 63, self.pick.getrandbits(64)]
        return self.pick.choice([*numbers, self.pick.randrange(512), self.pick.randrange(512)])

    def garbage_call(self) -> None:
        """Any register contents at all."""
        bits = self.pick.choice((16, 32, 44, 64))
        self.pick.choice(self.vps()).hypercall(
            self.pick.getrandbits(bits), self.pick.getrandbits(24), self.pick.getrandbits(24) & ~7
        )

    def user_mode(self) -> None:
        vp = self.pick.choice(self.vps())
        vp.set(cpl=3)
        vp.hypercall(0x46)
        vp.rdmsr(Msr.GUEST_OS_ID)
        vp.read(self.address())
        if not vp.suspended:
            vp.set(cpl=0)

    def raw_msr(self) -> None:
        vp = self.pick.choice(self.vps()[1:] or self.vps())
        if vp.number:
            vp.wrmsr(
                self.pick.choice((0x40000000, 0x40000001, 0x40000002, 0x1B, 0x40000020)), self.pick.getrandbits(40)
            )
        vp.rdmsr(self.pick.choice((0x40000000, 0x40000001, 0x40000002, 0x1B, 0x40000020)))


SENSIBLE = (
    "create destroy more_memory less_memory protect access access access paging spoil_table flush resume registers"
    " hypercall_page hypercall_page read_message slices cpuid"
)
HOSTILE = "hostile_call hostile_call hostile_call garbage_call user_mode raw_msr"
MESSAGES = "synic synic synic letters letters time_passes"
ACTIONS = (SENSIBLE + " " + HOSTILE + " " + MESSAGES).split()
