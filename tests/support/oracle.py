"""The oracle: says whether anything that happens to the gateway's processes can be seen by its clients.

    oracle = self.track(Oracle(gateway.address(), connections=300, busy=20))
    oracle.open()                   # All are connected; from here on a thread of its own talks on them.
    os.kill(worker, SIGKILL)
    oracle.wait_messages(1000)      # So many more answers have come.
    oracle.finish()                 # One more answer on every connection; raises when there was any fault.

Echo connections send numbered messages of many sizes, some fragmented with pings between, to a `websocket echo`
location: `busy` of them always `depth` at a time, the others one now and then.  Each answer must be the next one,
byte for byte.  Subscribers of hub=(target, count) must see every talker's 1, 2, 3, ... once and in order; talkers
are subscribers that publish by their own frames (location with websocket_subscribe and websocket_publish).
Visitors connect, get one echo, close properly and come again, as fast as they can.
With tls=(a tls_client.Context), name=... all of them speak TLS, and those that echo change their keys now and then.

A fault is a gap, a repeat, a swap, an altered or foreign message, a close, a refusal, or a silence above
silence_max seconds while an answer is due.  Silences are kept per connection (longest since the last mark()).

As a program (for more connections than one process may have): see main().
"""

import argparse
import json
import queue
import random
import selectors
import socket
import sys
import threading
import time
from collections import Counter, deque

import http_client
import tls_client
import ws_frame
from wire import Ended, Timeout, reset, split_address
from ws_frame import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT

SIZES = (24, 60, 125, 126, 200, 500, 1400, 4000)
FRAGMENTED_EVERY = 13
LARGE_EVERY, LARGE_BYTES = 97, 70_000
KEY_UPDATE_EVERY = 31
BLOCK = random.Random(3).randbytes(LARGE_BYTES + 4096)
LETTERS = b"abcdefghijklmnopqrstuvwxyz" * 40
HANDSHAKES_AT_A_TIME = 200
SOURCES = 8  # Loopback addresses that connections come from, so that ports do not run out.
TICK_S = 0.05


def message(number, sequence):
    """What echo connection `number` sends as its `sequence`-th message."""
    head = b"%d %d " % (number, sequence)
    size = LARGE_BYTES if sequence % LARGE_EVERY == LARGE_EVERY // 2 else SIZES[(number + sequence) % len(SIZES)]
    at = (number * 613 + sequence * 37) % 4096
    return head + BLOCK[at : at + size - len(head)]


def publication(source, sequence):
    return b"%s %d " % (source, sequence) + LETTERS[: sequence % 900]


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))] if values else 0.0


class Sequence:
    """Numbers that must come as 1, 2, 3, ...; says what is wrong when they do not."""

    def __init__(self):
        self.last = 0
        self.missing = set()

    def take(self, number):
        """None, or (kind, text) of the fault."""
        if number == self.last + 1:
            self.last = number
            return None
        if number > self.last:
            skipped = range(self.last + 1, number)
            self.missing.update(skipped)
            self.last = number
            return "gap", f"{skipped[0]}..{skipped[-1]} did not come before {number}"
        if number in self.missing:
            self.missing.discard(number)
            return "swap", f"{number} came after {self.last}"
        return "repeat", f"{number} came again, after {self.last}"


