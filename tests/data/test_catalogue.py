"""Folders of images: what becomes an item, what is left out, and what is said about it."""

import os
import shutil

import numpy as np
import pydicom
import pytest
import torch
from PIL import Image
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from medrestore.data.catalogue import Catalogue, Item, LeftOut, hashed_group, item_key
from medrestore.data.folders import FolderSource
from medrestore.data.pairs import FolderPairs
from medrestore.errors import MedrestoreError


def photograph(path, value=0, size=(5, 4)):
    """An 8-bit image, width by height."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, 10, 20)).save(path)
    return path


def slice_of(path, patient, value=7):
    path.parent.mkdir(parents=True, exist_ok=True)
    data = pydicom.Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = CTImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, data.file_meta.MediaStorageSOPInstanceUID
    data.PatientID, data.Modality = patient, "CT"
    data.Rows, data.Columns, data.SamplesPerPixel = 64, 72, 1
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation, data.PhotometricInterpretation = 15, 0, "MONOCHROME2"
    data.RescaleSlope, data.RescaleIntercept = 1, -1024
    data.PixelData = np.full((64, 72), value, np.uint16).tobytes()
    data.save_as(path, enforce_file_format=True)
    return path


def files_of(catalogue, root):
    return [item.path.relative_to(root).as_posix() for item in catalogue.items]


def test_order_and_keys_do_not_depend_on_where_the_folder_lies_or_how_it_was_filled(tmp_path):
    names = ["b/10.png", "b/9.png", "a (1)/ü=x [2].png", "z.png"]
    for home, order in (("here", names), ("there", names[::-1])):
        for name in order:
            photograph(tmp_path / home / "set" / name)
    one = FolderSource(str(tmp_path / "here/set")).catalogue()
    two = FolderSource(str(tmp_path / "there/set")).catalogue()
    assert files_of(one, tmp_path / "here/set") == ["a (1)/ü=x [2].png", "b/10.png", "b/9.png", "z.png"]
    assert [item.key for item in one.items] == [item.key for item in two.items]
    assert all(len(item.key) == 12 and int(item.key, 16) >= 0 for item in one.items)


def test_keys_are_equal_for_composed_and_decomposed_umlauts():
    assert item_key("set", "\u00fc.png") == item_key("set", "u\u0308.png") != item_key("set", "u.png")
    assert hashed_group("M\u00fcller") == hashed_group("Mu\u0308ller")


def test_slices_of_a_volume_have_keys_of_their_own():
    assert len({item_key("set", "a.nii", frame) for frame in (None, 0, 1)}) == 3


def test_two_items_of_one_key_are_refused(tmp_path):
    item = Item("0" * 12, "g", "target", "", "s", "", tmp_path / "a.png", None, None, None)
    with pytest.raises(MedrestoreError, match="same key 000000000000"):
        Catalogue((item, item), (), ())


def test_unknown_patients_are_said(tmp_path):
    for name in "abc":
        photograph(tmp_path / f"{name}.png")
    catalogue = FolderSource(str(tmp_path)).catalogue()
    assert [item.group for item in catalogue.items] == [item.key for item in catalogue.items]
    assert catalogue.notes == (
        "patients unknown: every image is its own group; give dataset.groups=folder or a MANIFEST.csv",
    )
    assert FolderSource(str(tmp_path), groups="item").catalogue().notes == ()


def test_dicom_groups_are_hashed_patient_ids(tmp_path):
    for name, patient in (("x/1.dcm", "Doe^Jane"), ("x/2.dcm", "Doe^Jane"), ("y/1", "Roe"), ("y/2.dcm", "")):
        slice_of(tmp_path / name, patient)
    catalogue = FolderSource(str(tmp_path)).catalogue()
    groups = {path: item.group for path, item in zip(files_of(catalogue, tmp_path), catalogue.items, strict=True)}
    assert groups["x/1.dcm"] == groups["x/2.dcm"] != groups["y/1"]
    assert groups["y/2.dcm"] == catalogue.items[3].key
    assert not any("Doe" in group or "Roe" in group for group in groups.values())
    assert catalogue.notes[0].startswith("patients unknown for 1 of 4 files")
    by_folder = FolderSource(str(tmp_path), groups="folder").catalogue()
    assert [item.group for item in by_folder.items] == ["x", "x", "y", "y"]


def test_volume_slices_share_a_group(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    for name in ("one", "two"):
        nibabel.save(nibabel.Nifti1Image(np.ones((4, 5, 3), np.int16), np.eye(4)), tmp_path / f"{name}.nii.gz")
    for groups in ("auto", "item"):
        catalogue = FolderSource(str(tmp_path), groups=groups).catalogue()
        assert [item.frame for item in catalogue.items] == [0, 1, 2, 0, 1, 2]
        assert len({item.group for item in catalogue.items[:3]}) == 1
        assert len({item.group for item in catalogue.items}) == 2
    assert FolderSource(str(tmp_path)).load(catalogue.items[2]).metadata["frame"] == 2


def test_empty_and_damaged_files_are_listed_and_hidden_ones_are_not(tmp_path):
    photograph(tmp_path / "good.png")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "notes.txt").write_text("x")
    photograph(tmp_path / ".hidden/a.png")
    photograph(tmp_path / "__MACOSX/a.png")
    (tmp_path / "._good.png").write_bytes(b"\0")
    catalogue = FolderSource(str(tmp_path)).catalogue()
    assert files_of(catalogue, tmp_path) == ["good.png"]
    assert [entry.path.name for entry in catalogue.left_out] == ["empty.jpg", "gone.png", "text.png"]
    assert "empty (0 bytes)" in catalogue.left_out[0].reason
    assert catalogue.left_out[1] == LeftOut(tmp_path / "gone.png", "link to a file that is not there")


def test_links_in_a_circle_end(tmp_path):
    photograph(tmp_path / "a/1.png")
    (tmp_path / "a/up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "self.png").symlink_to(tmp_path / "self.png")
    photograph(tmp_path.parent / f"{tmp_path.name}_elsewhere/2.png")
    (tmp_path / "linked").symlink_to(tmp_path.parent / f"{tmp_path.name}_elsewhere", target_is_directory=True)
    assert files_of(FolderSource(str(tmp_path)).catalogue(), tmp_path) == ["a/1.png", "linked/2.png"]


def test_several_roots_and_a_root_in_another(tmp_path):
    for name in ("a/images/1.png", "b/images/1.png", "b/images/deep/2.png"):
        photograph(tmp_path / name)
    roots = [str(tmp_path / "a/images"), str(tmp_path / "b/images")]
    source = FolderSource(roots)
    assert [item.source for item in source.catalogue().items] == ["a/images", "b/images", "b/images"]
    assert len(FolderSource([str(tmp_path / "b/images/deep"), roots[1]]).catalogue().items) == 2
    assert len(FolderSource([roots[1], roots[1]]).catalogue().items) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"root": "{tmp}/nowhere/deep"}, r"no folder .*nowhere/deep; .* is the last folder .*; type dataset\.root=DIR"),
        ({"root": "{tmp}/some.txt"}, r"some\.txt is a file, not a folder; type dataset\.root="),
        (
            {"root": "{tmp}/texts"},
            r"no image to use in .*texts or below it; found 2 \.csv, 1 \.md; type dataset\.root=DIR",
        ),
        ({"root": "{tmp}/void"}, "found no file at all"),
        ({"root": "{tmp}/bad"}, r"found 1 \.png; 1 left out, the first: a\.png: it is empty"),
        ({"root": []}, r"no folder of images is named; type dataset\.root=DIR"),
        ({"root": "{tmp}/bad", "groups": "patient"}, r"dataset\.groups='patient' .* type one of auto, manifest"),
        ({"root": "{tmp}/bad", "groups": "manifest"}, r"no MANIFEST\.csv in .*bad or above it .*dataset\.groups=auto"),
        ({"root": "{tmp}/bad", "target_roles": ["natural"]}, "'natural' is in dataset.target_roles and in"),
    ],
)
def test_mistakes_are_one_line_with_a_remedy(tmp_path, arguments, message):
    (tmp_path / "some.txt").write_text("x")
    for folder in ("texts", "void", "bad"):
        (tmp_path / folder).mkdir()
    for name in ("texts/a.csv", "texts/b.csv", "texts/c.md", "bad/a.png"):
        (tmp_path / name).touch()
    filled = {
        key: value.replace("{tmp}", str(tmp_path)) if isinstance(value, str) else value
        for key, value in arguments.items()
    }
    with pytest.raises(MedrestoreError, match=message) as caught:
        FolderSource(**filled).catalogue()
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open every folder")
def test_a_closed_folder_is_listed(tmp_path):
    photograph(tmp_path / "a/1.png")
    photograph(tmp_path / "b/1.png")
    (tmp_path / "b").chmod(0)
    try:
        assert "cannot be opened" in FolderSource(str(tmp_path)).catalogue().left_out[0].reason
    finally:
        (tmp_path / "b").chmod(0o755)


def test_images_masks_and_labels_are_read(tmp_path):
    photograph(tmp_path / "normal/images/a.png", 255)
    photograph(tmp_path / "polyp/images/a.png", 51)
    (tmp_path / "polyp/masks").mkdir()
    drawn = np.zeros((4, 5), np.uint8)
    drawn[1, 2:4] = 255
    Image.fromarray(drawn).save(tmp_path / "polyp/masks/a.png")
    source = FolderSource(str(tmp_path))
    without, with_mask = source.catalogue().items
    assert source.load(with_mask).pixels[0, 0, 0] == pytest.approx(0.2)
    assert source.load_mask(without) is None and source.load_degraded(without) is None
    mask = source.load_mask(with_mask)
    assert mask is not None and mask.dtype == torch.bool and tuple(mask.shape) == (1, 4, 5)
    assert mask.nonzero().tolist() == [[0, 1, 2], [0, 1, 3]]
    assert source.annotations(with_mask) == {"label": "polyp"}


@pytest.mark.parametrize(
    ("values", "marked"), [((0, 1), [0, 1]), ((0, 255), [0, 1]), ((3, 250), [0, 1]), ((0, 0), [0, 0])]
)
def test_masks_of_ones_and_of_255_mark_the_same(tmp_path, values, marked):
    photograph(tmp_path / "images/a.png", size=(2, 1))
    (tmp_path / "masks").mkdir()
    Image.fromarray(np.array([values], np.uint8)).save(tmp_path / "masks/a.png")
    source = FolderSource(str(tmp_path))
    mask = source.load_mask(source.catalogue().items[0])
    assert mask is not None and mask[0, 0].int().tolist() == marked


def test_a_mask_of_another_size_is_left_out(tmp_path):
    photograph(tmp_path / "images/a.png")
    photograph(tmp_path / "masks/a.png", size=(4, 4))
    catalogue = FolderSource(str(tmp_path)).catalogue()
    assert catalogue.items[0].mask is None
    assert catalogue.left_out[0].reason == "mask left out: a.png has 4 x 4 pixels, a.png has 5 x 4"


def test_the_size_of_a_turned_photograph_is_the_one_that_is_read(tmp_path):
    (tmp_path / "images").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    Image.new("RGB", (6, 4)).save(tmp_path / "images/a.jpg", exif=exif)
    photograph(tmp_path / "masks/a.png", size=(4, 6))
    source = FolderSource(str(tmp_path))
    item = source.catalogue().items[0]
    mask = source.load_mask(item)
    assert mask is not None and mask.shape[1:] == source.load(item).pixels.shape[1:] == (6, 4)


def test_pairs_match_by_path_then_by_name(tmp_path):
    for name in ("p01/1.png", "p01/2.png", "p02/1.png", "p03/only.png", "p03/odd.png", "p03/lonely.png"):
        photograph(tmp_path / "sharp" / name, 200)
    for name in ("p01/1.png", "p01/2.jpg", "p02/1.png", "elsewhere/only.png", "spare.png"):
        photograph(tmp_path / "blurred" / name, 100)
    photograph(tmp_path / "blurred/p03/odd.png", 100, size=(9, 4))
    source = FolderPairs(degraded=str(tmp_path / "blurred"), target=str(tmp_path / "sharp"))
    catalogue = source.catalogue()
    assert files_of(catalogue, tmp_path / "sharp") == ["p01/1.png", "p01/2.png", "p02/1.png", "p03/only.png"]
    partners = [item.degraded.relative_to(tmp_path / "blurred").as_posix() for item in catalogue.items if item.degraded]
    assert partners == ["p01/1.png", "p01/2.jpg", "p02/1.png", "elsewhere/only.png"]
    assert [item.group for item in catalogue.items] == ["p01", "p01", "p02", "p03"]
    reasons = {entry.path.name: entry.reason for entry in catalogue.left_out}
    assert set(reasons) == {"spare.png", "odd.png", "lonely.png"}
    assert "odd.png has 9 x 4 pixels, odd.png has 5 x 4" in reasons["odd.png"]
    assert "no image in" in reasons["spare.png"] and "no image in" in reasons["lonely.png"]
    degraded = source.load_degraded(catalogue.items[0])
    assert degraded is not None and degraded.pixels[0, 0, 0] == pytest.approx(100 / 255)
    assert source.load(catalogue.items[0]).pixels[0, 0, 0] == pytest.approx(200 / 255)


def test_pairs_without_one_match_are_refused(tmp_path):
    photograph(tmp_path / "sharp/a.png")
    photograph(tmp_path / "blurred/b.png")
    with pytest.raises(MedrestoreError, match=r"no pair: 1 images in .*sharp, 1 in .*blurred.*dataset\.degraded=DIR"):
        FolderPairs(str(tmp_path / "blurred"), str(tmp_path / "sharp")).catalogue()
    shutil.rmtree(tmp_path / "blurred")
    with pytest.raises(MedrestoreError, match=r"there is no folder .*blurred"):
        FolderPairs(str(tmp_path / "blurred"), str(tmp_path / "sharp")).catalogue()
