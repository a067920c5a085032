"""The line protocol: rooms for clients that speak no more than TCP; a thousand of them, one that floods, one that
doesn't read, one that talks with clients of other protocols."""

import base64
import json
import subprocess
import sys
import time
from pathlib import Path
from signal import SIGQUIT, SIGTERM

import beamgate
import event_stream
import http_client
import ws_client
from wire import Ended, Wire, open_socket

LINE = "line {{ listen 127.0.0.1:0; room_prefix chat.; line_max 1k; {more} }}"
HTTP = """
channels chat.* { history 10 1m; }
server {
    listen 127.0.0.1:0;
    keepalive_requests 100000;
    location = /ws { websocket raw; websocket_subscribe chat.tea; websocket_publish chat.tea; }
    location = /sse { sse chat.tea; }
    location /api/ { api on; }
    location = /metrics { metrics on; }
}
"""
PROCESSES, CLIENTS, ROOMS = 4, 250, 10


class Client:
    def __init__(self, address, **options):
        self.wire = Wire(open_socket(address, **options))

    def say(self, text):
        self.wire.send(text if isinstance(text, bytes) else text.encode() + b"\n")

    def hear(self, timeout=None):
        return self.wire.read_until(b"\n", timeout)[:-1].decode()

    def join(self, room):
        self.say(f"JOIN {room}")
        answer = self.hear()
        if answer != f"OK joined {room}":
            raise AssertionError(answer)
        return self

    def close(self):
        self.wire.close()


