"""Recognise collections of street scenes: Mapillary Vistas, BDD100K, KITTI, comma10k.

Each function returns None where the files do not lie as in its collection. The testing parts have no label maps.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from medrestore.data.label_maps import Scheme
from medrestore.data.listing import Entry, Listing, with_official_split
from medrestore.data.names import is_mask, split_name
from medrestore.data.tree import Tree

_PICTURE = r"([^/]+)\.(?:jpe?g|png)"


def street(tree: Tree) -> Listing | None:
    """List the images of the first collection of street scenes that fits."""
    return mapillary(tree) or bdd100k(tree) or kitti_semantic(tree) or comma10k(tree)


def mapillary(tree: Tree) -> Listing | None:
    """Mapillary Vistas: `{training,validation,testing}/images/<key>.jpg`, labels in `labels` or `v2.0/labels`.

    Where both versions of the labels are there, 2.0 is taken. Which camera or place an image comes from is unknown.
    """
    part = r"(?:.*/)?(training|validation|testing)"
    labels = {
        version: _by_name(tree, rf"{part}/{re.escape(version)}labels/{_PICTURE}") for version in ("v2.0/", "v1.2/", "")
    }
    version = next((version for version, found in labels.items() if found), None)
    configured = any(re.fullmatch(r"config(?:_v[\d.]+)?\.json", PurePosixPath(file).name) for file in tree.others)
    if version is None or not (version or configured):
        return None
    images = _by_name(tree, rf"{part}/images/{_PICTURE}")
    return _listing(tree, images, labels[version], "mapillary", f"Mapillary Vistas {version.strip('/') or 'v1.2'}")


def bdd100k(tree: Tree) -> Listing | None:
    """BDD100K: `images/10k/{train,val,test}/<id>.jpg`, `labels/sem_seg/masks/{train,val}/<id>.png`.

    The group is the first half of an id, which the frames of one recording share. Other images, such as those of
    `images/100k`, have no class for every pixel and are counted.
    """
    images = _by_name(tree, rf"(?:.*/)?images/10k/(train|val|test)/{_PICTURE}")
    labels = _by_name(tree, rf"(?:.*/)?labels/sem_seg/masks/(train|val)/{_PICTURE}")
    if not images:
        return None
    recording = re.compile(r"([0-9a-f]{8})-.*")
    groups = {file: f"bdd {found[1]}" for (_, name), file in images.items() if (found := recording.fullmatch(name))}
    return _listing(tree, images, labels, "train_ids", "BDD100K", groups)


def kitti_semantic(tree: Tree) -> Listing | None:
    """KITTI semantic segmentation: `{training,testing}/image_2/000000_10.png`, `training/semantic/` same names.

    The maps have Cityscapes' label ids. Which drive an image comes from is unknown.
    """
    labels = _by_name(tree, rf"(?:.*/)?(training)/semantic/{_PICTURE}")
    images = _by_name(tree, rf"(?:.*/)?(training|testing)/image_2/{_PICTURE}")
    if not labels or not images:
        return None
    return _listing(tree, images, labels, "cityscapes_ids", "KITTI semantic")


def comma10k(tree: Tree) -> Listing | None:
    """comma10k: `imgs/<n>_<dongle>_<date>--<time>_<segment>_<frame>.png`, `masks/` with the same names.

    The group is the route: device, date and time. There is no official split.
    """
    images = _by_name(tree, rf"(?:.*/)?(imgs\d?)/{_PICTURE}")
    masks = _by_name(tree, rf"(?:.*/)?(masks\d?)/{_PICTURE}")
    labels = {(folder.replace("masks", "imgs"), name): file for (folder, name), file in masks.items()}
    route = re.compile(r".*?([0-9a-f]{16}_\d{4}-\d\d-\d\d--\d\d-\d\d-\d\d)_\d+_\d+")
    routes = {file: f"comma10k {found[1]}" for (_, name), file in images.items() if (found := route.fullmatch(name))}
    if not labels or 2 * len(routes) <= len(images):
        return None
    return _listing(tree, images, labels, "comma10k", "comma10k", routes)


def _by_name(tree: Tree, pattern: str) -> dict[tuple[str, str], str]:
    """Return the files whose path fits, by part and name: the two groups of the pattern."""
    found = ((re.fullmatch(pattern, file, re.IGNORECASE), file) for file in tree.images)
    return {(match[1].lower(), match[2]): file for match, file in found if match}


def _listing(
    tree: Tree,
    images: Mapping[tuple[str, str], str],
    labels: Mapping[tuple[str, str], str],
    scheme: Scheme,
    collection: str,
    groups: Mapping[str, str] | None = None,
) -> Listing:
    """Join images and label maps of the same part and name; count what is left."""
    entries = [
        Entry(
            file,
            group=(groups or {}).get(file),
            split=split_name(part),
            labels=tree.path(labels[part, name]) if (part, name) in labels else None,
            label_scheme=scheme,
        )
        for (part, name), file in images.items()
    ]
    rest = set(tree.images) - set(images.values()) - set(labels.values())
    notes = [
        _count(f"{collection}: {{}} label maps left out: no image has their name", labels.keys() - images.keys()),
        _count(f"{collection}: {{}} images without a label map", images.keys() - labels.keys()),
        _count(f"{collection}: {{}} other images left out", [file for file in rest if not is_mask(file)]),
    ]
    return Listing(with_official_split(entries), notes=tuple(note for note in notes if note))


def _count(text: str, things: Iterable[object]) -> str:
    number = len(list(things))
    return text.format(number) if number else ""
