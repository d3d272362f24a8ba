"""The root partition's side: the hypercall driver, and the virtualization infrastructure driver above it."""
