"""Where crops lie."""

import pytest
import torch

from medrestore.data.cutting import draw_offset


@pytest.mark.parametrize("part", [(0, 1), (3, 9), (0, 20), (19, 20), (2, 17), (6, 14)])
def test_a_crop_contains_the_part_or_lies_in_it(part: tuple[int, int]) -> None:
    size, crop = 20, 8
    random = torch.Generator().manual_seed(0)
    drawn = {draw_offset(size, crop, random, part) for _ in range(400)}
    possible = set(range(size - crop + 1))
    if part[1] - part[0] <= crop:
        right = {start for start in possible if start <= part[0] and part[1] <= start + crop}
    else:
        right = {start for start in possible if part[0] <= start and start + crop <= part[1]}
    assert drawn == right


def test_without_a_part_anywhere_and_small_images_in_the_middle() -> None:
    random = torch.Generator().manual_seed(0)
    assert {draw_offset(20, 8, random) for _ in range(400)} == set(range(13))
    assert draw_offset(9, 16, random, (2, 3)) == -3
