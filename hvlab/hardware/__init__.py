"""The machine without software: memory, processors with their caches.

It walks what the hypervisor built and returns faults.
"""
