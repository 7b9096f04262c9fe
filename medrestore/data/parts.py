"""The parts of a collection as a run's settings say: by sizes or by a file, and screened as it was screened before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from medrestore.data.catalogue import Item, Part
from medrestore.data.screened import Progress, Screened, WindowSetting, screen_items
from medrestore.data.screening import Screening
from medrestore.data.screening_files import RECORD, read_record
from medrestore.data.splits import PARTS, read_split, split_paired, split_unpaired, with_natural
from medrestore.imaging import Image


def parts_of(items: Sequence[Item], sizes: Mapping[str, Any], data_seed: int, paired: bool) -> dict[str, Part]:
    """Assign images to parts as `sampling.split` says: by its `file`, else by its sizes.

    Args:
        items: The catalogue's items.
        sizes: Of each part, and `file`.
        data_seed: Another seed, another split.
        paired: Whether images without truth are test images (see `with_natural`), or a domain of their own.

    Raises:
        MedrestoreError: The file does not fit, or the sizes make no sense.
    """
    if sizes.get("file"):
        split = read_split(Path(str(sizes["file"])), items)
        return with_natural(items, split) if paired else split  # users' lists need not name the natural ones
    wanted: dict[Any, Any] = {part: sizes[part] for part in PARTS}
    return (split_paired if paired else split_unpaired)(items, wanted, data_seed)


def screen_parts(
    items: Sequence[Item],
    split: Mapping[str, Part],
    screening: Screening,
    window: WindowSetting,
    load: Callable[[Item], Image],
    progress: Progress,
    split_file: str | Path | None,
) -> Screened:
    """Screen a collection; where its split was read from a file, as the record beside that file says.

    A split of a screened run names only what was kept: a threshold taken from it would drop as much again.

    Args:
        items: See `screen_items`, as all but the last.
        split: Made or read.
        screening: The settings.
        window: Setting of the window.
        load: Reads an image.
        progress: Wraps the items.
        split_file: Where the split was read from, None where it was made.

    Raises:
        MedrestoreError: See `screen_items` and `read_record`.
    """
    record = None if split_file is None else read_record(Path(split_file).with_name(RECORD), screening)
    return screen_items(items, split, screening, window, load, progress, record)
