"""Makers of tiny odd media: each file's frames carry their number, so that truth is known by construction.

`FILMS` are odd and whole, `DAMAGED` give a part, `BROKEN` give a reason, `elsewhere` makes what points
out of itself.
"""

from __future__ import annotations

import struct
import subprocess
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import numpy as np

BITS = 7
SIZE = (64, 48)
TICK = Fraction(1, 25)
X264 = "-c:v libx264 -preset ultrafast -bf 2 -g 12"
MPEG2 = "-c:v mpeg2video -g 12 -bf 2 -q:v 3"


@dataclass(frozen=True)
class Odd:
    """A file, and what is true of it."""

    name: str
    make: Callable[[Path], object]
    frames: int = 30
    seconds: float = 1.2
    size: tuple[int, int] = SIZE
    """As displayed."""
    first: int | None = 0
    """The number that the first frame shows; None where frames are too small or turned."""
    warning: str | None = None
    """What the warning says."""
    mended: bool = False
    """Whether times are not all the file's own timestamps."""


@dataclass(frozen=True)
class Broken:
    """A file that cannot be used, and why."""

    name: str
    make: Callable[[Path], object]
    reason: str


def ffmpeg(*arguments: str | Path, data: bytes | None = None) -> None:
    """FFmpeg's program; `data` goes to its standard input."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error", "-threads", "1"]
    subprocess.run([*command, *map(str, arguments)], input=data, check=True, capture_output=True)


def numbered(number: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """(H, W, 3): a bright or dark stripe for each bit of `number`."""
    width, height = size
    stripe = np.minimum(np.arange(width) * BITS // max(width, 1), BITS - 1)
    row = np.where((number >> stripe) & 1, 220, 30).astype(np.uint8)
    return np.broadcast_to(row[None, :, None], (height, width, 3)).copy()


def number_of(picture: np.ndarray) -> int:
    """The number that a frame shows."""
    height, width = picture.shape[:2]
    row = picture[height // 4 : max(height // 4 + 1, 3 * height // 4)].mean(axis=(0, 2))
    return sum(int(row[int((bit + 0.5) * width / BITS)] > 125) << bit for bit in range(BITS))


def film(
    path: Path,
    options: str = X264,
    *,
    frames: Sequence[int] = range(30),
    size: tuple[int, int] = SIZE,
    rate: int = 25,
    before: str = "",
) -> Path:
    """Encode frames that show the given numbers; `before` holds options of the input."""
    data = b"".join(numbered(number, size).tobytes() for number in frames)
    raw = f"-f rawvideo -pix_fmt rgb24 -s {size[0]}x{size[1]} -r {rate}"
    ffmpeg(*before.split(), *raw.split(), "-i", "-", *_pixels(options), *options.split(), path, data=data)
    return path


def _pixels(options: str) -> list[str]:
    fixed = ("-pix_fmt", "gif", "png", "qtrle", "prores", "ffv1", "rawvideo", "mjpeg")
    return [] if any(word in options for word in fixed) else ["-pix_fmt", "yuv420p"]


def of(options: str, **given: object) -> Callable[[Path], object]:
    return lambda path: film(path, options, **given)  # type: ignore[arg-type]


def remuxed(
    options: str, *, source: str = "plain.mp4", encoding: str = X264, before: str = ""
) -> Callable[[Path], object]:
    """A plain film, copied without encoding under other options."""

    def make(path: Path) -> None:
        plain = film(path.with_name(f"{path.stem}.{source}"), encoding)
        ffmpeg(
            *before.split(), "-i", plain, *(options if "-c" in options.split() else f"-c copy {options}").split(), path
        )
        plain.unlink()

    return make


VARIABLE = [0, *np.cumsum([40 + 23 * (number % 3) for number in range(29)]).tolist()]


def _variable(path: Path) -> None:
    """Milliseconds of VARIABLE."""
    expression = "+".join(f"eq(N\\,{number})*{pts}" for number, pts in enumerate(VARIABLE))
    film(path, f"{X264} -vf settb=1/1000,setpts={expression} -fps_mode passthrough -enc_time_base 1/1000")


def _two_streams(path: Path) -> None:
    one, two = film(path.with_suffix(".1.mp4")), film(path.with_suffix(".2.mp4"), size=(32, 32), frames=range(10))
    ffmpeg("-i", one, "-i", two, "-map", "0", "-map", "1", "-c", "copy", path)


def _cover(path: Path) -> None:
    """The cover picture comes before the film."""
    video, cover = (
        film(path.with_suffix(".1.mp4")),
        film(path.with_suffix(".png"), "-c:v png", frames=[0], size=(200, 200)),
    )
    maps = "-map 1 -map 0 -c copy -disposition:v:0 attached_pic"
    ffmpeg("-i", video, "-i", cover, *maps.split(), path)


def _sound(path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", "-c:a", "aac", path)


def _resized(path: Path) -> None:
    """The picture grows in the middle of the file."""
    one = film(path.with_suffix(".1.ts"), f"{X264} -bf 0 -muxdelay 0", frames=range(15))
    two = film(
        path.with_suffix(".2.ts"),
        f"{X264} -bf 0 -muxdelay 0 -output_ts_offset 0.6",
        frames=range(15, 30),
        size=(96, 72),
    )
    path.write_bytes(one.read_bytes() + two.read_bytes())


def _joined(path: Path) -> None:
    """Timestamps start anew in the middle."""
    one = film(path.with_suffix(".1.ts"), MPEG2, frames=range(15))
    two = film(path.with_suffix(".2.ts"), MPEG2, frames=range(15, 30))
    path.write_bytes(one.read_bytes() + two.read_bytes())


def changed(make: Callable[[Path], object], change: Callable[[bytearray], bytes]) -> Callable[[Path], object]:
    def made(path: Path) -> None:
        make(path)
        path.write_bytes(change(bytearray(path.read_bytes())))

    return made


def cut_off(data: bytearray) -> bytes:
    return bytes(data[: len(data) * 6 // 10])


def noisy(data: bytearray) -> bytes:
    """Noise over a tenth of the file, in its middle."""
    start, length = len(data) // 2, len(data) // 10
    data[start : start + length] = np.random.default_rng(3).bytes(length)
    return bytes(data)


def _long_claim(data: bytearray) -> bytes:
    """Matroska's duration (a double) says thirty years."""
    at = data.index(b"\x44\x89\x88") + 3
    data[at : at + 8] = struct.pack(">d", 1e12)
    return bytes(data)


