"""Images in folders, whatever way they lie there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

from torch import Tensor

from medrestore import imaging
from medrestore.data.catalogue import Catalogue, Item, LeftOut, item_key
from medrestore.data.files import label_of, load, load_degraded, load_mask, patient_of, require_partner, size_mismatch
from medrestore.data.layouts import folder_group, folder_label, recognise
from medrestore.data.listing import Entry, role_names
from medrestore.data.manifest import NAME, read_manifest
from medrestore.data.matching import match_by_name
from medrestore.data.names import is_mask
from medrestore.data.tree import Tree, distinct_names, scan
from medrestore.errors import MedrestoreError

Groups = Literal["auto", "manifest", "folder", "item"]
Labels = Literal["auto", "folder", "none"]


class FolderSource:
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
    ) -> None:
        folders = [root] if isinstance(root, str | Path) else list(root)
        if not folders or not all(str(folder).strip() for folder in folders):
            raise MedrestoreError("no folder of images is named; type dataset.root=DIR")
        for key, value, choices in (("groups", groups, get_args(Groups)), ("labels", labels, get_args(Labels))):
            if value not in choices:
                raise MedrestoreError(f"dataset.{key}={value!r} is not known; type one of {', '.join(choices)}")
        self.roots = [Path(folder).expanduser() for folder in folders]
        self.groups: Groups = groups
        self.labels: Labels = labels
        self.roles = role_names(target_roles, source_roles)
        self.name = name or "+".join(path.resolve().name for path in self.roots)

    def catalogue(self) -> Catalogue:
        """List the images of all roots, reading headers only; a file below two of them counts once.

        Raises:
            MedrestoreError: A root is missing or has no image: where it looked, and what it found instead.
        """
        items: list[Item] = []
        left_out: list[LeftOut] = []
        notes: list[str] = []
        licences: set[str] = set()
        trees = [scan(root) for root in self.roots]
        seen: set[Path] = set()
        for tree, name in zip(trees, distinct_names([tree.root for tree in trees]), strict=True):
            part = self._of_tree(tree, name, seen)
            seen |= {tree.path(file) for file in tree.images}
            items += part.items
            left_out += part.left_out
            licences |= set(part.licences)
            notes += [f"{name}: {note}" if len(trees) > 1 else note for note in part.notes]
        return Catalogue(tuple(items), _sorted(left_out), tuple(notes), tuple(sorted(licences)))

    def _of_tree(self, tree: Tree, name: str, seen: set[Path]) -> Catalogue:
        listing = read_manifest(tree, self.roles, keep_groups=self.groups == "manifest")
        listed = listing is not None
        if not listed and self.groups == "manifest":
            raise MedrestoreError(
                f"no {NAME} in {tree.root} or above it names an image there; type dataset.groups=auto, or write "
                "one with the columns file, group"
            )
        listing = listing or recognise(tree, self.roles)
        items: list[Item] = []
        left_out = [*tree.left_out, *listing.left_out]
        fresh = [entry for entry in listing.entries if tree.path(entry.file) not in seen]
        known: list[bool] = []
        for entry in fresh:
            try:
                group = self._group(tree, name, entry, listed)
                items += self._items(tree, name, entry, group, left_out)
                known.append(group is not None)
            except MedrestoreError as error:
                left_out.append(LeftOut.because(tree.path(entry.file), error))
        notes = list(listing.notes)
        if not all(known) and self.groups != "item":
            which = f" for {known.count(False)} of {len(known)} files" if any(known) else ""
            notes.append(
                f"patients unknown{which}: every image is its own group; give dataset.groups=folder or a {NAME}"
            )
        if not items and len(fresh) == len(listing.entries):
            raise MedrestoreError(_nothing(tree, left_out, notes))
        licences = {entry.licence for entry in fresh if entry.licence}
        return Catalogue(tuple(items), tuple(left_out), tuple(notes), tuple(sorted(licences)))

    def _group(self, tree: Tree, name: str, entry: Entry, listed: bool) -> str | None:
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
        return patient_of(tree.path(entry.file)) or entry.group

    def _items(self, tree: Tree, name: str, entry: Entry, group: str | None, left_out: list[LeftOut]) -> list[Item]:
        """Return the items of a file, one a slice of a volume.

        Raises:
            MedrestoreError: The header cannot be read, or the two images of a real pair do not fit.
        """
        path = tree.path(entry.file)
        count = imaging.frames(path)
        if entry.degraded is not None:
            require_partner(path, entry.degraded)
        mask = entry.mask
        if mask is not None and (reason := size_mismatch(path, mask)):
            left_out.append(LeftOut(mask, f"mask left out: {reason}"))
            mask = None
        frames = [None] if count == 1 else range(count)
        return [
            Item(
                key=item_key(name, entry.file, frame),
                group=group if group is not None else item_key(name, entry.file),  # a volume's slices stay together
                role=entry.role,
                label={"auto": entry.label, "folder": folder_label(entry.file), "none": ""}[self.labels],
                source=entry.collection or name,
                split=entry.split,
                path=path,
                frame=frame,
                degraded=entry.degraded,
                mask=mask,
            )
            for frame in frames
        ]

    def load(self, item: Item) -> imaging.Image:
        """Read the image of an item in physical units."""
        return load(item)

    def load_degraded(self, item: Item) -> imaging.Image | None:
        """Read the degraded partner of a real pair, None where there is none."""
        return load_degraded(item)

    def load_mask(self, item: Item) -> Tensor | None:
        """Read the item's mask, bool (1, H, W), None where there is none."""
        return load_mask(item)

    def annotations(self, item: Item) -> dict[str, Tensor | str]:
        """Return the item's label, where it has one."""
        return label_of(item)


