"""Collections without a manifest: known layouts, patients and classes among folders, masks, official parts."""

import pytest
from PIL import Image

from medrestore.data.folders import FolderSource
from medrestore.data.listing import role_names
from medrestore.data.names import is_class_map, is_mask, partner_key, split_name


def photograph(path, size=(5, 4)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (len(path.parts), 1, 2)).save(path)


def make(root, *names):
    for name in names:
        photograph(root / name)


def table(root, **source):
    """What the catalogue says, by path relative to the root."""
    catalogue = FolderSource(str(root), **source).catalogue()
    return {item.path.relative_to(root).as_posix(): item for item in catalogue.items if item.path}, catalogue


@pytest.mark.parametrize("scores", ["3\n7\n", "score\n3\n7\n", "case;score\n2;7\n1;3\n"])
def test_annocerv(tmp_path, scores):
    for case in (1, 2):
        for k in (1, 2):
            photograph(tmp_path / f"dataset/Case {case}/C{case}Aceto ({k}).jpg")
        drawn = Image.new("RGBA", (5, 4), (0, 0, 0, 0))
        drawn.putpixel((3, 1), (128, 0, 128, 255))
        drawn.save(tmp_path / f"dataset/Case {case}/C{case}Aceto (1).png")
    make(tmp_path, "dataset/Case 1/C1Iod (1).jpg", "dataset/Case 1/C1Green (1).jpg", "dataset/Case 1/C1Iod (2).jpg")
    make(tmp_path, "dataset/Case 2/C2Aceto (9).png", "cover.jpg")
    (tmp_path / "dataset/swede_scores.csv").write_text(scores)
    items, catalogue = table(tmp_path)
    assert [(name, item.group, item.label) for name, item in items.items()] == [
        ("dataset/Case 1/C1Aceto (1).jpg", "annocerv case 1", "swede=3"),
        ("dataset/Case 1/C1Aceto (2).jpg", "annocerv case 1", "swede=3"),
        ("dataset/Case 2/C2Aceto (1).jpg", "annocerv case 2", "swede=7"),
        ("dataset/Case 2/C2Aceto (2).jpg", "annocerv case 2", "swede=7"),
    ]
    assert catalogue.notes == (
        "AnnoCerv: 2 iodine and 1 green-filter images left out",
        "AnnoCerv: 1 annotations left out: their photograph is not there",
        "AnnoCerv: 1 images with other names left out",
    )
    first = catalogue.items[0]
    assert first.mask == tmp_path / "dataset/Case 1/C1Aceto (1).png" and catalogue.items[1].mask is None
    mask = FolderSource(str(tmp_path)).load_mask(first)
    assert mask is not None and mask.nonzero().tolist() == [[0, 1, 3]]


@pytest.mark.parametrize("scores", [None, "a,b,c\n1,2,3\n", "high\nlow\n"])
def test_annocerv_without_readable_scores(tmp_path, scores):
    make(tmp_path, "Case 1/C1Aceto (1).jpg", "Case 2/C2Aceto (1).JPG")
    if scores is not None:
        (tmp_path / "swede_scores.csv").write_text(scores)
    items, catalogue = table(tmp_path)
    assert [item.label for item in items.values()] == ["", ""]
    assert "so no labels" in catalogue.notes[0]


def test_an_empty_annotation_marks_nothing(tmp_path):
    make(tmp_path, "Case 1/C1Aceto (1).jpg")
    Image.new("RGBA", (5, 4), (0, 0, 0, 0)).save(tmp_path / "Case 1/C1Aceto (1).png")
    source = FolderSource(str(tmp_path))
    mask = source.load_mask(source.catalogue().items[0])
    assert mask is not None and not mask.any()


