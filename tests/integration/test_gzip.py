"""gzip and gzip_static, decoded by curl and by Python's zlib: files of our own and responses of an nginx origin.

What it shows: the bytes are the same after decoding; heads say what was done; nothing is compressed for whom it is
not, each with its control; a stream's events are not held back; ranges and conditions go as in nginx.
"""

import gzip
import os
import random
import shutil
import subprocess
import tempfile
import threading
import zlib
from pathlib import Path

import beamgate
import http_client
from backend import Reply
from chat_example import free_port

TEXT = ("A line of text that repeats itself, as text does.\n" * 300).encode()
NOISE = os.urandom(300_000)
GZIP = {"Accept-Encoding": "gzip"}


def unzip(data):
    decoder = zlib.decompressobj(15 + 16)
    out = decoder.decompress(data)
    return out + decoder.flush()


class Nginx:
    """An origin that has not been written by us."""

    def __init__(self, files):
        self.directory = tempfile.TemporaryDirectory(prefix="beamgate-nginx-")
        os.chmod(self.directory.name, 0o755)
        base = Path(self.directory.name)
        for name, data in files.items():
            (base / name).write_bytes(data)
        self.address = f"127.0.0.1:{free_port()}"
        (base / "nginx.conf").write_text(
            f"daemon off; pid {base}/pid; error_log {base}/log; events {{}} {'user root;' if os.geteuid() == 0 else ''}\n"
            "http { access_log off; types { text/html html; text/plain txt; application/octet-stream bin; }\n" +
            "".join(f"{kind}_temp_path {base}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")) +
            f"server {{ listen {self.address}; root {base}; gzip_types *;\n"
            "location /zipped/ { alias " + str(base) + "/; gzip on; gzip_vary on; } } }")
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        self.process = subprocess.Popen([program, "-p", str(base), "-c", str(base / "nginx.conf")],
                                        stdin=subprocess.DEVNULL, start_new_session=True)
        beamgate.until(self._serves, 30, "nginx serving")

    def _serves(self):
        try:
            return http_client.get(self.address, "/").status > 0
        except OSError:
            return False

    def close(self):
        self.process.terminate()
        self.process.wait(20)
        self.directory.cleanup()


class GzipCase(beamgate.TestCase):
    def site(self, settings="", location="", files=None, gzip="on"):
        gateway = self.gateway(f"types {{ text/html html; text/plain txt; application/octet-stream bin; }}\n"
                               f"server {{ listen 127.0.0.1:0; gzip {gzip}; {settings} root www; {location}\n"
                               "location = /metrics { metrics on; } }", workers=1,
                               files={f"www/{name}": data for name, data in (files or self.files()).items()})
        return gateway, gateway.address()

    def files(self):
        return {"page.html": TEXT, "page.txt": TEXT, "noise.html": NOISE, "tiny.html": b"tiny", "empty.html": b""}

    def check_zipped(self, response, expected):
        self.assertEqual(response.header("content-encoding"), "gzip", response)
        self.assertIsNone(response.header("content-length"))
        self.assertIsNone(response.header("accept-ranges"))
        self.assertEqual(unzip(response.body), expected)

    def check_plain(self, response, expected):
        self.assertIsNone(response.header("content-encoding"))
        self.assertEqual(response.body, expected)


