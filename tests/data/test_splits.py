"""Splits: whole groups, right sizes, stable, official lists, files, and no leaks."""

from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medrestore.data.catalogue import Item, hashed_group, item_key
from medrestore.data.identical import identical_files
from medrestore.data.splits import PARTS, SIZES, check_disjoint, read_split, split_items, split_unpaired, write_split
from medrestore.errors import MedrestoreError


def item(name, group, *, label="", source="s", split="", role="target", path=None):
    return Item(item_key("set", name), group, role, label, source, split, path, None, None, None)


def many(count, *, prefix="p", images=1, **more):
    """`images` images of each of `count` groups."""
    return [item(f"{prefix}{g}/{n}", f"{prefix}{g}", **more) for g in range(count) for n in range(images)]


def parts_of_groups(items, split):
    parts = defaultdict(set)
    for one in items:
        parts[one.group].add(split[one.key])
    return parts


def test_random_collections_are_divided_by_whole_groups_in_the_right_sizes():
    random = np.random.default_rng(7)
    for case in range(60):
        groups, most = int(random.integers(3, 60)), int(random.integers(1, 12))
        items = [
            item(
                f"{g}/{n}",
                f"g{g}",
                source=str(random.choice(["a", "b"])) if case % 2 else "a",  # a group in several strata
                label=str(random.integers(0, 1 + case % 7)),
                role="source" if random.random() < 0.1 else "target",
            )
            for g in range(groups)
            for n in range(random.integers(1, most + 1))
        ]
        split = split_items(items, SIZES, data_seed=case)
        assert split == split_items(items[::-1], SIZES, data_seed=case)
        assert split.keys() == {one.key for one in items}
        by_group = parts_of_groups(items, split)
        assert all(len(parts) == 1 for parts in by_group.values())
        assert {part for parts in by_group.values() for part in parts} == set(PARTS)
        largest = max(Counter(one.group for one in items).values())
        counts = Counter(split.values())
        for part in ("val", "test"):
            assert abs(counts[part] - SIZES[part] * len(items)) <= largest
        check_disjoint(items, split)


def test_equal_groups_give_exact_sizes():
    split = split_items(many(100, images=2), {"train": 0.6, "val": 0.1, "test": 0.3}, 0)
    assert Counter(split.values()) == {"train": 120, "val": 20, "test": 60}


def test_counts_are_numbers_of_images_and_the_rest_belongs_to_no_part():
    split = split_items(many(50, images=2), {"train": 40, "val": 10, "test": 20}, 0)
    assert Counter(split.values()) == {"train": 40, "val": 10, "test": 20}
    split = split_items(many(50, images=2), {"train": 0.5, "val": 10, "test": 40}, 0)
    assert Counter(split.values()) == {"train": 50, "val": 10, "test": 40}


def test_another_seed_is_another_split():
    items = many(40)
    splits = [split_items(items, SIZES, seed) for seed in range(4)]
    assert splits[0] == split_items(items, SIZES, 0)
    assert len({tuple(sorted(split.items())) for split in splits}) == 4


def test_small_strata_give_their_share_together():
    items = [one for n in range(40) for one in many(1, prefix=f"rare{n}-", label=f"rare{n}")]
    items += many(60, label="common")
    split = split_items(items, SIZES, 0)
    rare = Counter(split[one.key] for one in items if one.label != "common")
    common = Counter(split[one.key] for one in items if one.label == "common")
    assert rare == {"train": 28, "val": 6, "test": 6}
    assert common == {"train": 42, "val": 9, "test": 9}


@pytest.mark.parametrize("field", ["label", "source", "role"])
def test_every_stratum_is_divided(field):
    values = ("target", "source") if field == "role" else ("a", "b")
    items = many(20, prefix="x", **{field: values[0]}) + many(80, prefix="y", **{field: values[1]})
    split = split_items(items, SIZES, 3)
    assert Counter(split[one.key] for one in items[:20]) == {"train": 14, "val": 3, "test": 3}
    assert Counter(split[one.key] for one in items[20:]) == {"train": 56, "val": 12, "test": 12}


@pytest.mark.parametrize("labels", [1, 40])
def test_a_new_group_moves_no_more_than_the_sizes_demand(labels):
    items = [item(f"{g}", f"g{g}", label=str(g % labels)) for g in range(100)]
    before = split_items(items, SIZES, 0)
    moved = []
    for n in range(20):
        after = split_items([*items, item(f"new{n}", f"new{n}", label=str(n % labels))], SIZES, 0)
        moved.append(sum(after[one.key] != before[one.key] for one in items))
    assert max(moved) <= 4 and np.mean(moved) <= 2


