#!/usr/bin/python3
"""Deliveries by event streams and lines: how many in a second, and what of a worker's time each takes.

    tests/bench/streams.py [CLIENTS] [MESSAGES]

One worker, CLIENTS readers of one channel in two processes, MESSAGES publications of 64 bytes by the API, 50 requests at a
time.  The readers throw away what they read.  Then ten times CLIENTS come back at once to a stream of which each has missed
100 publications; their connecting is part of the time.
"""

import os
import selectors
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))

import beamgate  # noqa: E402
import http_client  # noqa: E402

HTTP = """
channels kept { history 1000 10m; }
server {
    listen 127.0.0.1:0;
    keepalive_requests 100000000;
    location = /sse { sse room; sse_send_queue 64m; }
    location = /kept { sse kept; sse_send_queue 64m; }
    location = /two { sse room other; sse_send_queue 64m; }
    location /api/ { api on; }
    location = /metrics { metrics on; }
}
"""
MAIN = "line { listen 127.0.0.1:0; line_send_queue 64m; }"


def read_all(address, first_bytes, clients, last, last_may_come_later):
    """In a process of its own: connects, says "ready", and ends when every client has read `last`."""
    host, _, port = address.rpartition(":")
    selector = selectors.DefaultSelector()
    for _ in range(clients):
        sock = socket.create_connection((host, int(port)))
        sock.sendall(first_bytes)
        if last_may_come_later:
            sock.recv(4096)
        sock.setblocking(False)
        selector.register(sock, selectors.EVENT_READ)
    print("ready", flush=True)
    left = clients
    while left:
        for key, _ in selector.select():
            data = key.fileobj.recv(1 << 20)
            if not data:
                sys.exit("closed")
            if last in data:
                left -= 1
                selector.unregister(key.fileobj)
    print("done", flush=True)


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(gateway, name, address, first_bytes, clients, messages):
    readers = [subprocess.Popen([sys.executable, "-B", __file__, "read", address, first_bytes.hex(), str(clients // 2)],
                                stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for reader in readers:
        if reader.stdout.readline() != "ready\n":
            sys.exit("no readers")
    beamgate.until(lambda: gateway.metrics()["beamgate_hub_subscriptions"] >= clients, 30)
    worker, = gateway.worker_pids()
    before, begin = cpu_seconds(worker), time.monotonic()
    with http_client.Connection(gateway.address(), timeout=60) as connection:
        texts = ["x" * 64] * (messages - 1) + ["LAST" * 16]
        for at in range(0, messages, 50):
            for text in texts[at:at + 50]:
                connection.send_request("POST", "/api/publish?channel=room", {"Content-Type": "text/plain"}, text)
            for _ in texts[at:at + 50]:
                if connection.read_response().status != 200:
                    sys.exit("refused")
    for reader in readers:
        if reader.stdout.readline() != "done\n":
            sys.exit("a reader has failed")
        reader.wait()
    seconds, cpu = time.monotonic() - begin, cpu_seconds(worker) - before
    deliveries = clients * messages
    print(f"{name:12} {deliveries / seconds:10.0f} deliveries/s   {cpu / deliveries * 1e6:6.2f} CPU s per million", flush=True)
    beamgate.until(lambda: gateway.metrics()["beamgate_hub_subscriptions"] == 0, 30)


def measure_recovery(gateway, address, clients):
    published = []
    for number in range(101):
        answer = http_client.request(gateway.address(), "POST", "/api/publish?channel=kept", {"Content-Type": "text/plain"},
                                     "LAST" * 16 if number == 100 else "x" * 64)
        published.append(answer.json()["result"])
    first_bytes = (f"GET /kept HTTP/1.1\r\nHost: x\r\nLast-Event-ID: {published[0]['epoch']}:1\r\n\r\n").encode()
    worker, = gateway.worker_pids()
    before, begin = cpu_seconds(worker), time.monotonic()
    readers = [subprocess.Popen([sys.executable, "-B", __file__, "recover", address, first_bytes.hex(), str(clients // 2)],
                                stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for reader in readers:
        if reader.stdout.read() != "ready\ndone\n":
            sys.exit("a reader has failed")
        reader.wait()
    print(f"{clients} clients with 100 missed publications each: {time.monotonic() - begin:.2f} s, "
          f"{cpu_seconds(worker) - before:.2f} CPU s of the worker", flush=True)


def main(clients=1000, messages=2000):
    gateway = beamgate.Gateway(HTTP, main=MAIN, workers=1, events="worker_connections 20000;")
    gateway.start()
    try:
        http, line = gateway.addresses()[:2]
        get = "GET {} HTTP/1.1\r\nHost: x\r\n\r\n"
        measure(gateway, "sse", http, get.format("/sse").encode(), clients, messages)
        measure(gateway, "sse, two", http, get.format("/two").encode(), clients, messages)
        measure(gateway, "line", line, b"JOIN room\n", clients, messages)
        measure_recovery(gateway, http, clients * 10)
    finally:
        gateway.stop()


if __name__ == "__main__":
    if sys.argv[1:2] in (["read"], ["recover"]):
        read_all(sys.argv[2], bytes.fromhex(sys.argv[3]), int(sys.argv[4]), b"LASTLAST", sys.argv[1] == "read")
    else:
        main(*map(int, sys.argv[1:]))
