"""Collections of street scenes as they lie on disk: images, label maps, official parts, groups."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medrestore.data.folders import FolderSource
from medrestore.errors import MedrestoreError

PACK = Path(__file__).parents[3] / "shared/data/street"


def photograph(path, size=(6, 4)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (len(path.parts), 1, 2)).save(path)


def label_map(path: Path, value: int | tuple[int, int, int] = 0, size=(6, 4)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(value, tuple):
        Image.new("RGB", size, value).save(path)
    else:
        Image.new("L", size, value).save(path)


def listed(root, **source):
    """The source, and its items by path relative to the root."""
    found = FolderSource(str(root), **source)
    catalogue = found.catalogue()
    return found, {item.path.relative_to(root).as_posix(): item for item in catalogue.items if item.path}, catalogue


def classes(source, item):
    labels = source.annotations(item).get("labels")
    return None if labels is None else sorted(set(labels.flatten().tolist()))


@pytest.mark.parametrize("version", ["v1.2", "v2.0", ""])
def test_mapillary(tmp_path, version):
    """Version 2.0 has its labels in a folder of its own and also those of 1.2; 1.2 alone lies flat."""
    config = f"config_{version}.json" if version else "config.json"
    (tmp_path / config).write_text(json.dumps({"labels": [{"name": "nature--sky"}, {"name": "object--vehicle--car"}]}))
    for part in ("training", "validation", "testing"):
        for key in ("aB-1", "c_2"):
            photograph(tmp_path / f"{part}/images/{key}.jpg")
            if part != "testing":
                label_map(tmp_path / part / version / f"labels/{key}.png", int(key == "c_2"))
                label_map(tmp_path / part / version / f"instances/{key}.png", 9)
    source, items, catalogue = listed(tmp_path)
    assert len(items) == 6
    assert {item.split for name, item in items.items() if name.startswith("validation")} == {"val"}
    assert items["testing/images/c_2.jpg"].split == "test" and items["testing/images/c_2.jpg"].labels is None
    assert classes(source, items["training/images/aB-1.jpg"]) == [10]
    assert classes(source, items["validation/images/c_2.jpg"]) == [13]
    assert classes(source, items["testing/images/c_2.jpg"]) is None
    assert any(note.endswith("2 images without a label map") for note in catalogue.notes)


def test_mapillary_prefers_version_two(tmp_path):
    (tmp_path / "config_v1.2.json").write_text(json.dumps({"labels": [{"name": "nature--sky"}]}))
    (tmp_path / "config_v2.0.json").write_text(json.dumps({"labels": [{"name": "human--person--individual"}]}))
    photograph(tmp_path / "training/images/k.jpg")
    for version in ("v1.2", "v2.0"):
        label_map(tmp_path / f"training/{version}/labels/k.png")
    source, items, _ = listed(tmp_path)
    assert classes(source, items["training/images/k.jpg"]) == [11]


def test_other_data_in_training_folders_are_not_mapillary(tmp_path):
    photograph(tmp_path / "training/images/21_training.tif.png")
    label_map(tmp_path / "training/labels/21_training.tif.png")
    _, items, _ = listed(tmp_path)
    assert [item.labels for item in items.values()] == [None]


def test_bdd100k(tmp_path):
    for part in ("train", "val", "test"):
        for name in ("00a395fe-d60c0b47", "00a395fe-11111111", "0fe81112-00000000"):
            photograph(tmp_path / f"bdd100k/images/10k/{part}/{part[0]}{name[1:]}.jpg")
            if part != "test":
                label_map(tmp_path / f"bdd100k/labels/sem_seg/masks/{part}/{part[0]}{name[1:]}.png", 13)
                label_map(tmp_path / f"bdd100k/labels/sem_seg/colormaps/{part}/{part[0]}{name[1:]}.png", (1, 2, 3))
    photograph(tmp_path / "bdd100k/images/100k/train/0000f77c-6257be58.jpg")
    label_map(tmp_path / "bdd100k/labels/sem_seg/masks/val/no-image.png")
    source, items, catalogue = listed(tmp_path)
    assert len(items) == 9 and {item.split for item in items.values()} == {"train", "val", "test"}
    val = items["bdd100k/images/10k/val/v0a395fe-d60c0b47.jpg"]
    assert classes(source, val) == [13] and "masks" in str(val.labels)
    assert catalogue.notes[:3] == (
        "BDD100K: 1 label maps left out: no image has their name",
        "BDD100K: 3 images without a label map",
        "BDD100K: 1 other images left out",
    )


def test_bdd100k_groups_are_recordings(tmp_path):
    for name in ("00a395fe-d60c0b47", "00a395fe-11111111", "0fe81112-00000000"):
        photograph(tmp_path / f"images/10k/train/{name}.jpg")
    _, items, _ = listed(tmp_path)
    assert [item.group for item in items.values()] == ["bdd 00a395fe", "bdd 00a395fe", "bdd 0fe81112"]
    assert {item.split for item in items.values()} == {""}  # no official test part: no official split


def test_kitti(tmp_path):
    for number in range(3):
        photograph(tmp_path / f"training/image_2/00000{number}_10.png")
        label_map(tmp_path / f"training/semantic/00000{number}_10.png", 26)
        label_map(tmp_path / f"training/semantic_rgb/00000{number}_10.png", (0, 0, 142))
        photograph(tmp_path / f"testing/image_2/00000{number}_10.png")
    source, items, catalogue = listed(tmp_path)
    assert len(items) == 6
    first = items["training/image_2/000000_10.png"]
    assert first.split == "train" and classes(source, first) == [13] and first.group == first.key
    assert items["testing/image_2/000000_10.png"].labels is None
    assert any("patients unknown" in note for note in catalogue.notes)


def test_comma10k(tmp_path):
    route = "a61a3fdda26c5345_2018-10-01--00-35-30"
    for number, name in enumerate((f"0000_{route}_22_921", f"0001_{route}_3_11", f"0002_b{route[1:]}_22_921")):
        photograph(tmp_path / f"imgs/{name}.png")
        label_map(tmp_path / f"masks/{name}.png", (0, 255, 102) if number else (64, 32, 32))
    source, items, _ = listed(tmp_path)
    found = list(items.values())
    assert len(found) == 3 and [classes(source, item) for item in found] == [[0], [13], [13]]
    assert found[0].group == found[1].group != found[2].group
    assert {item.split for item in found} == {""}


def test_a_label_map_of_another_size_is_left_out(tmp_path):
    for number in range(3):
        photograph(tmp_path / f"training/image_2/00000{number}_10.png")
        label_map(tmp_path / f"training/semantic/00000{number}_10.png", 26, (6, 4) if number else (7, 4))
    _, items, catalogue = listed(tmp_path)
    assert [item.labels is None for item in items.values()] == [True, False, False]
    assert [entry.reason for entry in catalogue.left_out] == [
        "label map left out: 000000_10.png has 7 x 4 pixels, 000000_10.png has 6 x 4"
    ]


def test_unknown_classes_are_one_line_and_can_be_named(tmp_path):
    for number in range(3):
        photograph(tmp_path / f"training/image_2/00000{number}_10.png")
        label_map(tmp_path / f"training/semantic/00000{number}_10.png", 99)
    source, items, _ = listed(tmp_path)
    with pytest.raises(MedrestoreError, match=r"99; type 'dataset.label_ids"):
        source.annotations(next(iter(items.values())))
    told, items, _ = listed(tmp_path, label_ids={99: 4})
    assert classes(told, next(iter(items.values()))) == [4]
    with pytest.raises(MedrestoreError, match="class 31, which does not exist"):
        FolderSource(str(tmp_path), label_ids={99: 31})


def test_a_manifest_with_label_maps(tmp_path):
    rows = ["file,role,group,dataset"]
    for name in ("a", "b"):
        photograph(tmp_path / f"images/{name}.jpg")
        label_map(tmp_path / f"labels_trainid/{name}.png", 13)
        label_map(tmp_path / f"colormaps/{name}.png", (1, 2, 3))
        rows += [
            f"images/{name}.jpg,sharp,g,s",
            f"labels_trainid/{name}.png,label,g,s",
            f"colormaps/{name}.png,label,g,s",
        ]
    photograph(tmp_path / "images/c.jpg")
    label_map(tmp_path / "semantic/c.png", 26)
    rows += ["images/c.jpg,sharp,h,s", "semantic/c.png,label,h,s", "labels_trainid/d.png,label,h,s"]
    (tmp_path / "MANIFEST.csv").write_text("\n".join(rows))
    source, items, catalogue = listed(tmp_path)
    assert list(items) == ["images/a.jpg", "images/b.jpg", "images/c.jpg"]
    assert [classes(source, item) for item in items.values()] == [[13], [13], [13]]
    assert {item.mask for item in items.values()} == {None}
    assert "2 coloured copies of label maps left out" in catalogue.notes
    assert [(entry.name, entry.reason) for entry in catalogue.left_out] == [
        ("d.png", "listed in MANIFEST.csv but missing")
    ]


@pytest.mark.skipif(not PACK.is_dir(), reason="the image pack is not beside the repository")
def test_the_pack():
    source, items, catalogue = listed(PACK.resolve())
    assert len(items) == 50 and all(item.labels is not None for item in items.values())
    assert "15 coloured copies of label maps left out" in catalogue.notes and not catalogue.left_out
    for name in ("kitti_semantic/images/20001.jpg", "bdd100k/images/00d79c0a-23befe54.jpg"):
        item = items[name]
        labels = source.annotations(item)["labels"]
        assert (
            not isinstance(labels, str)
            and labels.shape == source.load(item).pixels.shape[1:]
            and set(np.unique(labels)) <= {*range(19), 255}
        )