def _gap(path: Path) -> None:
    """From the middle on, frames are shown eleven days later."""
    film(
        path, f"{X264} -vf settb=1/1000,setpts=N*40+gte(N\\,15)*1000000000 -fps_mode passthrough -enc_time_base 1/1000"
    )


def _still(path: Path) -> None:
    """All frames are shown at once; copied without timestamps from a raw stream."""
    raw = film(path.with_suffix(".h264"), f"{X264} -bf 0")
    ffmpeg("-fflags", "+genpts", "-r", "25", "-i", raw, "-c", "copy", "-bsf:v", "setts=pts=0:dts=0", path)


def _edited(path: Path) -> None:
    """An edit list hides what comes before half a second."""
    plain = film(path.with_suffix(".1.mp4"), f"{X264} -g 100")
    ffmpeg("-ss", "0.52", "-i", plain, "-c", "copy", path)


HDR = "-vf setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc"
FILMS = [
    Odd("plain.mp4", of(X264)),
    Odd("front.mp4", of(f"{X264} -movflags faststart")),
    Odd("fragments.mp4", of(f"{X264} -movflags frag_keyframe+empty_moov+default_base_moof")),
    Odd("negative-offsets.mp4", of(f"{X264} -movflags negative_cts_offsets")),
    Odd("edited.mp4", _edited, frames=17, seconds=0.68, first=13),
    Odd("late.mp4", remuxed("-output_ts_offset 7.5")),
    Odd("open-groups.mkv", of(f"{X264} -x264-params open-gop=1:b-pyramid=normal -bf 3")),
    # Matroska does not say how long the last frame lasts; mp4 does.
    Odd("variable.mkv", _variable, seconds=(VARIABLE[-1] + 40) / 1000),
    Odd("variable.mp4", _variable, seconds=(VARIABLE[-1] + 63) / 1000),
    Odd("hevc.mp4", of("-c:v libx265 -preset ultrafast -x265-params log-level=none:open-gop=1:keyint=12")),
    Odd("hdr.mp4", of(f"-c:v libx265 -preset ultrafast -x265-params log-level=none -pix_fmt yuv420p10le {HDR}")),
    Odd("ten-bits.mp4", of(f"{X264} -pix_fmt yuv420p10le")),
    Odd("constant-luminance.mp4", remuxed("-c copy -bsf:v h264_metadata=matrix_coefficients=10")),
    Odd("quick.mov", of(X264)),
    Odd("prores.mov", of("-c:v prores_ks -profile:v 4444 -pix_fmt yuva444p10le")),
    Odd("alpha.mov", of("-c:v qtrle -pix_fmt argb")),
    Odd("png.mov", of("-c:v png -pix_fmt rgba")),
    Odd("vp8.webm", of("-c:v libvpx -deadline realtime -cpu-used 8 -b:v 300k")),
    Odd("alpha.webm", of("-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 300k -pix_fmt yuva420p")),
    Odd(
        "hidden-frames.webm",
        of("-c:v libvpx-vp9 -deadline good -cpu-used 5 -auto-alt-ref 1 -lag-in-frames 16 -b:v 300k"),
    ),
    Odd("odd.webm", of("-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 300k", size=(33, 17)), size=(33, 17)),
    Odd("av1.mp4", of("-c:v libsvtav1 -preset 12 -g 12 -crf 20")),
    Odd("lossless.mkv", of("-c:v ffv1", size=(33, 17)), size=(33, 17)),
    Odd("one-pixel.mkv", of("-c:v ffv1", size=(1, 1)), size=(1, 1), first=None),
    Odd("b-frames.avi", of(X264), mended=True),
    Odd("mpeg4.avi", of("-c:v mpeg4 -bf 2 -q:v 3"), mended=True),
    Odd("motion.avi", of("-c:v mjpeg -pix_fmt yuvj420p")),
    Odd("broadcast.ts", of(MPEG2)),
    Odd("hours.ts", of(f"{X264} -output_ts_offset 36000")),
    Odd("interlaced.ts", of(f"{MPEG2} -flags +ildct+ilme")),
    Odd("interlaced.mp4", of(f"{X264} -flags +ildct+ilme -x264-params tff=1")),
    Odd("programme.mpg", of(MPEG2), mended=True),
    Odd("theora.ogv", of("-c:v libtheora -q:v 8 -g 12")),
    Odd("moving.gif", of("-c:v gif")),
    Odd("moving.png", of("-c:v apng -f apng")),
    Odd("flash.flv", of("-c:v flv -q:v 3")),
    Odd("windows.wmv", of("-c:v wmv2 -q:v 3")),
    Odd("exchange.mxf", of(MPEG2)),
    Odd("raw.h264", of(f"{X264} -bf 0"), mended=True),
    Odd("raw.ivf", of("-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 300k")),
    Odd("raw.y4m", of("-f yuv4mpegpipe")),
    Odd("turned.mp4", remuxed("", before="-display_rotation 90"), size=(48, 64), first=None),
    Odd("mirrored.mov", remuxed("", before="-display_hflip"), first=None),
    Odd("wide-pixels.mp4", of(f"{X264} -vf setsar=2/1"), size=(128, 48)),
    Odd("two-streams.mkv", _two_streams),
    Odd("cover.mp4", _cover),
    Odd("resized.ts", _resized),
    Odd("joined.ts", _joined, warning="ran back", mended=True),
    Odd("still.mkv", _still, warning="stood still", mended=True),
    Odd("gap.mkv", _gap, warning="leapt", mended=True),
    Odd("one-frame.mp4", of(X264, frames=[0]), frames=1, seconds=0.04),
    Odd("slow.mp4", of(X264, rate=1, frames=range(3)), frames=3, seconds=3),
    Odd("fast.mp4", of(X264, rate=240), seconds=30 / 240),
    Odd("thirty-years.mkv", changed(of(X264), _long_claim)),
    Odd("what %03d is: this | that?.mkv", of(X264)),
    Odd("concat:a.mp4|b.mp4", of(f"{X264} -f mp4")),
]