class FolderPairs:
    """Two folders with the same file names: degraded images and their targets.

    A partner has the same path below its folder, whatever the suffix, or else the same name where that is unique on
    both sides.

    Args:
        degraded: Folder of the degraded images.
        target: Folder of the sharp images; groups, labels and official parts are taken from here.
        groups: See `FolderSource`.
        name: Name of the whole in messages; "" for the target folder's name.
    """

    def __init__(self, degraded: str, target: str, groups: Groups = "auto", name: str = "") -> None:
        self.degraded = Path(degraded).expanduser()
        self.targets = FolderSource(target, groups=groups, name=name)
        self.name = self.targets.name

    def catalogue(self) -> Catalogue:
        """List the pairs; images without a partner and partners of another size are left out.

        Raises:
            MedrestoreError: A folder is missing, or not one pair fits.
        """
        partners = scan(self.degraded)
        targets = self.targets.catalogue()
        root = self.targets.roots[0].resolve()
        files = {item.path.relative_to(root).as_posix(): item.path for item in targets.items if item.path is not None}
        offered = [file for file in partners.images if not is_mask(file)]
        matched = match_by_name(files, offered)
        left_out = [*targets.left_out, *partners.left_out]
        left_out += [
            LeftOut(partners.path(file), f"no image in {root} has its name")
            for file in sorted(set(offered) - set(matched.values()))
        ]
        fitting: dict[Path, Path] = {}
        for file, path in files.items():
            if file not in matched:
                left_out.append(LeftOut(path, f"no image in {partners.root} has its name"))
                continue
            partner = partners.path(matched[file])
            try:
                require_partner(path, partner)
                fitting[path] = partner
            except MedrestoreError as error:
                left_out.append(LeftOut.because(path, error))
        items = tuple(
            replace(item, role="target", degraded=fitting[item.path]) for item in targets.items if item.path in fitting
        )
        if not items:
            raise MedrestoreError(
                f"no pair: {len(files)} images in {root}, {len(offered)} in {partners.root}, the first left out is "
                f"{left_out[0].path.name}: {left_out[0].reason}; type dataset.degraded=DIR dataset.target=DIR with two "
                "folders of the same file names"
            )
        return Catalogue(items, _sorted(left_out), targets.notes)

    def load(self, item: Item) -> imaging.Image:
        """Read the target of a pair in physical units."""
        return load(item)

    def load_degraded(self, item: Item) -> imaging.Image | None:
        """Read the degraded image of a pair."""
        return load_degraded(item)

    def load_mask(self, item: Item) -> Tensor | None:
        """Read the item's mask, bool (1, H, W), None where there is none."""
        return load_mask(item)

    def annotations(self, item: Item) -> dict[str, Tensor | str]:
        """Return the item's label, where it has one."""
        return label_of(item)


def _sorted(left_out: Sequence[LeftOut]) -> tuple[LeftOut, ...]:
    return tuple(sorted(set(left_out), key=lambda entry: (str(entry.path), entry.reason)))


def _nothing(tree: Tree, left_out: Sequence[LeftOut], notes: Sequence[str]) -> str:
    """Say where it was looked, what was found instead, and what to type."""
    why = [f"{len(left_out)} left out, the first: {left_out[0].path.name}: {left_out[0].reason}"] if left_out else []
    found = "; ".join([tree.found(), *why, *notes])
    return f"no image to use in {tree.root} or below it; found {found}; type dataset.root=DIR with a folder of images"
