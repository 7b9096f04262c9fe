import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from medrestore.data.phantoms import CervixPhantom
from medrestore.errors import MedrestoreError


def phantom(patients: int = 6, images_per_patient: int = 2, size: int = 96, data_seed: int = 0) -> CervixPhantom:
    return CervixPhantom(patients, images_per_patient, size, data_seed)


def pixels(source: CervixPhantom, index: int) -> torch.Tensor:
    return source.load(source.catalogue().items[index]).pixels


def test_catalogue_keeps_the_contract():
    catalogue = phantom(patients=12, images_per_patient=3).catalogue()
    items = catalogue.items
    assert len(items) == 36
    assert catalogue.left_out == () and catalogue.notes == ()
    assert len({item.key for item in items}) == 36
    assert all(re.fullmatch("[0-9a-f]{12}", item.key) for item in items)
    groups = [item.group for item in items]
    assert len(set(groups)) == 12 and all(groups.count(group) == 3 for group in groups)
    assert {(item.role, item.source, item.split, item.path) for item in items} == {
        ("target", "cervix_phantom", "", None)
    }


def test_no_key_tells_the_patient():
    items = phantom(patients=300, images_per_patient=2, data_seed=5).catalogue().items
    assert not any(item.group in item.key or item.group.removeprefix("patient") in item.key for item in items)
    by_patient = {}
    for item in items:
        by_patient.setdefault(item.group, []).append(item.key)
    shared = [sum(a == b for a, b in zip(*keys, strict=True)) for keys in by_patient.values()]
    assert np.mean(shared) == pytest.approx(12 / 16, abs=0.2)  # two keys of a patient agree by chance only


def test_labels_hold_for_the_patient_and_half_are_abnormal():
    items = phantom(patients=20, images_per_patient=3).catalogue().items
    labels = {item.group: item.label for item in items}
    assert all(item.label == labels[item.group] for item in items)
    assert list(labels.values()).count("abnormal") == list(labels.values()).count("normal") == 10
    order = list(labels.values())
    assert order != ["abnormal", "normal"] * 10 and order != ["normal", "abnormal"] * 10


def test_image_is_a_photograph_on_8_bit_levels():
    source = phantom()
    item = source.catalogue().items[0]
    image = source.load(item)
    assert image.pixels.shape == (3, 96, 96) and image.pixels.dtype == torch.float32
    assert image.pixels.min() >= 0 and image.pixels.max() <= 1
    assert torch.equal(image.pixels, (image.pixels * 255).round() / 255)
    assert (image.unit, image.group, image.spacing, image.window, image.mask) == (
        "intensity",
        item.group,
        None,
        None,
        None,
    )
    assert image.metadata["format"] == "phantom" and image.metadata["bits"] == 8
    assert source.load_degraded(item) is None and source.load_mask(item) is None


def test_image_depends_on_nothing_but_seed_patient_and_image():
    few, many = phantom(patients=2, images_per_patient=1), phantom(patients=6, images_per_patient=2)
    pixels(many, 7)  # what was drawn before does not matter
    assert torch.equal(pixels(few, 1), pixels(many, 2))
    assert few.catalogue().items[1] == many.catalogue().items[2]


def test_seeds_patients_and_images_differ():
    first = pixels(phantom(), 0)
    for other in (pixels(phantom(data_seed=1), 0), pixels(phantom(), 1), pixels(phantom(), 2)):
        assert (first - other).abs().mean() > 0.01
    assert phantom().catalogue().items[0].key != phantom(data_seed=1).catalogue().items[0].key


def test_boxes_are_tight_around_the_parts_of_the_lesion_mask():
    source = phantom(patients=10)
    for item in source.catalogue().items:
        truth = source.annotations(item)
        mask, boxes = truth["lesion_mask"], truth["boxes"]
        assert mask.shape == (1, 96, 96) and mask.dtype == torch.bool
        assert boxes.shape[1:] == (4,) and boxes.dtype == torch.float32
        assert truth["label"] == item.label == ("abnormal" if len(boxes) else "normal")
        parts, count = ndimage.label(mask[0], structure=np.ones((3, 3)))
        expected = []
        for part in range(1, count + 1):
            rows, columns = np.nonzero(parts == part)
            expected.append([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        assert sorted(boxes.tolist()) == sorted(expected)
        assert boxes.numel() == 0 or (boxes.min() >= 0 and boxes.max() <= 96)


def test_lesions_are_whiter_than_their_surroundings():
    source = phantom(patients=8, images_per_patient=1)
    for item in source.catalogue().items:
        mask = source.annotations(item)["lesion_mask"][0].numpy()
        if not mask.any():
            continue
        ring = ndimage.binary_dilation(mask, iterations=5) & ~ndimage.binary_dilation(mask, iterations=1)
        red, green, _ = source.load(item).pixels.numpy()
        redness = (red - green) / (red + green + 1e-3)
        assert redness[mask].mean() < redness[ring].mean() - 0.02


def test_images_of_a_patient_share_the_anatomy():
    source = phantom(patients=6, images_per_patient=2, size=128)
    flat = [ndimage.gaussian_filter(pixels(source, i).numpy(), (0, 6, 6)) for i in range(12)]
    distance = np.array([[np.square(a - b).mean() for b in flat] for a in flat])
    same = np.kron(np.eye(6), np.ones((2, 2))) > 0
    assert distance[same & ~np.eye(12, dtype=bool)].mean() < 0.5 * distance[~same].mean()


def test_pictures_are_sharp_and_not_noise():
    """A small blur costs detail, and more of it lies in structure than in the finest scale, as in a focused photograph."""
    source = phantom(patients=4, images_per_patient=1, size=256)
    for index in range(4):
        picture = pixels(source, index).numpy().astype(np.float64)
        blurred = ndimage.gaussian_filter(picture, (0, 0.95, 0.95))
        assert 29 < -10 * np.log10(np.square(picture - blurred).mean()) < 38
        window = np.outer(np.hanning(256), np.hanning(256))
        power = np.square(np.abs(np.fft.fft2((picture[1] - picture[1].mean()) * window)))
        frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.fftfreq(256)[None])
        coarse, middle, fine = (power[(frequency >= low) & (frequency < 2 * low)].mean() for low in (0.03, 0.09, 0.27))
        assert coarse > 3 * middle > 9 * fine  # amplitude falls about as 1 / frequency
        assert fine > 50 * window.sum() ** 2 / window.size * (0.5 / 255) ** 2 / window.size  # far above sensor noise


@pytest.mark.parametrize("size", [64, 97])
def test_any_size_from_64(size):
    source = phantom(size=size)
    assert pixels(source, 3).shape == (3, size, size)


@pytest.mark.parametrize("argument", [{"patients": 0}, {"images_per_patient": 0}, {"size": 63}])
def test_numbers_too_small_are_refused(argument):
    with pytest.raises(MedrestoreError, match=f"{next(iter(argument))} is too small .*at least"):
        phantom(**argument)


def test_a_foreign_item_is_refused():
    source = phantom()
    with pytest.raises(MedrestoreError, match="no image with key 000000000000 in cervix_phantom"):
        source.load(replace(source.catalogue().items[0], key="0" * 12))
