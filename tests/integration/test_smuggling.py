"""Strict parsing (RFC 9112): one reading of every message, or none.

Between a raw client and a recording origin stands the real gateway.  What it shows: each malformed request gets
its 4xx (or 501, 505) and the end of its connection, whatever was pipelined behind it never arrives, and the
origin sees exactly as many requests as were accepted, in one canonical form.  Each bad case stands beside its
control, the nearest request that is accepted.  An origin's malformed response is a 502, or a cut connection
once its head is out, and is never passed on.
"""

import json

import beamgate
import http_client
import ws_client
from backend import Actions, Reply
from recorder import OK, Recorder
from wire import Ended

NEXT = b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n"
EVIL = b"GET /evil HTTP/1.1\r\nHost: x\r\n\r\n"


def get(*lines, line=b"GET /first HTTP/1.1", host=b"Host: x"):
    return b"".join(each + b"\r\n" for each in (line, *([host] if host else []), *lines)) + b"\r\n"


def post(*lines, body=b"", version=b"1.1"):
    return get(*lines, line=b"POST /first HTTP/" + version) + body


def sized(length, body=b"hello", **options):
    return post(b"Content-Length: " + length, body=body, **options)


def chunked(body, coding=b"Transfer-Encoding: chunked", **options):
    return post(coding, body=body, **options)


HELLO = b"5\r\nhello\r\n0\r\n\r\n"

# name: (refused, its status, the accepted twin).
LENGTHS = {
    "two different": (post(b"Content-Length: 5", b"Content-Length: 6", body=b"hello"), 400, sized(b"5")),
    "two equal": (post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello"), 400, sized(b"5")),
    "a list": (sized(b"5, 5"), 400, sized(b"5")),
    "a list with an empty member": (sized(b"5,"), 400, sized(b"05")),
    "plus sign": (sized(b"+5"), 400, sized(b"5")),
    "minus sign": (sized(b"-5"), 400, sized(b"5")),
    "space inside": (sized(b"5 5"), 400, sized(b" 5 ")),
    "tab inside": (sized(b"0\t5"), 400, sized(b"\t5")),
    "tab behind": (sized(b"5\t"), 400, sized(b"5 ")),
    "hexadecimal": (sized(b"0x5"), 400, sized(b"005")),
    "hexadecimal digits": (sized(b"a"), 400, sized(b"5")),
    "exponent": (sized(b"5e0"), 400, sized(b"5")),
    "fraction": (sized(b"5.0"), 400, sized(b"5")),
    "quoted": (sized(b'"5"'), 400, sized(b"5")),
    "empty": (sized(b""), 400, sized(b"0", body=b"")),
    "beyond 64 bits": (sized(b"18446744073709551621"), 400, sized(b"000000000000000005")),
    "beyond 63 bits": (sized(b"9223372036854775813"), 400, sized(b"5")),
    "form feed": (sized(b"\x0c5"), 400, sized(b"5")),
    "vertical tab": (sized(b"5\x0b"), 400, sized(b"5")),
    "no-break space": (sized(b"\xa05"), 400, sized(b"5")),
    "full-width digit": (sized("\uff15".encode()), 400, sized(b"5")),
    "space before the colon": (post(b"Content-Length : 5", body=b"hello"), 400, post(b"Content-Length:5", body=b"hello")),
    "in HTTP/1.0, twice": (post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello", version=b"1.0"), 400,
                           sized(b"5")),
}

CODINGS = {
    "with a length": (post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=HELLO), 400, chunked(HELLO)),
    "with a length behind it": (post(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=HELLO), 400,
                                chunked(HELLO)),
    "with a length of 0": (post(b"Content-Length: 0", b"Transfer-Encoding: chunked", body=HELLO), 400,
                           chunked(HELLO)),
    "unknown": (chunked(HELLO, b"Transfer-Encoding: br"), 501, chunked(HELLO)),
    "identity": (chunked(HELLO, b"Transfer-Encoding: identity"), 501, chunked(HELLO)),
    "xchunked": (chunked(HELLO, b"Transfer-Encoding: xchunked"), 501, chunked(HELLO)),
    "chunkedx": (chunked(HELLO, b"Transfer-Encoding: chunkedx"), 501, chunked(HELLO)),
    "chunked, identity": (chunked(HELLO, b"Transfer-Encoding: chunked, identity"), 400, chunked(HELLO)),
    "identity, chunked": (chunked(HELLO, b"Transfer-Encoding: identity, chunked"), 400, chunked(HELLO)),
    "gzip, chunked": (chunked(HELLO, b"Transfer-Encoding: gzip, chunked"), 400, chunked(HELLO)),
    "chunked, chunked": (chunked(HELLO, b"Transfer-Encoding: chunked, chunked"), 400, chunked(HELLO)),
    "empty member before": (chunked(HELLO, b"Transfer-Encoding: ,chunked"), 400, chunked(HELLO)),
    "twice": (post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=HELLO), 400, chunked(HELLO)),
    "second identity": (post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", body=HELLO), 400,
                        chunked(HELLO)),
    "empty": (chunked(HELLO, b"Transfer-Encoding:"), 400, chunked(HELLO)),
    "empty and chunked": (post(b"Transfer-Encoding: chunked", b"Transfer-Encoding:", body=HELLO), 400,
                          chunked(HELLO)),
    "quoted": (chunked(HELLO, b'Transfer-Encoding: "chunked"'), 400, chunked(HELLO)),
    "parameter": (chunked(HELLO, b"Transfer-Encoding: chunked;q=1"), 400, chunked(HELLO)),
    "upper case": (chunked(HELLO, b"TRANSFER-ENCODING: CHUNKED, x"), 400,
                   chunked(HELLO, b"TRANSFER-ENCODING: CHUNKED")),
    "tab inside": (chunked(HELLO, b"Transfer-Encoding: chun\tked"), 400,
                   chunked(HELLO, b"Transfer-Encoding:\tchunked\t")),
    "vertical tab": (chunked(HELLO, b"Transfer-Encoding: \x0bchunked"), 400, chunked(HELLO)),
    "NUL": (chunked(HELLO, b"Transfer-Encoding: chunked\0"), 400, chunked(HELLO)),
    "high byte": (chunked(HELLO, b"Transfer-Encoding: chunked\xff"), 400, chunked(HELLO)),
    "space before the colon": (chunked(HELLO, b"Transfer-Encoding : chunked"), 400,
                               chunked(HELLO, b"Transfer-Encoding:chunked")),
    "space before the name": (chunked(HELLO, b" Transfer-Encoding: chunked"), 400, chunked(HELLO)),
    "folded": (chunked(HELLO, b"Transfer-Encoding:\r\n chunked"), 400, chunked(HELLO)),
    "line feed before the value": (chunked(HELLO, b"Transfer-Encoding:\nchunked"), 400, chunked(HELLO)),
    "in HTTP/1.0": (chunked(HELLO, version=b"1.0"), 400, chunked(HELLO)),
}

