"""Images blurred by nature: another role, another way into the split, one kind of picture."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from medrestore.data.catalogue import Item, item_key
from medrestore.data.crop_settings import CropSettings
from medrestore.data.folders import FolderSource
from medrestore.data.module import LoaderSettings, RestorationData
from medrestore.data.natural import is_colour
from medrestore.data.phantoms import CervixPhantom
from medrestore.data.samples import Pair, Unpaired
from medrestore.data.splits import split_unpaired, with_natural
from medrestore.degradations import FocalBlur
from medrestore.errors import MedrestoreError


def photograph(path: Path, mode="RGB", seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng([seed, *path.name.encode()]).integers(0, 255, (24, 28, 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)
    return path


def folders(root: Path):
    """Five patients with sharp images, one of them and two others with blurred ones."""
    for patient in range(5):
        for n in range(2):
            photograph(root / f"sharp/case {patient}/normal/{n}.png", seed=patient)
    for patient, label in ((4, "normal"), (7, "normal"), (8, "abnormal")):
        for n in range(2):
            photograph(root / f"blurred/case {patient}/{label}/{n}.png", seed=100 + patient)
    return str(root / "sharp"), str(root / "blurred")


def data_of(source, tmp_path: Path, samples: type[Pair] | type[Unpaired] = Pair, **changes):
    sizes = {"train": 0.6, "val": 0.2, "test": 0.2, "file": None}
    loading = LoaderSettings(1, 0, False, None, 10**8, {**sizes, **changes})
    crops = CropSettings(16, 1, False, "auto", False, 0, 0)
    return RestorationData(
        source, FocalBlur(), 3, crops, loading, samples, tmp_path / "split.csv", lambda items, text: items
    )


def test_natural_images_are_sources_with_labels_and_groups_of_their_own_folder(tmp_path):
    sharp, blurred = folders(tmp_path)
    alone = FolderSource(sharp).catalogue()
    catalogue = FolderSource(sharp, natural=blurred).catalogue()
    assert catalogue.items[:10] == alone.items  # keys, roles and groups of sharp images do not move
    natural = catalogue.items[10:]
    assert {(item.role, item.source, item.degraded) for item in natural} == {("source", "natural/blurred", None)}
    assert Counter((item.group, item.label) for item in natural) == {
        ("case 4", "normal"): 2,
        ("case 7", "normal"): 2,
        ("case 8", "abnormal"): 2,
    }


def test_a_paired_split_is_made_by_the_sharp_images_alone(tmp_path):
    sharp, blurred = folders(tmp_path)
    without = data_of(FolderSource(sharp), tmp_path / "a")
    data = data_of(FolderSource(sharp, natural=blurred), tmp_path / "b")
    assert {item.key: data.split[item.key] for item in data.items("all", "target")} == without.split
    parts = {item.group: data.split[item.key] for item in data.items("all", "target")}
    for item in data.items("all", "source"):
        assert data.split[item.key] == parts.get(item.group, "test")
    assert "case 4" in parts
    rows = (tmp_path / "b/split.csv").read_text().splitlines()
    assert len(rows) == 17 and sum(",source,test" in row for row in rows) >= 4


def test_a_record_without_natural_images_is_read_back_and_they_are_added(tmp_path):
    sharp, blurred = folders(tmp_path)
    before = data_of(FolderSource(sharp), tmp_path).split
    record = (tmp_path / "split.csv").read_text()
    after = data_of(FolderSource(sharp, natural=blurred), tmp_path)
    assert {key: after.split[key] for key in before} == before
    assert all(after.split[item.key] for item in after.items("all", "source"))
    assert (tmp_path / "split.csv").read_text() == record
    by_file = tmp_path / "mine.csv"
    by_file.write_text("group,split\n" + "".join(f"case {n},{'train val test train'.split()[n]}\n" for n in range(4)))
    mine = data_of(FolderSource(sharp, natural=blurred), tmp_path / "c", file=str(by_file))
    found = {item.group: mine.split.get(item.key) for item in mine.items("all", "source")}
    assert found == {"case 4": None, "case 7": "test", "case 8": "test"}  # case 4 belongs to no part of the list


def test_an_unpaired_run_splits_both_roles(tmp_path):
    sharp, blurred = folders(tmp_path)
    source = FolderSource(sharp, natural=blurred)
    data = data_of(source, tmp_path, Unpaired)
    assert data.split == split_unpaired(source.catalogue().items, {"train": 0.6, "val": 0.2, "test": 0.2}, 0)


def test_groups_that_the_sizes_leave_over_take_their_natural_images_with_them():
    def item(name: str, group: str, role: str) -> Item:
        return Item(item_key("s", name), group, role, "", "s", "", None, None, None, None)  # type: ignore[arg-type]

    items = [item("a", "p", "target"), item("b", "p", "source"), item("c", "q", "source"), item("d", "r", "target")]
    split = with_natural(items, {items[3].key: "train"})
    assert split == {items[3].key: "train", items[2].key: "test"}


def test_cases_without_truth_come_after_those_with(tmp_path):
    sharp, blurred = folders(tmp_path)
    data = data_of(FolderSource(sharp, natural=blurred), tmp_path)
    data.prepare("train", "val", "test")
    assert all(item.role == "target" for item in data.train_dataloader().dataset.items)  # type: ignore[union-attr]
    cases = list(data.cases("test"))
    truths = [case.target is not None for case in cases]
    assert truths == sorted(truths, reverse=True) and not truths[-1]
    last = cases[-1]
    assert torch.equal(last.degraded, last.image.pixels) and last.kernel is None
    assert last.annotations["label"] in ("normal", "abnormal")


def test_one_grey_image_among_colour_ones_is_listed_in_one_line(tmp_path):
    sharp, blurred = folders(tmp_path)
    grey = photograph(Path(blurred) / "case 8/abnormal/grey.png", "L")
    catalogue = FolderSource(sharp, natural=blurred).catalogue()
    assert len(catalogue.items) == 16
    (entry,) = catalogue.left_out
    assert (entry.path, entry.reason) == (grey, "it is grey, 6 of the 7 images of this folder are in colour")


def test_one_colour_image_among_grey_ones_is_listed(tmp_path):
    sharp, _ = folders(tmp_path)
    for n in range(3):
        photograph(tmp_path / f"grey/{n}.png", "L")
    photograph(tmp_path / "grey/colour.jpg")
    catalogue = FolderSource(sharp, natural=str(tmp_path / "grey")).catalogue()
    assert [(entry.name, entry.reason) for entry in catalogue.left_out] == [
        ("colour.jpg", "it is in colour, 3 of the 4 images of this folder are grey")
    ]
    assert len(catalogue.items) == 13


@pytest.mark.parametrize(
    ("mode", "name", "colour"),
    [
        ("RGB", "a.png", True),
        ("RGBA", "a.png", True),
        ("P", "a.gif", True),
        ("CMYK", "a.tif", True),
        ("L", "a.jpg", False),
        ("LA", "a.png", False),
        ("1", "a.bmp", False),
        ("I;16", "a.tif", False),
    ],
)
def test_the_header_tells_colour(tmp_path, mode, name, colour):
    path = photograph(tmp_path / name, "L" if mode == "I;16" else mode)
    if mode == "I;16":
        Image.fromarray(np.zeros((4, 5), np.uint16)).save(path)
    assert is_colour(path) is colour


def test_a_grey_palette_is_grey_and_no_photograph_is_neither(tmp_path):
    palette = Image.new("P", (4, 4))
    palette.putpalette([value for level in range(256) for value in (level, level, level)])
    palette.save(tmp_path / "grey.png")
    (tmp_path / "volume.nii").write_bytes(bytes(400))
    assert is_colour(tmp_path / "grey.png") is False and is_colour(tmp_path / "volume.nii") is None


def test_a_natural_folder_below_the_root_counts_once(tmp_path):
    sharp, blurred = folders(tmp_path)
    catalogue = FolderSource(str(tmp_path), natural=blurred).catalogue()
    assert Counter(item.role for item in catalogue.items) == {"target": 10, "source": 6}
    with pytest.raises(MedrestoreError, match=r"holds the root .* folder beside the root or below it"):
        FolderSource(sharp, natural=str(tmp_path)).catalogue()


def test_a_natural_folder_that_is_not_there_is_named_as_such(tmp_path):
    sharp, _ = folders(tmp_path)
    with pytest.raises(MedrestoreError, match=r"there is no folder .*none; .* type dataset.natural=DIR"):
        FolderSource(sharp, natural=str(tmp_path / "none")).catalogue()
    (tmp_path / "empty").mkdir()
    with pytest.raises(MedrestoreError, match=r"no image to use in .*empty.* type dataset.natural=DIR"):
        FolderSource(sharp, natural=str(tmp_path / "empty")).catalogue()


def test_the_phantoms_natural_patients_are_test_cases_without_truth(tmp_path):
    source = CervixPhantom(patients=5, images_per_patient=1, size=64, natural_patients=4)
    data = data_of(source, tmp_path)
    natural = data.items("test", "source")
    assert len(natural) == 4 and len(data.items("all", "source")) == 4
    assert Counter(item.label for item in natural) == {"normal": 2, "abnormal": 2}
    case = data.case(natural[0])
    assert case.target is None and case.degraded.shape == (3, 64, 64)
    without = data_of(CervixPhantom(5, 1, 64, natural_patients=0), tmp_path / "b")
    assert without.split.items() <= data.split.items()


def test_a_generated_image_that_fails_is_left_out_alone(tmp_path):
    class Failing(CervixPhantom):
        def load(self, item):
            if item.group == "patient0001":
                raise MedrestoreError("no paint")
            return super().load(item)

    data = data_of(Failing(6, 1, 64, natural_patients=0), tmp_path)
    data.prepare("all")
    assert [(entry.path, entry.name, entry.reason) for entry in data.left_out] == [
        (None, "a generated image", "no paint")
    ]
    assert len(data.items("all")) == 5
