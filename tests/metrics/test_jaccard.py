import math

import pytest
import torch
from torchmetrics.classification import MulticlassJaccardIndex

from medrestore.metrics import Jaccard, confusion, jaccard, jaccard_from, mean_jaccard

NAN = pytest.approx(math.nan, nan_ok=True)


def maps(images: int, classes: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(classes, (images, 13, 18), generator=generator)
    other = torch.randint(classes, target.shape, generator=generator)
    return torch.where(torch.rand(target.shape, generator=generator) < 0.3, other, target), target


def test_by_hand() -> None:
    target = torch.tensor([[[0, 0, 1, 1], [0, 0, 1, 255]]])
    preds = torch.tensor([[[0, 1, 1, 1], [0, 0, 0, 1]]])
    assert confusion(preds, target, 3).tolist() == [[[3, 1, 0], [1, 2, 0], [0, 0, 0]]]
    assert jaccard(preds, target, 3)[0].tolist() == [3 / 5, 2 / 4, NAN]
    assert mean_jaccard(preds, target, 3).tolist() == [pytest.approx(0.55)]


@pytest.mark.parametrize("ignored", [False, True])
def test_equals_torchmetrics_image_by_image(ignored: bool) -> None:
    preds, target = maps(4, 6)
    preds[1:][preds[1:] == 4] = 0
    target[1:][target[1:] == 4] = 1  # class 4 is absent in all but the first
    if ignored:
        target[:, :3] = 255
    found, mean = jaccard(preds, target, 6), mean_jaccard(preds, target, 6)
    assert found.shape == (4, 6) and mean.shape == (4,) and found.dtype == mean.dtype == torch.float64
    for i in range(4):
        each = MulticlassJaccardIndex(6, average="none", ignore_index=255)(preds[i : i + 1], target[i : i + 1])
        macro = MulticlassJaccardIndex(6, average="macro", ignore_index=255)(preds[i : i + 1], target[i : i + 1])
        present = [0, 1, 2, 3, 5] if i else list(range(6))
        assert found[i, present].tolist() == pytest.approx(each[present].tolist(), abs=1e-6)
        assert bool(found[i, 4].isnan()) == bool(i)
        assert float(mean[i]) == pytest.approx(float(macro), abs=1e-6)


def test_summed_matrices_give_the_whole_set() -> None:
    preds, target = maps(5, 3)
    total = confusion(preds[:2], target[:2], 3).sum(dim=0) + confusion(preds[2:], target[2:], 3).sum(dim=0)
    assert int(total.sum()) == target.numel()
    whole = MulticlassJaccardIndex(3, average="none")(preds, target)
    assert jaccard_from(total).tolist() == pytest.approx(whole.tolist(), abs=1e-6)


def test_rows_are_the_target() -> None:
    target, preds = torch.zeros(1, 2, 3, dtype=torch.int64), torch.ones(1, 2, 3, dtype=torch.int64)
    assert confusion(preds, target, 2).tolist() == [[[0, 6], [0, 0]]]


def test_masks() -> None:
    first = torch.zeros(4, 1, 4, 4, dtype=torch.bool)
    second = first.clone()
    first[0, :, :2] = True
    second[0, :, 1:3] = True
    first[1] = second[1] = True
    first[2, :, 0] = True  # against nothing
    assert jaccard(first, second).tolist() == [pytest.approx(1 / 3), 1.0, 0.0, NAN]
    assert jaccard(first[:, 0].to(torch.uint8), second[:, 0].to(torch.uint8)).tolist()[:2] == [
        pytest.approx(1 / 3),
        1.0,
    ]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_types_of_labels_do_not_matter(dtype: torch.dtype) -> None:
    preds, target = maps(2, 20)
    assert torch.equal(jaccard(preds.to(dtype), target.to(dtype), 20), jaccard(preds, target, 20))


def test_all_ignored_is_nothing() -> None:
    preds, target = maps(1, 3)
    assert mean_jaccard(preds, torch.full_like(target, 255), 3).tolist() == [NAN]
    assert torch.equal(
        jaccard(torch.full_like(preds, 7), torch.full_like(target, 7), 3, ignore=7).isnan().sum(), torch.tensor(3)
    )


def test_wrong_input_is_named() -> None:
    preds, target = maps(1, 3)
    with pytest.raises(ValueError, match=r"preds has labels 0 to 1 or 255, found 2"):
        jaccard(preds, target.clamp(max=1), 2)
    with pytest.raises(ValueError, match="target has labels 0 to 2 or 255, found -1"):
        jaccard(preds, torch.full_like(target, -1), 3)
    with pytest.raises(ValueError, match=r"preds holds labels, whole numbers, found torch.float32"):
        jaccard(preds.float(), target, 3)
    with pytest.raises(ValueError, match=r"\(1, 13, 18\) and \(1, 13, 17\)"):
        mean_jaccard(preds, target[..., 1:], 3)
    preds[0, 0, 0], target[0, 0, 0] = 99, 255
    assert torch.isfinite(jaccard(preds, target, 3)).all()  # what lies under an ignored pixel is free


def test_class_leaves_images_without_a_class_out() -> None:
    preds, target = maps(3, 4)
    target[2] = 255
    metric = Jaccard(4)
    metric.update(preds[:1], target[:1])
    metric.update(preds[1:], target[1:])
    assert float(metric.compute()) == pytest.approx(float(mean_jaccard(preds[:2], target[:2], 4).mean()), abs=1e-12)
    assert int(metric.count) == 2 and metric.higher_is_better
