"""A recording HTTP application: answers as it is told to, well or badly, and remembers what it was asked.

    backend = Backend(secret=SECRET)                     # every webhook's signature is then checked
    backend.on("beamgate.message", lambda request: Reply(200, request.body))
    backend.on("/slow", Held())                          # by path, by ce-type, or "*" for the rest
    ...
    request = backend.wait("beamgate.disconnected")      # the first one; count=, match= for more

A behaviour is a Reply, a function of the request that gives one, or one of the misbehaviours below.
Single events of a batch (application/cloudevents-batch+json) are handed out by events().
"""

import contextlib
import json
import os
import select
import socket
import tempfile
import threading
import time

import standard_webhooks
from http_client import parse_fields, read_chunked
from wire import Ended, Timeout, Wire


class Request:
    def __init__(self, method, target, version, fields, body, connection):
        self.method = method
        self.target = target
        self.path = target.partition("?")[0]
        self.query = target.partition("?")[2]
        self.version = version
        self.fields = fields
        self.body = body
        self.connection = connection  # Number of the TCP connection it came on, from 1.

    def __repr__(self):
        return f"<{self.method} {self.target} {self.type or ''} {self.body[:100]!r}>"

    def header(self, name, fallback=None):
        return self.fields.get(name, fallback)

    @property
    def type(self):
        return self.fields.get("ce-type")

    @property
    def text(self):
        return self.body.decode()

    def json(self):
        return json.loads(self.body)


