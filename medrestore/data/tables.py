"""Read the small tables that come with image collections."""

from __future__ import annotations

import csv
from pathlib import Path

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