class Peer:
    """One WebSocket connection; opens itself, knows how long it has been waiting for something."""

    def __init__(self, oracle, number, target):
        self.oracle = oracle
        self.number = number
        self.target = target
        self.state = "new"  # new, opening, open, ended
        self.longest = 0.0  # Silence since the last mark.
        self.waiting_since = None
        self.silent = False
        self.pings = deque()
        self.name = ("", 0)  # The client's: its address and port.

    def __str__(self):
        return f"{type(self).__name__.lower()} {self.number} ({self.name[0]}:{self.name[1]})"

    def begin(self):
        self.buffer = bytearray()
        self.output = bytearray()
        self.tls = tls_client.Tls(self.oracle.tls, self.oracle.name) if self.oracle.tls else None
        self.sealed = bytearray()  # Output as it goes over a wire with TLS.
        self.sock = socket.socket(self.oracle.family, socket.SOCK_STREAM)
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.oracle.sources:
            self.sock.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
            self.sock.bind((f"127.0.0.{2 + (self.oracle.first + self.number) % self.oracle.sources}", 0))
        self.state = "opening"
        self.wait()
        try:
            self.sock.connect(self.oracle.where)
        except BlockingIOError:
            pass
        except OSError as error:
            return self.fail("refused", f"connect: {error}", register=False)
        self.key = ws_frame.make_key()
        self.output += ws_frame.handshake("oracle", self.target, self.key)
        self.mask = selectors.EVENT_READ | selectors.EVENT_WRITE
        self.oracle.selector.register(self.sock, self.mask, self)

    # Waiting.

    def wait(self):
        """An answer is due from now on, if none was before."""
        if self.waiting_since is None:
            self.waiting_since = self.oracle.now

    def heard(self, more_due):
        if self.waiting_since is not None:
            self.longest = max(self.longest, self.oracle.now - self.waiting_since)
        self.waiting_since = self.oracle.now if more_due else None
        self.silent = False

    def check_silence(self):
        if self.waiting_since is None or self.silent or self.state == "ended":
            return
        silence = self.oracle.now - self.waiting_since
        if silence > self.oracle.silence_max:
            self.silent = True
            self.longest = max(self.longest, silence)
            self.fault("silence", f"nothing came for {silence:.2f} s, {self.due()}")

    def due(self):
        return "the handshake is due" if self.state == "opening" else "an answer is due"

    def awaited(self):
        """Whether the end must wait for it."""
        return not self.silent and self.waiting_since is not None

    # Faults.

    def fault(self, kind, text):
        self.oracle.faults.append((kind, f"{self}: {kind}: {text}"))

    def fail(self, kind, text, register=True):
        """A fault that ends the connection."""
        self.fault(kind, text)
        self.end(register)

    def end(self, registered=True):
        if registered:
            self.oracle.selector.unregister(self.sock)
        self.sock.close()
        self.state = "ended"
        self.waiting_since = None

    # Input and output.

    def send_frame(self, opcode, payload, fin=True):
        self.output += ws_frame.encode(opcode, payload, fin=fin)

    def seal(self):
        """The output so far becomes records."""
        if self.tls.shake_hands() and self.output:
            self.tls.write(self.output)
            self.output.clear()
        self.sealed += self.tls.take()

    def unseal(self, data):
        """Plaintext; None: the peer has failed for what came."""
        try:
            self.tls.put(data)
            return self.tls.read() if self.tls.shake_hands() else b""
        except tls_client.TlsError as error:
            self.fail("refused" if self.state == "opening" else "altered", f"TLS: {error}")
            return None

    def flush(self):
        if self.state == "ended":
            return
        if self.tls:
            self.seal()
        output = self.sealed if self.tls else self.output
        while output:
            try:
                sent = self.sock.send(output)
            except BlockingIOError:
                break
            except OSError as error:
                return self.fail("refused" if self.state == "opening" else "closed", f"send: {error}")
            del output[:sent]
        mask = selectors.EVENT_READ | (selectors.EVENT_WRITE if output else 0)
        if mask != self.mask:
            self.mask = mask
            self.oracle.selector.modify(self.sock, mask, self)

    def on_event(self, mask):
        if mask & selectors.EVENT_READ and not self.read():
            return
        self.flush()

    def read(self):
        try:
            data = self.sock.recv(1 << 18)
        except BlockingIOError:
            return True
        except OSError as error:
            self.fail("refused" if self.state == "opening" else "closed", f"{error}, {self.due()}")
            return False
        if not data:
            self.on_end()
            return False
        if self.tls:
            data = self.unseal(data)
            if data is None:
                return False
        self.buffer += data
        if self.state == "opening" and not self.shake_hands():
            return self.state != "ended"
        while self.state == "open":
            parsed = ws_frame.parse(self.buffer)
            if not parsed:
                break
            del self.buffer[: parsed[1]]
            self.on_frame(parsed[0])
        if self.state == "open" and self.tls and self.tls.ended:
            self.on_end()
        return self.state != "ended"

    def shake_hands(self):
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = self.buffer[:end].decode("latin-1")
        del self.buffer[: end + 4]
        if not head.startswith("HTTP/1.1 101 ") or ws_frame.accept_for(self.key) not in head:
            self.fail("refused", repr(head[:80]))
            return False
        self.name = self.sock.getsockname()[:2]
        self.state = "open"
        self.heard(more_due=False)
        self.oracle.opened += 1
        self.on_open()
        return True

    def on_open(self):
        pass

    def on_end(self):
        self.fail("refused" if self.state == "opening" else "closed", f"the stream ended, {self.due()}")

    def on_frame(self, frame):
        if frame.opcode == PING:
            self.send_frame(PONG, frame.payload)
        elif frame.opcode == PONG:
            expected = self.pings.popleft() if self.pings else None
            if frame.payload != expected:
                self.fault("altered", f"a pong {frame.payload!r}, expected {expected!r}")
        elif frame.opcode == CLOSE:
            self.on_close(*ws_frame.decode_close(frame.payload))
        elif frame.opcode in (TEXT, BINARY) and frame.fin and not frame.masked and not frame.rsv:
            self.oracle.messages += 1
            self.on_message(frame.opcode, frame.payload)
        else:
            self.fail("altered", f"a frame that can't be: {frame[:4]} {frame.payload[:40]!r}")

    def on_close(self, code, reason):
        self.fail("closed", f"with {code} {reason!r}, {self.due()}")


