"""A FastCGI server that a test tells what to answer, byte by byte where it likes.

    server = self.track(fastcgi.Server(lambda request: fastcgi.reply("Content-Type: text/plain\r\n\r\nhello")))

A behaviour gets the request (params, stdin) and gives the bytes to send, or a generator of them; the connection is
closed behind them unless the request asked to keep it.  Bytes that are none of FastCGI's are welcome.
"""

import contextlib
import socket
import struct
import tempfile
import threading

BEGIN, ABORT, END, PARAMS, STDIN, STDOUT, STDERR = 1, 2, 3, 4, 5, 6, 7


def record(kind, content=b"", padding=0, version=1, request_id=1, length=None):
    if isinstance(content, str):
        content = content.encode("latin-1")
    head = struct.pack(">BBHHBx", version, kind, request_id, len(content) if length is None else length, padding)
    return head + content + b"\xee" * padding


def end(app_status=0, protocol_status=0, padding=0):
    return record(END, struct.pack(">IBxxx", app_status, protocol_status), padding)


def stdout(text, size=65535, padding=0):
    data = text.encode("latin-1") if isinstance(text, str) else text
    return b"".join(record(STDOUT, data[at:at + size], padding) for at in range(0, len(data), size))


def reply(text, size=65535, padding=0):
    return stdout(text, size, padding) + record(STDOUT, padding=padding) + end(padding=padding)


class Request:
    def __init__(self, params, stdin, keep, connection):
        self.pairs = params  # In order, as they came.
        self.params = dict(params)
        self.stdin = stdin
        self.keep = keep
        self.connection = connection  # Which one it came on, from 1.


def read_pairs(data):
    pairs, at = [], 0

    def length():
        nonlocal at
        first = data[at]
        if first < 128:
            at += 1
            return first
        at += 4
        return struct.unpack(">I", data[at - 4:at])[0] & 0x7FFFFFFF

    while at < len(data):
        name, value = length(), length()
        pairs.append((data[at:at + name].decode("latin-1"), data[at + name:at + name + value].decode("latin-1")))
        at += name + value
    return pairs


class Server:
    """early: the behaviour is asked as soon as the params are there, with no stdin; what follows is read and dropped."""

    def __init__(self, behaviour, unix=False, early=False, port=0):
        self.behaviour = behaviour
        self.early = early
        self.requests = []
        self.connections = 0
        self.ended = 0  # Connections that the gateway closed before their answer was complete.
        self.open = set()
        self.directory = None
        if unix:
            self.directory = tempfile.TemporaryDirectory(prefix="beamgate-fastcgi-")
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(self.directory.name + "/f.sock")
            self.address = f"unix:{self.directory.name}/f.sock"
        else:
            self.listener = socket.create_server(("127.0.0.1", port))
            self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.listener.listen(512)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.stop_listening()
        for connection in list(self.open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        if self.directory:
            self.directory.cleanup()

    def stop_listening(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            self.open.add(connection)
            threading.Thread(target=self._serve, args=(connection, self.connections), daemon=True).start()

    def _serve(self, connection, number):
        connection.settimeout(60)
        with contextlib.suppress(OSError, EOFError), connection, connection.makefile("rb") as file:
            while self._serve_one(connection, file, number):
                pass
        self.open.discard(connection)

    def _serve_one(self, connection, file, number):
        params, stdin, keep = b"", bytearray(), False
        while True:
            head = file.read(8)
            if len(head) < 8:
                raise EOFError
            version, kind, request_id, length, padding = struct.unpack(">BBHHBx", head)
            if version != 1 or request_id != 1:
                raise EOFError("no record of ours")  # Closed, as a real server does.
            content = file.read(length)
            file.read(padding)
            if kind == BEGIN:
                role, flags = struct.unpack(">HB5x", content)
                if role != 1:
                    raise AssertionError(f"role {role}")
                keep = bool(flags & 1)
            elif kind == PARAMS:
                params += content
                if not content and self.early:
                    break
            elif kind == STDIN:
                stdin += content
                if not content:
                    break
        request = Request(read_pairs(params), bytes(stdin), keep, number)
        self.requests.append(request)
        answer = self.behaviour(request) if callable(self.behaviour) else self.behaviour
        try:
            for piece in [answer] if isinstance(answer, bytes) else answer:
                connection.sendall(piece)
        except OSError:
            self.ended += 1
            raise
        return keep
