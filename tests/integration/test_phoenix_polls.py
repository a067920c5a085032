"""Phoenix channels over long polls: the official client, unmodified, against several workers; and, poll by poll, what it
never sends, and what becomes of sessions and of polls that are held."""

import json
import os
import threading
import time
from signal import SIGHUP, SIGKILL

import beamgate
import continuity
import http_client
import phoenix


UPGRADE = "upgrade_trial 50ms; worker_shutdown_timeout 6s;"  # Old workers keep sessions for half of that.


class TheOfficialClient(phoenix.OfficialClient):
    def test_talks(self):
        self.talk("poll_talk")

    def test_sees_who_is_there(self):
        self.sees_who_is_there("poll_presence")

    def test_users(self):
        self.users("poll_users")

    def test_falls_back_to_polls(self):
        self.serve()
        self.assertEqual(len(self.play("fallback")), 1)

    def kill_workers(self):
        before = set(self.server.wait_workers(2))
        for pid in before:
            os.kill(pid, SIGKILL)
        beamgate.until(lambda: len(set(self.server.wait_workers(2)) - before) == 2)

    def test_comes_back(self):
        self.serve(workers=2, main=UPGRADE)
        self.server.deaths_expected = True

        def reload():
            mark = self.server.log_mark()
            self.server.signal(SIGHUP)
            self.server.wait_log(r"#worker: configuration_in_force", count=2, after=mark)

        actions = {"reload": reload, "upgrade": self.upgrade, "kill workers": self.kill_workers}
        self.assertEqual(len(self.play("poll_come_back", actions)), 4)

    def test_earlier_clients_come_back(self):
        """They take 410 for the beginning of a session, in which they had nothing to join."""
        for version in ("1.4", "1.7"):
            with self.subTest(version):
                self.serve(workers=2)
                self.server.expect_deaths()

                def close():
                    listed = http_client.get(self.server.address(), "/api/connections?channel=room:1").json()
                    for connection in listed["result"]["connections"]:
                        path = f"/api/connections/{connection['id']}"
                        self.assertEqual(http_client.request(self.server.address(), "DELETE", path).status, 200)

                def publish():
                    self.api("publish", {"channel": "room:1", "data": {"n": 1}})
                actions = {"kill workers": self.kill_workers, "close": close, "publish": publish}
                self.assertEqual(len(self.play(f"poll_rejoin_{version}", actions)), 2)

    def test_application(self):
        self.webhook("poll_webhook")


