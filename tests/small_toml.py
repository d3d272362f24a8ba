"""A small TOML file in the place of one that ships with the lab."""

from pathlib import Path

import pytest

from hvlab.lab import tables


def put(file: Path, key: str, rows: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Write rows to a file, and let the lab read its texts from that folder. Python writes texts and lists as TOML."""
    tables_of_rows = ("".join(f"{name} = {value!r}\n" for name, value in row.items()) for row in rows)
    file.write_text("".join(f"[[{key}]]\n{table}" for table in tables_of_rows), encoding="utf-8")
    monkeypatch.setattr(tables, "files", lambda package: file.parent)
