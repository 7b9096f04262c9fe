"""The folders that a data set of fundus photographs is made of, and the photographs in them before any is left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Self

from medrestore.data.catalogue import LeftOut, item_key
from medrestore.data.fundus_domains import Listed
from medrestore.data.fundus_layouts import photographs_of
from medrestore.data.fundus_photographs import Domain, Photograph, patient_of
from medrestore.data.layouts import folder_group
from medrestore.data.matching import match_by_name
from medrestore.data.names import stem_of
from medrestore.data.tree import distinct_names, scan
from medrestore.errors import MedrestoreError

Groups = Literal["auto", "folder", "item"]


@dataclass(frozen=True, slots=True)
class FundusFolders:
    """What a configuration names.

    Attributes:
        single: Folders of photographs, each with the argument it was named by and what all of it shows, where the
            argument says so.
        pairs: Folders before and after an operation, or None.
    """

    single: tuple[tuple[Path, str, Domain | None], ...]
    pairs: tuple[Path, Path] | None

    @classmethod
    def of(
        cls,
        root: str | Sequence[str] | None,
        source: str | None,
        target: str | None,
        before: str | None,
        after: str | None,
        clear: Domain,
    ) -> Self:
        """Take the arguments of `FundusSource`; `clear` is what the photographs in `target` are.

        Raises:
            MedrestoreError: No folder is given, or one of two that belong together is missing.
        """
        roots = [] if root is None else [root] if isinstance(root, str | Path) else list(root)
        given: list[tuple[str, str, Domain | None]] = [(one, "root", None) for one in roots]
        # A folder given as source or target may lie below a root: then what it was given as counts, so it comes first.
        if target:
            given.insert(0, (target, "target", clear))
        if source:
            given.insert(0, (source, "source", "cataract"))
        if (before is None) != (after is None):
            missing = "after" if after is None else "before"
            raise MedrestoreError(f"pairs need both folders; type dataset.{missing}=DIR too")
        pairs = None if before is None or after is None else (Path(before).expanduser(), Path(after).expanduser())
        if not given and pairs is None:
            raise MedrestoreError(
                "no folder of photographs is named; type dataset.root=DIR, or dataset.source=DIR dataset.target=DIR"
            )
        return cls(tuple((Path(path).expanduser(), argument, domain) for path, argument, domain in given), pairs)

    def __str__(self) -> str:
        return ", ".join(str(path) for path in self._paths)

    @property
    def name(self) -> str:
        """The folders' own names."""
        return "+".join(path.resolve().name for path in self._paths)

    @property
    def _paths(self) -> list[Path]:
        return [path for path, _, _ in self.single] or list(self.pairs or ())[1:]

    def listed(self, groups: Groups) -> tuple[list[Listed], list[LeftOut], list[str]]:
        """List the photographs in all folders, each once, with what cannot be read and notes.

        Args:
            groups: See `FundusSource`.

        Raises:
            MedrestoreError: A folder is missing, or no two names of the pairs agree.
        """
        left_out: list[LeftOut] = []
        notes: list[str] = []
        listed = self._before_after(groups, left_out)
        seen = {path for one in listed for path in (one.path, one.photograph.degraded)}
        trees = [scan(path, argument) for path, argument, _ in self.single]
        names = distinct_names([tree.root for tree in trees]) if trees else []
        for tree, name, (_, _, domain) in zip(trees, names, self.single, strict=True):
            found = photographs_of(tree, domain)
            left_out += [*tree.left_out, *found.left_out]
            notes += [f"{name}: {note}" if len(trees) > 1 else note for note in found.notes]
            for one in found.photographs:
                one = one if domain is None else replace(one, domain=domain)
                if tree.path(one.file) not in seen:
                    listed.append(_entry(one, tree.path(one.file), name, groups))
                    seen.add(tree.path(one.file))
        return listed, left_out, notes

    def _before_after(self, groups: Groups, left_out: list[LeftOut]) -> list[Listed]:
        if self.pairs is None:
            return []
        before, after = scan(self.pairs[0], "before"), scan(self.pairs[1], "after")
        found = photographs_of(after, "clear")
        partners = match_by_name([one.file for one in found.photographs], before.images)
        left_out += [
            LeftOut(after.path(one.file), f"no photograph before the operation has its name in {before.root}")
            for one in found.photographs
            if one.file not in partners
        ]
        if not partners:
            raise MedrestoreError(
                f"no file name in {after.root} is one in {before.root} ({len(found.photographs)} and "
                f"{len(before.images)} images); give both photographs of an eye one name"
            )
        pairs = [
            replace(one, domain="clear", degraded=before.path(partners[one.file]))
            for one in found.photographs
            if one.file in partners
        ]
        return [_entry(one, after.path(one.file), after.root.name, groups) for one in pairs]


def _entry(one: Photograph, path: Path, collection: str, groups: Groups) -> Listed:
    match groups:
        case "auto":
            group = one.group or patient_of(stem_of(one.file))
        case "folder":
            group = folder_group(one.file) or collection
        case "item":
            group = None
    return Listed(one, path, item_key(collection, one.file), group)
