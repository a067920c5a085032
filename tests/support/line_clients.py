"""Many netcat-like clients in one process, for tests/integration/test_lines.py.

    python3 line_clients.py ADDRESS FIRST COUNT ROOMS

Client n (FIRST to FIRST + COUNT - 1) joins room-(n % ROOMS).  It prints "joined" when all have; for each line on its
standard input all of its clients say "<client> <line>"; it prints what they have heard, as JSON, when the input ends:
client to list of lines, once nobody has heard anything new for a second after what was expected by "expect <lines>".
"""

import json
import selectors
import socket
import sys
import time

address, first, count, rooms = sys.argv[1], *map(int, sys.argv[2:5])
host, _, port = address.rpartition(":")
DEADLINE_S = 120


class Client:
    def __init__(self, number):
        self.number = number
        self.lines = []
        self.rest = b""
        self.sock = socket.create_connection((host, int(port)))
        self.sock.sendall(f"JOIN room-{number % rooms}\n".encode())
        self.sock.setblocking(False)

    def read(self):
        data = self.sock.recv(1 << 16)
        if not data:
            sys.exit(f"client {self.number} was closed; it has heard {len(self.lines)} lines")
        *lines, self.rest = (self.rest + data).split(b"\n")
        self.lines += [line.decode() for line in lines]


clients = [Client(first + n) for n in range(count)]
selector = selectors.DefaultSelector()
for client in clients:
    selector.register(client.sock, selectors.EVENT_READ, client)


def read_until(condition, what):
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"{what} did not come true; {[(c.number, len(c.lines)) for c in clients][:20]}")
        for key, _ in selector.select(0.1):
            key.data.read()


read_until(lambda: all(client.lines for client in clients), "joining")
for client in clients:
    if client.lines != [f"OK joined room-{client.number % rooms}"]:
        sys.exit(f"client {client.number} was told {client.lines}")
    client.lines.clear()
print("joined", flush=True)

for order in sys.stdin:
    word, _, rest = order.rstrip("\n").partition(" ")
    if word == "say":
        for client in clients:
            client.sock.sendall(f"{client.number} {rest}\n".encode())
    elif word == "expect":
        expected = int(rest)
        read_until(lambda: all(len(client.lines) >= expected for client in clients), f"{expected} lines each")
        print(json.dumps({client.number: client.lines for client in clients}), flush=True)