class Echo(Peer):
    def __init__(self, oracle, number, target, depth):
        super().__init__(oracle, number, target)
        self.depth = depth  # 0: only when told to.
        self.sent = 0
        self.answers = Sequence()
        self.answered = 0

    def due(self):
        return super().due() if self.state == "opening" else f"{self.sent - self.answered} answers are due"

    def awaited(self):
        return super().awaited() and not self.answers.missing  # What is lost does not come any more.

    def talk(self):
        """Sends the next message."""
        self.sent += 1
        if self.tls and self.sent % KEY_UPDATE_EVERY == 0:
            self.seal()
            self.tls.key_update(asks=self.sent % 2 == 0)
            self.oracle.key_updates += 1
        data = message(self.number, self.sent)
        if self.sent % FRAGMENTED_EVERY:
            self.send_frame(BINARY, data)
        else:
            third = len(data) // 3
            self.send_frame(BINARY, data[:third], fin=False)
            if self.sent % 2:
                self.pings.append(b"%d" % self.sent)
                self.send_frame(PING, self.pings[-1])
            self.send_frame(CONTINUATION, data[third : 2 * third], fin=False)
            self.send_frame(CONTINUATION, data[2 * third :])
        self.wait()

    def fill(self):
        if not self.oracle.finishing:
            while self.sent - self.answered < self.depth:
                self.talk()

    def on_message(self, opcode, payload):
        self.answered += 1
        self.heard(self.sent > self.answered)
        number, _, rest = payload[:40].partition(b" ")
        sequence = rest.partition(b" ")[0]
        if opcode != BINARY or not sequence.isdigit() or number != b"%d" % self.number:
            return self.fault("altered", f"got {payload[:40]!r}, not one of its own messages")
        if payload != message(self.number, int(sequence)):
            return self.fault("altered", f"message {int(sequence)} came back with other bytes")
        wrong = self.answers.take(int(sequence))
        if wrong:
            self.fault(*wrong)
        self.fill()


