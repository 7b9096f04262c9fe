"""Audit a collection before training on it: counts, groups, leaks, bad files, a preview of pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medrestore.command import main

_PREVIEW = 8  # pairs in the preview


@main("inspect_data")
def inspect_data(config: Any) -> Any:
    """Audit a collection before training on it: counts, groups, splits, bad files, a preview of pairs.

    python -m medrestore.inspect_data dataset=cervix dataset.root=DIR
    python -m medrestore.inspect_data dataset=ct dataset.root=DIR sampling.window=soft_tissue channels=1
    python -m medrestore.inspect_data dataset=cervix_phantom degradation=motion
    """
    from dataclasses import replace

    from medrestore.config import build, plain
    from medrestore.data.audit import audit
    from medrestore.data.parts import parts_of, screen_parts
    from medrestore.data.store import ImageStore
    from medrestore.errors import MedrestoreError
    from medrestore.imaging import chosen_window
    from medrestore.progress import track

    window, sizes = plain(config.sampling.window), plain(config.sampling.split)
    chosen_window(window)  # refuses an empty one once, before every image is left out for it
    source = build(config.dataset)
    catalogue = source.catalogue()
    try:
        split = parts_of(catalogue.items, sizes, config.data_seed, config.paired)
    except MedrestoreError as error:  # what there is can be counted all the same
        without = "no split" if source.screening is None else "no split and no screening"
        split, catalogue = {}, replace(catalogue, notes=(*catalogue.notes, f"{without}: {error}"))
    if source.screening is not None and split:
        load = ImageStore(source, config.channels, 0).load
        screened = screen_parts(catalogue.items, split, source.screening, window, load, track, sizes["file"])
        catalogue, split = screened.applied(catalogue, split)
    found = audit(source, catalogue, split, lambda items: track(items, "decoding"))
    output = Path(config.output)
    output.mkdir(parents=True, exist_ok=True)
    text = "\n".join(found.lines())
    (output / "audit.txt").write_text(text + "\n", encoding="utf-8")
    print(text)
    bad = {entry.path for entry in found.left_out}
    readable = [
        item for item in catalogue.items if item.role == "target" and (item.path is None or item.path not in bad)
    ]
    if readable:
        print(f"preview: {_preview(config, source, readable, output / 'preview.png')}")
    return 1 if found.left_out else 0


def _preview(config: Any, source: Any, items: list[Any], path: Path) -> Path:
    """Draw pairs as the training would see them: degraded, target and their difference."""
    from PIL import Image

    from medrestore.callbacks.samples import error_panel, panel_grid
    from medrestore.config import build, plain
    from medrestore.data.crop_settings import CropSettings
    from medrestore.data.crops import PairedCrops
    from medrestore.data.store import ImageStore

    sampling = plain(config.sampling)
    settings = CropSettings(sampling["crop"], 1, False, sampling["window"], False, 0, config.data_seed)
    shown = items[:: max(1, len(items) // _PREVIEW)][:_PREVIEW]
    crops = PairedCrops(ImageStore(source, config.channels, 0), shown, build(config.degradation.operator), settings)
    pairs = [crops[0, index] for index in range(len(crops))]
    same = pairs[0].degraded.shape == pairs[0].target.shape
    rows = [[p.degraded, p.target, *([error_panel(p.degraded, p.target)] if same else [])] for p in pairs]
    Image.fromarray(panel_grid(rows)).save(path)
    return path


if __name__ == "__main__":
    inspect_data()
