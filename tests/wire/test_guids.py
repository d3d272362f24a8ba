"""Device classes: names, wire bytes, well-known instances."""

from hvlab.wire.guids import BY_KEY, CLASSES, INSTANCES, drivers
from hvlab.wire.vmbus import guid, guid_text

LSVMBUS = {  # Linux tools/hv/lsvmbus
    "0e0b6031-5213-4934-818b-38d90ced39db": "[Operating system shutdown]",
    "9527e630-d0ae-497b-adce-e80ab0175caf": "[Time Synchronization]",
    "57164f39-9115-4e78-ab55-382f3bd5422d": "[Heartbeat]",
    "a9a0f4e7-5a45-4d96-b827-8a841e8c03e6": "[Data Exchange]",
    "35fa2e29-ea23-4236-96ae-3a6ebacba440": "[Backup (volume checkpoint)]",
    "34d14be3-dee4-41c8-9ae7-6b174977c192": "[Guest services]",
    "525074dc-8985-46e2-8057-a307dc18a502": "[Dynamic Memory]",
    "cfa8b69e-5b4a-4cc0-b98b-8ba1a1f3f95a": "Synthetic mouse",
    "f912ad6d-2b17-48ea-bd65-f927a61c7684": "Synthetic keyboard",
    "da0a7802-e377-4aac-8e77-0558eb1073f8": "Synthetic framebuffer adapter",
    "f8615163-df3e-46c5-913f-f2d2f965ed0e": "Synthetic network adapter",
    "32412632-86cb-44a2-9b5c-50d1417354f5": "Synthetic IDE Controller",
    "ba6163d9-04a1-4d29-b605-72e2ffb1dc7f": "Synthetic SCSI Controller",
    "2f9bcc4a-0069-4af3-b76b-6fd0be528cda": "Synthetic fiber channel adapter",
    "8c2eaf3d-32a7-4b09-ab99-bd1f1c86b501": "Synthetic RDMA adapter",
    "44c4f61d-4444-4400-9d52-802e27ede19f": "PCI Express pass-through",
    "276aacf4-ac15-426c-98dd-7521ad3f01fe": "[Reserved system device]",
    "f8e65716-3cb3-4a06-9a60-1889c5cccab5": "[Reserved system device]",
    "3375baf4-9e15-4b30-b765-67acb10d607b": "[Reserved system device]",
}


def test_each_class_that_lsvmbus_names_has_its_name_here():
    assert {one: CLASSES[one].name for one in LSVMBUS} == LSVMBUS
    assert set(CLASSES) - set(LSVMBUS) == {"c376c1c3-d276-48d2-90a9-c04748072c60"}  # Linux has a symbol for it only


def test_the_recorded_alias_of_a_class_is_its_guid_as_it_stands_on_the_wire():
    # /sys/bus/vmbus/devices/…/modalias of a Dynamic Memory device: vmbus:dc74…
    assert guid(BY_KEY["dm"].guid).hex() == "dc7450528589e2468057a307dc18a502"
    assert all(guid_text(guid(one)) == one for one in CLASSES)


def test_well_known_instances_are_of_the_services_and_inputs_that_exist_once():
    assert {one.key for one in INSTANCES.values()} == {"shutdown", "timesync", "kvp", "mouse", "kbd"}


def test_a_driver_of_linux_names_the_classes_that_it_serves():
    assert {name: [one.key for one in of] for name, of in drivers().items() if len(of) > 1} == {
        "hv_utils": ["shutdown", "timesync", "heartbeat", "kvp", "vss", "fcopy"],
        "hv_storvsc": ["ide", "scsi", "fc"],
    }
