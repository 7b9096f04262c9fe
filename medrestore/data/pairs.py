"""Real pairs: degraded images and their targets in two folders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from medrestore.data.catalogue import Catalogue, LeftOut
from medrestore.data.files import FileItems, require_partner
from medrestore.data.folders import FolderSource, Groups, in_order
from medrestore.data.matching import match_by_name
from medrestore.data.names import is_mask
from medrestore.data.screening import Screening, switched
from medrestore.data.tree import scan
from medrestore.errors import MedrestoreError


class FolderPairs(FileItems):
    """Two folders with the same file names: degraded images and their targets.

    A partner has the same path below its folder, whatever the suffix, or else the same name where that is unique on
    both sides. Two DICOM files are no pair where their headers name two patients.

    Args:
        degraded: Folder of the degraded images.
        target: Folder of the sharp images; groups, labels and official parts are taken from here.
        groups: See `FolderSource`.
        name: Name of the whole in messages; "" for the target folder's name.
        modality: See `FolderSource`.
        screen: See `FolderSource`; the targets are judged.
        screening: See `FolderSource`.
    """

    def __init__(
        self,
        degraded: str,
        target: str,
        groups: Groups = "auto",
        name: str = "",
        modality: str | None = None,
        screen: bool = False,
        screening: Screening | None = None,
    ) -> None:
        self.degraded = Path(degraded).expanduser()
        self.targets = FolderSource(target, groups=groups, name=name, modality=modality)
        self.name = self.targets.name
        self.screening = switched(screen, screening)

    def catalogue(self) -> Catalogue:
        """List the pairs; images without a partner and partners of another size are left out.

        Raises:
            MedrestoreError: A folder is missing, or not one pair fits.
        """
        partners = scan(self.degraded, "degraded")
        targets = self.targets.catalogue()
        root = self.targets.roots[0].resolve()
        files = {item.path.relative_to(root).as_posix(): item.path for item in targets.items if item.path is not None}
        offered = [file for file in partners.images if not is_mask(file)]
        matched = match_by_name(files, offered)
        left_out = [*targets.left_out, *partners.left_out]
        left_out += [
            LeftOut(partners.path(file), f"no image in {root} that is used has its name")
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
                f"{left_out[0].name}: {left_out[0].reason}; type dataset.degraded=DIR dataset.target=DIR with two "
                "folders of the same file names"
            )
        return Catalogue(items, in_order(left_out), targets.notes, targets.licences, targets.by_rule)
