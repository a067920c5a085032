"""A PostgreSQL server of its own for a test: a new directory, a unix socket, nobody else's data."""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

OWNER = "postgres"  # PostgreSQL refuses to be root.


def program(name):
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    if not found:
        raise AssertionError("PostgreSQL is not installed: packaging/install-dependencies test")
    return str(found[-1])


class Postgres:
    def __init__(self):
        self.directory = Path(tempfile.mkdtemp(prefix="postgres."))
        self.owner = OWNER if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
        if os.getuid() == 0:
            shutil.chown(self.directory, OWNER, OWNER)
        self.data = self.directory / "data"
        self.dsn = f"host={self.directory} user={self.owner} dbname=postgres"
        self._run(program("initdb"), "-D", self.data, "-A", "trust", "-U", self.owner, "--no-sync")
        self.process = None
        self.start()

    def _as_owner(self):
        if os.getuid() != 0:
            return {}
        entry = pwd.getpwnam(OWNER)
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}

    def _run(self, *command):
        subprocess.run(command, check=True, cwd=self.directory, stdout=subprocess.DEVNULL, **self._as_owner())

    def start(self):
        self._run(program("pg_ctl"), "start", "-w", "-D", self.data, "-l", self.directory / "log", "-o",
                  f"-k {self.directory} -c listen_addresses='' -c fsync=off -c shared_buffers=16MB")

    def stop(self):
        self._run(program("pg_ctl"), "stop", "-w", "-m", "fast", "-D", self.data)

    def close(self):
        if (self.data / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)
