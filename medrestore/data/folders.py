"""Images in folders, whatever way they lie there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Literal, get_args

from medrestore import imaging
from medrestore.data.catalogue import Catalogue, Item, LeftOut, item_key
from medrestore.data.dicom_tree import Header, dicom_slices
from medrestore.data.files import FileItems, grey_of, require_partner, size_mismatch
from medrestore.data.label_maps import checked_ids
from medrestore.data.layouts import folder_group, folder_label, recognise
from medrestore.data.listing import Entry, role_names
from medrestore.data.manifest import NAME, read_manifest
from medrestore.data.natural import degraded_by_nature
from medrestore.data.screening import Screening, switched
from medrestore.data.tree import Tree, distinct_names, scan
from medrestore.data.volumes import AXES, LAST, Axis, slices_of, subject_of
from medrestore.errors import MedrestoreError

Groups = Literal["auto", "manifest", "folder", "item"]
Labels = Literal["auto", "folder", "none"]


class FolderSource(FileItems):
    """Image files below one folder or several.

    Args:
        root: Folder, or list of folders.
        groups: Who belongs together. `auto`: the groups of a MANIFEST.csv in the root or above it, else the DICOM
            PatientID, else a known layout, else folders named like patients; `manifest`: its groups as they are;
            `folder`: the folder an image lies in; `item`: every file is another patient.
        target_roles: Words in the manifest's column `role`, or names of folders, that mean sharp images.
        source_roles: The same for images that are degraded by nature.
        labels: `auto`: the manifest's column, else the layout, else folders named like classes; `folder`: the folder an
            image lies in; `none`.
        name: Name of the whole in messages; "" for the folders' names.
        modality: Take DICOM files of this modality alone (`CT`); None or "" for images of any kind.
        natural: Folder of images that are degraded by nature and have no truth; groups and labels are read in the same
            way. It may lie below a root, whose images it then is no part of.
        label_ids: Class (0 to 18, or 255 for none) of numbers in label maps that their collection does not define.
        axis: Of NIfTI volumes, across which they are cut into slices; see `slices_of`. A volume's slices are one group,
            and volumes of a BIDS subject too.
        grey: Take grey images alone: a colour file with equal channels is one, others are refused when they are read.
        screen: Whether sharp images with little detail are left out.
        screening: How; None for the defaults of `Screening`.

    Raises:
        MedrestoreError: No folder given, an unknown choice, or a word in both lists of roles.
    """

    def __init__(
        self,
        root: str | Sequence[str],
        groups: Groups = "auto",
        target_roles: Sequence[str] = ("sharp", "clear"),
        source_roles: Sequence[str] = ("blurry_cataract", "degraded", "natural"),
        labels: Labels = "auto",
        name: str = "",
        modality: str | None = None,
        natural: str | None = None,
        label_ids: Mapping[int, int] | None = None,
        axis: Axis = "auto",
        grey: bool = False,
        screen: bool = False,
        screening: Screening | None = None,
    ) -> None:
        folders = [root] if isinstance(root, str | Path) else list(root)
        if not folders or not all(str(folder).strip() for folder in folders):
            raise MedrestoreError("no folder of images is named; type dataset.root=DIR")
        for key, value, choices in (
            ("groups", groups, get_args(Groups)),
            ("labels", labels, get_args(Labels)),
            ("axis", axis, AXES),
        ):
            if value not in choices:
                known = ", ".join(map(str, choices))
                raise MedrestoreError(f"dataset.{key}={value!r} is not known; type one of {known}")
        self.roots = [Path(folder).expanduser() for folder in folders]
        self.groups: Groups = groups
        self.labels: Labels = labels
        self.label_ids = checked_ids(label_ids)
        self.axis: Axis = axis
        self.grey = grey
        self.roles = role_names(target_roles, source_roles)
        self.name = name or "+".join(path.resolve().name for path in self.roots)
        self.modality = (modality or "").strip().upper()
        self.natural = None if natural is None else Path(natural).expanduser()
        self.screening = switched(screen, screening)

    def catalogue(self) -> Catalogue:
        """List the images of all roots, reading headers only; a file below two of them counts once.

        Raises:
            MedrestoreError: A root is missing or has no image: where it looked, and what it found instead.
        """
        if self.natural is None:
            return self._of_roots(frozenset())
        tree = scan(self.natural, "natural")
        inside = [root for root in self.roots if root.resolve().is_relative_to(tree.root)]
        if inside:
            raise MedrestoreError(
                f"dataset.natural={self.natural} holds the root {inside[0]}, so no sharp image is left; type "
                "dataset.natural=DIR with a folder beside the root or below it"
            )
        sharp = self._of_roots({tree.path(file) for file in tree.images})
        part = degraded_by_nature(self._of_tree(tree, f"natural/{tree.root.name}", frozenset(), "natural"))
        return Catalogue(
            sharp.items + part.items,
            in_order(sharp.left_out + part.left_out),
            (*sharp.notes, *(f"natural: {note}" for note in part.notes)),
            tuple(sorted({*sharp.licences, *part.licences})),
            in_order(sharp.by_rule + part.by_rule),
        )

    def load(self, item: Item) -> imaging.Image:
        """Read the image of an item in physical units.

        Raises:
            MedrestoreError: It cannot be read, or it is in colour where grey images alone are wanted.
        """
        image = super().load(item)
        return grey_of(image) if self.grey else image

    def load_degraded(self, item: Item) -> imaging.Image | None:
        """Read the degraded partner of a real pair, None where there is none; as `load`."""
        image = super().load_degraded(item)
        return image if image is None or not self.grey else grey_of(image)

    def _of_roots(self, elsewhere: Set[Path]) -> Catalogue:
        items: list[Item] = []
        left_out: list[LeftOut] = []
        notes: list[str] = []
        by_rule: list[LeftOut] = []
        licences: set[str] = set()
        trees = [scan(root) for root in self.roots]
        seen = set(elsewhere)
        for tree, name in zip(trees, distinct_names([tree.root for tree in trees]), strict=True):
            part = self._of_tree(tree, name, seen, "root")
            seen |= {tree.path(file) for file in tree.images}
            items += part.items
            left_out += part.left_out
            by_rule += part.by_rule
            licences |= set(part.licences)
            notes += [f"{name}: {note}" if len(trees) > 1 else note for note in part.notes]
        return Catalogue(tuple(items), in_order(left_out), tuple(notes), tuple(sorted(licences)), in_order(by_rule))

    def _of_tree(self, tree: Tree, name: str, seen: Set[Path], argument: str) -> Catalogue:
        listing = read_manifest(tree, self.roles, keep_groups=self.groups == "manifest")
        listed = listing is not None
        if not listed and self.groups == "manifest":
            raise MedrestoreError(
                f"no {NAME} in {tree.root} or above it names an image there; type dataset.groups=auto, or write "
                "one with the columns file, group"
            )
        listing = listing or recognise(tree, self.roles)
        items: list[Item] = []
        fresh = [entry for entry in listing.entries if tree.path(entry.file) not in seen]
        slices = dicom_slices(tree, fresh, self.modality, guessed_labels=not listed)
        left_out = [*tree.left_out, *(entry for entry in listing.left_out if entry.path not in seen)]
        left_out += slices.left_out
        known: list[bool] = []
        for entry in slices.entries:
            header = slices.headers.get(entry.file)
            try:
                group = self._group(header, name, entry, listed)
                found = self._items(tree, name, entry, header, group, left_out)
                items += found
                known.append(group is not None or found[0].group != found[0].key)  # a volume is a patient
            except MedrestoreError as error:
                left_out.append(LeftOut.because(tree.path(entry.file), error))
        notes = list(listing.notes)
        if not all(known) and self.groups != "item":
            which = f" for {known.count(False)} of {len(known)} files" if any(known) else ""
            notes.append(
                f"patients unknown{which}: every image is its own group; give dataset.groups=folder or a {NAME}"
            )
        notes += slices.notes
        if not items and len(fresh) == len(listing.entries):
            raise MedrestoreError(_nothing(tree, left_out, notes, argument))
        licences = {entry.licence for entry in fresh if entry.licence}
        return Catalogue(tuple(items), tuple(left_out), tuple(notes), tuple(sorted(licences)), slices.by_rule)

    def _group(self, header: Header | None, name: str, entry: Entry, listed: bool) -> str | None:
        """Return the group of a file, None where nothing tells."""
        match self.groups:
            case "item":
                return None
            case "folder":
                return folder_group(entry.file) or name
            case "manifest":
                return entry.group
        if listed and entry.group is not None:
            return entry.group
        patient = subject_of(entry.file) if header is None else header.patient
        return patient or entry.group

    def _items(
        self, tree: Tree, name: str, entry: Entry, header: Header | None, group: str | None, left_out: list[LeftOut]
    ) -> list[Item]:
        """Return the items of a file, one a slice of a volume.

        Raises:
            MedrestoreError: The header cannot be read, or the two images of a real pair do not fit.
        """
        path = tree.path(entry.file)
        axis, count = slices_of(path, self.axis) if header is None else (LAST, header.frames)
        if entry.degraded is not None:
            require_partner(path, entry.degraded)
        mask = entry.mask
        if mask is not None and (reason := size_mismatch(path, mask)):
            left_out.append(LeftOut(mask, f"mask left out: {reason}"))
            mask = None
        labels = entry.labels
        if labels is not None and (reason := size_mismatch(path, labels)):
            left_out.append(LeftOut(labels, f"label map left out: {reason}"))
            labels = None
        frames = [None] if count == 1 else range(count)
        return [
            Item(
                key=item_key(name, entry.file, frame, axis),
                group=group if group is not None else item_key(name, entry.file),  # a volume's slices stay together
                role=entry.role,
                label={"auto": entry.label, "folder": folder_label(entry.file), "none": ""}[self.labels],
                source=entry.collection or name,
                split=entry.split,
                path=path,
                frame=frame,
                degraded=entry.degraded,
                mask=mask,
                labels=labels,
                label_scheme=entry.label_scheme,
                axis=axis,
            )
            for frame in frames
        ]


def in_order(left_out: Sequence[LeftOut]) -> tuple[LeftOut, ...]:
    """Return what was left out, each once, by path."""
    return tuple(sorted(set(left_out), key=lambda entry: (str(entry.path), entry.reason)))


def _nothing(tree: Tree, left_out: Sequence[LeftOut], notes: Sequence[str], argument: str) -> str:
    """Say where it was looked, what was found instead, and what to type."""
    why = [f"{len(left_out)} left out, the first: {left_out[0].name}: {left_out[0].reason}"] if left_out else []
    found = "; ".join([tree.found(), *why, *notes])
    where = f"type dataset.{argument}=DIR with a folder of images"
    return f"no image to use in {tree.root} or below it; found {found}; {where}"
