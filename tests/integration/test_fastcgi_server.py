"""fastcgi_pass in front of servers that a test plays: records cut at every byte, broken, hostile, early, slow or dead.

What it shows: whatever a FastCGI server says, the client gets a whole response, a 502, or a connection that is cut;
nothing grows; a request is sent again only where it may be.  Every refusal has its accepted twin.
"""

import itertools
import socket
import threading

import beamgate
import fastcgi
import http_client
from backend import Silent
from chat_example import free_port
from fastcgi import STDERR, STDOUT, end, record, reply, stdout
from wire import Ended, Timeout

PAGE = "Content-Type: text/plain\r\nX-A: b\r\n\r\nhello"


class FastcgiCase(beamgate.TestCase):
    def server(self, behaviour=reply(PAGE), **options):
        return self.track(fastcgi.Server(behaviour, **options))

    def site(self, servers, location="", upstream="", workers=1, others=""):
        servers = servers if isinstance(servers, (list, tuple)) else [servers]
        lines = " ".join(f"server {getattr(server, 'address', server)};" for server in servers)
        gateway = self.gateway(
            f"upstream php {{ {lines} {upstream} }}\nserver {{ listen 127.0.0.1:0; client_max_body_size 0;\n"
            "location / { fastcgi_pass php; fastcgi_param REQUEST_METHOD $request_method;\n"
            f"fastcgi_param REQUEST_URI $request_uri; fastcgi_param CONTENT_LENGTH $content_length; {location} }}\n"
            f"location = /metrics {{ metrics on; }} {others} }}", workers=workers)
        return gateway, gateway.address()


class Records(FastcgiCase):
    def test_cut_at_every_byte(self):
        whole = record(STDERR, "warn", 3) + stdout(PAGE, 7, padding=255) + record(STDOUT) + end(padding=9)
        cuts = itertools.count(1)

        def behaviour(request):
            cut = next(cuts)
            yield whole[:cut]
            yield whole[cut:]

        server = self.server(behaviour)
        _, address = self.site(server)
        for _ in range(0, len(whole), 13):
            response = http_client.get(address, "/")
            self.assertEqual((response.status, response.text, response.header("x-a")), (200, "hello", "b"))
        server.behaviour = lambda request: (whole[at:at + 1] for at in range(len(whole)))
        self.assertEqual(http_client.get(address, "/").text, "hello")

    def test_what_is_no_response_is_502(self):
        head = "Content-Type: text/plain\r\n\r\n"
        bad = {
            "another version": record(STDOUT, PAGE, version=2) + end(),
            "another request": record(STDOUT, PAGE, request_id=2) + end(),
            "another type": record(11, PAGE) + end(),
            "http": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            "nothing": b"",
            "no head": end(),
            "a head without its end": stdout("Content-Type: text/plain\r\n") + end(),
            "a field without a colon": stdout("PHP Fatal error\r\n\r\n") + end(),
            "a control byte": stdout("A: b\x00c\r\n\r\n") + end(),
            "a bad status": stdout("Status: 99\r\n\r\n") + end(),
            "two lengths": stdout("Content-Length: 1\r\nContent-Length: 2\r\n\r\nx") + end(),
            "a huge head": stdout("A: " + "x" * 70_000 + "\r\n\r\n") + end(),
            "many fields": stdout("A: b\r\n" * 1100 + "\r\n") + end(),
            "refused": end(protocol_status=1),
        }
        server = self.server()
        gateway, address = self.site(server, upstream="keepalive 0;", location="fastcgi_next_upstream off;")
        for name, data in bad.items():
            with self.subTest(name):
                server.behaviour = data
                self.assertEqual(http_client.get(address, "/").status, 502)
                server.behaviour = stdout(head + name) + end()
                self.assertEqual(http_client.get(address, "/").text, name)

    def test_what_ends_within_the_body_is_cut(self):
        begun = stdout("Content-Type: text/plain\r\n\r\nhello")
        length = stdout("Content-Length: 9\r\n\r\nhello")
        server = self.server()
        _, address = self.site(server)
        for name, first, rest in (("no end", begun, b""), ("half an end", begun, end()[:12]),
                                  ("garbage", begun, b"\x09" * 64), ("too little", length, end())):
            with self.subTest(name):
                held = threading.Event()

                def behaviour(request, first=first, rest=rest, held=held):
                    yield first
                    held.wait(30)
                    yield rest

                server.behaviour = behaviour
                with http_client.Connection(address) as connection:
                    connection.send_request("GET", "/")
                    response = connection.read_head()
                    held.set()
                    with self.assertRaises(Ended):
                        connection.read_body(response)
        server.behaviour = begun + end()
        self.assertEqual(http_client.get(address, "/").text, "hello")

    def test_errors_are_logged_within_bounds(self):
        server = self.server(b"".join(record(STDERR, "e" * 65_000) for _ in range(100)) + reply(PAGE))
        gateway, address = self.site(server)
        self.assertEqual(http_client.get(address, "/").text, "hello")
        gateway.wait_log("upstream_stderr .*eeee")
        self.assertLess(len("\n".join(gateway.lines)), 100_000)

    def test_many_fields_of_a_request_arrive(self):
        server = self.server()
        _, address = self.site(server)
        headers = [(f"X-{i}", "v" * 250) for i in range(80)]
        self.assertEqual(http_client.request(address, "GET", "/", headers).text, "hello")
        for name, value in headers:
            self.assertEqual(server.requests[0].params[f"HTTP_{name.upper().replace('-', '_')}"], value)


