"""limit_req, limit_conn, limit_rate and memory_limit, with several workers that count together.

A worker is chosen by the kernel for each connection, so a limit that holds for connections made one after the other
holds for the node.  What is counted is given back: by the end of a response, by a WebSocket's end, by the death of its
worker, and is neither lost nor doubled by a move.
"""

import os
import time
from pathlib import Path
from signal import SIGHUP, SIGKILL

import beamgate
import http_client
import ws_client
from backend import Held, Reply
from wire import Ended

METRICS = "location /metrics { metrics on; }"
SAYING = "root /nonexistent; error_page 404 =200 /said;"


def said_page(text="ok"):
    return f'location = /said {{ internal; return 200 "{text}"; }}'


class RateLimits(beamgate.TestCase):
    def statuses(self, address, count, target="/", fields=(), source=None):
        return [http_client.get(address, target, fields, source=source).status for _ in range(count)]

    def limited(self, limit, zone="$binary_remote_addr zone=z:64k rate=1r/m", said="ok", location=SAYING, **options):
        # A "return" comes before all limits; what stands in for a missing file does not.
        return self.gateway(f"limit_req_zone {zone}; server {{ listen 127.0.0.1:0; {METRICS} {said_page(said)} "
                            f"location / {{ {limit} {location} }} }}", workers=3, **options)

    def test_workers_count_together(self):
        gateway = self.limited("limit_req zone=z burst=5 nodelay;")
        self.assertEqual(self.statuses(gateway.address(), 12), [200] * 6 + [503] * 6)
        self.assertEqual(self.statuses(gateway.address(), 1, source="127.0.0.2"), [200], "another client")
        self.assertEqual(gateway.metrics()['beamgate_requests_refused_total{reason="limit_req"}'], 6)
        gateway.wait_log(r"\[error\].* limit_req_refused connection=[0-9a-f]{16} client=127.0.0.1 zone=z dry_run=no")

    def test_a_key_of_variables(self):
        gateway = self.limited("limit_req zone=z;", zone='"$http_x_key" zone=z:64k rate=1r/m')
        for key in ("a", "b"):
            self.assertEqual(self.statuses(gateway.address(), 2, fields={"X-Key": key}), [200, 503])
        self.assertEqual(self.statuses(gateway.address(), 5), [200] * 5, "an empty key is not counted")

    def test_status_level_and_dry_run(self):
        gateway = self.limited("limit_req zone=z; limit_req_status 429; limit_req_log_level warn;")
        self.assertEqual(self.statuses(gateway.address(), 2), [200, 429])
        gateway.wait_log(r"\[warn\].* limit_req_refused")
        gateway = self.limited("limit_req zone=z; limit_req_dry_run on;", said="$limit_req_status")
        told = [http_client.get(gateway.address(), "/").text for _ in range(2)]
        self.assertEqual(told, ["PASSED", "REJECTED_DRY_RUN"])
        gateway.wait_log("limit_req_refused .*dry_run=yes")

    def test_several_limits_hold_together(self):
        gateway = self.gateway("""limit_req_zone $binary_remote_addr zone=client:64k rate=1r/m;
            limit_req_zone $server_port zone=all:64k rate=1r/m;
            server { listen 127.0.0.1:0; limit_req zone=client burst=1 nodelay; limit_req zone=all burst=3 nodelay;
                location / { """ + SAYING + """ } location /free { limit_req zone=client burst=99 nodelay; """ + SAYING + """ }
                """ + said_page() + " }",
                               workers=3)
        seen = [self.statuses(gateway.address(), 3, source=f"127.0.0.{n}") for n in (2, 3, 4)]
        self.assertEqual(seen, [[200, 200, 503], [200, 200, 503], [503] * 3])
        # The third was refused by what all share, so it has cost its own nothing.
        self.assertEqual(self.statuses(gateway.address(), 2, target="/free", source="127.0.0.4"), [200, 200])

    def test_requests_above_the_rate_wait_for_their_turn(self):
        gateway = self.limited("limit_req zone=z burst=3;", zone="$binary_remote_addr zone=z:64k rate=1r/s",
                               said="$limit_req_status")
        began = time.monotonic()
        with http_client.Connection(gateway.address()) as client:
            told = [client.request("GET", "/").text for _ in range(3)]
        self.assertEqual(told, ["PASSED", "DELAYED", "DELAYED"])
        self.assertGreaterEqual(time.monotonic() - began, 1.99, "two of them, a second each")
        self.assertEqual(gateway.metrics()["beamgate_limit_req_delayed_total"], 2)
        gateway.wait_log(r"\[warn\].* limit_req_delayed", count=2)

    def test_delay_lets_the_first_ones_through(self):
        gateway = self.limited("limit_req zone=z burst=5 delay=2;", zone="$binary_remote_addr zone=z:64k rate=1r/s",
                               said="$limit_req_status")
        clients = [self.track(http_client.Connection(gateway.address())) for _ in range(6)]
        for client in clients:
            client.send_request("GET", "/")
        told = [client.read_response().text for client in clients]
        self.assertEqual(sorted(told), ["DELAYED"] * 3 + ["PASSED"] * 3)

    def test_what_waits_is_whole(self):
        """A body behind a head that waits, a pipelined request behind it, and a client that doesn't wait."""
        origin = self.backend(lambda request: Reply(200, request.body))
        gateway = self.gateway(f"""limit_req_zone $binary_remote_addr zone=z:64k rate=5r/s; server {{ listen 127.0.0.1:0;
            location / {{ limit_req zone=z burst=9; proxy_pass http://{origin.address}; }} }}""", workers=3)
        with http_client.Connection(gateway.address()) as client:
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
                        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
                        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nworld\r\n0\r\n\r\n")
            self.assertEqual([client.read_response().text for _ in range(3)], ["", "hello", "world"])
        with http_client.Connection(gateway.address()) as gone:
            gone.send(b"GET /gone HTTP/1.1\r\nHost: x\r\n\r\n")
            gone.wire.reset()
        self.assertEqual(http_client.get(gateway.address(), "/last").status, 200)
        self.assertEqual(len(origin.seen(path="/last")), 1)

    def test_a_reload_keeps_the_counts(self):
        gateway = self.limited("limit_req zone=z burst=2 nodelay;")
        self.assertEqual(self.statuses(gateway.address(), 3), [200] * 3)
        mark = gateway.log_mark()
        gateway.signal(SIGHUP)
        gateway.wait_log("reloaded|configuration_in_force", after=mark)
        self.assertEqual(self.statuses(gateway.address(), 1), [503])


