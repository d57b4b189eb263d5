"""The bytes of a JPEG without what is not its picture: EXIF with its places and cameras, previews, comments."""

from __future__ import annotations

_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
# JFIF's resolution, and Adobe's, without which colours cannot be told.
_KEPT = (0xE0, 0xEE)
_METADATA = (*range(0xE0, 0xF0), 0xFE)
_RESTARTS = range(0xD0, 0xD8)


def stripped(data: bytes) -> bytes | None:
    """The same picture, to the bit, without metadata and without what follows it; None where it has no clear end.

    The layout is that of ITU-T T.81, annex B.
    """
    if data[:2] != bytes((0xFF, _START)):
        return None
    made, at = bytearray(data[:2]), 2
    while at + 2 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # filling
            at += 1
            continue
        if marker == _END:
            return bytes(made + data[at : at + 2])
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        end = at + 2 + length
        if length < 2 or end > len(data):
            return None
        if marker == _SCAN:
            end = _after_scan(data, end)
        if marker in _KEPT or marker not in _METADATA:
            made += data[at:end]
        at = end
    return None


def _after_scan(data: bytes, at: int) -> int:
    """Where the next marker stands behind coded data, in which 0xFF is followed by 0 or by a restart."""
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 1 >= len(data):
            return len(data)
        if data[at + 1] != 0 and data[at + 1] not in _RESTARTS:
            return at
        at += 2
