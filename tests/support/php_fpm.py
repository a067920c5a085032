"""A php-fpm of the test's own: unprivileged where it can be, in a directory of its own, on a unix socket and a port.

    fpm = self.track(PhpFpm({"page.php": "<?php echo 'hello';"}))
    self.gateway(f"... fastcgi_pass {fpm.socket}; ... root {fpm.root}; ...")
"""

import contextlib
import glob
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from signal import SIGKILL, SIGTERM

import beamgate
from chat_example import free_port


def program():
    found = shutil.which("php-fpm") or next(iter(sorted(glob.glob("/usr/sbin/php-fpm*"))), None)
    if not found:
        raise AssertionError("php-fpm is missing; ./packaging/install-dependencies test installs it")
    return found


class PhpFpm:
    """scripts: text by name, below `root`.  address: the port's; socket: the unix socket's."""

    def __init__(self, scripts=(), children=4, settings="", env=()):
        self.directory = tempfile.TemporaryDirectory(prefix="beamgate-php-")
        os.chmod(self.directory.name, 0o755)
        base = Path(self.directory.name)
        self.root = base / "www"
        self.root.mkdir()
        for name, text in dict(scripts).items():
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_text(text)
        self.socket_path = str(base / "php.sock")
        self.socket = "unix:" + self.socket_path
        self.address = f"127.0.0.1:{free_port()}"
        as_root = os.geteuid() == 0
        pool = "user = nobody\ngroup = nogroup\n" if as_root else ""
        variables = "".join(f'env[{name}] = "{value}"\n' for name, value in dict(env).items())
        for name, listen in (("unix", self.socket_path), ("tcp", self.address)):
            (base / f"{name}.pool").write_text(
                f"[{name}]\n{pool}listen = {listen}\nlisten.mode = 0666\npm = static\npm.max_children = {children}\n"
                f"catch_workers_output = no\nphp_admin_value[upload_tmp_dir] = /tmp\n"
                f"php_admin_value[output_buffering] = 0\n"
                f"php_admin_value[upload_max_filesize] = 64M\nphp_admin_value[post_max_size] = 64M\n{variables}{settings}\n")
        (base / "fpm.conf").write_text(f"[global]\nerror_log = {base}/fpm.log\ndaemonize = no\n"
                                       f"include = {base}/*.pool\n")
        self.command = [program(), "--nodaemonize", "-y", str(base / "fpm.conf")]
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, start_new_session=True, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        beamgate.until(self._serves, 60, "php-fpm listening")

    def _serves(self):
        if self.process.poll() is not None:
            raise AssertionError(f"php-fpm ended with {self.process.returncode}: {self.log()}")
        try:
            with socket.socket(socket.AF_UNIX) as unix:
                unix.connect(self.socket_path)
            host, port = self.address.split(":")
            socket.create_connection((host, int(port))).close()
        except OSError:
            return False
        return True

    def log(self):
        path = Path(self.directory.name) / "fpm.log"
        return path.read_text() if path.exists() else ""

    def kill(self, number=SIGKILL):
        """Ends the master and its children, by their process ids."""
        def gone():  # A master that is still there replaces a child.
            members = beamgate.session_members(self.process.pid)
            for pid in members:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            return not members

        beamgate.until(gone, 20, "php-fpm's end")
        self.process.wait(20)

    def close(self):
        if self.process.poll() is None:
            self.kill(SIGTERM)
        self.directory.cleanup()
