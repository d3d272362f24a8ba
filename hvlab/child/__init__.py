"""Software inside a child partition: what a guest does by itself."""