class Subscriber(Peer):
    def __init__(self, oracle, number, target):
        super().__init__(oracle, number, target)
        self.heard_of = {}  # Source to Sequence.

    def on_message(self, opcode, payload):
        self.heard(more_due=False)
        source, _, rest = payload[:40].partition(b" ")
        sequence = rest.partition(b" ")[0]
        if not sequence.isdigit() or payload != publication(source, int(sequence)):
            return self.fault("altered", f"got {payload[:40]!r}")
        wrong = self.heard_of.setdefault(source, Sequence()).take(int(sequence))
        if wrong:
            self.fault(wrong[0], f"publications of {source.decode()}: {wrong[1]}")
        self.on_publication(source)

    def on_publication(self, source):
        pass

    def lacks(self):
        """Text of what has not come yet, or ''."""
        for source, count in self.oracle.published.items():
            last = self.heard_of[source].last if source in self.heard_of else 0
            if last != count:
                return f"publications of {source.decode()} end with {last} of {count}"
        return ""


class Talker(Subscriber):
    def __init__(self, oracle, number, target, depth):
        super().__init__(oracle, number, target)
        self.depth = depth
        self.source = b"t%d-%d" % (oracle.first, number)

    def fill(self):
        done = self.heard_of[self.source].last if self.source in self.heard_of else 0
        count = self.oracle.published.setdefault(self.source, 0)
        while not self.oracle.finishing and count - done < self.depth:
            count += 1
            self.send_frame(TEXT, publication(self.source, count))
            self.wait()
        self.oracle.published[self.source] = count

    def on_publication(self, source):
        if source == self.source:
            self.fill()
        if self.oracle.published.get(self.source, 0) > self.heard_of.get(self.source, Sequence()).last:
            self.wait()


class Visitor(Peer):
    """Connects, gets one echo, closes, and comes again."""

    def awaited(self):
        return not self.silent  # Until it is gone.

    def on_open(self):
        self.send_frame(BINARY, b"visit")
        self.wait()
        self.answered = False

    def on_message(self, opcode, payload):
        self.heard(more_due=True)
        self.answered = True
        if payload != b"visit":
            self.fault("altered", f"got {payload[:40]!r}")
        self.send_frame(CLOSE, ws_frame.encode_close(1000))

    def on_close(self, code, reason):
        self.heard(more_due=False)
        if not self.answered or code != 1000:
            return self.fail("closed", f"with {code} {reason!r}")
        self.oracle.visits += 1
        self.end()
        if not self.oracle.finishing:
            self.begin()


class Publisher(threading.Thread):
    """Publishes 1, 2, 3, ... to a channel through the API.  A request whose connection breaks before the answer is
    sent again with the same idempotency key, so each is published once, whatever happens."""

    repeats_unavailable = False  # Whether one that is answered with 503 is sent again, too.

    def __init__(self, oracle, channel, name="http"):
        super().__init__(daemon=True)
        self.oracle = oracle
        self.channel = channel
        self.source = name.encode()
        self.repeated = 0
        self.error = None
        self.stopping = threading.Event()

    def run(self):
        try:
            connection = None
            sequence = 0
            while not self.stopping.is_set():
                sequence += 1
                self.oracle.published[self.source] = sequence
                connection = self.publish(connection, sequence)
            connection.close()
        except BaseException as error:
            self.error = error

    def publish(self, connection, sequence):
        deadline = time.monotonic() + self.oracle.silence_max
        while True:
            try:
                connection = connection or http_client.Connection(self.oracle.api_address, self.oracle.silence_max)
                response = connection.request(
                    "POST", f"/api/publish?channel={self.channel}",
                    {"Content-Type": "text/plain", "Idempotency-Key": f"{self.source.decode()}-{sequence}"},
                    publication(self.source, sequence))
                if response.status == 503 and self.repeats_unavailable and time.monotonic() < deadline:
                    self.repeated += 1
                    self.stopping.wait(int(response.header("retry-after")))
                    continue
                if response.status != 200:
                    raise AssertionError(response)
                if response.header("connection", "").lower() != "close":
                    return connection
                connection.close()
                return None
            except (OSError, Ended):
                if time.monotonic() > deadline:
                    raise
                self.repeated += 1
                if connection:
                    connection.close()
                connection = None

    def stop(self):
        self.stopping.set()
        self.join(30)
        if self.error:
            raise self.error


