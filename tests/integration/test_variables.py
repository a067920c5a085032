"""Variables: of a request, of what is known only once it is answered, and where proxy_pass with variables leads.

What it shows: the access log tells of every attempt at a server, and of the fields that came and went; a request goes to
whatever upstream the configuration chooses by variables, and to nobody else, whatever a client writes.
"""

import re
import socket
import time
from datetime import datetime
from pathlib import Path

import backend
import beamgate
import http_client
import ws_client
import ws_frame
import wire
from backend import Hang, Held, Raw, Reply
from recorder import Recorder

FORMAT = ("log_format up escape=none '$request_uri [$upstream_addr] [$upstream_status] [$upstream_connect_time] "
          "[$upstream_header_time] [$upstream_response_time] [$upstream_bytes_sent] [$upstream_bytes_received] "
          "[$upstream_response_length]'; access_log access.log up;")
TIME = r"\d+\.\d{3}"


class LogCase(beamgate.TestCase):
    def lines(self, gateway, count=1):
        path = gateway.path("access.log")
        beamgate.until(lambda: path.exists() and len(path.read_text().splitlines()) >= count, 10, "the access log")
        return path.read_text().splitlines()

    def values(self, gateway, target):
        """What stands in brackets on the line of this target."""
        def found():
            return [line for line in self.lines(gateway) if line.startswith(target + " ")]

        beamgate.until(found, 10, f"a line of {target}")
        return re.findall(r"\[(.*?)\]", found()[-1])


class OfARequest(beamgate.TestCase):
    def test_how_long_a_connection_is_kept_is_told(self):
        """keepalive_timeout's second time, for HTTP/1.x, in the fields that nginx sends."""
        gateway = self.gateway("""keepalive_timeout 65 60; server { listen 127.0.0.1:0; location / { return 200; }
            location /silent { keepalive_timeout 65; return 200; } }""")
        with http_client.Connection(gateway.address()) as client:
            for target, told in (("/", ("keep-alive", "timeout=60")), ("/silent", (None, None))):
                client.send_request("GET", target)
                answer = client.read_response()
                self.assertEqual((answer.header("connection"), answer.header("keep-alive")), told)

    def test_what_is_asked_for_and_where_it_lies(self):
        names = ("connection", "connection_id", "content_length", "content_type", "document_root", "document_uri", "hostname",
                 "http_x_y", "limit_conn_status", "nginx_version", "pid", "realip_remote_port", "realpath_root", "remote_port",
                 "request_filename", "request_length", "request_method", "query_string", "bytes_sent", "body_bytes_sent",
                 "request_time", "msec", "time_local", "time_iso8601", "remote_user", "fastcgi_script_name")
        gateway = self.gateway(f"""
            log_format v escape=none '{"|".join("$" + name for name in names)}'; access_log access.log v;
            limit_conn_zone $binary_remote_addr zone=z:1m; root real/../real;
            server {{ listen 127.0.0.1:0; location / {{ limit_conn z 5; alias linked/; }} }}""", files={"real/file": "x"}, start=False)
        gateway.path("linked").symlink_to(gateway.path("real"))
        gateway.start()
        with http_client.Connection(gateway.address()) as client:
            request = b"POST /%66ile?q HTTP/1.1\r\nHost: x\r\nContent-Type: text/x\r\nAuthorization: Basic YW5uOng=\r\nX-Y: z\r\nContent-Length: 2\r\n\r\nab"
            client.send(request)
            asked = time.time()
            answer = client.read_response()
            port = str(client.wire.sock.getsockname()[1])
        log = gateway.path("access.log")
        beamgate.until(lambda: log.exists() and log.read_text(), 10, "the access log")
        told = dict(zip(names, log.read_text().rstrip("\n").split("|")))
        self.assertRegex(told.pop("connection"), r"^\d+$")
        self.assertRegex(told.pop("connection_id"), r"^[0-9A-Za-z_-]{8,}$")
        self.assertRegex(told.pop("nginx_version"), r"^\d+\.\d+\.\d+")
        self.assertIn(int(told.pop("pid")), gateway.worker_pids())
        self.assertGreater(int(told.pop("bytes_sent")), len(answer.body) + 100)
        self.assertRegex(told.pop("request_time"), rf"^{TIME}$")
        for when in (float(told.pop("msec")), datetime.fromisoformat(told.pop("time_iso8601")).timestamp(),
                     datetime.strptime(told.pop("time_local"), "%d/%b/%Y:%H:%M:%S %z").timestamp()):
            self.assertAlmostEqual(when, asked, delta=10)
        self.assertEqual(told, {
            "content_length": "2", "content_type": "text/x", "document_root": f"{gateway.path('linked')}/",
            "document_uri": "/file", "hostname": socket.gethostname(), "http_x_y": "z", "limit_conn_status": "PASSED",
            "realip_remote_port": port, "realpath_root": str(Path(gateway.path("real")).resolve()), "remote_port": port,
            "request_filename": str(gateway.path("linked/file")), "request_length": str(len(request)), "request_method": "POST",
            "remote_user": "ann", "fastcgi_script_name": "/file", "query_string": "q", "body_bytes_sent": str(len(answer.body))})