CHUNKS = {
    "minus sign": (chunked(b"-5\r\nhello\r\n0\r\n\r\n"), 400, chunked(HELLO)),
    "plus sign": (chunked(b"+5\r\nhello\r\n0\r\n\r\n"), 400, chunked(HELLO)),
    "0x": (chunked(b"0x5\r\nhello\r\n0\r\n\r\n"), 400, chunked(b"05\r\nhello\r\n0\r\n\r\n")),
    "beyond 64 bits": (chunked(b"10000000000000005\r\nhello\r\n0\r\n\r\n"), 400,
                       chunked(b"0000000000000005\r\nhello\r\n0\r\n\r\n")),
    "beyond 62 bits": (chunked(b"fffffffffffffffb\r\nhello\r\n0\r\n\r\n"), 400, chunked(HELLO)),
    "too many digits": (chunked(b"00000000000000005\r\nhello\r\n0\r\n\r\n"), 400, chunked(HELLO)),
    "no digit": (chunked(b"\r\nhello\r\n0\r\n\r\n"), 400, chunked(HELLO)),
    "no digit, an extension": (chunked(b";a\r\n\r\n0\r\n\r\n"), 400, chunked(b"5;a\r\nhello\r\n0\r\n\r\n")),
    "leading space": (chunked(b" 5\r\nhello\r\n0\r\n\r\n"), 400, chunked(HELLO)),
    "trailing space": (chunked(b"5 \r\nhello\r\n0\r\n\r\n"), 400, chunked(HELLO)),
    "line feed only, behind the size": (chunked(b"5\nhello\r\n0\r\n\r\n"), 400, chunked(HELLO)),
    "line feed only, behind the data": (chunked(b"5\r\nhello\n0\r\n\r\n"), 400, chunked(HELLO)),
    "line feed only, behind the last size": (chunked(b"5\r\nhello\r\n0\n\r\n"), 400, chunked(HELLO)),
    "line feed only, at the end": (chunked(b"5\r\nhello\r\n0\r\n\n"), 400, chunked(HELLO)),
    "carriage return only": (chunked(b"5\rhello\r\n0\r\n\r\n"), 400, chunked(HELLO)),
    "two carriage returns": (chunked(b"5\r\r\nhello\r\n0\r\n\r\n"), 400, chunked(HELLO)),
    "nothing behind the data": (chunked(b"5\r\nhello0\r\n\r\n"), 400, chunked(HELLO)),
    "data longer than its size": (chunked(b"4\r\nhello\r\n0\r\n\r\n"), 400, chunked(HELLO)),
    "extension with a line feed": (chunked(b"5;a\nb\r\nhello\r\n0\r\n\r\n"), 400,
                                   chunked(b"5;a=b\r\nhello\r\n0\r\n\r\n")),
    "extension with a carriage return": (chunked(b"5;a\rb\r\nhello\r\n0\r\n\r\n"), 400,
                                         chunked(b"5;a;b\r\nhello\r\n0\r\n\r\n")),
    "extension with a NUL": (chunked(b"5;a=\0\r\nhello\r\n0\r\n\r\n"), 400,
                             chunked(b'5;a="b;c"\r\nhello\r\n0\r\n\r\n')),
    "quoted extension with a line end": (chunked(b'5;a="\r\nhello\r\n0\r\n\r\n'), 400,
                                         chunked(b'5;a="\\""\r\nhello\r\n0\r\n\r\n')),
    "extension too long": (chunked(b"5;" + b"a" * 2000 + b"\r\nhello\r\n0\r\n\r\n"), 400,
                           chunked(b"5;" + b"a" * 900 + b"\r\nhello\r\n0\r\n\r\n")),
    "trailer without a colon": (chunked(b"5\r\nhello\r\n0\r\nX\r\n\r\n"), 400,
                                chunked(b"5\r\nhello\r\n0\r\nX:\r\n\r\n")),
    "trailer with a bare line feed": (chunked(b"5\r\nhello\r\n0\r\nX: y\nZ: a\r\n\r\n"), 400,
                                      chunked(b"5\r\nhello\r\n0\r\nX: y\r\nZ: a\r\n\r\n")),
    "trailer that is folded": (chunked(b"5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n"), 400,
                               chunked(b"5\r\nhello\r\n0\r\nX: y z\r\n\r\n")),
    "trailer with a space before the colon": (chunked(b"5\r\nhello\r\n0\r\nX : y\r\n\r\n"), 400,
                                              chunked(b"5\r\nhello\r\n0\r\nX:y\r\n\r\n")),
    "trailer with a NUL": (chunked(b"5\r\nhello\r\n0\r\nX: \0\r\n\r\n"), 400,
                           chunked(b"5\r\nhello\r\n0\r\nX: \xff\r\n\r\n")),
}