class Oracle:
    """first: number of the first connection, where several oracles share the work.  tls, name: a tls_client.Context
    to speak TLS with, and the server's name; api_address: where the API is asked, in the clear."""

    def __init__(self, address, target="/echo", connections=100, busy=10, depth=8, idle_period=5.0, hub=None, talkers=2,
                 visitors=0, silence_max=20.0, sources=SOURCES, first=0, tls=None, name=None, api_address=None):
        self.address = address
        self.api_address = api_address or address
        self.tls, self.name = tls, name
        self.where = split_address(address)
        self.family = socket.AF_INET6 if ":" in self.where[0] else socket.AF_INET
        self.sources = sources if self.family == socket.AF_INET else 0
        self.silence_max = silence_max
        self.idle_period = idle_period
        self.first = first
        self.now = time.monotonic()
        self.selector = selectors.DefaultSelector()
        self.faults = []     # (kind, text)
        self.published = {}  # Source to the number of its last publication.
        self.messages = self.visits = self.opened = self.key_updates = 0
        self.finishing = False
        self.settled = self.last_words = False
        self.requests = queue.SimpleQueue()
        self.thread = None
        self.error = None
        self.stopping = threading.Event()
        self.echoes = [Echo(self, first + n, target, depth if n < busy else 0) for n in range(connections)]
        self.idle = self.echoes[busy:]
        self.idle_next, self.idle_at = 0.0, 0
        hub_target, hub_count = hub or ("", 0)
        self.subscribers = [Talker(self, n, hub_target, 4) if n < talkers else Subscriber(self, n, hub_target)
                            for n in range(hub_count)]
        self.visitors = [Visitor(self, n, target) for n in range(visitors)]

    @property
    def peers(self):
        return self.echoes + self.subscribers + self.visitors

    # What a test calls.

    def open(self, timeout=60):
        """Connects everybody, then lets them talk."""
        waiting = deque(self.echoes + self.subscribers)
        total = len(waiting)
        deadline = time.monotonic() + timeout
        begun = 0
        while self.opened < total:
            while waiting and begun - self.opened < HANDSHAKES_AT_A_TIME:
                waiting.popleft().begin()
                begun += 1
            self.turn()
            if self.faults or time.monotonic() > deadline:
                raise AssertionError(f"{self.opened} of {total} connections are open: {self.text()}")
        for peer in self.echoes + self.subscribers:
            if isinstance(peer, (Echo, Talker)):
                peer.fill()
                peer.flush()
        for visitor in self.visitors:
            visitor.begin()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        return self

    def wait_messages(self, count, timeout=60):
        """Until so many more messages have come; a fault ends it at once."""
        target = self.messages + count
        self.wait_for(lambda: self.faults or self.messages >= target, f"{count} more messages", timeout)
        self.check()

    def wait_visits(self, count, timeout=60):
        target = self.visits + count
        self.wait_for(lambda: self.faults or self.visits >= target, f"{count} more visits", timeout)
        self.check()

    def wait_faults(self, kind, count=1, timeout=60):
        """Until there are so many faults of a kind, for controls."""
        self.wait_for(lambda: self.kinds()[kind] >= count, f"{count} x {kind}", timeout)

    def wait_for(self, condition, what, timeout):
        deadline = time.monotonic() + timeout
        pause = threading.Event()
        while not condition():
            if self.error:
                raise self.error
            if time.monotonic() > deadline:
                raise Timeout(f"no {what} within {timeout} s: {self.text()}")
            pause.wait(0.01)

    def kinds(self):
        return Counter(kind for kind, _ in self.faults)

    def mark(self):
        """Begins to count silences anew; gives those so far, in seconds, of the connections that waited."""
        answer = queue.SimpleQueue()
        self.requests.put(answer)
        return answer.get(timeout=60)

    def finish(self, timeout=None):
        """Nobody begins anything new, everybody gets what is due and one more answer."""
        self.finish_quietly(timeout)
        self.check()
        return self

    def finish_quietly(self, timeout=None):
        """As finish(), for tests that expect faults."""
        self.finishing = True
        self.thread.join((timeout or self.silence_max) + 30)
        if self.error:
            raise self.error
        if self.thread.is_alive():
            raise Timeout("the oracle itself hangs")

    def check(self):
        if self.faults:
            raise AssertionError(self.text())

    def text(self):
        lines = [text for _, text in self.faults[:12]]
        return f"{len(self.faults)} faults {dict(self.kinds())}, {self.messages} messages\n  " + "\n  ".join(lines)

    def report(self):
        silences = [peer.longest * 1000 for peer in self.peers if peer.longest]
        return {"connections": len(self.echoes), "subscribers": len(self.subscribers), "messages": self.messages,
                "visits": self.visits, "faults": dict(self.kinds()), "first_faults": [t for _, t in self.faults[:5]],
                "silence_ms": {"median": percentile(silences, 0.5), "p99": percentile(silences, 0.99),
                               "max": max(silences, default=0.0)}}

    def close(self):
        self.stopping.set()
        if self.thread:
            self.thread.join(30)
        for peer in self.peers:
            if peer.state in ("opening", "open"):
                reset(peer.sock)
        self.selector.close()

    # The loop.

    def run(self):
        try:
            ticked = 0.0
            while not self.stopping.is_set() and not self.settled:
                self.turn()
                if self.now - ticked >= TICK_S:
                    ticked = self.now
                    self.tick()
        except BaseException as error:
            self.error = error

    def turn(self):
        events = self.selector.select(TICK_S)
        self.now = time.monotonic()
        for key, mask in events:
            if key.data.state != "ended":
                key.data.on_event(mask)

    def tick(self):
        for peer in self.peers:
            peer.check_silence()
        while not self.requests.empty():
            self.requests.get().put([peer.longest for peer in self.peers if peer.longest])
            for peer in self.peers:
                peer.longest = 0.0
        if self.finishing:
            self.settle()
        elif self.idle:
            self.idle_next = min(self.idle_next + len(self.idle) * TICK_S / self.idle_period, len(self.idle))
            while self.idle_next >= 1:
                self.idle_next -= 1
                self.idle_at = (self.idle_at + 1) % len(self.idle)
                self.prod(self.idle[self.idle_at])

    def prod(self, echo):
        if echo.state == "open" and echo.sent == echo.answered:
            echo.talk()
            echo.flush()

    def settle(self):
        """One last message on every connection, then waits until nothing is due; silences end the wait."""
        if not self.last_words:
            self.last_words = True
            self.settle_until = self.now + self.silence_max + 1
            for echo in self.echoes:
                if echo.state == "open":
                    echo.talk()
                    echo.flush()
        due = [p for p in self.echoes + self.visitors if p.state in ("open", "opening") and p.awaited()]
        behind = [s for s in self.subscribers if s.state == "open" and s.lacks()]
        if (due or behind) and self.now < self.settle_until:
            return
        for subscriber in behind:
            subscriber.fault("gap", subscriber.lacks())
        for echo in self.echoes:
            if echo.state == "open" and echo.sent != echo.answers.last and not echo.silent and not echo.answers.missing:
                echo.fault("gap", f"answers end with {echo.answers.last} of {echo.sent}")
        self.settled = True


def main():
    """Prints "open" once all are connected; each line on standard input is answered: "mark" by the silences since the
    last one, "finish" by the report, and then it ends."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("address")
    parser.add_argument("--target", default="/echo")
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--busy", type=int, default=10)
    parser.add_argument("--depth", type=int, default=8)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--idle-period", type=float, default=30.0)
    parser.add_argument("--silence-max", type=float, default=20.0)
    options = parser.parse_args()
    oracle = Oracle(options.address, options.target, options.connections, options.busy, options.depth,
                    idle_period=options.idle_period, silence_max=options.silence_max, first=options.first)
    oracle.open(300)
    print("open", flush=True)
    for line in sys.stdin:
        if line.strip() == "mark":
            print(json.dumps({"silences": oracle.mark(), "messages": oracle.messages, "faults": oracle.kinds()}), flush=True)
        elif line.strip() == "finish":
            oracle.finish_quietly()
            print(json.dumps(oracle.report()), flush=True)
            break
    oracle.close()


if __name__ == "__main__":
    main()
