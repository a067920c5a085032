"""fastcgi_pass in front of a real php-fpm: pages, forms, uploads, cookies, redirects, and scripts that die.

What it shows: PHP sees the request as a web server would have passed it on, whatever way its body came, and the
client gets what PHP says; a php-fpm that is killed and started again under load loses no request that could be sent
again.  Each test of what passes has beside it what must not.
"""

import hashlib
import threading
from signal import SIGKILL

import beamgate
import http_client
from chat_example import free_port
from php_fpm import PhpFpm

SHOW = r"""<?php
header('Content-Type: application/json');
$files = array_map(fn ($f) => [$f['name'], $f['size'], md5_file($f['tmp_name'])], $_FILES);
echo json_encode(['server' => $_SERVER, 'get' => $_GET, 'post' => $_POST, 'cookies' => $_COOKIE, 'files' => $files,
    'input' => md5(file_get_contents('php://input'))], JSON_INVALID_UTF8_SUBSTITUTE);
"""

PAGES = {
    "show.php": SHOW,
    "dir/index.php": SHOW,
    "small.php": "<?php echo 'small';",
    "status.php": "<?php http_response_code((int) $_GET['code']); echo 'body';",
    "redirect.php": "<?php header('Location: ' . $_GET['to'], true, (int) ($_GET['code'] ?? 302));",
    "cookies.php": "<?php setcookie('a', '1', ['path' => '/', 'httponly' => true]); setcookie('b', 'x y'); echo 'set';",
    "large.php": "<?php for ($i = 0; $i < 1024; $i++) echo str_repeat(chr(65 + $i % 26), 1024);",
    "length.php": "<?php header('Content-Length: 5'); echo 'hello';",
    # Pauses: between events that must not come together, until a signal has come, and for who kills meanwhile.
    "stream.php": "<?php for ($i = 0; $i < 3; $i++) { echo \"data: $i\\n\\n\"; flush(); usleep(150000); }",
    "die.php": "<?php echo str_repeat('x', 100000); flush(); exec('kill -9 ' . getmypid()); usleep(5000000);",
    "die_first.php": "<?php exec('kill -9 ' . getmypid()); usleep(5000000);",
    "error.php": "<?php error_log(\"first line\\nsecond line\"); echo 'logged';",
    "slow.php": "<?php usleep(3000000); echo 'late';",
    "exit.php": "<?php header('X-Early: yes'); echo 'early';",
}


class PhpCase(beamgate.TestCase):
    def fpm(self, **options):
        return self.track(PhpFpm(PAGES, **options))

    def site(self, fpm, location="", http="", workers=1, to=None):
        gateway = self.gateway(
            f"{http}\nserver {{ listen 127.0.0.1:0; server_name php.example; root {fpm.root}; client_max_body_size 64m;\n"
            f"location ~ \\.php(?:/|$) {{ include fastcgi.conf; fastcgi_param PATH_INFO $fastcgi_path_info;\n"
            f"fastcgi_split_path_info ^(.+?\\.php)(/.*)$; fastcgi_pass {to or fpm.socket}; {location} }}\n"
            f"location /dir/ {{ fastcgi_index index.php; include fastcgi.conf; fastcgi_pass {fpm.socket}; }}\n"
            "location /metrics { metrics on; } }",
            workers=workers,
            files={name: (beamgate.SOURCE_ROOT / "conf" / name).read_text() for name in ("fastcgi.conf", "fastcgi_params")})
        return gateway, gateway.address()

    def show(self, address, method="GET", target="/show.php", headers=(), body=None):
        response = http_client.request(address, method, target, headers, body, timeout=30)
        self.assertEqual(response.status, 200, response)
        return response.json()


