"""Channel messages as bytes: take them apart, compare each field, put them together again."""

from typing import Any, Final

import numpy as np

from hvlab.verify.count import Count
from hvlab.wire import vmbus

# what the file calls a field, and what we do; a name that is missing here is the same in both
OURS: Final = {
    "child_rel_id": "channel_id",
    "child_to_parent_monitor_page_gpa": "child_to_parent",
    "downstream_page_offset": "downstream_offset",
    "gpadl": "gpadl_id",
    "is_dedicated_interrupt": "is_dedicated",
    "parent_to_child_monitor_page_gpa": "parent_to_child",
    "range_buf_len": "length",
    "range_count": "count",
    "ring_buffer_gpadl": "gpadl_id",
    "selected_version": "connection_id",  # from 5.0 on the connection stands there
    "supported_features": "feature_flags",
    "version_supported": "supported",
    "vmbus_version_requested": "version",
}


def control_messages(cases: list[Any]) -> Count:
    """Each message: its number, the fields that were told, and the same bytes when it is put together again."""
    given = [_difference(row) for row, _ in cases]
    count = Count()
    count.add(np.array([not difference for difference in given], bool), lambda k: f"{cases[k][0]['name']}: {given[k]}")
    return count


def _difference(row: dict[str, Any]) -> str:
    data = bytes.fromhex(row["hex"])
    try:
        body, tail = vmbus.unpack(data)
    except ValueError as error:
        return str(error)
    if body.number != row["type"]:
        return f"number {body.number} instead of {row['type']}"
    values = {field.name: getattr(body, field.name) for field in body.fields}
    for name, wanted in row["fields"].items():
        found = values.get(OURS.get(name, name))
        if found != (bytes.fromhex(wanted).ljust(len(found), b"\0") if isinstance(found, bytes) else wanted):
            return f"{name}: expected {wanted}, found {found!r}"
    again = vmbus.pack(type(body), tail, **values)
    return "" if again == data else f"{data.hex()} became {again.hex()}"
