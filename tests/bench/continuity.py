#!/usr/bin/python3
"""Measures what continuity costs and how long its pauses are; prints a line for each figure.

    cmake --preset release && cmake --build build/release --target beamgate bench
    tests/bench/continuity.py                        # everything; --only kill,master,hup,usr2,memory,cost for some
    tests/bench/continuity.py --only kill --kills 1000
    tests/bench/continuity.py --only usr2 --next build/release/beamgate_next

The connections are held by several oracles (tests/support/oracle.py), each a process, which check every byte; any
fault ends the run with status 1.  A pause is the longest silence of a busy connection around one event, so it holds
what the clients themselves take; the same span without an event is printed beside it.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from signal import SIGHUP, SIGKILL, SIGUSR2

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))

import beamgate  # noqa: E402
from continuity import HTTP  # noqa: E402
from oracle import percentile  # noqa: E402
from run import LOAD_CORES, Server, pin  # noqa: E402

CONNECTIONS_PER_CLIENT = 5000
QUIET_S = 0.3  # Of ordinary load before an event, so that its silences are its own.
SETTLE_S = 60


class Crowd:
    """Client processes, `connections` in all, of which `busy` talk without a pause."""

    def __init__(self, address, connections, busy):
        self.clients = []
        for first in range(0, connections, CONNECTIONS_PER_CLIENT):
            count = min(CONNECTIONS_PER_CLIENT, connections - first)
            self.clients.append(subprocess.Popen(
                [sys.executable, "-B", str(ROOT / "tests" / "support" / "oracle.py"), address, "--connections", str(count),
                 "--busy", str(max(1, busy * count // connections)), "--depth", "2", "--first", str(first),
                 "--silence-max", str(SETTLE_S)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        for client in self.clients:
            if client.stdout.readline() != "open\n":
                raise SystemExit("a client could not open its connections")

    def ask(self, word):
        for client in self.clients:
            client.stdin.write(word + "\n")
            client.stdin.flush()
        return [json.loads(client.stdout.readline()) for client in self.clients]

    def mark(self):
        """Milliseconds of silence, one for each connection that waited since the last mark."""
        answers = self.ask("mark")
        for answer in answers:
            if answer["faults"]:
                self.finish()
        return [silence * 1000 for answer in answers for silence in answer["silences"]]

    def finish(self):
        reports = self.ask("finish")
        self.close()
        wrong = [fault for report in reports for fault in report["first_faults"]]
        if wrong:
            raise SystemExit("faults: " + "; ".join(wrong))
        return sum(report["messages"] for report in reports)

    def close(self):
        for client in self.clients:
            client.stdin.close()
            client.wait(60)
            client.stdout.close()


class Bench:
    def __init__(self, options):
        self.options = options
        self.pause = threading.Event()

    def start(self, main="", binary=None):
        limit = "worker_rlimit_nofile 20000;" if os.geteuid() == 0 else ""
        return beamgate.Gateway(HTTP, main=limit + main, workers=1, events="worker_connections 19000;",
                                log_level="notice", binary=binary).start()

    def row(self, what, figure, more=""):
        print(f"{what:52} {figure}  {more}", flush=True)

    def events(self, what, gateway, act, count, busy):
        """Lets `act` happen `count` times under load; prints the pauses."""
        gateway.expect_deaths()
        crowd = Crowd(gateway.address(), self.options.connections, busy)
        worst, all_silences, base = [], [], []
        begun = time.monotonic()
        for _ in range(count):
            crowd.mark()
            self.pause.wait(QUIET_S)
            base.append(max(crowd.mark(), default=0))
            act()
            self.pause.wait(QUIET_S)
            silences = crowd.mark()
            all_silences += silences
            worst.append(max(silences, default=0))
        messages = crowd.finish()
        gateway.close()
        self.row(f"{what}: worst pause of each, x {count}",
                 f"median {percentile(worst, 0.5):.1f} ms, p99 {percentile(worst, 0.99):.1f} ms, max {max(worst):.1f} ms",
                 f"(without: median {percentile(base, 0.5):.1f} ms, max {max(base):.1f} ms)")
        self.row(f"{what}: pauses of {busy} busy of {self.options.connections}",
                 f"median {percentile(all_silences, 0.5):.1f} ms, p99 {percentile(all_silences, 0.99):.1f} ms",
                 f"{messages:,} messages, 0 wrong, 0 closed, {time.monotonic() - begun:.0f} s")

    def new_worker(self, gateway, act):
        """Does it, and waits until the worker is another process."""
        before = gateway.worker_pids()
        act()
        beamgate.until(lambda: (now := gateway.worker_pids()) and len(now) == len(before) and not set(now) & set(before),
                       SETTLE_S, "a new worker")

    def kill(self):
        gateway = self.start()
        self.events("SIGKILL of the worker", gateway, lambda: self.new_worker(
            gateway, lambda: os.kill(gateway.worker_pids()[0], SIGKILL)), self.options.kills, self.options.busy)
        adopting = [int(us) / 1000 for us in re.findall(r"worker_adopted .*\bus=(\d+)", gateway.log())]
        if adopting:
            self.row("of which the successor adopts the connections", f"median {percentile(adopting, 0.5):.1f} ms, "
                     f"p99 {percentile(adopting, 0.99):.1f} ms, max {max(adopting):.1f} ms")

    def master(self):
        """SIGKILL of the master, and another one that is started at once."""
        gateway = self.start()
        times = []

        def replace():
            begun = time.monotonic()
            gateway.lose_master()
            gateway.start_another_master()
            times.append((time.monotonic() - begun) * 1000)

        self.events("SIGKILL of the master", gateway, replace, self.options.events, self.options.busy)
        self.row("from the kill until the next master relays", f"median {percentile(times, 0.5):.0f} ms, "
                 f"max {max(times):.0f} ms")

    def hup(self):
        gateway = self.start()

        def reload():
            mark = gateway.log_mark()
            gateway.signal(SIGHUP)
            gateway.wait_log(r"\breloaded\b", after=mark, timeout=SETTLE_S)

        self.events("HUP, settings only", gateway, reload, self.options.events, self.options.busy)
        gateway = self.start()

        def resize():
            count = 2 if len(gateway.worker_pids()) == 1 else 1
            gateway.write_config(workers=count)
            gateway.signal(SIGHUP)
            gateway.wait_workers(count, SETTLE_S)

        self.events("HUP, one worker to two and back", gateway, resize, self.options.events, self.options.busy)

    def usr2(self):
        with tempfile.TemporaryDirectory(prefix="beamgate-binary-") as directory:
            installed = Path(directory, "beamgate")
            binaries = [self.options.next or self.options.binary, self.options.binary]
            shutil.copy(self.options.binary, installed)
            gateway = self.start(binary=installed)

            def upgrade():
                fresh = installed.with_suffix(".new")
                shutil.copy(binaries[0], fresh)
                fresh.rename(installed)
                binaries.reverse()
                self.new_worker(gateway, lambda: gateway.signal(SIGUSR2))

            self.events("USR2", gateway, upgrade, self.options.events, self.options.busy)

    def memory(self):
        """Of one idle WebSocket, in user space of all processes, with the keeper on and off, and of another build."""
        kinds = [(f"worker_keeper {keeper}", f"worker_keeper {keeper};", None) for keeper in ("on", "off")]
        if self.options.before:
            kinds.append((f"{self.options.before}", "", self.options.before))
        for kind, directives, binary in kinds:
            gateway = self.start(directives, binary)

            def resident():
                return sum(beamgate.memory(pid)["Pss"] for pid in gateway.members())
            warm = Crowd(gateway.address(), 500, 1)
            warm.finish()
            before = resident()
            crowd = Crowd(gateway.address(), self.options.connections, 1)
            each = (resident() - before) / self.options.connections
            crowd.finish()
            gateway.close()
            self.row(f"memory per idle WebSocket, {kind}", f"{each:,.0f} B",
                     f"{self.options.connections:,} connections; {before / 1024:,.0f} KiB before the first")

    def cost(self):
        """Echo throughput with and without a keeper, turn about in one run."""
        if not self.options.wsload.exists():
            raise SystemExit(f"no {self.options.wsload}: cmake --build build/release --target bench")
        gateways = {keeper: self.start(f"worker_keeper {keeper};") for keeper in ("on", "off")}
        servers = {keeper: Server(keeper, gateway.address().rpartition(":")[2], gateway.worker_pids, None)
                   for keeper, gateway in gateways.items()}
        for server in servers.values():
            pin(server.pids())
        for depth in (1, 16):
            rates, costs = {"on": [], "off": []}, {"on": [], "off": []}
            for turn in range(self.options.rounds * 2):
                keeper = ("on", "off")[(turn + turn // 2) % 2]  # on off off on on off ...: drift is fair to both.
                server = servers[keeper]
                before = server.cpu_seconds()
                done = subprocess.run(["taskset", "-c", LOAD_CORES, str(self.options.wsload), "echo", "--path", "/echo",
                                       "--connections", "64", "--depth", str(depth), "--size", "64", "--seconds", "2",
                                       "--port", server.port], capture_output=True, text=True, check=True)
                result = json.loads(done.stdout)
                rates[keeper].append(result["per_second"])
                costs[keeper].append((server.cpu_seconds() - before) / result["answers"] * 1e6)
            on, off = (percentile(rates[keeper], 0.5) for keeper in ("on", "off"))
            cpu_on, cpu_off = (percentile(costs[keeper], 0.5) for keeper in ("on", "off"))
            self.row(f"echo 64 B, {depth} in flight: rate with a keeper / without", f"{on / off:.3f}",
                     f"{on:,.0f}/s and {off:,.0f}/s; worker CPU {cpu_on:.2f} and {cpu_off:.2f} us each, "
                     f"{cpu_on / cpu_off:.3f}; medians of {self.options.rounds} x 2 s each, turn about")
        for gateway in gateways.values():
            gateway.close()


def main():
    figures = ("kill", "master", "hup", "usr2", "memory", "cost")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, default=ROOT / "build" / "release" / "beamgate")
    parser.add_argument("--next", type=Path, help="another build to upgrade to and back")
    parser.add_argument("--before", type=Path, help="an older build whose memory is to be measured as well")
    parser.add_argument("--wsload", type=Path, default=ROOT / "build" / "release" / "tests" / "wsload")
    parser.add_argument("--only", default=",".join(figures), help="of: " + ", ".join(figures))
    parser.add_argument("--connections", type=int, default=15_000)
    parser.add_argument("--busy", type=int, default=30)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--events", type=int, default=20, help="reloads and upgrades")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    os.environ["BEAMGATE_BINARY"] = str(options.binary)
    bench = Bench(options)
    for figure in options.only.split(","):
        if figure not in figures:
            parser.error(f"no such figure: {figure}")
        getattr(bench, figure)()


if __name__ == "__main__":
    main()
