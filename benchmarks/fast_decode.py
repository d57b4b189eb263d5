"""What encoding for fast decoding gives trainers, and what it costs.

    python -m benchmarks.fast_decode --footage FILM [--runs 4] [--json FILE]

Pieces of a film, scaled to 320 lines, are encoded by x264 as our shards are by default and with parts of its `tune
fastdecode`; then the loader's decoder takes 16 frames at strides of 2 to 4 out of them, at 320x512. Counted are CPU
time of decoding, best of the turns, that of encoding, bytes, and PSNR of the luma against the scaled pictures.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import resource
import subprocess
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from benchmarks import cost
from training.stream.dataset import FrameIndex
from training.stream.decode_pyav import frames

LINES, SECONDS, STARTS, GOP, CRF = 320, 6, (0, 12, 24, 36, 48), 16, 20
VARIANTS = {
    "default": [],
    "fastdecode": ["-tune", "fastdecode"],
    "no CABAC": ["-x264-params", "cabac=0"],
    "no deblocking": ["-x264-params", "no-deblock=1"],
    "no B-frames": ["-bf", "0"],
    "fastdecode, no B-frames": ["-tune", "fastdecode", "-bf", "0"],
}
DRAWS, FRAMES, STRIDES, SIZE = 6, 16, (2, 5), (320, 512)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--footage", type=Path, required=True, help="a film of 54 seconds or more")
    parser.add_argument("--runs", type=int, default=4, help="turns of each variant")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    chosen = parser.parse_args()
    pieces = [_scaled(chosen.footage, start) for start in STARTS]
    made = {name: [_encoded(piece, options) for piece in pieces] for name, options in VARIANTS.items()}
    held = {name: [(media, _index(media)) for media, _ in clips] for name, clips in made.items()}
    shortest = min(len(index.pts) for clips in held.values() for _, index in clips)
    wanted = _draws(shortest)
    took: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for _ in range(chosen.runs):
        for name, clips in held.items():
            before = time.process_time()
            for media, index in clips:
                for numbers in wanted:
                    for _picture in frames(media, numbers, index, size=SIZE):
                        pass
            took[name].append((time.process_time() - before) / len(clips) / len(wanted))
    found: dict[str, Any] = {"machine": cost.machine(), "film": chosen.footage.name, "variants": {}}
    for name, clips in made.items():
        found["variants"][name] = {
            "decode_ms": 1000 * min(took[name]),
            "times_faster": min(took["default"]) / min(took[name]),
            "bytes": sum(len(media) for media, _ in clips) / sum(len(media) for media, _ in made["default"]),
            "encode": sum(cpu for _, cpu in clips) / sum(cpu for _, cpu in made["default"]),
            "psnr_db": float(np.mean([_psnr(media, piece) for (media, _), piece in zip(clips, pieces)])),
        }
        print(name, {key: round(value, 3) for key, value in found["variants"][name].items()})
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=1) + "\n")


def _scaled(film: Path, start: int) -> NDArray[np.uint8]:
    """Planar 4:2:0 pictures, uint8 (frames, LINES * 3 / 2, width)."""
    with av.open(str(film)) as container:
        video = container.streams.video[0]
        width = round(LINES * video.width / video.height / 4) * 4  # rows of colour fill whole rows of the array
    given = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-ss", str(start), "-t", str(SECONDS), "-i", str(film)]
    given += ["-vf", f"scale={width}:{LINES}", "-pix_fmt", "yuv420p", "-f", "rawvideo", "-"]
    pictures = subprocess.run(given, check=True, capture_output=True).stdout
    return np.frombuffer(pictures, np.uint8).reshape(-1, LINES * 3 // 2, width)


def _encoded(pictures: NDArray[np.uint8], options: list[str]) -> tuple[bytes, float]:
    """An mp4, and the CPU seconds that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    given = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-r", "25"]
    given += ["-s", f"{pictures.shape[2]}x{LINES}", "-i", "-", "-c:v", "libx264", "-preset", "veryfast"]
    given += ["-crf", str(CRF), "-g", str(GOP), "-threads", "1", *options]
    given += ["-movflags", "frag_keyframe+empty_moov+default_base_moof", "-f", "mp4", "-"]
    media = subprocess.run(given, check=True, capture_output=True, input=pictures.tobytes()).stdout
    return _plain(media), resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def _plain(fragmented: bytes) -> bytes:
    """The same packets with one header, as in our shards; a pipe takes fragments alone."""
    out = io.BytesIO()
    with av.open(io.BytesIO(fragmented)) as source, av.open(out, "w", format="mp4") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    return out.getvalue()


def _index(media: bytes) -> FrameIndex:
    with av.open(io.BytesIO(media)) as container:
        stream = container.streams.video[0]
        found = [(frame.pts or 0, frame.key_frame) for frame in container.decode(stream)]
        assert stream.time_base is not None
        keys = [number for number, (_, key) in enumerate(found) if key]
        return FrameIndex(pts=[pts for pts, _ in found], time_base=Fraction(stream.time_base), keyframes=keys)


def _draws(length: int) -> list[list[int]]:
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(DRAWS):
        stride = int(rng.integers(*STRIDES))
        first = int(rng.integers(0, length - (FRAMES - 1) * stride))
        drawn.append([first + number * stride for number in range(FRAMES)])
    return drawn


def _psnr(media: bytes, pictures: NDArray[np.uint8]) -> float:
    with av.open(io.BytesIO(media)) as container:
        errors = [
            float(np.square(frame.to_ndarray()[:LINES].astype(np.float32) - picture[:LINES]).mean())
            for frame, picture in zip(container.decode(video=0), pictures)
        ]
    return 10 * math.log10(255**2 / (sum(errors) / len(errors)))


if __name__ == "__main__":
    main()