class Lines(beamgate.TestCase):
    def start(self, workers=2, more="", **options):
        self.running = self.gateway(HTTP, workers=workers, main=LINE.format(more=more), **options)
        listens = self.running.addresses()
        self.http, self.line = listens[0], listens[1]
        return self.running

    def client(self, room=None, **options):
        client = self.track(Client(self.line, **options))
        return client.join(room) if room else client

    def test_a_room(self):
        self.start()
        stranger = self.client()
        stranger.say("hello?")
        self.assertEqual(stranger.hear(), "ERR join a room first")
        clients = [self.client("tea", source=f"127.0.0.{2 + n}") for n in range(12)]
        other = self.client("coffee")
        for number, client in enumerate(clients):
            client.say(f"from {number}")
            for listener in clients:
                if listener is not client:
                    self.assertEqual(listener.hear(), f"from {number}")
        clients[0].join("coffee")
        clients[0].say("moved")
        self.assertEqual(other.hear(), "moved")
        clients[1].say("bye")
        self.assertEqual(clients[2].hear(), "bye")

    def test_bytes_of_all_sorts(self):
        self.start()
        listener, client = self.client("tea"), self.client()
        for byte in b"JOIN tea\r\n":
            client.say(bytes([byte]))
        self.assertEqual(client.hear(), "OK joined tea")
        client.say(b"one\ntwo\r\n\nthree")
        self.assertEqual([listener.hear() for _ in range(3)], ["one", "two", ""])
        client.say(b" and a half\n")
        self.assertEqual(listener.hear(), "three and a half")
        client.say(b"\xff\n")
        self.assertEqual(client.hear(), "ERR not UTF-8")
        for room in ("", "a\x01b", "x" * 300):
            client.say(f"JOIN {room}")
            self.assertEqual(client.hear(), "ERR no such room")
        client.say("JOIN tea")
        self.assertEqual(client.hear(), "OK joined tea")
        client.say("x" * 1024)
        self.assertEqual(listener.hear(), "x" * 1024)
        client.say("x" * 1025)
        self.assertEqual(client.hear(), "ERR line too long")
        self.assertRaises(Ended, client.hear)

    def test_said_at_once(self):
        self.start()
        listener = self.client("tea")
        last_words = self.client()
        last_words.say(b"JOIN tea\nfirst\nsecond\n")
        last_words.wire.sock.shutdown(1)
        self.assertEqual(last_words.hear(), "OK joined tea")
        self.assertEqual([listener.hear(), listener.hear()], ["first", "second"])
        self.assertRaises(Ended, last_words.hear)

    def test_one_room_for_all_protocols(self):
        self.start()
        line, socket = self.client("tea"), self.track(ws_client.connect(self.http, "/ws"))
        stream = self.track(event_stream.Reader(self.http, "/sse")).wait_joined()
        line.say("from a line")
        self.assertEqual((socket.recv(), stream.next().data), ("from a line", "from a line"))
        socket.send("from a\nWebSocket")
        self.assertEqual((line.hear(), stream.next().data), ("from a WebSocket", "from a\nWebSocket"))
        http_client.post(self.http, "/api/publish", {"channel": "chat.tea", "data": "a \"string\"\n"})
        self.assertEqual(line.hear(), 'a "string" ')
        http_client.post(self.http, "/api/publish", {"channel": "chat.tea", "data": {"a": "b"}})
        self.assertEqual(json.loads(line.hear()), {"a": "b"})
        socket.send(b"\x00\xff")
        socket_data = line.hear()
        self.assertEqual(base64.b64decode(socket_data.removeprefix("data:application/octet-stream;base64,")), b"\x00\xff")

    def test_a_thousand_clients_in_four_processes(self):
        self.start(workers=2)
        script = Path(beamgate.SOURCE_ROOT, "tests", "support", "line_clients.py")
        processes = []
        for number in range(PROCESSES):
            process = subprocess.Popen([sys.executable, "-B", str(script), self.line, str(number * CLIENTS), str(CLIENTS),
                                        str(ROOMS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for stream in (process.stdin, process.stdout):
                self.addCleanup(stream.close)
            self.addCleanup(process.wait)
            self.addCleanup(process.kill)
            processes.append(process)

        def order(text):
            for process in processes:
                process.stdin.write(text + "\n")
                process.stdin.flush()

        for process in processes:
            self.assertEqual(process.stdout.readline(), "joined\n")
        self.assertEqual(self.running.metrics()["beamgate_lines_active"], PROCESSES * CLIENTS)
        others = PROCESSES * CLIENTS // ROOMS - 1
        begin = time.monotonic()
        order("say hello")
        order(f"expect {others}")
        heard = {}
        for process in processes:
            heard.update(json.loads(process.stdout.readline() or "{}"))
        seconds = time.monotonic() - begin
        total = len(heard) * others
        print(f"\n{total} lines in {seconds:.2f} s: {total / seconds:.0f} lines/s", file=sys.stderr)
        self.assertEqual(len(heard), PROCESSES * CLIENTS)
        for client, lines in heard.items():
            room = range(int(client) % ROOMS, PROCESSES * CLIENTS, ROOMS)
            self.assertEqual(sorted(lines), sorted(f"{n} hello" for n in room if n != int(client)))

    def test_a_flood_in_one_room_does_not_starve_another(self):
        self.start(workers=1, more="line_rate 0;")
        flooder = self.client("noise")
        listeners = [self.client("noise") for _ in range(20)]
        one, two = self.client("quiet"), self.client("quiet")
        sent = subprocess.Popen([sys.executable, "-c", FLOOD, self.line], stdout=subprocess.PIPE)
        self.addCleanup(sent.stdout.close)
        self.addCleanup(sent.wait)
        self.addCleanup(sent.kill)
        sent.stdout.readline()
        slowest = 0
        for number in range(100):
            begin = time.monotonic()
            one.say(f"{number}")
            self.assertEqual(two.hear(), f"{number}")
            slowest = max(slowest, time.monotonic() - begin)
            for listener in listeners:  # Whoever reads keeps what it has been sent from piling up.
                listener.wire.sock.setblocking(False)
                try:
                    while listener.wire.sock.recv(1 << 20):
                        pass
                except BlockingIOError:
                    pass
        print(f"\nslowest answer beside a flood: {slowest * 1000:.0f} ms", file=sys.stderr)
        self.assertLess(slowest, 2)
        flooder.close()

    def test_a_rate(self):
        self.start(workers=1, more="line_rate 50;")
        listener, client = self.client("tea"), self.client("tea")
        begin = time.monotonic()
        client.say(b"".join(b"%d\n" % n for n in range(150)))
        self.assertEqual([listener.hear() for _ in range(150)], [str(n) for n in range(150)])
        self.assertGreater(time.monotonic() - begin, 1.5, "50 at once, then 50 in a second")

    def test_slow_readers(self):
        for policy in ("close", "drop_oldest"):
            with self.subTest(policy):
                self.start(workers=1, more=f"line_rate 0; line_send_queue 8k; line_slow_reader {policy};")
                slow, client = self.client("tea", receive_buffer=4096), self.client("tea")
                metric = {"close": 'beamgate_connections_closed_total{reason="slow_reader"}',
                          "drop_oldest": 'beamgate_messages_dropped_total{reason="slow_reader"}'}[policy]
                number = 0
                while not (number % 50 == 0 and self.running.metrics()[metric]):
                    client.say(f"{number} " + "x" * 900)
                    number += 1
                    self.assertLess(number, 10000)
                client.say("last")
                heard, lost = [], 0
                try:
                    while (line := slow.hear()) != "last":
                        lost += line == "ERR lines were lost"
                        heard += [] if line.startswith("ERR") else [int(line.split()[0])]
                except Ended:
                    self.assertEqual(policy, "close")
                self.assertEqual(heard, sorted(set(heard)))
                self.assertEqual(lost > 0, policy == "drop_oldest")
                self.running.stop()

    def test_bye(self):
        for signal in (SIGTERM, SIGQUIT):
            with self.subTest(signal):
                self.start()
                clients = [self.client("tea"), self.client()]
                self.running.stop(signal)
                for client in clients:
                    self.assertEqual(client.hear(), "BYE server shutting down")
                    self.assertRaises(Ended, client.hear)

    def test_silence(self):
        self.start(more="line_idle_timeout 300ms;")
        client = self.client("tea")
        self.assertRaises(Ended, client.hear)

    def test_configuration(self):
        for main, message in ((LINE.format(more="listen 127.0.0.1:9;"), ""), ("line { }", 'no "listen" in line'),
                              ("line { listen 127.0.0.1:9; listen 127.0.0.1:9; }", "a duplicate listen 127.0.0.1:9"),
                              ("line { listen 127.0.0.1:9 ssl; }", 'expected "backlog=number"')):
            gateway = self.gateway("server { listen 127.0.0.1:0; }", main=main, start=False)
            answer = gateway.run("-t")
            self.assertEqual(answer.returncode == 0, not message, answer.stderr)
            self.assertIn(message, answer.stderr)
        gateway = self.gateway("server { listen 127.0.0.1:9; }", main="line { listen 127.0.0.1:9; }", start=False)
        self.assertIn("127.0.0.1:9 is a server's address already", gateway.run("-t").stderr)


FLOOD = """
import socket, sys
host, _, port = sys.argv[1].rpartition(":")
sock = socket.create_connection((host, int(port)))
sock.sendall(b"JOIN noise\\n")
sock.recv(100)
print("begun", flush=True)
while True:
    sock.sendall(b"noise\\n" * 10000)
"""

if __name__ == "__main__":
    beamgate.main()
