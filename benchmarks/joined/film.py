"""An edit list becomes a file, frame by frame, and says what is in it."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from benchmarks.joined.plan import EditList, Format, Piece
from benchmarks.joined.truth import Truth


def truth(edit: EditList, file: str) -> Truth:
    """Where the transitions and traps of the finished film lie."""
    known = Truth(file, edit.format.fps, 0)
    begins = 0
    for number, piece in enumerate(edit.pieces):
        if piece.trap:
            first = begins + piece.trap.first
            known.traps.append(((first, first + piece.trap.frames - 1), piece.trap.kind))
        known.frames = begins + piece.frames
        if number < len(edit.joins):
            join = edit.joins[number]
            begins = known.frames - join.frames
            known.hard_cuts += [begins + cut for cut in join.hard_cuts]
            if join.frames:
                known.gradual.append((begins, known.frames - 1))
                known.kinds.append(join.kind)
    return known


def pictures(edit: EditList) -> Iterator[np.ndarray]:
    """The frames in order, (H, W, 3) uint8 BGR. No more than the frames of one transition are held."""
    held: list[np.ndarray] = []
    overlaps = [*[join.frames for join in edit.joins], 0]
    for number, piece in enumerate(edit.pieces):
        before, held = held, []
        for step, picture in enumerate(_piece(piece, edit.format.size)):
            if step < len(before):
                yield edit.joins[number - 1].picture(step, before[step], picture)
            elif step >= piece.frames - overlaps[number]:
                held.append(picture)
            else:
                yield picture


def _piece(piece: Piece, size: tuple[int, int]) -> Iterator[np.ndarray]:
    for number, picture in enumerate(piece.shot.pictures(piece.skipped, piece.frames)):
        if piece.mirrored:
            picture = cv2.flip(picture, 1)
        yield piece.trap.seen(number, picture, piece.view, size) if piece.trap else piece.view.of(picture, size)


def write(path: Path, frames: Iterator[np.ndarray], form: Format) -> None:
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream(form.codec, rate=form.fps, options=form.options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = form.size
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1
        for number, picture in enumerate(frames):
            planes: np.ndarray = cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420)
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, form.fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
