"""A run as a job: `ray start`, `ray job submit -- reelmill curate …`, and a look at what came of it.

    python -m benchmarks.submit_job

Needs the extra `cluster`. Everything is on loopback, and is gone at the end.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from tests import films
from tests.films import BLUE, GREEN, RED, Scene

_HOST = "127.0.0.1"


def main() -> None:
    bin_ = Path(sysconfig.get_path("scripts"))
    with tempfile.TemporaryDirectory(prefix="reelmill-job-") as temporary:
        folder = Path(temporary)
        (folder / "films").mkdir()
        for number, colour in enumerate((RED, GREEN, BLUE)):
            films.write(folder / "films" / f"{number}.mp4", [Scene(40, colour)])
        out = folder / "out"
        curate = [str(bin_ / "reelmill"), "curate", str(folder / "films"), "--out", str(out), "--address", "auto"]
        gcs, dashboard = _free_port(), _free_port()
        # Ray asks for a token, of the nodes as of those who submit.
        environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token"}
        environment["RAY_AUTH_TOKEN"] = secrets.token_hex(16)
        start = [str(bin_ / "ray"), "start", "--head", "--block", f"--node-ip-address={_HOST}", f"--port={gcs}"]
        start += [f"--dashboard-host={_HOST}", f"--dashboard-port={dashboard}", f"--temp-dir={folder / 'ray'}"]
        start += ["--include-dashboard=true", "--num-cpus=2", "--object-store-memory=100000000"]
        cluster = subprocess.Popen([*start, "--labels", "reelmill-pool=cpu"], env=environment)
        try:
            _wait_for(dashboard, cluster)
            submit = [str(bin_ / "ray"), "job", "submit", "--address", f"http://{_HOST}:{dashboard}", "--"]
            subprocess.run([*submit, *curate], check=True, env=environment, timeout=400)
        finally:
            cluster.terminate()
            cluster.wait()
        subprocess.run([str(bin_ / "reelmill"), "verify", str(out)], check=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, cluster: subprocess.Popen[bytes]) -> None:
    """Until the job server answers."""
    for _ in range(240):
        if cluster.poll() is not None:
            sys.exit("the cluster did not start")
        try:
            with urllib.request.urlopen(f"http://{_HOST}:{port}/api/version", timeout=2):
                return
        except urllib.error.HTTPError:  # it answers, and wants the token
            return
        except OSError:
            time.sleep(0.5)
    sys.exit("the job server does not answer")


if __name__ == "__main__":
    main()