class Polls(phoenix.TestCase):
    def request(self, method="GET", token=None, body=b"", query="vsn=2.0.0", headers=(), target="/socket/longpoll"):
        target += "?" + query + (f"&token={token}" if token else "")
        response = http_client.request(self.server.address(), method, target, dict(headers), body,
                                       timeout=60)  # A poll is held for 10 s.
        self.last = response
        return response.json() if response.body else None

    def session(self):
        answer = self.request()
        self.assertEqual((answer["status"], answer["messages"]), (410, []))
        self.assertEqual(self.last.status, 200)
        return answer["token"]

    def push(self, token, *frames):
        body = "\n".join(frame if isinstance(frame, str) else json.dumps(frame) for frame in frames)
        return self.request("POST", token, body.encode(), headers={"Content-Type": "application/x-ndjson"})

    def fetch(self, token, count):
        """Messages, by as many polls as it takes."""
        messages = []
        while len(messages) < count:
            answer = self.request(token=token)
            self.assertEqual(answer["status"], 200)
            messages += map(json.loads, answer["messages"])
        return messages

    def test_every_worker_serves_every_session(self):
        self.serve(workers=4)
        tokens = [self.session() for _ in range(12)]
        self.assertGreater(len({token[:4] for token in tokens}), 1)  # Sessions of several workers.
        for token in tokens:
            self.assertEqual(self.push(token, ["1", "1", "t", "phx_join", {}])["status"], 200)
            self.assertEqual(self.fetch(token, 1),
                             [["1", "1", "t", "phx_reply", {"status": "ok", "response": {}}]])
        for i, token in enumerate(tokens):  # Each request is a connection of its own, to any worker.
            self.assertEqual(self.push(token, *(["1", None, "t", "say", [i, j]] for j in range(100)))["status"], 200)
        for i, token in enumerate(tokens):
            said = [frame[4] for frame in self.fetch(token, 1100)]
            self.assertEqual([each for each in said if each[0] == i], [])
            for other in set(range(12)) - {i}:
                self.assertEqual([each[1] for each in said if each[0] == other], list(range(100)))

    def test_a_poll_waits(self):
        self.serve(workers=4)
        tokens = [self.session() for _ in range(4)]
        for token in tokens:
            self.push(token, ["1", "1", "t", "phx_join", {}])
            self.fetch(token, 1)
        held = []
        threads = [threading.Thread(target=lambda token=token: held.append(
            http_client.request(self.server.address(), "GET", f"/socket/longpoll?vsn=2.0.0&token={token}").json()))
            for token in tokens]
        for thread in threads:
            thread.start()
        began = time.monotonic()
        # Held by exactly these requests until something is said.
        beamgate.until(lambda: self.api("channels", {})["channels"]["t"]["num_clients"] == 4)
        self.api("publish", {"channel": "t", "data": {"x": 1}})
        for thread in threads:
            thread.join(10)
        self.assertLess(time.monotonic() - began, 5)
        self.assertEqual([each["messages"] for each in held], [['[null,null,"t","message",{"x":1}]']] * 4)

    def test_an_empty_poll_ends(self):
        self.serve(workers=1)
        token = self.session()
        began = time.monotonic()
        answer = self.request(token=token)
        self.assertEqual(answer, {"status": 204, "token": token, "messages": []})
        self.assertGreater(time.monotonic() - began, 9)

    def test_refusals(self):
        self.serve(workers=2, location="websocket_origins https://good.example;")
        self.assertEqual(self.request(query="vsn=1.0.0"), {"status": 403})
        token = self.session()
        lost = (token[:-1] + ("0" if token[-1] != "0" else "1"), "0" * 16 + "." + "0" * 32)
        for bad in ("nonsense", token[:16], *lost):
            self.assertEqual(self.push(bad, ["1", "1", "t", "phx_join", {}]), {"status": 410}, bad)
            answer = self.request(token=bad)
            if bad in lost:
                self.assertEqual(answer, {"status": 500})
            else:
                self.assertEqual(answer["status"], 410, "another session")
                self.assertNotEqual(answer["token"], bad)
        self.assertEqual(self.push(token, "not base64!"), {"status": 400})
        self.assertEqual(self.push(token, *(["1", None, "t", "say", {}] for _ in range(101))), {"status": 400})
        self.assertEqual(self.push(token, ["1", "1", "t", "phx_join", {}]), {"status": 200})
        self.assertEqual(len(self.fetch(token, 1)), 1)
        self.assertEqual(self.request(headers={"Origin": "https://bad.example"}), {"status": 403})
        self.assertIsNone(self.last.header("access-control-allow-origin"))
        self.assertEqual(self.request(headers={"Origin": "https://good.example"})["status"], 410)
        self.assertEqual(self.last.header("access-control-allow-origin"), "https://good.example")
        self.request("OPTIONS", headers={"Origin": "https://good.example"})
        self.assertEqual(self.last.header("access-control-allow-methods"), "GET, POST, OPTIONS")
        self.request("OPTIONS", headers={"Origin": "https://bad.example"})
        self.assertIsNone(self.last.header("access-control-allow-methods"))
        self.assertEqual(http_client.request(self.server.address(), "PUT", "/socket/longpoll").status, 405)
        self.assertEqual(http_client.get(self.server.address(), "/socket/websocket").status, 426)

    def test_a_broken_frame_ends_the_session(self):
        self.serve(workers=2)
        token = self.session()
        self.assertEqual(self.push(token, "[1]"), {"status": 200})
        beamgate.until(lambda: self.push(token, ["1", "1", "t", "phx_join", {}]) == {"status": 410})
        self.assertEqual(self.request(token=token), {"status": 500})

    def test_a_session_is_a_connection(self):
        """The API sees it, sends to it and closes it."""
        self.serve(workers=2)
        token = self.session()
        uid = token[:16]
        path = f"/api/connections/{uid}"

        def call(method, kind="text/plain", body=b""):
            self.assertIn(http_client.request(self.server.address(), method, path, {"Content-Type": kind}, body).status,
                          (200, 204))

        call("GET")
        call("POST", body=b'{"a":1}')
        self.assertEqual(self.request(token=token)["messages"], ['[null,null,"phoenix","message",{"a":1}]'])
        call("POST", "application/octet-stream", b"\xff\0")
        self.assertEqual(self.request(token=token)["messages"],
                         ['[null,null,"phoenix","message",{"base64":"/wA="}]'])
        call("DELETE")
        beamgate.until(lambda: self.push(token, "") == {"status": 410})

    def test_a_client_that_drops_its_poll(self):
        """What its answer would have brought is kept; and it is gone before the poll would have ended and been missed."""
        self.serve(workers=4)
        tokens = [self.session() for _ in range(4)]
        for token in tokens:
            self.push(token, ["1", "1", "t", "phx_join", {}])
            self.fetch(token, 1)
        for again in (True, False):
            connections = [http_client.Connection(self.server.address()) for _ in tokens]
            for connection, token in zip(connections, tokens):
                connection.send(f"GET /socket/longpoll?vsn=2.0.0&token={token} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            for connection in connections:
                connection.close()
            if again:
                self.api("publish", {"channel": "t", "data": 1})
                for token in tokens:
                    self.assertEqual(self.fetch(token, 1), [[None, None, "t", "message", 1]])
        beamgate.until(lambda: "t" not in self.api("channels", {})["channels"], timeout=18, what="the sessions' end")

    def owner(self, token):
        """The process id of the worker that has the session."""
        workers = self.api("info", {})["nodes"][0]["workers"]
        return next(worker["pid"] for worker in workers if worker["worker"] == int(token[:4], 16))

    def holder(self, connection):
        end = connection.wire.sock.getsockname()
        return continuity.workers_of(self.server, {end}).get(end)

    def hold_poll(self, token, connection):
        connection.send(f"GET /socket/longpoll?vsn=2.0.0&token={token} HTTP/1.1\r\nHost: x\r\n"
                        f"Origin: http://x\r\n\r\n".encode())

    def test_a_held_poll_whose_worker_dies(self):
        """Its client is told that the session is gone; or that there is nothing, when it was another worker's."""
        self.serve(workers=2)
        self.server.expect_deaths()
        held = []
        while len({(owner, holder) for _, _, owner, holder in held}) < 4:
            token = self.session()
            self.push(token, ["1", "1", "t", "phx_join", {}])
            self.fetch(token, 1)
            connection = self.track(http_client.Connection(self.server.address(), timeout=60))
            self.hold_poll(token, connection)
            held.append((token, connection, self.owner(token), beamgate.until(lambda: self.holder(connection))))
        beamgate.until(lambda: self.server.metrics()["beamgate_http_requests_active"] > len(held), what="the polls")
        dead = self.server.worker_pids()[0]
        os.kill(dead, SIGKILL)
        for token, connection, owner, holder in held:
            if holder == dead:
                answer = connection.read_response()
                self.assertEqual(answer.header("access-control-allow-origin"), "http://x")
                self.assertEqual(answer.json()["status"], 500 if owner == dead else 204)
        self.api("publish", {"channel": "t", "data": 1})
        for token, connection, owner, holder in held:
            if owner == dead:
                self.assertEqual(self.request(token=token), {"status": 500})
            elif holder == dead:
                self.assertEqual(self.fetch(token, 1), [[None, None, "t", "message", 1]])

    def test_an_upgrade_ends_sessions_and_loses_no_message(self):
        self.serve(workers=2, main=UPGRADE)
        tokens = [self.session() for _ in range(6)]
        for token in tokens:
            self.push(token, ["1", "1", "t", "phx_join", {}])
            self.fetch(token, 1)
        self.upgrade()
        for number in (1, 2):
            self.api("publish", {"channel": "t", "data": number})
        for token in tokens:  # Asked of the new workers, which ask the old ones.
            self.assertEqual([frame[4] for frame in self.fetch(token, 2)], [1, 2])
        for token in tokens:
            while (answer := self.request(token=token))["status"] == 204:
                self.assertEqual(answer["token"], token)
            self.assertEqual(answer, {"status": 500})
            self.assertEqual(self.push(self.session(), ["1", "1", "t", "phx_join", {}])["status"], 200)
        beamgate.until(lambda: len(self.server.worker_pids()) == 2, 20, "the old workers' end")

    def test_a_silent_session_ends(self):
        self.serve(workers=2)
        token = self.session()
        self.push(token, ["1", "1", "t", "phx_join", {}])
        self.fetch(token, 1)
        self.assertEqual(self.api("channels", {})["channels"], {"t": {"num_clients": 1}})
        beamgate.until(lambda: "t" not in self.api("channels", {})["channels"], timeout=60, what="the session's end")
        self.assertEqual(self.push(token, ""), {"status": 410})


if __name__ == "__main__":
    beamgate.main()
