"""Recorder: an origin that keeps every byte it gets and counts the requests in them by the strictest reading.

    recorder = Recorder()
    recorder.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"     # or a function of the request
    ...
    recorder.requests            # [Request], complete ones, in order of their end
    recorder.oddities            # what a strict reader would not take: must stay empty
    recorder.raw                 # connection number to all of its bytes

Where Backend is an application, this is a witness: it tidies nothing up and forgives nothing.
"""

import contextlib
import re
import socket
import threading

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e]+) HTTP/1\.1")


class Odd(Exception):
    """A strict reader refuses this."""


class Request:
    def __init__(self, head, body):
        self.head = head
        self.body = body
        line, *fields = head[:-4].split(b"\r\n")
        self.method, self.target, _ = (part.decode("latin-1") for part in line.split(b" "))
        self.fields = [(name.decode("latin-1"), value.strip(b" \t").decode("latin-1"))
                       for name, _, value in (field.partition(b":") for field in fields)]

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def header(self, name):
        values = self.all(name)
        return values[0] if values else None

    def __repr__(self):
        return f"<{self.head!r} {self.body!r}>"


def check_head(head):
    """The fields of a complete head, lower-case names; Odd for whatever two readers could take in two ways."""
    line, *lines = head[:-4].split(b"\r\n")
    if not REQUEST_LINE.fullmatch(line):
        raise Odd(f"request line {line!r}")
    fields = {}
    for each in lines:
        name, colon, value = each.partition(b":")
        if not colon or not TOKEN.fullmatch(name) or not VALUE.fullmatch(value):
            raise Odd(f"field {each!r}")
        fields.setdefault(name.lower(), []).append(value.strip(b" \t"))
    if len(fields.get(b"host", [])) != 1:
        raise Odd(f"{len(fields.get(b'host', []))} Host fields")
    lengths, codings = fields.get(b"content-length", []), fields.get(b"transfer-encoding", [])
    if len(lengths) + len(codings) > 1:
        raise Odd(f"framed twice: {lengths} {codings}")
    if lengths and not re.fullmatch(rb"[0-9]{1,18}", lengths[0]):
        raise Odd(f"Content-Length {lengths[0]!r}")
    if codings and codings[0] != b"chunked":
        raise Odd(f"Transfer-Encoding {codings[0]!r}")
    return fields


def take_chunks(data, at):
    """The body of a chunked message from `at` on, and where it ends; None while it is incomplete."""
    body = b""
    while True:
        end = data.find(b"\r\n", at)
        if end < 0:
            return None
        size_text = data[at:end]
        if not re.fullmatch(rb"[0-9a-f]{1,16}", size_text):
            raise Odd(f"chunk size {size_text!r}")
        size = int(size_text, 16)
        if len(data) < end + 2 + size + 2:
            return None
        if data[end + 2 + size:end + 4 + size] != b"\r\n":
            raise Odd("a chunk's end" if size else "trailers")
        body += data[end + 2:end + 2 + size]
        at = end + 4 + size
        if size == 0:
            return body, at


def take_request(data):
    """The first request of the bytes, and where it ends; None while it is incomplete."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        if re.search(rb"(?<!\r)\n|\r(?!\n)(?=.)|\0", data, re.DOTALL):
            raise Odd(f"line ends in {data!r}")
        return None
    head = data[:end + 4]
    fields = check_head(head)
    if b"transfer-encoding" in fields:
        found = take_chunks(data, end + 4)
        return found and (Request(head, found[0]), found[1])
    length = int(fields.get(b"content-length", [b"0"])[0])
    if len(data) < end + 4 + length:
        return None
    return Request(head, data[end + 4:end + 4 + length]), end + 4 + length


class Recorder:
    """prologue: what each connection begins with before HTTP, as a function that takes bytes and gives how many of
    them it was, or None while that can't be said."""

    def __init__(self, answer=OK, prologue=None):
        self.answer = answer
        self.prologue = prologue
        self.requests = []
        self.oddities = []
        self.raw = {}
        self.prologues = []
        self.changed = threading.Condition()
        self.busy = 0
        self.open = set()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self):
        number = 0
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            number += 1
            with self.changed:
                self.open.add(sock)
            threading.Thread(target=self._serve, args=(sock, number), daemon=True).start()

    def _serve(self, sock, number):
        try:
            with contextlib.suppress(OSError):
                self._read(sock, number)
        finally:
            with self.changed:
                self.open.discard(sock)
                self.changed.notify_all()
            sock.close()

    def _read(self, sock, number):
        data = b""
        opening = self.prologue is not None
        with self.changed:
            self.raw[number] = b""
        while True:
            piece = sock.recv(1 << 16)
            if not piece:
                break
            data += piece
            with self.changed:
                self.raw[number] += piece
            if opening:
                size = self.prologue(data)
                if size is None:
                    continue
                with self.changed:
                    self.prologues.append(data[:size])
                data, opening = data[size:], False
            try:
                while data and (found := take_request(data)):
                    request, end = found
                    data = data[end:]
                    with self.changed:
                        self.requests.append(request)
                        self.changed.notify_all()
                    answer = self.answer(request) if callable(self.answer) else self.answer
                    sock.sendall(answer[0] if isinstance(answer, tuple) else answer)
                    if isinstance(answer, tuple):  # (bytes, "end"): the answer, and then no more.
                        return
            except Odd as odd:
                with self.changed:
                    self.oddities.append(str(odd))
                return

    def count(self):
        with self.changed:
            return len(self.requests)

    def targets(self):
        with self.changed:
            return [request.target for request in self.requests]

    def wait(self, count=1, timeout=10):
        """The count-th request."""
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.requests) >= count, timeout):
                raise AssertionError(f"{count} requests expected, got {self.requests} {self.oddities}")
            return self.requests[count - 1]

    def clear(self):
        """Ends every connection and forgets everything; what comes afterwards is counted from nothing."""
        with self.changed:
            for sock in self.open:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
            if not self.changed.wait_for(lambda: not self.open, 10):
                raise AssertionError("connections of the recorder do not end")
            self.requests, self.oddities, self.raw, self.prologues = [], [], {}, []

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)
        self.clear()
