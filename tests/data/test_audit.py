"""The audit: what is counted, and what is told."""

import numpy as np
from PIL import Image

from medrestore.data.audit import Count, audit
from medrestore.data.catalogue import Item, hashed_group
from medrestore.data.folders import FolderSource


def collection(root):
    """Six photographs of three patients; one cut short, two equal, one constant, one of 16 bits."""
    random = np.random.default_rng(0)
    for patient in (1, 2, 3):
        (root / f"p{patient}").mkdir(parents=True)
        for n in (1, 2):
            pixels = random.integers(0, 200, (8, 10, 3), dtype=np.uint8)
            pixels[0, 0] = patient, 0, 255 if patient == 3 else 200
            Image.fromarray(pixels).save(root / f"p{patient}/{n}.png")
    whole = (root / "p1/2.png").read_bytes()
    (root / "p1/2.png").write_bytes(whole[: len(whole) // 2])
    Image.new("L", (6, 4), 51).save(root / "p2/1.png")
    Image.fromarray(np.full((4, 6), 1000, np.uint16) + np.arange(6, dtype=np.uint16)).save(root / "p2/2.png")
    (root / "p3/2.png").write_bytes((root / "p3/1.png").read_bytes())
    (root / "p3/empty.png").touch()
    return FolderSource(str(root))


def test_counts_and_findings(tmp_path):
    source = collection(tmp_path / "set")
    catalogue = source.catalogue()
    parts = ("train", "train", "val", "val", "test", "train")
    split = {item.key: part for item, part in zip(catalogue.items, parts, strict=True)}
    seen: list[Item] = []

    def progress(items):
        for item in items:
            seen.append(item)
            yield item

    found = audit(source, catalogue, split, progress)
    assert seen == list(catalogue.items)
    assert found.counts == (
        Count("train", "target", "set", "", 2, 2),
        Count("val", "target", "set", "", 2, 1),
        Count("test", "target", "set", "", 1, 1),
    )
    assert found.groups == {"train": 2, "val": 1, "test": 1}
    assert found.sizes == {(8, 10): 3, (4, 6): 2}
    assert found.bits == {8: 4, 16: 1} and found.channels == {1: 2, 3: 3}
    (values,) = found.values
    assert (values.unit, values.low, values.high) == ("intensity", 0.0, 1.0)
    assert (values.images, values.constant) == (5, 1)
    assert [entry.path.name for entry in found.left_out] == ["empty.png", "2.png"]
    assert not any(entry.reason.startswith("cannot read") for entry in found.left_out)
    assert found.identical == ((tmp_path / "set/p3/1.png", tmp_path / "set/p3/2.png"),)
    assert found.divided == (hashed_group("p3"),)


def test_lines_say_it_all_in_plain_text(tmp_path):
    source = collection(tmp_path / "set")
    catalogue = source.catalogue()
    lines = audit(source, catalogue, {catalogue.items[0].key: "train"}, iter).lines()
    assert lines[0] == "5 images: 1 train, 0 val, 0 test"
    assert lines[1] == "groups: 1 train, 0 val, 0 test"
    assert "  no part target set: 4 images, 2 groups" in lines
    assert "sizes (width x height): 10 x 8 (3), 6 x 4 (2)" in lines
    assert "channels: 1 (2), 3 (3); bits: 8 (4), 16 (1)" in lines
    assert "values of set: 0 to 1 intensity; 1 of 5 images are constant" in lines
    assert any(line.startswith("identical: ") and " = " in line for line in lines)
    assert any(line.startswith("left out: ") and "empty.png" in line for line in lines)
    assert not any("\n" in line for line in lines)


def test_long_lists_are_cut(tmp_path):
    (tmp_path / "set").mkdir()
    Image.new("L", (3, 2), 9).save(tmp_path / "set/good.png")
    for n in range(25):
        (tmp_path / f"set/{n}.png").touch()
    source = FolderSource(str(tmp_path / "set"))
    found = audit(source, source.catalogue(), {}, iter)
    assert len(found.left_out) == 25
    assert found.lines()[-1] == "and 15 more of these"
    assert sum(line.startswith("left out") for line in found.lines()) == 10