class Attempts(LogCase):
    def dead(self):
        held, address = backend.unused_address()
        self.addCleanup(held.close)
        return address

    def serving(self, locations, http="", **options):
        return self.gateway(f"{FORMAT} {http} server {{ listen 127.0.0.1:0; {locations} }}", workers=1, **options)

    def test_an_answer(self):
        data = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
        origin = self.backend(Raw(data))
        gateway = self.serving(f"location / {{ proxy_pass http://{origin.address}; }} location /here {{ return 200 ok; }}")
        self.assertEqual(http_client.get(gateway.address(), "/x").text, "hello")
        http_client.get(gateway.address(), "/here")
        address, status, connect, head, duration, sent, received, length = self.values(gateway, "/x")
        self.assertEqual((address, status, received, length), (origin.address, "200", str(len(data)), "5"))
        for each in (connect, head, duration):
            self.assertRegex(each, f"^{TIME}$")
        self.assertLessEqual(float(connect), float(head))
        self.assertLessEqual(float(head), float(duration))
        self.assertGreater(int(sent), 50)
        self.assertEqual(self.values(gateway, "/here"), [""] * 8)

    def test_servers_are_told_in_their_order(self):
        sick = self.backend(Raw(b"HTTP/1.1 503 Sick\r\nContent-Length: 4\r\n\r\nsick"))  # In one piece.
        dead, well = self.dead(), self.backend(Reply(200, "well"))
        gateway = self.serving("location / { proxy_pass http://app; proxy_next_upstream error http_503; }",
                               f"upstream app {{ server {dead}; server {sick.address}; server {well.address}; }}")
        self.assertEqual(http_client.get(gateway.address(), "/x").text, "well")
        address, status, connect, head, duration, sent, _, length = self.values(gateway, "/x")
        self.assertEqual(address, f"{dead}, {sick.address}, {well.address}")
        self.assertEqual((status, length), ("502, 503, 200", "0, 4, 4"))
        self.assertRegex(connect, f"^-, {TIME}, {TIME}$")
        self.assertRegex(head, f"^-, {TIME}, {TIME}$")
        self.assertRegex(duration, f"^{TIME}, {TIME}, {TIME}$")
        self.assertRegex(sent, r"^0, \d+, \d+$")

    def test_failures(self):
        silent, broken = self.backend(Hang()), self.backend(Raw(b"nonsense\r\n\r\n"))
        gateway = self.serving(f"""
            location /silent {{ proxy_pass http://{silent.address}; proxy_read_timeout 100ms; }}
            location /broken {{ proxy_pass http://{broken.address}; }}
            location /none {{ proxy_pass http://none; }}""", "upstream none { server 127.0.0.1:1 down; }")
        for target, server, status in (("/silent", silent.address, "504"), ("/broken", broken.address, "502"),
                                       ("/none", "none", "502")):
            with self.subTest(target):
                self.assertEqual(http_client.get(gateway.address(), target).status, int(status))
                self.assertEqual(self.values(gateway, target)[:2], [server, status])
        self.assertRegex(self.values(gateway, "/silent")[4], r"^0\.[1-9]\d\d$")

    def test_another_location_is_told_apart(self):
        first, second = self.backend(Reply(404, "no")), self.backend(Reply(200, "yes"))
        gateway = self.serving(f"""
            location / {{ proxy_pass http://{first.address}; proxy_intercept_errors on; error_page 404 = @second; }}
            location @second {{ proxy_pass http://{second.address}; }}""")
        self.assertEqual(http_client.get(gateway.address(), "/x").text, "yes")
        self.assertEqual(self.values(gateway, "/x")[:2], [f"{first.address} : {second.address}", "404 : 200"])

    def test_a_client_that_goes(self):
        held = Held(Reply(200, "late"))
        origin = self.backend(held)
        gateway = self.serving(f"location / {{ proxy_pass http://{origin.address}; }}")
        client = http_client.Connection(gateway.address())
        client.send_request("GET", "/x")
        origin.wait(path="/x")
        wire.reset(client.wire.sock)
        address, status, connect, head, duration = self.values(gateway, "/x")[:5]
        held.release()
        self.assertEqual((address, status, head), (origin.address, "-", "-"))
        self.assertRegex(connect + duration, f"^{TIME}{TIME}$")

    def test_a_tunnel(self):
        def switch(request):
            accept = ws_frame.accept_for(request.header("sec-websocket-key"))
            return Raw(f"HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
                       .encode() + b"\x81\x02hi")
        origin = self.backend(switch)
        gateway = self.serving(f"location / {{ proxy_pass http://{origin.address}; }}")
        client = self.track(ws_client.connect(gateway.address(), "/x"))
        self.assertEqual(client.recv(), "hi")
        client.abort()
        address, status, *_, length = self.values(gateway, "/x")
        self.assertEqual((address, status, length), (origin.address, "101", "4"))

    def test_connections_are_kept_or_new(self):
        origin = self.backend(Reply(200, "x"))
        gateway = self.serving("location / { proxy_pass http://app; }", f"upstream app {{ server {origin.address}; }}")
        for target in ("/a", "/b"):
            http_client.get(gateway.address(), target)
            self.assertRegex(self.values(gateway, target)[2], f"^{TIME}$")
        self.assertEqual(origin.connections, 1)


