"""What a file system, a network or a store threw, in one line, and whether it may pass."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import Iterator

from curation.addresses import scrubbed, without_secrets
from curation.errors import StoreError, Unreachable

# Packages whose own errors, which are no OSError, tell of a store and not of a bug here.
_OF_STORES = ("botocore", "aiobotocore", "google", "gcsfs")
# What S3 and Google say of credentials that were good once.
_EXPIRED = ("token has expired", "expired token", "invalid_grant")


def explain(error: BaseException) -> str:
    """One line for an error of the operating system, the network or a store."""
    import aiohttp

    # fsspec tells of whatever a server answers as a missing file.
    behind = error.__cause__ or error.__context__
    if _garbled(error):
        return "the server's answer is no HTTP"
    if isinstance(behind, aiohttp.ClientResponseError) and behind.status != 404:
        return f"the server answered {behind.status}"
    if any(isinstance(fault, (TimeoutError, asyncio.TimeoutError)) for fault in (error, behind)):
        return "timed out"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the server broke off"
    if any(isinstance(fault, aiohttp.ClientConnectionError) or _unconnected(fault) for fault in (error, behind)):
        return "no server answers there"
    if isinstance(error, FileNotFoundError):
        return "does not exist"
    if isinstance(error, PermissionError) and (error.errno or not error.args):
        return "permission denied"
    if isinstance(error, IsADirectoryError):
        return "is a folder"
    if isinstance(error, NotADirectoryError):
        return "a part of its path is not a folder"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "no space left on the device"
    if isinstance(error, OSError) and error.errno == errno.EROFS:
        return "the file system is read-only"
    status = getattr(error, "status", None)
    if status is not None:
        return f"the server answered {status}"
    text: str = scrubbed(" ".join(str(error).split())) or type(error).__name__
    if any(mark in text.lower() for mark in _EXPIRED):
        return f"{text[:150]} Get new credentials and run the same command again"
    return text[:200]


def passing(error: BaseException) -> bool:
    """Whether the same request may well succeed later: no answer, too many requests, a server's own fault."""
    import aiohttp

    if _garbled(error):
        return True
    silent = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError, asyncio.TimeoutError)
    for fault in (error, error.__cause__, error.__context__):
        if fault is None:
            continue
        status = _status(fault)
        if status is not None:
            return status in (408, 425, 429) or status >= 500
        if isinstance(fault, silent) or _unconnected(fault):
            return True
    return False


def _garbled(error: BaseException) -> bool:
    """Whether an answer could not be parsed, for instance as it began with what was left of one before.

    aiohttp tells of it as of an answer with a status of 400.
    """
    import aiohttp
    from aiohttp.http_exceptions import HttpProcessingError

    return isinstance(error, aiohttp.ClientResponseError) and isinstance(error.__cause__, HttpProcessingError)


def _status(error: BaseException) -> int | None:
    """What the server answered in the terms of HTTP, if it is that which the error tells of."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore's
        return response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    status = getattr(error, "status", getattr(error, "code", None))  # aiohttp's, gcsfs's
    return status if isinstance(status, int) else None


def _unconnected(error: BaseException | None) -> bool:
    """Whether botocore says that it could not talk to the server."""
    names = {kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "botocore.exceptions"}
    return bool(names & {"ConnectionError", "HTTPClientError"})


@contextlib.contextmanager
def telling(verb: str, place: str) -> Iterator[None]:
    """Turns whatever a file system throws into one line that names the place.

    Raises:
        StoreError: always instead of the error thrown; `Unreachable` where the same may succeed later.
    """
    import aiohttp

    told = (OSError, aiohttp.ClientError, TimeoutError, asyncio.TimeoutError, ValueError)
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        if not isinstance(error, told) and type(error).__module__.partition(".")[0] not in _OF_STORES:
            raise
        kind = Unreachable if passing(error) else StoreError
        raise kind(f"cannot {verb} {without_secrets(place)}: {explain(error)}") from error
