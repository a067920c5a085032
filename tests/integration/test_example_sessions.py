"""The example that stores who was watching in PostgreSQL, and what happens when either side is away meanwhile."""

import json
import os
import subprocess
from signal import SIGKILL, SIGTERM

import beamgate
import http_client
import standard_webhooks
import ws_client
from chat_example import EXAMPLES, KEY, answers, free_port
from postgres import Postgres

SECRET = standard_webhooks.new_secret("sessions")


class Application:
    def __init__(self, dsn, port, api, catch_up_s="0.2"):
        self.address = f"127.0.0.1:{port}"
        env = {**os.environ, "PORT": str(port), "BEAMGATE_SECRETS": SECRET, "BEAMGATE_API": f"http://{api}/api",
               "BEAMGATE_API_KEY": KEY, "DATABASE": dsn, "CATCH_UP_S": catch_up_s}
        self.process = subprocess.Popen(["/usr/bin/python3", "-B", "sessions.py"], cwd=EXAMPLES / "sessions", env=env,
                                        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        os.set_blocking(self.process.stderr.fileno(), False)
        beamgate.until(lambda: answers(self.address), 30, "the application")

    def rows(self):
        return json.loads(http_client.get(self.address, "/").body)

    def close(self, number=SIGTERM):
        if self.process.poll() is None:
            os.kill(self.process.pid, number)
            self.process.wait(10)
        self.process.stderr.close()


class Sessions(beamgate.TestCase):
    def setUp(self):
        self.postgres = self.track(Postgres())
        self.port = free_port()
        self.server = self.start_gateway()

    def start_gateway(self, port=0):
        text = (EXAMPLES / "sessions" / "beamgate.conf").read_text()
        for old, new in (("listen 127.0.0.1:8080;", f"listen 127.0.0.1:{port};"),
                         ("worker_processes auto;", "worker_processes 2;"),
                         ("127.0.0.1:9000", f"127.0.0.1:{self.port}"),
                         ("whsec_ZXhhbXBsZSBzZWNyZXQsIGNoYW5nZSBpdCBpbiBib3RoIQ==", SECRET),
                         ("example-key-change-it-in-both", KEY),
                         ("presence_leave_delay 5s", "presence_leave_delay 300ms"),
                         ("retry_delay_max 5s", "retry_delay_max 500ms")):
            self.assertIn(old, text)
            text = text.replace(old, new)
        return self.gateway(config=text)

    def application(self, catch_up_s="1000"):
        return self.track(Application(self.postgres.dsn, self.port, self.server.address(), catch_up_s))

    def watch(self, user):
        return self.track(ws_client.connect(self.server.address(), f"/watch?user={user}"))

    def wait_rows(self, application, expected, what):
        """expected: (user, has ended) in the order of their beginnings."""
        def reached():
            rows = sorted(application.rows(), key=lambda row: row["started"])
            return [(row["user"], row["ended"] is not None) for row in rows] == expected
        try:
            beamgate.until(reached, 20, what)
        except AssertionError as error:
            raise AssertionError(f"{what}: {application.rows()}") from error

    def test_sessions_are_kept(self):
        application = self.application()
        ada = self.watch("ada")
        self.wait_rows(application, [("ada", False)], "ada is there")
        tab = self.watch("ada")
        ada.close()
        again = self.watch("ada")
        tab.close()
        bob = self.watch("bob")
        self.wait_rows(application, [("ada", False), ("bob", False)], "one row, however many tabs")
        again.close()
        reloaded = self.watch("ada")  # Within presence_leave_delay.
        bob.close()
        self.wait_rows(application, [("ada", False), ("bob", True)], "a page's reload is no news")
        reloaded.close()
        self.wait_rows(application, [("ada", True), ("bob", True)], "both have gone")

    def test_an_application_that_was_away_hears_of_everything(self):
        application = self.application()
        ada = self.watch("ada")
        bob = self.watch("bob")
        self.wait_rows(application, [("ada", False), ("bob", False)], "both are there")
        application.close(SIGKILL)
        ada.close()
        beamgate.until(lambda: self.online() == ["bob"], 10, "the gateway knows")
        application = self.application()
        self.wait_rows(application, [("ada", True), ("bob", False)], "what was missed has been told")
        bob.close()
        self.wait_rows(application, [("ada", True), ("bob", True)], "and it goes on")

    def test_a_gateway_that_was_away_is_compared_with(self):
        application = self.application("0.2")
        ada = self.watch("ada")
        self.wait_rows(application, [("ada", False)], "ada is there")
        address = self.server.address()
        port = address.rsplit(":", 1)[1]
        self.server.stop()
        ada.close()
        self.server = self.start_gateway(port)
        self.watch("eve")
        self.wait_rows(application, [("ada", True), ("eve", False)], "the new gateway doesn't know ada")

    def test_a_database_that_was_away_loses_nothing(self):
        application = self.application()
        ada = self.watch("ada")
        self.wait_rows(application, [("ada", False)], "ada is there")
        self.postgres.stop()
        bob = self.watch("bob")
        ada.close()
        beamgate.until(lambda: self.online() == ["bob"], 10, "the gateway knows")
        self.postgres.start()
        self.wait_rows(application, [("ada", True), ("bob", False)], "what was refused has come again")
        bob.close()
        self.wait_rows(application, [("ada", True), ("bob", True)], "and it goes on")

    def online(self):
        response = http_client.post(self.server.address(), "/api/users", b"{}",
                                    headers={"X-API-Key": KEY, "Content-Type": "application/json"})
        return sorted(user["user"] for user in json.loads(response.body)["result"]["users"] if user["connections"] > 0)


if __name__ == "__main__":
    beamgate.main()
