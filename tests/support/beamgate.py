"""Starts the real gateway for a test, watches it, and ends it by its process ids, whatever happens.

    class Echo(beamgate.TestCase):
        def test_text(self):
            gateway = self.gateway("server { listen 127.0.0.1:0; location / { websocket echo; } }")
            with ws_client.connect(gateway.address()) as socket: ...

    if __name__ == "__main__":
        beamgate.main()

The binary is BEAMGATE_BINARY.  It runs in the foreground with a prefix directory of its own; port 0 and
the "listening" and "ready" lines on its standard error tell when and where it serves.  Ending it checks the
exit code, that no process of its session is left, and that no sanitizer and no assertion spoke.
"""

import contextlib
import ctypes
import faulthandler
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path
from signal import SIGKILL, SIGTERM

import http_client
from backend import Backend
from wire import Timeout

SOURCE_ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 40
TEST_TIMEOUT_S = 870  # Below CTest's own, so that a hanging test says where it hangs.
PR_SET_PDEATHSIG = 1
REPORTS = re.compile(r"ERROR: AddressSanitizer|runtime error:|LeakSanitizer|ThreadSanitizer|assertion failed|"
                     r"Assertion .* failed|terminate called", re.IGNORECASE)

DEATHS = re.compile(r"\[alert\].*\bworker_(?:exited|died)\b.*")

libc = ctypes.CDLL(None, use_errno=True)


def end_with_parent():
    """For a child's preexec_fn."""
    libc.prctl(PR_SET_PDEATHSIG, SIGKILL)


def binary():
    path = os.environ.get("BEAMGATE_BINARY") or SOURCE_ROOT / "build" / "release" / "beamgate"
    if not os.path.exists(path):
        sys.exit(f"there is no {path}: build the preset \"release\", or name another binary"
                 " (BEAMGATE_BINARY; benches and soak: --binary)")
    return os.path.abspath(path)


def sanitized():
    """True when the binary is built with AddressSanitizer: it is slower and its memory figures mean nothing."""
    with open(binary(), "rb") as file:
        return b"__asan_init" in file.read()


def until(condition, timeout=10, what="the condition"):
    """Looks again and again for what no event announces; gives what condition() gave."""
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Timeout(f"{what} did not come true within {timeout} s")
        pause.wait(0.005)