LINES = {
    "line feed behind the request line": (b"GET /first HTTP/1.1\nHost: x\r\n\r\n", 400, get()),
    "line feed behind a field": (b"GET /first HTTP/1.1\r\nHost: x\nX: y\r\n\r\n", 400, get(b"X: y")),
    "line feed as the empty line": (b"GET /first HTTP/1.1\r\nHost: x\r\n\n", 400, get()),
    "line feed inside a value": (get(b"X: y\nEvil: yes"), 400, get(b"X: y Evil: yes")),
    "carriage return inside a value": (get(b"X: y\rEvil: yes"), 400, get(b"X: y")),
    "carriage return inside a name": (get(b"X\r: y"), 400, get(b"X: y")),
    "carriage return inside the request line": (get(line=b"GET /\rfirst HTTP/1.1"), 400, get()),
    "two carriage returns": (get(b"X: y\r"), 400, get(b"X: y")),
    "folded by a space": (get(b"X: y\r\n z"), 400, get(b"X: y z")),
    "folded by a tab": (get(b"X: y\r\n\tz"), 400, get(b"X: y\tz")),
    "folded first line": (b"GET /first HTTP/1.1\r\n Host: x\r\n\r\n", 400, get()),
    "NUL in a value": (get(b"X: a\0b"), 400, get(b"X: a b")),
    "NUL in a name": (get(b"X\0: y"), 400, get(b"X: y")),
    "NUL in the target": (get(line=b"GET /first\0 HTTP/1.1"), 400, get()),
    "NUL in the method": (get(line=b"GE\0T /first HTTP/1.1"), 400, get()),
    "control byte in a value": (get(b"X: a\x01b"), 400, get(b"X: a\tb")),
    "DEL in a value": (get(b"X: a\x7fb"), 400, get(b"X: a\x80b")),
    "escape in a name": (get(b"X\x1b: y"), 400, get(b"X: y")),
    "high byte in a name": (get(b"X\xe4: y"), 400, get(b"X: \xe4")),
    "space in a name": (get(b"X Y: z"), 400, get(b"X-Y: z")),
    "space before the colon": (get(b"X : y"), 400, get(b"X:y")),
    "tab before the colon": (get(b"X\t: y"), 400, get(b"X:\ty")),
    "no name": (get(b": y"), 400, get(b"X: y")),
    "no colon": (get(b"X"), 400, get(b"X:")),
    "separator in a name": (get(b"X(Y: z"), 400, get(b"X!Y: z")),
    "control byte in the target": (get(line=b"GET /\x1ffirst HTTP/1.1"), 400, get()),
    "method with a separator": (get(line=b"G(T /first HTTP/1.1"), 400, get()),
    "method with a colon": (get(line=b"GET: /first HTTP/1.1"), 400, get()),
    "unknown method": (get(line=b"GET.S /first HTTP/1.1"), 501, get(line=b"GET-S /first HTTP/1.1")),
    "method in lower case": (get(line=b"get /first HTTP/1.1"), 501, get()),
    "two spaces": (get(line=b"GET  /first HTTP/1.1"), 400, get()),
    "tab as separator": (get(line=b"GET\t/first HTTP/1.1"), 400, get()),
    "space at the end": (get(line=b"GET /first HTTP/1.1 "), 400, get()),
    "space in the target": (get(line=b"GET /fi rst HTTP/1.1"), 400, get()),
    "no version": (get(line=b"GET /first"), 400, get()),
    "lower-case version": (get(line=b"GET /first http/1.1"), 400, get()),
    "two-digit version": (get(line=b"GET /first HTTP/1.10"), 400, get()),
    "signed version": (get(line=b"GET /first HTTP/+.1"), 400, get()),
    "version 2.0": (get(line=b"GET /first HTTP/2.0"), 505, get()),
    "version 1.2": (get(line=b"GET /first HTTP/1.2"), 505, get()),
    "two empty lines before": (b"\r\n\r\n" + get(), 400, b"\r\n" + get()),
    "empty line with a line feed before": (b"\n" + get(), 400, b"\r\n" + get()),
    "preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, get()),
}

HOSTS = {
    "none": (get(host=None), 400, get()),
    "two": (get(b"Host: y"), 400, get()),
    "two equal": (get(b"Host: x"), 400, get()),
    "empty": (get(host=b"Host:"), 400, get(host=b"Host: x:")),
    "with a path": (get(host=b"Host: x/y"), 400, get(host=b"Host: x.y")),
    "with user info": (get(host=b"Host: a@x"), 400, get(host=b"Host: a.x")),
    "with a space": (get(host=b"Host: x y"), 400, get(host=b"Host:  x ")),
    "a list": (get(host=b"Host: x, y"), 400, get()),
    "with an escape": (get(host=b"Host: x%00"), 400, get()),
    "with a fragment": (get(host=b"Host: x#y"), 400, get()),
    "with a query": (get(host=b"Host: x?y"), 400, get()),
    "with a backslash": (get(host=b"Host: x\\y"), 400, get()),
    "with a high byte": (get(host=b"Host: x\xc3\xa4"), 400, get()),
    "port too large": (get(host=b"Host: x:65536"), 400, get(host=b"Host: x:65535")),
    "port with a sign": (get(host=b"Host: x:+80"), 400, get(host=b"Host: x:80")),
    "port of letters": (get(host=b"Host: x:80a"), 400, get(host=b"Host: x:080")),
    "two ports": (get(host=b"Host: x:80:80"), 400, get(host=b"Host: x:80")),
    "half a literal": (get(host=b"Host: [::1"), 400, get(host=b"Host: [::1]")),
    "something behind a literal": (get(host=b"Host: [::1]x"), 400, get(host=b"Host: [::1]:80")),
    "folded": (get(host=b"Host: x\r\n y"), 400, get()),
    "in HTTP/1.0, twice": (b"GET /first HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n", 400, get()),
    "absolute form, two hosts": (get(b"Host: y", line=b"GET http://x/first HTTP/1.1"), 400,
                                 get(line=b"GET http://x/first HTTP/1.1")),
    "absolute form, no host": (get(line=b"GET http://x/first HTTP/1.1", host=None), 400,
                               get(line=b"GET http://x/first HTTP/1.1")),
    "absolute form, bad host": (get(line=b"GET http://x/first HTTP/1.1", host=b"Host: a b"), 400,
                                get(line=b"GET http://x/first HTTP/1.1", host=b"Host: a")),
    "absolute form, empty authority": (get(line=b"GET http:///first HTTP/1.1"), 400,
                                       get(line=b"GET http://x/first HTTP/1.1")),
    "absolute form, user info": (get(line=b"GET http://a@x/first HTTP/1.1"), 400,
                                 get(line=b"GET http://a.x/first HTTP/1.1")),
    "absolute form, bad port": (get(line=b"GET http://x:99999/first HTTP/1.1"), 400,
                                get(line=b"GET http://x:9999/first HTTP/1.1")),
    "absolute form, another scheme": (get(line=b"GET ftp://x/first HTTP/1.1"), 400,
                                      get(line=b"GET HTTP://x/first HTTP/1.1")),
    "absolute form, no slashes": (get(line=b"GET http:x/first HTTP/1.1"), 400,
                                  get(line=b"GET https://x/first HTTP/1.1")),
    "authority form": (get(line=b"GET x:80 HTTP/1.1"), 400, get()),
    "CONNECT": (get(line=b"CONNECT x:80 HTTP/1.1"), 501, get()),
    "CONNECT in origin form": (get(line=b"CONNECT /first HTTP/1.1"), 501, get()),
    "asterisk form of GET": (get(line=b"GET * HTTP/1.1"), 400, get()),
}