def test_one_huge_group_leaves_something_for_every_part():
    items = many(1, prefix="huge", images=90) + many(2, prefix="small", images=5)
    split = split_items(items, SIZES, 0)
    assert Counter(split.values()) == {"train": 90, "val": 5, "test": 5}


@pytest.mark.parametrize("groups", [0, 1, 2])
def test_fewer_than_three_groups_are_refused(groups):
    with pytest.raises(
        MedrestoreError, match=rf"needs 3 .*found {groups} in {groups * 5} images; .*dataset\.groups=item"
    ):
        split_items(many(groups, images=5))


def test_three_groups_are_enough():
    for sizes in (SIZES, {"train": 0.02, "val": 0.49, "test": 0.49}):
        assert sorted(split_items(many(3), sizes, 1).values()) == sorted(PARTS)
        assert set(split_items(many(4), sizes, 1).values()) == set(PARTS)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        (
            {"train": 0.7, "val": 0.3, "test": 0.3},
            "ask for more than there is .train 0.7, val 0.3, test 0.3 of 10 images",
        ),
        ({"train": 5, "val": 5, "test": 5}, "ask for more than there is"),
        ({"train": 0.7, "val": 0, "test": 0.3}, r"size 0 of the val part .* type sampling\.split\.val=0.15"),
        ({"train": 0.7, "val": 0.3, "test": -1}, "size -1 of the test part"),
        ({"train": 7.5, "val": 0.3, "test": 0.1}, "size 7.5 of the train part"),
        ({"train": 0.7, "test": 0.3}, "has the sizes train, val, test, got train, test"),
    ],
)
def test_sizes_that_make_no_sense_are_refused(sizes, message):
    with pytest.raises(MedrestoreError, match=message):
        split_items(many(10), sizes, 0)


def test_official_lists_win_and_a_missing_val_is_cut_from_train():
    items = many(60, prefix="a", split="train") + many(40, prefix="b", split="test")
    split = split_items(items, {"train": 0.7, "val": 0.2, "test": 0.1}, 0)
    assert all(split[one.key] == "test" for one in items[60:])
    assert Counter(split[one.key] for one in items[:60]) == {"train": 40, "val": 20}
    with_val = [*items, *many(5, prefix="c", split="val")]
    split = split_items(with_val, SIZES, 0)
    assert Counter(split.values()) == {"train": 60, "val": 5, "test": 40}
    mixed = [*with_val, *many(100, prefix="free")]
    split = split_items(mixed, SIZES, 0)
    assert Counter(split[one.key] for one in with_val) == {"train": 60, "val": 5, "test": 40}
    assert Counter(split[one.key] for one in mixed[105:]) == {"train": 70, "val": 15, "test": 15}


def test_an_official_test_list_alone_leaves_training_and_validation_to_the_rest():
    pairs, rest = many(10, prefix="pair", split="test"), many(40, prefix="free")
    split = split_items([*pairs, *rest], {"train": 0.7, "val": 0.15, "test": 0.15}, 0)
    assert all(split[one.key] == "test" for one in pairs)
    found = Counter(split[one.key] for one in rest)
    assert found["val"] >= 1 and found["train"] > 20 and sum(found.values()) == 40


def test_an_official_list_that_divides_a_group_is_refused():
    items = [*many(3, split="train"), item("x", "p0", split="test")]
    with pytest.raises(MedrestoreError, match=r"divides a patient .* is in test, .* in train; .*sampling\.split\.file"):
        split_items(items)
    with pytest.raises(MedrestoreError, match="no validation part and 1 training"):
        split_items([*many(1, split="train"), *many(3, prefix="t", split="test")])


def test_a_split_is_written_whole_and_read_back(tmp_path):
    items = many(20, images=2, role="source") + many(5, prefix="ü")
    split = split_items(items, {"train": 20, "val": 5, "test": 5}, 0)
    path = write_split(tmp_path / "run/split.csv", items, split)
    assert read_split(path, items) == split
    lines = path.read_text().splitlines()
    used = [one for one in items if one.key in split]
    assert lines[0] == "key,group,role,split" and len(lines) == 1 + len(used) < 1 + len(items)
    assert lines[1] == f"{used[0].key},{hashed_group(used[0].group)},source,{split[used[0].key]}"
    assert [entry.name for entry in path.parent.iterdir()] == ["split.csv"]
    # What came later belongs to no part, what is gone is no mistake.
    assert read_split(path, [*items[:30], item("new", "new")]) == {
        k: split[k] for k in split if k in {i.key for i in items[:30]}
    }


