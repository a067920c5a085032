"""The test clients themselves: what they send and accept is judged by an independent implementation.

A test client that is wrong in the same way as the gateway would prove nothing, so ours talk to the Debian
package python3-websockets here, and the recording backend to Python's own http.client.
"""

import asyncio
import contextlib
import http.client
import threading
import unittest

import websockets

import backend
import beamgate
import standard_webhooks
import ws_asyncio
import ws_client
from http_client import Fields


class EchoPeer:
    """A websockets server in a thread of its own."""

    def __init__(self, compression):
        self.compression = compression
        self.ready = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self.thread.start()
        self.ready.wait(10)

    async def _serve(self):
        self.loop = asyncio.get_running_loop()
        self.done = self.loop.create_future()
        async with websockets.serve(self._echo, "127.0.0.1", 0, compression=self.compression,
                                    subprotocols=["chat"]) as server:
            self.address = "127.0.0.1:%d" % server.sockets[0].getsockname()[1]
            self.ready.set()
            await self.done

    async def _echo(self, socket):
        with contextlib.suppress(websockets.ConnectionClosed):  # Some tests end without a Close.
            async for message in socket:
                await socket.send(message)

    def close(self):
        self.loop.call_soon_threadsafe(self.done.set_result, None)
        self.thread.join(10)


class Clients(beamgate.TestCase):
    def peer(self, compression=None):
        peer = EchoPeer(compression)
        self.addCleanup(peer.close)
        return peer.address

    def test_blocking_client_round_trips_every_length_form(self):
        with ws_client.connect(self.peer(), subprotocols=["chat"]) as socket:
            self.assertEqual(socket.subprotocol, "chat")
            for size in (0, 1, 125, 126, 65535, 65536, 200000):
                socket.send("a" * size)
                self.assertEqual(socket.recv(), "a" * size)
            socket.send(b"\x00\xff")
            self.assertEqual(socket.recv(), b"\x00\xff")
            self.assertEqual(socket.close(1000), 1000)

    def test_fragments_and_ping(self):
        with ws_client.connect(self.peer()) as socket:
            socket.send_frame(ws_client.TEXT, b"one ", fin=False)
            socket.ping(b"now")
            socket.send_frame(ws_client.CONTINUATION, b"two")
            self.assertEqual(socket.recv(), "one two")
            self.assertEqual(socket.pongs, [b"now"])

    def test_deflate_both_ways(self):
        with ws_client.connect(self.peer("deflate"), extensions="permessage-deflate") as socket:
            for text in ("hello hello hello", "hello hello hello again"):
                socket.send_deflated(text)
                self.assertEqual(socket.recv(), text)

    def test_unmasked_frame_is_refused_by_the_peer(self):
        with ws_client.connect(self.peer()) as socket:
            socket.send_frame(ws_client.TEXT, b"x", mask=False)
            self.assertEqual(socket.recv_close(), 1002)

    def test_asyncio_client(self):
        address = self.peer()

        async def run():
            socket = await ws_asyncio.connect(address, source="127.0.0.9")
            await socket.send("hello")
            self.assertEqual(await socket.recv(), "hello")
            self.assertEqual(await socket.close(1001), 1001)

        asyncio.run(run())


class RecordingBackend(beamgate.TestCase):
    def ask(self, target_backend, path, body=None):
        connection = http.client.HTTPConnection(target_backend.address, timeout=10)
        self.addCleanup(connection.close)
        connection.request("POST" if body else "GET", path, body)
        return connection.getresponse()

    def test_ordinary_and_huge_replies(self):
        app = self.backend()
        app.on("/hello", lambda request: backend.Reply(201, "hello " + request.text))
        app.on("/huge", backend.Huge(1 << 20, chunked=True))
        answer = self.ask(app, "/hello", "ann")
        self.assertEqual((answer.status, answer.read()), (201, b"hello ann"))
        self.assertEqual(len(self.ask(app, "/huge").read()), 1 << 20)
        self.assertEqual(app.wait(path="/hello").body, b"ann")

    def test_misbehaviour(self):
        app = self.backend()
        for path, behaviour, error in (("/cut", backend.Cut(), http.client.IncompleteRead),
                                       ("/garbage", backend.Garbage(), http.client.BadStatusLine),
                                       ("/reset", backend.Reset(), ConnectionResetError)):
            app.on(path, behaviour)
            with self.assertRaises(error):
                self.ask(app, path).read()


class StandardWebhooks(unittest.TestCase):
    """The example that the specification itself gives, and its rejected twins."""

    SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    BODY = b'{"test": 2432232314}'
    FIELDS = Fields([("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"), ("webhook-timestamp", "1614265330"),
                     ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")])

    def test_example_of_the_specification(self):
        standard_webhooks.verify(self.SECRET, self.FIELDS, self.BODY, now=1614265330)

    def test_changed_body_and_old_time_are_refused(self):
        for body, now in ((self.BODY + b" ", 1614265330), (self.BODY, 1614265330 + 301)):
            with self.assertRaises(standard_webhooks.Invalid):
                standard_webhooks.verify(self.SECRET, self.FIELDS, body, now=now)


if __name__ == "__main__":
    beamgate.main()