def test_kaggle_cervix(tmp_path):
    make(
        tmp_path,
        *(f"train/Type_{t}/{n}.jpg" for t in (1, 2, 3) for n in (1, 2)),
        *(f"additional_Type_{t}_v2/Type_{t}/{n}.jpg" for t in (1, 2, 3) for n in (1, 5)),
        "test/1.jpg",
        "test_stg2/1.jpg",
    )
    (tmp_path / "train/Type_3/0.jpg").touch()
    (tmp_path / "removed_files.csv").write_text(
        "filename,old_label,new_label\n5.jpg,Type_2,remove\n2.jpg,Type_1,remove\n"
    )
    (tmp_path / "fixed_labels_v2.csv").write_text("filename,old_label,new_label\n..\\Type_1\\1.jpg,Type_1,Type_3\n")
    (tmp_path / "solution_stg1_release.csv").write_text("image_name,Type_1,Type_2,Type_3\n1.jpg,0,1,0\n")
    items, catalogue = table(tmp_path)
    assert len(items) == 12 and len({item.group for item in items.values()}) == 12
    # Numbers repeat between folders; a correction means the additional files where it can.
    assert items["additional_Type_1_v2/Type_1/1.jpg"].label == "Type_3"
    assert items["train/Type_1/1.jpg"].label == "Type_1"
    assert (items["test/1.jpg"].label, items["test_stg2/1.jpg"].label) == ("Type_2", "")
    assert (items["test/1.jpg"].split, items["test_stg2/1.jpg"].split) == ("test", "test")
    assert {item.split for name, item in items.items() if not name.startswith("test")} == {"train"}
    assert [(entry.path.relative_to(tmp_path).as_posix(), entry.reason) for entry in catalogue.left_out] == [
        ("additional_Type_2_v2/Type_2/5.jpg", "in removed_files.csv"),
        ("train/Type_1/2.jpg", "in removed_files.csv"),
        ("train/Type_3/0.jpg", "it is empty (0 bytes)"),
    ]
    assert catalogue.notes[0].startswith("patients unknown: every image is its own group")


@pytest.mark.parametrize(
    ("names", "groups", "labels"),
    [
        # folders named like patients
        (["p01/1.png", "p01/2.png", "p02/1.png", "p03/1.png"], ["p01", "p01", "p02", "p03"], [""] * 4),
        (
            ["case 1/images/1.png", "case 2/images/1.png", "case 3/images/1.png"],
            ["case 1", "case 2", "case 3"],
            [""] * 3,
        ),
        # visits belong to their patient
        (["p1/v1/a.png", "p1/v2/a.png", "p2/v1/a.png", "p3/v1/a.png"], ["p1", "p1", "p2", "p3"], [""] * 4),
        # a patient with images of two classes stays one group
        (
            ["normal/p1/a.png", "normal/p2/a.png", "polyp/p1/b.png", "polyp/p3/a.png"],
            ["p1", "p2", "p1", "p3"],
            ["normal", "normal", "polyp", "polyp"],
        ),
        # two centres are too few for groups, their patients are not the same
        (
            ["c1/p1/a.png", "c1/p2/a.png", "c2/p1/a.png", "c2/p3/a.png"],
            ["c1/p1", "c1/p2", "c2/p1", "c2/p3"],
            [""] * 4,
        ),
        # parts of a split are no groups
        (["train/p1/a.png", "train/p2/a.png", "test/p3/a.png"], ["p3", "p1", "p2"], [""] * 3),
        # classes are no groups
        (["abnormal/1.png", "normal/1.png", "unclear/1.png"], None, ["abnormal", "normal", "unclear"]),
        (["Grade 1/1.png", "Grade 2/1.png", "Grade 3/1.png"], None, ["Grade 1", "Grade 2", "Grade 3"]),
        (["0/1.png", "1/1.png", "2/1.png", "3/1.png"], None, ["0", "1", "2", "3"]),
        # nothing tells
        (["images/1.png", "images/2.png"], None, ["", ""]),
        (["p1/1.png", "p2/1.png"], None, ["", ""]),
    ],
)
def test_folders_are_patients_or_classes(tmp_path, names, groups, labels):
    make(tmp_path, *names)
    items, catalogue = table(tmp_path)
    assert [item.label for item in items.values()] == labels
    own = [item.key for item in catalogue.items]
    assert [item.group for item in items.values()] == (own if groups is None else groups)
    assert any(note.startswith("patients unknown") for note in catalogue.notes) == (groups is None)


