"""Bytes: what crosses a boundary, declared once. Nothing here knows the rest of hvlab."""
