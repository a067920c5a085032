#!/usr/bin/python3
"""What channels cost: deliveries by protocol, joins into one room with presence, memory of a subscription, and everybody
coming back at once.

    tests/bench/channels.py [--only deliveries,...]

Clients are plain sockets in processes of their own that look for a mark in what they read.  Times are those of whole runs,
clients included; CPU is that of the gateway's workers and its master.
"""

import argparse
import json
import os
import selectors
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))

import beamgate  # noqa: E402
import http_client  # noqa: E402

HTTP = """
channels room* { presence on; presence_limit %(limit)d; history 1000 10m; }
app bench { id 1; key bench; secret 0123456789abcdef0123; subscription_count off; }
server {
    listen 127.0.0.1:0 backlog=8192;
    keepalive_requests 100000000;
    websocket_send_queue 64m;
    location = /raw { websocket raw; websocket_subscribe plain; }
    location = /centrifuge { websocket centrifuge; }
    location /app/ { websocket pusher; }
    location = /phoenix/websocket { websocket phoenix; }
    location /api/ { api on; }
    location = /metrics { metrics on; }
}
"""
TARGETS = {
    "raw": ("/raw", []),
    "pusher": ("/app/bench?protocol=7&client=bench&version=1&flash=false",
               ['{"event":"pusher:subscribe","data":{"channel":"plain"}}']),
    "phoenix": ("/phoenix/websocket?vsn=2.0.0", ['["1","1","plain","phx_join",{}]']),
    "centrifuge": ("/centrifuge", ['{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"plain"}}']),
}
JOINED = {"raw": b"101 ", "pusher": b"subscription_succeeded", "phoenix": b'"ok"', "centrifuge": b'"id":2'}


def frame(text):
    """Masked with zeros: the payload stays as it is."""
    data = text.encode()
    length = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + struct.pack(">H", len(data))
    return b"\x81" + length + bytes(4) + data


def handshake(target):
    return (f"GET {target} HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n").encode()


def crowd(plan):
    """In a process of its own: opens the plan's clients, a window at a time, says "ready" when all have read `joined`, and
    "done BYTES" when all have read `last`."""
    host, _, port = plan["address"].rpartition(":")
    selector = selectors.DefaultSelector()
    opened = finished = received = 0
    waiting = {}
    begun = time.monotonic()

    def open_one():
        nonlocal opened
        opened += 1
        sock = socket.create_connection((host, int(port)))
        sock.sendall(handshake(plan["target"]) + b"".join(frame(text) for text in plan["hello"]))
        sock.setblocking(False)
        waiting[sock] = [b"", plan["joined"].encode()]
        selector.register(sock, selectors.EVENT_READ)

    def read_until_all(mark, window):
        nonlocal received
        left = plan["clients"]
        while left:
            while opened < plan["clients"] and opened - (plan["clients"] - left) < window:
                open_one()
            for key, _ in selector.select():
                state = waiting[key.fileobj]
                data = key.fileobj.recv(1 << 20)
                if not data:
                    sys.exit("closed")
                received += len(data)
                tail = state[0] + data
                if state[1] is not None and mark in tail:
                    state[1] = None
                    left -= 1
                state[0] = tail[-64:]

    read_until_all(plan["joined"].encode(), plan["window"])
    print(f"ready {time.monotonic() - begun:.3f} {received}", flush=True)
    if plan["last"]:
        for state in waiting.values():
            state[1] = plan["last"].encode()
        if plan["last"] != plan["joined"]:
            read_until_all(plan["last"].encode(), 0)
        print(f"done {received}", flush=True)
    sys.stdin.read()