DAMAGED = {
    "cut-off.mkv": changed(of(X264), cut_off),
    "cut-off.ts": changed(of(X264), cut_off),
    "cut-off-fragments.mp4": changed(of(f"{X264} -movflags frag_keyframe+empty_moov"), cut_off),
    "cut-off.avi": changed(of("-c:v mjpeg -pix_fmt yuvj420p"), cut_off),
    "cut-off-front.mp4": changed(of(f"{X264} -movflags faststart"), cut_off),
    "noisy.mkv": changed(of(X264), noisy),
    "noisy.mp4": changed(of(X264), noisy),
    "noisy.ts": changed(of(MPEG2), noisy),
    "noisy.webm": changed(of("-c:v libvpx -deadline realtime -cpu-used 8 -b:v 300k -g 6"), noisy),
}


def _huge_gif(data: bytearray) -> bytes:
    data[6:10] = b"\xff\xff\xff\xff"
    return bytes(data)


def _huge_png(data: bytearray) -> bytes:
    data[16:24] = struct.pack(">II", 60000, 60000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


def _huge_avi(data: bytearray) -> bytes:
    return bytes(data).replace(struct.pack("<ii", *SIZE), struct.pack("<ii", 16000, 16000))


def _no_frames(path: Path) -> None:
    """The head of a fragmented file, before its first fragment."""
    film(path, f"{X264} -movflags frag_keyframe+empty_moov")
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"moof") - 4])


