"""Files of weights: where they lie on this machine, and how they get there, once a node."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from curation.errors import UserError

# A larger file is refused. Bytes.
MAX_BYTES = 32 << 30
_TIMEOUT_S = 60.0
# Where public heads are, by the names of their files.
_LAION = "https://github.com/LAION-AI/aesthetic-predictor/raw/main/"
KNOWN = {
    "sac+logos+ava1-l14-linearMSE.pth": "https://github.com/christophschuhmann/improved-aesthetic-predictor/raw/main/"
    "sac%2Blogos%2Bava1-l14-linearMSE.pth",
    "sa_0_4_vit_l_14_linear.pth": _LAION + "sa_0_4_vit_l_14_linear.pth",
    "sa_0_4_vit_b_32_linear.pth": _LAION + "sa_0_4_vit_b_32_linear.pth",
}


def is_url(address: str) -> bool:
    return "://" in address


def found(address: str, key: str) -> Path:
    """The file at a path, or a copy of the one at a URL, which is fetched if it is not there yet.

    Args:
        key: of the recipe, for the error.

    Raises:
        UserError: there is no such file, or it cannot be fetched; says how to get it.
    """
    if is_url(address):
        return fetched(address, key)
    if not Path(address).is_file():
        known = KNOWN.get(Path(address).name)
        advice = f"get it with `curl -L --create-dirs -o {address} {known}`" if known else "give its path or URL"
        raise UserError(f"{key}: no file {address} on {platform.node()}; {advice}")
    return Path(address)


def fetched(url: str, key: str) -> Path:
    """The copy of a URL in this node's cache; workers of a node wait for the one that fetches it."""
    name = url.partition("?")[0].rpartition("/")[2]
    place = cache() / f"{hashlib.sha256(url.encode()).hexdigest()[:12]}-{name[-100:]}"
    with alone(place.name):
        if not place.exists():
            _fetch(url, place, key)
    return place


def cache() -> Path:
    """Where fetched weights are kept: REELMILL_CACHE, or ~/.cache/reelmill."""
    folder = Path(os.environ.get("REELMILL_CACHE") or Path.home() / ".cache" / "reelmill") / "weights"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def alone(name: str) -> Iterator[None]:
    """One process of this node at a time."""
    with open(cache() / f"{name[-100:].replace('/', '-')}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(url: str, place: Path, key: str) -> None:
    import fsspec

    partial = place.with_name(f"{place.name}.part")
    options: dict[str, Any] = {}
    if url.startswith(("http://", "https://")):
        import aiohttp

        limits = aiohttp.ClientTimeout(total=None, sock_connect=_TIMEOUT_S, sock_read=_TIMEOUT_S)
        options = {"client_kwargs": {"timeout": limits, "trust_env": True}, "block_size": 0}
    try:
        with fsspec.open(url, "rb", **options) as source, partial.open("wb") as copy:
            while block := source.read(1 << 22):
                copy.write(block)
                if copy.tell() > MAX_BYTES:
                    raise OSError(f"larger than {MAX_BYTES >> 30} GiB")
            copy.flush()
            os.fsync(copy.fileno())
        os.replace(partial, place)
    except Exception as error:  # whatever the protocol's library raises
        partial.unlink(missing_ok=True)
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        told = without_secrets(url)
        raise UserError(
            f"{key}: {told} cannot be fetched to {platform.node()} ({reason.replace(url, told)}); run "
            f"`reelmill weights MANIFEST` where it can be, copy {cache()} from there, or give a path"
        ) from error


def without_secrets(url: str) -> str:
    """The URL without user and query, which may hold credentials."""
    scheme, _, rest = url.partition("?")[0].partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
