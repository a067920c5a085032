"""Who uses the gateway while a soak lasts: threads that do one thing again and again and keep the fault they see.

Beside them an oracle (tests/support/oracle.py) holds echo connections, subscribers, talkers and visitors, and sees every
byte of theirs.  A party ends with stop(), which raises its fault.
"""

import contextlib
import hashlib
import random
import select
import socket
import threading
import time

import centrifuge_client
import event_stream
import http_client
import ws_client
from application import call_api, content
from oracle import Publisher, Sequence, publication
from wire import Ended, Timeout

PATIENCE_S = 120  # For what must come at last, on any machine, with the worst of faults before it.
PAUSE_S = 0.05    # Before another try.
SLOW_MESSAGES, SLOW_BYTES = 12, 100_000
FLOOD_BYTES, FLOOD_PAUSE_S = 100_000, 0.1
CALL_BYTES = (0, 1, 500, 20_000, 90_000, 300_000)  # Some of them larger than the gateway's buffers.


class Party(threading.Thread):
    def __init__(self, address, number):
        super().__init__(daemon=True)
        self.address = address
        self.number = number
        self.dice = random.Random(number)
        self.stopping = threading.Event()
        self.done = 0
        self.fault = None

    def __str__(self):
        return f"{type(self).__name__} {self.number}"

    def run(self):
        try:
            while not self.stopping.is_set():
                self.once()
            self.leave()
        except BaseException as error:
            self.fault = error

    def leave(self):
        pass

    def check(self):
        if self.fault:
            raise AssertionError(f"{self}: {self.fault!r}") from self.fault

    def stop(self):
        self.stopping.set()
        self.join(PATIENCE_S)
        self.check()
        if self.is_alive():
            raise Timeout(f"{self} does not end")

    def pause(self, seconds=PAUSE_S):
        self.stopping.wait(seconds)


class SlowReader(Party):
    """Asks for more than sockets hold, and reads the answers late."""

    def __init__(self, address, number):
        super().__init__(address, number)
        self.client = ws_client.connect(address, "/echo", timeout=PATIENCE_S, receive_buffer=4096)

    def once(self):
        asked = [f"{self.number} {self.done + n} ".ljust(SLOW_BYTES, "s") for n in range(SLOW_MESSAGES)]
        for text in asked:
            self.client.send(text)
        self.pause(1)
        for text in asked:
            if self.client.recv() != text:
                raise AssertionError("another answer")
            self.done += 1

    def leave(self):
        self.client.close()


class NeverReader(Party):
    """Subscribes to a flood and reads nothing until it is thrown out; comes again.  `done` tells how often."""

    def once(self):
        client = connect(self, "/flood")
        if client is None:
            return
        poll = select.poll()
        poll.register(client.wire.sock, select.POLLRDHUP)
        since = time.monotonic()
        while not self.stopping.is_set():
            if poll.poll(200):
                self.done += 1
                break
            if time.monotonic() - since > PATIENCE_S:
                raise AssertionError("never thrown out")
        client.wire.reset()


class Flood(Party):
    """What never readers do not read."""

    def once(self):
        with contextlib.suppress(OSError, Ended):  # Some of it may be lost, in a flood.
            http_client.post(self.address, "/api/publish?channel=flood", b"f" * FLOOD_BYTES,
                             {"Content-Type": "application/octet-stream"}, timeout=PATIENCE_S)
            self.done += 1
        self.pause(FLOOD_PAUSE_S)


def connect(party, target, refusals=()):
    """A WebSocket, whatever happens meanwhile; None when the party is to stop.  refusals: statuses that may be answered."""
    deadline = time.monotonic() + PATIENCE_S
    while not party.stopping.is_set():
        try:
            return ws_client.connect(party.address, target, timeout=PATIENCE_S)
        except ws_client.Refused as refused:
            if refused.status not in refusals or time.monotonic() > deadline:
                raise
        except (OSError, Ended):  # A worker was killed at that moment.
            if time.monotonic() > deadline:
                raise
        party.pause()
    return None


class Commuter(Party):
    """A user that comes, stays a while, and goes.  freeze() gives whether it is online, until thaw()."""

    def __init__(self, address, number):
        super().__init__(address, number)
        self.turn = threading.Lock()  # Held while it comes or goes.
        self.client = None

    @property
    def user(self):
        return f"commuter-{self.number}"

    def freeze(self):
        self.turn.acquire()
        return self.client is not None

    def thaw(self):
        self.turn.release()

    def once(self):
        with self.turn:
            if self.client:
                self.go()
            else:
                self.client = connect(self, f"/watch?user={self.user}", refusals=(502, 503))
        self.stay(0.2 + 2 * self.dice.random())

    def stay(self, seconds):
        if self.client is None:
            return self.pause(seconds)
        with contextlib.suppress(Timeout):
            raise AssertionError(f"got {self.client.recv(timeout=seconds)!r}")

    def go(self):
        client, self.client = self.client, None
        try:
            code = client.close(timeout=PATIENCE_S)
        except (OSError, Ended):  # Killed after the answer was sent, or before; it is gone in any case.
            code = 1000
        if code not in (1000, 1006):
            raise AssertionError(f"closed with {code}")
        self.done += 1

    def leave(self):
        if self.client:
            self.go()


