#!/usr/bin/python3
"""Measures BeamGate beside peers in the same run and prints a table, with the command of every figure.

    cmake --preset release && cmake --build build/release --target beamgate bench
    tests/bench/run.py                       # everything; --only echo,fanout for some, --quick for a first look

One worker serves on the first core, the load runs on the others.  Peers are measured where they are installed:
the npm package ws (npm ci --prefix tests/support), nginx (nginx-light) and nchan (libnginx-mod-nchan).
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))

import beamgate  # noqa: E402
from chat_example import free_port  # noqa: E402

NCHAN = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
TICKS = os.sysconf("SC_CLK_TCK")
SERVER_CORE, LOAD_CORES = "0", ",".join(map(str, range(1, os.cpu_count() or 2))) or "0"

CONFIG = """
{webhook}
server {{
    listen 127.0.0.1:0 backlog=65535;
    keepalive_requests 1000000000;
    location = /echo {{ websocket echo; websocket_message_max 2m; websocket_send_queue 8m; }}
    location = /hub {{ websocket raw; websocket_subscribe bench; }}
    location = /app {{ websocket raw; {use_webhook} }}
    location = /hello {{ return 200 "hello, world"; }}
    location /api/ {{ api on; }}
}}
"""


class Server:
    """Something under load: its port, its processes, its end."""

    def __init__(self, name, port, pids, close):
        self.name, self.port, self.pids, self.close = name, port, pids, close

    def cpu_seconds(self):
        total = 0
        for pid in self.pids():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICKS

    def resident(self):
        return sum(beamgate.memory(pid)["Rss"] for pid in self.pids())


def pin(pids):
    for pid in pids:
        os.sched_setaffinity(pid, {int(SERVER_CORE)})


def start_beamgate(app_port=None, connections=100_000):
    webhook = f"webhook app {{ url http://127.0.0.1:{app_port}/; concurrency 1000; timeout 30s; }}" if app_port else ""
    http = CONFIG.format(webhook=webhook, use_webhook="webhook app;" if app_port else "")
    gateway = beamgate.Gateway(http, workers=1, events=f"worker_connections {connections};", log_level="notice",
                               main="worker_rlimit_nofile 1048576;" if os.geteuid() == 0 else "").start()
    pin([gateway.pid, *gateway.worker_pids()])
    port = int(gateway.address().rpartition(":")[2])
    return Server("BeamGate", port, lambda: [gateway.pid, *gateway.worker_pids()], gateway.close)


def start_ws():
    script = ROOT / "tests" / "bench" / "peer_ws.js"
    if not (ROOT / "tests" / "support" / "node_modules" / "ws").exists():
        return None
    process = subprocess.Popen(["node", str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    port = int(process.stdout.readline().split()[1])
    pin([process.pid])
    return Server("ws (Node)", port, lambda: [process.pid], lambda: end(process))


def start_nginx(nchan):
    if not Path("/usr/sbin/nginx").exists() or (nchan and not NCHAN.exists()):
        return None
    directory = tempfile.TemporaryDirectory(prefix="beamgate-bench-")
    port = free_port()
    locations = ("location = /sub { nchan_subscriber websocket; nchan_channel_id bench; }"
                 "location = /pub { nchan_publisher; nchan_channel_id bench; nchan_message_buffer_length 10; }"
                 if nchan else 'location = /hello { return 200 "hello, world"; }')
    Path(directory.name, "nginx.conf").write_text(f"""
        {f"load_module {NCHAN};" if nchan else ""}
        daemon off; worker_processes 1; pid nginx.pid; error_log stderr crit; worker_rlimit_nofile 100000;
        events {{ worker_connections 50000; }}
        http {{ access_log off; keepalive_requests 1000000000; server {{ listen 127.0.0.1:{port}; {locations} }} }}""")
    process = subprocess.Popen(["/usr/sbin/nginx", "-p", directory.name, "-c", "nginx.conf"], stderr=subprocess.DEVNULL)
    beamgate.until(lambda: len(beamgate.children(process.pid)) == 1 and answers(port), 10, "nginx")
    pids = [process.pid, *beamgate.children(process.pid)]
    pin(pids)

    def close():
        end(process)
        directory.cleanup()

    return Server("nchan" if nchan else "nginx", port, lambda: pids, close)


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def end(process):
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for stream in (process.stdin, process.stdout):
        if stream:
            stream.close()


class Bench:
    def __init__(self, options):
        self.options = options
        self.rows = []

    def load(self, server, *arguments):
        """Runs wsload; gives its result with the CPU the server took."""
        command = ["taskset", "-c", LOAD_CORES, str(self.options.wsload), *map(str, arguments), "--port", str(server.port)]
        before = server.cpu_seconds()
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)}:\n{done.stderr}")
        result = json.loads(done.stdout)
        result["cpu"] = server.cpu_seconds() - before
        result["command"] = "wsload " + " ".join(map(str, arguments))
        return result

    def row(self, what, server, figure, more=""):
        self.rows.append((what, server.name, figure, more))
        print(f"{what:44} {server.name:10} {figure:>16}  {more}", flush=True)

    def with_servers(self, starters, measure):
        for start in starters:
            server = start()
            if server is None:
                continue
            try:
                measure(server)
            finally:
                server.close()

    def echo(self):
        seconds = 2 if self.options.quick else 5
        for size, depth in ((64, 1), (64, 16), (1024, 1), (1024, 16), (100_000, 1), (1_000_000, 1)):
            def measure(server):
                result = self.load(server, "echo", "--path", "/echo", "--connections", 64, "--depth", depth,
                                   "--size", size, "--seconds", seconds)
                latency = f"p50 {result['p50_us']:.0f} us, p99 {result['p99_us']:.0f} us; " if depth == 1 else ""
                self.row(f"echo {size} B, {depth} in flight", server, f"{result['per_second']:,.0f}/s",
                         latency + result["command"])
            self.with_servers((start_beamgate, start_ws), measure)

    def http(self):
        for depth in (1, 16):
            def measure(server):
                result = self.load(server, "http", "--path", "/hello", "--connections", 64, "--depth", depth,
                                   "--seconds", 2 if self.options.quick else 5)
                self.row(f"HTTP GET, {depth} in flight", server, f"{result['per_second']:,.0f}/s", result["command"])
            self.with_servers((start_beamgate, lambda: start_nginx(nchan=False)), measure)

    def fanout(self):
        places = {"BeamGate": ("/hub", "/api/publish?channel=bench"), "ws (Node)": ("/room", "/publish"),
                  "nchan": ("/sub", "/pub")}
        for subscribers, publications in ((1000, 2000), (10_000, 200)):
            def measure(server):
                path, publish = places[server.name]
                result = self.load(server, "fanout", "--path", path, "--publish-path", publish,
                                   "--publish-field", "Content-Type: application/octet-stream",
                                   "--connections", subscribers, "--publications", publications, "--size", 64)
                cpu = result["cpu"] / result["answers"] * 1e6
                self.row(f"fan-out 64 B to {subscribers:,}", server, f"{result['per_second']:,.0f}/s",
                         f"{cpu:.2f} CPU s per million (handshakes included); {result['command']}")
            self.with_servers((start_beamgate, start_ws, lambda: start_nginx(nchan=True)), measure)

    def webhook(self):
        app = subprocess.Popen(["taskset", "-c", LOAD_CORES, str(self.options.wsload), "app"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
        try:
            port = int(app.stdout.readline().split()[1])
            for connections in (1, 64, 512):
                def measure(server):
                    result = self.load(server, "echo", "--path", "/app", "--connections", connections, "--size", 64,
                                       "--seconds", 2 if self.options.quick else 5)
                    self.row(f"webhook round trips, {connections} clients", server, f"{result['per_second']:,.0f}/s",
                             f"p50 {result['p50_us']:.0f} us, p99 {result['p99_us']:.0f} us; {result['command']}")
                self.with_servers((lambda: start_beamgate(app_port=port),), measure)
        finally:
            end(app)

    def idle(self):
        count = self.options.idle
        for path in ("/echo", "/hub"):
            def measure(server):
                target = path if server.name == "BeamGate" or path == "/echo" else "/room"
                warm = self.hold(server, target, 500)
                held = self.hold(server, target, count)
                each = (held["resident"] - warm["resident_before"]) / count
                kernel = (held["available_before"] - held["available"] - (held["resident"] - held["resident_before"])) / count
                what = "idle WebSocket" + (", subscribed" if path == "/hub" else "")
                self.row(f"{what}, {count:,}", server, f"{each:,.0f} B each",
                         f"user space; with both kernel sockets and the client {each + kernel:,.0f} B; "
                         f"{count / held['seconds']:,.0f} handshakes/s; wsload idle --path {target} --connections {count}")
            self.with_servers((start_beamgate, start_ws), measure)

    def hold(self, server, path, count):
        """Opens `count` idle connections and looks at the server's memory while they stand."""
        before, available = server.resident(), mem_available()
        processes = max(1, count // 15_000)
        process = subprocess.Popen(
            ["taskset", "-c", LOAD_CORES, str(self.options.wsload), "idle", "--path", path, "--connections", str(count),
             "--processes", str(processes), "--port", str(server.port)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            seconds = json.loads(process.stdout.readline())["seconds"]
            return {"resident_before": before, "resident": server.resident(), "available_before": available,
                    "available": mem_available(), "seconds": seconds}
        finally:
            process.stdin.close()
            process.wait(60)
            process.stdout.close()


def mem_available():
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no MemAvailable")


def main():
    suites = ("idle", "echo", "fanout", "webhook", "http")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, default=ROOT / "build" / "release" / "beamgate")
    parser.add_argument("--wsload", type=Path, default=ROOT / "build" / "release" / "tests" / "wsload")
    parser.add_argument("--only", default=",".join(suites), help="of: " + ", ".join(suites))
    parser.add_argument("--idle", type=int, default=15_000, help="idle connections to hold")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    os.environ["BEAMGATE_BINARY"] = str(options.binary)
    bench = Bench(options)
    for suite in options.only.split(","):
        if suite not in suites:
            parser.error(f"no such measurement: {suite}")
        getattr(bench, suite)()


if __name__ == "__main__":
    main()
