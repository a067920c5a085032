#!/usr/bin/python3
"""Measures BeamGate as a reverse proxy beside nginx and HAProxy, in the same run, and prints ratios.

    apt-get install nginx haproxy wrk nghttp2-client
    cmake --preset release && cmake --build build/release --target beamgate wsload
    tests/bench/edge.py                        # --only tls_idle,http,http2,websocket; --rounds 3; --seconds 3

Each proxy has one worker on the first core; one nginx serves as the origin, and it and the load share the others.
Proxies take turns within every round, so that what the machine does beside it hits all of them alike; a figure is the
median of the rounds, a ratio the median of the rounds' ratios.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import ssl
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))

import beamgate  # noqa: E402
import run  # noqa: E402
from certificates import Authority  # noqa: E402
from chat_example import free_port  # noqa: E402

LARGE = 100 * 1024
KEPT = 512  # Idle connections to the origin: more than there are requests at a time, as HAProxy keeps all of them.
UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


def start_nginx(directory, name, http, ports, core=run.SERVER_CORE):
    place = Path(directory, name)
    place.mkdir()
    Path(place, "nginx.conf").write_text(
        f"daemon off; worker_processes 1; pid nginx.pid; error_log stderr crit; worker_rlimit_nofile 20000;"
        f"events {{ worker_connections 19000; }} http {{ access_log off; keepalive_requests 1000000000;"
        f"client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s; {http} }}")
    process = subprocess.Popen(["/usr/sbin/nginx", "-p", str(place), "-c", "nginx.conf"], stderr=subprocess.DEVNULL)
    beamgate.until(lambda: len(beamgate.children(process.pid)) == 1 and all(map(run.answers, ports)), 10, name)
    pids = [process.pid, *beamgate.children(process.pid)]
    for pid in pids:
        os.sched_setaffinity(pid, set(map(int, core.split(","))))
    return run.Server(name, None, lambda: pids, lambda: run.end(process))


class Edge:
    """The origin and the three proxies: .ports[name] is (plain, tls)."""

    def __init__(self, directory):
        self.directory = directory
        self.servers, self.ports = {}, {}
        self.closing = contextlib.ExitStack()
        self.close = self.closing.close

    def add(self, server, plain, tls):
        self.servers[server.name], self.ports[server.name] = server, (plain, tls)
        self.closing.callback(server.close)

    def start(self):
        directory = self.directory
        pair = Authority(Path(directory, "ca")).issue("localhost")
        both = Path(directory, "both.pem")
        both.write_text(Path(pair.certificate).read_text() + Path(pair.key).read_text())
        files = Path(directory, "files")
        files.mkdir()
        files.chmod(0o755)
        Path(directory).chmod(0o755)
        Path(files, "small").write_text("hello, world")
        Path(files, "large").write_bytes(os.urandom(LARGE))
        origin = free_port()
        self.echo_port = free_port()
        server = start_nginx(directory, "origin", f"server {{ listen 127.0.0.1:{origin}; root {files}; "
                             "open_file_cache max=10; sendfile on; tcp_nopush on; }", [origin], run.LOAD_CORES)
        self.closing.callback(server.close)
        websockets = beamgate.Gateway(f"server {{ listen 127.0.0.1:{self.echo_port}; location / {{ websocket echo; }} }}",
                                      workers=1, log_level="notice").start()
        self.closing.callback(websockets.close)
        for pid in [websockets.pid, *websockets.worker_pids()]:
            os.sched_setaffinity(pid, set(map(int, run.LOAD_CORES.split(","))))
        self.start_beamgate(origin, pair)
        self.start_nginx(origin, pair)
        self.start_haproxy(origin, both)

    def start_beamgate(self, origin, pair):
        plain, tls = free_port(), free_port()
        gateway = beamgate.Gateway(
            f"""upstream origin {{ server 127.0.0.1:{origin}; keepalive {KEPT}; keepalive_requests 1000000000; }}
                keepalive_requests 1000000000; http2 on;
                server {{ listen 127.0.0.1:{plain}; listen 127.0.0.1:{tls} ssl; {pair.directives()}
                  location / {{ proxy_pass http://origin; }} location /ws {{ proxy_pass http://127.0.0.1:{self.echo_port}; }} }}""",
            workers=1, log_level="notice", events="worker_connections 19000;").start()
        pids = [gateway.pid, *gateway.worker_pids()]
        run.pin(pids)
        self.add(run.Server("BeamGate", plain, lambda: pids, gateway.close), plain, tls)

    def start_nginx(self, origin, pair):
        plain, tls = free_port(), free_port()
        http = f"""upstream origin {{ server 127.0.0.1:{origin}; keepalive {KEPT}; keepalive_requests 1000000000; }}
            server {{ listen 127.0.0.1:{plain} backlog=65535; listen 127.0.0.1:{tls} ssl http2 backlog=65535; {pair.directives()}
              ssl_protocols TLSv1.2 TLSv1.3;
              location / {{ proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ""; }}
              location /ws {{ proxy_pass http://127.0.0.1:{self.echo_port}; proxy_http_version 1.1;
                proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }} }}"""
        server = start_nginx(self.directory, "nginx", http, [plain, tls])
        server.port = plain
        self.add(server, plain, tls)

    def start_haproxy(self, origin, both):
        plain, tls = free_port(), free_port()
        path = Path(self.directory, "haproxy.cfg")
        path.write_text(f"""
global
    nbthread 1
    maxconn 9000
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout tunnel 60s
    http-reuse always
frontend edge
    bind 127.0.0.1:{plain} backlog 65535
    bind 127.0.0.1:{tls} backlog 65535 ssl crt {both} alpn h2,http/1.1
    use_backend echo if {{ path /ws }}
    default_backend origin
backend origin
    server o 127.0.0.1:{origin}
backend echo
    server e 127.0.0.1:{self.echo_port}
""")
        if not Path("/usr/sbin/haproxy").exists():
            return
        process = subprocess.Popen(["/usr/sbin/haproxy", "-db", "-f", str(path)], stderr=subprocess.DEVNULL)
        beamgate.until(lambda: run.answers(plain), 10, "haproxy")
        run.pin([process.pid])
        self.add(run.Server("HAProxy", plain, lambda: [process.pid], lambda: run.end(process)), plain, tls)


def wrk(url, seconds, close):
    command = ["taskset", "-c", run.LOAD_CORES, "wrk", "-t1", "-c64", f"-d{seconds}s", "--latency", url]
    if close:
        command[-1:-1] = ["-H", "Connection: close"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    percentile, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", text).groups()
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return {"requests": int(re.search(r"(\d+) requests in", text).group(1)),
            "per_second": float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1)),
            "p99_ms": float(percentile) * UNITS[unit], "failed": int(failed.group(1)) if failed else 0}


class Bench:
    def __init__(self, edge, options):
        self.edge, self.options = edge, options

    def table(self, what, measure, figure, note, rounds_wanted=None):
        """measure(server) gives a dict; figure names what is compared, note what is shown beside it."""
        rounds = {name: [] for name in self.edge.servers}
        for _ in range(rounds_wanted or self.options.rounds):
            for name, server in self.edge.servers.items():
                rounds[name].append(measure(server))
        ours = rounds["BeamGate"]
        for name, results in rounds.items():
            value = statistics.median(result[figure] for result in results)
            ratio = statistics.median(mine[figure] / other[figure] for mine, other in zip(ours, results))
            beside = ", ".join(f"{key} {statistics.median(result[key] for result in results):,.3g}" for key in note)
            print(f"{what:34} {name:9} {value:>12,.2f} {figure:12} BeamGate/it {ratio:5.2f}   {beside}", flush=True)

    def http(self):
        for target in ("small", "large"):
            for tls in (False, True):
                for close in (False, True):
                    def measure(server):
                        port = self.edge.ports[server.name][tls]
                        before = server.cpu_seconds()
                        result = wrk(f"{'https' if tls else 'http'}://127.0.0.1:{port}/{target}", self.options.seconds, close)
                        result["cpu_us"] = (server.cpu_seconds() - before) / max(result["requests"], 1) * 1e6
                        if result["failed"]:
                            raise SystemExit(f"{server.name}: {result['failed']} requests failed")
                        return result
                    what = f"{target}, {'TLS' if tls else 'plain'}, {'new' if close else 'kept'} connections"
                    self.table(what, measure, "per_second", ("p99_ms", "cpu_us"))

    def http2(self):
        for target in ("small", "large"):
            def measure(server):
                before = server.cpu_seconds()
                command = ["taskset", "-c", run.LOAD_CORES, "h2load", "-c", "16", "-m", "16", "-D", str(self.options.seconds),
                           f"https://127.0.0.1:{self.edge.ports[server.name][1]}/{target}"]
                text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
                done, failed = re.search(r"(\d+) done, \d+ succeeded, (\d+) failed", text).groups()
                if int(failed) or "Application protocol: h2" not in text:
                    raise SystemExit(f"{server.name}: {text}")
                return {"per_second": int(done) / self.options.seconds,
                        "cpu_us": (server.cpu_seconds() - before) / int(done) * 1e6}
            self.table(f"{target}, HTTP/2 over TLS, 16 x 16", measure, "per_second", ("cpu_us",))

    def tls_idle(self):
        count = self.options.idle

        def measure(server):
            return asyncio.run(self.hold(server, count))
        # Once, and before any load: what a process has had before is not seen to grow.
        self.table(f"{count} idle TLS connections", measure, "bytes_each", (), rounds_wanted=1)

    async def hold(self, server, count):
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        port = self.edge.ports[server.name][1]

        async def one():
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
            writer.write(b"GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await reader.readuntil(b"hello, world")
            return writer

        async def several(many):
            held = []
            for _ in range(0, many, 50):
                held += await asyncio.gather(*(one() for _ in range(50)))
            return held
        clients = await several(100)  # What the first ones make it set up is not theirs.
        before = server.resident()
        clients += await several(count)
        after = server.resident()
        for client in clients:
            client.transport.abort()
        return {"bytes_each": (after - before) / count}

    def websocket(self):
        def measure(server):
            before = server.cpu_seconds()
            command = ["taskset", "-c", run.LOAD_CORES, str(self.options.wsload), "echo", "--port", str(server.port), "--path",
                       "/ws", "--connections", "64", "--depth", str(depth), "--size", "64", "--seconds", str(self.options.seconds)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode != 0:
                raise SystemExit(done.stderr)
            result = json.loads(done.stdout)
            result["cpu_us"] = (server.cpu_seconds() - before) / result["answers"] * 1e6
            return result
        for depth in (1, 16):
            self.table(f"WebSocket passed on, {depth} in flight", measure, "cpu_us", ("per_second", "p99_us"))


def main():
    suites = ("tls_idle", "http", "http2", "websocket")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, default=ROOT / "build" / "release" / "beamgate")
    parser.add_argument("--wsload", type=Path, default=ROOT / "build" / "release" / "tests" / "wsload")
    parser.add_argument("--only", default=",".join(suites), help="of: " + ", ".join(suites))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--idle", type=int, default=2_000)
    options = parser.parse_args()
    os.environ["BEAMGATE_BINARY"] = str(options.binary)
    with tempfile.TemporaryDirectory(prefix="beamgate-edge-") as directory:
        edge = Edge(directory)
        try:
            edge.start()
            for suite in options.only.split(","):
                if suite not in suites:
                    parser.error(f"no such measurement: {suite}")
                getattr(Bench(edge, options), suite)()
        finally:
            edge.close()


if __name__ == "__main__":
    main()
