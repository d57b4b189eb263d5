"""Cutting one clip out of a source with FFmpeg, exact to the frame, with the same bytes every time."""

from __future__ import annotations

import errno
import os
import subprocess
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import ffmpeg
import imageio_ffmpeg

from curation.video.probe import DEMUXERS, MediaError

# FFmpeg seeks to a key frame at or before the wanted time less this margin; what comes too early is trimmed.
_SEEK_MARGIN_S = 1.0


@dataclass(frozen=True)
class Encoding:
    """See `curation.recipe.Shard` for the meaning of each."""

    short_side: int | None
    crf: int
    preset: str
    gop: int


def encode(
    source: Path,
    target: Path,
    *,
    start_pts: int,
    end_pts: int,
    time_base: Fraction,
    size: tuple[int, int],
    encoding: Encoding,
    timeout_s: float,
    seek: bool = True,
) -> None:
    """Write the frames of `source` with start_pts <= pts < end_pts to an mp4 file, without sound.

    Args:
        time_base: unit of the timestamps, in seconds.
        size: displayed (width, height) of the source.
        seek: start at the key frame before the clip; without it the file is decoded from its
            beginning, for files in which seeking lands in the wrong place.

    Raises:
        MediaError: FFmpeg failed or took longer than `timeout_s`.
        OSError: no space is left for the target.
    """
    width, height = scaled(size, encoding.short_side)
    given = {
        "format_whitelist": DEMUXERS,
        "protocol_whitelist": "file",
        "threads": 1,
        "copyts": None,
    }
    start = float(start_pts * time_base) - _SEEK_MARGIN_S
    if seek and start > 0:
        given |= {"seek_timestamp": 1, "noaccurate_seek": None, "ss": f"{start:.6f}"}
    video = ffmpeg.input(f"file:{source}", **given)["V:0"]
    video = video.filter("trim", start_pts=start_pts, end_pts=end_pts).filter("setpts", f"PTS-{start_pts}")
    video = video.filter("scale", width, height, flags="bicubic").filter("setsar", "1").filter("format", "yuv420p")
    output = ffmpeg.output(
        video,
        f"file:{target}",
        format="mp4",
        vcodec="libx264",
        crf=encoding.crf,
        preset=encoding.preset,
        threads=1,
        g=encoding.gop,
        fps_mode="passthrough",
        enc_time_base="filter",
        video_track_timescale=_timescale(time_base),
        movflags="+faststart",
        fflags="+bitexact",
        flags="+bitexact",
        map_metadata=-1,
    )
    command = ffmpeg.compile(output, cmd=imageio_ffmpeg.get_ffmpeg_exe(), overwrite_output=True)
    command[1:1] = ["-nostdin", "-hide_banner", "-loglevel", "error"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        raise MediaError(f"cutting took longer than {timeout_s:g} s") from None
    if done.returncode != 0 or not target.exists():
        said = done.stderr.decode(errors="replace")
        if os.strerror(errno.ENOSPC) in said:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        lines = said.strip().splitlines()
        raise MediaError(f"FFmpeg could not cut it ({lines[-1][:160] if lines else done.returncode})")


def scaled(size: tuple[int, int], short_side: int | None) -> tuple[int, int]:
    """Width and height with the short side brought down to `short_side`, both even, shape kept."""
    width, height = size
    scale = min(1.0, short_side / min(size)) if short_side else 1.0
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


def _timescale(time_base: Fraction) -> int:
    """Ticks a second of the mp4 track in which every timestamp of the source is a whole number."""
    return time_base.denominator if time_base.denominator >= 1000 else time_base.denominator * 1000
