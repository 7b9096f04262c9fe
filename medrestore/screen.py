"""Screen a collection of slices: which show enough to learn from, and which a training would leave out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from medrestore.command import main

if TYPE_CHECKING:
    from medrestore.data.catalogue import Catalogue, Part
    from medrestore.data.screened import Screened
    from medrestore.data.store import ImageStore

_SHOWN = 10  # lines of one kind


@main("screen")
def screen(config: Any) -> int:
    """Screen a collection of slices: which show enough to learn from, and which a training would leave out.

    python -m medrestore.screen dataset=ct dataset.root=DIR output=DIR
    python -m medrestore.screen dataset=folder dataset.root=DIR dataset.modality=MR output=DIR
    python -m medrestore.screen dataset=ct ... dataset.screening.threshold=0.3 dataset.screening.size=512 output=DIR
    """
    from medrestore.config import build, plain
    from medrestore.data.parts import parts_of
    from medrestore.data.screened import screen_items
    from medrestore.data.screening_files import RECORD, write_record, write_table
    from medrestore.data.splits import check_disjoint, write_split
    from medrestore.data.store import ImageStore
    from medrestore.imaging import chosen_window
    from medrestore.progress import track

    output, window, sizes = Path(config.output), plain(config.sampling.window), plain(config.sampling.split)
    _check(config, output)
    chosen_window(window)  # refuses an empty one once, before every image is left out for it
    config.dataset.screen = True
    source = build(config.dataset)
    catalogue = source.catalogue()
    split = parts_of(catalogue.items, sizes, config.data_seed, config.paired)
    check_disjoint(catalogue.items, split)
    store = ImageStore(source, config.channels, 0)
    found = screen_items(catalogue.items, split, source.screening, window, store.load, track)
    left, parts = found.applied(catalogue, split)
    write_table(output / "screening.csv", catalogue, split, found)
    write_record(output / RECORD, found.record)
    write_split(output / "split.csv", left.items, parts)
    _draw(output, split, found, store)
    for line in _told(source.name, catalogue, split, found, output):
        print(line)
    return 1 if found.unreadable or catalogue.left_out else 0


def _check(config: Any, output: Path) -> None:
    """Refuse what cannot be meant, before any image is read.

    Raises:
        MedrestoreError: A data set without screening, an output that is a file, or a split of what was screened before.
    """
    from medrestore.data.screening_files import RECORD
    from medrestore.errors import MedrestoreError

    if "screening" not in config.dataset:
        raise MedrestoreError(
            f"the images of dataset._target_={config.dataset._target_} are not screened; "
            "type dataset=folder dataset.root=DIR to screen files"
        )
    if output.exists() and not output.is_dir():
        raise MedrestoreError(f"output={output} is a file; type output=DIR with a folder to write into")
    file = config.sampling.split.file
    if file and Path(file).with_name(RECORD).exists():
        raise MedrestoreError(
            f"sampling.split.file={file} names only what a screening kept already, see {RECORD} beside it; "
            "leave it out to screen the whole collection"
        )


def _draw(output: Path, split: dict[str, Part], found: Screened, store: ImageStore) -> None:
    """Write the histogram and the contact sheet."""
    from medrestore.evaluation.screening_pictures import chosen, contact_sheet, histogram
    from medrestore.imaging import to_unit, window_of

    record = found.record
    looks = [look for look in found.looks if record.screening.shape in (None, look.size)]
    scores: dict[str, list[float]] = {"train": [], "val": [], "test": [], "no part": []}
    for look in looks:
        scores[split.get(look.item.key, "no part")].append(look.score)
    (output / "histogram.png").write_bytes(histogram(scores, record.threshold, f"kept: {record.rule()}"))
    rows = []
    for title, members in chosen(looks, found.dropped):
        images = [(look, store.load(look.item)) for look in members]
        units = [(look, to_unit(image.pixels, window_of(image, record.window))) for look, image in images]
        rows.append((title, [(f"{look.score:#.4g}\n{look.item.key}", unit) for look, unit in units]))
    (output / "contact_sheet.png").write_bytes(contact_sheet(rows))


def _told(name: str, catalogue: Catalogue, split: dict[str, Part], found: Screened, output: Path) -> list[str]:
    """Say what was kept and dropped, by which rule, and how a training takes it over."""

    def counted(keys: list[str]) -> str:
        parts = [f"{sum(split.get(key) == part for key in keys)} {part}" for part in ("train", "val", "test")]
        return f"{len(keys)} ({', '.join(parts)})"

    judged, dropped = [look.item.key for look in found.looks], found.dropped
    groups = len({look.item.group for look in found.looks})
    kept = [key for key in judged if key not in dropped]
    gone = [key for key in judged if key in dropped]
    lines = [
        f"{name}: {len(judged)} images of {groups} patients or scenes",
        f"kept {counted(kept)}, dropped {counted(gone)}",
        f"to be kept: {found.record.rule()}",
    ]
    lines += [f"note: {note}" for note in (*catalogue.notes, *found.notes[1:])]
    left_out = [f"left out: {e.path or e.name}: {e.reason}" for e in (*found.unreadable.values(), *catalogue.left_out)]
    lines += left_out[:_SHOWN] + ([f"and {len(left_out) - _SHOWN} more of these"] if len(left_out) > _SHOWN else [])
    lines.append(f"written: {output}/screening.csv, histogram.png, contact_sheet.png")
    lines.append(f"a training takes this screening with dataset.screen=true sampling.split.file={output}/split.csv")
    return lines


if __name__ == "__main__":
    screen()