class Fields(LogCase):
    def test_what_a_server_has_said(self):
        origin = self.backend(Reply(200, "x", [("X-Inner", "secret"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]))
        gateway = self.gateway(f"""
            log_format f '$request_uri [$upstream_http_x_inner] [$upstream_http_set_cookie] [$upstream_http_none]';
            access_log access.log f;
            server {{ listen 127.0.0.1:0; location / {{ proxy_pass http://{origin.address}; proxy_hide_header X-Inner;
                add_header X-Was $upstream_http_x_inner; }} location /own {{ return 200 $upstream_http_x_inner; }} }}""")
        answer = http_client.get(gateway.address(), "/x")
        self.assertEqual((answer.header("x-inner"), answer.header("x-was")), (None, "secret"))
        self.assertEqual(self.values(gateway, "/x"), ["secret", "a=1, b=2", "-"])
        self.assertEqual(http_client.get(gateway.address(), "/own").text, "")

    def test_what_was_sent(self):
        origin = self.backend(Reply(200, chunks=[bytes(200_000), b"two"]))  # More than can come at once.
        gateway = self.gateway(f"""
            log_format f '$request_uri [$sent_http_content_type] [$sent_http_content_length] [$sent_http_location] '
                         '[$sent_http_transfer_encoding] [$sent_http_connection] [$sent_http_x_added] [$sent_http_upgrade]';
            access_log access.log f;
            map $sent_http_content_type $cached {{ text/css "max-age=60"; default no-store; }}
            server {{ listen 127.0.0.1:0; root .; types {{ text/css css; }} add_header Cache-Control $cached;
                add_header X-Added yes always;
                location /moved {{ return 301 /there; }} location /ws {{ websocket echo; }}
                location /chunked {{ proxy_pass http://{origin.address}; }} }}""", files={"style.css": "a{}", "other": "xyz"})
        for target, cached, values in (
                ("/style.css", "max-age=60", ["text/css", "3", "-", "-", "keep-alive", "yes", "-"]),
                ("/other", "no-store", ["text/plain", "3", "-", "-", "keep-alive", "yes", "-"]),
                ("/moved", "no-store", ["text/plain", None, f"http://{gateway.address()}/there", "-", "keep-alive", "yes", "-"]),
                ("/chunked", "no-store", [None, "-", "-", "chunked", "keep-alive", "yes", "-"])):
            with self.subTest(target), http_client.Connection(gateway.address()) as client:
                answer = client.request("GET", target)
                self.assertEqual(answer.header("cache-control"), cached)
                seen = self.values(gateway, target)
                self.assertEqual([value and seen[i] for i, value in enumerate(values)], values)
        client = self.track(ws_client.connect(gateway.address(), "/ws"))
        client.abort()
        self.assertEqual(self.values(gateway, "/ws")[-2:], ["yes", "websocket"])


class Varied(LogCase):
    """proxy_pass with variables."""

    def recorder(self):
        recorder = Recorder()
        self.addCleanup(recorder.close)
        return recorder

    def serving(self, locations, http="", **options):
        return self.gateway(f"log_format p '$request_uri [$proxy_host] [$proxy_port] [$upstream_addr]'; access_log access.log p;"
                            f"{http} server {{ listen 127.0.0.1:0; location = /metrics {{ metrics; }} {locations} }}",
                            workers=1, **options)

    def asked(self, recorder, gateway, target):
        """The request line and Host that the application gets."""
        recorder.clear()
        self.assertEqual(http_client.get(gateway.address(), target).status, 200)
        request = recorder.wait()
        return request.target, request.header("host")

    def test_a_map_chooses_the_upstream(self):
        blue, green = self.backend(Reply(200, "blue")), self.backend(Reply(200, "green"))
        gateway = self.serving("location / { proxy_pass http://$pool; }", f"""
            upstream blue {{ server {blue.address}; }} upstream green {{ server {green.address}; }}
            map $arg_to $pool {{ default blue; ~^(green|none)$ $1; }}""")
        for target, answer in (("/a?to=blue", "blue"), ("/b?to=green", "green"), ("/c", "blue")):
            self.assertEqual(http_client.get(gateway.address(), target).text, answer)
        self.assertEqual(self.values(gateway, "/b?to=green"), ["green", "80", green.address])
        self.assertEqual((green.requests[0].target, green.requests[0].header("host")), ("/b?to=green", "green"))
        self.assertEqual(http_client.get(gateway.address(), "/d?to=none").status, 502)
        gateway.wait_log(r"\[error\] .*upstream_unknown connection=\S+ upstream=none")
        self.assertEqual(gateway.metrics()['beamgate_requests_refused_total{reason="not_passed_on"}'], 1)

    def test_nobody_else_is_spoken_to(self):
        """A client that has a say in the variable reaches what the configuration names, and nothing more."""
        inner, named = self.recorder(), self.recorder()
        gateway = self.serving(f"location / {{ proxy_pass http://$arg_to; }} location /n {{ proxy_pass http://{named.address}; }}")
        for to in (inner.address, f"{inner.address}/x", "localhost", "", "127.0.0.1", "a%0d%0ab", "[::1]", "user@" + inner.address):
            with self.subTest(to):
                self.assertEqual(http_client.get(gateway.address(), f"/?to={to}").status, 502)
        self.assertEqual(http_client.get(gateway.address(), f"/?to={named.address}").status, 200)
        self.assertEqual(inner.requests, [])

    def test_a_uri_with_variables_is_the_whole_uri(self):
        app = self.recorder()
        gateway = self.serving(f"""
            location ~ (?s)^/old/(?<rest>.*)$ {{ proxy_pass http://{app.address}/new/$rest; }}
            location /args {{ proxy_pass http://{app.address}/a$is_args$args; }}
            location /raw {{ proxy_pass http://{app.address}$request_uri; }}
            location /path {{ proxy_pass http://app$uri?x=$arg_x; }}
            location /set {{ set $base app/base; proxy_pass http://$base; }}
            location /both {{ set $base app/base; proxy_pass http://$base/more; }}
            location /query {{ proxy_pass http://app?$args; }}
            location /same {{ set $app app; proxy_pass http://$app; }}
            location @named {{ proxy_pass http://app/named$uri; }}
            location /to_named {{ error_page 418 = @named; return 418; }}
            location /if {{ if ($arg_x) {{ proxy_pass http://app/if?$arg_x; }} }}
            """, f"upstream app {{ server {app.address}; }}")
        for target, sent, host in (
                ("/old/a/b?c=d", "/new/a/b", app.address), ("/old/", "/new/", app.address),
                ("/old/a%20b%0d%0aX:%20y%C3%A4", "/new/a%20b%0D%0AX:%20y%C3%A4", app.address),
                ("/args?a=b%20c", "/a?a=b%20c", app.address), ("/args", "/a", app.address),
                ("/raw/%41?b", "/raw/%41?b", app.address), ("/path/%41?x=1", "/path/A?x=1", "app"),
                ("/set?a", "/base", "app"), ("/both", "/base/more", "app"), ("/query?a=b", "/?a=b", "app"),
                ("/same/%41?b", "/same/%41?b", "app"), ("/to_named?x", "/named/to_named", "app"), ("/if?x=1", "/if?1", "app")):
            with self.subTest(target):
                self.assertEqual(self.asked(app, gateway, target), (sent, host))

    def test_the_absolute_form_becomes_a_path(self):
        app = self.recorder()
        gateway = self.serving(f"location / {{ proxy_pass http://{app.address}$request_uri; }}")
        self.assertEqual(self.asked(app, gateway, "http://elsewhere/x?y"), ("/x?y", app.address))

    def test_redirects_and_the_host_field(self):
        app = self.backend(Reply(302, "", {"Location": "http://app/there"}))
        gateway = self.serving("""
            location / { proxy_pass http://$arg_to; }
            location /said { proxy_pass http://$arg_to; proxy_redirect http://$proxy_host/ /said/; proxy_set_header Host me; }
            """, f"upstream app {{ server {app.address}; }}")
        self.assertEqual(http_client.get(gateway.address(), "/x?to=app").header("location"), "http://app/there")
        self.assertEqual(http_client.get(gateway.address(), "/said?to=app").header("location"), "/said/there")
        self.assertEqual(app.requests[1].header("host"), "me")

    def test_a_reload_takes_an_upstream_away(self):
        app = self.backend(Reply(200, "app"))
        gateway = self.serving("location / { proxy_pass http://$arg_to; }", f"upstream app {{ server {app.address}; }}")
        self.assertEqual(http_client.get(gateway.address(), "/?to=app").text, "app")
        gateway.write_config(http=gateway.shape["http"].replace("upstream app", "upstream other"))
        gateway.signal(1)
        beamgate.until(lambda: http_client.get(gateway.address(), "/?to=app").status == 502)
        self.assertEqual(http_client.get(gateway.address(), "/?to=other").text, "app")

    def test_websockets_and_bodies(self):
        def switch(request):
            accept = ws_frame.accept_for(request.header("sec-websocket-key"))
            return Raw(f"HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
                       .encode() + b"\x81\x02hi")
        sockets, echo = self.backend(switch), self.backend(lambda request: Reply(200, request.body))
        gateway = self.serving("location / { proxy_pass http://$arg_to; }",
                               f"upstream ws {{ server {sockets.address}; }} upstream echo {{ server {echo.address}; }}")
        self.assertEqual(self.track(ws_client.connect(gateway.address(), "/?to=ws")).recv(), "hi")
        body = b"x" * 300_000
        self.assertEqual(http_client.request(gateway.address(), "POST", "/?to=echo", body=body).body, body)


if __name__ == "__main__":
    beamgate.main()
