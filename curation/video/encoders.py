"""Encoders by codec, in software and in hardware, and how each is told the same things.

Whether a machine has a hardware encoder is found by encoding a few frames with it: FFmpeg lists what it was built
with, which says nothing of the machine.
"""

from __future__ import annotations

import functools
import platform
import subprocess
from pathlib import Path

import imageio_ffmpeg

SOFTWARE = {"h264": "libx264", "hevc": "libx265", "av1": "libsvtav1"}
HARDWARE = {
    "h264": ("h264_nvenc", "h264_qsv", "h264_vaapi", "h264_videotoolbox"),
    "hevc": ("hevc_nvenc", "hevc_qsv", "hevc_vaapi", "hevc_videotoolbox"),
    "av1": ("av1_nvenc", "av1_qsv", "av1_vaapi"),
}
# SVT-AV1 numbers its speeds; those of x264's names that take about as long.
_SVT_PRESETS = {"ultrafast": 12, "superfast": 11, "veryfast": 10, "faster": 9, "fast": 8, "medium": 6, "slow": 4}
# NVENC has seven.
_NVENC_PRESETS = {name: f"p{number}" for number, name in enumerate(_SVT_PRESETS, 1)}
_VAAPI_DEVICE = Path("/dev/dri/renderD128")
_TRIAL_S = 30


def _knows_avx2() -> bool:
    try:
        return platform.machine() in ("x86_64", "AMD64") and "avx2" in Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return False


# x264 gives other bytes where it may use AVX-512. With AVX2 at most they are the same on both kinds of machine, and no
# slower. Threads, and notes of the encoder's own settings, would change bytes too.
_SAME_BYTES = ["asm=avx2"] if _knows_avx2() else []
HELD_TO = {
    "libx264": _SAME_BYTES,
    "libx265": [*_SAME_BYTES, "pools=none", "frame-threads=1", "info=0", "log-level=none"],
    "libsvtav1": ["lp=1"],
}
"""Parameters that hold an encoder to the same bytes on every machine."""


def options(encoder: str, *, crf: int, preset: str, gop: int, fast_decode: bool) -> dict[str, str | int]:
    """FFmpeg's options for an encoder."""
    common: dict[str, str | int] = {"vcodec": encoder, "g": gop}
    if encoder == "libsvtav1":
        given = ":".join([*HELD_TO[encoder], *(["fast-decode=1"] if fast_decode else [])])
        return common | {"crf": crf, "preset": _SVT_PRESETS[preset], "svtav1-params": given}
    if encoder in HELD_TO:
        own = {f"{encoder.removeprefix('lib')}-params": ":".join(HELD_TO[encoder])} if HELD_TO[encoder] else {}
        tag = {"tag:v": "hvc1"} if encoder == "libx265" else {}
        tune = {"tune": "fastdecode"} if fast_decode else {}
        return common | {"crf": crf, "preset": preset, "threads": 1} | tune | own | tag
    if encoder.endswith("_nvenc"):
        return common | {"rc": "vbr", "cq": crf, "b:v": 0, "preset": _NVENC_PRESETS[preset]}
    if encoder.endswith("_qsv"):
        return common | {"global_quality": crf, "preset": preset.replace("ultra", "very").replace("super", "very")}
    if encoder.endswith("_vaapi"):
        return common | {"qp": crf}
    # VideoToolbox counts upwards, from 1 to 100.
    return common | {"q:v": max(1, 100 - 2 * crf)}


def uploads(encoder: str) -> bool:
    """Whether pictures must be put into the device's memory first."""
    return encoder.endswith("_vaapi")


def device(encoder: str) -> list[str]:
    """FFmpeg's arguments that open the device, before all others."""
    return ["-vaapi_device", str(_VAAPI_DEVICE)] if encoder.endswith("_vaapi") else []


def hardware(codec: str) -> str | None:
    """A hardware encoder that works here, or None."""
    return next((encoder for encoder in HARDWARE[codec] if _works(encoder)), None)


@functools.cache
def _works(encoder: str) -> bool:
    shaped = "format=nv12,hwupload" if uploads(encoder) else "format=yuv420p"
    given = [word for name, value in _flat(encoder) for word in (f"-{name}", str(value))]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", *device(encoder)]
    command += ["-f", "lavfi", "-i", "testsrc=size=320x240:rate=25", "-frames:v", "5", "-vf", shaped, *given]
    try:
        tried = subprocess.run(
            [*command, "-f", "null", "-"], check=False, capture_output=True, stdin=subprocess.DEVNULL, timeout=_TRIAL_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return tried.returncode == 0


def _flat(encoder: str) -> list[tuple[str, str | int]]:
    given = options(encoder, crf=23, preset="veryfast", gop=16, fast_decode=True)
    return [("c:v" if name == "vcodec" else name, value) for name, value in given.items()]
