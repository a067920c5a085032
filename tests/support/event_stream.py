"""Reads text/event-stream as the HTML standard (section 9.2.6) says, over a plain socket.

    with event_stream.Reader(address, "/events", last_id="e:1") as reader:
        event = reader.next()          # .name, .data, .id
        reader.wait_joined()           # until the server has said where the stream is
"""

from dataclasses import dataclass

import http_client

RESET = "beamgate.reset"


@dataclass
class Event:
    name: str
    data: str
    id: str


class Reader:
    """fields: of the request; options: of http_client.Connection."""

    def __init__(self, address, path, last_id=None, fields=(), expect=200, **options):
        self.connection = http_client.Connection(address, **options)
        self.last_id = last_id or ""
        self.retry = None
        self.comments = 0
        fields = dict(fields)
        if last_id is not None:
            fields["Last-Event-ID"] = last_id
        self.connection.send_request("GET", path, {"Accept": "text/event-stream", **fields})
        self.head = self.connection.read_head()
        if self.head.status != expect:
            raise AssertionError(f"not {expect}: {self.head}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.connection.close()

    @property
    def port(self):
        return self.connection.wire.sock.getsockname()[1]

    def block(self, timeout=None):
        """Fields up to the next empty line, as (name, value); what sets an id or a retry has done so."""
        fields = []
        while (line := self.connection.wire.read_until(b"\n", timeout)) != b"\n":
            name, _, value = line[:-1].decode().partition(":")
            value = value.removeprefix(" ")
            fields.append((name, value))
            if name == "id":
                self.last_id = value
            elif name == "retry":
                self.retry = int(value)
            elif name == "":
                self.comments += 1
        return fields

    def next(self, timeout=None):
        while True:
            fields = self.block(timeout)
            data = [value for name, value in fields if name == "data"]
            if data:
                return Event(dict(fields).get("event", "message"), "\n".join(data), self.last_id)

    def wait_joined(self, timeout=None):
        """All channels are joined: an id has come without an event."""
        while True:
            fields = self.block(timeout)
            if [name for name, _ in fields] == ["id"]:
                return self
            if any(name == "data" for name, _ in fields):
                raise AssertionError(f"an event came before: {fields}")

    def wait_comment(self, timeout=None):
        seen = self.comments
        while self.comments == seen:
            self.block(timeout)

    def wait_end(self, timeout=None):
        return self.connection.wire.read_to_end(timeout)