class ConnectionLimits(beamgate.TestCase):
    HTTP = """limit_conn_zone $binary_remote_addr zone=c:64k; limit_conn_zone $server_port zone=all:64k;
        server {{ listen 127.0.0.1:0; limit_conn c 3; {extra}
            location / {{ proxy_pass http://{origin}; }}
            location /ws {{ websocket echo; }}
            location /free {{ limit_conn all 1000; return 200 ok; }} }}"""

    def limited(self, extra="", workers=3, **options):
        self.held = Held()
        origin = self.backend(Reply(200, "ok"))
        origin.on("/held", self.held)
        self.addCleanup(self.held.release)
        self.origin = origin
        return self.gateway(self.HTTP.format(origin=origin.address, extra=extra), workers=workers, **options)

    def status(self, gateway, **options):
        return http_client.get(gateway.address(), "/", **options).status

    def wait_free(self, gateway):
        beamgate.until(lambda: self.status(gateway) == 200, 10, "a place")

    def open_sockets(self, gateway, count):
        return [self.track(ws_client.connect(gateway.address(), "/ws")) for _ in range(count)]

    def check_three_more_fit_and_no_fourth(self, gateway):
        # Those that were closed a moment ago may still be counted.
        sockets = beamgate.until(lambda: self.try_open(gateway, 3), 10, "three places")
        with self.assertRaises(ws_client.Refused) as refused:
            ws_client.connect(gateway.address(), "/ws")
        self.assertEqual(refused.exception.response.status, 503)
        for each in sockets:
            each.wire.close()

    def try_open(self, gateway, count):
        """So many WebSockets, or None where they don't all fit."""
        opened = []
        try:
            while len(opened) < count:
                opened.append(ws_client.connect(gateway.address(), "/ws"))
            return opened
        except ws_client.Refused:
            for each in opened:
                each.wire.close()
            return None

    def test_requests_under_way(self):
        gateway = self.limited()
        waiting = [self.track(http_client.Connection(gateway.address())) for _ in range(3)]
        for client in waiting:
            client.send_request("GET", "/held")
        self.origin.wait(path="/held", count=3)
        self.assertEqual(self.status(gateway), 503)
        self.assertEqual(self.status(gateway, source="127.0.0.2"), 200)
        gateway.wait_log("limit_conn_refused connection=[0-9a-f]{16} client=127.0.0.1 zone=c")
        self.held.release()
        for client in waiting:
            self.assertEqual(client.read_response().status, 200)
        # Their connections are open, but have no request: they don't count.
        self.assertEqual([self.status(gateway) for _ in range(9)], [200] * 9)

    def test_a_client_that_goes_gives_its_place_back(self):
        gateway = self.limited()
        waiting = [self.track(http_client.Connection(gateway.address())) for _ in range(3)]
        for client in waiting:
            client.send_request("GET", "/held")
        self.origin.wait(path="/held", count=3)
        self.assertEqual(self.status(gateway), 503)
        waiting[0].wire.reset()
        self.wait_free(gateway)

    def test_status_and_dry_run(self):
        gateway = self.limited("limit_conn_status 429; limit_conn_log_level info;")
        sockets = self.open_sockets(gateway, 3)
        self.assertEqual(self.status(gateway), 429)
        gateway.wait_log(r"\[info\].* limit_conn_refused")
        gateway = self.limited("limit_conn_dry_run on;")
        sockets += self.open_sockets(gateway, 4)
        self.assertEqual(self.status(gateway), 200)
        gateway.wait_log("limit_conn_refused .*dry_run=yes")

    def test_a_websocket_counts_while_it_lives(self):
        gateway = self.limited()
        sockets = self.open_sockets(gateway, 3)
        self.assertEqual(self.status(gateway), 503)
        for each in sockets:
            each.send("alive")
            self.assertEqual(each.recv(), "alive")
        self.assertEqual(http_client.get(gateway.address(), "/free").status, 200, "a location's own limits replace others")
        sockets[0].wire.close()
        self.wait_free(gateway)
        sockets[1].wire.reset()
        sockets[2].wire.reset()
        beamgate.until(lambda: self.places(gateway) == 3, 10, "three places")
        self.check_three_more_fit_and_no_fourth(gateway)

    def places(self, gateway):
        """How many WebSockets fit now."""
        opened = []
        try:
            while len(opened) < 9:
                opened.append(ws_client.connect(gateway.address(), "/ws"))
        except ws_client.Refused:
            pass
        for each in opened:
            each.wire.close()
        return len(opened)

    def test_moves_neither_lose_nor_double_it(self):
        gateway = self.limited(workers=4)
        sockets = self.open_sockets(gateway, 3)
        for workers in (1, 3, 2):
            gateway.write_config(workers=workers)
            gateway.signal(SIGHUP)
            gateway.wait_workers(workers, timeout=20)
            for each in sockets:
                each.send("moved")
                self.assertEqual(each.recv(), "moved")
            beamgate.until(lambda: self.places(gateway) == 0, 10, "no place")
        for each in sockets:
            each.wire.close()
        beamgate.until(lambda: self.places(gateway) == 3, 10, "three places")

    def test_a_workers_death_neither_loses_nor_leaks_it(self):
        """Its WebSockets go on in its successor and count there; requests that die with it count no more."""
        gateway = self.limited(workers=2)
        gateway.expect_deaths()
        sockets = self.open_sockets(gateway, 2)
        for round in range(3):
            self.wait_free(gateway)
            waiting = http_client.Connection(gateway.address())
            waiting.send_request("GET", "/held")
            self.origin.wait(path="/held", count=round + 1)
            self.assertEqual(self.status(gateway), 503)
            before = set(gateway.worker_pids())
            for pid in before:
                os.kill(pid, SIGKILL)
            beamgate.until(lambda: len(set(gateway.worker_pids()) - before) == 2, 20, "two successors")
            waiting.close()
            for each in sockets:
                each.send("alive")
                self.assertEqual(each.recv(), "alive")
            beamgate.until(lambda: self.places(gateway) == 1, 10, "one place")
        for each in sockets:
            each.wire.close()
        beamgate.until(lambda: self.places(gateway) == 3, 10, "three places")

    def test_a_worker_without_a_keeper(self):
        """Nobody takes its connections over, so none of them counts any more."""
        gateway = self.limited(workers=1, main="worker_keeper off;")
        gateway.expect_deaths()
        self.open_sockets(gateway, 3)
        self.assertEqual(self.status(gateway), 503)
        before = gateway.worker_pids()
        os.kill(before[0], SIGKILL)
        beamgate.until(lambda: gateway.worker_pids() not in ([], before), 20, "another worker")
        self.check_three_more_fit_and_no_fourth(gateway)


