"""The sheet shows what lies on both sides of the threshold, the histogram where it lies."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from medrestore.data.phantoms.generated import generated_item
from medrestore.data.screened import Look
from medrestore.evaluation.screening_pictures import PER_ROW, chosen, contact_sheet, histogram


def looks(count: int) -> list[Look]:
    return [Look(generated_item(f"{n:02d}", "g", "c"), (8, 8), float(n)) for n in range(count)]


def decoded(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def test_rows_are_the_extremes_and_what_is_next_to_the_threshold() -> None:
    found = dict(chosen(looks(40)[::-1], {f"{n:02d}" for n in range(20)}))
    scores = {title: [look.score for look in row] for title, row in found.items()}
    assert scores == {
        "dropped, lowest scores": [*range(6)],
        "dropped, highest scores": [*range(14, 20)],
        "kept, lowest scores": [*range(20, 26)],
        "kept, highest scores": [*range(34, 40)],
    }


@pytest.mark.parametrize("dropped", [0, 3, 6, 8])
def test_no_image_is_shown_twice(dropped: int) -> None:
    rows = chosen(looks(12), {f"{n:02d}" for n in range(dropped)})
    shown = [look.item.key for _, row in rows for look in row]
    assert len(shown) == len(set(shown)) and all(0 < len(row) <= PER_ROW for _, row in rows)
    assert len(shown) == 12 and len(rows) == {0: 2, 3: 3, 6: 2, 8: 3}[dropped]


def test_the_sheet_has_every_image_in_its_place() -> None:
    grey = torch.full((1, 300, 200), 0.5)
    red = torch.tensor([1.0, 0.0, 0.0])[:, None, None].expand(3, 50, 50)
    sheet = decoded(contact_sheet([("one", [("0.1\nkey", grey)]), ("two", [("0.2\nkey", red)] * 2)]))
    half = sheet.shape[0] // 2
    reddish = (sheet == [255, 0, 0]).all(axis=2)
    assert not reddish[:half].any() and len(np.flatnonzero(np.diff(reddish[half:].any(axis=0).astype(int)))) == 4
    middle = (abs(sheet - 128) <= 1).all(axis=2)
    ys, xs = np.nonzero(middle[:half])
    assert np.ptp(ys) > 1.4 * np.ptp(xs) and not (middle[half:].sum(axis=0) > 100).any()


def test_the_threshold_is_a_line_between_the_bars() -> None:
    drawn = decoded(histogram({"train": [1.0] * 8, "val": [], "test": [3.0] * 8}, 2.0, "kept: above"))
    blue, green, line = ((drawn == colour).all(axis=2) for colour in ([0, 114, 178], [0, 158, 115], [213, 94, 0]))
    at = np.flatnonzero(line.sum(axis=0) > 0.5 * line.sum(axis=0).max())
    bars = [np.flatnonzero(bar.sum(axis=0) > 100) for bar in (blue, green)]
    assert bars[0].max() < at.min() and at.max() < bars[1].min()
    assert abs((bars[0].mean() + bars[1].mean()) / 2 - at.mean()) < 6


def test_equal_scores_can_be_drawn() -> None:
    assert decoded(histogram({"train": [0.0, 0.0], "test": []}, 0.0, "")).shape == (400, 760, 3)
