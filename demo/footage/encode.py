"""Cuts a film together frame by frame, writes it as a file, and says what is in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from demo.footage.edit import Film, Shot
from demo.footage.painting import Picture
from demo.footage.sound import Wave, soundtrack

_VIDEO_OPTIONS = {
    # Without mbtree=0, x264 writes other bytes each time where the width is no multiple of 16.
    "libx264": {"preset": "veryfast", "crf": "20", "threads": "1", "g": "60", "x264-params": "mbtree=0"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "crf": "30", "b": "1500k", "threads": "1", "row-mt": "0"},
    "mpeg4": {"qscale": "4", "b": "900k", "threads": "1"},
}
_SHORTEST_SHOT = 8


@dataclass(frozen=True)
class Placed:
    """A shot on the film's time line: frames `first` to `first + count`, transitions included."""

    shot: Shot
    first: int
    count: int
    lead: int
    tail: int

    @property
    def clean_start(self) -> int:
        return self.first + self.lead

    @property
    def clean_end(self) -> int:
        return self.first + self.count - self.tail


def time_line(film: Film, scale: float) -> tuple[list[Placed], int]:
    """Every shot's frames, and the film's length; shots share the frames of a dissolve."""
    placed: list[Placed] = []
    first, lead = 0, 0
    for index, shot in enumerate(film.shots):
        count = max(min(_SHORTEST_SHOT, round(shot.seconds * film.fps)), round(shot.seconds * film.fps * scale))
        last = index == len(film.shots) - 1
        tail = 0 if last or shot.into == "cut" else max(2, min(round(0.6 * film.fps), round(count * 0.3)))
        if not last and shot.into == "dissolve":
            following = round(film.shots[index + 1].seconds * film.fps * scale)
            tail = max(2, min(tail, round(following * 0.3)))
        placed.append(Placed(shot, first, count, lead, tail))
        first += count - (tail if shot.into == "dissolve" and not last else 0)
        lead = tail
    return placed, placed[-1].first + placed[-1].count


def pictures(film: Film, placed: list[Placed]) -> Iterator[Picture]:
    """The frames of the film, in order."""
    held: list[Picture] = []
    for shown in placed:
        paint = shown.shot.build(film.size)
        kind_before = "dissolve" if held else "fade"
        overlap, held = held, []
        for number in range(shown.count):
            picture = paint(shown.shot.moment(number / film.fps))
            if number < shown.lead:
                share = (number + 1) / (shown.lead + 1)
                if kind_before == "dissolve":
                    picture = cv2.addWeighted(overlap[number], 1 - share, picture, share, 0)
                else:
                    picture = cv2.convertScaleAbs(picture, alpha=share)
            if number >= shown.count - shown.tail:
                if shown.shot.into == "dissolve":
                    held.append(picture)
                    continue
                left = shown.count - number
                picture = cv2.convertScaleAbs(picture, alpha=left / (shown.tail + 1))
            yield picture


def _sound(film: Film, placed: list[Placed], frames: int, rate: int) -> Wave:
    total = np.zeros(round(frames / film.fps * rate), np.float32)
    for shown in placed:
        wave = soundtrack(shown.shot.sound, shown.count / film.fps, rate, shown.shot.seed)
        for length, part in ((shown.lead, wave), (shown.tail, wave[::-1])):
            edge = min(len(wave), round(length / film.fps * rate))
            part[:edge] *= np.linspace(0, 1, edge, dtype=np.float32)
        first = round(shown.first / film.fps * rate)
        count = min(len(wave), len(total) - first)
        total[first : first + count] += 0.75 * wave[:count]
    return np.clip(total, -0.95, 0.95)


def truth(film: Film, placed: list[Placed], frames: int) -> dict[str, Any]:
    """What a viewer of the film sees at which frame; `end` is the frame after the last one."""
    hard_cuts: list[int] = []
    gradual: list[dict[str, Any]] = []
    for before, after in pairwise(placed):
        if before.shot.into == "cut":
            hard_cuts.append(after.first)
        else:
            gradual.append({"first": before.clean_end, "last": after.clean_start - 1, "kind": before.shot.into})
    scenes = [
        {"name": shown.shot.name, "text": shown.shot.text, "start": shown.clean_start, "end": shown.clean_end}
        for shown in placed
    ]
    return {
        "title": film.title,
        "category": film.category,
        "frames": frames,
        "fps": film.fps,
        "width": film.size[0],
        "height": film.size[1],
        "video": film.video,
        "audio": film.audio,
        "scenes": scenes,
        "hard_cuts": hard_cuts,
        "gradual": gradual,
    }


def make(film: Film, folder: Path, scale: float = 1.0) -> dict[str, Any]:
    """Paint, encode and describe one film."""
    cv2.setNumThreads(1)
    placed, frames = time_line(film, scale)
    path = folder / film.path
    _write(film, placed, frames, path)
    facts = truth(film, placed, frames)
    if film.cut_off:
        whole = path.read_bytes()
        path.write_bytes(whole[: round(len(whole) * (1 - film.cut_off))])
        facts["cut_off"] = {"whole_bytes": len(whole), "kept_bytes": path.stat().st_size}
    facts["bytes"] = path.stat().st_size
    return facts


def _write(film: Film, placed: list[Placed], frames: int, path: Path) -> None:
    rate = 48000 if film.audio == "libopus" else 44100
    options = {"fflags": "+bitexact"}
    if path.suffix == ".mp4":
        options["movflags"] = "+faststart"
    with av.open(str(path), "w", options=options) as container:
        picture_stream = container.add_stream(film.video, rate=film.fps, options=_VIDEO_OPTIONS[film.video])
        assert isinstance(picture_stream, av.VideoStream)
        picture_stream.width, picture_stream.height = film.size
        picture_stream.pix_fmt = "yuv420p"
        picture_stream.thread_count = 1
        sound_stream = container.add_stream(film.audio, rate=rate, layout="mono", options={"b": "96k"})
        assert isinstance(sound_stream, av.AudioStream)
        samples = np.round(_sound(film, placed, frames, rate) * 32767).astype(np.int16)
        sent, block = 0, 4096
        for number, picture in enumerate(pictures(film, placed)):
            planes: Picture = cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420)
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, film.fps)
            container.mux(picture_stream.encode(frame))
            due = round((number + 1) / film.fps * rate)
            while sent < min(due, len(samples)):
                piece = av.AudioFrame.from_ndarray(samples[None, sent : sent + block], format="s16", layout="mono")
                piece.sample_rate, piece.pts, piece.time_base = rate, sent, Fraction(1, rate)
                container.mux(sound_stream.encode(piece))
                sent += block
        container.mux(picture_stream.encode(None))
        container.mux(sound_stream.encode(None))
