"""An nginx of the test's own, as a peer to compare with or as an origin: unprivileged, on a unix socket, one worker.

    server = nginx.Nginx("server { listen {socket}; return 204; }").start()
    http_client.request(server.address, "GET", "/")
    server.end()

Skips the test where no nginx is installed.  "{socket}" is where it listens, "{directory}" where its files are.
"""

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import beamgate
from wire import open_socket

PROGRAM = shutil.which("nginx") or "/usr/sbin/nginx"
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


class Nginx:
    def __init__(self, http, main="", directory=None):
        if not os.path.exists(PROGRAM):
            raise unittest.SkipTest("nginx is not installed")
        self.directory = Path(tempfile.mkdtemp(prefix="beamgate-nginx-"))
        self.directory.chmod(0o755)
        self.socket = self.directory / "nginx.sock"
        self.address = f"unix:{self.socket}"
        paths = "".join(f"{name}_temp_path {self.directory}/{name};\n" for name in TEMPORARY)
        http = http.replace("{socket}", self.address).replace("{directory}", str(self.directory))
        user = "user root;\n" if os.geteuid() == 0 else ""
        self.configuration = self.directory / "nginx.conf"
        self.configuration.write_text(
            f"daemon off;\nmaster_process off;\n{user}pid {self.directory}/pid;\nerror_log stderr warn;\n{main}\n"
            f"events {{ worker_connections 1000; }}\nhttp {{\naccess_log off;\n{paths}\n{http}\n}}\n")
        self.process = None

    def start(self):
        log = open(self.directory / "stderr", "wb")
        with log:
            self.process = subprocess.Popen([PROGRAM, "-p", str(self.directory), "-c", str(self.configuration)],
                                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log,
                                            preexec_fn=beamgate.end_with_parent)
        beamgate.until(self._answers, 30, "nginx's socket")
        return self

    def _answers(self):
        if self.process.poll() is not None:
            raise AssertionError("nginx ended: " + (self.directory / "stderr").read_text())
        try:
            open_socket(self.address).close()  # That it is there does not say that anybody listens yet.
        except OSError:
            return False
        return True

    def end(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)