def test_a_failed_write_leaves_the_old_split(tmp_path, monkeypatch):
    items = many(3)
    path = write_split(tmp_path / "split.csv", items, split_items(items))
    before = path.read_bytes()
    monkeypatch.setattr("medrestore.data.splits.hashed_group", lambda group: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_split(path, items, split_items(items))
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "table",
    [
        "file,split\na/1.png,train\nb/1.png,validation\nsome set/c/1.png,test\n",
        "group;split\nA;train\nB;val\nC;TEST\n",
        "split,file\ntrain,a\\1.png\nval,./b/1.png\ntest,c/1.png\nval,not here.png\n",
    ],
)
def test_a_users_own_table(tmp_path, table):
    root = Path("/data/some set")
    items = [item(g, g.upper(), path=root / g / "1.png") for g in "abc"]
    (tmp_path / "mine.csv").write_text(table)
    split = read_split(tmp_path / "mine.csv", items)
    assert [split[one.key] for one in items] == ["train", "val", "test"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("file,part\na/1.png,train\n", r"no column split; its first line has: file, part"),
        ("name,split\na/1.png,train\n", "no rows with a column key, file or group"),
        ("", "no column split; its first line has: nothing"),
        ("group,split\nA,holdout\n", "line 2: split 'holdout' is none of train, val, test"),
        ("group,split\nA,train\nA,test\n", "line 3: 'A' is in train and in test"),
        ("group,split\nZ,train\n", "none of its 1 rows names an image of this dataset by its group"),
        ("file,split\n1.png,train\n", r"line 2: '1\.png' fits 2 files; give more of their paths"),
    ],
)
def test_mistakes_in_a_users_table(tmp_path, table, message):
    items = [item(g, g.upper(), path=Path("/data") / g / "1.png") for g in "ab"]
    (tmp_path / "mine.csv").write_text(table)
    with pytest.raises(MedrestoreError, match=message):
        read_split(tmp_path / "mine.csv", items)


def test_a_divided_group_is_refused():
    items = many(2, images=2)
    split = {one.key: part for one, part in zip(items, ("train", "test", "val", "val"), strict=True)}
    with pytest.raises(MedrestoreError, match=f"in two parts: key {items[0].key} in train, key {items[1].key} in test"):
        check_disjoint(items, split)
    check_disjoint(items, {key: "train" for key in split})


def test_identical_files_across_parts_are_refused(tmp_path):
    content = np.random.default_rng(0).integers(0, 256, 20_000, dtype=np.uint8)
    other = content.copy()
    other[10_000] ^= 1  # the same size and the same ends
    files = {"a": content, "b": other, "c": content, "d": content[:-1]}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data.tobytes())
    items = [item(name, name, path=tmp_path / name) for name in files]
    assert identical_files(one.path for one in items) == [(tmp_path / "a", tmp_path / "c")]
    parts = ("train", "val", "train", "test")
    check_disjoint(items, {one.key: part for one, part in zip(items, parts, strict=True)})
    parts = ("train", "val", "test", "test")
    with pytest.raises(
        MedrestoreError, match=rf"the same file .*/a .* in train, .*/c \(key {items[2].key}\) in test; delete"
    ):
        check_disjoint(items, {one.key: part for one, part in zip(items, parts, strict=True)})
    assert identical_files([tmp_path / "a", tmp_path / "gone"]) == []


def test_every_part_of_an_unpaired_split_has_both_domains():
    sharp = many(40, prefix="sharp")
    veiled = [replace(one, role="source") for one in [*many(12, prefix="veiled"), *many(4, prefix="sharp")]]
    veiled = [replace(one, key=f"v{number}") for number, one in enumerate(veiled)]
    for seed in range(5):
        split = split_unpaired([*sharp, *veiled], {"train": 0.7, "val": 0.15, "test": 0.15}, seed)
        assert len(split) == 56
        for items in (sharp, veiled):
            assert {split[one.key] for one in items} == {"train", "val", "test"}
        groups = {one.group: split[one.key] for one in sharp}
        assert all(split[one.key] == groups[one.group] for one in veiled if one.group in groups)