class Files(GzipCase):
    def test_bytes_are_the_same(self):
        _, address = self.site()
        for name, data in (("page", TEXT), ("noise", NOISE)):
            self.check_zipped(http_client.get(address, f"/{name}.html", GZIP), data)
            self.check_plain(http_client.get(address, f"/{name}.html"), data)
            for options in ([], ["--compressed"]):
                output = subprocess.run(["curl", "-sS", *options, f"http://{address}/{name}.html"],
                                        stdout=subprocess.PIPE, check=True, timeout=60).stdout
                self.assertEqual(output, data)
        self.assertLess(len(http_client.get(address, "/page.html", GZIP).body), len(TEXT) / 10)

    def test_a_large_file(self):
        big = (b"0123456789abcdef" * 64 + os.urandom(64)) * 8_000
        gateway, address = self.site("limit_rate 0;", files={"big.html": big})
        self.check_zipped(http_client.get(address, "/big.html", GZIP, timeout=60), big)
        metrics = gateway.metrics()
        self.assertEqual(metrics["beamgate_http_gzip_input_bytes_total"], len(big))
        self.assertLess(metrics["beamgate_http_gzip_output_bytes_total"], len(big))

    def test_with_limit_rate_and_keep_alive(self):
        _, address = self.site("limit_rate 100k; limit_rate_after 1k;")
        with http_client.Connection(address, timeout=30) as connection:
            for _ in range(3):
                self.check_zipped(connection.request("GET", "/page.html", GZIP), TEXT)
                self.check_plain(connection.request("GET", "/tiny.html", GZIP), b"tiny")

    def test_levels(self):
        words = random.Random(1)
        text = " ".join(f"{words.choice(('one', 'other', 'third'))} {words.randrange(500)}" for _ in range(5_000)).encode()
        levels = "".join(f"location /{level}/ {{ gzip_comp_level {level}; alias www/; }}" for level in (1, 9))
        _, address = self.site(location=levels, files={"page.html": text})
        sizes = []
        for target in ("/page.html", "/1/page.html", "/9/page.html") * 2:  # What compresses is used again.
            response = http_client.get(address, target, GZIP)
            self.check_zipped(response, text)
            sizes.append(len(response.body))
        self.assertEqual(sizes[:3], sizes[3:])
        self.assertEqual(sizes[0], sizes[1])
        self.assertLess(sizes[2], sizes[1] * 0.9)

    def test_heads(self):
        _, address = self.site("gzip_vary on;")
        plain = http_client.get(address, "/page.html")
        zipped = http_client.get(address, "/page.html", GZIP)
        self.assertEqual(zipped.header("etag"), "W/" + plain.header("etag"))
        self.assertEqual(plain.header("accept-ranges"), "bytes")
        for response in (plain, zipped):
            self.assertEqual(response.header("vary"), "Accept-Encoding")
        self.assertIsNone(http_client.get(address, "/page.txt", GZIP).header("vary"))
        head = http_client.request(address, "HEAD", "/page.html", GZIP)
        self.assertEqual((head.header("vary"), head.header("content-encoding")), ("Accept-Encoding", None))
        self.assertEqual(head.header("content-length"), str(len(TEXT)))
        _, address = self.site()
        self.assertIsNone(http_client.get(address, "/page.html", GZIP).header("vary"))

    def test_who_is_refused(self):
        _, address = self.site("gzip_min_length 100; gzip_disable old;")
        for headers in ({}, {"Accept-Encoding": "gzip;q=0"}, {"Accept-Encoding": "br, identity"}, {**GZIP, "Via": "1.1 x"},
                        {**GZIP, "User-Agent": "an old one"}):
            self.check_plain(http_client.get(address, "/page.html", headers), TEXT)
        self.check_plain(http_client.get(address, "/tiny.html", GZIP), b"tiny")
        self.check_plain(http_client.get(address, "/page.txt", GZIP), TEXT)
        self.check_zipped(http_client.get(address, "/page.html", {"Accept-Encoding": "br;q=0.9, *;q=0.1"}), TEXT)
        with http_client.Connection(address) as connection:
            connection.send(b"GET /page.html HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n")
            self.check_plain(connection.read_response(), TEXT)
        _, address = self.site("gzip_types text/plain; gzip_proxied any; gzip_http_version 1.0;")
        self.check_zipped(http_client.get(address, "/page.txt", {**GZIP, "Via": "1.1 x"}), TEXT)
        with http_client.Connection(address) as connection:
            connection.send(b"GET /page.html HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n")
            self.assertEqual(unzip(connection.read_response().body), TEXT)

    def test_ranges_and_conditions_as_in_nginx(self):
        _, ours = self.site()
        origin = self.track(Nginx({"page.html": TEXT}))
        for headers in ({**GZIP, "Range": "bytes=0-9"}, {"Range": "bytes=0-9"}, {"Range": "bytes=0-1,5-6"},
                        {**GZIP, "Range": "bytes=99999-"}, {"Range": "bytes=99999-"}):
            one, other = (http_client.get(address, path, headers)
                          for address, path in ((ours, "/page.html"), (origin.address, "/zipped/page.html")))
            self.assertEqual(one.status, other.status, headers)
            self.assertEqual(one.header("content-encoding"), other.header("content-encoding"))
            self.assertEqual(one.header("content-range"), other.header("content-range"))
        etag = http_client.get(ours, "/page.html").header("etag")
        for tag in (etag, "W/" + etag):
            self.assertEqual(http_client.get(ours, "/page.html", {**GZIP, "If-None-Match": tag}).status, 304)
        self.assertEqual(http_client.get(ours, "/page.html", {**GZIP, "If-None-Match": '"x"'}).status, 200)
        self.assertEqual(http_client.get(ours, "/page.html", {"If-Range": "W/" + etag, "Range": "bytes=0-9"}).status, 200)

    def test_errors_and_texts_of_our_own(self):
        long = "text " * 200
        _, address = self.site("gzip_types text/plain;", f"location = /say {{ return 200 '{long}'; }} "
                                                          f"location = /no {{ return 403 '{long}'; }} "
                                                          f"location = /bad {{ return 500 '{long}'; }}")
        self.assertEqual(unzip(http_client.get(address, "/say", GZIP).body).decode(), long)
        self.assertEqual(unzip(http_client.get(address, "/no", GZIP).body).decode(), long)
        self.check_plain(http_client.get(address, "/bad", GZIP), long.encode())

    def test_files_that_are_zipped_already(self):
        zipped = gzip.compress(TEXT)
        files = {"page.html": b"plain", "page.html.gz": zipped, "other.html": TEXT}
        _, address = self.site("gzip_static on; gzip_vary on;", files=files, gzip="off")
        response = http_client.get(address, "/page.html", GZIP)
        self.assertEqual((response.body, response.header("content-encoding")), (zipped, "gzip"))
        self.assertEqual(response.header("content-length"), str(len(zipped)))
        self.assertEqual(response.header("content-type"), "text/html")
        self.assertEqual(response.header("vary"), "Accept-Encoding")
        self.assertFalse(response.header("etag").startswith("W/"))
        part = http_client.get(address, "/page.html", {**GZIP, "Range": "bytes=2-5"})
        self.assertEqual((part.status, part.body), (206, zipped[2:6]))
        plain = http_client.get(address, "/page.html")
        self.check_plain(plain, b"plain")
        self.assertEqual(plain.header("vary"), "Accept-Encoding")
        self.check_plain(http_client.get(address, "/other.html", GZIP), TEXT)
        _, address = self.site("gzip_static always;", files=files)
        self.assertEqual(http_client.get(address, "/page.html").body, zipped)
        self.check_zipped(http_client.get(address, "/other.html", GZIP), TEXT)


