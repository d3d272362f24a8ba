"""The hypervisor: partitions, their memory and processors, and the calls by which software in them asks for more.

Software in a partition sees `vp.Vp` and nothing else of this.
"""
