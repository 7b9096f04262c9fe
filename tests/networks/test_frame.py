from __future__ import annotations

import numpy as np
import pytest
import torch

from medrestore.networks.frame import clamp_unit, pad_to_multiple, require_images, upsampled


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 3), (7, 16), (33, 47)])
@pytest.mark.parametrize("multiple", [1, 4, 16])
def test_padding_is_numpys_reflection(size: tuple[int, int], multiple: int) -> None:
    image = torch.rand(2, 3, *size)
    padded = pad_to_multiple(image, multiple, least=8)
    height, width = padded.shape[-2:]
    assert height % multiple == width % multiple == 0 and min(height, width) >= 8
    assert height - max(size[0], 8) < multiple and width - max(size[1], 8) < multiple
    # one pixel has nothing to reflect: numpy repeats it too
    expected = np.pad(image.numpy(), [(0, 0), (0, 0), (0, height - size[0]), (0, width - size[1])], mode="reflect")
    np.testing.assert_array_equal(padded.numpy(), expected)


def test_clamp_keeps_the_gradient_that_leads_back() -> None:
    values = torch.tensor([-0.5, -0.5, 0.25, 1.5, 1.5], requires_grad=True)
    clamped = clamp_unit(values)
    assert clamped.tolist() == [0, 0, 0.25, 1, 1]
    # descent moves against the gradient: the second and the fourth would leave the range further
    clamped.backward(torch.tensor([-1.0, 1.0, 3.0, -1.0, 1.0]))
    assert values.grad is not None and values.grad.tolist() == [-1, 0, 3, 0, 1]


def test_upsampling_is_pillows_bicubic() -> None:
    from PIL import Image

    image = torch.rand(9, 7, generator=torch.Generator().manual_seed(0))
    enlarged = Image.fromarray(image.numpy()).resize((14, 18), Image.Resampling.BICUBIC)
    np.testing.assert_allclose(upsampled(image[None, None], 2)[0, 0].numpy(), np.asarray(enlarged), atol=1e-5)
    assert upsampled(image, 1) is image


def test_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Net takes \(N, 3, H, W\), got \(1, 1, 8, 8\)"):
        require_images("Net", torch.rand(1, 1, 8, 8), 3)
    with pytest.raises(ValueError, match="got"):
        require_images("Net", torch.rand(3, 8, 8), 3)