class Crowd:
    def __init__(self, address, target, hello, clients, joined, last="", window=64):
        plan = {"address": address, "target": target, "hello": hello, "clients": clients, "joined": joined, "last": last,
                "window": window}
        self.process = subprocess.Popen([sys.executable, "-B", __file__, "--crowd", json.dumps(plan)], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def line(self):
        line = self.process.stdout.readline().split()
        if not line:
            raise AssertionError(f"the clients ended with {self.process.wait()}")
        return line

    def close(self):
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


def cpu_seconds(gateway):
    total = 0
    for pid in [gateway.pid, *gateway.worker_pids()]:
        with open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def start(workers=1, limit=1000):
    return beamgate.Gateway(HTTP % {"limit": limit}, workers=workers, events="worker_connections 16384;",
                            main="bus_queue 1g;").start()


def publish(connection, channel, data):
    answer = connection.request("POST", "/api/publish", {"Content-Type": "application/json"},
                                json.dumps({"channel": channel, "data": data}))
    assert answer.status == 200, answer.text
    return answer.json()["result"]


def deliveries(clients, messages):
    print(f"\nDeliveries: {clients} subscribers of one channel, {messages} publications of 64 bytes, one worker")
    payload = "x" * 62
    for protocol, (target, hello) in TARGETS.items():
        with start() as gateway, http_client.Connection(gateway.address()) as api:
            half = Crowd(gateway.address(), target, hello, clients, JOINED[protocol].decode(), "the last one")
            half.line()
            before, began = cpu_seconds(gateway), time.monotonic()
            body = json.dumps({"commands": [{"publish": {"channel": "plain", "data": payload}}] * 100})
            for _ in range(messages // 100):
                answer = api.request("POST", "/api/batch", {"Content-Type": "application/json"}, body)
                assert answer.status == 200, answer.text
            publish(api, "plain", "the last one")
            half.line()
            seconds, cpu = time.monotonic() - began, cpu_seconds(gateway) - before
            half.close()
        count = clients * (messages + 1)
        print(f"  {protocol:12} {count / seconds:12,.0f}/s   {cpu / count * 1e6:6.2f} us of CPU each")


def joins(clients):
    print(f"\nJoins: {clients} clients into one room with presence, two workers")
    for limit in (100, 1000):
        with start(workers=2, limit=limit) as gateway:
            hello = ['{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"room","join_leave":true}}']
            before = cpu_seconds(gateway)
            everybody = Crowd(gateway.address(), "/centrifuge", hello, clients, '"id":2')
            _, seconds, received = everybody.line()
            cpu = cpu_seconds(gateway) - before
            stats = http_client.post(gateway.address(), "/api/presence_stats", {"channel": "room"}).json()["result"]
            assert stats["num_users"] == clients, stats
            everybody.close()
        print(f"  presence_limit {limit:5}   {clients / float(seconds):8,.0f}/s   {cpu / clients * 1e6:7.1f} us of CPU each   "
              f"{int(received) / clients:9,.0f} bytes to each client")


def memory(clients, channels):
    print(f"\nMemory: {clients} clients, idle, with one subscription and with {channels}")
    used = []
    for count in (1, channels):
        with start() as gateway:
            subscribe = "\n".join(f'{{"id":{n + 2},"subscribe":{{"channel":"c{n}"}}}}' for n in range(count))
            empty = gateway.memory()["Private_Dirty"]
            everybody = Crowd(gateway.address(), "/centrifuge", ['{"id":1,"connect":{}}\n' + subscribe], clients,
                              f'"id":{count + 1}')
            everybody.line()
            used.append(gateway.memory()["Private_Dirty"] - empty)
            everybody.close()
    print(f"  {used[0] / clients:8,.0f} bytes a client with one   {(used[1] - used[0]) / clients / (channels - 1):6,.0f} bytes for each further one")


def recovery(clients, missed):
    print(f"\nRecovery: {clients} clients come back at once, {missed} publications of 64 bytes missed by each, two workers")
    with start(workers=2) as gateway, http_client.Connection(gateway.address()) as api:
        place = publish(api, "room-history", "first")
        for _ in range(missed):
            publish(api, "room-history", "x" * 62)
        # "room-history" has presence as well, as rooms have that people come back to.
        hello = ['{"id":1,"connect":{}}\n' + json.dumps({"id": 2, "subscribe": {
            "channel": "room-history", "recover": True, "epoch": place["epoch"], "offset": place["offset"]}})]
        before = cpu_seconds(gateway)
        everybody = Crowd(gateway.address(), "/centrifuge", hello, clients, f'"offset":{missed + 1}', window=clients)
        _, seconds, received = everybody.line()
        cpu = cpu_seconds(gateway) - before
        everybody.close()
    print(f"  {float(seconds):6.2f} s until the last one has everything   {cpu / clients * 1e6:7.1f} us of CPU each   "
          f"{int(received) / clients:9,.0f} bytes to each client")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--crowd", type=json.loads)
    parser.add_argument("--only", default="deliveries,joins,memory,recovery")
    parser.add_argument("--clients", type=int, default=10000)
    arguments = parser.parse_args()
    if arguments.crowd:
        return crowd(arguments.crowd)
    for name in arguments.only.split(","):
        {"deliveries": lambda: deliveries(1000, 2000), "joins": lambda: joins(arguments.clients),
         "memory": lambda: memory(2000, 51), "recovery": lambda: recovery(arguments.clients, 100)}[name]()


if __name__ == "__main__":
    main()
