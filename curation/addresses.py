"""Addresses: local paths, s3://, gs:// and http(s), and the fsspec file system behind each.

Credentials of object stores come from the usual chains of the libraries alone (environment, profiles, instance roles).
Web addresses may carry their own: user and password, or a signature. What messages and tables tell of an address goes
without them, and so does what identifies a source, so that one that was signed anew is the same source.
"""

from __future__ import annotations

import os
import re
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import fsspec

from curation.errors import StoreError, UserError

SCHEMES = ("http", "https", "s3", "gs", "gcs")
CONNECT_S, READ_S = 30.0, 60.0
"""A server that takes longer to answer a knock, or between two pieces of an answer, counts as silent."""
_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_EXTRA = {"s3": "s3", "gs": "gcs", "gcs": "gcs"}
# Names in queries: of AWS, Google, CloudFront, Akamai, Cloudflare, nginx; then of Azure's shared access signatures.
_CREDENTIAL = re.compile(
    r"sign|token|secret|passw|pwd|credential|auth|key|accessid|expir|policy|hmac|jwt|cookie|session|ticket|nonce|md5"
    r"|^sig$|^exp$|^verify$|^hdn|^x-|^s([eprtv]|pr|rt|ip|dd)$|^sk(oid|tid|[estv])$",
    re.IGNORECASE,
)
# Values that are credentials under any name: signed JSON, and Akamai's, which may also stand in a path.
_CREDENTIAL_VALUE = re.compile(r"eyJ[\w-]+\.[\w-]+\.|hmac=", re.IGNORECASE)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://[^\s\"'<>\\]+", re.IGNORECASE)
# Names of a table's columns that hold nothing else. Not as many as in queries: a film may well have a key or an author.
_SECRET_COLUMN = re.compile(
    r"^(.*[^a-z])?(passw(or)?d|pwd|secret|credentials?|cookies?|authorization|bearer|jwt"
    r"|((access|api|auth|bearer|refresh|sas|session|security)[^a-z]?)?token|(access|api|private|secret)[^a-z]?key)$"
    r"|^sig(nature)?$",
    re.IGNORECASE,
)
WITHHELD = "(withheld)"


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
    """The URL without user, password and those parts that look like a key or a signature.

    What is left still names the file, and may stand in a dataset that others get. An address without credentials is
    given back as it is.
    """
    if not is_url(url):
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        return without_secrets(url)
    host, path, query, fragment = parts.netloc.rpartition("@")[2], parts.path, parts.query, parts.fragment
    if parts.scheme in ("http", "https"):  # names in object stores may hold any sign
        path = "/".join(step for step in path.split("/") if not _CREDENTIAL_VALUE.search(unquote(step)))
        query, fragment = (_without_credentials(text) for text in (query, fragment))
    if (host, path, query, fragment) == (parts.netloc, parts.path, parts.query, parts.fragment):
        return url
    return urlunsplit((parts.scheme, host, path, query, fragment))


def _without_credentials(query: str) -> str:
    pairs = re.split("[&;]", query)
    open_ = [
        pair
        for pair in pairs
        if not _CREDENTIAL.search(unquote(pair.partition("=")[0])) and not _CREDENTIAL_VALUE.search(unquote(pair))
    ]
    return query if len(open_) == len(pairs) else "&".join(open_)


def scrubbed(value: Any) -> Any:
    """Plain values with every address in their texts made publishable."""
    if isinstance(value, str):
        return _ADDRESS.sub(lambda found: publishable(found[0]), value) if "://" in value else value
    if isinstance(value, dict):
        return {key: scrubbed(item) for key, item in value.items()}
    return [scrubbed(item) for item in value] if isinstance(value, (list, tuple)) else value


def open_columns(record: dict[str, Any]) -> dict[str, Any]:
    """A table's record without credentials: addresses publishable, columns whose names say secret withheld."""
    return {name: WITHHELD if _SECRET_COLUMN.search(name) else _open(value) for name, value in record.items()}


def _open(value: Any) -> Any:
    if isinstance(value, dict):
        return open_columns({str(name): item for name, item in value.items()})
    return [_open(item) for item in value] if isinstance(value, (list, tuple)) else scrubbed(value)


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
        if scheme == "s3":
            from curation.s3 import Patient, options

            return Patient(**options()), Patient._strip_protocol(f"{scheme}://{rest}")
        return fsspec.core.url_to_fs(f"{scheme}://{rest}", use_listings_cache=False)
    except ValueError as error:
        raise StoreError(f"{without_secrets(place)}: not a valid address ({error})") from None
    except ImportError as error:
        extra = _EXTRA.get(scheme, scheme)
        raise UserError(f"{scheme}:// needs an extra library: pip install 'reelmill[{extra}]'") from error
