"""HTTP/1.1 over a plain socket: shows the bytes as they are, which a library would tidy up.

    response = http_client.request(address, "GET", "/x")          # one request, one connection
    with http_client.Connection(address) as connection:           # keep-alive, pipelining, broken requests
        connection.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        response = connection.read_response()
"""

import json

from wire import Ended, Wire, open_socket


class Fields(list):
    """Header fields in order, as (name, value) pairs of str."""

    def get(self, name, fallback=None):
        for key, value in self:
            if key.lower() == name.lower():
                return value
        return fallback

    def all(self, name):
        return [value for key, value in self if key.lower() == name.lower()]

    def __contains__(self, name):
        return self.get(name) is not None


class Response:
    def __init__(self, status, reason, fields, body=b""):
        self.status = status
        self.reason = reason
        self.fields = fields
        self.body = body

    def __repr__(self):
        return f"<{self.status} {self.reason} {list(self.fields)} {self.body[:200]!r}>"

    def header(self, name, fallback=None):
        return self.fields.get(name, fallback)

    @property
    def text(self):
        return self.body.decode()

    def json(self):
        return json.loads(self.body)


def parse_fields(block):
    fields = Fields()
    for line in block.decode("latin-1").split("\r\n"):
        if line:
            name, colon, value = line.partition(":")
            if not colon:
                raise AssertionError(f"not a header field: {line!r}")
            fields.append((name, value.strip(" \t")))
    return fields


def read_chunked(wire, timeout=None):
    """A chunked body without its framing; trailers are dropped."""
    body = bytearray()
    while True:
        size = int(wire.read_until(b"\r\n", timeout).split(b";")[0], 16)
        if size == 0:
            while wire.read_until(b"\r\n", timeout) != b"\r\n":
                pass
            return bytes(body)
        body += wire.read_exactly(size, timeout)
        if wire.read_exactly(2, timeout) != b"\r\n":
            raise AssertionError("chunk does not end with CRLF")


class Connection:
    """socket: further options of wire.open_socket(), such as tls."""

    def __init__(self, address, timeout=10, source=None, receive_buffer=None, **socket):
        self.host = "localhost" if address.startswith("unix:") else address
        self.wire = Wire(open_socket(address, timeout, source, receive_buffer, **socket), timeout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.wire.close()

    def send(self, data):
        self.wire.send(data)

    def send_request(self, method, target, headers=(), body=None):
        headers = list(headers.items() if isinstance(headers, dict) else headers)
        names = {name.lower() for name, _ in headers}
        if "host" not in names:
            headers.insert(0, ("Host", self.host))
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            if "content-type" not in names:
                headers.append(("Content-Type", "application/json"))
        if isinstance(body, str):
            body = body.encode()
        if body is not None and not names & {"content-length", "transfer-encoding"}:
            headers.append(("Content-Length", str(len(body))))
        head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in headers) + "\r\n"
        self.send(head.encode("latin-1") + (body or b""))

    def read_head(self, timeout=None):
        line = self.wire.read_until(b"\r\n", timeout)[:-2].decode("latin-1")
        version, _, rest = line.partition(" ")
        if not version.startswith("HTTP/1."):
            raise AssertionError(f"not a status line: {line!r}")
        status, _, reason = rest.partition(" ")
        block = b""
        while not block.endswith(b"\r\n\r\n") and block != b"\r\n":
            block += self.wire.read_until(b"\r\n", timeout)
        return Response(int(status), reason, parse_fields(block[:-2]))

    def read_response(self, method="GET", timeout=None, interim=False):
        """The next final response; interim: 1xx responses are handed out too."""
        response = self.read_head(timeout)
        while response.status < 200 and response.status != 101 and not interim:
            response = self.read_head(timeout)
        if method != "HEAD" and response.status >= 200 and response.status not in (204, 304):
            response.body = self.read_body(response, timeout)
        return response

    def read_body(self, response, timeout=None):
        if "chunked" in response.header("transfer-encoding", "").lower():
            return read_chunked(self.wire, timeout)
        length = response.header("content-length")
        if length is not None:
            return self.wire.read_exactly(int(length), timeout)
        return self.wire.read_to_end(timeout)

    def request(self, method, target, headers=(), body=None, timeout=None):
        self.send_request(method, target, headers, body)
        return self.read_response(method, timeout)

    def ended(self, timeout=None):
        """True when the server closes without sending anything more."""
        try:
            self.wire.read_exactly(1, timeout)
        except Ended:
            return True
        return False


def request(address, method, target, headers=(), body=None, timeout=10, source=None, **socket):
    with Connection(address, timeout, source, **socket) as connection:
        return connection.request(method, target, headers, body)


def get(address, target, headers=(), **options):
    return request(address, "GET", target, headers, **options)


def post(address, target, body, headers=(), **options):
    return request(address, "POST", target, headers, body, **options)
