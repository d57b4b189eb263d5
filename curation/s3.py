"""S3 through s3fs, with one layer that asks again.

Out of the box botocore asks three times, s3fs five times what botocore gave up, and where it reads a body five times
that again. Here botocore asks once, and every request is tried as often as AWS_MAX_ATTEMPTS says.
"""

from __future__ import annotations

import os
from contextvars import ContextVar
from typing import Any

import s3fs
import s3fs.core

from curation.addresses import READ_S
from curation.errors import UserError
from curation.faults import passing

TRIES = 5
"""Of a request, where AWS_MAX_ATTEMPTS does not say. The waits between them grow from 0.1 s and are 2 s together."""
CONNECT_S = 10.0
_reading: ContextVar[bool] = ContextVar("reading", default=False)


class Patient(s3fs.S3FileSystem):
    """s3fs, whose loop around reading a body is the only one around it."""

    def __init__(self, *args: Any, tries: int = TRIES, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._tries = tries

    @property
    def retries(self) -> int:
        return 1 if _reading.get() else self._tries

    async def _call_s3(self, method: str, *args: Any, **kwargs: Any) -> Any:
        before = _reading.set(method == "get_object")
        try:
            return await super()._call_s3(method, *args, **kwargs)
        finally:
            _reading.reset(before)


def options() -> dict[str, Any]:
    """Of a `Patient`. Listings are not cached, since other processes write to the same place.

    Raises:
        UserError: AWS_MAX_ATTEMPTS is no number.
    """
    tries = os.environ.get("AWS_MAX_ATTEMPTS") or str(TRIES)
    if not tries.isdigit() or not int(tries):
        raise UserError(f"AWS_MAX_ATTEMPTS: must be a whole number from 1 on, not {tries!r}")
    s3fs.core.set_custom_error_handler(passing)
    config = {"connect_timeout": CONNECT_S, "read_timeout": READ_S, "retries": {"total_max_attempts": 1}}
    return {"use_listings_cache": False, "config_kwargs": config, "tries": int(tries)}
