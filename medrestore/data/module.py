"""The data of one run: catalogue, split, training crops, whole validation images, test cases."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from medrestore.data.catalogue import Catalogue, Item, LeftOut, Source, hashed_group
from medrestore.data.crop_settings import CropSettings
from medrestore.data.crops import PairedCrops, UnpairedCrops
from medrestore.data.labelled import (
    Boxed,
    LabelledCrops,
    LabelledImages,
    LabelledSettings,
    Mapped,
    collate_labelled,
)
from medrestore.data.loader import EpochSampler, ResumableLoader, Shares, shards_of
from medrestore.data.parts import parts_of, screen_parts
from medrestore.data.samples import Case, Pair, Unpaired
from medrestore.data.screened import Record
from medrestore.data.screening_files import RECORD, write_record
from medrestore.data.seeding import generator_of
from medrestore.data.splits import check_disjoint, write_split
from medrestore.data.store import ImageStore, smaller_than
from medrestore.degradations import Degradation
from medrestore.errors import MedrestoreError
from medrestore.hardware import check_share
from medrestore.imaging import chosen_window, to_unit, window_of
from medrestore.processes import dealt

Part = Literal["train", "val", "test", "all"]
Sample = Pair | Unpaired | Boxed | Mapped
Progress = Callable[[Iterable[Item], str], Iterable[Item]]
_SMALLEST = 8  # pixels a side that a shrunk image must have: below, networks have nothing to look at


@dataclass(frozen=True)
class LoaderSettings:
    """Batches and processes.

    Attributes:
        batch_size: over all ranks together.
        workers: loader processes a rank.
        pin_memory: for GPUs.
        val_images: at most this many validation images an epoch; None for all.
        train_images: as many whole training images are scored beside them, to see a training that overfits.
        cache_bytes: decoded images kept in memory.
        split: sizes of the parts (fractions or counts of images) and `file`.
        crops_per_epoch: at most this many crops an epoch; None for all.
        channels_last: memory layout of batches on their device.
        shards: an epoch walks through this many parts of the training images one after another (S3); 1 mixes all.
    """

    batch_size: int
    workers: int
    pin_memory: bool
    val_images: int | None
    cache_bytes: int
    split: dict[str, float | int | str | None]
    train_images: int = 0
    shards: int = 1
    crops_per_epoch: int | None = None
    channels_last: bool = False


class RestorationData(pl.LightningDataModule):
    """Everything a run reads.

    Args:
        source: the collection of images.
        degradation: what makes degraded images of sharp ones.
        channels: 1 or 3, as the generator takes.
        crops: how training crops are drawn.
        loading: batches, processes and split.
        samples: the kind of sample the scheme or the judge trains on.
        labelled: how a judge wants its images; None for schemes.
        split_file: where `split.csv` of the run is written, or read back when it is there; the record of the screening
            lies beside it.
        progress: wraps an iterable with a progress bar.
        screened_as: `split.csv` of the run whose screening judges a foreign collection; None to screen it anew.

    Attributes:
        notes: what was left out by rule, what is not known, and what is odd about the training images.
    """

    def __init__(
        self,
        source: Source,
        degradation: Degradation,
        channels: int,
        crops: CropSettings,
        loading: LoaderSettings,
        samples: type[Sample],
        split_file: Path | None,
        progress: Progress,
        labelled: LabelledSettings | None = None,
        screened_as: Path | None = None,
    ) -> None:
        super().__init__()
        self.source, self.degradation = source, degradation
        self.crops, self.loading, self.samples, self.labelled = crops, loading, samples, labelled
        self.split_file = split_file
        self.progress = progress
        chosen_window(crops.window)  # refuses an empty one once, before every image is left out for it
        scale = degradation.scale
        self.store = ImageStore(source, channels, loading.cache_bytes, _SMALLEST * scale if scale > 1 else 1)
        self.catalogue: Catalogue = source.catalogue()
        self.left_out: list[LeftOut] = list(self.catalogue.left_out)
        recorded = split_file is not None and split_file.exists()
        sizes: dict[str, Any] = {**loading.split, "file": split_file} if recorded else loading.split
        self.split = self._split(sizes)
        record = self._screened(sizes["file"] or screened_as)
        if split_file is not None and not recorded:  # the screening first: whoever finds a split finds it too
            if record is not None:
                write_record(split_file.with_name(RECORD), record)
            write_split(split_file, self.catalogue.items, self.split)
        self.notes: list[str] = list(self.catalogue.notes)

    def _split(self, sizes: dict[str, Any]) -> dict[str, Literal["train", "val", "test"]]:
        items = self.catalogue.items
        split = parts_of(items, sizes, self.crops.data_seed, paired=self.samples is not Unpaired)
        check_disjoint(items, split)
        return split

    def _screened(self, as_before: str | Path | None) -> Record | None:
        """Leave out what the source's screening drops, and return what was decided."""
        if self.source.screening is None:
            return None
        screened = screen_parts(
            self.catalogue.items,
            self.split,
            self.source.screening,
            self.crops.window,
            self.store.load,
            self.progress,
            as_before,
        )
        self.store.forget(screened.dropped)
        self.store.unreadable |= screened.unreadable.keys()
        self.left_out += screened.unreadable.values()
        self.catalogue, self.split = screened.applied(self.catalogue, self.split)
        return screened.record

    def items(self, part: Part, role: Literal["target", "source"] | None = "target") -> list[Item]:
        """The readable items of one part of the split; `all` for every item, whatever its part."""
        return [
            item
            for item in self.catalogue.items
            if (part == "all" or self.split.get(item.key) == part)
            and (role is None or item.role == role)
            and item.key not in self.store.unreadable
        ]

    def prepare(self, *parts: Part) -> None:
        """Decode the images of these parts once, keep what fits the cache, and list those that cannot be read.

        Raises:
            MedrestoreError: a part has no readable image.
        """
        for part in parts:
            items = self.items(part, role=None)
            bad = self.store.fill(items, lambda some, part=part: self.progress(some, f"reading {part} images"))
            self.left_out += bad
            if part == "train" and self.crops.scale_crop is None:
                self.notes += smaller_than(self.crops.crop, self.store, self.items(part, role=None))
            if not self.items(part, role=None):
                raise MedrestoreError(
                    f"no readable image in the {part} part ({len(items)} listed); "
                    "look at `python -m medrestore.inspect_data` with the same dataset"
                )

    def train_dataloader(self) -> ResumableLoader:
        """Batches of the kind of sample the scheme or the judge trains on."""
        items, shards = self.items("train", role=None), None
        if self.labelled is not None:
            dataset = self._labelled_images(items, training=True)
        else:
            kind = PairedCrops if self.samples is Pair else UnpairedCrops
            dataset = kind(self.store, items, self.degradation, self.crops)
            shards = shards_of(dataset.positions, self.loading.shards, self.crops.seed)
        size, (rank, ranks) = self.loading.batch_size, self._place()
        check_share(size, ranks)
        if len(dataset) < size:
            raise MedrestoreError(
                f"an epoch has {len(dataset)} crops, less than one batch of {size}; "
                f"type sampling.crops_per_image={-(-size // max(1, len(dataset)))}"
            )
        most = self.loading.crops_per_epoch
        if most is not None and most < size:
            raise MedrestoreError(
                f"sampling.crops_per_epoch={most} is less than a batch of {size}; type sampling.crops_per_epoch={size}"
            )
        sampler = EpochSampler(len(dataset), size, self.crops.seed, rank, ranks, shards, most)
        collate = None if self.labelled is None else collate_labelled
        return ResumableLoader(dataset, sampler, self.loading.workers, self.loading.pin_memory, collate)

    def val_dataloader(self) -> DataLoader | list[DataLoader]:
        """Whole validation images, one at a time, always degraded in the same way; for judges sharp.

        They are dealt out to the processes of a training.

        With `train_images` a second loader follows: whole training images in the same way, the first by key, which is
        a hash, so that they are of many patients.
        """
        items = self.items("val")[: self.loading.val_images]
        if self.labelled is not None:
            images = self._labelled_images(items, training=False)
            return DataLoader(images, 1, sampler=Shares(len(images), *self._place()), collate_fn=collate_labelled)
        loader = self._whole(items)
        if not self.loading.train_images:
            return loader
        seen = sorted(self.items("train"), key=lambda item: item.key)[: self.loading.train_images]
        return [loader, self._whole(seen)]

    def _whole(self, items: Sequence[Item]) -> DataLoader:
        return DataLoader(_WholePairs(self, items), batch_size=1, sampler=Shares(len(items), *self._place()))

    def _place(self) -> tuple[int, int]:
        """This process's number, and how many train."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Bring images into the layout of the networks."""
        if not self.loading.channels_last:
            return batch
        return type(batch)(*(t.contiguous(memory_format=torch.channels_last) if t.ndim == 4 else t for t in batch))

    def _labelled_images(self, items: Sequence[Item], training: bool) -> LabelledImages | LabelledCrops:
        assert self.labelled is not None
        kind = LabelledImages if self.samples is Boxed else LabelledCrops
        return kind(self.store, items, self.crops, self.labelled, training)

    def case(self, item: Item, annotated: bool = True) -> Case:
        """One whole image; its degradation is a function of (`data_seed`, key) alone.

        Args:
            item: of the catalogue.
            annotated: whether labels, boxes and masks are read; a training does not look at them.
        """
        image, partner = self.store.get(item)
        window, mask = window_of(image, self.crops.window), image.mask
        kernel, description = None, {}
        target = to_unit(image.pixels, window)
        if item.role == "source":
            degraded, target = target, None
        elif partner is not None:
            degraded = to_unit(partner.pixels, window)
        else:
            scale = self.degradation.scale
            height, width = (size // scale * scale for size in image.pixels.shape[1:])
            parameters = self.degradation.sample(generator_of(self.crops.data_seed, "evaluate", item.key))
            degraded = to_unit(self.degradation.apply(image.pixels[:, :height, :width], parameters), window)
            target = target[:, :height, :width]
            mask = None if mask is None else mask[:, :height, :width]
            kernel, description = parameters.kernel, parameters.description
        annotations = self.source.annotations(item) if annotated else {}
        region = self.source.load_mask(item) if annotated else None
        if region is not None:
            annotations = {**annotations, "region": region}
        return Case(
            key=item.key,
            group=hashed_group(item.group),
            image=image,
            degraded=degraded,
            target=target,
            mask=mask,
            kernel=kernel,
            annotations=annotations,
            description=description,
        )

    def references(self, part: Part) -> Iterator[tuple[Tensor, Tensor | None]]:
        """The sharp images of a part as they are: `(C, H, W)` in [0, 1], and their mask bool `(1, H, W)` or None.

        By key, which is a hash: whoever looks at the first few sees many patients.
        """
        for item in sorted(self.items(part, "target"), key=lambda item: item.key):
            try:
                image, _ = self.store.get(item)
            except MedrestoreError as error:
                self.left_out.append(LeftOut.because(item.path, error))
                continue
            yield to_unit(image.pixels, window_of(image, self.crops.window)), image.mask

    def cases(self, part: Part, most: int | None = None, shared: bool = False) -> Iterator[Case]:
        """Stream the whole images of a part; unreadable ones are listed in `left_out`.

        Args:
            part: of the split, or `all`.
            most: at most this many images with truth, which come first, and as many without.
            shared: only those that this process is dealt, where a command has several.
        """
        items = self.items(part, "target")[:most] + self.items(part, "source")[:most]
        for item in dealt(items) if shared else items:
            try:
                yield self.case(item)
            except MedrestoreError as error:
                self.left_out.append(LeftOut.because(item.path, error))


class _WholePairs(Dataset[Pair]):
    def __init__(self, data: RestorationData, items: Sequence[Item]) -> None:
        self.data, self.whole = data, list(items)

    def __len__(self) -> int:
        return len(self.whole)

    def __getitem__(self, index: int) -> Pair:
        case = self.data.case(self.whole[index], annotated=False)
        assert case.target is not None
        mask = torch.ones(1, *case.target.shape[1:]) if case.mask is None else case.mask.float()
        return Pair(case.degraded, case.target, mask, torch.tensor(index))
