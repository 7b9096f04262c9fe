"""Images that generators made earlier, shown to critics again (Shrivastava et al., arXiv:1612.07828, section 2.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medrestore.errors import MedrestoreError

_SWAP = 0.5  # how likely an image is exchanged for an earlier one


class HistoryPool(nn.Module):
    """Keeps past images, so that a critic does not forget what the generators have given up (CycleGAN, section 4).

    Until it is full it stores every image and hands it back. Then, image by image and not batch by batch, it hands back
    either the image itself or, half the time, a stored one, whose place the image takes.

    What it holds is part of the `state_dict`, one tensor `(filled, C, H, W)`, so that a resumed training goes on bit
    for bit. The state is no buffer: it grows, and several processes must not overwrite each other's.

    Args:
        size: images it holds; 0 hands back what it is given.

    Raises:
        MedrestoreError: a negative size.
    """

    def __init__(self, size: int = 50) -> None:
        super().__init__()
        if size < 0:
            raise MedrestoreError(f"a history of {size} images is not possible; type model.history=0 for none")
        self.size = size
        self.filled = 0
        self._images = torch.empty(0)

    @torch.no_grad()
    def swap(self, images: Tensor, random: torch.Generator) -> Tensor:
        """Store images and hand back as many, some of them from the past.

        Two numbers are drawn for every image, used or not, in their order: of a batch that several processes share,
        gathered in the order of the samples, each process with the same `random` keeps the same pool.

        Args:
            images: `(N, C, H, W)` of the whole batch.
            random: on the CPU, a function of the training step.

        Returns:
            `(N, C, H, W)`, without gradient.

        Raises:
            MedrestoreError: images of another shape than those it holds.
        """
        if self.size == 0:
            return images.detach()
        self._make_room(images)
        swaps = (torch.rand(len(images), generator=random) < _SWAP).tolist()
        places = torch.randint(self.size, (len(images),), generator=random).tolist()
        shown = images.detach().clone()
        for index, image in enumerate(images):
            if self.filled < self.size:
                self._images[self.filled] = image
                self.filled += 1
            elif swaps[index]:
                shown[index] = self._images[places[index]]
                self._images[places[index]] = image
        return shown

    def get_extra_state(self) -> Tensor:
        """What `state_dict` stores: the images it holds."""
        return self._images[: self.filled].clone()  # a view would be written with all the room behind it

    def set_extra_state(self, state: Tensor) -> None:
        """Take over the images of a `state_dict`; a smaller pool takes the first ones."""
        kept = state[: self.size]
        self.filled = len(kept)
        self._images = torch.empty(0)
        if self.filled:
            self._images = state.new_empty(self.size, *state.shape[1:])
            self._images[: self.filled] = kept

    def _make_room(self, images: Tensor) -> None:
        if not self.filled:
            self._images = images.new_empty(self.size, *images.shape[1:])
        elif self._images.shape[1:] != images.shape[1:]:
            raise MedrestoreError(
                f"the history holds images of {tuple(self._images.shape[1:])}, found {tuple(images.shape[1:])}; "
                "type the sampling.crop that it was trained with"
            )
        self._images = self._images.to(images)  # from the device that a checkpoint was read to
