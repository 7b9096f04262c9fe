"""A screening on disk: the record that lies beside `split.csv`, and a table for people."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from medrestore.data.catalogue import Catalogue, LeftOut, Part, hashed_group
from medrestore.data.screened import Record, Screened
from medrestore.data.screening import Screening
from medrestore.data.tables import write_whole
from medrestore.errors import MedrestoreError

RECORD = "screening.json"
_COLUMNS = "key group role split file frame height width score decision reason".split()


def write_record(path: Path, record: Record) -> Path:
    """Write what was decided, whole or not at all.

    Returns:
        The path.
    """
    content = {
        "screening": _settings(record.screening),
        "window": record.window if isinstance(record.window, str) else list(record.window),
        "threshold": record.threshold,
        "origin": record.origin,
        "reasons": dict(record.reasons),
    }
    return write_whole(path, json.dumps(content, indent=1) + "\n")


def read_record(path: Path, screening: Screening) -> Record | None:
    """Read what was decided; None where there is no such file.

    Raises:
        MedrestoreError: The file is damaged, or was made with other settings than `screening`.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        made, window = Screening(**content["screening"]), content["window"]
        record = Record(made, window, float(content["threshold"]), content["origin"], dict(content["reasons"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MedrestoreError(
            f"{path} is no record of a screening ({' '.join(str(error).split())}); restore the file, or screen anew "
            "with another sampling.split.file or another run directory"
        ) from None
    ours, theirs = _settings(screening), _settings(made)
    if ours != theirs:
        was = " ".join(f"dataset.screening.{key}={value}" for key, value in theirs.items() if value != ours[key])
        asked = ", ".join(f"{key}={ours[key]}" for key in ours if ours[key] != theirs[key])
        raise MedrestoreError(f"{path} was made with other settings than {asked}; type {was}".replace("None", "null"))
    return record


def _settings(screening: Screening) -> dict[str, Any]:
    shape = screening.shape
    return {"threshold": screening.threshold, "sigma": screening.sigma, "size": None if shape is None else list(shape)}


def write_table(path: Path, catalogue: Catalogue, split: dict[str, Part], screened: Screened) -> Path:
    """Write every image of a collection with its score and what was decided, and every file that is none.

    Args:
        path: The table.
        catalogue: As it was before the screening.
        split: As it was before the screening.
        screened: The outcome.

    Returns:
        The path.
    """
    looks = {look.item.key: look for look in screened.looks}
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(_COLUMNS)
    for item in catalogue.items:
        look, unreadable = looks.get(item.key), screened.unreadable.get(item.key)
        size, score = ("", ""), ""
        if look is not None:
            reason = screened.record.reasons[item.key]
            decision, size, score = "dropped" if reason else "kept", look.size, f"{look.score:.6g}"
        elif unreadable is not None:
            decision, reason = "left out", unreadable.reason
        else:
            decision, reason = "kept", "degraded by nature, not judged"
        file, frame = "" if item.path is None else item.path.name, "" if item.frame is None else item.frame
        part = split.get(item.key, "")
        row = (item.key, hashed_group(item.group), item.role, part, file, frame, *size, score, decision, reason)
        table.writerow(row)
    for entry in (*catalogue.left_out, *catalogue.by_rule):
        table.writerow(("", "", "", "", _name(entry), "", "", "", "", "left out", entry.reason))
    return write_whole(path, text.getvalue())


def _name(entry: LeftOut) -> str:
    return "" if entry.path is None else entry.path.name
