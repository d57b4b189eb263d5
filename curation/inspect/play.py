"""Commands that show a clip: by players from the source, and out of the tar that holds it."""

from __future__ import annotations

import shlex

from curation import tables
from curation.addresses import publishable
from curation.store import Place
from curation.tables import Row

# Decoding starts so much before the clip: a seek to one moment may land after it where times jitter. Seconds.
_BEFORE_S = 5.0


def of_range(source: Row, clip: Row, first_s: float) -> dict[str, str]:
    """Commands that play a clip out of its source, and one that writes exactly its frames.

    Args:
        first_s: when the source's first frame is shown; players count from there.
    """
    uri = publishable(source["uri"])
    quoted = shlex.quote(uri)
    address = f'"$(aws s3 presign {quoted})"' if uri.startswith("s3://") else quoted
    if source["kind"] == "image":
        return {"ffplay": f"ffplay {address}", "mpv": f"mpv --pause {address}"}
    start, end = max(clip["start_s"] - first_s, 0.0), clip["end_s"] - first_s
    commands = {
        "mpv": f"mpv --start={start:.6f} --end={end:.6f} {address}",
        "ffplay": f"ffplay -ss {start:.6f} -t {end - start:.6f} -autoexit {address}",
    }
    if not source["mended"]:  # its times are not those of the file
        seek = f"-ss {max(clip['start_s'] - _BEFORE_S, first_s):.6f} -seek_timestamp 1 " if start > _BEFORE_S else ""
        trim = f"trim=start_pts={clip['start_pts']}:end_pts={clip['end_pts']},setpts=PTS-STARTPTS"
        commands["frames"] = (
            f"ffmpeg -copyts {seek}-i {address} -map 0:v:0 -vf {trim} -an -c:v ffv1 {clip['clip_id']}.mkv"
        )
    return commands


def of_sample(out: Place, sample: Row) -> dict[str, str]:
    """Commands that take a sample's media out of its tar, by one read of just its bytes where the place allows it."""
    member = f"{sample['key']}.{tables.extension(sample['kind'])}"
    tar = publishable(out.url(f"shards/{sample['shard']}"))
    first, last = sample["offset"], sample["offset"] + sample["bytes"] - 1
    scheme, _, path = tar.partition("://")
    if scheme == "s3":
        bucket, _, key = path.partition("/")
        where = f"--bucket {shlex.quote(bucket)} --key {shlex.quote(key)} --range bytes={first}-{last}"
        # What it says of the object goes to stdout, so the object itself takes the other way.
        command = f"aws s3api get-object {where} /dev/stderr 2>&1 >/dev/null"
    elif scheme in ("gs", "gcs"):
        command = f"gcloud storage cat -r {first}-{last} {shlex.quote('gs://' + path)}"
    elif scheme in ("http", "https"):
        command = f"curl -s -r {first}-{last} {shlex.quote(tar)}"
    else:
        command = f"tar -xOf {shlex.quote(tar)} {member}"
    return {"play": f"{command} | ffplay -autoexit -", "extract": f"{command} > {member}"}
