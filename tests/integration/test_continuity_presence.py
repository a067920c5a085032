"""Who is there, as those who are there see it: right whatever happens to the connections of those who watch.

Watchers of three protocols are in one channel with members that come and go all the time, and their connections move from
worker to worker. Each of them writes down what it is told, and says so when somebody comes who is there or goes who isn't.
"""

import contextlib
import hashlib
import hmac
import json
import os
import socket
import threading
import time
from signal import SIGKILL

import beamgate
import centrifuge_client
import continuity
import http_client
import ws_client

CHANNEL = "presence-room"
KEY, SECRET = "bgkey01", "bg-secret-01 of the test"
HTTP = f"""
app shop {{ id 77; key {KEY}; secret "{SECRET}"; channel_prefix off; }}
channels presence-* {{ presence on; presence_limit 10000; }}
server {{
    listen 127.0.0.1:0;
    location = /connection {{ websocket centrifuge; }}
    location /socket {{ websocket phoenix; }}
    location /app/ {{ websocket pusher; }}
    location /api/ {{ api on; }}
}}
"""
WATCHERS = 3  # Of each protocol.
BEAT_S = 15


def name_of(member):
    """Who has no user is one of its own, by its connection's id."""
    return member["user"] or member["client"]


class Watcher(threading.Thread):
    """What one subscriber has been told. A subclass speaks its protocol and calls entered(), left() and listed()."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.address = address
        self.members = set()
        self.faults = []
        self.strict = False
        self.changes = self.lists = 0
        self.heard = set()
        self.ending = False
        self.socket = self.open()
        while not self.lists:
            self.take(self.socket.recv())

    def run(self):
        beaten = time.monotonic()
        try:
            while True:
                message = self.socket.recv()
                if time.monotonic() - beaten > BEAT_S:
                    beaten = time.monotonic()
                    self.beat()
                marker = message.partition("marker-")[2].partition(".")[0]
                if marker:
                    self.heard.add(marker)
                else:
                    self.take(message)
        except Exception as error:
            if not self.ending:
                self.faults.append(repr(error))

    def beat(self):
        pass

    def entered(self, user):
        self.changes += 1
        if self.strict and user in self.members:
            self.faults.append(f"{user} came twice")
        self.members.add(user)

    def left(self, user):
        self.changes += 1
        if self.strict and user not in self.members:
            self.faults.append(f"{user} left who was not there")
        self.members.discard(user)

    def listed(self, users):
        self.lists += 1
        self.members = set(users)

    def close(self):
        self.ending = True
        with contextlib.suppress(OSError):
            self.socket.wire.sock.shutdown(socket.SHUT_RDWR)  # It may be read just now.
        self.join(10)
        self.socket.abort()


class CentrifugeWatcher(Watcher):
    def open(self):
        client = centrifuge_client.connect(self.address, timeout=continuity.SETTLE_S)
        client.call("subscribe", channel=CHANNEL)
        self.listed(map(name_of, client.call("presence", channel=CHANNEL)["presence"].values()))
        return client.socket

    def take(self, message):
        for line in message.split("\n"):
            push = json.loads(line).get("push", {}) if line != "{}" else self.socket.send("{}") or {}
            if "join" in push:
                self.entered(name_of(push["join"]["info"]))
            elif "leave" in push:
                self.left(name_of(push["leave"]["info"]))


class PhoenixWatcher(Watcher):
    def open(self):
        made = ws_client.connect(self.address, "/socket/websocket?vsn=2.0.0", timeout=continuity.SETTLE_S)
        made.send(json.dumps(["1", "1", CHANNEL, "phx_join", {}]))
        return made

    def beat(self):
        self.socket.send(json.dumps([None, "2", "phoenix", "heartbeat", {}]))

    def take(self, message):
        event, payload = json.loads(message)[3:]
        if event == "presence_state":
            self.listed(payload)
        elif event == "presence_diff":
            for user in payload["joins"]:
                self.entered(user)
            for user in payload["leaves"]:
                self.left(user)


class PusherWatcher(Watcher):
    number = 0

    def open(self):
        made = ws_client.connect(self.address, f"/app/{KEY}?protocol=7", timeout=continuity.SETTLE_S)
        socket_id = json.loads(json.loads(made.recv())["data"])["socket_id"]
        PusherWatcher.number += 1
        data = json.dumps({"user_id": f"pusher-{PusherWatcher.number}"})
        auth = hmac.new(SECRET.encode(), f"{socket_id}:{CHANNEL}:{data}".encode(), hashlib.sha256).hexdigest()
        subscription = {"channel": CHANNEL, "auth": f"{KEY}:{auth}", "channel_data": data}
        made.send(json.dumps({"event": "pusher:subscribe", "data": subscription}))
        return made

    def beat(self):
        self.socket.send(json.dumps({"event": "pusher:ping", "data": {}}))

    def take(self, message):
        frame = json.loads(message)
        if frame["event"] == "pusher_internal:subscription_succeeded":
            self.listed(json.loads(frame["data"])["presence"]["ids"])
        elif frame["event"] == "pusher_internal:member_added":
            self.entered(json.loads(frame["data"])["user_id"])
        elif frame["event"] == "pusher_internal:member_removed":
            self.left(json.loads(frame["data"])["user_id"])


class Crowd(threading.Thread):
    """Members that come, stay a while and go, until it is stopped; some are there still then."""

    SIZE = 8

    def __init__(self, address):
        super().__init__(daemon=True)
        self.address = address
        self.stopping = threading.Event()
        self.clients = []
        self.error = None

    def enter(self):
        client = centrifuge_client.connect(self.address, timeout=continuity.SETTLE_S)
        self.clients.append(client)
        client.call("subscribe", channel=CHANNEL)

    def run(self):
        try:
            while not self.stopping.is_set():
                self.enter()
                if len(self.clients) > self.SIZE:
                    self.clients.pop(0).socket.abort()
        except BaseException as error:
            self.error = error

    def stop(self):
        self.stopping.set()
        self.join(continuity.SETTLE_S)
        if self.error:
            raise self.error

    def close(self):
        for client in self.clients:
            client.socket.abort()


class PresenceOverMoves(continuity.TestCase):
    def watch_members(self, kinds=(CentrifugeWatcher, PhoenixWatcher, PusherWatcher)):
        self.watchers = []
        for kind in kinds * WATCHERS:
            watcher = self.track(kind(self.running.address()))
            watcher.start()
            self.watchers.append(watcher)
        self.check_views("begin")
        for watcher in self.watchers:
            watcher.strict = True
            watcher.lists = 0

    def crowd(self):
        crowd = self.track(Crowd(self.running.address()))
        crowd.start()
        return crowd

    def present(self):
        answer = http_client.post(self.running.address(), "/api/presence", {"channel": CHANNEL}).json()
        return set(map(name_of, answer["result"]["presence"].values()))

    def mark(self, name):
        """Everybody has heard what came before."""
        http_client.post(self.running.address(), "/api/publish", {"channel": CHANNEL, "data": f"marker-{name}."})
        beamgate.until(lambda: all(name in watcher.heard or watcher.faults for watcher in self.watchers),
                       continuity.SETTLE_S, f"{name} at all watchers")

    def check_views(self, name):
        self.mark(name)
        present = self.present()
        for watcher in self.watchers:
            who = type(watcher).__name__
            self.assertEqual(watcher.faults, [], who)
            self.assertEqual(watcher.members, present, who)

    def wait_changes(self, count):
        """All are told that many changes more."""
        before = [watcher.changes for watcher in self.watchers]
        beamgate.until(lambda: all(watcher.changes - old >= count or watcher.faults
                                   for watcher, old in zip(self.watchers, before, strict=True)),
                       continuity.SETTLE_S, f"{count} changes")

    @continuity.needs_next
    def test_members_come_and_go_while_connections_move(self):
        self.start_copy(http=HTTP, workers=2)
        self.watch_members()
        crowd = self.crowd()
        for binary in (os.environ["BEAMGATE_NEXT"], beamgate.binary()):
            self.install(binary)
            self.wait_changes(20)
            self.upgrade()
            for workers in (4, 1, 2):
                self.wait_changes(20)
                self.running.write_config(workers=workers)
                mark = self.running.log_mark()
                self.reload()
                self.running.wait_log(r"\bresized\b", after=mark, timeout=continuity.SETTLE_S)
                self.running.wait_workers(workers, timeout=continuity.SETTLE_S)
        crowd.stop()
        self.check_views("end")
        self.assertEqual(sum(watcher.lists for watcher in self.watchers), 0, "each change was told, and no list")

    def test_members_come_and_go_while_workers_die(self):
        self.start(http=HTTP, workers=2).expect_deaths()
        self.watch_members()
        crowd = self.crowd()
        for _ in range(4):
            self.wait_changes(20)
            self.wait_slots(2)
            victim = self.running.worker_pids()[0]
            os.kill(victim, SIGKILL)
            self.wait_slots(2, without=[victim])
        crowd.stop()
        self.check_views("end")

    def test_after_a_masters_death_lists_are_told(self):
        """Of who went meanwhile nobody can tell: those whose protocol has lists get them."""
        self.start(http=HTTP, workers=2)
        crowd = self.crowd()
        beamgate.until(lambda: len(crowd.clients) >= Crowd.SIZE, continuity.SETTLE_S, "the crowd")
        crowd.stop()
        self.watch_members((PhoenixWatcher, PusherWatcher))
        for watcher in self.watchers:
            watcher.strict = False
        self.running.lose_master()
        for client in crowd.clients[:4]:
            client.close()
        self.running.start_another_master()
        beamgate.until(lambda: len(self.present()) == len(self.watchers) + len(crowd.clients) - 4, continuity.SETTLE_S, "those who stayed")
        beamgate.until(lambda: all(watcher.lists for watcher in self.watchers), continuity.SETTLE_S, "a list for everybody")
        self.check_views("end")


if __name__ == "__main__":
    continuity.main()
