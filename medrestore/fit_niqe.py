"""Fit a NIQE model to one's own sharp images, so that NIQE means the distance to them and not to photographs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medrestore.command import main

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from torch import Tensor

    from medrestore.data.catalogue import Catalogue, Item, Source

_LOOKED_AT = 16  # images that the block is chosen by


@main("fit_niqe")
def fit_niqe(config: Any) -> None:
    """Fit a NIQE model to one's own sharp images: the score is then the distance to them, not to photographs.

    python -m medrestore.fit_niqe dataset=fundus dataset.root=DIR output=niqe.safetensors
    python -m medrestore.fit_niqe dataset=ct dataset.root=DIR sampling.window=bone paired=true output=ct.safetensors
    """
    import sys
    from pathlib import Path

    import torch

    from medrestore.config import build, plain
    from medrestore.data.parts import screen_parts
    from medrestore.errors import MedrestoreError
    from medrestore.imaging import chosen_window
    from medrestore.metrics import write_niqe_model
    from medrestore.metrics.niqe import NIQE_FEW_BLOCKS, niqe_model_of, require_blocks
    from medrestore.progress import track

    output = Path(config.output)
    _check(config, output)
    window = plain(config.sampling.window)
    chosen_window(window)  # refuses an empty one once, before every image is left out for it
    source = build(config.dataset)
    catalogue = source.catalogue()
    parts = _parts(config, catalogue)
    if source.screening is not None:
        trained: Any = parts or dict.fromkeys((item.key for item in catalogue.items), "train")
        file = config.sampling.split.file
        screened = screen_parts(catalogue.items, trained, source.screening, window, source.load, track, file)
        catalogue, parts = screened.applied(catalogue, parts)
        print(f"note: {screened.notes[0]}", file=sys.stderr)
    items = [i for i in catalogue.items if i.role == "target" and config.split in ("all", parts.get(i.key))]
    if not items:
        raise MedrestoreError(f"no sharp image in the {config.split} part of {source.name}; type split=all, or another")
    block = int(config.block) if config.block != "auto" else _block_for(source, items)
    rows, fitted, left_out = [], [], []
    for item in track(items, "measuring"):
        try:
            rows.append(_rows(source, item, window, block, config))
            fitted.append(item)
        except MedrestoreError as error:
            left_out.append(f"left out: {item.path or item.key}: {error}")
    for line in left_out[:5] + ([f"left out: {len(left_out) - 5} more"] if len(left_out) > 5 else []):
        print(line, file=sys.stderr)
    blocks = sum(len(found) for found in rows)
    require_blocks(blocks, block, len(fitted), _remedy(block, config))
    about = _about(config, source, catalogue, parts, fitted, blocks)
    write_niqe_model(output, niqe_model_of(torch.cat(rows), block, float(config.threshold), about))
    people = len({item.group for item in fitted})
    if blocks < NIQE_FEW_BLOCKS:
        print(
            f"note: {blocks} blocks are few for 36 features: scores of other images will be too large; "
            f"{NIQE_FEW_BLOCKS} or more are better",
            file=sys.stderr,
        )
    print(f"fitted on {blocks} blocks of {block} px from {len(fitted)} images of {people} patients or scenes: {output}")


def _check(config: Any, output: Path) -> None:
    """Refuse what cannot be meant, before any image is read.

    Raises:
        MedrestoreError: Another name of the file, an unknown part, an impossible block or threshold.
    """
    from medrestore.data.splits import PARTS
    from medrestore.errors import MedrestoreError
    from medrestore.metrics.quality_models import check_block

    if output.suffix.lower() != ".safetensors":
        raise MedrestoreError(f"output={output} is the file of a model; type output={output.stem}.safetensors")
    if config.split not in (*PARTS, "all"):
        raise MedrestoreError(f"split={config.split} is not known; type one of {', '.join(PARTS)}, all")
    if config.block != "auto":
        try:
            check_block(config.block)
        except (TypeError, ValueError):
            raise MedrestoreError(
                f"block={config.block} is no even number of at least 16 pixels; type block=96, 48, 32 or auto"
            ) from None
    if not (isinstance(config.threshold, int | float) and 0 <= config.threshold < 1):
        raise MedrestoreError(f"threshold={config.threshold} is no share from 0 to below 1; type threshold=0.5")


def _parts(config: Any, catalogue: Catalogue) -> dict[str, Any]:
    """The part of each key, as the training divides it; nothing where every image is asked for."""
    from medrestore.config import plain
    from medrestore.data.parts import parts_of
    from medrestore.data.splits import check_disjoint

    if config.split == "all":
        return {}
    split = parts_of(catalogue.items, plain(config.sampling.split), config.data_seed, config.paired)
    check_disjoint(catalogue.items, split)
    return dict(split)


def _block_for(source: Source, items: Sequence[Item]) -> int:
    """The block for the median of the images' shorter sides; unreadable ones say nothing."""
    import math
    from statistics import median

    from medrestore.errors import MedrestoreError
    from medrestore.metrics.niqe import niqe_block_for

    sides = []
    for item in items[:: -(-len(items) // _LOOKED_AT)]:
        try:
            sides.append(min(source.load(item).pixels.shape[1:]))
        except MedrestoreError:
            continue
    return niqe_block_for(median(sides) if sides else math.inf)


def _rows(source: Source, item: Item, window: Any, block: int, config: Any) -> Tensor:
    """The features of the blocks of one image, `(K, 36)`.

    Raises:
        MedrestoreError: The image cannot be read, shows no field of view, or has no block to fit on.
    """
    from medrestore.errors import MedrestoreError
    from medrestore.imaging import to_unit, window_of, within_field
    from medrestore.metrics.niqe import niqe_sharp_rows

    image = source.load(item)
    if config.field_of_view:
        image = within_field(image)
    unit, mask = to_unit(image.pixels, window_of(image, window)), image.mask
    height, width = unit.shape[1:]
    if min(height, width) < block:
        raise MedrestoreError(f"{height} x {width} px are less than a block; type block=48 or 32")
    rows = niqe_sharp_rows(unit[None], block, float(config.threshold), mask=None if mask is None else mask[None])
    if len(rows) == 0:
        raise MedrestoreError(f"no block of {block} px has any structure inside the valid part; type block=48 or 32")
    return rows


def _remedy(block: int, config: Any) -> str:
    """What would give more blocks."""
    settings = [f"block={size}" for size in (48, 32) if size < block]
    settings += ["threshold=0"] if config.threshold > 0 else []
    return "give more sharp images" + (f", or type {' or '.join(settings)}" if settings else "")


def _about(
    config: Any, source: Source, catalogue: Catalogue, parts: dict[str, Any], fitted: Sequence[Item], blocks: int
) -> dict[str, Any]:
    """What the model says about itself: enough to refuse a test on the patients it has seen, and naming none."""
    import hashlib

    from medrestore import __version__
    from medrestore.config import plain
    from medrestore.data.catalogue import hashed_group

    def groups(items: Iterable[Item]) -> list[str]:
        return sorted({hashed_group(item.group) for item in items})

    record = "\n".join(f"{key} {part}" for key, part in sorted(parts.items()))
    return {
        "collection": source.name,
        "generated": all(item.path is None for item in fitted),
        "images": len(fitted),
        "blocks": blocks,
        "keys": sorted(item.key for item in fitted),
        "groups": groups(fitted),
        "test_groups": groups(item for item in catalogue.items if parts.get(item.key) == "test"),
        "split": config.split,
        "split_hash": hashlib.sha256(record.encode()).hexdigest()[:12] if parts else None,
        "data_seed": config.data_seed,
        "window": plain(config.sampling.window),
        "field_of_view": bool(config.field_of_view),
        "licences": list(catalogue.licences),
        "version": __version__,
    }


if __name__ == "__main__":
    fit_niqe()
