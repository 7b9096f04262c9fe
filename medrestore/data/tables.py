"""Read the small tables that come with image collections, and write our own whole or not at all."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from uuid import uuid4

from medrestore.errors import MedrestoreError


def read_rows(path: Path) -> list[list[str]]:
    """Read the rows of a table separated by commas, semicolons or tabs, cells stripped, empty rows dropped.

    Raises:
        MedrestoreError: The file cannot be read, or is no UTF-8 text.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise MedrestoreError(f"{path} is no UTF-8 text ({error.reason}); save it as CSV UTF-8") from error
    except OSError as error:
        raise MedrestoreError(f"{path} cannot be read: {error.strerror}") from error
    head = text.split("\n", 1)[0]
    separator = max(",;\t", key=head.count)
    rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines(), delimiter=separator)]
    return [row for row in rows if any(row)]


def read_table(path: Path, needed: tuple[str, ...]) -> list[dict[str, str]]:
    """Read a table with a header line; missing cells are "".

    Args:
        path: The file.
        needed: Columns that must be there.

    Raises:
        MedrestoreError: The file cannot be read, or a needed column is missing.
    """
    rows = read_rows(path)
    columns = rows[0] if rows else []
    missing = [column for column in needed if column not in columns]
    if missing:
        has = ", ".join(columns) if columns else "nothing"
        raise MedrestoreError(f"{path} has no column {' and no column '.join(missing)}; its first line has: {has}")
    return [dict(zip(columns, row + [""] * (len(columns) - len(row)), strict=False)) for row in rows[1:]]


def write_whole(path: Path, text: str) -> Path:
    """Write UTF-8 text so that the file holds either what it held before or all of it; folders are made.

    Returns:
        The path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid4().hex}.partial")
    try:
        # File names that are no valid UTF-8 reach us with surrogates in them.
        partial.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path
