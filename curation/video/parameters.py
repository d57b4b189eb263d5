"""Parameter sets of H.264 and H.265: what a decoder must know before the first picture, for two encoders in one file.

H.264 numbers them, and one header may hold several (ISO 14496-15, 5.3.3), so pictures of a second encoder get a number
of their own. x265 cannot number its own, so H.265 sends them again before every key frame (`hev1`).
"""

from __future__ import annotations

from dataclasses import dataclass

_H264_SPS, _H264_PPS = 7, 8
_HEVC_SETS = (32, 33, 34)
# Numbers of sequence parameter sets that H.264 allows.
_H264_NUMBERS = 32


@dataclass(frozen=True)
class Layout:
    """How a stream divides its NAL units, and the parameter sets of its header."""

    codec: str
    extradata: bytes
    length_bytes: int | None
    """Bytes of the length before each unit; None where start codes divide them."""

    @classmethod
    def of(cls, codec: str, extradata: bytes) -> Layout:
        at = {"h264": 4, "hevc": 21}[codec]
        recorded = len(extradata) > at and extradata[0] == 1
        return cls(codec, extradata, (extradata[at] & 3) + 1 if recorded else None)

    def packed(self, units: list[bytes]) -> bytes:
        """Units as the data of a packet."""
        if self.length_bytes is None:
            return b"".join(b"\0\0\0\1" + unit for unit in units)
        return b"".join(len(unit).to_bytes(self.length_bytes, "big") + unit for unit in units)

    def sets(self) -> list[bytes]:
        """The parameter sets of the header.

        Raises:
            ValueError: it breaks off.
        """
        if self.length_bytes is None:
            return nal_units(self.extradata, None)
        return [unit for array in self._recorded_sets()[0] for unit in array]

    def free_number(self) -> int | None:
        """A number that no set of an H.264 header has; None where there is none."""
        taken = {_number(unit) for unit in self.sets() if unit[0] & 31 in (_H264_SPS, _H264_PPS)}
        return next((number for number in range(1, _H264_NUMBERS) if number not in taken), None)

    def with_sets(self, more: list[bytes]) -> bytes:
        """An H.264 header that holds these sets too."""
        if self.length_bytes is None:
            return self.extradata + self.packed(more)
        (sequences, pictures), end = self._recorded_sets()
        sequences += [unit for unit in more if unit[0] & 31 == _H264_SPS]
        pictures += [unit for unit in more if unit[0] & 31 == _H264_PPS]
        header = bytearray(self.extradata[:5])
        # The level of the header is the highest of its sets.
        header[3] = max(unit[3] for unit in sequences)
        header += bytes([0xE0 | len(sequences)]) + _recorded(sequences) + bytes([len(pictures)]) + _recorded(pictures)
        return bytes(header) + self.extradata[end:]

    def _recorded_sets(self) -> tuple[list[list[bytes]], int]:
        """The sets of a configuration record by kind (ISO 14496-15, avcC and hvcC), and where they end."""
        try:
            return self._divided()
        except IndexError:
            raise ValueError("the header of its stream breaks off") from None

    def _divided(self) -> tuple[list[list[bytes]], int]:
        data, arrays = self.extradata, []
        if self.codec == "h264":
            at = 5
            for mask in (31, 255):
                units, at = _units(data, at + 1, data[at] & mask)
                arrays.append(units)
            return arrays, at
        at = 23
        for _ in range(data[22]):
            units, at = _units(data, at + 3, int.from_bytes(data[at + 1 : at + 3], "big"))
            arrays.append(units)
        return arrays, at


def nal_units(data: bytes, length_bytes: int | None) -> list[bytes]:
    """The NAL units of a packet, without lengths, start codes and empty ones.

    Args:
        length_bytes: of the length before each; None where start codes divide them (Annex B).
    """
    units = []
    if length_bytes is None:
        for piece in data.split(b"\0\0\1")[1:]:
            units.append(piece.rstrip(b"\0"))
    else:
        at = 0
        while at + length_bytes <= len(data):
            length = int.from_bytes(data[at : at + length_bytes], "big")
            units.append(data[at + length_bytes : at + length_bytes + length])
            at += length_bytes + length
    return [unit for unit in units if unit]


def is_set(codec: str, unit: bytes) -> bool:
    """Whether a unit is a parameter set."""
    if codec == "h264":
        return unit[0] & 31 in (_H264_SPS, _H264_PPS)
    return unit[0] >> 1 & 63 in _HEVC_SETS


def _units(data: bytes, at: int, count: int) -> tuple[list[bytes], int]:
    units = []
    for _ in range(count):
        length = int.from_bytes(data[at : at + 2], "big")
        units.append(data[at + 2 : at + 2 + length])
        at += 2 + length
    return units, at


def _recorded(units: list[bytes]) -> bytes:
    return b"".join(len(unit).to_bytes(2, "big") + unit for unit in units)


def _number(unit: bytes) -> int:
    """The number of an H.264 sequence or picture parameter set: its first Exp-Golomb code."""
    payload = unit[4:] if unit[0] & 31 == _H264_SPS else unit[1:]
    bits = "".join(f"{byte:08b}" for byte in payload[:8])
    zeros = len(bits) - len(bits.lstrip("0"))
    return int(bits[zeros : 2 * zeros + 1] or "1", 2) - 1