class Streams(FastcgiCase):
    def test_a_large_response_to_a_slow_client_is_bounded(self):
        size = 64 << 20
        sent = []

        def behaviour(request):
            yield stdout("Content-Type: text/plain\r\n\r\n")
            piece = record(STDOUT, b"x" * 65_528)
            for _ in range(size // 65_528):
                yield piece
                sent.append(1)
            yield end()

        server = self.server(behaviour)
        gateway, address = self.site(server)
        with http_client.Connection(address, receive_buffer=4096, timeout=60) as connection:
            connection.send_request("GET", "/")
            response = connection.read_head()
            last = [-1, 0]

            def stands_still():
                last[1] = last[1] + 1 if last[0] == len(sent) else 0
                last[0] = len(sent)
                return last[1] > 100

            beamgate.until(stands_still, 30, "a standstill")
            self.assertLess(len(sent) * 65_528, 16 << 20)
            self.assertEqual(len(connection.read_body(response, 60)), size // 65_528 * 65_528)

    def test_an_answer_before_the_body_is_there(self):
        server = self.server(reply("Status: 403 No\r\n\r\nno"), early=True)
        _, address = self.site(server, "fastcgi_request_buffering off;")
        with http_client.Connection(address, timeout=30) as connection:
            connection.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n" + b"x" * 200_000)
            response = connection.read_response()
            self.assertEqual((response.status, response.text), (403, "no"))

    def test_a_body_streams_while_the_answer_does(self):
        server = self.server(lambda request: reply("Content-Type: text/plain\r\n\r\n%d" % len(request.stdin)))
        _, address = self.site(server, "fastcgi_request_buffering off;")
        body = b"y" * (8 << 20)
        self.assertEqual(http_client.post(address, "/", body, timeout=60).text, str(len(body)))
        self.assertEqual(server.requests[0].stdin, body)
        self.assertEqual(server.requests[0].params["CONTENT_LENGTH"], str(len(body)))

    def test_a_client_that_goes_takes_the_request_along(self):
        going = threading.Event()

        def behaviour(request):
            yield stdout("Content-Type: text/plain\r\n\r\nhello")
            for _ in range(10_000):
                going.wait(0.01)
                yield record(STDOUT, "more")

        server = self.server(behaviour)
        _, address = self.site(server)
        with http_client.Connection(address) as connection:
            connection.send_request("GET", "/")
            connection.read_head()
        beamgate.until(lambda: server.ended == 1, 20, "the connection's end")

    def test_head_and_statuses_without_a_body(self):
        server = self.server()
        _, address = self.site(server)
        with http_client.Connection(address) as connection:
            self.assertEqual(connection.request("HEAD", "/").body, b"")
            for status in (204, 304):
                server.behaviour = reply(f"Status: {status}\r\nX-A: b\r\n\r\nhello")
                self.assertEqual(connection.request("GET", "/").status, status)
            server.behaviour = reply(PAGE)
            self.assertEqual(connection.request("GET", "/").text, "hello")

    def test_the_script_cannot_forge_framing(self):
        server = self.server(reply("Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\nConnection: x-a\r\n"
                                   "X-A: b\r\nTrailer: x\r\nX-Accel-Redirect: /secret\r\n\r\nhello"))
        _, address = self.site(server)
        with http_client.Connection(address) as connection:
            response = connection.request("GET", "/")
            self.assertEqual(response.text, "hello")
            for name in ("trailer", "x-a", "x-accel-redirect"):
                self.assertIsNone(response.header(name))
            self.assertEqual(connection.request("GET", "/").text, "hello")

    def test_orders_to_a_proxy_go_on_when_asked_for(self):
        server = self.server(reply("Content-Type: text/plain\r\nX-Accel-Expires: 5\r\nX-Accel-Buffering: no\r\n"
                                   "Connection: x-a\r\nX-A: b\r\nKeep-Alive: 5\r\n\r\nhello"))
        names = ("x-accel-expires", "x-accel-buffering", "x-a", "keep-alive")
        asked = "".join(f"fastcgi_pass_header {name};" for name in ("X-Accel-Expires", "X-A", "Keep-Alive"))
        for option, expected in (("", [None] * 4), (asked, ["5", None, None, None])):
            _, address = self.site(server, option)
            response = http_client.get(address, "/")
            self.assertEqual(([response.header(name) for name in names], response.text), (expected, "hello"), option)


class Servers(FastcgiCase):
    def test_an_overloaded_server(self):
        busy, free = self.server(end(protocol_status=2)), self.server()
        _, address = self.site([busy, free])
        for _ in range(4):  # Nothing was done: a POST may go to the other as well.
            self.assertEqual(http_client.post(address, "/", b"x").text, "hello")
        gateway, address = self.site(busy)
        self.assertEqual(http_client.get(address, "/").status, 503)
        self.assertEqual(gateway.metrics()['beamgate_upstream_failures_total{reason="status"}'], 1)

    def test_checks_of_an_overloaded_server(self):
        busy = self.server(end(protocol_status=2))
        gateway, _ = self.site(busy, upstream="health_check fastcgi interval=100ms fails=1;")
        gateway.wait_log("upstream_unhealthy")
        self.assertGreater(gateway.metrics()['beamgate_upstream_checks_failed_total{reason="status"}'], 0)

    def test_a_client_that_goes(self):
        for setting, told in (("", True), ("fastcgi_ignore_client_abort on;", False)):
            with self.subTest(setting):
                server = Silent(self)
                _, address = self.site(server, setting)
                with http_client.Connection(address) as client:
                    client.send_request("GET", "/")
                    server.take()
                self.assertEqual(not server.hears_nothing(10 if told else 2), told)

    def test_a_param_that_is_empty_may_be_left_out(self):
        server = self.server()
        _, address = self.site(server, "fastcgi_param ALWAYS $arg_x; fastcgi_param SOMETIMES $arg_x if_not_empty;")
        for target, expected in (("/", {"ALWAYS": ""}), ("/?x=1", {"ALWAYS": "1", "SOMETIMES": "1"})):
            http_client.get(address, target)
            params = server.requests[-1].params
            self.assertEqual({name: params[name] for name in ("ALWAYS", "SOMETIMES") if name in params}, expected)

    def test_what_may_be_sent_again(self):
        dead, alive = self.server(b""), self.server()
        _, address = self.site([dead, alive], upstream="keepalive 0;")
        self.assertEqual([http_client.get(address, "/").status for _ in range(2)], [200, 200])
        self.assertEqual(len(dead.requests), 1)
        _, address = self.site([dead, alive], upstream="keepalive 0;")
        seen = len(alive.requests)
        statuses = [http_client.post(address, "/", b"x").status for _ in range(2)]
        self.assertEqual(sorted(statuses), [200, 502])  # Whoever got the POST may have acted upon it.
        self.assertEqual(len(alive.requests) - seen, 1)

    def test_statuses_that_go_on_to_the_next(self):
        bad, good = self.server(reply("Status: 503\r\n\r\nbad")), self.server()
        for option, expected in (("fastcgi_next_upstream http_503;", {200}), ("fastcgi_next_upstream off;", {200, 503})):
            _, address = self.site([bad, good], option)
            self.assertEqual({http_client.get(address, "/").status for _ in range(4)}, expected)

    def test_kept_connections(self):
        server = self.server()
        _, address = self.site(server, "fastcgi_keep_conn on;")
        for _ in range(5):
            self.assertEqual(http_client.post(address, "/", b"x" * 100).text, "hello")
        self.assertEqual(server.connections, 1)
        self.assertTrue(server.requests[0].keep)
        server.behaviour = reply(PAGE) + b"surplus"
        self.assertEqual(http_client.get(address, "/").text, "hello")
        server.behaviour = reply(PAGE)
        self.assertEqual(http_client.get(address, "/").text, "hello")
        self.assertEqual(server.connections, 2)

    def test_a_kept_connection_is_not_another_protocols(self):
        server = self.server()
        gateway = self.gateway(f"upstream both {{ server {server.address}; }} server {{ listen 127.0.0.1:0;\n"
                               "location / { fastcgi_pass both; fastcgi_keep_conn on; }\n"
                               "location /http { proxy_pass http://both; proxy_read_timeout 500ms; } }", workers=1)
        self.assertEqual(http_client.get(gateway.address(), "/").text, "hello")
        self.assertIn(http_client.get(gateway.address(), "/http").status, (502, 504))
        self.assertEqual(server.connections, 2)

    def test_timeouts(self):
        server = self.server(lambda request: (threading.Event().wait(5), b"")[1:])
        _, address = self.site(server, "fastcgi_read_timeout 200ms;")
        self.assertEqual(http_client.get(address, "/").status, 504)
        _, address = self.site("127.0.0.1:%d" % free_port())
        self.assertEqual(http_client.get(address, "/").status, 502)

    def test_a_server_that_takes_no_connection(self):
        listener = self.track(socket.create_server(("127.0.0.1", 0), backlog=0))
        self.track(socket.create_connection(listener.getsockname()))  # Its queue is full with this one.
        full, alive = "127.0.0.1:%d" % listener.getsockname()[1], self.server()
        _, patient = self.site(full)
        waiting = self.track(http_client.Connection(patient))
        waiting.send_request("GET", "/")
        gateway, address = self.site(full, "fastcgi_connect_timeout 200ms;")
        self.assertEqual(http_client.get(address, "/").status, 504)
        self.assertEqual(gateway.metrics()['beamgate_upstream_failures_total{reason="timeout"}'], 1)
        _, address = self.site([f"{full} max_fails=0", f"{alive.address} backup"], "fastcgi_connect_timeout 200ms;")
        self.assertEqual(http_client.get(address, "/").text, "hello")
        with self.assertRaises(Timeout):
            waiting.wire.read_exactly(1, 0.01)

    def test_a_server_that_reads_nothing(self):
        listener = self.track(socket.create_server(("127.0.0.1", 0)))
        gateway, address = self.site("127.0.0.1:%d" % listener.getsockname()[1],
                                     "fastcgi_send_timeout 200ms; fastcgi_request_buffering off;")
        self.assertEqual(http_client.post(address, "/", bytes(16 << 20)).status, 504)
        self.assertEqual(gateway.metrics()['beamgate_upstream_failures_total{reason="timeout"}'], 1)

    def test_how_many_servers_are_tried(self):
        for option, tried in (("", 3), ("fastcgi_next_upstream_tries 2;", 2), ("fastcgi_next_upstream_tries 1;", 1)):
            servers = [self.server(reply("Status: 503\r\n\r\nbad")) for _ in range(3)]
            _, address = self.site(servers, "fastcgi_next_upstream http_503;" + option)
            response = http_client.get(address, "/")
            self.assertEqual((response.status, response.text), (503, "bad"))
            self.assertEqual(sum(len(server.requests) for server in servers), tried, option)

    def test_how_long_servers_are_tried(self):
        over = threading.Event()
        self.addCleanup(over.set)
        silent, alive = self.server(lambda request: (over.wait(30), b"")[1:]), self.server()
        servers = [f"{silent.address} max_fails=0", f"{alive.address} backup"]
        for option, status in (("", 200), ("fastcgi_next_upstream_timeout 1m;", 200),
                               ("fastcgi_next_upstream_timeout 100ms;", 504)):
            _, address = self.site(servers, "fastcgi_read_timeout 300ms;" + option)
            self.assertEqual(http_client.get(address, "/").status, status, option)

    def test_statuses_that_error_page_knows(self):
        server = self.server(lambda request: reply(f"Status: {request.params['REQUEST_URI'][1:]} No\r\n\r\ntheirs"))
        for option, expected in (("", "theirs"), ("fastcgi_intercept_errors on;", "ours")):
            _, address = self.site(server, f"error_page 404 /ours; {option}", others="location = /ours { return 200 ours; }")
            answers = [http_client.get(address, target) for target in ("/404", "/403")]
            self.assertEqual([(answer.status, answer.text) for answer in answers], [(404, expected), (403, "theirs")], option)


if __name__ == "__main__":
    beamgate.main()
