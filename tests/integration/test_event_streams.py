"""Channels as text/event-stream: every event once and in order, from where its reader has left off or with a word that
it can't be; pages of other origins; slow readers; HTTP/2.  Judged by curl, Node's fetch and a parser by the book.
"""

import base64
import json
import subprocess
from signal import SIGTERM

import beamgate
import event_stream
import h2_client
import http_client
import ws_client
from event_stream import RESET

HTTP = """
channels kept* { history 1000 10m; }
limit_conn_zone $binary_remote_addr zone=few:64k;
server {
    listen 127.0.0.1:0 http2;
    keepalive_requests 100000;
    sse_keepalive 0;
    location = /room { sse room; }
    location = /kept { sse kept; sse_retry 7s; }
    location = /two { sse kept.a kept.b; }
    location ~ "^/of/(?<name>[a-z]+)$" { sse kept.$name; }
    location = /any { sse argument=channel; }
    location = /ours { sse room; sse_origins https://a.example https://*.b.example; sse_credentials on; }
    location = /one { sse room; limit_conn few 1; }
    location = /one-poll { longpoll kept; longpoll_timeout 200ms; limit_conn few 1; }
    location = /alive { sse room; sse_keepalive 100ms; sse_retry 0; }
    location = /closes { sse kept; sse_send_queue 64k; }
    location = /drops { sse kept; sse_send_queue 64k; sse_slow_reader drop_oldest; }
    location = /ws { websocket raw; websocket_subscribe room; websocket_publish room; }
    location /api/ { api on; }
    location = /metrics { metrics on; }
}
"""


