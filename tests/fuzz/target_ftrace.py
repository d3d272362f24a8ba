"""Recordings of VMBus, of both ends: the tracer's text and the emulator's."""

from fuzz.texts import pasted, read, samples, shown
from hvlab.capture.ftrace import ftrace
from hvlab.capture.handshake import MISSING, handshake
from hvlab.capture.qemulog import qemu_log
from hvlab.errors import BadFile

ALLOWED = (BadFile,)
MODULES = (
    "hvlab.capture.ftrace",
    "hvlab.capture.qemulog",
    "hvlab.capture.buslog",
    "hvlab.capture.busfields",
    "hvlab.capture.handshake",
    "hvlab.capture.source",
)
WORDS = (
    "  insmod-92      [000] .....    14.450188: ",
    "vmbus_on_msg_dpc: msgtype=",
    "vmbus_on_message: msgtype=1",
    "child_relid 0xe, ",
    "vmbus_negotiate_version: sending vmbus_version_requested 327683, ret 0",
    "vmbus_onversion_response: version_supported 1",
    "vmbus_request_offers: sending ret 0",
    "vmbus_onopen_result: child_relid 0xe, openid 14, status 0",
    "gpadl 0xe1e10, ",
    "vmbus_establish_gpadl_header: sending ",
    "range_buflen 88 rangecount 1",
    "vmbus_onoffer: ",
    " <-vmbus_connect",
    "w0=0xe w1=0x50003 ",
    "mine: (hv_post_message+0x0/0xf0 [hv_vmbus]) ",
    "conn=0x4 ",
    "99@1795387484.807040:",
    "vmbus_recv_message type 14 size 40",
    "vmbus_post_msg type 15 size 12",
    "vmbus_msg_cb message status -11",
    "vmbus_initiate_contact version 4.1 target vp 0",
)


def seeds():
    yield from samples("vmbus_ftrace", "vmbus_host")
    yield b" x-1 [000] ..... 1.0: vmbus_on_msg_dpc: msgtype=4\n x-1 [000] 1.1: vmbus_request_offers <-vmbus_bus_init\n"
    yield b" x-1 [000] 1.0: vmbus_open: sending child_relid 0xe, openid 14, gpadlhandle 0xe1e10, target_vp 0x1, ret 0\n"


def one(data: bytes) -> None:
    lines = len(pasted(data).split("\n"))
    for reader in (ftrace, qemu_log):
        log = read(reader, data)
        if log is None:
            continue
        shown(repr(log))
        found = handshake(log)
        assert len(log.messages) + len(log.unknown) + len(log.notes) <= lines
        assert [row.message for row in found.rows if row.message] == list(log.messages)
        assert all((row.message is None) == (row.mark == MISSING) for row in found.rows)
