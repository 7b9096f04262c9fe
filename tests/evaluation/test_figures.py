from __future__ import annotations

import io
import math

import numpy as np
import pytest
import torch
from matplotlib._pylab_helpers import Gcf
from PIL import Image

from medrestore.evaluation.figures import (
    Box,
    box_plot,
    central_box,
    curves,
    kernel_sheet,
    maps,
    most_changed_box,
    paired_scatter,
    picture,
    strip,
)
from medrestore.evaluation.statistics import Score


def _decoded(data: bytes | None) -> np.ndarray:
    assert data is not None
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def _noise(height: int, width: int, channels: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.rand((channels, height, width), generator=torch.Generator().manual_seed(seed))


def _levels(image: torch.Tensor) -> np.ndarray:
    return np.rint(image.expand(3, -1, -1).permute(1, 2, 0).numpy() * 255).astype(np.uint8)


def _found(canvas: np.ndarray, part: np.ndarray) -> list[tuple[int, int]]:
    """Where `part` stands in `canvas`, pixel for pixel."""
    height, width = part.shape[:2]
    corners = np.argwhere((canvas == part[0, 0]).all(axis=2))
    return [(int(y), int(x)) for y, x in corners if np.array_equal(canvas[y : y + height, x : x + width], part)]


def test_most_changed_box_equals_a_slow_search():
    before, after = _noise(23, 31), _noise(23, 31, seed=1)
    change = (before - after).abs().mean(dim=0)
    sums = {(top, left): change[top : top + 7, left : left + 7].sum() for top in range(17) for left in range(25)}
    assert most_changed_box(before, after, 7) == Box(*max(sums, key=lambda corner: sums[corner]), 7, 7)


def test_boxes_stay_inside():
    image = torch.zeros(1, 20, 30)
    assert central_box(image, 8) == Box(6, 11, 8, 8)
    assert central_box(image, 64) == Box(0, 0, 20, 30)
    changed = image.clone()
    changed[0, 19, 29] = 1.0
    box = most_changed_box(image, changed, 8)
    assert box.top + box.height == 20 and box.left + box.width == 30
    assert most_changed_box(image, changed, 64) == Box(0, 0, 20, 30)


def test_strip_zooms_pixel_by_pixel():
    images = {name: _noise(60, 90, seed=seed) for seed, name in enumerate(["identity", "restored", "target"])}
    box = Box(10, 20, 26, 26)
    canvas = _decoded(strip(images, [box], {"restored": "33.12 dB"}))
    columns = []
    for image in images.values():
        crop = _levels(image)[10:36, 20:46].repeat(8, axis=0).repeat(8, axis=1)  # 216 // 26 = 8
        (place,) = _found(canvas, crop)
        columns.append(place)
    assert [x for _, x in columns] == sorted({x for _, x in columns})  # side by side in the order given
    assert len({y for y, _ in columns}) == 1


def test_strip_captions_are_drawn():
    images = {"identity": torch.ones(3, 40, 40), "restored": torch.ones(3, 40, 40)}
    with_caption = _decoded(strip(images, [], {"restored": "33.12 dB", "nobody": "0 dB"}))
    without = _decoded(strip(images, [], {}))
    changed = np.argwhere((with_caption != without).any(axis=2))
    assert len(changed) > 50
    assert changed[:, 1].min() > with_caption.shape[1] // 2  # under the second picture's name only


def test_strip_breaks_into_even_rows_and_stays_narrow():
    images = {f"m{i}": _noise(30, 30, 1, i) for i in range(8)}
    eight = _decoded(strip(images, [Box(0, 0, 30, 30)], {}))
    two = _decoded(strip(dict(list(images.items())[:2]), [Box(0, 0, 30, 30)], {}))
    assert eight.shape[0] == 2 * two.shape[0]
    assert two.shape[1] < eight.shape[1] <= 1108
    assert _decoded(strip({f"m{i}": _noise(30, 30) for i in range(10)}, [], {})).shape[1] <= 1108


def test_strip_enlarges_a_smaller_degraded_image():
    small, large = _noise(20, 20, 1), _noise(40, 40, 1, 1)
    canvas = _decoded(strip({"degraded": small, "target": large}, [Box(0, 0, 40, 40)], {}))
    assert len(_found(canvas, _levels(small).repeat(10, axis=0).repeat(10, axis=1))) == 1
    assert len(_found(canvas, _levels(large).repeat(5, axis=0).repeat(5, axis=1))) == 1


def test_strip_of_a_large_box_shows_its_corner_at_one_to_one():
    image = _noise(300, 400)
    canvas = _decoded(strip({"restored": image}, [Box(10, 20, 250, 250)], {}))
    assert len(_found(canvas, _levels(image)[10:226, 20:236])) == 1


def test_maps_share_one_scale():
    error, ssim = torch.zeros(1, 40, 40), torch.ones(40, 40)
    error[:, 10:30, 10:30] = 0.2
    same = _decoded(maps({"a": error, "b": error}, {"a": ssim, "b": ssim}))
    half = _decoded(maps({"a": error, "b": error / 2}, {"a": ssim, "b": 0.5 * ssim}))
    assert same.shape == half.shape
    height, width = same.shape[:2]
    left, right = (height // 4, (width - 90) // 4), (height // 4, 3 * (width - 90) // 4)
    assert np.array_equal(same[left], same[right])
    assert np.array_equal(same[left], half[left])  # the largest error keeps its colour
    assert not np.array_equal(half[left], half[right])  # and half of it has another
    below = (3 * height // 4, left[1]), (3 * height // 4, right[1])
    assert np.array_equal(same[below[0]], same[below[1]])
    assert half[below[0]].sum() > half[below[1]].sum()


def test_maps_of_a_broken_output_are_still_drawn():
    broken, whole = torch.full((1, 20, 20), math.nan), torch.full((1, 20, 20), 0.1)
    assert _decoded(maps({"a": whole, "b": broken}, {"a": whole, "b": broken})).size
    assert _decoded(maps({"b": broken}, {"b": broken})).size


def test_kernels_are_shown_at_one_pixel_size():
    delta, line = torch.ones(1, 1), torch.full((1, 9), 1 / 9)
    canvas = _decoded(kernel_sheet([delta, line], ["delta", "9 px"])).astype(int)
    bright = (canvas[..., 0] > 200) & (canvas[..., 2] < 120)  # the yellow end of the colour map
    first, second = np.argwhere(bright[:, :130]), np.argwhere(bright[:, 130:])
    one_pixel = np.ptp(first[:, 1]) + 1
    assert abs(one_pixel - np.ptp(first[:, 0]) - 1) <= 1
    assert (np.ptp(second[:, 1]) + 1) / one_pixel == pytest.approx(9, abs=1)
    assert first[:, 0].mean() == pytest.approx(second[:, 0].mean(), abs=1)  # centred


def test_curves_draw_the_mean_of_each_epoch(tmp_path):
    sparse = tmp_path / "metrics.csv"
    sparse.write_text(
        "epoch,lr-Adam,step,train/critic/penalty,train/generator/content,val/psnr\n"
        "0,,0,0.5,,\n0,,1,1.5,,\n0,,1,,90.0,\n0,0.1,1,,,30.0\n1,,2,0.5,,\n1,,3,,80.0,\n1,,3,,,31.0\n1,,3,nan,,inf\n"
    )
    dense = tmp_path / "dense.csv"
    dense.write_text(
        "epoch,step,train/critic/penalty,train/generator/content,val/psnr\n0,0,1.0,90.0,30.0\n1,1,0.5,80.0,31.0\n"
    )
    assert curves(sparse) == curves(dense)
    other = curves(sparse, keys=["val/psnr"])
    assert other is not None and _decoded(other).shape[1] < _decoded(curves(sparse)).shape[1]


def test_scores_of_training_images_stand_beside_those_of_validation(tmp_path):
    both = tmp_path / "metrics.csv"
    both.write_text("epoch,step,train/psnr,val/psnr\n0,0,31.0,30.0\n1,1,33.0,31.0\n2,2,34.0,30.5\n")
    alone = tmp_path / "alone.csv"
    alone.write_text("epoch,step,val/psnr\n0,0,30.0\n1,1,31.0\n2,2,30.5\n")
    drawn, single = _decoded(curves(both)), _decoded(curves(alone))
    assert drawn.shape == single.shape  # one panel
    orange, blue = (
        (abs(drawn.astype(int) - colour).max(axis=2) < 20).nonzero() for colour in ((213, 94, 0), (0, 114, 178))
    )
    assert orange[0].size > 100 and blue[0].size > 100
    assert orange[0].mean() < blue[0].mean()  # the training images' curve lies above


def test_step_and_epoch_columns_of_one_quantity_are_drawn_once(tmp_path):
    both = tmp_path / "metrics.csv"
    both.write_text("epoch,step,train/g/l1_step,train/g/l1_epoch\n0,0,9.0,\n0,1,,5.0\n1,2,3.0,\n1,3,,4.0\n")
    assert _decoded(curves(both)).shape == _decoded(curves(both, keys=["train/g/l1_epoch"])).shape


def test_no_curves_without_values(tmp_path):
    assert curves(tmp_path / "none.csv") is None
    empty = tmp_path / "metrics.csv"
    empty.write_text("epoch,step,val/psnr\n0,1,inf\n")
    assert curves(empty) is None


def test_score_plots():
    scores = [
        Score(method, f"k{i}", f"g{i}", "psnr", value + i)
        for method, value in (("identity", 30.0), ("restored", 33.0))
        for i in range(8)
    ]
    scores.append(Score("identity", "k9", "g9", "psnr", math.inf))
    kinds = {"identity": "reference", "restored": "learned"}
    rows = []
    for order in (kinds, dict(reversed(kinds.items()))):
        boxes = _decoded(box_plot(scores, order, "psnr")).astype(int)
        orange = (boxes[..., 0] > 200) & (boxes[..., 2] < 140)  # the learned row's dots
        assert orange.sum() > 8 * 5
        rows.append(orange.nonzero()[0].mean())
    assert rows[0] > rows[1] + 20  # from top to bottom as in `kinds`
    assert box_plot(scores, kinds, "ssim") is None
    scatter = _decoded(paired_scatter(scores, "restored", "identity", "psnr")).astype(int)
    dots = (scatter[..., 0] > 180) & (scatter[..., 1] < 160) & (scatter[..., 2] < 120)
    line = (abs(scatter - 119).max(axis=2) < 20).nonzero()
    assert dots.sum() > 8 * 10
    assert line[0].size > 0
    assert paired_scatter(scores, "restored", "absent", "psnr") is None


def test_picture_is_a_jpeg_of_limited_width():
    small = Image.open(io.BytesIO(picture(_noise(30, 50))))
    assert (small.format, small.size, small.mode) == ("JPEG", (50, 30), "RGB")
    grey = Image.open(io.BytesIO(picture(torch.full((1, 1000, 2000), 0.5))))
    assert (grey.size, grey.mode) == ((640, 320), "L")
    assert np.unique(np.asarray(grey)).tolist() == [128]


def test_no_global_matplotlib_state_is_left():
    kernel_sheet([torch.ones(3, 3) / 9], ["box $_{"])
    assert not Gcf.figs
