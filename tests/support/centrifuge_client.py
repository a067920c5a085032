"""A small Centrifuge client (JSON) for tests that look at what the hub does; the protocol itself is judged by centrifuge-js.

    client = centrifuge_client.connect(address, "/connection")
    client.call("subscribe", channel="room")      # the reply's object
    client.push("join")                           # waits for the next push of that kind
"""

import json

import ws_client


class Client:
    def __init__(self, socket):
        self.socket = socket
        self.pushes = []
        self.last_id = 0
        self.closed = False
        self.id = self.call("connect")["client"]

    def call(self, method, **params):
        self.last_id += 1
        self.socket.send(json.dumps({"id": self.last_id, method: params}))
        while True:
            for reply in self._read():
                if reply.get("id") != self.last_id:
                    self._keep(reply)
                elif "error" in reply:
                    raise AssertionError(f"{method}: {reply['error']}")
                else:
                    return reply[method]

    def push(self, kind, channel=None):
        """The next push of this kind; others stay."""
        while True:
            for i, push in enumerate(self.pushes):
                if kind in push and channel in (None, push.get("channel")):
                    return self.pushes.pop(i)[kind]
            for reply in self._read():
                self._keep(reply)

    def pushes_until(self, kind):
        """All pushes before the next one of this kind, which is taken as well."""
        self.push(kind)
        taken, self.pushes = self.pushes, []
        return taken

    def _read(self):
        return [json.loads(line) for line in self.socket.recv().split("\n") if line]

    def _keep(self, reply):
        if "push" in reply:
            self.pushes.append(reply["push"])
        elif not reply:
            self.socket.send("{}")

    def close(self):
        if not self.closed:
            self.closed = True
            self.socket.close()


def connect(address, target="/connection", **options):
    return Client(ws_client.connect(address, target, **options))