class ResponseRates(beamgate.TestCase):
    SIZE = 60_000

    def timed(self, gateway, target):
        began = time.monotonic()
        response = http_client.get(gateway.address(), target, timeout=20)
        self.assertEqual((response.status, len(response.body)), (200, self.SIZE))
        return time.monotonic() - began

    def test_bodies_of_every_kind(self):
        body = bytes(self.SIZE)
        origin = self.backend(Reply(200, body))
        origin.on("/proxy/chunked", Reply(200, chunks=[body[:7_000]] * 8 + [body[:4_000]]))
        limit = "limit_rate 20k;"
        gateway = self.gateway(f"""server {{ listen 127.0.0.1:0;
            location /proxy/ {{ proxy_pass http://{origin.address}; {limit} }}
            location /file {{ root .; {limit} }}
            location /after {{ root .; limit_rate 10; limit_rate_after 60k; }} }}""",
                               files={"file": body, "after": body}, workers=1)
        # A second's worth comes at once, then 20 KiB a second.
        for target in ("/proxy/", "/proxy/chunked", "/file"):
            with self.subTest(target):
                self.assertGreater(self.timed(gateway, target), 1.8)
        self.timed(gateway, "/after")  # Would take more than an hour at its rate.

    def test_a_connection_goes_on_afterwards(self):
        gateway = self.gateway(f'server {{ listen 127.0.0.1:0; limit_rate 4k; location / {{ return 200 "{"x" * 6_000}"; }} }}')
        with http_client.Connection(gateway.address()) as client:
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
            for _ in range(2):
                self.assertEqual(len(client.read_response().body), 6_000)

    def test_a_client_that_goes_meanwhile(self):
        gateway = self.gateway("server { listen 127.0.0.1:0; limit_rate 1k; location / { root .; } }",
                               files={"file": bytes(1 << 20)})
        with http_client.Connection(gateway.address()) as client:
            client.send(b"GET /file HTTP/1.1\r\nHost: x\r\n\r\n")
            client.read_head()
            client.wire.reset()
        self.assertEqual(http_client.get(gateway.address(), "/none").status, 404)


