"""Who may rate: a random code and a secret link each, kept in `raters.csv` and nowhere else."""

from __future__ import annotations

import csv
import io
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from medrestore.errors import MedrestoreError
from medrestore.evaluation.tables import save_text

_CODE = re.compile(r"[A-Za-z0-9-]{1,32}\Z")


@dataclass(frozen=True)
class Rater:
    """A rater: a code that says nothing about the person, and whether it is a simulated one."""

    code: str
    simulated: bool = False


Roster = Mapping[str, Rater]  # by token


def new_roster(count: int) -> dict[str, Rater]:
    """Random codes and tokens of 128 bits; the code is what tables and files show."""
    codes: set[str] = set()
    while len(codes) < count:
        codes.add(f"r{secrets.token_hex(3)}")
    return {secrets.token_urlsafe(16): Rater(code) for code in sorted(codes)}


def simulated_roster(count: int) -> dict[str, Rater]:
    """Codes `sim-001` and on; their tokens live as long as the simulation."""
    return {secrets.token_urlsafe(16): Rater(f"sim-{number + 1:03d}", True) for number in range(count)}


def save_roster(directory: Path, roster: Roster) -> Path:
    """Write `raters.csv`, readable by its owner alone: whoever has a token can rate."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["rater", "token"])
    writer.writerows([rater.code, token] for token, rater in roster.items())
    path = save_text(directory / "raters.csv", text.getvalue())
    path.chmod(0o600)
    return path


def load_roster(directory: Path) -> dict[str, Rater]:
    """Read `raters.csv`.

    Raises:
        MedrestoreError: missing, damaged or with the same code or token twice.
    """
    path = directory / "raters.csv"
    if not path.is_file():
        raise MedrestoreError(f"'{path}' is missing: build the study again")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    roster: dict[str, Rater] = {}
    for line, row in enumerate(rows, start=2):
        code, token = row.get("rater") or "", row.get("token") or ""
        if not _CODE.match(code) or len(token) < 16:
            raise MedrestoreError(f"'{path}', line {line}: no rater and token of at least 16 characters; cut short?")
        if token in roster or any(rater.code == code for rater in roster.values()):
            raise MedrestoreError(f"'{path}', line {line}: {code} or its token is there twice; remove one of them")
        roster[token] = Rater(code)
    if not roster:
        raise MedrestoreError(f"'{path}' names no rater: build the study again")
    return roster
