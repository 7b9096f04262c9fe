"""What the catalogues of all generated collections share."""

from __future__ import annotations

from collections.abc import Mapping

from medrestore.data.catalogue import Item, Role
from medrestore.errors import MedrestoreError


def generated_item(key: str, group: str, collection: str, label: str = "", role: Role = "target") -> Item:
    """An item without any file.

    Args:
        key: of the image.
        group: patient or scene.
        collection: name of the generator.
        label: class, "" where there is none.
        role: `target` for sharp images, `source` for those degraded by nature.
    """
    return Item(
        key=key,
        group=group,
        role=role,
        label=label,
        source=collection,
        split="",
        path=None,
        frame=None,
        degraded=None,
        mask=None,
    )


def numbers_of(item: Item, numbers: Mapping[str, tuple[int, int]], collection: str) -> tuple[int, int]:
    """The patient or scene, and the image in it, that an item stands for.

    Raises:
        MedrestoreError: the item is of another generator.
    """
    if item.key not in numbers:
        raise MedrestoreError(
            f"no image with key {item.key} in {collection}; take items from catalogue() of this phantom"
        )
    return numbers[item.key]
