"""Label maps of every collection become the same 19 classes; what is unknown is named."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medrestore.data.label_maps import read_labels
from medrestore.errors import MedrestoreError

STREET = Path(__file__).parents[3] / "shared/data/street"


def png(path, rows, mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(rows, np.uint8), mode).save(path) if mode != "P" else palette(path, rows)
    return path


def palette(path, rows):
    image = Image.fromarray(np.array(rows, np.uint8), "P")
    image.putpalette([7 * number % 256 for number in range(768)])
    image.save(path)


def test_training_classes_stay(tmp_path):
    labels = read_labels(png(tmp_path / "a.png", [[0, 18, 255], [5, 5, 13]]), "train_ids")
    assert labels.tolist() == [[0, 18, 255], [5, 5, 13]] and str(labels.dtype) == "torch.int64"


def test_the_number_counts_not_the_palette_colour(tmp_path):
    assert read_labels(png(tmp_path / "a.png", [[0, 18], [13, 255]], "P"), "train_ids").tolist() == [[0, 18], [13, 255]]


def test_cityscapes_ids(tmp_path):
    """The 19 evaluated ids of cityscapesScripts' labels.py in the order of their training ids; the others are void."""
    evaluated = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
    void = [0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30]
    labels = read_labels(png(tmp_path / "a.png", [evaluated, [*void, 0, 0, 0, 0]]), "cityscapes_ids")
    assert labels.tolist() == [list(range(19)), [255] * 19]


def test_comma10k_colours(tmp_path):
    colours = ["402020", "ff0000", "808060", "00ff66", "cc00ff"]
    path = png(tmp_path / "a.png", [[list(bytes.fromhex(colour)) for colour in colours]], "RGB")
    assert read_labels(path, "comma10k").tolist() == [[0, 0, 255, 13, 255]]


NAMES = (
    "animal--bird", "construction--barrier--curb", "construction--flat--road", "construction--structure--building",
    "human--person", "human--person--individual", "human--rider--bicyclist", "marking--general",
    "marking--discrete--crosswalk-zebra", "nature--sky", "object--support--utility-pole", "object--street-light",
    "object--traffic-light", "object--traffic-light--pedestrians", "object--traffic-sign--front",
    "object--traffic-sign--back", "object--vehicle--car", "object--vehicle--other-vehicle", "object--bench",
    "void--unlabeled",
)  # fmt: skip
CLASSES = [255, 1, 0, 2, 11, 11, 12, 0, 0, 10, 5, 5, 6, 6, 7, 255, 13, 255, 255, 255]


def vistas(root, names=NAMES, config="config.json"):
    root.mkdir(parents=True, exist_ok=True)
    (root / config).write_text(json.dumps({"labels": [{"name": name, "readable": "x"} for name in names]}))
    return root


def test_mapillary_by_names_in_whatever_order(tmp_path):
    for root, order in ((tmp_path / "a", 1), (tmp_path / "b", -1)):
        vistas(root, NAMES[::order])
        path = png(root / "training/labels/k.png", [list(range(len(NAMES)))], "P")
        assert read_labels(path, "mapillary").tolist() == [CLASSES[::order]]


def test_mapillary_takes_the_configuration_of_its_version(tmp_path):
    vistas(tmp_path, ["nature--sky"], "config_v2.0.json")
    vistas(tmp_path, ["object--vehicle--car"], "config_v1.2.json")
    new, old = (png(tmp_path / f"training/{version}/labels/k.png", [[0]]) for version in ("v2.0", "v1.2"))
    assert read_labels(new, "mapillary").tolist() == [[10]] and read_labels(old, "mapillary").tolist() == [[13]]


@pytest.mark.parametrize("content", ["{", '{"labels": [1]}', "[]"])
def test_mapillary_with_a_broken_configuration(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    path = png(tmp_path / "training/labels/k.png", [[0]])
    with pytest.raises(MedrestoreError, match=r"config\.json.*labels"):
        read_labels(path, "mapillary")


def test_mapillary_without_a_configuration(tmp_path):
    path = png(tmp_path / "training/v2.0/labels/k.png", [[0]])
    with pytest.raises(MedrestoreError, match=r"config_v2\.0\.json"):
        read_labels(path, "mapillary")


def test_unknown_numbers_are_named_and_can_be_given_a_class(tmp_path):
    path = png(tmp_path / "odd.png", [[0, 77, 40]])
    with pytest.raises(MedrestoreError) as error:
        read_labels(path, "train_ids")
    text = str(error.value)
    assert "odd.png" in text and "40, 77" in text and "'dataset.label_ids={40: 255}'" in text and "\n" not in text
    assert read_labels(path, "train_ids", {77: 2, 40: 255}).tolist() == [[0, 2, 255]]


def test_an_unknown_class_of_mapillary_and_an_unknown_colour(tmp_path):
    vistas(tmp_path, ["nature--sky", "weather--fog"])
    path = png(tmp_path / "training/labels/k.png", [[0, 1]])
    with pytest.raises(MedrestoreError, match="mapillary: 1;"):
        read_labels(path, "mapillary")
    colour = png(tmp_path / "c.png", [[[64, 32, 32], [1, 2, 3]]], "RGB")
    with pytest.raises(MedrestoreError, match=f"comma10k: {65536 + 512 + 3};"):
        read_labels(colour, "comma10k")
    assert read_labels(colour, "comma10k", {66051: 255}).tolist() == [[0, 255]]


def test_bad_input(tmp_path):
    with pytest.raises(MedrestoreError, match="no label scheme"):
        read_labels(png(tmp_path / "a.png", [[0]]), "voc")  # type: ignore[arg-type]
    with pytest.raises(MedrestoreError, match="one channel"):
        read_labels(png(tmp_path / "b.png", [[[0, 0, 0]]], "RGB"), "train_ids")
    with pytest.raises(MedrestoreError, match="label_ids gives 3 the class 19"):
        read_labels(png(tmp_path / "c.png", [[3]]), "train_ids", {3: 19})
    (tmp_path / "d.png").write_bytes(b"no picture")
    with pytest.raises(MedrestoreError, match=r"cannot read .*d\.png"):
        read_labels(tmp_path / "d.png", "train_ids")


@pytest.mark.skipif(not STREET.is_dir(), reason="the image pack is not beside the repository")
def test_the_pack():
    path = sorted((STREET / "bdd100k/labels_trainid").iterdir())[0]
    labels = read_labels(path, "train_ids")
    assert labels.shape == (720, 1280) and np.array_equal(labels.numpy(), np.asarray(Image.open(path)))