class Proxied(GzipCase):
    def proxy(self, origin, settings=""):
        return self.site("gzip_types *; " + settings, f"location / {{ proxy_pass http://{origin.address}; }}")

    def test_which_answers_are_compressed_for_a_proxy(self):
        fields = {"expired": {"Expires": "Thu, 01 Jan 1970 00:00:00 GMT"}, "no-cache": {"Cache-Control": "no-cache"},
                  "no-store": {"Cache-Control": "no-store"}, "private": {"Cache-Control": "private"},
                  "no_last_modified": {"ETag": '"x"'}, "no_etag": {"Last-Modified": "Thu, 01 Jan 1970 00:00:00 GMT"}}
        both = {"ETag": '"x"', "Last-Modified": "Thu, 01 Jan 1970 00:00:00 GMT", "Cache-Control": "public"}
        origin = self.backend()
        for name, said in fields.items():
            origin.on(f"/{name}", Reply(200, TEXT, {**({} if name.startswith("no_") else both), **said, "Content-Type": "text/html"}))
        origin.on("/both", Reply(200, TEXT, {**both, "Content-Type": "text/html"}))
        for name in fields:
            gateway = self.gateway(f"server {{ listen 127.0.0.1:0; gzip on; gzip_proxied {name}; "
                                   f"location / {{ proxy_pass http://{origin.address}; }} }}")
            zipped = {each for each in (*fields, "both")
                      if http_client.get(gateway.address(), f"/{each}", {**GZIP, "Via": "1.1 x"}).header("content-encoding")}
            self.assertEqual(zipped, {name})

    def test_an_nginx_origin(self):
        origin = self.track(Nginx({"page.html": TEXT, "noise.bin": NOISE}))
        _, address = self.proxy(origin)
        for name, data in (("page.html", TEXT), ("noise.bin", NOISE)):
            response = http_client.get(address, f"/{name}", GZIP)
            self.check_zipped(response, data)
            self.assertTrue(response.header("etag").startswith('W/"'))
            self.check_plain(http_client.get(address, f"/{name}"), data)
        already = http_client.get(address, "/zipped/page.html", GZIP)
        self.assertEqual(unzip(already.body), TEXT)  # Once, not twice.
        self.assertEqual(already.fields.all("content-encoding"), ["gzip"])
        part = http_client.get(address, "/page.html", {**GZIP, "Range": "bytes=0-9"})
        self.assertEqual((part.status, part.body, part.header("content-encoding")), (206, TEXT[:10], None))

    def test_what_an_application_forbids(self):
        page = TEXT.decode()
        origin = self.backend(lambda request: {
            "/no": Reply(200, page, {"Cache-Control": "no-transform"}),
            "/coded": Reply(200, page, {"Content-Encoding": "br"}),
            "/error": Reply(500, page)}.get(request.target, Reply(200, page)))
        _, address = self.proxy(origin)
        for target in ("/no", "/coded", "/error"):
            self.assertEqual(http_client.get(address, target, GZIP).body, TEXT, target)
        self.check_zipped(http_client.get(address, "/yes", GZIP), TEXT)

    def test_events_are_not_held_back(self):
        held = [threading.Event() for _ in range(3)]

        def events():
            for number, event in enumerate(held):
                yield f"data: {number}\n\n".encode()
                event.wait(20)

        origin = self.backend(Reply(200, "x", {"Content-Type": "text/event-stream"}, chunks=events()))
        _, address = self.proxy(origin)
        decoder = zlib.decompressobj(15 + 16)
        with http_client.Connection(address) as connection:
            connection.send_request("GET", "/", GZIP)
            self.assertEqual(connection.read_head().header("content-encoding"), "gzip")
            for number, event in enumerate(held):
                seen = b""
                while b"\n\n" not in seen:  # Before the next is allowed to come.
                    size = int(connection.wire.read_until(b"\r\n"), 16)
                    seen += decoder.decompress(connection.wire.read_exactly(size))
                    connection.wire.read_exactly(2)
                self.assertEqual(seen, f"data: {number}\n\n".encode())
                event.set()

    def test_a_response_that_is_cut(self):
        origin = self.backend(Reply(200, "x" * 1000, {"Content-Length": "2000"}), keepalive=False)
        _, address = self.proxy(origin)
        with http_client.Connection(address) as connection:
            connection.send_request("GET", "/", GZIP)
            head = connection.read_head()
            with self.assertRaises(EOFError):
                connection.read_body(head)


if __name__ == "__main__":
    beamgate.main()
