"""A small file system for the gateway's access log and for the request bodies it holds, which a soak fills up."""

import contextlib
import shutil
import subprocess
import tempfile
from pathlib import Path

SIZE = "8m"


class Disk:
    """Where nothing may be mounted, `is_own` is false and it is never full."""

    def __init__(self):
        self.directory = Path(tempfile.mkdtemp(prefix="beamgate-disk-"))
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=777", "tmpfs", self.directory],
                                 capture_output=True)
        self.is_own = mounted.returncode == 0

    @property
    def ballast(self):
        return self.directory / "ballast"

    def fill(self):
        with open(self.ballast, "ab", buffering=0) as ballast, contextlib.suppress(OSError):
            while True:
                ballast.write(b"x" * 4096)

    def free(self):
        """The log starts anew, too: it grows with the time of the soak."""
        self.ballast.unlink(missing_ok=True)
        for log in self.directory.glob("*.log"):
            with open(log, "r+b") as file:
                file.truncate()

    def close(self):
        if self.is_own:
            subprocess.run(["umount", "-l", self.directory], check=True)
        shutil.rmtree(self.directory)