def test_images_outside_the_patients_folders_are_their_own_groups(tmp_path):
    make(tmp_path, "p1/1.png", "p2/1.png", "p3/1.png", "loose.png")
    items, catalogue = table(tmp_path)
    assert items["loose.png"].group == items["loose.png"].key
    assert catalogue.notes[0].startswith("patients unknown for 1 of 4 files")


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (["test/1.png", "train/1.png", "val/1.png"], ["test", "train", "val"]),
        (["a/Testing Set/1.png", "a/b. Training Set/1.png"], ["test", "train"]),
        (["train/1.png", "validation/1.png"], ["", ""]),
        (["test/1.png", "val/1.png"], ["", ""]),
    ],
)
def test_official_parts(tmp_path, names, parts):
    make(tmp_path, *names)
    items, _ = table(tmp_path)
    assert [item.split for item in items.values()] == parts


def test_folders_name_roles(tmp_path):
    make(tmp_path, "clear/p1/1.png", "hazy/p2/1.png", "hazy/p1/1.png", "clear/p3/1.png")
    items, _ = table(tmp_path, source_roles=["hazy"])
    assert {name: (item.role, item.group, item.label) for name, item in items.items()} == {
        "clear/p1/1.png": ("target", "p1", ""),
        "clear/p3/1.png": ("target", "p3", ""),
        "hazy/p1/1.png": ("source", "p1", ""),
        "hazy/p2/1.png": ("source", "p2", ""),
    }
    roots, _ = table(tmp_path / "hazy", source_roles=["hazy"])
    assert {item.role for item in roots.values()} == {"source"}
    assert role_names(["Sharp"], ["x"]) == {"sharp": "target", "x": "source"}


def test_masks_are_attached_and_the_rest_is_counted(tmp_path):
    make(tmp_path, "images/a.png", "images/b.png", "masks/a.png", "masks/c.png", "labels/a.png", "b_mask.png")
    items, catalogue = table(tmp_path)
    masks = {name: item.mask.relative_to(tmp_path).as_posix() if item.mask else None for name, item in items.items()}
    assert masks == {"images/a.png": "masks/a.png", "images/b.png": "b_mask.png"}
    assert catalogue.notes[:2] == ("1 masks or labels left out: no image has their name", "1 label maps left out")


def test_files_beside_images_with_their_names_are_no_images(tmp_path):
    make(tmp_path, "hrf/images/1.jpg", "hrf/images/2.jpg", "hrf/vessels/1.png", "hrf/other/9.png")
    items, catalogue = table(tmp_path)
    assert list(items) == ["hrf/images/1.jpg", "hrf/images/2.jpg", "hrf/other/9.png"]
    assert catalogue.notes[0].startswith(
        "1 files left out: in vessels they have the names of files in the folder images"
    )


@pytest.mark.parametrize(
    ("name", "mask", "class_map"),
    [
        ("1st_manual/21_manual1.gif", True, False),
        ("DRIVE/training/mask/21_training_mask.gif", True, False),
        ("Image_01L_1stHO.png", True, False),
        ("train/Ground truth/1_A.png", True, False),
        ("A. Segmentation/1. Original Images/a. Training Set/IDRiD_01.jpg", False, False),
        ("A. Segmentation/2. All Segmentation Groundtruths/IDRiD_01_EX.tif", True, False),
        ("labels/sem_seg/colormaps/train/x.png", True, True),
        ("training/semantic/000000_10.png", True, True),
        ("kitti_semantic/images/000000_10.png", False, False),
        ("scan_seg.nii.gz", True, False),
        ("labels_trainid/1.png", True, True),
        ("unlabeled/masked ball.png", False, False),
        ("manuals/segment.png", False, False),
    ],
)
def test_mask_names(name, mask, class_map):
    assert (is_mask(name), is_class_map(name)) == (mask, class_map)


def test_names_that_belong_together():
    assert partner_key("train/images/A_1.jpg") == partner_key("train/masks/a_1_mask.PNG") == ("train", "a_1")
    assert partner_key("x/a.nii.gz") == partner_key("x/a_seg.nii.gz")
    assert partner_key("x/a.png") != partner_key("y/a.png")
    assert [split_name(name) for name in ("Training", "valid", "test_stg2", "tested", "train2")] == [
        "train",
        "val",
        "test",
        "",
        "",
    ]
