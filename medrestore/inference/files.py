"""Restore files: a file or a folder in, a folder out, the input's tree, names and depth kept."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medrestore.checkpoint import load_generator
from medrestore.errors import MedrestoreError
from medrestore.imaging import (
    Image,
    destination,
    frames,
    from_unit,
    is_image,
    read,
    to_unit,
    window_of,
    within_field,
    write,
)
from medrestore.inference.within_memory import WithinMemory
from medrestore.processes import dealt, everyone


@dataclass(frozen=True)
class Outcome:
    """How many images were restored, which were not, with the reason, and what tiles changed where there were any."""

    restored: int
    failed: list[tuple[Path, str]]
    tiles: str | None


def restore_files(
    run: Path,
    source: Path,
    output: Path,
    overwrite: bool,
    memory_bytes: int,
    window: str | list[float] | None,
    device: torch.device,
    track: Callable[[Iterable[Path], str], Iterable[Path]],
) -> Outcome:
    """Restore every image below `source` into `output`; one bad file does not stop the rest.

    Args:
        run: a run directory or a `.safetensors` file.
        source: an image, or a folder that is walked.
        output: the folder; created.
        overwrite: replace files that are there.
        memory_bytes: larger images are tiled.
        window: for physical values; None = as in training.
        device: where the generator runs.
        track: shows progress.

    Raises:
        MedrestoreError: nothing to restore, no generator, or an output that is the input.
    """
    generator, about = load_generator(run)
    within = WithinMemory(generator.to(device), memory_bytes)
    files = _inputs(source)
    base = source if source.is_dir() else source.parent
    if output.resolve() == base.resolve():
        raise MedrestoreError(f"output={output} is the input folder; type another output, the input is never replaced")
    setting = window if window is not None else about["window"]
    failed: list[tuple[Path, str]] = []
    if about.get("focus"):
        print("note: this generator has seen marked regions alone; it is used on whole images here", file=sys.stderr)
    notes: set[str] = set()
    restored = 0
    for path in track(dealt(files), "restoring"):
        try:
            image = _read_one(path, bool(about.get("field_of_view")))
            note = _restore_one(image, output / path.relative_to(base), within, setting, overwrite)
        except MedrestoreError as error:
            failed.append((path, str(error)))
            print(f"not restored: {error}", file=sys.stderr)
            continue
        restored += 1
        if note is not None and note not in notes:
            notes.add(note)
            print(f"note: {note}", file=sys.stderr)
    return _together(Outcome(restored, failed, within.tiles_said("memory_gb")), files)


def _together(own: Outcome, files: list[Path]) -> Outcome:
    """The outcome of all processes, each of which restored the files it was dealt; the first one tells the failures."""
    outcomes = everyone(own)
    for _, reason in (entry for other in outcomes[1:] for entry in other.failed):
        print(f"not restored: {reason}", file=sys.stderr)
    return Outcome(
        restored=sum(outcome.restored for outcome in outcomes),
        failed=sorted((e for outcome in outcomes for e in outcome.failed), key=lambda entry: files.index(entry[0])),
        tiles=next((outcome.tiles for outcome in outcomes if outcome.tiles is not None), None),
    )


def _inputs(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise MedrestoreError(f"input={source} does not exist; type input=<image or folder>")
    files = sorted(path for path in source.rglob("*") if path.is_file() and is_image(path))
    if not files:
        count = sum(path.is_file() for path in source.rglob("*"))
        raise MedrestoreError(f"input={source} holds no image ({count} other files); type input=<image or folder>")
    return files


def _read_one(path: Path, field: bool) -> Image:
    """One image; of a fundus photograph the field of view is found, outside which nothing is painted."""
    count = frames(path)
    if count > 1:
        raise MedrestoreError(f"{path} holds {count} slices; split it into single images first")
    image = read(path)
    try:
        return within_field(image) if field else image
    except MedrestoreError as error:
        raise MedrestoreError(f"{path}: {error}") from None


def _restore_one(image: Image, target: Path, within: WithinMemory, setting: Any, overwrite: bool) -> str | None:
    """Restore one image and return what the user should know about its format, if anything."""
    written = destination(target, image)
    if written.exists() and not overwrite:
        raise MedrestoreError(f"{written} exists; type overwrite=true to replace it")
    pixels = restore_record(within, image, setting)
    written.parent.mkdir(parents=True, exist_ok=True)
    spacing = None
    if image.spacing is not None:
        scale = int(within.generator.scale)  # type: ignore[arg-type]
        spacing = (image.spacing[0] / scale, image.spacing[1] / scale)
    write(target, pixels, replace(image, spacing=spacing))
    if written.suffix != target.suffix:
        return f"{image.metadata['format']} input is written as {written.suffix} with its physical values"
    return None


def restore_record(within: WithinMemory, image: Image, setting: Any) -> Tensor:
    """Restore an image record to physical values `(C, scale*H, scale*W)`.

    Where the input lies outside the window, its own values are kept (same size only).
    """
    window = window_of(image, setting)
    restored = within.restore(to_unit(image.pixels, window), image.source.name)
    same_size = restored.shape[1:] == image.pixels.shape[1:]
    physical = from_unit(restored.clamp(0, 1), window, image.pixels if same_size else None)
    if image.mask is not None and same_size:
        physical = torch.where(image.mask, physical, image.pixels)
    return physical
