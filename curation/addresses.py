"""Addresses: local paths, s3://, gs:// and http(s), and the fsspec file system behind each.

Credentials come from the usual chains of the libraries alone (environment, profiles, instance roles), never from
a manifest. What is told of an address in messages and tables goes without them.
"""

from __future__ import annotations

import os
import re
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import fsspec

from curation.errors import StoreError, UserError

SCHEMES = ("http", "https", "s3", "gs", "gcs")
CONNECT_S, READ_S = 30.0, 60.0
"""A server that takes longer to answer a knock, or between two pieces of an answer, counts as silent."""
_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_EXTRA = {"s3": "s3", "gs": "gcs", "gcs": "gcs"}
_CREDENTIAL = re.compile(r"sign|token|secret|passw|credential|auth|key|expires|^sig$|^se$|^x-", re.IGNORECASE)


def is_url(place: str) -> bool:
    """Whether this text names a scheme (`https://…`) instead of a local path."""
    return bool(_SCHEME.match(place))


def without_secrets(url: str) -> str:
    """The URL without user, password and query, fit for logs and error lines."""
    if not is_url(url):
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        return f"{url.partition('://')[0]}://(not a valid address)"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def publishable(url: str) -> str:
    """The URL without user, password and those parts of its query that look like a key or a signature.

    What is left still names the file, and may stand in a dataset that others get.
    """
    if not is_url(url):
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        return without_secrets(url)
    query = "&".join(pair for pair in parts.query.split("&") if not _CREDENTIAL.search(pair.partition("=")[0]))
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, parts.fragment))


def filesystem(place: str) -> tuple[Any, str]:
    """The fsspec file system of a place and the path in it.

    Raises:
        StoreError: the scheme is unknown, or its library is not installed.
    """
    if not is_url(place):
        return fsspec.filesystem("file"), os.path.abspath(place)
    scheme, _, rest = place.partition("://")
    scheme = scheme.lower()
    if scheme not in SCHEMES:
        raise StoreError(f"{without_secrets(place)}: {scheme}:// is not supported; use a path or {', '.join(SCHEMES)}")
    try:
        urlsplit(place)
        if scheme in ("http", "https"):
            import aiohttp  # comes with fsspec's http file system

            timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_S, sock_read=READ_S)
            return fsspec.filesystem("http", client_kwargs={"timeout": timeout}), f"{scheme}://{rest}"
        if "::" in rest:  # fsspec would chain what stands behind it
            raise ValueError("'::' cannot stand in it")
        options = _of_s3() if scheme == "s3" else {"use_listings_cache": False}
        return fsspec.core.url_to_fs(f"{scheme}://{rest}", **options)
    except ValueError as error:
        raise StoreError(f"{without_secrets(place)}: not a valid address ({error})") from None
    except ImportError as error:
        extra = _EXTRA.get(scheme, scheme)
        raise UserError(f"{scheme}:// needs an extra library: pip install 'reelmill[{extra}]'") from error


def _of_s3() -> dict[str, Any]:
    """Options of s3fs: time-outs, and botocore's own retries with back-off, which AWS_MAX_ATTEMPTS sets.

    Listings are not cached, since other processes write to the same place.
    """
    retries = {} if os.environ.get("AWS_RETRY_MODE") else {"retries": {"mode": "standard"}}
    return {
        "use_listings_cache": False,
        "config_kwargs": {"connect_timeout": CONNECT_S, "read_timeout": READ_S, **retries},
    }
