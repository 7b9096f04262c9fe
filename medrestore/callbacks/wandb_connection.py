"""Whether a W&B run can be online, found out in seconds: no key, no network or no answer never stop a training."""

from __future__ import annotations

import netrc
import os
import threading
import urllib.error
import urllib.request
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

_PATIENCE = 5.0  # seconds for the server's first answer, name look-up included


class Connection(NamedTuple):
    """How a W&B run is started, and why it is not online where it is not."""

    mode: Literal["online", "offline", "disabled"]
    reason: str = ""


def connection(server: str) -> Connection:
    """Online with a key and a server that answers; else offline.

    Args:
        server: address of the W&B server, such as `https://api.wandb.ai`.
    """
    asked = os.environ.get("WANDB_MODE", "").lower()
    if asked == "disabled":
        return Connection("disabled", "WANDB_MODE=disabled")
    if asked in ("offline", "dryrun"):
        return Connection("offline", f"WANDB_MODE={asked}")
    if not has_key(server):
        return Connection("offline", "no key: wandb login, or WANDB_API_KEY")
    silence = no_answer(server)
    return Connection("online") if silence is None else Connection("offline", f"{server} cannot be reached: {silence}")


def has_key(server: str) -> bool:
    """Whether a key is in the environment or, from `wandb login`, in `.netrc`."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    try:
        known = netrc.netrc(os.environ.get("NETRC"))
        return known.authenticators(urlsplit(server).hostname or "") is not None
    except (OSError, netrc.NetrcParseError):
        return False


def no_answer(server: str, patience: float = _PATIENCE) -> str | None:
    """Why a server does not answer, or None when it does: any answer is one, through whatever proxy is set.

    In a thread, because looking up a name knows no time limit.
    """
    found: list[str | None] = []

    def ask() -> None:
        try:
            with urllib.request.urlopen(urllib.request.Request(server, method="HEAD"), timeout=patience):
                found.append(None)
        except urllib.error.HTTPError:
            found.append(None)
        except (OSError, ValueError) as error:
            found.append(str(getattr(error, "reason", error)))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(patience)
    return found[0] if found else f"no answer in {patience:.0f} s"