BROKEN = [
    Broken("empty.mp4", lambda path: path.write_bytes(b""), "the file is empty"),
    Broken("words.mp4", lambda path: path.write_text("words " * 200), "not a media file"),
    Broken("sound.m4a", _sound, "no video stream"),
    Broken("picture.jpg", of("-c:v mjpeg -pix_fmt yuvj420p -frames:v 1 -f image2"), "an image and no video"),
    Broken("no-frames.mp4", _no_frames, "no frame could be decoded"),
    Broken("no-index.mp4", changed(of(X264), cut_off), "not a media file"),
    Broken("eight-colours.nut", of("-c:v rawvideo -pix_fmt rgb4"), "Operation not supported"),
    Broken("huge.gif", changed(of("-c:v gif"), _huge_gif), "could not be decoded"),
    Broken("huge.png", changed(of("-c:v apng -f apng"), _huge_png), "not a media file"),
    Broken("huge.avi", changed(of("-c:v rawvideo -pix_fmt yuv420p"), _huge_avi), "16000x16000 are too large"),
    Broken("huge.y4m", lambda path: path.write_bytes(b"YUV4MPEG2 W20000 H20000 F25:1\nFRAME\n"), "not a media file"),
]


def elsewhere(folder: Path, url: str, other: str) -> list[Path]:
    """Files that point to `url` (http://host:port/name) and to the file `other` of the same folder."""
    texts = {
        "list.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{url}\n#EXTINF:2,\n{other}\n#EXT-X-ENDLIST\n",
        "list.mp4": f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{url}\n#EXT-X-ENDLIST\n",
        "list.ffconcat": f"ffconcat version 1.0\nfile {other}\nfile {url}\n",
        "list.mkv": f"ffconcat version 1.0\nfile {other}\n",
        "list.mpd": f"<?xml version='1.0'?><MPD type='static' mediaPresentationDuration='PT1S'><Period>"
        f"<AdaptationSet mimeType='video/mp4'><Representation id='1' bandwidth='1'><BaseURL>{url}</BaseURL>"
        "</Representation></AdaptationSet></Period></MPD>",
        "list.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 40000 RTP/AVP 96\n"
        "a=rtpmap:96 H264/90000\n",
        "list.ram": url.replace("http", "rtsp", 1) + "\n",
        "list.asx": f"<asx version='3.0'><entry><ref href='{url}'/></entry></asx>",
        "list.ism": f"<?xml version='1.0'?><smil><body><switch><video src='{other}'/></switch></body></smil>",
        "list.avs": f'FFVideoSource("{other}")\n',
        "list.webm": f"concat:{other}|{other}",
    }
    paths = []
    for name, text in texts.items():
        (folder / name).write_text(text)
        paths.append(folder / name)
    _referring(folder / "reference.mov", other)
    # Image sequences: the pattern as a name, beside pictures that it would match.
    film(folder / "part%d.png", "-c:v png", frames=range(3))
    (folder / "part%d.png").write_text("no picture")
    return [*paths, folder / "reference.mov", folder / "part%d.png"]


def _referring(path: Path, other: str) -> None:
    """A film whose pictures lie in another file, by the alias of its data reference."""
    film(path)
    data = bytearray(path.read_bytes())
    name = other.encode()
    alias = bytes(10) + bytes(28) + bytes(12) + bytes([len(name)]) + name.ljust(63, b"\0") + bytes(16)
    alias += struct.pack(">HH", 1, 1) + bytes(16)
    alias += struct.pack(">HH", 2, len(name)) + name + bytes(len(name) % 2) + struct.pack(">hH", -1, 0)
    entry = struct.pack(">I4sI", 12 + len(alias), b"alis", 0) + alias
    at = data.index(b"dref", data.index(b"moov")) + 12
    old = int.from_bytes(data[at : at + 4], "big")
    for box in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        size = data.rindex(box, 0, at) - 4
        data[size : size + 4] = (int.from_bytes(data[size : size + 4], "big") + len(entry) - old).to_bytes(4, "big")
    data[at : at + old] = entry
    path.write_bytes(data)
