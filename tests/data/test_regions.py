"""What is marked in an image, by hand."""

import torch

from medrestore.data.regions import boxes_as_mask, marked_region, part_boxes


def test_a_mask_goes_before_boxes_and_nothing_marked_is_none() -> None:
    mask = torch.zeros(1, 6, 8, dtype=torch.bool)
    assert marked_region({}, 6, 8) is None and marked_region({"region": mask}, 6, 8) is None
    assert marked_region({"boxes": torch.zeros(0, 4)}, 6, 8) is None
    boxes = torch.tensor([[2.0, 1.0, 5.0, 3.0]])
    mask[0, 4, 7] = True
    found = marked_region({"region": mask, "boxes": boxes}, 6, 8)
    assert found is not None and torch.equal(found, mask)
    found = marked_region({"region": None, "boxes": boxes}, 6, 8)
    assert found is not None and found.nonzero().tolist() == [[0, r, c] for r in (1, 2) for c in (2, 3, 4)]
    assert marked_region({"region": mask}, 4, 8) is None  # what is marked was cut away


def test_boxes_are_rounded_outwards_and_cut_at_the_border() -> None:
    mask = boxes_as_mask(torch.tensor([[-3.0, 0.4, 1.2, 1.0], [6.9, 4.0, 20.0, 20.0], [-9.0, -9.0, -5.0, -5.0]]), 6, 8)
    assert mask.nonzero().tolist() == [[0, 0, 0], [0, 0, 1], [0, 4, 6], [0, 4, 7], [0, 5, 6], [0, 5, 7]]


def test_the_boxes_of_connected_parts() -> None:
    region = torch.zeros(1, 6, 8, dtype=torch.bool)
    region[0, 0, 0] = region[0, 1, 1] = True  # they touch at a corner
    region[0, 3:5, 4:8] = True
    assert part_boxes(region).tolist() == [[0, 0, 2, 2], [4, 3, 8, 5]]
    assert part_boxes(region & False).shape == (0, 4)
