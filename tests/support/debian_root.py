"""A clean Debian 12 to install packages into: made once by debootstrap, entered by chroot, or booted with systemd.

    archive = debian_root.archive(directory, "root", ["libuv1"])    # needs root, and the network the first time
    root = debian_root.Root(path)                                   # in namespaces of its own: see packaging/test-deb
    root.dpkg("-i", "/srv/beamgate.deb")
"""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import signal
import socket
import stat
import struct
import subprocess
import tempfile
from pathlib import Path

import beamgate
import http_client

MIRROR = os.environ.get("MIRROR", "http://deb.debian.org/debian")
ADDRESS = "127.0.0.1:8080"
PID_FILE = "run/beamgate/beamgate.pid"
# Written by dpkg and by the making of a user, whatever the package; the user stays, as README.Debian says.
NOT_THE_PACKAGES = re.compile(r"(var/lib/dpkg|var/log/(dpkg|alternatives)|var/cache/(ldconfig|debconf|apt)|tmp|"
                              r"etc/(passwd|group|shadow|gshadow)-?$|var/lib/systemd/deb-systemd|var/lib/logrotate)")


def run(*command, **options):
    return subprocess.run(list(map(str, command)), check=True, text=True, **options)


def until(condition, what, timeout=60):
    """As beamgate.until, of what may not be there yet."""
    def value():
        with contextlib.suppress(OSError):
            return condition()

    return beamgate.until(value, timeout, what)


def archive(directory, name, packages):
    """A tar file with these packages and what they need; kept in the directory."""
    made, note = directory / f"{name}.tar", directory / f"{name}.packages"
    wanted = ",".join(packages)
    if not (made.exists() and note.exists() and note.read_text() == wanted):
        with tempfile.TemporaryDirectory(dir=directory) as root:
            run("debootstrap", "--variant=minbase", f"--include={wanted}", "bookworm", root, MIRROR,
                stdout=subprocess.DEVNULL)
            shutil.rmtree(Path(root, "var/cache/apt/archives"), ignore_errors=True)
            os.chmod(root, 0o755)
            run("tar", "-C", root, "-cf", made, ".")
        note.write_text(wanted)
    return made


def raise_loopback():
    """In a network namespace that is new."""
    up = struct.pack("16sH", b"lo", 0x1 | 0x40)  # IFF_UP, IFF_RUNNING
    with socket.socket() as control:
        fcntl.ioctl(control, 0x8914, up)  # SIOCSIFFLAGS


def describe(path):
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return os.readlink(path)
    content = hashlib.sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(status.st_mode) else ""
    return oct(status.st_mode), status.st_uid, status.st_gid, content


class Root:
    """The clean system without an init, and what runs in it."""

    def __init__(self, path):
        self.path = path
        self.server = None
        self.enter = ["chroot", str(path)]
        run("mount", "-t", "proc", "proc", path / "proc")
        run("mount", "--bind", "/dev", path / "dev")
        run("mount", "-t", "tmpfs", "tmpfs", path / "run")

    def run(self, *command, check=True):
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
        done = subprocess.run([*self.enter, *map(str, command)], env=environment, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        if check and done.returncode != 0:
            raise SystemExit(f"{command}: status {done.returncode}\n{done.stdout}")
        return done.stdout.strip()

    def dpkg(self, *arguments):
        return self.run("dpkg", "--force-confold", *arguments)

    def start(self):
        # With a process group of its own: the one of the namespaces' first process has no number here.
        self.server = subprocess.Popen(["chroot", str(self.path), "/usr/sbin/beamgate"], start_new_session=True)
        until(lambda: http_client.get(ADDRESS, "/status").status == 200, "an answer on port 8080")

    def master(self):
        return int((self.path / PID_FILE).read_text())

    def workers(self):
        """Processes of the workers' user, keepers too."""
        uid = self.run("id", "-u", "beamgate")
        return self.run("find", "/proc", "-maxdepth", "1", "-user", uid, "-printf", "%f\\n", check=False).split()

    def runs(self, build, *processes):
        """Whether these are of the package that was made with this name; its binary ends with it."""
        return [self.run("tail", "-c", len(build), f"/proc/{pid}/exe", check=False) for pid in processes] == [build] * len(processes)

    def end(self):
        if self.server and self.server.poll() is None:
            self.server.send_signal(signal.SIGTERM)
            self.server.wait(60)

    def snapshot(self):
        """What there is, by path."""
        found = {}
        for directory, names, files in os.walk(self.path):
            at = Path(directory).relative_to(self.path)
            names[:] = [name for name in names if str(at / name) not in ("proc", "sys", "dev")]
            for name in names + files:
                path = at / name
                if not NOT_THE_PACKAGES.match(str(path)):
                    found[str(path)] = describe(self.path / path)
        return found


BOOT = """
set -e
echo $$ > $GROUP/cgroup.procs
exec unshare --mount --pid --ipc --uts --cgroup --fork --kill-child sh -e -c '
mount --bind $1 $1
mount -t proc proc $1/proc
mount --bind $1/proc/sys $1/proc/sys
mount -o remount,bind,ro $1/proc/sys
mount -t sysfs -o ro sysfs $1/sys
mount -t cgroup2 cgroup2 $1/sys/fs/cgroup
mount -t tmpfs tmpfs $1/run
mount -t tmpfs -o mode=755 tmpfs $1/dev
for device in null zero full random urandom tty; do
  touch $1/dev/$device
  mount --bind /dev/$device $1/dev/$device
done
mkdir $1/dev/shm $1/dev/pts $1/before
mount -t devpts -o newinstance,ptmxmode=0666 devpts $1/dev/pts
ln -s pts/ptmx $1/dev/ptmx
cd $1
pivot_root . before
umount -l before
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd
' sh $1
"""


class Booted(Root):
    """The clean system with systemd as its process 1."""

    def __init__(self, path):
        self.path = path
        self.server = subprocess.Popen(["sh", "-c", BOOT, "sh", str(path)], stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        children = Path(f"/proc/{self.server.pid}/task/{self.server.pid}/children")
        self.init = int(until(children.read_text, "the namespaces").split()[0])
        self.enter = ["nsenter", "-t", str(self.init), "-m", "-p", "-u", "-i", "-C"]
        until(lambda: self.run("systemctl", "is-system-running", check=False) in ("running", "degraded"), "the boot")

    def start(self):
        """The package has started it."""
        until(lambda: http_client.get(ADDRESS, "/status").status == 200, "an answer on port 8080")

    def master(self):
        return int(self.run("systemctl", "show", "--property=MainPID", "--value", "beamgate"))

    def end(self):
        os.kill(self.init, signal.SIGKILL)
        self.server.wait(60)
