"""Fundus photographs: clouded ones, clear ones of other patients, and eyes before and after an operation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor

from medrestore import imaging
from medrestore.data.before_after import aligned, laid_over
from medrestore.data.catalogue import Catalogue, Item, LeftOut
from medrestore.data.files import FileItems, read_mask, size_mismatch, size_of
from medrestore.data.folders import in_order
from medrestore.data.fundus_domains import Listed, Reference, check_scores, checked_domains, of_reference
from medrestore.data.fundus_folders import FundusFolders, Groups
from medrestore.data.fundus_photographs import read_photograph, unusable
from medrestore.errors import MedrestoreError
from medrestore.imaging.alignment import Alignment

Surround = Literal["find", "none"]


class FundusSource(FileItems):
    """Fundus photographs in folders; the field of view is every image's mask.

    Role `source` are photographs of eyes with cataract, without truth; role `target` are sharp ones (of collections
    that have no others) and clear ones (of collections that have clouded ones too); a target with a `degraded` partner
    is an eye after and before an operation, officially a test image.

    Args:
        root: Folder of one collection or of several, or a list; see `fundus_layouts`. A MANIFEST.csv tells before
            any layout does.
        source: Folder of photographs with cataract, whatever its collection says.
        target: Folder of clear photographs.
        before: Folder of photographs before an operation.
        after: Folder of the same eyes after it, with the same file names.
        reference: Which targets are taken: `sharp`, `clear` or `both`.
        groups: `auto`: patients as manifest, layout or names such as `10_left` tell; `folder`; `item`.
        surround: `find`: the field of view is found in each photograph, and those without one are left out; `none`:
            photographs that fill their frame are taken as a whole.
        name: Name of the whole in messages; "" for the folders' names.

    Raises:
        MedrestoreError: No folder is given, one of two that belong together is missing, or an unknown choice.
    """

    def __init__(
        self,
        root: str | Sequence[str] | None = None,
        source: str | None = None,
        target: str | None = None,
        before: str | None = None,
        after: str | None = None,
        reference: Reference = "both",
        groups: Groups = "auto",
        surround: Surround = "find",
        name: str = "",
    ) -> None:
        for key, value, choices in (
            ("reference", reference, get_args(Reference)),
            ("groups", groups, get_args(Groups)),
            ("surround", surround, get_args(Surround)),
        ):
            if value not in choices:
                raise MedrestoreError(f"dataset.{key}={value!r} is not known; type one of {', '.join(choices)}")
        clear = "sharp" if reference == "sharp" else "clear"
        self.folders = FundusFolders.of(root, source, target, before, after, clear)
        self.reference: Reference = reference
        self.groups: Groups = groups
        self.surround: Surround = surround
        self.field_of_view = surround == "find"  # restored files are painted inside it alone
        self.name = name or self.folders.name
        self._severity: dict[str, float] = {}
        self._alignments: dict[str, Alignment] = {}

    def catalogue(self) -> Catalogue:
        """List the photographs, reading headers only.

        Left out, each with a reason: what is too small or in one colour channel, the same file again, and reference
        photographs of patients who also have clouded ones.

        Raises:
            MedrestoreError: A folder is missing, there is no photograph, or the two domains are swapped or the same.
        """
        listed, left_out, notes = self.folders.listed(self.groups)
        check_scores(listed)
        wanted, others = of_reference(listed, self.reference)
        notes += others
        reasons = [unusable(one.path) for one in wanted]
        left_out += [LeftOut(one.path, reason) for one, reason in zip(wanted, reasons, strict=True) if reason]
        usable = [one for one, reason in zip(wanted, reasons, strict=True) if not reason]
        kept, dropped, more = checked_domains(usable)
        left_out += dropped
        notes += more
        items = [self._item(one, left_out) for one in kept]
        if not items:
            why = f"; the first left out: {left_out[0].name}: {left_out[0].reason}" if left_out else ""
            raise MedrestoreError(
                f"no fundus photograph to use in {self.folders}{why}; type dataset.root=DIR with a collection, or "
                "dataset.source=DIR dataset.target=DIR"
            )
        unknown = sum(one.group is None for one in kept)
        if unknown and self.groups == "auto":
            notes.append(f"patients unknown for {unknown} of {len(kept)} photographs: each is its own group")
        licences = tuple(sorted({one.photograph.licence for one in kept} - {""}))
        return Catalogue(tuple(items), in_order(left_out), tuple(notes), licences)

    def load(self, item: Item) -> imaging.Image:
        """Read a photograph, `mask` its field of view; of a pair the later one, laid over the earlier one.

        Raises:
            MedrestoreError: It cannot be read, shows no field of view, or the pair cannot be registered.
        """
        image = self._photograph(item.path, item.mask)
        if item.degraded is None:
            return image
        before = self._photograph(item.degraded, None)
        if item.key not in self._alignments:
            try:
                self._alignments[item.key] = aligned(before, image)
            except MedrestoreError as error:
                raise MedrestoreError(f"cannot read {item.path}: with {item.degraded.name}, {error}") from error
        return laid_over(before, image, self._alignments[item.key])

    def load_degraded(self, item: Item) -> imaging.Image | None:
        """Read the photograph before the operation as it is, `mask` its field of view; None where there is none."""
        return None if item.degraded is None else self._photograph(item.degraded, None)

    def load_mask(self, item: Item) -> None:
        """None: the field of view is the mask of the image itself."""

    def annotations(self, item: Item) -> dict[str, Tensor | str]:
        """Return what else is known.

        Returns:
            `label`; `vessels`, bool (1, H, W), the reference map in the frame of `load`; `severity`, float32 (), CSDI's
            score from 0 (clear) to 10.

        Raises:
            MedrestoreError: The vessel map cannot be read, or the pair cannot be registered.
        """
        known: dict[str, Tensor | str] = {"label": item.label} if item.label else {}
        if item.labels is not None:
            vessels = read_mask(item.labels)
            if item.degraded is not None:
                if item.key not in self._alignments:
                    self.load(item)
                vessels = self._alignments[item.key].warp(vessels, *size_of(item.degraded))
            known["vessels"] = vessels
        if item.key in self._severity:
            known["severity"] = torch.tensor(self._severity[item.key], dtype=torch.float32)
        return known

    def _item(self, one: Listed, left_out: list[LeftOut]) -> Item:
        photograph = one.photograph
        maps: dict[str, Path | None] = {"vessel map": photograph.vessels, "mask": photograph.field}
        for kind, path in maps.items():
            if path is not None and (reason := size_mismatch(one.path, path)):
                left_out.append(LeftOut(path, f"{kind} left out: {reason}"))
                maps[kind] = None
        if photograph.severity is not None:
            self._severity[one.key] = photograph.severity
        return Item(
            key=one.key,
            group=one.group or one.key,
            role="source" if one.domain == "cataract" else "target",
            label=photograph.label,
            source=photograph.collection,
            split="test" if photograph.degraded is not None else photograph.split,
            path=one.path,
            frame=None,
            degraded=photograph.degraded,
            mask=maps["mask"],
            labels=maps["vessel map"],
        )

    def _photograph(self, path: Path | None, mask: Path | None) -> imaging.Image:
        if path is None:
            raise MedrestoreError("the photograph has no file; it comes from another source")
        return read_photograph(path, mask, whole=self.surround == "none")