class SlowClients(beamgate.TestCase):
    """Each has its time: for its head, between two pieces of its body, and to take its response."""

    def test_a_body_that_does_not_come(self):
        origin = self.backend(Reply(200, "ok"))
        gateway = self.gateway(f"""server {{ listen 127.0.0.1:0; client_body_timeout 300ms;
            location / {{ proxy_pass http://{origin.address}; }} }}""")
        for head in (b"Content-Length: 5\r\n\r\nhel", b"Content-Length: 500000\r\n\r\nhel", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel"):
            with self.subTest(head), http_client.Connection(gateway.address()) as client:
                client.send(b"POST / HTTP/1.1\r\nHost: x\r\n" + head)
                self.assertEqual(client.read_response(timeout=10).status, 408)
                self.assertTrue(client.ended(timeout=10))
        with http_client.Connection(gateway.address()) as client:
            client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
            self.assertEqual(client.read_response().status, 200)
        self.assertEqual(len(origin.requests), 1, "only the whole one arrived")

    def test_a_response_that_is_not_taken(self):
        gateway = self.gateway("""server { listen 127.0.0.1:0; send_timeout 300ms; location / { root .; } location /metrics { metrics; }
            location /patient/ { root .; send_timeout 60s; } }""",
                               files={"file": bytes(16 << 20), "patient/file": bytes(16 << 20), "small": b"x"})
        with http_client.Connection(gateway.address(), receive_buffer=4096) as client:
            client.send(b"GET /file HTTP/1.1\r\nHost: x\r\n\r\n")
            beamgate.until(lambda: self.established(gateway) == 0, 20, "the connection's end")
            with self.assertRaises((Ended, ConnectionError)):
                client.read_response()
        self.assertEqual(gateway.metrics()['beamgate_connections_closed_total{reason="send_timeout"}'], 1)
        self.assertEqual(http_client.get(gateway.address(), "/small").body, b"x", "what fits is taken at once")
        self.assertEqual(len(http_client.get(gateway.address(), "/patient/file", timeout=60).body), 16 << 20)

    def established(self, gateway):
        """Established TCP connections on the gateway's port, seen from its side."""
        port = int(gateway.address().rpartition(":")[2])
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        states = [line.split()[3] for line in lines if int(line.split()[1].rpartition(":")[2], 16) == port]
        return states.count("01") + states.count("04")


class MemoryLimit(beamgate.TestCase):
    def test_above_it_new_clients_are_refused_and_the_rest_goes_on(self):
        """A reader that doesn't read fills its send queue; the worker then takes nobody new, until it has gone."""
        gateway = self.gateway(f"""server {{ listen 127.0.0.1:0; {METRICS}
            location /hub {{ websocket raw; websocket_subscribe news; websocket_send_queue 64m; }}
            location /echo {{ websocket echo; }}
            location /api/ {{ api on; client_max_body_size 2m; }}
            location / {{ root .; index page; }} }}""", workers=1, files={"page": "ok"}, main="memory_limit 24m; publication_max 1m;")
        address = gateway.address()
        bystander = self.track(ws_client.connect(address, "/echo"))
        stalled = self.track(ws_client.connect(address, "/hub", receive_buffer=4096))
        self.assertEqual(http_client.get(address, "/").status, 200)
        fields = {"Content-Type": "application/octet-stream"}
        statuses = []
        while 503 not in statuses and len(statuses) < 60:
            statuses.append(http_client.post(address, "/api/publish?channel=news", bytes(1_000_000), fields).status)
        self.assertIn(503, statuses)
        refused = http_client.get(address, "/")
        self.assertEqual((refused.status, refused.header("retry-after"), refused.header("connection")), (503, "1", "close"))
        with self.assertRaises(ws_client.Refused):
            ws_client.connect(address, "/echo")
        bystander.send("still there?")
        self.assertEqual(bystander.recv(), "still there?")
        self.assertGreater(gateway.metrics()['beamgate_requests_refused_total{reason="memory_limit"}'], 1)
        gateway.wait_log("memory_limit_reached")
        stalled.wire.reset()
        beamgate.until(lambda: http_client.get(address, "/").status == 200, 10, "room")
        gateway.wait_log("memory_limit_left")


if __name__ == "__main__":
    beamgate.main()
