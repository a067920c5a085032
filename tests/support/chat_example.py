"""The chat application of conf/examples/, the same in every language: started, judged alone, and driven.

A test file names the command and gets these tests:

    class Example(chat_example.Tests, beamgate.TestCase):
        directory, command = "python", ["/usr/bin/python3", "chat.py"]
"""

import json
import os
import shutil
import socket
import subprocess
import time
from signal import SIGKILL, SIGTERM

import beamgate
import http_client
import standard_webhooks
import ws_client
from backend import Reply

EXAMPLES = beamgate.SOURCE_ROOT / "conf" / "examples"
KEY = "a-key-for-this-test"
OLD_SECRET, SECRET = standard_webhooks.new_secret("old"), standard_webhooks.new_secret("new")


def free_port():
    """A port nobody has at the moment, for programs that can't take port 0 and say which one they got."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(address):
    try:
        return http_client.get(address, "/").status == 200
    except (OSError, EOFError):
        return False


class Application:
    """The example's process, told where the API is."""

    def __init__(self, directory, command, api, port):
        self.port = port
        self.address = f"127.0.0.1:{self.port}"
        env = {**os.environ, "PORT": str(self.port), "BEAMGATE_SECRETS": f"{OLD_SECRET} {SECRET}",
               "BEAMGATE_API": f"http://{api}/api", "BEAMGATE_API_KEY": KEY, "PHP_CLI_SERVER_WORKERS": "4"}
        self.process = subprocess.Popen([part.replace("PORT", str(self.port)) for part in command],
                                        cwd=EXAMPLES / directory, env=env, start_new_session=True,
                                        stdin=subprocess.DEVNULL)
        beamgate.until(self._serves, 60, f"{command} serving on {self.address}")

    def _serves(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the application ended with {self.process.returncode}")
        return answers(self.address)

    def close(self):
        for number in (SIGTERM, SIGKILL):
            for pid in beamgate.session_members(self.process.pid):
                os.kill(pid, number)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                continue
            if not beamgate.session_members(self.process.pid):
                return


class BehindGateway:
    """Driven by two clients, with the example's own configuration."""

    directory = None

    def configuration(self, port):
        text = (EXAMPLES / self.directory / "beamgate.conf").read_text()
        for old, new in (("listen 127.0.0.1:8080;", "listen 127.0.0.1:0;"),
                         ("worker_processes auto;", "worker_processes 2;"),
                         ("error_log stderr notice;", "error_log stderr info;"),
                         ("http://127.0.0.1:9000", f"http://127.0.0.1:{port}"),
                         ("secret whsec_ZXhhbXBsZSBzZWNyZXQsIGNoYW5nZSBpdCBpbiBib3RoIQ==;", f"secret {SECRET};"),
                         ("api_key example-key-change-it-in-both;", f"api_key {KEY};")):
            self.assertIn(old, text)
            text = text.replace(old, new)
        return ("user root;\n" if os.geteuid() == 0 else "") + text

    def start_both(self):
        port = free_port()
        gateway = self.gateway(start=False)
        gateway.write_config(self.configuration(port))
        gateway.start()
        self.application(gateway.address(), port)
        return gateway.address()

    def join(self, address, name):
        client = self.track(ws_client.connect(address, f"/chat?name={name}"))
        self.assertEqual(client.recv(), f"* welcome to lobby, {name}")
        return client

    def test_two_clients_chat(self):
        address = self.start_both()
        ann = self.join(address, "ann")
        self.assertEqual(ann.recv(), "* ann joined")
        bob = self.join(address, "bob")
        for client in (ann, bob):
            self.assertEqual(client.recv(), "* bob joined")
        ann.send("hello, böb")
        for client in (ann, bob):
            self.assertEqual(client.recv(), "ann: hello, böb")
        bob.send("/me waves")
        for client in (ann, bob):
            self.assertEqual(client.recv(), "* bob waves")
        bob.send("/who")
        self.assertEqual(bob.recv(), "* you are bob, one of 2 in lobby")
        bob.close()
        self.assertEqual(ann.recv(), "* bob left")  # And not bob's answer before it.

    def test_pages_and_refusals(self):
        address = self.start_both()
        page = http_client.get(address, "/")
        self.assertEqual((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"))
        self.assertIn("<title>Chat</title>", page.text)
        with self.assertRaises(ws_client.Refused) as refused:
            ws_client.connect(address, "/chat?name=")
        self.assertEqual(refused.exception.status, 403)
        self.assertIn("1 to 32 letters", refused.exception.response.text)
        self.assertEqual(http_client.post(address, "/beamgate", b"").status, 404)
        self.assertIn(http_client.post(address, "/api/publish", {"channel": "lobby", "data": "x"}).status, (401, 403))


class Tests(BehindGateway):
    """All of it, for an example that is a program of its own."""

    command = None

    @classmethod
    def setUpClass(cls):
        if not shutil.which(cls.command[0]):
            raise AssertionError(f"{cls.command[0]} is missing; ./packaging/install-dependencies test installs it")

    def application(self, api, port=None):
        application = Application(self.directory, self.command, api, port or free_port())
        self.addCleanup(application.close)
        return application

    # The application alone: this test is the gateway.

    def call(self, application, kind, body=b"", secret=SECRET, age_s=0, tampered=False, **fields):
        stamp = str(int(time.time()) - age_s)
        headers = {"webhook-id": "msg_1", "webhook-timestamp": stamp, "ce-type": kind,
                   "webhook-signature": "v1,AAAA " + standard_webhooks.signature(secret, "msg_1", stamp, body),
                   **{name.replace("_", "-"): value for name, value in fields.items()}}
        return http_client.post(application.address, "/beamgate", body + (b"!" if tampered else b""), headers)

    def test_only_fresh_and_genuine_webhooks_are_believed(self):
        application = self.application("127.0.0.1:1")
        uri = {"beamgate_uri": "/chat?name=ann"}
        for secret in (OLD_SECRET, SECRET):
            self.assertEqual(self.call(application, "beamgate.connect", secret=secret, **uri).status, 200)
        for wrong in ({"secret": standard_webhooks.new_secret("foreign")}, {"age_s": 301}, {"age_s": -330},
                      {"tampered": True}):
            self.assertEqual(self.call(application, "beamgate.connect", **wrong, **uri).status, 403, wrong)
        self.assertEqual(http_client.post(application.address, "/beamgate", b"").status, 403)

    def test_replies_and_calls(self):
        api = self.backend(lambda request: Reply(200, {"result": {"channels": {"lobby": {"num_clients": 3}}}}))
        application = self.application(api.address)
        reply = self.call(application, "beamgate.connect", beamgate_uri="/chat?name=ann")
        self.assertEqual(reply.header("content-type"), "application/vnd.beamgate+json")
        self.assertEqual(reply.json(), {"user": "ann", "state": "lobby", "subscribe": ["lobby"],
                                        "send": ["* welcome to lobby, ann"]})
        self.assertEqual(self.call(application, "beamgate.connect", beamgate_uri="/chat?name=%3Cb%3E").status, 403)
        ann = {"beamgate_user": "ann", "beamgate_state": "lobby"}
        reply = self.call(application, "beamgate.message", "grüß dich".encode(), **ann)
        self.assertEqual(reply.json(), {"publish": [{"channel": "lobby", "data": "ann: grüß dich"}]})
        reply = self.call(application, "beamgate.message", b"/who", **ann)
        self.assertEqual(reply.text, "* you are ann, one of 3 in lobby")
        self.assertEqual(api.wait(path="/api/channels").json(), {"pattern": "lobby"})
        batch = [{"specversion": "1.0", "type": "beamgate.disconnected", "id": "1", "source": "/x/1",
                  "beamgateuser": "ann", "beamgatestate": "lobby", "data": {}}]
        reply = self.call(application, "", json.dumps(batch).encode(),
                          content_type="application/cloudevents-batch+json")
        self.assertEqual(reply.status, 204)
        published = api.wait(path="/api/publish")
        self.assertEqual((published.query, published.text), ("channel=lobby", "* ann left"))
        self.assertEqual(published.header("content-type"), "text/plain")
        self.assertEqual(published.header("x-api-key"), KEY)
