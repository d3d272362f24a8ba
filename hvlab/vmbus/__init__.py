"""VMBus: channels and rings between partitions that share nothing but memory, hypercalls and interrupts."""
