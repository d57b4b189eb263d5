"""When frames are shown: a strictly rising time, whatever the file says of it.

A file's own timestamps are kept wherever they rise. Where a file has none, or gives decoding times
only (AVI with B-frames), the better of its two counts is taken, by the rule of FFmpeg's
`guess_correct_pts`, so that its library and its program agree. Where time stands still, runs back
or leaps by more than `MAX_GAP_S` (broadcast recordings, joined files, broken writers), the rest of
the file is moved so that it goes on right after the frame before.
"""

from __future__ import annotations

from dataclasses import dataclass, field

# A longer time between two frames is a broken timestamp and no pause.
MAX_GAP_S = 3600
# Beyond this a timestamp is refuse, and sums of it would leave 64 bits.
_MAX_PTS = 1 << 60


@dataclass
class Clock:
    """Gives each frame of one stream, in the order of showing, its time in ticks of the stream."""

    step: int
    """Ticks that a frame lasts where nothing else tells."""
    max_gap: int
    """More ticks than this between two frames are no pause."""
    guessed: int = 0
    """Frames whose time is not their own timestamp."""
    misplaced: int = 0
    """Frames whose timestamp was not after the one before; from there on time was moved."""
    last: int | None = None
    _lasts: int = 0
    _said: int = 0
    _passed: int = 0
    _moved: int = 0
    _best: _BestTimestamp = field(default_factory=lambda: _BestTimestamp())

    def place(self, pts: int | None, dts: int | None, duration: int) -> int:
        """The time of the next frame, from its timestamps and its length in ticks (0 is unknown)."""
        pts, dts = _sane(pts), _sane(dts)
        best = self._best.of(pts, dts)
        before = self.last
        if before is None:
            now = best if best is not None else 0
        elif best is None:
            now = before + self._lasts
        else:
            now = best + self._moved
            if not before < now <= before + self.max_gap:
                self.misplaced += 1
                self._moved += before + self._lasts - now
                now = before + self._lasts
        self.guessed += now != pts
        self._lasts = self._length(duration, now - before if before is not None else 0)
        self.last = now
        return now

    def end(self) -> int:
        """When the last frame ends: by its own length where such lengths are true, else by the last step."""
        assert self.last is not None, "no frame was placed"
        return self.last + self._lasts

    def _length(self, said: int, passed: int) -> int:
        """Ticks that a frame lasts, where its own length is `said` and the one before lasted `passed`.

        Demuxers make lengths up where the container has none. They are believed if the last one came true, or if
        the step before the last was of that length.
        """
        believed = 0 < said <= self.max_gap
        if passed:
            believed = believed and (abs(self._said - passed) <= 1 or abs(said - self._passed) <= 1)
        self._said, self._passed = said, passed
        return said if believed else passed or self.step


@dataclass
class _BestTimestamp:
    """FFmpeg's `guess_correct_pts`: of presentation and decoding times, those that went wrong less often."""

    last_pts: int | None = None
    last_dts: int | None = None
    faulty_pts: int = 0
    faulty_dts: int = 0

    def of(self, pts: int | None, dts: int | None) -> int | None:
        if dts is not None:
            self.faulty_dts += self.last_dts is not None and dts <= self.last_dts
            self.last_dts = dts
        elif pts is not None:
            self.last_dts = pts
        if pts is not None:
            self.faulty_pts += self.last_pts is not None and pts <= self.last_pts
            self.last_pts = pts
        elif dts is not None:
            self.last_pts = dts
        if pts is not None and (dts is None or self.faulty_pts <= self.faulty_dts):
            return pts
        return dts


def _sane(timestamp: int | None) -> int | None:
    return timestamp if timestamp is not None and abs(timestamp) < _MAX_PTS else None