class Reply:
    """An ordinary response; str bodies are text/plain, dicts application/json unless headers say otherwise."""

    def __init__(self, status=200, body=b"", headers=(), reason="Reply", chunks=None):
        self.status = status
        self.headers = list(headers.items() if isinstance(headers, dict) else headers)
        self.reason = reason
        self.chunks = chunks  # An iterable of bytes: sent chunked, one by one.
        kind = {str: "text/plain", bytes: "application/octet-stream"}.get(type(body), "application/json")
        if not isinstance(body, (str, bytes)):
            body = json.dumps(body)
        self.body = body.encode() if isinstance(body, str) else body
        if self.body and not any(name.lower() == "content-type" for name, _ in self.headers):
            self.headers.append(("Content-Type", kind))

    def play(self, wire, request, stopping):
        head = f"HTTP/1.1 {self.status} {self.reason}\r\n"
        fields = list(self.headers)
        names = {name.lower() for name, _ in fields}
        if self.chunks is not None:
            fields.append(("Transfer-Encoding", "chunked"))
        elif "content-length" not in names and self.status not in (204, 304) and self.status >= 200:
            fields.append(("Content-Length", str(len(self.body))))
        wire.send((head + "".join(f"{n}: {v}\r\n" for n, v in fields) + "\r\n").encode("latin-1"))
        if request.method == "HEAD":
            return True
        if self.chunks is None:
            wire.send(self.body)
            return True
        for chunk in self.chunks:
            wire.send(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        wire.send(b"0\r\n\r\n")
        return True


class Actions(Reply):
    """An application/vnd.beamgate+json reply: Actions(user="ann", subscribe=["room"], send=["hi"])."""

    def __init__(self, **actions):
        super().__init__(200, json.dumps(actions), {"Content-Type": "application/vnd.beamgate+json"})


class Held:
    """Answers only once release() is called."""

    def __init__(self, reply=None):
        self.reply = reply or Reply()
        self.released = threading.Event()

    def release(self):
        self.released.set()

    def play(self, wire, request, stopping):
        while not self.released.wait(0.05):  # Looks up now and then, since the backend may stop.
            if stopping.is_set():
                return False
        return self.reply.play(wire, request, stopping)


class Raw:
    """These bytes, then the end of the stream, or hangs without ending it (hang=True)."""

    def __init__(self, data, hang=False):
        self.data = data
        self.hang = hang

    def play(self, wire, request, stopping):
        wire.send(self.data)
        if self.hang:
            stopping.wait()
        return False


class Hang(Raw):
    """Takes the request and never answers."""

    def __init__(self):
        super().__init__(b"", hang=True)


class Garbage(Raw):
    """Bytes that are not HTTP."""

    def __init__(self):
        super().__init__(b"\x00\xff\x16\x03 this is not HTTP\r\n\r\n" + os.urandom(512))


class Cut(Raw):
    """Half of a response, then the end of the stream."""

    def __init__(self, hang=False):
        super().__init__(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this", hang)


class Huge:
    """A response of `size` bytes, with a Content-Length or chunked; `sent` tells how many left here."""

    def __init__(self, size, chunked=False):
        self.size = size
        self.chunked = chunked
        self.sent = 0

    def play(self, wire, request, stopping):
        framing = "Transfer-Encoding: chunked" if self.chunked else f"Content-Length: {self.size}"
        wire.send(f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n{framing}\r\n\r\n".encode())
        block = b"x" * 65536
        while self.sent < self.size and not stopping.is_set():
            part = block[: self.size - self.sent]
            wire.send(b"%x\r\n%s\r\n" % (len(part), part) if self.chunked else part)
            self.sent += len(part)
        if self.chunked:
            wire.send(b"0\r\n\r\n")
        return True


class Drip:
    """A response one byte at a time, `pause_s` apart, until it is all sent or the peer has gone."""

    def __init__(self, data, pause_s=0.1):
        self.data = data
        self.pause_s = pause_s

    def play(self, wire, request, stopping):
        for byte in self.data:
            wire.send(bytes([byte]))
            if stopping.wait(self.pause_s):
                break
        return False


class Reset:
    """Ends the connection with RST."""

    def play(self, wire, request, stopping):
        wire.reset()
        return False


class Backend:
    """unix=True listens on a unix socket.  host, port: where else than 127.0.0.1 and a free port, as one that is
    started again has to.  Use as a context manager, or register close() as a cleanup.

    tls: an ssl.SSLContext to serve with; `handshakes` then tells of each what the client said of itself.
    """

    def __init__(self, behaviour=None, secret=None, unix=False, keepalive=True, backlog=1024, timeout=30,
                 host="127.0.0.1", port=0, tls=None):
        self.tls = tls
        self.handshakes = []      # (server name or None, whether a session was resumed, client's common name or None)
        self.handshakes_failed = 0
        self.names = {}
        if tls is not None:
            tls.sni_callback = lambda sock, name, context: self.names.update({id(sock): name})
        self.secret = secret      # One secret or a list; None: signatures are not checked.
        self.keepalive = keepalive
        self.timeout = timeout
        self.requests = []
        self.invalid = []         # Webhooks with a wrong signature; close() raises when there are any.
        self.connections = 0      # Accepted so far.
        self.behaviours = {"*": behaviour or Reply()}
        self.changed = threading.Condition()
        self.stopping = threading.Event()
        self.open = set()
        self.directory = None
        if unix:
            self.directory = tempfile.TemporaryDirectory(prefix="beamgate-backend-")
            os.chmod(self.directory.name, 0o755)
            self.path = os.path.join(self.directory.name, "app.sock")
            self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.listener.bind(self.path)
            os.chmod(self.path, 0o666)
            self.address = "unix:" + self.path
            self.url = "http://localhost"
        else:
            self.listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind((host, port))
            self.port = self.listener.getsockname()[1]
            self.address = f"{host}:{self.port}"
            self.url = ("https://" if tls else "http://") + self.address
        self.listener.listen(backlog)
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def on(self, key, behaviour):
        """key: a ce-type ("beamgate.message"), a path ("/x"), or "*"."""
        self.behaviours[key] = behaviour

    # What was asked.

    def _matching(self, type, path, match):
        return [request for request in self.requests
                if (type is None or request.type == type) and (path is None or request.path == path)
                and (match is None or match(request))]

    def wait(self, type=None, path=None, match=None, count=1, timeout=10):
        """The count-th request that fits; count=0 is answered by seen()."""
        with self.changed:
            if not self.changed.wait_for(lambda: len(self._matching(type, path, match)) >= count, timeout):
                raise Timeout(f"{count} x {type or path or 'request'} expected within {timeout} s, "
                              f"got {self.requests[-20:]}")
            return self._matching(type, path, match)[count - 1]

    def seen(self, type=None, path=None, match=None):
        with self.changed:
            return self._matching(type, path, match)

    def events(self, type=None):
        """Single events: those of batches, and those that came alone in structured form."""
        with self.changed:
            bodies = [r.json() for r in self.requests
                      if (r.header("content-type") or "").startswith("application/cloudevents-batch+json")]
        return [event for body in bodies for event in body if type is None or event["type"] == type]

    def wait_events(self, type, count=1, timeout=10):
        deadline = time.monotonic() + timeout
        with self.changed:
            while len(self.events(type)) < count:
                if not self.changed.wait(deadline - time.monotonic()) and time.monotonic() >= deadline:
                    raise Timeout(f"{count} x {type} expected within {timeout} s, got {self.events()}")
            return self.events(type)

    # Serving.

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            with self.changed:
                if self.stopping.is_set():
                    sock.close()
                    return
                self.connections += 1
                number = self.connections
                self.open.add(sock)
                self.changed.notify_all()
            threading.Thread(target=self._serve, args=(sock, number), daemon=True).start()

    def _secure(self, plain):
        plain.settimeout(self.timeout)
        sock = self.tls.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        with self.changed:
            self.open.discard(plain)
            self.open.add(sock)
        try:
            sock.do_handshake()
        except OSError:
            sock.close()
            with self.changed:
                self.open.discard(sock)
                self.handshakes_failed += 1
                self.changed.notify_all()
            return None
        subject = dict(pair[0] for pair in (sock.getpeercert() or {}).get("subject", ()))
        with self.changed:
            self.handshakes.append((self.names.pop(id(sock), None), sock.session_reused, subject.get("commonName")))
        return sock

    def _serve(self, plain, number):
        sock = self._secure(plain) if self.tls is not None else plain
        if sock is None:
            return
        wire = Wire(sock, self.timeout)
        try:
            with contextlib.suppress(Ended, Timeout, OSError, ValueError):
                while self._serve_one(wire, number):
                    pass
        finally:
            with self.changed:
                self.open.discard(sock)
                self.changed.notify_all()
            sock.close()

    def _serve_one(self, wire, number):
        request = self._read(wire, number)
        self._check(request)
        with self.changed:
            self.requests.append(request)
            self.changed.notify_all()
        behaviour = self._behaviour(request)
        if callable(behaviour) and not hasattr(behaviour, "play"):
            behaviour = behaviour(request) or Reply(204)
        again = behaviour.play(wire, request, self.stopping)
        return again and self.keepalive and (request.header("connection") or "").lower() != "close"

    def _read(self, wire, number):
        line = wire.read_until(b"\r\n")[:-2].decode("latin-1")
        method, target, version = line.split(" ")
        block = b""
        while not block.endswith(b"\r\n\r\n") and block != b"\r\n":
            block += wire.read_until(b"\r\n")
        fields = parse_fields(block[:-2])
        if (fields.get("expect") or "").lower() == "100-continue":
            wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        if "chunked" in (fields.get("transfer-encoding") or ""):
            body = read_chunked(wire)
        else:
            body = wire.read_exactly(int(fields.get("content-length") or 0))
        return Request(method, target, version, fields, body, number)

    def _check(self, request):
        if self.secret is None or request.header("webhook-id") is None:
            return
        try:
            standard_webhooks.verify(self.secret, request.fields, request.body)
        except standard_webhooks.Invalid as error:
            self.invalid.append(str(error))

    def _behaviour(self, request):
        for key in (request.type, request.path, "*"):
            if key in self.behaviours:
                return self.behaviours[key]
        raise KeyError("*")

    def stop_listening(self):
        """The application is down: nothing listens, all its connections end."""
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.stopping.set()
        with self.changed:
            for sock in self.open:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.stop_listening()
        self.thread.join(10)
        with self.changed:
            if not self.changed.wait_for(lambda: not self.open, 10):
                raise Timeout(f"{len(self.open)} connections of the backend do not end")
        if self.directory:
            self.directory.cleanup()
        if self.invalid:
            raise AssertionError(f"webhooks with a wrong signature: {self.invalid[:3]}")


class Silent:
    """A server that takes connections and says what it is told to; `ended` tells that the other side has gone."""

    def __init__(self, case):
        self.listener = case.track(socket.create_server(("127.0.0.1", 0)))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.case = case

    def take(self):
        self.listener.settimeout(10)
        self.sock = self.case.track(self.listener.accept()[0])
        self.sock.settimeout(10)
        self.sock.recv(65536)
        return self

    def say(self, data):
        self.sock.sendall(data)

    def ended(self):
        with contextlib.suppress(ConnectionResetError):
            return self.sock.recv(65536) == b""
        return True

    def hears_nothing(self, seconds):
        return not select.select([self.sock], [], [], seconds)[0]


def unused_address():
    """An address on which nothing listens: a socket is bound to it (kept by the caller) but never listens."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.bind(("127.0.0.1", 0))
    return sock, "127.0.0.1:%d" % sock.getsockname()[1]
