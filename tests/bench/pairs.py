#!/usr/bin/python3
"""Measures what a protection or a look costs: BeamGate with it beside BeamGate without, in the same run, and prints ratios.

    cmake --preset release && cmake --build build/release --target beamgate bench
    tests/bench/pairs.py --against OTHER/beamgate     # this build beside another one
    tests/bench/pairs.py                              # worker_sandbox on beside off; a location that is a regular
                                                      # expression beside one that is a path; a channel, a user and
                                                      # another user that are tapped beside none that is; tls_engine
                                                      # movable beside openssl

One worker of each serves on the first core, the load runs on the others.  Both take turns within every round; a ratio is
the median of the rounds' ratios.  CPU is what the gateway's processes took for one answer: unlike the answers per second
it does not tell how busy the machine was beside it.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import threading
from pathlib import Path

import edge
import jwt_token
import run
from chat_example import free_port

import beamgate
from certificates import Authority

HTTP = """
token people {{ secret "a secret of thirty-two bytes or more"; }}
upstream origin {{ server 127.0.0.1:{origin}; keepalive 64; keepalive_requests 1000000000; }}
server {{
    listen 127.0.0.1:0{ssl} backlog=65535; {tls}
    keepalive_requests 1000000000;
    location = /echo {{ websocket echo; }}
    location = /own {{ websocket raw; websocket_token people; websocket_subscribe bench; }}
    location = /hub {{ websocket raw; websocket_subscribe bench; }}
    location = /small {{ proxy_pass http://origin; }}
    location = /users/4711/orders {{ return 200 ok; }}
    location ~ "^/members/(?<member>[0-9]+)/orders$" {{ return 200 ok; }}
    location = /large {{ alias {large}; access_log off; }}
    location /api/ {{ api on; }}
}}
"""
KINDS = ("sandbox", "regex", "tap", "tls")
PATH, PATTERN = "/users/4711/orders", "/members/4711/orders"


class Pair:
    def __init__(self, options, origin, directory):
        self.options, self.origin, self.directory = options, origin, Path(directory)
        self.large = self.directory / "large"
        self.large.write_bytes(bytes(100_000))
        self.lines = []  # How many each tap has told.

    def start(self, binary, main="", tls=""):
        """tls: what a server with TLS says of it."""
        os.environ["BEAMGATE_BINARY"] = str(binary)
        gateway = beamgate.Gateway(HTTP.format(origin=self.origin, ssl=" ssl" if tls else "", tls=tls, large=self.large), workers=1, events="worker_connections 10000;",
                                   log_level="notice", main=main).start()
        pids = [gateway.pid, *gateway.worker_pids()]
        run.pin(pids)
        port = next(int(address.rpartition(":")[2]) for address in gateway.addresses() if not address.startswith("unix:"))
        server = run.Server("BeamGate", port, lambda: pids, gateway.close)
        server.control = gateway.path("control.sock")
        return server

    def load(self, server, *arguments):
        if arguments[0] == "wrk":
            return self.load_wrk(server, *arguments[1:])
        command = ["taskset", "-c", run.LOAD_CORES, str(self.options.wsload), *map(str, arguments), "--port", str(server.port)]
        before = server.cpu_seconds()
        result = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        result["cpu_us"] = (server.cpu_seconds() - before) / result["answers"] * 1e6
        return result

    def load_wrk(self, server, path, close):
        before = server.cpu_seconds()
        result = edge.wrk(f"https://127.0.0.1:{server.port}{path}", self.options.seconds, close)
        assert result["failed"] == 0, result
        result["cpu_us"] = (server.cpu_seconds() - before) / result["requests"] * 1e6
        return result

    def loads(self):
        timed = ("--connections", 64, "--seconds", self.options.seconds)
        publish = ("--publish-path", "/api/publish?channel=bench", "--publish-field", "Content-Type: application/octet-stream")
        return {
            "proxied requests": ("http", "--path", "/small", *timed),
            "WebSocket echo, 64 B": ("echo", "--path", "/echo", "--size", 64, "--depth", 16, *timed),
            "fan-out, 64 B to 500": ("fanout", "--path", "/hub", *publish, "--connections", 500, "--size", 64,
                                     "--publications", 1000 * self.options.seconds),
        }

    def table(self, what, one, other):
        """Each: a server and the arguments of its load."""
        rounds = []
        for number in range(self.options.rounds):
            order = (one, other) if number % 2 == 0 else (other, one)
            results = [self.load(*each) for each in order]
            rounds.append(results if number % 2 == 0 else results[::-1])
        figures = []
        for figure in ("cpu_us", "per_second"):
            values = [statistics.median(each[figure] for each in side) for side in zip(*rounds)]
            ratios = sorted(mine[figure] / its[figure] for mine, its in rounds)
            figures.append(f"{figure} {values[0]:,.2f} beside {values[1]:,.2f}, ratio {statistics.median(ratios):.3f} "
                           f"({ratios[0]:.3f} to {ratios[-1]:.3f})")
        print(f"{what:42} {'; '.join(figures)}", flush=True)

    def compare(self, what, one, other):
        try:
            for name, load in self.loads().items():
                self.table(f"{what}: {name}", (one, *load), (other, *load))
        finally:
            one.close()
            other.close()

    def builds(self):
        self.compare("this build", self.start(self.options.binary), self.start(self.options.against))

    def sandbox(self):
        binary = self.options.binary
        self.compare("worker_sandbox", self.start(binary, "worker_sandbox on;"), self.start(binary, "worker_sandbox off;"))

    def tap(self):
        own = f"/own?token={jwt_token.sign('a secret of thirty-two bytes or more', {'sub': 'ann'})}"
        fanout = self.loads()["fan-out, 64 B to 500"]
        of_ann = tuple(own if word == "/hub" else word for word in fanout)
        self.tapped("a tapped channel: fan-out, 64 B to 500", ("bench",), fanout)
        self.tapped("another user is tapped: fan-out, 64 B to 500", ("user", "bob"), of_ann)
        self.tapped("a tapped user: fan-out, 64 B to 500 of hers", ("user", "ann"), of_ann)

    def tapped(self, what, whom, load):
        binary, control = self.options.binary, "control unix:control.sock;"
        tapped, other = self.start(binary, control), self.start(binary, control)
        tap = subprocess.Popen(["taskset", "-c", run.LOAD_CORES, str(binary), "ctl", "-s", str(tapped.control), "tap", *whom],
                               stdout=subprocess.PIPE, text=True)
        reader = threading.Thread(target=lambda: self.lines.append(sum(1 for _ in tap.stdout)))
        reader.start()
        try:
            self.table(what, (tapped, *load), (other, *load))
        finally:
            tap.terminate()
            tap.wait()
            reader.join()
            print(f"the tap has told of {self.lines[-1]:,} messages")
            tapped.close()
            other.close()

    def tls(self):
        pair = Authority(self.directory).issue("one.test").directives()
        servers = [self.start(self.options.binary, tls=f"{pair} tls_engine {engine};") for engine in ("movable", "openssl")]
        try:
            for path, close in ((PATH, False), ("/large", False), (PATH, True)):
                load = ("wrk", path, close)
                self.table(f"tls_engine movable: {path}, {'new' if close else 'kept'}", *((server, *load) for server in servers))
        finally:
            for server in servers:
                server.close()

    def regex(self):
        server = self.start(self.options.binary)
        try:
            timed = ("--connections", 64, "--depth", 16, "--seconds", self.options.seconds)
            self.table("location ~", (server, "http", "--path", PATTERN, *timed), (server, "http", "--path", PATH, *timed))
        finally:
            server.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, default=run.ROOT / "build" / "release" / "beamgate")
    parser.add_argument("--wsload", type=Path, default=run.ROOT / "build" / "release" / "tests" / "wsload")
    parser.add_argument("--against", type=Path, help="another build")
    parser.add_argument("--only", choices=KINDS, help="one of these")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="beamgate-pairs-") as directory:
        Path(directory).chmod(0o755)
        port = free_port()
        origin = edge.start_nginx(directory, "origin", f'server {{ listen 127.0.0.1:{port}; location / {{ return 200 "hello"; }} }}',
                                  [port], run.LOAD_CORES)
        try:
            pair = Pair(options, port, directory)
            if options.against:
                pair.builds()
            else:
                for what in [options.only] if options.only else KINDS:
                    getattr(pair, what)()
        finally:
            origin.close()


if __name__ == "__main__":
    main()
