"""Webhooks over FastCGI: the script sees the signed request, and a server that is down, slow or hostile is one more
application that fails: clients are told as on_error says, in time.
"""

import threading

import beamgate
import fastcgi
import standard_webhooks
import ws_client
from chat_example import free_port
from fastcgi import STDERR, STDOUT, end, record, reply, stdout

SECRET = standard_webhooks.new_secret("webhooks over fastcgi")


def http_fields(request):
    """The fields of HTTP that a request's params stand for."""
    return {name[5:].lower().replace("_", "-"): value for name, value in request.params.items()
            if name.startswith("HTTP_")}


class Script(beamgate.TestCase):
    def start(self, behaviour=reply("Status: 204\r\n\r\n"), address=None, webhook="", unix=False, workers=1):
        if address is None:
            self.app = self.track(fastcgi.Server(behaviour, unix=unix))
            address = self.app.address
        self.server = self.gateway(
            f"webhook app {{ url http://app.example:8123/hook.php?a=b; fastcgi_pass {address};\n"
            f"script_filename /srv/app/hook.php; secret {SECRET}; timeout 2s; breaker_failures 0; {webhook} }}\n"
            "server { listen 127.0.0.1:0; location /ws { websocket raw; webhook app; } }", workers=workers)

    def connect(self):
        socket = ws_client.connect(self.server.address(), "/ws?name=ann")
        self.addCleanup(socket.wire.close)
        return socket

    def refused(self):
        with self.assertRaises(ws_client.Refused) as raised:
            self.connect()
        return raised.exception.response

    def answer(self, request):
        """What an application does: everybody is ann, and messages come back."""
        kind = request.params.get("HTTP_CE_TYPE")
        if kind == "beamgate.connect":
            return reply("Status: 200 OK\r\nBeamgate-User: ann\r\nSet-Cookie: a=1\r\n\r\n")
        if kind == "beamgate.message":
            return reply(f"Content-Type: {request.params['CONTENT_TYPE']}\r\n\r\n" + request.stdin.decode("latin-1"), 7, 3)
        return reply("Status: 204\r\n\r\n")

    def test_the_script_sees_the_signed_request(self):
        for unix in (False, True):
            self.start(self.answer, unix=unix, webhook="forward_headers user-agent cookie;")
            socket = self.connect()
            for text in ("hello", "x" * 60_000):
                socket.send(text)
                self.assertEqual(socket.recv(), text)
            connect, message = next(r for r in self.app.requests if r.params.get("HTTP_CE_TYPE") == "beamgate.connect"), \
                next(r for r in self.app.requests if r.params.get("HTTP_CE_TYPE") == "beamgate.message")
            expected = {"REQUEST_METHOD": "POST", "SCRIPT_FILENAME": "/srv/app/hook.php", "SCRIPT_NAME": "/hook.php",
                        "REQUEST_URI": "/hook.php?a=b", "QUERY_STRING": "a=b", "HTTP_HOST": "app.example:8123",
                        "SERVER_NAME": "app.example", "SERVER_PORT": "8123", "CONTENT_LENGTH": "5",
                        "DOCUMENT_ROOT": "/srv/app", "GATEWAY_INTERFACE": "CGI/1.1", "HTTP_BEAMGATE_USER": "ann"}
            self.assertEqual({name: message.params.get(name) for name in expected}, expected)
            self.assertEqual(message.stdin, b"hello")
            self.assertEqual(connect.params["HTTP_BEAMGATE_URI"], "/ws?name=ann")
            self.assertFalse(message.keep)
            for request in self.app.requests:
                standard_webhooks.verify(SECRET, http_fields(request), request.stdin)

    def test_events_come_in_batches(self):
        self.start(self.answer)
        self.connect().close()

        def batches():
            return [r for r in self.app.requests if r.params["CONTENT_TYPE"].startswith("application/cloudevents-batch")]

        beamgate.until(lambda: b"beamgate.disconnected" in b"".join(r.stdin for r in batches()), 20, "the events")
        for request in batches():
            standard_webhooks.verify(SECRET, http_fields(request), request.stdin)

    def test_many_at_once_wait_for_their_turn(self):
        active = []
        most = []
        lock = threading.Lock()

        def behaviour(request):
            with lock:
                active.append(1)
                most.append(len(active))
            yield stdout("Status: 204\r\n\r\n")
            with lock:
                active.pop()
            yield end()

        self.start(behaviour, webhook="concurrency 2;")
        sockets = [self.connect() for _ in range(8)]
        for socket in sockets:
            socket.send("x")
        beamgate.until(lambda: len([r for r in self.app.requests if r.params.get("HTTP_CE_TYPE") == "beamgate.message"])
                       == 8, 20, "the messages")
        self.assertLessEqual(max(most), 3)  # A connection may be seen before the one before it has ended.

    def test_it_refuses_with_its_own_words(self):
        self.start(reply("Status: 403 No\r\nContent-Type: text/plain\r\nSet-Cookie: a=1\r\n\r\nnot today"))
        response = self.refused()
        self.assertEqual((response.status, response.text, response.header("set-cookie")), (403, "not today", "a=1"))

    def test_what_fails(self):
        hang = threading.Event()
        self.addCleanup(hang.set)
        self.start(b"")
        for name, behaviour in (
                ("closes at once", b""), ("closes in the middle", stdout("Status: 204\r\n")),
                ("no end", stdout("Status: 204\r\n\r\n")), ("http", b"HTTP/1.1 204 No Content\r\n\r\n"),
                ("another version", record(STDOUT, "Status: 204\r\n\r\n", version=9) + end()),
                ("overloaded", end(protocol_status=2)), ("too big", reply("A: b\r\n\r\n" + "x" * (2 << 20))),
                ("a huge head", reply("A: " + "x" * 70_000 + "\r\n\r\n")),
                ("says nothing", lambda request: (hang.wait(10), b"")[1:])):
            with self.subTest(name):
                self.app.behaviour = behaviour
                self.assertGreaterEqual(self.refused().status, 500)
                self.app.behaviour = record(STDERR, "a word") + reply("Status: 204\r\n\r\n")
                self.connect().close()
        self.server.wait_log("webhook_stderr .*a word")

    def test_nobody_there(self):
        self.start(address="127.0.0.1:%d" % free_port())
        self.assertGreaterEqual(self.refused().status, 500)
        self.start(address=f"unix:{self.server.directory}/nobody.sock", webhook="on_error allow;")
        self.connect().close()

    def test_calls_survive_a_reload(self):
        held = threading.Event()
        self.addCleanup(held.set)

        def behaviour(request):
            if request.params.get("HTTP_CE_TYPE") == "beamgate.message":
                held.wait(20)
            return self.answer(request)

        self.start(behaviour)
        socket = self.connect()
        socket.send("before")
        beamgate.until(lambda: any(r.stdin == b"before" for r in self.app.requests), 20, "the message")
        text = self.server.config_path.read_text().replace("breaker_failures 0;", "breaker_failures 5;")
        self.server.write_config(text)
        mark = self.server.log_mark()
        self.server.signal(1)
        self.server.wait_log(r"\breloaded\b", after=mark)
        held.set()
        self.assertEqual(socket.recv(), "before")
        socket.send("after")
        self.assertEqual(socket.recv(), "after")


if __name__ == "__main__":
    beamgate.main()
