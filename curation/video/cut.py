"""Encoding one clip out of a source with FFmpeg, exact to the frame, with the same bytes every time."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import ffmpeg
import imageio_ffmpeg

from curation.video.decode import COLORSPACES
from curation.video.encoders import device, options, uploads
from curation.video.probe import DEMUXERS, OVER_LIMIT, Header, MediaError
from curation.video.thinning import expression

# Where no key frame is known, FFmpeg seeks to one at or before the wanted time less this margin; what comes too early
# is trimmed.
_SEEK_MARGIN_S = 1.0
# Filters that turn by counter-clockwise degrees.
_TURNS: dict[int, list[tuple[str, ...]]] = {
    0: [],
    90: [("transpose", "cclock")],
    180: [("hflip",), ("vflip",)],
    270: [("transpose", "clock")],
}


@dataclass(frozen=True)
class Encoding:
    """See `curation.recipe.Shard` for the meaning of each."""

    short_side: int | None
    crf: int
    preset: str
    gop: int
    encoder: str = "libx264"
    """FFmpeg's name."""
    fps: float | None = None
    fast_decode: bool = True


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
    memory_mb: int | None = None,
    key_pts: int | None = None,
) -> None:
    """Write the frames of `source` with start_pts <= pts < end_pts to an mp4 file, without sound.

    FFmpeg's program goes by the file's own timestamps. For files in which these had to be mended, or in
    which it gives another number of frames than the clip has, there is `curation.video.recut`.

    Args:
        time_base: unit of the timestamps, in seconds.
        size: displayed (width, height) of the source.
        memory_mb: bound on FFmpeg's address space in MiB, where the system has such bounds.
        key_pts: the time of a key frame at which decoding can start, at or before the first frame.

    Raises:
        MediaError: FFmpeg failed or took longer than `timeout_s`.
        OSError: no space is left for the target.
    """
    given = {
        "format_whitelist": DEMUXERS,
        "protocol_whitelist": "file",
        "threads": 1,
        "copyts": None,
    }
    if key_pts is None:
        start = float(start_pts * time_base) - _SEEK_MARGIN_S
    else:  # half a tick later, so that rounding does not lose it
        start = float((key_pts + Fraction(1, 2)) * time_base)
    if start > 0:
        given |= {"seek_timestamp": 1, "noaccurate_seek": None, "ss": f"{start:.6f}"}
    video = ffmpeg.input(f"file:{source}", **given)["V:0"]
    video = video.filter("trim", start_pts=start_pts, end_pts=end_pts).filter("setpts", f"PTS-{start_pts}")
    if encoding.fps:
        video = video.filter("select", expression(encoding.fps))
    run(_command(video, target, time_base, scaled(size, encoding.short_side), encoding), target, timeout_s, memory_mb)


def command_for_frames(
    target: Path, time_base: Fraction, size: tuple[int, int], encoding: Encoding, head: Header
) -> list[str]:
    """FFmpeg encoding frames that come as NUT on its standard input, stored as those of `head`.

    Args:
        size: (width, height) after turning.
    """
    colours = {name: value for name, value in head.colours.items() if name != "colorspace" or value in COLORSPACES}
    video = ffmpeg.input("pipe:0", format="nut", threads=1, copyts=None, color_range="tv", **colours)["v:0"]
    if head.mirrored:
        video = video.filter("vflip")
    for name, *arguments in _TURNS[head.rotation]:
        video = video.filter(name, *arguments)
    return _command(video, target, time_base, size, encoding)


def run(
    command: list[str],
    target: Path,
    timeout_s: float,
    memory_mb: int | None = None,
    feed: Callable[[IO[bytes]], None] | None = None,
) -> None:
    """FFmpeg to its end, while `feed` writes to its standard input.

    Raises:
        MediaError: it failed, or took longer than `timeout_s`; what `feed` raises comes first.
        OSError: no space is left for the target.
    """
    with tempfile.TemporaryFile() as words:
        stdin = subprocess.PIPE if feed else subprocess.DEVNULL
        process = subprocess.Popen(command, stdin=stdin, stdout=subprocess.DEVNULL, stderr=words)
        try:
            if memory_mb is not None and sys.platform == "linux":
                resource.prlimit(process.pid, resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))
            if feed:
                assert process.stdin is not None
                with process.stdin:
                    feed(process.stdin)
            process.wait(timeout_s)
        except BrokenPipeError:
            process.wait(timeout_s)  # it ended early, and says why
        except subprocess.TimeoutExpired:
            raise MediaError(f"{OVER_LIMIT}cutting took longer than {timeout_s:g} s") from None
        finally:
            process.kill()
            process.wait()
        words.seek(0)
        said = words.read().decode(errors="replace")
    if process.returncode != 0 or not target.exists():
        if os.strerror(errno.ENOSPC) in said:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        lines = said.strip().splitlines()
        raise MediaError(f"FFmpeg could not cut it ({lines[-1][:160] if lines else process.returncode})")


def _command(video: Any, target: Path, time_base: Fraction, size: tuple[int, int], encoding: Encoding) -> list[str]:
    video = video.filter("scale", *size, flags="bicubic").filter("setsar", "1")
    if uploads(encoding.encoder):
        video = video.filter("format", "nv12").filter("hwupload")
    else:
        video = video.filter("format", "yuv420p")
    output = ffmpeg.output(
        video,
        f"file:{target}",
        format="mp4",
        **options(
            encoding.encoder,
            crf=encoding.crf,
            preset=encoding.preset,
            gop=encoding.gop,
            fast_decode=encoding.fast_decode,
        ),
        fps_mode="passthrough",
        enc_time_base="filter",
        video_track_timescale=timescale(time_base),
        movflags="+faststart",
        fflags="+bitexact",
        flags="+bitexact",
        map_metadata=-1,
    )
    command: list[str] = ffmpeg.compile(output, cmd=imageio_ffmpeg.get_ffmpeg_exe(), overwrite_output=True)
    command[1:1] = ["-nostdin", "-hide_banner", "-loglevel", "error", *device(encoding.encoder)]
    return command


def scaled(size: tuple[int, int], short_side: int | None) -> tuple[int, int]:
    """Width and height with the short side brought down to `short_side`, both even, shape kept."""
    width, height = size
    scale = min(1.0, short_side / min(size)) if short_side else 1.0
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


def timescale(time_base: Fraction) -> int:
    """Ticks a second of the mp4 track in which every timestamp of the source is a whole number."""
    return time_base.denominator if time_base.denominator >= 1000 else time_base.denominator * 1000
