"""Listeners: many WebSocket clients that all must get the same bytes, checked while they arrive.

Every subscriber of a channel gets the same unmasked frames in the same order, so the streams are compared
as bytes, at the speed of memcmp: whoever is ahead makes the reference, the others must repeat it.  A lost,
doubled or reordered message shows as a difference or as a stream that stays short.
"""

import selectors
import time

import ws_client
import ws_frame
from wire import Timeout

FRAME_BYTES_MAX = 1 << 16


class Listener:
    def __init__(self, number, socket):
        self.number = number
        self.socket = socket
        self.sock = socket.wire.sock
        self.position = 0
        self.ended = False


class Listeners:
    def __init__(self, address, target, count, sources=8):
        self.reference = bytearray()
        self.selector = selectors.DefaultSelector()
        self.members = []
        self.messages = []  # Payloads of the reference's whole frames.
        self.walked = 0
        for number in range(count):
            socket = ws_client.connect(address, target, source=f"127.0.0.{2 + number % sources}", timeout=30)
            self._add(Listener(number, socket))

    def _add(self, listener):
        self.members.append(listener)
        self._take(listener, listener.socket.wire.take(len(listener.socket.wire.buffer)))
        listener.sock.setblocking(False)
        self.selector.register(listener.sock, selectors.EVENT_READ, listener)

    def _take(self, listener, data):
        at = listener.position
        known = len(self.reference) - at
        if self.reference[at : at + len(data)] != data[:known]:
            raise AssertionError(f"listener {listener.number} got something else at byte {at}: {data[:80]!r}, "
                                 f"expected {bytes(self.reference[at:at + 80])!r}")
        if len(data) > known:
            self.reference += data[known:]
        listener.position += len(data)

    def _read(self, listener):
        try:
            data = listener.sock.recv(1 << 18)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if data:
            return self._take(listener, data)
        listener.ended = True
        self.selector.unregister(listener.sock)

    def living(self):
        return [member for member in self.members if not member.ended]

    def run(self, condition, timeout):
        """Reads until condition() holds."""
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                positions = sorted(member.position for member in self.living())
                raise Timeout(f"after {timeout} s the living listeners have {positions[:3]} ... {positions[-3:]} "
                              f"of {len(self.reference)} bytes")
            for key, _ in self.selector.select(0.1):
                self._read(key.data)

    def run_to(self, count, timeout, broken=lambda: False):
        """Reads until every living listener has the same `count` messages, or it is broken(); gives them."""
        self.run(lambda: broken() or (self.messages_so_far() >= count and self.level()), timeout)
        return self.messages

    def level(self):
        return all(member.position == len(self.reference) for member in self.members if not member.ended)

    def messages_so_far(self):
        """Whole messages in the reference; walks only what is new."""
        while True:
            parsed = ws_frame.parse(bytes(self.reference[self.walked : self.walked + FRAME_BYTES_MAX]))
            if not parsed:
                return len(self.messages)
            frame, used = parsed
            if frame.opcode not in (ws_frame.TEXT, ws_frame.BINARY):
                raise AssertionError(f"a frame that no message is: {frame}")
            self.messages.append(frame.payload)
            self.walked += used

    def close(self):
        for member in self.members:
            member.sock.close()
        self.selector.close()
