"""Wire: one stream socket read through a buffer, every wait with a deadline.

Addresses are written as BeamGate prints them: "127.0.0.1:8080", "[::1]:8080", "unix:/path".
"""

import contextlib
import socket
import ssl
import struct
import time


class Timeout(AssertionError):
    """Something a test waits for did not happen in time."""


class Ended(EOFError):
    """The peer ended the stream before what was asked for had come; .data is what did come."""

    def __init__(self, data):
        super().__init__(f"stream ended after {len(data)} bytes: {bytes(data[:200])!r}")
        self.data = bytes(data)


def split_address(address):
    """The host and port of a printed TCP address."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def open_socket(address, timeout=10, source=None, receive_buffer=None, tls=None, name=None, session=None, announce=b""):
    """A connected socket.  source: local IP address, receive_buffer: SO_RCVBUF in bytes.

    tls: an ssl.SSLContext to speak TLS with, as to the server called `name`; session: to be resumed.
    announce: bytes before everything, as a balancer sends them.
    """
    if address.startswith("unix:"):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        target = address[5:]
    else:
        target = split_address(address)
        sock = socket.socket(socket.AF_INET6 if ":" in target[0] else socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            sock.bind((source, 0))
    sock.settimeout(timeout)
    try:
        sock.connect(target)
        sock.sendall(announce)
        if tls is not None:
            sock = tls.wrap_socket(sock, server_hostname=name, session=session, suppress_ragged_eofs=False)
    except BaseException:
        sock.close()
        raise
    return sock


def reset(sock):
    """Closes with RST instead of FIN."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Wire:
    def __init__(self, sock, timeout=10):
        self.sock = sock
        self.timeout = timeout
        self.buffer = bytearray()
        self.ended = False
        self.cut = False  # It ended without FIN, or without TLS's close_notify.

    def send(self, data, timeout=None):
        self.sock.settimeout(self.timeout if timeout is None else timeout)
        try:
            self.sock.sendall(data)
        except socket.timeout:
            raise Timeout(f"peer took no more bytes for {self.sock.gettimeout()} s") from None

    def fill(self, deadline):
        """Reads once into the buffer; False when the stream has ended (a reset counts as an end)."""
        if self.ended:
            return False
        left = deadline - time.monotonic()
        if left <= 0:
            raise Timeout(f"nothing more came in time; unread: {bytes(self.buffer[:200])!r}")
        self.sock.settimeout(left)
        try:
            data = self.sock.recv(1 << 16)
        except socket.timeout:
            raise Timeout(f"nothing more came in time; unread: {bytes(self.buffer[:200])!r}") from None
        except (ConnectionResetError, BrokenPipeError):
            data = b""
            self.cut = True
        except ssl.SSLError as error:
            if error.reason != "UNEXPECTED_EOF_WHILE_READING":
                raise
            data = b""
            self.cut = True
        if not data:
            self.ended = True
            return False
        self.buffer += data
        return True

    def deadline(self, timeout=None):
        return time.monotonic() + (self.timeout if timeout is None else timeout)

    def take(self, count):
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def read_exactly(self, count, timeout=None):
        deadline = self.deadline(timeout)
        while len(self.buffer) < count:
            if not self.fill(deadline):
                raise Ended(self.buffer)
        return self.take(count)

    def read_until(self, mark, timeout=None, limit=1 << 20):
        """Bytes up to and including mark."""
        deadline = self.deadline(timeout)
        while True:
            at = self.buffer.find(mark)
            if at >= 0:
                return self.take(at + len(mark))
            if len(self.buffer) > limit:
                raise AssertionError(f"no {mark!r} within {limit} bytes")
            if not self.fill(deadline):
                raise Ended(self.buffer)

    def read_to_end(self, timeout=None, limit=1 << 30):
        deadline = self.deadline(timeout)
        while self.fill(deadline):
            if len(self.buffer) > limit:
                raise AssertionError(f"more than {limit} bytes")
        return self.take(len(self.buffer))

    def wait_end(self, timeout=None):
        """True once the peer has ended the stream; what it still sends is dropped."""
        deadline = self.deadline(timeout)
        while self.fill(deadline):
            self.buffer.clear()
        return True

    def close(self):
        self.sock.close()

    def reset(self):
        reset(self.sock)
