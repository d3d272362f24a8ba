"""Slow and obvious models of what the engine does fast: plain integers, lists and dicts, written apart from it."""
