"""Read label maps: every collection's class numbers or colours become Cityscapes' training classes 0 to 18, or 255.

Mapillary Vistas numbers its classes in a `config*.json` beside the images; the classes' structured names
(`object--vehicle--car`) decide, whatever their numbers. comma10k draws five colours, of which three have a class here:
road and lane markings are road, movable things are counted as cars (most of them are), undrivable ground with all that
stands on it and the driver's own car are nothing.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import PIL.Image
import torch
from torch import Tensor

from medrestore.data.street_classes import (
    BICYCLE,
    BUILDING,
    BUS,
    CAR,
    CLASSES,
    FENCE,
    IGNORE,
    MOTORCYCLE,
    PERSON,
    POLE,
    RIDER,
    ROAD,
    SIDEWALK,
    SKY,
    TERRAIN,
    TRAFFIC_LIGHT,
    TRAFFIC_SIGN,
    TRAIN,
    TRUCK,
    VEGETATION,
    WALL,
)
from medrestore.errors import MedrestoreError
from medrestore.imaging.guard import reading

Scheme = Literal["train_ids", "cityscapes_ids", "mapillary", "comma10k"]

_TRAIN_IDS = {number: number for number in (*range(len(CLASSES)), IGNORE)}

# Cityscapes' label ids; those that its benchmark leaves out are 255 here. KITTI's semantic maps use the same numbers.
_CITYSCAPES_IDS = {-1: IGNORE, **dict.fromkeys(range(34), IGNORE), IGNORE: IGNORE} | {
    7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12, 26: 13, 27: 14, 28: 15,
    31: 16, 32: 17, 33: 18,
}  # fmt: skip

_COMMA10K = {
    0x402020: ROAD,
    0xFF0000: ROAD,  # lane markings
    0x808060: IGNORE,  # undrivable
    0x00FF66: CAR,  # movable: vehicles, people, animals
    0xCC00FF: IGNORE,  # the driver's own car
    0x00CCFF: IGNORE,  # movable things in it
}

# The longest beginning of a class's name decides; what begins with none of these is unknown.
_MAPILLARY = {
    "animal": IGNORE,
    "construction--barrier": FENCE,
    "construction--barrier--curb": SIDEWALK,
    "construction--barrier--wall": WALL,
    "construction--barrier--concrete-block": WALL,
    "construction--barrier--road-median": SIDEWALK,
    "construction--barrier--road-side": SIDEWALK,
    "construction--flat": ROAD,
    "construction--flat--curb-cut": SIDEWALK,
    "construction--flat--pedestrian-area": SIDEWALK,
    "construction--flat--sidewalk": SIDEWALK,
    "construction--flat--traffic-island": SIDEWALK,
    "construction--flat--rail-track": IGNORE,
    "construction--structure": BUILDING,
    "construction--structure--bridge": IGNORE,
    "construction--structure--tunnel": IGNORE,
    "human": PERSON,
    "human--rider": RIDER,
    "marking": ROAD,
    "marking-only": ROAD,
    "nature": IGNORE,
    "nature--sky": SKY,
    "nature--vegetation": VEGETATION,
    "nature--terrain": TERRAIN,
    "nature--sand": TERRAIN,
    "nature--snow": TERRAIN,
    "object": IGNORE,
    "object--manhole": ROAD,
    "object--pothole": ROAD,
    "object--catch-basin": ROAD,
    "object--support": POLE,
    "object--support--traffic-sign-frame": TRAFFIC_SIGN,
    "object--street-light": POLE,
    "object--traffic-light": TRAFFIC_LIGHT,
    "object--traffic-sign": TRAFFIC_SIGN,
    "object--traffic-sign--back": IGNORE,  # Cityscapes: no sign, seen from behind
    "object--vehicle": IGNORE,
    "object--vehicle--bicycle": BICYCLE,
    "object--vehicle--bus": BUS,
    "object--vehicle--car": CAR,
    "object--vehicle--motorcycle": MOTORCYCLE,
    "object--vehicle--on-rails": TRAIN,
    "object--vehicle--truck": TRUCK,
    "void": IGNORE,
}


def read_labels(path: Path, scheme: Scheme, label_ids: Mapping[int, int] | None = None) -> Tensor:
    """Read a label map.

    Args:
        path: PNG whose grey level or palette index is the class; for `comma10k` a PNG in colour.
        scheme: `train_ids` 0 to 18 and 255; `cityscapes_ids` -1 to 33; `mapillary` by the `config*.json` above the
            file; `comma10k` by colour.
        label_ids: More numbers of the file, or others than the scheme's, with their class (0 to 18, or 255); a colour
            is 65536 red + 256 green + blue.

    Returns:
        int64 (H, W): 0 to 18, 255 where there is no class.

    Raises:
        MedrestoreError: The file cannot be read, or has a class that is not known: which one, and what to type.
    """
    if scheme not in get_args(Scheme):
        raise MedrestoreError(f"no label scheme is called {scheme!r}; take one of {', '.join(get_args(Scheme))}")
    stored = _colours(path) if scheme == "comma10k" else _numbers(path)
    table = {**_table(path, scheme), **checked_ids(label_ids)}
    found, places = _distinct(stored)
    unknown = [number for number in found if number not in table]
    if unknown:
        listed = ", ".join(map(str, unknown[:5])) + (" ..." if len(unknown) > 5 else "")
        raise MedrestoreError(
            f"cannot read {path}: of its {len(found)} classes {len(unknown)} are unknown to the scheme {scheme}: "
            f"{listed}; type 'dataset.label_ids={{{unknown[0]}: {IGNORE}}}' to leave such pixels out, or one of the "
            f"classes 0 to {len(CLASSES) - 1} instead of {IGNORE}"
        )
    classes = np.array([table[number] for number in found], np.int64)
    return torch.from_numpy(classes[places])


def checked_ids(label_ids: Mapping[int, int] | None) -> dict[int, int]:
    """Return the user's own numbers of classes.

    Raises:
        MedrestoreError: One is given a class that does not exist.
    """
    given = {int(number): int(name) for number, name in (label_ids or {}).items()}
    for number, name in given.items():
        if name not in _TRAIN_IDS:
            raise MedrestoreError(
                f"dataset.label_ids gives {number} the class {name}, which does not exist; type one of 0 to "
                f"{len(CLASSES) - 1}, or {IGNORE} for no class"
            )
    return given


def _table(path: Path, scheme: Scheme) -> Mapping[int, int]:
    match scheme:
        case "train_ids":
            return _TRAIN_IDS
        case "cityscapes_ids":
            return _CITYSCAPES_IDS
        case "comma10k":
            return _COMMA10K
        case "mapillary":
            return _mapillary_table(_mapillary_config(path))


def _numbers(path: Path) -> np.ndarray:
    with reading(path), PIL.Image.open(path) as file:
        if len(file.getbands()) > 1:
            raise MedrestoreError(
                f"cannot read {path}: a map of class numbers has one channel, found {file.mode}; is it a coloured copy?"
            )
        return np.asarray(file)


def _colours(path: Path) -> np.ndarray:
    with reading(path), PIL.Image.open(path) as file:
        red, green, blue = np.asarray(file.convert("RGB")).astype(np.int32).transpose(2, 0, 1)
    return red << 16 | green << 8 | blue


def _distinct(stored: np.ndarray) -> tuple[list[int], np.ndarray]:
    """Return the values there are, and for each pixel its place in their list."""
    if stored.dtype != np.uint8:
        found, places = np.unique(stored, return_inverse=True)
        return found.tolist(), places.reshape(stored.shape)
    there = np.bincount(stored.ravel(), minlength=256) > 0
    return np.flatnonzero(there).tolist(), (np.cumsum(there) - 1)[stored]


def _mapillary_config(path: Path) -> Path:
    """Find the list of classes that a Mapillary label map was drawn with: the one of its version before any other."""
    version = next((name for name in reversed(path.parts) if name in ("v1.2", "v2.0")), "")
    for folder in path.parents[:6]:
        for name in (f"config_{version}.json", "config.json", "config_v1.2.json"):
            if (folder / name).is_file():
                return folder / name
    raise MedrestoreError(
        f"cannot read {path}: no config_{version or 'v1.2'}.json or config.json above it says what its numbers mean; "
        "copy that file of Mapillary Vistas beside the folder training"
    )


@functools.lru_cache(maxsize=8)
def _mapillary_table(config: Path) -> Mapping[int, int]:
    """Class of each number: the place in the list `labels` of the configuration."""
    with reading(config):
        try:
            names = [entry["name"] for entry in json.loads(config.read_text(encoding="utf-8"))["labels"]]
        except (ValueError, KeyError, TypeError) as error:
            raise MedrestoreError(
                f"cannot read {config}: it has no list 'labels' of objects with 'name'; take the file as Mapillary "
                "ships it"
            ) from error
    classes = {number: _mapillary_class(str(name)) for number, name in enumerate(names)}
    return {number: found for number, found in classes.items() if found is not None}


def _mapillary_class(name: str) -> int | None:
    parts = name.split("--")
    beginnings = ("--".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((_MAPILLARY[beginning] for beginning in beginnings if beginning in _MAPILLARY), None)