def children(pid):
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
        return [int(child) for task in tasks
                for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def is_alive(pid):
    """False for a zombie too."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def session_members(session):
    """Living processes of a session."""
    members = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == session and fields[0] not in "ZX":
                    members.append(int(entry))
    return members


def memory(pid):
    """Bytes by name from smaps_rollup: Rss, Pss, Private_Dirty, Anonymous, ..."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {name.rstrip(":"): int(value) * 1024 for name, value, *_ in map(str.split, lines)}


def command_line(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()


class StartFailed(AssertionError):
    pass


class Gateway:
    """One gateway: a master with its workers.

    http, main, events are put into the blocks of a configuration made for tests; `config` replaces all of
    it.  files: name to text, written beside it.  arguments: given to the binary after -p and -c.
    binary: another binary than BEAMGATE_BINARY.
    """

    def __init__(self, http="", main="", events="", workers=2, config=None, files=None, arguments=(), env=None,
                 log_level="info", binary=None):
        self.directory = Path(tempfile.mkdtemp(prefix="beamgate-test-"))
        self.directory.chmod(0o755)
        self.config_path = self.directory / "beamgate.conf"
        self.shape = {"http": http, "main": main, "events": events, "workers": workers, "log_level": log_level}
        self.write_config(config)
        for name, text in (files or {}).items():
            path = self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text) if isinstance(text, str) else path.write_bytes(text)
        self.arguments = list(arguments)
        self.binary = binary
        self.env = {**os.environ,
                    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=0:exitcode=99",
                    "UBSAN_OPTIONS": "print_stacktrace=1:exitcode=99", **(env or {})}
        self.process = None
        self.sessions = []  # Of every master that was started.
        self.lines = []
        self.changed = threading.Condition()
        self.readers = []
        self.deaths_expected = False
        self.reports_expected = None

    # Configuration.

    def compose(self, http, main, events, workers, log_level):
        user = "user root;\n" if os.geteuid() == 0 and "user " not in main else ""
        return (f"daemon off;\npid beamgate.pid;\nerror_log stderr {log_level};\nworker_processes {workers};\n"
                f"{user}{main}\nevents {{\n{events}\n}}\nhttp {{\n{http}\n}}\n")

    def write_config(self, config=None, **changes):
        """Writes the whole text given, or the test configuration with some of its parts changed."""
        self.shape.update(changes)
        fresh = self.directory / "beamgate.conf.new"
        fresh.write_text(self.compose(**self.shape) if config is None else config)
        fresh.rename(self.config_path)  # At once: a reload must never read half of it.

    def path(self, name):
        return self.directory / name

    # Starting.

    def command(self, *arguments):
        return [str(self.binary or binary()), "-p", str(self.directory), "-c", str(self.config_path), *self.arguments, *arguments]

    END = "(end of standard error)"

    def start(self, wait=True):
        # At once, for those who read what an earlier master's processes say to the last: only then nobody is left.
        with self.changed:
            self.lines = [line for line in self.lines if line != self.END]
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                env=self.env, cwd=self.directory, start_new_session=True, preexec_fn=end_with_parent)
            self.sessions.append(self.process.pid)
            self.readers.append(threading.Thread(target=self._read_stderr, args=(self.process.stderr,), daemon=True))
            self.readers[-1].start()
        if wait:
            self.wait_ready()
        return self

    def _read_stderr(self, stderr):
        with stderr:
            for line in stderr:
                with self.changed:
                    self.lines.append(line.decode("utf-8", "replace").rstrip("\n"))
                    self.changed.notify_all()
        with self.changed:
            if not any(reader.is_alive() for reader in self.readers if reader is not threading.current_thread()):
                self.lines.append(self.END)
            self.changed.notify_all()

    def lose_master(self):
        """SIGKILL of the master alone."""
        self.process.kill()
        self.process.wait()

    def start_another_master(self, wait=True):
        """In the place of one that was lost."""
        mark = self.log_mark()
        self.start(wait=False)
        if wait:
            self.wait_log(r"\breattached workers=(\d+)", after=mark, timeout=START_TIMEOUT_S)
        return self

    def wait_ready(self, timeout=START_TIMEOUT_S):
        self.wait_log(r"\bready workers=(\d+)", timeout=timeout)

    def run(self, *arguments, timeout=30):
        """The binary run once with this configuration and more arguments, as `beamgate -t` is."""
        return subprocess.run(self.command(*arguments), capture_output=True, text=True, timeout=timeout,
                              env=self.env, cwd=self.directory)

    # Looking.

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        with self.changed:
            return "\n".join(self.lines)

    def log_mark(self):
        """A position for wait_log(after=...)."""
        with self.changed:
            return len(self.lines)

    def wait_log(self, pattern, count=1, timeout=10, after=0):
        """The count-th match of a regular expression on a line of standard error."""
        expression = re.compile(pattern)
        deadline = time.monotonic() + timeout
        with self.changed:
            while True:
                found = [m for m in map(expression.search, self.lines[after:]) if m]
                if len(found) >= count:
                    return found[count - 1]
                if self.lines and self.lines[-1] == self.END:
                    raise StartFailed(f"ended without {pattern!r}:\n" + "\n".join(self.lines))
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Timeout(f"no {pattern!r} within {timeout} s:\n" + "\n".join(self.lines[-60:]))
                self.changed.wait(left)

    def addresses(self):
        with self.changed:
            found = [re.search(r"\blistening address=(\S+)", line) for line in self.lines]
        return [match.group(1) for match in found if match]

    def address(self, index=0):
        """The index-th listening address, in the order the gateway names them."""
        return self.addresses()[index]

    def members(self):
        """Living processes of this gateway."""
        return [pid for session in self.sessions for pid in session_members(session)]

    def pids_titled(self, title):
        """Living processes whose command line begins so, oldest first as long as process ids do not wrap."""
        found = []
        for pid in self.members():
            with contextlib.suppress(OSError):
                if command_line(pid).startswith(title):
                    found.append(pid)
        return sorted(found)

    def worker_pids(self):
        return self.pids_titled("beamgate: worker process")

    def wait_workers(self, count, timeout=10):
        return until(lambda: len(self.worker_pids()) == count and self.worker_pids(), timeout, f"{count} workers")

    def memory(self):
        """smaps_rollup of all workers, added up."""
        total = {}
        for pid in self.worker_pids():
            for name, value in memory(pid).items():
                total[name] = total.get(name, 0) + value
        return total

    def metrics(self, index=0, path="/metrics"):
        """Rows of the text exposition: "name" or 'name{label="x"}' to float."""
        text = http_client.get(self.address(index), path).text
        rows = [line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#")]
        return {name: float(value) for name, _, value in rows}

    # Acting and ending.

    def signal(self, number):
        os.kill(self.pid, number)

    def wait_exit(self, timeout=STOP_TIMEOUT_S):
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Timeout(f"still running after {timeout} s:\n" + "\n".join(self.lines[-60:])) from None

    def stop(self, number=SIGTERM, timeout=STOP_TIMEOUT_S, code=0):
        """Ends the gateway and checks how it ends."""
        self.signal(number)
        self.check_ended(timeout, code)

    def check_ended(self, timeout=STOP_TIMEOUT_S, code=0):
        actual = self.wait_exit(timeout)
        if actual != code:
            raise AssertionError(f"exit code {actual}, expected {code}:\n{self.log()[-6000:]}")
        left = self.members()
        if left:
            raise AssertionError(f"processes left: {[(pid, command_line(pid)) for pid in left]}")
        self.join_readers()
        self.check_reports()

    def join_readers(self):
        for reader in self.readers:
            reader.join(10)

    def expect_deaths(self, reports=None):
        """Workers may end otherwise than told to: the test kills some.  reports: what they may say then (regex)."""
        self.deaths_expected = True
        self.reports_expected = reports

    def check_reports(self):
        """Sanitizers and assertions must not have spoken, in any process, and no worker died by itself."""
        log = re.sub(self.reports_expected, "", self.log()) if self.reports_expected else self.log()
        found = REPORTS.search(log) or (not self.deaths_expected and DEATHS.search(log))
        if found:
            raise AssertionError(f"{found.group(0)}:\n{self.log()[-20000:]}")

    def kill(self):
        """Ends every process of this gateway by its id, at once."""
        if self.process is None:
            return
        for pid in self.members():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, SIGKILL)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def close(self):
        """Stops with all checks when it still runs, and leaves nothing behind in any case."""
        try:
            if self.process is not None and self.process.poll() is None:
                self.stop()
            elif self.process is not None:
                self.check_reports()
        finally:
            self.kill()
            self.join_readers()
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self if self.process else self.start()

    def __exit__(self, *_):
        self.close()


class TestCase(unittest.TestCase):
    def gateway(self, http="", start=True, **options):
        """A started gateway that is stopped and checked when the test ends."""
        gateway = Gateway(http, **options)
        self.addCleanup(gateway.close)
        return gateway.start() if start else gateway

    def backend(self, *arguments, **options):
        backend = Backend(*arguments, **options)
        self.addCleanup(backend.close)
        return backend

    def track(self, closable):
        """Closes a client when the test ends."""
        self.addCleanup(getattr(closable, "close", None) if not hasattr(closable, "wire") else closable.wire.close)
        return closable


def main():
    faulthandler.dump_traceback_later(TEST_TIMEOUT_S, exit=True)
    unittest.main(verbosity=2)
