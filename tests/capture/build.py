"""Small captures, whole and sound, for tests to break."""

import io
import json
import struct
import zipfile
import zlib

import numpy as np

U8, U2, U1 = np.uint64, np.uint16, np.uint8
REGISTERS = {"cr0": 0x80050033, "cr3": 0x1000, "cr4": 0x6F0, "efer": 0xD01, "levels": 4, "cpl": 3, "rip": 0, "rsp": 0}


def as_json(value):
    """JSON text as bytes in an array, as the captures keep it."""
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return np.frombuffer(text, U1)


def page_tables(cpus=1, levels=4, registers=None, **changes):
    """One mapped page: GVA 0x40_0000 leads to GPA 0x9000 through one table of each level."""
    data = np.zeros((levels, 512), U8)
    gpas = np.arange(1, levels + 1, dtype=U8) * U8(4096)
    for depth in range(levels - 1):
        data[depth, 2 if depth == levels - 2 else 0] = int(gpas[depth + 1]) | 7
    data[levels - 1, 0] = 0x9000 | 0x67
    listed = [{**REGISTERS, "levels": levels, **(registers or {})} for _ in range(cpus)]
    arrays = {"table_gpa": gpas, "table_data": data, "meta_json": as_json({"name": "small", "cpus": listed})}
    for c in range(cpus):
        arrays |= {
            f"tlb_gva_{c}": np.array([0x400000], U8),
            f"tlb_gpa_{c}": np.array([0x9000], U8),
            f"tlb_flags_{c}": np.array([0x67 >> 1], U2),
            f"mem_start_{c}": np.array([0x400000], U8),
            f"mem_end_{c}": np.array([0x401000], U8),
            f"mem_urw_{c}": np.array([7], U1),
            f"probe_gva_{c}": np.array([0x400123, 0x500000], U8),
            f"probe_gpa_{c}": np.array([0x9123, (1 << 64) - 1], U8),
        }
    return {**arrays, **changes}


def nested_tables(levels=4, large=False, /, **changes):
    """One page (or one 2 MiB page) of a guest whose own single table lies in it."""
    depth = levels - 1 if large else levels
    data = np.zeros((depth, 512), U8)
    spas = np.arange(0x100, 0x100 + depth, dtype=U8) * U8(4096)
    for at in range(depth - 1):
        data[at, 0] = int(spas[at + 1]) | 7
    data[depth - 1, 0 if large else 5] = 0x200000 | 0x87 if large else 0x77000 | 0x67
    vmcb = np.zeros(512, U8)
    for offset, value in ((0x58, 3), (0x70, 0x400), (0x90, 1), (0xB0, int(spas[0])), (0x4D0, 0x500)):
        vmcb[offset // 8] = value
    for offset, value in ((0x548, 0x20), (0x550, 0x5000), (0x558, 0x80000011)):
        vmcb[offset // 8] = value
    spa = 0x205000 if large else 0x77000
    arrays = {
        "table_gpa": spas,
        "table_level": np.arange(levels, levels - depth, -1).astype(U1),
        "table_data": data,
        "l2pt_gpa": np.array([0x5000], U8),
        "l2pt_spa": np.array([spa], U8),
        "l2pt_data": np.zeros((1, 512), U8),
        "vmcb": vmcb,
        "vmcb_spa": np.array(0xABC000, U8),
        "ncr3": np.array(int(spas[0]), U8),
        "levels": np.array(levels, U1),
        "pagemap_l2gpa": np.array([0x5000], U8),
        "pagemap_spa": np.array([spa], U8),
        "touched_l2gva": np.zeros(0, U8),
        "touched_first8": np.zeros(0, U8),
        "slots": np.array([[0, 0, 0x200000, 0x7F0000000000, 0]], U8),
        "meta_json": as_json({"name": "small"}),
    }
    return {**arrays, **changes}


def planes(kind, gva):
    """Addresses as byte planes of deltas to the address before, in the stream of fetches or of data accesses."""
    delta = np.zeros(len(gva), np.int64)
    for stream in (kind == 0, kind != 0):
        delta[stream] = np.diff(gva[stream], prepend=0)
    return np.ascontiguousarray(delta.view(U1).reshape(-1, 8).T)


def trace(count=64, **changes):
    """Fetches and stores in turn, over a few pages."""
    kind = (np.arange(count) % 4).astype(U1)
    gva = np.where(kind == 0, 0x400000 + np.arange(count) * 3, 0x7FFF_F000_0FFC - np.arange(count) * 64).astype(
        np.int64
    )
    arrays = {
        "kind": kind,
        "size": np.full(count, 8, U1),
        "delta_planes": planes(kind, gva),
        "meta_json": as_json({"name": "small", "n": count}),
    }
    return {**arrays, **changes}


def save(path, arrays, *, packed=True, pickle=False):
    """Write arrays as an npz file."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        for name, value in arrays.items():
            archive.writestr(
                f"{name}.npy", value if isinstance(value, bytes) else npy(np.asarray(value), pickle=pickle)
            )
    return path


def npy(value, *, pickle=False):
    """One array as .npy bytes."""
    out = io.BytesIO()
    np.lib.format.write_array(out, value, allow_pickle=pickle)
    return out.getvalue()


def header(descr="<u8", shape="(4,)", order="False", body=b"", raw=None):
    """A .npy member with a header of one's own."""
    text = (raw or f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}").encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + body


def deflated_zeros(name, size, *, claim=None):
    """A zip file with one member of so many zeros, written without ever holding them; `claim` lies about the size."""
    engine, packed, crc = zlib.compressobj(9, zlib.DEFLATED, -15), [], 0
    block = bytes(1 << 20)
    for _ in range(size >> 20):
        packed.append(engine.compress(block))
        crc = zlib.crc32(block, crc)
    body = b"".join([*packed, engine.flush()])
    sizes = struct.pack("<III", crc, len(body), size if claim is None else claim)
    local = b"PK\x03\x04" + struct.pack("<HHHHH", 20, 0, 8, 0, 0) + sizes + struct.pack("<HH", len(name), 0) + name
    entry = b"PK\x01\x02" + struct.pack("<HHHHHH", 20, 20, 0, 8, 0, 0) + sizes
    entry += struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, 0, 0) + name
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(entry), len(local) + len(body), 0)
    return local + body + entry + end
