#!/usr/bin/python3
"""The Pusher protocol: deliveries in a second, and members of one presence channel.

    tests/bench/pusher.py [CLIENTS] [EVENTS] [MEMBERS]

Two workers.  Deliveries: CLIENTS subscribers of one channel, EVENTS events of 64 bytes by the server API, a hundred to a
request.  Members: MEMBERS users enter one channel, a hundred at a time, and all leave at once; what they are told meanwhile is
counted in bytes.  One process reads for all clients and shares the machine: the figures are lower bounds.
"""

import hashlib
import hmac
import json
import selectors
import socket
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))

import beamgate  # noqa: E402
import http_client  # noqa: E402
import ws_frame  # noqa: E402

CLIENTS = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
EVENTS = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
MEMBERS = int(sys.argv[3]) if len(sys.argv) > 3 else 10_000
KEY, SECRET = "bgkey01", "0123456789abcdef"
HTTP = """
channels presence-* { presence on; }
app bench { id 77; key %s; secret %s; subscription_count off; }
server {
    listen 127.0.0.1:0;
    location /app/ { websocket pusher; websocket_send_queue 64m; }
    location /api/ { api on; }
}
""" % (KEY, SECRET)


class Crowd:
    """Clients of one process; what they are sent is counted, and looked through for one text at a time."""

    def __init__(self, address):
        host, _, port = address.rpartition(":")
        self.target = (host, int(port))
        self.host = address
        self.selector = selectors.DefaultSelector()
        self.received = 0
        self.sockets = []

    def open(self):
        sock = socket.create_connection(self.target)
        sock.sendall(ws_frame.handshake(self.host, f"/app/{KEY}?protocol=7", ws_frame.make_key(), (), ()))
        data = b""
        while b"activity_timeout" not in data:
            data += sock.recv(4096)
        me = json.loads(json.loads(data[data.index(b'{"event'):])["data"])["socket_id"]
        sock.setblocking(False)
        self.sockets.append(sock)
        return sock, me

    def say(self, sock, frame):
        sock.sendall(ws_frame.encode(ws_frame.TEXT, json.dumps(frame).encode()))

    def until(self, text, sockets):
        """Until each of these has been sent the text."""
        left = set(sockets)
        tails = {}
        while left:
            for key, _ in self.selector.select(30):
                data = key.fileobj.recv(1 << 20)
                if not data:
                    sys.exit(f"closed: {tails.get(key.fileobj)}")
                self.received += len(data)
                seen = tails.get(key.fileobj, b"") + data
                tails[key.fileobj] = seen[-100:]
                if key.fileobj in left and text in seen:
                    left.remove(key.fileobj)

    def watch(self, sock):
        self.selector.register(sock, selectors.EVENT_READ)


def sign(text):
    return f"{KEY}:" + hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()


def deliveries(address):
    crowd = Crowd(address)
    for _ in range(CLIENTS):
        sock, _ = crowd.open()
        crowd.say(sock, {"event": "pusher:subscribe", "data": {"channel": "news"}})
        crowd.watch(sock)
    crowd.until(b"subscription_succeeded", crowd.sockets)
    commands = [{"publish": {"channel": "news", "data": "x" * 62}}] * 100
    last = [*commands[1:], {"publish": {"channel": "news", "data": "the last one"}}]
    before = time.monotonic()
    for at in range(0, EVENTS, 100):
        body = json.dumps({"commands": commands if at + 100 < EVENTS else last})
        assert http_client.post(address, "/api/batch", body).status == 200
    crowd.until(b"the last one", crowd.sockets)
    took = time.monotonic() - before
    print(f"{CLIENTS} clients, {EVENTS} events: {CLIENTS * EVENTS / took:,.0f} deliveries/s")
    for sock in crowd.sockets:
        sock.close()


def members(address):
    crowd = Crowd(address)
    connected = [crowd.open() for _ in range(MEMBERS)]
    before = time.monotonic()
    for at in range(0, MEMBERS, 100):
        group = connected[at:at + 100]
        for number, (sock, me) in enumerate(group, at):
            data = json.dumps({"user_id": f"user-{number}", "user_info": {"name": f"Name of {number}"}})
            auth = sign(f"{me}:presence-big:{data}")
            crowd.watch(sock)
            crowd.say(sock, {"event": "pusher:subscribe", "data": {"channel": "presence-big", "auth": auth, "channel_data": data}})
        crowd.until(b"subscription_succeeded", [sock for sock, _ in group])
        if at + 100 in (1000, MEMBERS):
            took = time.monotonic() - before
            print(f"{at + 100} members entered: {(at + 100) / took:,.0f} joins/s, "
                  f"{crowd.received / (at + 100):,.0f} bytes told to each")
    watcher, me = crowd.open()
    crowd.watch(watcher)
    data = json.dumps({"user_id": "watcher"})
    crowd.say(watcher, {"event": "pusher:subscribe", "data": {
        "channel": "presence-big", "auth": sign(f"{me}:presence-big:{data}"), "channel_data": data}})
    crowd.until(b"subscription_succeeded", [watcher])
    received = crowd.received
    for sock, _ in connected:
        crowd.selector.unregister(sock)
        sock.close()
    before = time.monotonic()
    stats = json.dumps({"channel": "presence-big"})
    beamgate.until(lambda: json.loads(http_client.post(address, "/api/presence_stats", stats).text)["result"]["num_users"] == 1, 60)
    left = time.monotonic() - before
    assert http_client.post(address, "/api/publish", json.dumps({"channel": "presence-big", "data": "the end"})).status == 200
    crowd.until(b"the end", [watcher])
    print(f"{MEMBERS} members left within {left:.1f} s; the one who stays was told {crowd.received - received:,} bytes")


def main():
    gateway = beamgate.Gateway(HTTP, workers=2, events="worker_connections 20000;")
    gateway.start()
    try:
        deliveries(gateway.address())
        members(gateway.address())
    finally:
        gateway.stop()


if __name__ == "__main__":
    main()