TARGETS = {
    "bad escape": (get(line=b"GET /first%zz HTTP/1.1"), 400, get(line=b"GET /first%20 HTTP/1.1")),
    "half an escape": (get(line=b"GET /first%4 HTTP/1.1"), 400, get(line=b"GET /first%41 HTTP/1.1")),
    "percent at the end": (get(line=b"GET /first% HTTP/1.1"), 400, get(line=b"GET /first%25 HTTP/1.1")),
    "escaped NUL": (get(line=b"GET /first%00 HTTP/1.1"), 400, get(line=b"GET /first%01 HTTP/1.1")),
    "above the root": (get(line=b"GET /../first HTTP/1.1"), 400, get(line=b"GET /a/../first HTTP/1.1")),
    "escaped, above the root": (get(line=b"GET /%2e%2e/first HTTP/1.1"), 400,
                                get(line=b"GET /a/%2e%2e/first HTTP/1.1")),
    "escaped slashes, above the root": (get(line=b"GET /..%2ffirst HTTP/1.1"), 400,
                                        get(line=b"GET /a%2f..%2ffirst HTTP/1.1")),
    "fragment": (get(line=b"GET /first#x HTTP/1.1"), 400, get(line=b"GET /first%23x HTTP/1.1")),
    "high byte": (get(line=b"GET /first\xc3\xa4 HTTP/1.1"), 400, get(line=b"GET /first%c3%a4 HTTP/1.1")),
    "no slash": (get(line=b"GET first HTTP/1.1"), 400, get()),
    "query alone": (get(line=b"GET ?first HTTP/1.1"), 400, get(line=b"GET /?first HTTP/1.1")),
}


class ProxyCase(beamgate.TestCase):
    def recorder(self, *arguments, **options):
        recorder = Recorder(*arguments, **options)
        self.addCleanup(recorder.close)
        return recorder

    def proxy(self, origin, location="", server="", http="", **options):
        return self.gateway(
            f"upstream app {{ server {origin.address}; }} {http}\n"
            f"server {{ listen 127.0.0.1:0; {server} location / {{ proxy_pass http://app; {location} }} }}",
            workers=1, **options).address()

    def connect(self, address):
        return self.track(http_client.Connection(address))


