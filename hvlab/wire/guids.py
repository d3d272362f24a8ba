"""The device classes of VMBus: which interface type means which device.

An offer names a class (interface type) and one device of it (interface instance). Some devices that exist once carry
the same instance everywhere. How a GUID stands on the wire: `wire.vmbus.guid`.

Sources: Linux include/linux/hyperv.h (the symbols), tools/hv/lsvmbus (the names), drivers/hv/channel_mgmt.c (what Linux
leaves alone); OpenVMM vmbus_core/src/protocol.rs, hyperv_ic_protocol, uidevices (well-known instances).
"""

from dataclasses import dataclass
from typing import Final

STORAGE, NETWORK, SCREEN, MEMORY = "storage", "network", "screen and input", "memory"
SERVICE, DEVICE, RESERVED = "integration service", "a real device", "reserved"


@dataclass(frozen=True)
class DeviceClass:
    """One class of devices.

    Attributes
    ----------
    key, guid : str
        A short word of ours, and the interface type as text.
    name : str
        What lsvmbus calls it.
    family : str
        What it serves; as `says`, translated where it is said.
    symbol, driver : str
        Linux's name of the GUID, and the name with which its driver registers; "" where the kernel has none.
    says : str
        One sentence.
    instance : str
        The instance that such a device has on every machine, "" if it has none.
    """

    key: str
    guid: str
    name: str
    family: str
    symbol: str
    driver: str
    says: str
    instance: str = ""


_ROWS: Final = (
    DeviceClass("shutdown", "0e0b6031-5213-4934-818b-38d90ced39db", "[Operating system shutdown]", SERVICE,
                "HV_SHUTDOWN_GUID", "hv_utils", "The root asks the guest to shut down.",
                "b6650ff7-33bc-4840-8048-e0676786f393"),
    DeviceClass("timesync", "9527e630-d0ae-497b-adce-e80ab0175caf", "[Time Synchronization]", SERVICE,
                "HV_TS_GUID", "hv_utils", "The root tells the guest what time it is.",
                "2dd1ce17-079e-403c-b352-a1921ee207ee"),
    DeviceClass("heartbeat", "57164f39-9115-4e78-ab55-382f3bd5422d", "[Heartbeat]", SERVICE,
                "HV_HEART_BEAT_GUID", "hv_utils", "The root asks whether the guest still answers."),
    DeviceClass("kvp", "a9a0f4e7-5a45-4d96-b827-8a841e8c03e6", "[Data Exchange]", SERVICE,
                "HV_KVP_GUID", "hv_utils", "Keys and values pass between root and guest.",
                "242ff919-07db-4180-9c2e-b86cb68c8c55"),
    DeviceClass("vss", "35fa2e29-ea23-4236-96ae-3a6ebacba440", "[Backup (volume checkpoint)]", SERVICE,
                "HV_VSS_GUID", "hv_utils", "The guest holds its file systems still for a backup."),
    DeviceClass("fcopy", "34d14be3-dee4-41c8-9ae7-6b174977c192", "[Guest services]", SERVICE,
                "HV_FCOPY_GUID", "hv_utils", "The root copies a file into the guest."),
    DeviceClass("dm", "525074dc-8985-46e2-8057-a307dc18a502", "[Dynamic Memory]", MEMORY,
                "HV_DM_GUID", "hv_balloon", "Pages are added, and taken back by a balloon."),
    DeviceClass("mouse", "cfa8b69e-5b4a-4cc0-b98b-8ba1a1f3f95a", "Synthetic mouse", SCREEN,
                "HV_MOUSE_GUID", "hid_hyperv", "Reports of a pointer in absolute coordinates.",
                "58f75a6d-d949-4320-99e1-a2a2576d581c"),
    DeviceClass("kbd", "f912ad6d-2b17-48ea-bd65-f927a61c7684", "Synthetic keyboard", SCREEN,
                "HV_KBD_GUID", "hyperv_keyboard", "Key strokes as scan codes.",
                "d34b2567-b9b6-42b9-8778-0a4ec0b955bf"),
    DeviceClass("video", "da0a7802-e377-4aac-8e77-0558eb1073f8", "Synthetic framebuffer adapter", SCREEN,
                "HV_SYNTHVID_GUID", "hyperv_drm", "The guest draws into memory and tells what changed."),
    DeviceClass("net", "f8615163-df3e-46c5-913f-f2d2f965ed0e", "Synthetic network adapter", NETWORK,
                "HV_NIC_GUID", "hv_netvsc", "Frames pass to the virtual switch; one channel for each queue."),
    DeviceClass("ide", "32412632-86cb-44a2-9b5c-50d1417354f5", "Synthetic IDE Controller", STORAGE,
                "HV_IDE_GUID", "hv_storvsc", "SCSI requests for a disk that starts as an IDE disk."),
    DeviceClass("scsi", "ba6163d9-04a1-4d29-b605-72e2ffb1dc7f", "Synthetic SCSI Controller", STORAGE,
                "HV_SCSI_GUID", "hv_storvsc", "SCSI requests; more channels for more requests at once."),
    DeviceClass("fc", "2f9bcc4a-0069-4af3-b76b-6fd0be528cda", "Synthetic fiber channel adapter", STORAGE,
                "HV_SYNTHFC_GUID", "hv_storvsc", "SCSI requests over Fibre Channel."),
    DeviceClass("rdma", "8c2eaf3d-32a7-4b09-ab99-bd1f1c86b501", "Synthetic RDMA adapter", NETWORK,
                "HV_ND_GUID", "", "Remote direct memory access."),
    DeviceClass("pci", "44c4f61d-4444-4400-9d52-802e27ede19f", "PCI Express pass-through", DEVICE,
                "HV_PCIE_GUID", "hv_pci", "A real device is given to the guest; VMBus only sets it up."),
    DeviceClass("rdv", "276aacf4-ac15-426c-98dd-7521ad3f01fe", "[Reserved system device]", RESERVED,
                "HV_RDV_GUID", "", "For remote desktops of Windows guests."),
    DeviceClass("avma1", "f8e65716-3cb3-4a06-9a60-1889c5cccab5", "[Reserved system device]", RESERVED,
                "HV_AVMA1_GUID", "", "Activates Windows guests."),
    DeviceClass("avma2", "3375baf4-9e15-4b30-b765-67acb10d607b", "[Reserved system device]", RESERVED,
                "HV_AVMA2_GUID", "", "Activates Windows guests."),
    DeviceClass("imc", "c376c1c3-d276-48d2-90a9-c04748072c60", "HV_IMC_GUID", RESERVED,
                "HV_IMC_GUID", "", "Hands a Windows guest its first configuration."),
)  # fmt: skip
CLASSES: Final[dict[str, DeviceClass]] = {row.guid: row for row in _ROWS}
BY_KEY: Final[dict[str, DeviceClass]] = {row.key: row for row in _ROWS}
INSTANCES: Final[dict[str, DeviceClass]] = {row.instance: row for row in _ROWS if row.instance}


def drivers() -> dict[str, list[DeviceClass]]:
    """Return the classes that each Linux driver serves."""
    found: dict[str, list[DeviceClass]] = {}
    for row in _ROWS:
        if row.driver:
            found.setdefault(row.driver, []).append(row)
    return found
