"""MANIFEST.csv: rows below the root, roles, masks, real pairs, groups that are none."""

import csv
from pathlib import Path

import pytest
from PIL import Image

from medrestore.data.folders import FolderSource
from medrestore.data.splits import split_items
from medrestore.errors import MedrestoreError

PACK = Path(__file__).parents[3] / "shared/data"


def photograph(path, size=(5, 4)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, len(path.name)).save(path)


def manifest(root, *rows, columns=("file", "role", "group", "label", "dataset"), files=True):
    """Write a manifest, and a small image for every row."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / "MANIFEST.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
    if files:
        for row in rows:
            photograph(root / row[0])


def names(catalogue):
    return [item.path.name for item in catalogue.items]


def test_columns_become_items_and_other_roles_are_counted(tmp_path):
    manifest(
        tmp_path,
        ("x/1.png", "sharp", "p1", "nevus", "ISIC"),
        ("x/2.png", "blurry_cataract", "p2", "", "CSDI"),
        ("x/3.png", "soft", "p3", "", "HRF"),
        ("x/4.png", "soft", "p3", "", "HRF"),
        ("x/5.png", "target", "", "", ""),
        ("x/6.png", "", "p6", "", "HRF"),
    )
    catalogue = FolderSource(str(tmp_path)).catalogue()
    found = [(item.path.name, item.role, item.group, item.label, item.source) for item in catalogue.items if item.path]
    assert found == [
        ("1.png", "target", "p1", "nevus", "ISIC"),
        ("2.png", "source", "p2", "", "CSDI"),
        ("5.png", "target", catalogue.items[2].key, "", tmp_path.name),
        ("6.png", "target", "p6", "", "HRF"),
    ]
    assert catalogue.left_out == ()
    assert catalogue.notes[0] == "2 files of role 'soft' left out"
    assert catalogue.notes[1].startswith("patients unknown for 1 of 4 files")


def test_roles_are_the_users_choice(tmp_path):
    manifest(tmp_path, ("1.png", "sharp", "a", "", ""), ("2.png", "soft", "b", "", ""))
    catalogue = FolderSource(str(tmp_path), target_roles=["soft"], source_roles=["sharp"]).catalogue()
    assert [item.role for item in catalogue.items] == ["source", "target"]


def test_the_manifest_may_lie_above_and_only_rows_below_the_root_count(tmp_path):
    manifest(tmp_path, ("in/ü (1).png", "sharp", "p1", "", ""), ("out/2.png", "sharp", "p2", "", ""))
    photograph(tmp_path / "in/new.png")
    (tmp_path / "link").symlink_to(tmp_path / "in", target_is_directory=True)
    for root in ("in", "link"):
        catalogue = FolderSource(str(tmp_path / root)).catalogue()
        assert names(catalogue) == ["ü (1).png"]
        assert [(entry.path.name, entry.reason) for entry in catalogue.left_out] == [("new.png", "not in MANIFEST.csv")]


def test_missing_files_are_listed(tmp_path):
    manifest(tmp_path, *((name, "sharp", "p", "", "") for name in ("1.png", "2.png", "3.txt")), files=False)
    photograph(tmp_path / "1.png")
    (tmp_path / "3.txt").write_text("text")
    left_out = FolderSource(str(tmp_path)).catalogue().left_out
    assert [(entry.path.name, entry.reason) for entry in left_out] == [
        ("2.png", "listed in MANIFEST.csv but missing"),
        ("3.txt", "no image by its name"),
    ]


def test_masks_go_to_the_image_of_their_group_and_name(tmp_path):
    manifest(
        tmp_path,
        ("images/a.png", "sharp", "p1", "", "K"),
        ("masks/a.png", "mask", "p1", "", "K"),
        ("images/b.png", "sharp", "p2", "", "K"),
        ("masks/b.png", "mask", "p1", "", "K"),
        ("more/a.png", "mask", "p1", "", "K"),
    )
    catalogue = FolderSource(str(tmp_path)).catalogue()
    assert [item.mask for item in catalogue.items] == [tmp_path / "masks/a.png", None]
    assert catalogue.notes == (
        "1 images have more than one mask file; the first by name is taken",
        "1 masks left out: no image that is used has their group and name",
    )


def test_a_column_degraded_makes_real_pairs(tmp_path):
    columns = ("file", "role", "group", "degraded")
    rows = [(f"sharp/{n}.png", "sharp", f"p{n}", f"blurred\\{n}.png") for n in range(4)]
    manifest(tmp_path, *rows, ("blurred/0.png", "degraded", "p0", ""), columns=columns)
    photograph(tmp_path / "blurred/1.png")
    photograph(tmp_path / "blurred/3.png", size=(6, 4))
    catalogue = FolderSource(str(tmp_path)).catalogue()
    assert [(item.path.name, item.degraded) for item in catalogue.items if item.path] == [
        ("0.png", tmp_path / "blurred/0.png"),
        ("1.png", tmp_path / "blurred/1.png"),
    ]
    assert [entry.path.name for entry in catalogue.left_out] == ["2.png", "3.png"]
    assert "2.png is missing" in catalogue.left_out[0].reason
    assert catalogue.left_out[1].reason.endswith("3.png has 6 x 4 pixels, 3.png has 5 x 4")


def test_an_official_split_needs_a_train_and_a_test_part(tmp_path):
    columns = ("file", "group", "split")
    manifest(tmp_path, ("1.png", "a", "Training"), ("2.png", "b", "test"), ("3.png", "c", ""), columns=columns)
    assert [item.split for item in FolderSource(str(tmp_path)).catalogue().items] == ["train", "test", ""]
    manifest(tmp_path, ("1.png", "a", "train"), ("2.png", "b", "val"), ("3.png", "c", ""), columns=columns)
    assert [item.split for item in FolderSource(str(tmp_path)).catalogue().items] == ["", "", ""]


def test_groups_that_are_only_the_classes_are_not_used(tmp_path):
    rows = [
        (f"{kind}/{n}.png", "sharp", f"brain_{kind}", kind, "B") for kind in ("glioma", "healthy") for n in range(3)
    ]
    manifest(tmp_path, *rows)
    catalogue = FolderSource(str(tmp_path)).catalogue()
    assert len({item.group for item in catalogue.items}) == 6
    assert catalogue.notes[0] == "B: the groups in MANIFEST.csv are only the classes and are not used"
    assert catalogue.notes[1].startswith("patients unknown: every image is its own group")
    one_class = FolderSource(str(tmp_path / "glioma")).catalogue()
    assert len({item.group for item in one_class.items}) == 3
    kept = FolderSource(str(tmp_path), groups="manifest").catalogue()
    assert {item.group for item in kept.items} == {"brain_glioma", "brain_healthy"}


@pytest.mark.parametrize("labels", [("soft", "sharp"), ("", ""), ("kernel", "kernel")])
def test_two_real_patients_stay_whole(tmp_path, labels):
    rows = [(f"{p}/{n}.png", "sharp", f"case_{p}", labels[p], "") for p in range(2) for n in range(3)]
    manifest(tmp_path, *rows)
    catalogue = FolderSource(str(tmp_path)).catalogue()
    assert {item.group for item in catalogue.items} == {"case_0", "case_1"}
    with pytest.raises(
        MedrestoreError, match=r"needs 3 patients or scenes, found 2 in 6 images; .*dataset\.groups=item"
    ):
        split_items(catalogue.items)


@pytest.mark.parametrize(("labels", "groups"), [(("k1", "k2", "k3"), 3), (("glioma", "healthy", "meningioma"), 6)])
def test_three_groups_named_like_labels_are_believed_where_the_labels_have_numbers(tmp_path, labels, groups):
    rows = [(f"{kind}{n}.png", "sharp", f"set {kind}", kind, "") for kind in labels for n in range(2)]
    manifest(tmp_path, *rows)
    catalogue = FolderSource(str(tmp_path)).catalogue()
    assert len({item.group for item in catalogue.items}) == groups
    if groups == 3:
        assert catalogue.notes == ("MANIFEST.csv: the groups look like classes; if they are, type dataset.groups=item",)
    else:
        assert catalogue.notes[0] == "MANIFEST.csv: the groups in MANIFEST.csv are only the classes and are not used"


def test_labels_and_groups_may_come_from_the_folders_instead(tmp_path):
    manifest(tmp_path, ("p1/images/1.png", "sharp", "x", "nevus", ""))
    item = FolderSource(str(tmp_path), groups="folder", labels="folder").catalogue().items[0]
    assert (item.group, item.label) == ("p1", "p1")
    assert FolderSource(str(tmp_path), labels="none").catalogue().items[0].label == ""


def test_semicolons_and_a_byte_order_mark_are_read(tmp_path):
    photograph(tmp_path / "1.png")
    (tmp_path / "MANIFEST.csv").write_text("file;group\n./1.png; p1\n\n", encoding="utf-8-sig")
    assert FolderSource(str(tmp_path)).catalogue().items[0].group == "p1"


def test_a_manifest_without_its_column_is_refused_in_the_root_and_ignored_above(tmp_path):
    photograph(tmp_path / "in/1.png")
    (tmp_path / "MANIFEST.csv").write_text("item,price\nscrew,3\n")
    assert names(FolderSource(str(tmp_path / "in")).catalogue()) == ["1.png"]
    with pytest.raises(MedrestoreError, match=r"MANIFEST\.csv has no column file; its first line has: item, price"):
        FolderSource(str(tmp_path)).catalogue()
    (tmp_path / "MANIFEST.csv").write_bytes("file\nü.png\n".encode("latin-1"))
    with pytest.raises(MedrestoreError, match=r"no UTF-8 text .*; save it as CSV UTF-8"):
        FolderSource(str(tmp_path)).catalogue()


@pytest.mark.skipif(not PACK.is_dir(), reason="the image pack is not here")
@pytest.mark.parametrize(
    ("folder", "images", "groups", "masks"),
    [
        ("cervix_proxy", 139, 139, 67),
        ("fundus", 92, 63, 38),
        ("ct", 200, 7, 0),
        ("street", 50, 20, 0),
        ("brain/figshare_t1ce", 200, 200, 0),
    ],
)
def test_the_image_pack(folder, images, groups, masks):
    catalogue = FolderSource(str(PACK / folder)).catalogue()
    assert len(catalogue.items) == images
    assert len({item.group for item in catalogue.items}) == groups
    assert sum(item.mask is not None for item in catalogue.items) == masks
    assert catalogue.left_out == ()