class Requests(ProxyCase):
    def check(self, cases):
        origin = self.recorder()
        address = self.proxy(origin)
        for name, (bad, status, good) in cases.items():
            for at in (len(bad), max(1, len(bad) // 2)):  # In one piece, and in two.
                with self.subTest(name, refused=True, first=at):
                    with http_client.Connection(address) as client:
                        client.send(bad[:at])
                        if at < len(bad):
                            try:
                                client.send(bad[at:] + EVIL)
                            except ConnectionError:
                                pass  # Refused before all of it was there.
                        else:
                            client.send(EVIL)
                        self.assertEqual(client.read_response().status, status)
                        self.assertEqual(client.wire.read_to_end(), b"", "one answer, then the end")
                    self.assertEqual(origin.targets(), [], "nothing was accepted")
                    self.assertEqual(origin.oddities, [])
            origin.clear()  # Part of a request may have gone out before its body turned out to be malformed.
            with self.subTest(name, refused=False), http_client.Connection(address) as client:
                client.send(good + NEXT)
                self.assertEqual([client.read_response().status for _ in range(2)], [200, 200])
                self.assertEqual(origin.targets()[1:], ["/next"])
                self.assertEqual(origin.count(), 2, "as many as were accepted")
                self.assertEqual(origin.oddities, [])
                if good.startswith(b"POST") and b"hello" in good:
                    self.assertEqual(origin.requests[0].body, b"hello")
            origin.clear()

    def test_lengths(self):
        self.check(LENGTHS)

    def test_transfer_codings(self):
        self.check(CODINGS)

    def test_chunks(self):
        self.check(CHUNKS)

    def test_lines(self):
        self.check(LINES)

    def test_hosts(self):
        self.check(HOSTS)

    def test_targets(self):
        self.check(TARGETS)

    def test_a_body_is_no_request(self):
        """Whatever a body holds, it stays a body."""
        origin = self.recorder()
        address = self.proxy(origin)
        bodies = {
            "of a GET": get(b"Content-Length: %d" % len(EVIL)) + EVIL,
            "of a HEAD": get(b"Content-Length: %d" % len(EVIL), line=b"HEAD /first HTTP/1.1") + EVIL,
            "of a DELETE": get(b"Content-Length: %d" % len(EVIL), line=b"DELETE /first HTTP/1.1") + EVIL,
            "of an OPTIONS": get(b"Content-Length: %d" % len(EVIL), line=b"OPTIONS /first HTTP/1.1") + EVIL,
            "chunked, of a GET": get(b"Transfer-Encoding: chunked") + b"%x\r\n%s\r\n0\r\n\r\n" % (len(EVIL), EVIL),
            "in trailers": chunked(b"5\r\nhello\r\n0\r\nContent-Length: 40\r\nHost: evil\r\n"
                                   b"Transfer-Encoding: identity\r\n\r\n"),
        }
        for name, request in bodies.items():
            with self.subTest(name), http_client.Connection(address) as client:
                client.send(request + NEXT)
                method = "HEAD" if b"HEAD" in request else "GET"
                self.assertEqual(client.read_response(method).status, 200)
                self.assertEqual(client.read_response().status, 200)
                self.assertEqual(origin.targets(), ["/first", "/next"])
                self.assertEqual(origin.requests[0].all("host"), ["app"])
                self.assertEqual(origin.oddities, [])
            origin.clear()

    def test_a_request_that_is_not_whole_is_none(self):
        origin = self.recorder()
        address = self.proxy(origin)
        for name, request in {"head": get()[:-2], "length": sized(b"6"), "chunks": chunked(HELLO[:-2])}.items():
            with self.subTest(name), http_client.Connection(address) as client:
                client.send(request)
                client.wire.sock.shutdown(1)
                if name != "head":
                    self.assertEqual(client.read_response().status, 400)
                self.assertEqual(client.wire.read_to_end(), b"")
                self.assertEqual(origin.targets(), [])

    def test_an_expectation_that_is_not_met(self):
        """With a final answer instead of "100 Continue", what the client sends next can't be told apart."""
        origin = self.recorder()
        address = self.proxy(origin, server="location /no { return 403; }")
        with http_client.Connection(address) as client:
            client.send(post(b"Content-Length: 40", b"Expect: 100-continue").replace(b"/first", b"/no") + EVIL)
            self.assertEqual(client.read_response().status, 403)
            self.assertTrue(client.ended())
        with http_client.Connection(address) as client:
            client.send(post(b"Content-Length: 5", b"Expect: 200-ok", body=b"hello") + EVIL)
            self.assertEqual(client.read_response().status, 417)
            self.assertTrue(client.ended())
        self.assertEqual(origin.targets(), [])
        with http_client.Connection(address) as client:
            client.send(post(b"Content-Length: 5", b"Expect: 100-continue"))
            self.assertEqual(client.read_response(interim=True).status, 100)
            client.send(b"hello" + NEXT)
            self.assertEqual([client.read_response().status for _ in range(2)], [200, 200])
        self.assertEqual(origin.targets(), ["/first", "/next"])


class Forwarding(ProxyCase):
    """What is accepted goes on in one form."""

    def forwarded(self, request, **options):
        origin = self.recorder()
        address = self.proxy(origin, **options)
        with http_client.Connection(address) as client:
            client.send(request)
            self.assertEqual(client.read_response().status, 200)
        self.assertEqual(origin.oddities, [])
        return origin.wait()

    def test_the_framing_is_written_anew(self):
        request = self.forwarded(sized(b" 0005 "))
        self.assertEqual(request.all("content-length"), ["5"])
        request = self.forwarded(chunked(b"005;x=y\r\nhello\r\n00\r\nHost: evil\r\n\r\n", b"tRANSFER-eNCODING:CHUNKED"))
        self.assertEqual((request.body, request.all("transfer-encoding")), (b"hello", ["chunked"]))
        self.assertNotIn(b"evil", request.head)

    def test_connection_names_fields_that_end_here(self):
        request = self.forwarded(get(b"Connection: X-Mine, close", b"X-Mine: 1", b"X-Other: 2"))
        self.assertEqual((request.all("x-mine"), request.all("x-other")), ([], ["2"]))

    def test_connection_can_not_remove_what_frames_or_routes(self):
        request = self.forwarded(post(b"Connection: content-length, host, x-forwarded-for, x-real-ip, keep-alive",
                                      b"Content-Length: 5", body=b"hello"))
        self.assertEqual((request.all("content-length"), request.all("host"), request.body), (["5"], ["app"], b"hello"))
        self.assertEqual((request.all("x-forwarded-for"), request.all("x-real-ip")), (["127.0.0.1"], ["127.0.0.1"]))
        request = self.forwarded(post(b"Connection: transfer-encoding", b"Transfer-Encoding: chunked", body=HELLO))
        self.assertEqual(request.body, b"hello")

    def test_too_many_names_in_connection(self):
        origin = self.recorder()
        address = self.proxy(origin)
        names = b", ".join(b"x-%d" % i for i in range(40))
        with http_client.Connection(address) as client:
            client.send(get(b"Connection: " + names))
            self.assertEqual(client.read_response().status, 400)
        self.assertEqual(origin.targets(), [])

    def test_hop_by_hop_fields_and_claims_do_not_arrive(self):
        names = ["Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Upgrade", "HTTP2-Settings", "Proxy", "Forwarded",
                 "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X_Forwarded_For", "X_Mine",
                 "Content_Length", "Transfer_Encoding", "beamgate-user", "ce-type", "webhook-id"]
        request = self.forwarded(get(*(name.encode() + b": evil" for name in names), b"X-Mine: good"))
        self.assertNotIn(b"evil", request.head)
        self.assertEqual(request.all("x-mine"), ["good"])
        # Only a WebSocket's upgrade is passed on, and only as ours.
        request = self.forwarded(get(b"Connection: upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13",
                                     b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="))
        self.assertEqual((request.all("upgrade"), request.all("connection")), (["websocket"], ["Upgrade"]))
        request = self.forwarded(get(b"Connection: upgrade, http2-settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"))
        self.assertEqual((request.all("upgrade"), request.all("http2-settings")), ([], []))

    def test_underscores(self):
        lines = [b"X_Mine: 1", b"X_Forwarded_For: 6.6.6.6", b"X_Real_IP: 6.6.6.6", b"Content_Length: 66",
                 b"Transfer_Encoding: chunked", b"beamgate_user: 6", b"Proxy_Connection: 66"]
        echo = 'proxy_set_header X-Seen "$http_x_mine";'
        request = self.forwarded(get(*lines), location=echo)
        self.assertEqual((request.all("x_mine"), request.all("x-seen")), ([], []))
        request = self.forwarded(get(*lines), server="underscores_in_headers on;", location=echo)
        self.assertEqual((request.all("x_mine"), request.all("x-seen")), (["1"], ["1"]))
        self.assertNotIn(b"6", request.head.replace(b"6: 6", b""))

    def test_the_absolute_form_wins_over_host(self):
        set_host = "proxy_set_header Host $http_host; proxy_set_header X-Host $host; proxy_set_header X-URI $request_uri;"
        request = self.forwarded(get(line=b"GET http://Real:8080/a/../b?c HTTP/1.1", host=b"Host: evil"), location=set_host)
        self.assertEqual((request.target, request.all("host"), request.all("x-host")), ("/a/../b?c", ["Real:8080"], ["real"]))
        self.assertEqual(request.all("x-forwarded-host"), ["Real:8080"])
        self.assertNotIn(b"evil", request.head)
        request = self.forwarded(get(line=b"GET http://real?q HTTP/1.0", host=None), location=set_host)
        self.assertEqual((request.target, request.all("host")), ("/?q", ["real"]))

    def test_an_authority_chooses_the_server(self):
        gateway = self.gateway("""server { listen unix:a.sock; server_name b; return 200 b; }
            server { listen unix:a.sock; server_name a; return 200 "a $http_host"; }""")
        with http_client.Connection(gateway.address()) as client:
            client.send(get(line=b"GET http://A:1/ HTTP/1.1", host=b"Host: b") + get(host=b"Host: b"))
            self.assertEqual([client.read_response().text for _ in range(2)], ["a A:1", "b"])

    def test_asterisk_form(self):
        origin = self.recorder()
        address = self.proxy(origin)
        for line in (b"OPTIONS * HTTP/1.1", b"OPTIONS http://x HTTP/1.1"):
            with self.subTest(line), http_client.Connection(address) as client:
                client.send(get(line=line) + NEXT)
                self.assertEqual([client.read_response().status for _ in range(2)], [204, 200])
        self.assertEqual(origin.targets(), ["/next", "/next"])

    def test_paths(self):
        """Without a URI in proxy_pass the target goes on as it came; with one, as it was understood."""
        cases = {b"/a/%2e%2e/b": "/base/b", b"/a//b/./c": "/base/a/b/c", b"/a%2Fb%3Fc%23d%25": "/base/a/b%3Fc%23d%25",
                 b"/%0d%0aX:%20y": "/base/%0D%0AX:%20y", b"/%c3%A4": "/base/%C3%A4"}
        for sent, understood in cases.items():
            with self.subTest(sent):
                request = self.forwarded(get(line=b"GET " + sent + b" HTTP/1.1"),
                                         server="location /x { return 404; }")
                self.assertEqual(request.target, sent.decode())
                origin = self.recorder()
                gateway = self.gateway(f"server {{ listen 127.0.0.1:0; location / {{ proxy_pass http://{origin.address}/base/; }} }}")
                with http_client.Connection(gateway.address()) as client:
                    client.send(get(line=b"GET " + sent + b" HTTP/1.1"))
                    self.assertEqual(client.read_response().status, 200)
                self.assertEqual((origin.targets(), origin.oddities), ([understood], []))

    def test_variables_can_not_end_a_line(self):
        fields = ('proxy_set_header X-URI "$uri"; proxy_set_header X-Arg "$arg_a"; proxy_set_header X-Cookie "$cookie_c";'
                  'proxy_set_header Host "$uri";')
        request = self.forwarded(get(b"Cookie: c=v", line=b"GET /%0d%0aEvil:%20yes%00?a=%0d%0aEvil:%20yes HTTP/1.1"
                                     .replace(b"%00", b"")), location=fields)
        self.assertEqual(request.all("evil"), [])
        self.assertEqual(request.all("x-uri"), ["/%0D%0AEvil: yes"])


def answer(*lines, status=b"HTTP/1.1 200 OK", body=b""):
    return b"".join(line + b"\r\n" for line in (status, *lines)) + b"\r\n" + body


# Malformed heads of an origin's responses, beside the nearest well-formed one.
BAD_HEADS = {
    "length and chunked": (answer(b"Content-Length: 2", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"), OK),
    "two lengths": (answer(b"Content-Length: 2", b"Content-Length: 3", body=b"ok"), OK),
    "two equal lengths": (answer(b"Content-Length: 2", b"Content-Length: 2", body=b"ok"), OK),
    "length list": (answer(b"Content-Length: 2, 2", body=b"ok"), OK),
    "length with a sign": (answer(b"Content-Length: +2", body=b"ok"), OK),
    "length hexadecimal": (answer(b"Content-Length: 0x2", body=b"ok"), OK),
    "length empty": (answer(b"Content-Length:", body=b"ok"), OK),
    "length beyond 64 bits": (answer(b"Content-Length: 18446744073709551618", body=b"ok"), OK),
    "length with a space": (answer(b"Content-Length: 2 2", body=b"ok"), OK),
    "space before the colon": (answer(b"Content-Length : 2", body=b"ok"), answer(b"Content-Length:2", body=b"ok")),
    "coding unknown": (answer(b"Transfer-Encoding: gzip", body=b"ok"),
                       answer(b"Transfer-Encoding: Chunked", body=b"2\r\nok\r\n0\r\n\r\n")),
    "coding twice": (answer(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
                     answer(b"Transfer-Encoding: chunked", body=b"2\r\nok\r\n0\r\n\r\n")),
    "coding list": (answer(b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n"), OK),
    "coding empty": (answer(b"Transfer-Encoding:", body=b"0\r\n\r\n"), OK),
    "coding with a parameter": (answer(b"Transfer-Encoding: chunked;x", body=b"0\r\n\r\n"), OK),
    "coding in HTTP/1.0": (answer(b"Transfer-Encoding: chunked", status=b"HTTP/1.0 200 OK", body=b"0\r\n\r\n"),
                           answer(b"Content-Length: 2", status=b"HTTP/1.0 200 OK", body=b"ok")),
    "line feed only": (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", OK),
    "line feed in a value": (answer(b"X: a\nEvil: b", b"Content-Length: 2", body=b"ok"), OK),
    "carriage return in a value": (answer(b"X: a\rEvil: b", b"Content-Length: 2", body=b"ok"), OK),
    "NUL in a value": (answer(b"X: a\0b", b"Content-Length: 2", body=b"ok"), OK),
    "control byte in a value": (answer(b"X: a\x02b", b"Content-Length: 2", body=b"ok"),
                                answer(b"X: a\tb", b"Content-Length: 2", body=b"ok")),
    "DEL in a value": (answer(b"X: a\x7f", b"Content-Length: 2", body=b"ok"),
                       answer(b"X: a\xff", b"Content-Length: 2", body=b"ok")),
    "folded": (answer(b"X: a\r\n b", b"Content-Length: 2", body=b"ok"), OK),
    "folded first line": (answer(b" X: a", b"Content-Length: 2", body=b"ok"), OK),
    "no colon": (answer(b"X", b"Content-Length: 2", body=b"ok"), answer(b"X:", b"Content-Length: 2", body=b"ok")),
    "no name": (answer(b": x", b"Content-Length: 2", body=b"ok"), OK),
    "space in a name": (answer(b"X Y: a", b"Content-Length: 2", body=b"ok"), OK),
    "high byte in a name": (answer(b"X\xe4: a", b"Content-Length: 2", body=b"ok"), OK),
    "separator in a name": (answer(b"X(Y: a", b"Content-Length: 2", body=b"ok"), OK),
    "too many fields": (answer(*[b"X: a"] * 1100, b"Content-Length: 2", body=b"ok"),
                        answer(*[b"X: a"] * 900, b"Content-Length: 2", body=b"ok")),
    "too long a head": (answer(*[b"X: " + b"a" * 8000] * 9, b"Content-Length: 2", body=b"ok"),
                        answer(*[b"X: " + b"a" * 8000] * 7, b"Content-Length: 2", body=b"ok")),
    "no status": (answer(b"Content-Length: 2", status=b"HTTP/1.1 OK", body=b"ok"), OK),
    "status of two digits": (answer(b"Content-Length: 2", status=b"HTTP/1.1 20 OK", body=b"ok"), OK),
    "status of four digits": (answer(b"Content-Length: 2", status=b"HTTP/1.1 2000 OK", body=b"ok"), OK),
    "status 600": (answer(b"Content-Length: 2", status=b"HTTP/1.1 600 X", body=b"ok"),
                   answer(b"Content-Length: 2", status=b"HTTP/1.1 599 X", body=b"ok")),
    "status 099": (answer(b"Content-Length: 2", status=b"HTTP/1.1 099 X", body=b"ok"), OK),
    "status with a sign": (answer(b"Content-Length: 2", status=b"HTTP/1.1 +20 X", body=b"ok"), OK),
    "status 101": (answer(b"Connection: upgrade", b"Upgrade: x", status=b"HTTP/1.1 101 Switching Protocols"), OK),
    "control byte in the reason": (answer(b"Content-Length: 2", status=b"HTTP/1.1 200 O\x01K", body=b"ok"),
                                   answer(b"Content-Length: 2", status=b"HTTP/1.1 200 ", body=b"ok")),
    "two spaces": (answer(b"Content-Length: 2", status=b"HTTP/1.1  200 OK", body=b"ok"), OK),
    "version 2": (answer(b"Content-Length: 2", status=b"HTTP/2.0 200 OK", body=b"ok"), OK),
    "version 1.2": (answer(b"Content-Length: 2", status=b"HTTP/1.2 200 OK", body=b"ok"), OK),
    "version 0.9": (b"ok", OK),
    "another protocol": (b"SSH-2.0-x\r\n", OK),
    "empty line before": (b"\r\n" + OK, OK),
    "endless 1xx": (answer(status=b"HTTP/1.1 102 Wait") * 1100 + OK, answer(status=b"HTTP/1.1 102 Wait") * 3 + OK),
    "malformed 1xx": (answer(b"X : y", status=b"HTTP/1.1 103 Hints") + OK,
                      answer(b"X: y", status=b"HTTP/1.1 103 Hints") + OK),
    "too many names in Connection": (answer(b"Connection: " + b", ".join(b"x-%d" % i for i in range(40)),
                                            b"Content-Length: 2", body=b"ok"),
                                     answer(b"Connection: x-1, x-2", b"Content-Length: 2", body=b"ok")),
}

# Malformed bodies: the head is out by then.
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
GOOD_CHUNKS = CHUNKED + b"2\r\nok\r\n0\r\n\r\n"
BAD_BODIES = {
    "0x": (CHUNKED + b"0x2\r\nok\r\n0\r\n\r\n", CHUNKED + b"02\r\nok\r\n0\r\n\r\n"),
    "sign": (CHUNKED + b"+2\r\nok\r\n0\r\n\r\n", GOOD_CHUNKS),
    "space": (CHUNKED + b"2 \r\nok\r\n0\r\n\r\n", GOOD_CHUNKS),
    "overflow": (CHUNKED + b"10000000000000002\r\nok\r\n0\r\n\r\n", GOOD_CHUNKS),
    "no digit": (CHUNKED + b"\r\nok\r\n0\r\n\r\n", GOOD_CHUNKS),
    "line feed only": (CHUNKED + b"2\nok\n0\n\n", GOOD_CHUNKS),
    "line feed behind the size": (CHUNKED + b"2\nok\r\n0\r\n\r\n", GOOD_CHUNKS),
    "line feed behind the data": (CHUNKED + b"2\r\nok\n0\r\n\r\n", GOOD_CHUNKS),
    "line feed at the end": (CHUNKED + b"2\r\nok\r\n0\r\n\n", GOOD_CHUNKS),
    "nothing behind the data": (CHUNKED + b"2\r\nok0\r\n\r\n", GOOD_CHUNKS),
    "longer than its size": (CHUNKED + b"1\r\nok\r\n0\r\n\r\n", GOOD_CHUNKS),
    "extension with a NUL": (CHUNKED + b"2;a=\0\r\nok\r\n0\r\n\r\n", CHUNKED + b"2;a=b\r\nok\r\n0\r\n\r\n"),
    "extension with a line feed": (CHUNKED + b"2;a\n\r\nok\r\n0\r\n\r\n", CHUNKED + b'2;a="b"\r\nok\r\n0\r\n\r\n'),
    "extension too long": (CHUNKED + b"2;" + b"a" * 20000 + b"\r\nok\r\n0\r\n\r\n", GOOD_CHUNKS),
    "trailer with a NUL": (CHUNKED + b"2\r\nok\r\n0\r\nX: \0\r\n\r\n", CHUNKED + b"2\r\nok\r\n0\r\nX: y\r\n\r\n"),
    "trailer without a colon": (CHUNKED + b"2\r\nok\r\n0\r\nX\r\n\r\n",
                                CHUNKED + b"2\r\nok\r\n0\r\nContent-Length: 9\r\n\r\n"),
    "trailer folded": (CHUNKED + b"2\r\nok\r\n0\r\nX: y\r\n z\r\n\r\n", CHUNKED + b"2\r\nok\r\n0\r\nX: y z\r\n\r\n"),
    "trailers too long": (CHUNKED + b"2\r\nok\r\n0\r\n" + b"X: yyyyyyyy\r\n" * 4000 + b"\r\n", GOOD_CHUNKS),
    "ends within a chunk": ((CHUNKED + b"3\r\nok", "end"), GOOD_CHUNKS),
    "ends before the last chunk": ((CHUNKED + b"2\r\nok\r\n", "end"), GOOD_CHUNKS),
    "shorter than its length": ((b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", "end"), OK),
}


class Responses(ProxyCase):
    def test_a_malformed_head_is_a_bad_gateway(self):
        origin = self.recorder()
        address = self.proxy(origin)
        for name, (bad, good) in BAD_HEADS.items():
            with self.subTest(name, good=False), http_client.Connection(address) as client:
                origin.answer = (bad, "end")
                client.send(get(line=b"POST /first HTTP/1.1") + NEXT[:-2])  # No idempotent request: asked once.
                response = client.read_response()
                self.assertEqual(response.status, 502)
                self.assertNotIn(b"vil", json.dumps(response.fields).encode() + response.body)
                self.assertEqual(origin.targets(), ["/first"])
            origin.clear()
            with self.subTest(name, good=True), http_client.Connection(address) as client:
                origin.answer = good
                client.send(get(line=b"POST /first HTTP/1.1"))
                self.assertEqual(client.read_response().body, b"ok")
            origin.clear()

    def test_a_malformed_body_cuts_the_connection(self):
        """In the same read as its head, so that it may be a 502; later, it must be a cut."""
        origin = self.recorder()
        address = self.proxy(origin)
        for name, (bad, good) in BAD_BODIES.items():
            with self.subTest(name, good=False), http_client.Connection(address) as client:
                origin.answer = bad if isinstance(bad, tuple) else (bad, "end")
                client.send(get(line=b"POST /first HTTP/1.1") + NEXT[:-2])
                with self.assertRaises(Ended):
                    response = client.read_response()
                    if response.status == 502:
                        raise Ended(b"")
                    self.fail(f"passed on as {response!r}")
            origin.clear()
            with self.subTest(name, good=True), http_client.Connection(address) as client:
                origin.answer = good
                client.send(get(line=b"POST /first HTTP/1.1"))
                self.assertEqual(client.read_response().body, b"ok")
            origin.clear()

    def test_what_comes_behind_a_response_is_no_answer_to_the_next_request(self):
        origin = self.recorder()
        address = self.proxy(origin)
        evil = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
        for first in (OK + evil, GOOD_CHUNKS + evil, answer(status=b"HTTP/1.1 204 No Content") + evil,
                      answer(b"Content-Length: 4", status=b"HTTP/1.1 304 Not Modified") + evil):
            with self.subTest(first), http_client.Connection(address) as client:
                origin.answer = lambda request: first if request.target == "/first" else OK
                client.send(get() + NEXT)
                self.assertIn(client.read_response().body, (b"ok", b""))
                self.assertEqual(client.read_response().body, b"ok")
                self.assertEqual(origin.targets(), ["/first", "/next"])
            origin.clear()

    def test_a_response_keeps_to_its_own_framing(self):
        """The origin's framing ends here: what goes out is one framing, written anew, and trailers are left out."""
        origin = self.recorder()
        address = self.proxy(origin)
        origin.answer = answer(b"Connection: x-gone, close", b"X-Gone: 1", b"X-Kept: 2", b"Keep-Alive: 1", b"Trailer: X",
                               b"Transfer-Encoding: chunked", b"Upgrade: h2c", b"Proxy-Connection: close",
                               b"X-Accel-Redirect: /x", body=b"2;x\r\nok\r\n0\r\nX: y\r\nSet-Cookie: evil\r\n\r\n")
        with http_client.Connection(address) as client:
            client.send(get() + NEXT)
            for _ in range(2):
                response = client.read_response()
                names = {name.lower() for name, _ in response.fields}
                self.assertEqual((response.body, response.header("x-kept")), (b"ok", "2"))
                self.assertFalse(names & {"x-gone", "keep-alive", "trailer", "upgrade", "proxy-connection",
                                          "x-accel-redirect", "set-cookie", "connection"})


class OwnHeaders(beamgate.TestCase):
    """No CR, LF or NUL comes out of what a client or an application has put into a field's value."""

    def test_variables_in_fields_of_responses(self):
        gateway = self.gateway("""server { listen 127.0.0.1:0;
            location / { add_header X-URI "$uri" always; add_header X-Arg $arg_a; return 200 ok; }
            location /to { return 302 http://there$uri; } }""")
        with http_client.Connection(gateway.address()) as client:
            client.send(get(line=b"GET /a%0d%0aEvil:%20yes%0a%0d?a=b HTTP/1.1"))
            response = client.read_response()
            self.assertEqual((response.status, response.text, response.header("evil")), (200, "ok", None))
            self.assertEqual(response.header("x-uri"), "/a  Evil: yes")
            client.send(get(line=b"GET /to%0d%0aEvil:%20yes HTTP/1.1"))
            response = client.read_response()
            self.assertEqual((response.status, response.header("evil")), (302, None))
            self.assertEqual(response.header("location"), "http://there/to  Evil: yes")

    def test_what_an_application_says_of_a_connection(self):
        """A state with line ends goes back to the application as one field; a user with them is no answer."""
        said = Actions(state="s\r\nEvil: yes\0")
        application = self.backend(said, secret="whsec_MDEyMzQ1Njc4OWFiY2RlZg==")
        gateway = self.gateway(f"""webhook app {{ url {application.url}/hook; secret whsec_MDEyMzQ1Njc4OWFiY2RlZg==; }}
            server {{ listen 127.0.0.1:0; location / {{ websocket raw; webhook app; }} }}""")
        socket = self.track(ws_client.connect(gateway.address(), "/"))
        socket.send("hello")
        message = application.wait("beamgate.message")
        self.assertEqual(message.fields.all("beamgate-state"), ["s%0D%0AEvil: yes%00"])
        self.assertEqual((message.fields.all("beamgate-user"), message.fields.all("evil")), ([], []))
        self.assertEqual(len(message.fields.all("webhook-id")), 1)
        application.on("*", Actions(user="ann\r\nwebhook-id: evil"))
        with self.assertRaises(ws_client.Refused) as refused:
            ws_client.connect(gateway.address(), "/")
        self.assertEqual(refused.exception.status, 502)
        gateway.wait_log("webhook_failed .*outcome=malformed_reply")

    def test_an_application_refuses_a_handshake_with_strange_fields(self):
        """Fields of a refusal are passed on clean or not at all; the answer stays one answer."""
        application = self.recorder_like(b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/x\x01y\r\nWWW-Authenticate: a\x0bb\r\n"
                                         b"Content-Length: 2\r\n\r\nno")
        gateway = self.gateway(f"""webhook app {{ url http://{application.address}/hook; secret whsec_MDEyMzQ1Njc4OWFiY2RlZg==; }}
            server {{ listen 127.0.0.1:0; location / {{ websocket raw; webhook app; }} }}""")
        with http_client.Connection(gateway.address()) as client:
            client.send(get(b"Connection: upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13",
                            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="))
            head = client.wire.read_until(b"\r\n\r\n")
            self.assertRegex(head[:12], rb"HTTP/1.1 (403|502|503)")
            self.assertNotRegex(head.replace(b"\r\n", b""), rb"[\x00-\x08\x0a-\x1f\x7f]")

    def recorder_like(self, data):
        recorder = Recorder(data)
        self.addCleanup(recorder.close)
        return recorder


if __name__ == "__main__":
    beamgate.main()
