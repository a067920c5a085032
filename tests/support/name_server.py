"""A name server for tests: answers A questions from a table that the test changes, or not at all.

    names = NameServer({"app.test": ["127.0.0.1"]}, ttl=1)
    names.table["app.test"] = ["127.0.0.2"]       # from the next question on
    names.silent = True                           # questions are heard and not answered

RFC 1035 section 4; AAAA and unknown names get an empty answer and NXDOMAIN.
"""

import socket
import struct
import threading

A, IN, NXDOMAIN = 1, 1, 3


class NameServer:
    def __init__(self, table=None, ttl=1):
        self.table = dict(table or {})
        self.ttl = ttl
        self.silent = False
        self.questions = 0
        self.changed = threading.Condition()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def close(self):
        port = self.socket.getsockname()[1]
        self.thread, thread = None, self.thread
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", ("127.0.0.1", port))
        thread.join(10)
        self.socket.close()

    def wait_questions(self, count, timeout=10):
        """Until so many more questions have come."""
        with self.changed:
            wanted = self.questions + count
            if not self.changed.wait_for(lambda: self.questions >= wanted, timeout):
                raise AssertionError(f"{self.questions} questions, {wanted} expected")

    def _serve(self):
        while self.thread:
            packet, peer = self.socket.recvfrom(4096)
            if len(packet) < 12:
                continue
            with self.changed:
                self.questions += 1
                self.changed.notify_all()
            if not self.silent:
                self.socket.sendto(self._answer(packet), peer)

    def _answer(self, packet):
        number, = struct.unpack("!H", packet[:2])
        at, labels = 12, []
        while packet[at]:
            labels.append(packet[at + 1:at + 1 + packet[at]].decode())
            at += 1 + packet[at]
        question = packet[12:at + 5]
        kind, = struct.unpack("!H", packet[at + 1:at + 3])
        known = self.table.get(".".join(labels).lower())
        addresses = known or [] if kind == A else []
        records = b"".join(struct.pack("!HHHIH", 0xC00C, A, IN, self.ttl, 4) + socket.inet_aton(address)
                           for address in addresses)
        flags = 0x8580 | (NXDOMAIN if known is None else 0)
        return struct.pack("!HHHHHH", number, flags, 1, len(addresses), 0, 0) + question + records
