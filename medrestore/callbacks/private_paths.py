"""Paths of this machine are kept out of what a dashboard sends: they name users, patients and servers.

A path becomes `path-<8 hex digits>`, the start of its SHA-256: runs on the same files can still be found together.
"""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from medrestore.command import PATH_KEYS

# absolute on Linux, a home directory, Windows with a drive, a share
_START = r"(?:/|~[\w.-]*/|[A-Za-z]:[\\/]|\\\\)"
_ABSOLUTE = re.compile(rf"{_START}\S")
_INSIDE = re.compile(rf"(?<![\w.:/\\-]){_START}[^\s,;'\"\[\]{{}}()]+")
_OVERRIDE = re.compile(rf"([\w.@+/]+=)({_START}.+)", re.DOTALL)  # such as dataset.root=/a, b/c
_PICTURE = re.compile(r"(data:[\w/+.-]+;base64,[A-Za-z0-9+/=]+)")
_URL = re.compile(r"[a-z+]+://[^\s,'\"\]]+")  # of a study's storage: may hold a password and a server's name


def hidden(path: str) -> str:
    """What stands for a path: the same for the same path, and nothing of it can be read."""
    return f"path-{hashlib.sha256(path.encode()).hexdigest()[:8]}"


def without_paths(config: Any) -> tuple[Any, list[str]]:
    """A configuration without paths of this machine.

    Replaced are absolute paths wherever they stand, also inside a longer text, addresses with a scheme, and relative
    paths under the keys that hold paths (`dataset.root`, `generator_weights`, ...).

    Args:
        config: plain containers.

    Returns:
        A copy, and the paths that were replaced in it.
    """
    found: dict[str, None] = {}

    def hide(path: str) -> str:
        found[path] = None
        return hidden(path)

    def walk(node: Any, key: str) -> Any:
        if isinstance(node, dict):
            return {name: walk(value, f"{key}.{name}" if key else str(name)) for name, value in node.items()}
        if isinstance(node, list | tuple):
            return [walk(value, key) for value in node]
        return _clean(node, key, hide) if isinstance(node, str) else node

    return walk(config, ""), list(found)


def without_path(text: str, key: str = "") -> str:
    """One value without paths of this machine, as `without_paths` does it."""
    return _clean(text, key, hidden)


def _clean(text: str, key: str, hide: Callable[[str], str]) -> str:
    override = _OVERRIDE.match(text)
    if override:
        return f"{override[1]}{hide(override[2])}"
    relative = key in PATH_KEYS and text and ("/" in text or "\\" in text or Path(text).exists())
    if relative or _ABSOLUTE.match(text):
        return hide(text)
    text = _URL.sub(lambda match: hide(match.group()), text)
    return _INSIDE.sub(lambda match: hide(match.group()), text)


def page_without(page: str, paths: Sequence[str]) -> str:
    """A page of HTML in which some paths are replaced; its other text and embedded pictures stay as they are.

    A path of one word (`dataset.root=photographs`) is replaced where it is a value, not where it is a word.
    """
    parts = re.split(_PICTURE, page)  # text, picture, text, ...
    for path in sorted({*paths, *map(html.escape, paths)}, key=len, reverse=True):
        hide = hidden(html.unescape(path))
        if len(path) > 2 and ("/" in path or "\\" in path):
            pattern = re.compile(re.escape(path))
        else:
            pattern = re.compile(rf"(?<=: |- )(?<![\w]){re.escape(path)}(?!\w)|(?<==){re.escape(path)}(?!\w)")
        parts[::2] = [pattern.sub(hide, text) for text in parts[::2]]
    return "".join(parts)