class Caller(Party):
    """Calls the application through the gateway."""

    def __init__(self, address, number, application, was_full_since):
        super().__init__(address, number)
        self.application = application
        self.was_full_since = was_full_since
        self.connection = None
        self.failed = 0

    def once(self):
        size = self.dice.choice(CALL_BYTES)
        began = time.monotonic()
        while True:
            try:
                response = self.call(size)
                break
            except (OSError, Ended):  # Its worker was killed; the caller asks again, as it may.
                self.hang_up()
                if time.monotonic() - began > PATIENCE_S:
                    raise
                self.pause()
        if response.header("connection", "").lower() == "close":
            self.hang_up()
        if response.status == 200:
            if response.body != self.expected:
                raise AssertionError(f"{len(response.body)} other bytes than expected")
            self.done += 1
            return
        excused = (response.status in (502, 503, 504) and self.application.was_away_since(began)
                   or response.status == 500 and self.was_full_since(began))
        if not excused:
            raise AssertionError(f"{response} while the application was there and the disk was not full")
        self.failed += 1
        self.pause()

    def call(self, size):
        self.connection = self.connection or http_client.Connection(self.address, PATIENCE_S)
        body = content(size)
        if self.dice.random() < 0.5:
            self.expected = body
            return self.connection.request("GET", f"/app/bytes?{size}")
        self.expected = hashlib.sha256(body).hexdigest().encode()
        return self.connection.request("POST", "/app/upload", {"Content-Type": "application/octet-stream"}, body)

    def hang_up(self):
        if self.connection:
            self.connection.close()
            self.connection = None

    def leave(self):
        self.hang_up()


class Desk(Publisher):
    """Publishes steadily, not as fast as it can: each key is remembered for a while, and memory is to be flat."""

    PAUSE_S = 0.02
    repeats_unavailable = True  # A master that is killed has not confirmed what it was just given.

    def publish(self, connection, sequence):
        self.stopping.wait(self.PAUSE_S)
        return super().publish(connection, sequence)


class News:
    """What a Desk needs to know where no oracle listens: a channel with history."""

    def __init__(self, address):
        self.address = self.api_address = address
        self.silence_max = PATIENCE_S
        self.published = {}

    @property
    def last(self):
        return self.published.get(b"news", 0)


class StreamReader(Party):
    """Reads the news as an event stream, and goes on from its Last-Event-ID whenever the stream ends.

    losses(): how many masters have been killed; each may cost what it had not passed on yet, and the history.
    """

    def __init__(self, address, number, losses):
        super().__init__(address, number)
        self.losses = losses
        self.forgiven = 0
        self.last_id = None
        self.heard = None  # A Sequence, from the first event on.
        self.resets = 0

    @property
    def last(self):
        return self.heard.last if self.heard else 0

    def once(self):
        try:
            with event_stream.Reader(self.address, "/news", last_id=self.last_id, timeout=PATIENCE_S) as self.reader:
                until = time.monotonic() + 1 + 8 * self.dice.random()
                while not self.stopping.is_set() and time.monotonic() < until:
                    self.take(self.reader.next())
                    self.last_id = self.reader.last_id
        except (OSError, Ended):
            self.pause()

    def stop(self):
        self.stopping.set()
        with contextlib.suppress(OSError):
            self.reader.connection.wire.sock.shutdown(socket.SHUT_RDWR)  # It waits for news, and there are none.
        super().stop()

    def take(self, event):
        if event.name == event_stream.RESET:
            self.resets += 1
            self.forgive("the history is lost")
            self.heard = None
            return
        source, _, rest = event.data.partition(" ")
        number = int(rest.partition(" ")[0])
        if event.data.encode() != publication(source.encode(), number):
            raise AssertionError(f"altered: {event.data[:40]!r}")
        self.heard = self.heard or sequence_from(number)
        wrong = self.heard.take(number)
        if wrong:
            self.forgive(wrong[1])
        self.done += 1

    def forgive(self, what):
        losses = self.losses()
        if self.forgiven == losses:
            raise AssertionError(what)
        self.forgiven = losses


def sequence_from(number):
    sequence = Sequence()
    sequence.last = number - 1
    return sequence


class Members:
    """Some who stay in one room and can see each other; looked at when everything is quiet, by check()."""

    def __init__(self, address, count):
        self.address = address
        self.clients = [centrifuge_client.connect(address, "/centrifuge", timeout=PATIENCE_S) for _ in range(count)]
        for client in self.clients:
            client.call("subscribe", channel="room-of-members")
        self.rounds = 0
        self.call("publish", channel="room-of-members", data=0)
        for client in self.clients:  # Joins before that are of those who came later.
            client.push("pub")
            client.pushes.clear()

    def call(self, method, **params):
        return call_api(self.address, method, PATIENCE_S, **params)

    def check(self):
        self.rounds += 1
        self.call("publish", channel="room-of-members", data=self.rounds)
        for client in self.clients:
            heard = client.push("pub")["data"]
            if heard != self.rounds or client.pushes:
                raise AssertionError(f"a member heard {heard} and {client.pushes}, not {self.rounds} alone")
        listed = sorted(self.call("presence", channel="room-of-members")["presence"])
        if listed != sorted(client.id for client in self.clients):
            raise AssertionError(f"{len(listed)} members are listed, not the {len(self.clients)} that are there")

    def stop(self):
        for client in self.clients:
            client.close()