class Pages(PhpCase):
    def test_a_page_sees_its_request(self):
        fpm = self.fpm()
        _, address = self.site(fpm)
        for target in (fpm.socket, fpm.address):
            with self.subTest(target):
                _, address = self.site(fpm, to=target)
                seen = self.show(address, target="/show.php?a=1&b[]=x%20y", headers={
                    "Host": "php.example", "X-Mine": "yes", "Proxy": "http://evil.example", "X_Under": "no",
                    "Cookie": "a=1; b=2", "User-Agent": "test", "X-Forwarded-For": "1.2.3.4"})
                server = seen["server"]
                self.assertEqual(seen["get"], {"a": "1", "b": ["x y"]})
                self.assertEqual(seen["cookies"], {"a": "1", "b": "2"})
                expected = {"REQUEST_METHOD": "GET", "QUERY_STRING": "a=1&b[]=x%20y", "SCRIPT_NAME": "/show.php",
                            "REQUEST_URI": "/show.php?a=1&b[]=x%20y", "DOCUMENT_URI": "/show.php",
                            "DOCUMENT_ROOT": str(fpm.root), "SCRIPT_FILENAME": f"{fpm.root}/show.php",
                            "SERVER_PROTOCOL": "HTTP/1.1", "REQUEST_SCHEME": "http", "REMOTE_ADDR": "127.0.0.1",
                            "SERVER_NAME": "php.example", "GATEWAY_INTERFACE": "CGI/1.1", "HTTP_HOST": "php.example",
                            "HTTP_X_MINE": "yes", "HTTP_USER_AGENT": "test", "CONTENT_LENGTH": ""}
                self.assertEqual({name: server.get(name) for name in expected}, expected)
                self.assertEqual(server["SERVER_PORT"], address.rpartition(":")[2])
                for name in ("HTTP_PROXY", "HTTP_X_UNDER", "HTTP_X_FORWARDED_FOR", "HTTPS"):
                    self.assertNotIn(name, server)

    def test_path_info_and_index(self):
        fpm = self.fpm()
        _, address = self.site(fpm)
        server = self.show(address, target="/show.php/a/b%20c?x=1")["server"]
        self.assertEqual(server["SCRIPT_NAME"], "/show.php")
        self.assertEqual(server["PATH_INFO"], "/a/b c")
        self.assertEqual(server["SCRIPT_FILENAME"], f"{fpm.root}/show.php")
        server = self.show(address, target="/dir/")["server"]
        self.assertEqual(server["SCRIPT_NAME"], "/dir/index.php")
        self.assertEqual(http_client.get(address, "/none.php").status, 404)

    def test_forms_and_uploads(self):
        fpm = self.fpm()
        _, address = self.site(fpm)
        form = self.show(address, "POST", headers={"Content-Type": "application/x-www-form-urlencoded"},
                         body="a=1&b=x+y%26")
        self.assertEqual(form["post"], {"a": "1", "b": "x y&"})
        self.assertEqual(form["server"]["CONTENT_LENGTH"], "12")
        self.assertEqual(form["server"]["HTTP_CONTENT_TYPE"], "application/x-www-form-urlencoded")
        content = bytes(range(256)) * 20_000  # 5 MB: through a file.
        boundary = "----b"
        body = (f"--{boundary}\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.bin\"\r\n"
                "Content-Type: application/octet-stream\r\n\r\n").encode() + content + f"\r\n--{boundary}--\r\n".encode()
        kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        expected = {"f": ["a.bin", len(content), hashlib.md5(content).hexdigest()]}
        self.assertEqual(self.show(address, "POST", headers=kind, body=body)["files"], expected)
        for options in ("fastcgi_request_buffering off;", "fastcgi_buffer_size 4k; fastcgi_temp_path /tmp;"):
            _, other = self.site(fpm, options)
            self.assertEqual(self.show(other, "POST", headers=kind, body=body)["files"], expected)

    def test_a_chunked_body_has_a_length(self):
        fpm = self.fpm()
        for options in ("", "fastcgi_request_buffering off;"):
            _, address = self.site(fpm, options)
            with http_client.Connection(address, timeout=30) as connection:
                connection.send(b"PUT /show.php HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
                                b"Content-Type: text/plain\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
                seen = connection.read_response().json()
                self.assertEqual(seen["input"], hashlib.md5(b"hello world").hexdigest())
                self.assertEqual(seen["server"]["CONTENT_LENGTH"], "11")
                self.assertNotIn("HTTP_TRANSFER_ENCODING", seen["server"])

    def test_bodies_and_fields_can_be_kept_back(self):
        fpm = self.fpm()
        _, address = self.site(fpm, "fastcgi_pass_request_body off; fastcgi_pass_request_headers off;"
                                    "fastcgi_param CONTENT_LENGTH '';")
        seen = self.show(address, "POST", headers={"X-Mine": "1"}, body="x" * 100_000)
        self.assertEqual(seen["input"], hashlib.md5(b"").hexdigest())
        self.assertNotIn("HTTP_X_MINE", seen["server"])

    def test_what_php_answers(self):
        fpm = self.fpm()
        _, address = self.site(fpm)
        for code in (200, 404, 410, 500, 503):
            response = http_client.get(address, f"/status.php?code={code}")
            self.assertEqual((response.status, response.text), (code, "body"))
            self.assertIsNone(response.header("status"))
        for code in (204, 304):
            response = http_client.get(address, f"/status.php?code={code}")
            self.assertEqual((response.status, response.body), (code, b""))
        response = http_client.get(address, "/redirect.php?to=/x")
        self.assertEqual((response.status, response.header("location")), (302, "/x"))
        response = http_client.get(address, "/redirect.php?to=http://other.example/&code=301")
        self.assertEqual((response.status, response.header("location")), (301, "http://other.example/"))
        self.assertEqual(http_client.get(address, "/cookies.php").fields.all("set-cookie"),
                         ["a=1; path=/; HttpOnly", "b=x%20y"])
        page = http_client.get(address, "/large.php")
        self.assertEqual(hashlib.md5(page.body).digest(), hashlib.md5(
            b"".join(bytes([65 + i % 26]) * 1024 for i in range(1024))).digest())
        response = http_client.get(address, "/length.php")
        self.assertEqual((response.header("content-length"), response.text), ("5", "hello"))
        with http_client.Connection(address) as connection:
            head = connection.request("HEAD", "/length.php")
            self.assertEqual((head.status, head.header("content-length"), head.body), (200, "5", b""))
            self.assertEqual(connection.request("GET", "/small.php").text, "small")

    def test_a_stream_is_not_held_back(self):
        fpm = self.fpm()
        _, address = self.site(fpm)
        with http_client.Connection(address) as connection:
            connection.send_request("GET", "/stream.php")
            connection.read_head()
            pieces = []
            while not pieces or pieces[-1]:
                size = int(connection.wire.read_until(b"\r\n"), 16)
                pieces.append(connection.wire.read_exactly(size))
                connection.wire.read_exactly(2)
            self.assertEqual(pieces, [b"data: 0\n\n", b"data: 1\n\n", b"data: 2\n\n", b""])

    def test_hidden_and_passed_fields(self):
        fpm = self.fpm()
        _, address = self.site(fpm, "fastcgi_hide_header X-Powered-By; fastcgi_hide_header x-early;")
        response = http_client.get(address, "/exit.php")
        self.assertEqual(response.text, "early")
        self.assertIsNone(response.header("x-early"))
        self.assertIsNone(response.header("x-powered-by"))
        _, address = self.site(fpm)
        self.assertEqual(http_client.get(address, "/exit.php").header("x-early"), "yes")

    def test_what_php_says_to_the_error_log(self):
        fpm = self.fpm(settings="php_admin_flag[log_errors] = on")
        gateway, address = self.site(fpm)
        self.assertEqual(http_client.get(address, "/error.php").text, "logged")
        gateway.wait_log(r"upstream_stderr .*first line")
        self.assertNotIn("\nsecond line", "\n".join(gateway.lines))

    def test_connections_are_kept_when_asked(self):
        fpm = self.fpm()
        for options, opened in (("", 5), ("fastcgi_keep_conn on;", 1)):
            gateway, address = self.site(fpm, options, http=f"upstream php {{ server {fpm.socket}; }}", to="php")
            for _ in range(5):
                self.assertEqual(http_client.get(address, "/small.php").text, "small")
            self.assertEqual(gateway.metrics()["beamgate_upstream_connections_opened_total"], opened)


class Failures(PhpCase):
    def test_a_script_that_dies(self):
        fpm = self.fpm()
        _, address = self.site(fpm)
        self.assertEqual(http_client.get(address, "/die_first.php").status, 502)
        with http_client.Connection(address, timeout=30) as connection:
            connection.send_request("GET", "/die.php")
            head = connection.read_head()
            self.assertEqual(head.status, 200)
            with self.assertRaises(EOFError):
                connection.read_body(head)
        self.assertEqual(http_client.get(address, "/small.php").text, "small")

    def test_a_slow_script(self):
        fpm = self.fpm()
        _, address = self.site(fpm, "fastcgi_read_timeout 300ms;")
        self.assertEqual(http_client.get(address, "/slow.php").status, 504)
        _, address = self.site(fpm, "fastcgi_read_timeout 30s;")
        self.assertEqual(http_client.get(address, "/slow.php").text, "late")

    def test_a_server_that_is_not_there(self):
        fpm = self.fpm()
        nowhere = "127.0.0.1:%d" % free_port()
        _, address = self.site(fpm, to=nowhere)
        self.assertEqual(http_client.get(address, "/small.php").status, 502)
        _, address = self.site(fpm, http=f"upstream two {{ server {nowhere}; server {fpm.address}; }}", to="two")
        for _ in range(6):
            self.assertEqual(http_client.get(address, "/small.php").text, "small")

    def test_health_checks_ask_for_the_ping_page(self):
        fpm = self.fpm(settings="ping.path = /ping")
        gateway, address = self.site(fpm, to="one", http=(
            f"upstream one {{ server {fpm.socket}; health_check fastcgi uri=/ping interval=100ms timeout=5s; }}"))
        beamgate.until(lambda: gateway.metrics()["beamgate_upstream_checks_total"] > 3, 30, "checks")
        self.assertEqual({count for name, count in gateway.metrics().items() if "upstream_checks_failed" in name}, {0})
        self.assertEqual(http_client.get(address, "/small.php").text, "small")
        fpm.kill()
        gateway.wait_log("upstream_unhealthy")
        self.assertEqual(http_client.get(address, "/small.php").status, 502)
        fpm.start()
        gateway.wait_log("upstream_healthy", timeout=30)
        self.assertEqual(http_client.get(address, "/small.php").text, "small")

    def test_an_fpm_killed_and_started_again_under_load(self):
        fpm, other = self.fpm(), self.fpm()
        gateway, address = self.site(fpm, "fastcgi_keep_conn on;", to="two", workers=2, http=(
            f"upstream two {{ server {fpm.socket} fail_timeout=1s; server {other.socket}; keepalive 1; }}"))
        stop = threading.Event()
        answers = []

        def load():
            while not stop.is_set():
                try:
                    answers.append(http_client.get(address, "/small.php", timeout=30).text)
                except (AssertionError, EOFError, OSError) as error:
                    answers.append(repr(error))

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(3):
                count = len(answers)
                beamgate.until(lambda: len(answers) > count + 50, 60, "requests served")
                fpm.kill(SIGKILL)
                count = len(answers)
                beamgate.until(lambda: len(answers) > count + 50, 60, "requests served by the other")
                fpm.start()
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)
        self.assertEqual(set(answers), {"small"})


if __name__ == "__main__":
    beamgate.main()