class EventStreams(beamgate.TestCase):
    def start(self, workers=4, **options):
        self.running = self.gateway(HTTP, workers=workers, **options)
        return self.running

    def open(self, path="/room", **options):
        return self.track(event_stream.Reader(self.running.address(), path, **options))

    def publish(self, channel, data, kind="text/plain"):
        answer = http_client.request(self.running.address(), "POST", f"/api/publish?channel={channel}",
                                     {"Content-Type": kind}, data)
        self.assertEqual(answer.status, 200, answer)
        return answer.json()["result"]

    def test_readers_on_all_workers_get_each_event_once_and_in_order(self):
        self.start()
        readers = [self.open(source=f"127.0.0.{2 + n}").wait_joined() for n in range(24)]
        self.assertEqual(readers[0].head.header("content-type"), "text/event-stream")
        self.assertEqual(readers[0].head.header("cache-control"), "no-store")
        for number in range(50):
            self.publish("room", f"event {number}")
        for reader in readers:
            for number in range(50):
                event = reader.next()
                self.assertEqual((event.name, event.data), ("message", f"event {number}"))
                self.assertRegex(event.id, rf"^[A-Za-z0-9]+:{number + 1}$")

    def test_payloads_of_all_kinds(self):
        self.start()
        reader = self.open().wait_joined()
        self.publish("room", "one\ntwo\r\nthree\n\nid: x")
        self.assertEqual(reader.next().data, "one\ntwo\nthree\n\nid: x")
        self.publish("room", bytes(range(256)), "application/octet-stream")
        data = reader.next().data
        self.assertEqual(base64.b64decode(data.removeprefix("data:application/octet-stream;base64,")), bytes(range(256)))
        http_client.post(self.running.address(), "/api/publish", {"channel": "room", "data": {"a": "ä\n"}})
        self.assertEqual(json.loads(reader.next().data), {"a": "ä\n"})
        self.publish("room", '{\n  "a":  1\n}', "application/json")
        self.assertEqual(reader.next().data, '{\n  "a":  1\n}')
        socket = self.track(ws_client.connect(self.running.address(), "/ws"))
        socket.send("from a WebSocket")
        self.assertEqual(reader.next().data, "from a WebSocket")

    def test_a_reader_goes_on_where_it_was(self):
        self.start()
        reader = self.open("/kept").wait_joined()
        self.assertEqual(reader.retry, 7000)
        at_first = reader.last_id
        for number in range(10):
            self.publish("kept", f"{number}")
        for number in range(5):
            self.assertEqual(reader.next().data, f"{number}")
        reader.close()
        self.publish("kept", "10")
        again = self.open("/kept", last_id=reader.last_id)
        self.assertEqual([again.next().data for _ in range(6)], ["5", "6", "7", "8", "9", "10"])
        self.publish("kept", "11")
        self.assertEqual(again.next().data, "11")
        # A page that has just been loaded can't send the field.
        argument = self.open(f"/kept?last_event_id={at_first}")
        self.assertEqual([argument.next().data for _ in range(12)], [f"{n}" for n in range(12)])
        idle = self.open("/kept", last_id=again.last_id).wait_joined()
        self.publish("kept", "12")
        self.assertEqual(idle.next().data, "12")

    def test_what_cannot_be_recovered_is_said(self):
        self.start()
        kept = self.open("/kept").wait_joined()
        epoch, _, _ = kept.last_id.partition(":")
        for last_id, reason in ((f"{epoch}:999999", "history"), ("another:1", "history"), ("nonsense", "cursor"),
                                ("a:b:c", "cursor")):
            event = self.open("/kept", last_id=last_id).next()
            self.assertEqual(event.name, RESET)
            self.assertEqual(json.loads(event.data)["reason"], reason, last_id)
        # No history at all: what came meanwhile is lost, and not in silence.
        reader, witness = self.open().wait_joined(), self.open().wait_joined()
        reader.close()
        self.assertEqual(self.open(last_id=reader.last_id).wait_joined().last_id, reader.last_id)
        self.publish("room", "missed")
        self.assertEqual(witness.next().data, "missed")
        event = self.open(last_id=reader.last_id).next()
        self.assertEqual((event.name, json.loads(event.data)), (RESET, {"reason": "history", "channel": "room"}))

    def test_several_channels_have_one_id(self):
        self.start()
        reader = self.open("/two").wait_joined()
        self.publish("kept.a", "a1")
        self.assertEqual(reader.next().data, "a1")
        middle = reader.last_id
        for data in ("b1", "a2", "b2"):
            self.publish(f"kept.{data[0]}", data)
            self.assertEqual(reader.next().data, data)
        again = self.open("/two", last_id=middle)
        self.assertEqual(sorted(again.next().data for _ in range(3)), ["a2", "b1", "b2"])
        self.publish("kept.b", "b3")
        self.assertEqual(again.next().data, "b3")
        self.assertEqual(sorted(self.open("/two", last_id=again.last_id).wait_joined().last_id.split(",")),
                         sorted(again.last_id.split(",")))
        self.assertEqual(self.open("/two", last_id="abc:1").next().name, RESET)

    def test_channels_of_variables_and_arguments(self):
        self.start()
        path, argument = self.open("/of/x").wait_joined(), self.open("/any?channel=kept.x&channel=r%C3%A4um").wait_joined()
        self.publish("kept.x", "to x")
        self.assertEqual((path.next().data, argument.next().data), ("to x", "to x"))
        self.publish("r%C3%A4um", "to another")
        self.assertEqual(argument.next().data, "to another")
        address = self.running.address()
        for target, status in (("/any", 400), ("/any?channel=", 400), ("/any?channel=a%0Ab", 400),
                               ("/any?channel=" + "x" * 256, 400), ("/any?channel=%23server-to-user-u1", 403),
                               ("/any?" + "&".join(f"channel=c{n}" for n in range(65)), 400)):
            self.assertEqual(http_client.get(address, target).status, status, target)
        self.open("/any?" + "&".join(f"channel=c{n}" for n in range(64))).wait_joined()

    def test_other_methods(self):
        self.start()
        address = self.running.address()
        self.assertEqual(http_client.request(address, "HEAD", "/room").header("content-type"), "text/event-stream")
        refused = http_client.request(address, "POST", "/room", {}, "x")
        self.assertEqual((refused.status, refused.header("allow")), (405, "GET, HEAD, OPTIONS"))

    def test_pages_of_other_origins(self):
        self.start()
        address = self.running.address()
        head = self.open("/room", fields={"Origin": "https://x.example"}).head
        self.assertEqual(head.header("access-control-allow-origin"), "*")
        self.assertIsNone(head.header("access-control-allow-credentials"))
        for origin in ("https://a.example", "https://x.b.example"):
            head = self.open("/ours", fields={"Origin": origin}).head
            self.assertEqual(head.header("access-control-allow-origin"), origin)
            self.assertEqual(head.header("access-control-allow-credentials"), "true")
            self.assertEqual(head.header("vary"), "Origin")
        self.assertEqual(self.open("/ours", fields={"Origin": "https://b.example"}, expect=403).head.status, 403)
        preflight = http_client.request(address, "OPTIONS", "/ours", {
            "Origin": "https://a.example", "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "last-event-id"})
        self.assertEqual(preflight.status, 204)
        self.assertIn("Last-Event-ID", preflight.header("access-control-allow-headers"))
        self.assertEqual(preflight.header("access-control-allow-origin"), "https://a.example")
        refused = http_client.request(address, "OPTIONS", "/ours", {
            "Origin": "https://c.example", "Access-Control-Request-Method": "GET"})
        self.assertEqual(refused.status, 403)

    def test_comments_keep_it_alive(self):
        self.start()
        reader = self.open("/alive").wait_joined()
        self.assertIsNone(reader.retry)
        for _ in range(3):
            reader.wait_comment()

    def fill(self, reader, path):
        """Publishes until the gateway's queue for a reader that doesn't read has been full."""
        def counted():
            metrics = self.running.metrics()
            return metrics['beamgate_connections_closed_total{reason="slow_reader"}'] + metrics['beamgate_messages_dropped_total{reason="slow_reader"}']
        for number in range(900):
            self.publish("kept", f"{number} " + "x" * 20_000)
            if number % 20 == 19 and counted():
                return number
        self.fail("it was never full")

    def test_a_slow_reader_is_closed_and_recovers(self):
        self.start(workers=1)
        reader = self.open("/closes", receive_buffer=4096).wait_joined()
        last = self.fill(reader, "/closes")
        seen = []
        try:
            while True:
                seen.append(int(reader.next().data.split()[0]))
        except EOFError:
            pass
        self.assertEqual(seen, list(range(len(seen))))
        again = self.open("/kept", last_id=reader.last_id)
        rest = [int(again.next().data.split()[0]) for _ in range(last + 1 - len(seen))]
        self.assertEqual(seen + rest, list(range(last + 1)), "nothing is missing, nothing came twice")

    def test_a_slow_reader_is_told_of_what_was_dropped(self):
        self.start(workers=1)
        reader = self.open("/drops", receive_buffer=4096).wait_joined()
        last = self.fill(reader, "/drops")
        expected = 0
        while True:
            event = reader.next()
            if event.name == RESET:
                self.assertEqual(json.loads(event.data), {"reason": "slow"})
                expected = None
                continue
            number = int(event.data.split()[0])
            self.assertIn(expected, (None, number), "a gap comes with a word")
            expected = number + 1
            if number == last:
                break

    def test_a_shutdown_ends_it(self):
        self.start(workers=1)
        readers = [self.open().wait_joined() for _ in range(5)]
        self.running.stop(SIGTERM)
        for reader in readers:
            reader.wait_end()

    def test_http2(self):
        self.start(workers=1)
        address = self.running.address()
        client = self.track(h2_client.connect(address))
        streams = [client.request("GET", path) for path in ("/room", "/kept", "/room")]
        responses = [client.responses[stream] for stream in streams]
        client.until(lambda: all(b"id: " in response.body for response in responses))
        self.assertEqual([response.status for response in responses], [200] * 3)
        self.publish("room", "to both")
        self.publish("kept", "to one")
        client.until(lambda: all(b"data: to" in response.body for response in responses))
        self.assertIn(b"data: to both\nid: ", responses[2].body)
        self.assertIn(b"data: to one\nid: ", responses[1].body)
        client.reset(streams[0])
        beamgate.until(lambda: self.running.metrics()["beamgate_event_streams_active"] == 2)
        self.publish("room", "goes on")
        client.until(lambda: b"goes on" in responses[2].body)
        client.close()
        beamgate.until(lambda: self.running.metrics()["beamgate_event_streams_active"] == 0)
        beamgate.until(lambda: self.running.metrics()["beamgate_hub_subscriptions"] == 0)

    def test_each_stream_counts_for_limit_conn_until_its_end(self):
        self.start(workers=1)
        address = self.running.address()
        for path in ("/one", "/one-poll"):
            beamgate.until(lambda: http_client.get(address, "/one-poll").status == 204)
            first = self.open(path) if path == "/one" else None
            if first is None:
                first = self.track(http_client.Connection(address))
                first.send_request("GET", path)
                beamgate.until(lambda: self.running.metrics()["beamgate_long_polls_active"] == 1)
            self.open("/one", expect=503)
            first.close()
            beamgate.until(lambda: http_client.get(address, "/one-poll").status == 204)
        client = self.track(h2_client.connect(address))
        first = client.request("GET", "/one")
        client.until(lambda: b"id: " in client.responses[first].body)
        self.assertEqual(client.get("/one").status, 503)
        client.reset(first)
        beamgate.until(lambda: client.get("/one-poll").status == 200)
        again = client.request("GET", "/one")
        client.until(lambda: b"id: " in client.responses[again].body)

    def judge(self, *command):
        """A program that prints what it reads; gives it and the first words that it says."""
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def read_until(self, process, text):
        lines = []
        for line in process.stdout:
            lines.append(line)
            if text in line:
                return lines
        self.fail(f"no {text!r} in {lines}")

    def test_curl(self):
        self.start()
        for version in ("--http1.1", "--http2-prior-knowledge"):
            curl = self.judge("curl", "-sSN", version, f"http://{self.running.address()}/kept")
            self.read_until(curl, "id:")
            self.publish("kept", "for curl")
            self.assertEqual(self.read_until(curl, "for curl")[-1], "data: for curl\n")

    def test_node(self):
        self.start()
        script = """
            const response = await fetch(process.argv[1]);
            for await (const piece of response.body.pipeThrough(new TextDecoderStream())) process.stdout.write(piece);
        """
        node = self.judge("node", "--input-type=module", "-e", script, f"http://{self.running.address()}/kept")
        self.read_until(node, "id:")
        self.publish("kept", "for Node")
        self.read_until(node, "data: for Node")


if __name__ == "__main__":
    beamgate.main()
