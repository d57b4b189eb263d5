"""Which failures of a source or a clip another try may mend."""

from __future__ import annotations

from curation.errors import TooLarge, Unreachable
from curation.video.probe import OVER_LIMIT


def mendable(error: Exception | str) -> bool:
    """Whether `--retry-failed` is for it: a server did not answer, or a limit was met that may be raised."""
    return isinstance(error, (Unreachable, TooLarge)) or str(error).startswith(OVER_LIMIT)
