"""Who is there, and what was said: right over workers, and over their deaths, reloads, upgrades and the master's death.

The clients speak Centrifuge's JSON; what is looked at is the hub's."""

import json
import os
import threading
from signal import SIGHUP, SIGKILL, SIGQUIT, SIGTERM

import beamgate
import centrifuge_client
import continuity
import http_client
import standard_webhooks
import ws_client
from backend import Backend, Reply

HTTP = """
channels room* {{ presence on; history 1000 10m; presence_limit 50; {more} }}
channels small {{ history 3 10m; }}
channels discreet {{ presence on; join_leave off; }}
users {{ presence_leave_delay {delay}; history 10 10m; {users} }}
server {{
    listen 127.0.0.1:0;
    location = /connection {{ websocket centrifuge; }}
    location = /raw {{ websocket raw; webhook app; }}
    location /api/ {{ api on; }}
    location = /metrics {{ metrics on; }}
}}
"""
APP = "webhook app {{ url {url}; secret {secret}; batch_delay 1ms; retry_delay 50ms; retry_delay_max 200ms; }}\n"
SECRET = standard_webhooks.new_secret("presence")


class Presence(continuity.TestCase):
    def begin(self, more="", users="", delay="0", copy=False, behaviour=None, **options):
        self.backend = self.track(Backend(behaviour or Reply(200), secret=SECRET))
        http = APP.format(url=self.backend.url, secret=SECRET) + HTTP.format(more=more, users=users, delay=delay)
        (self.start_copy if copy else self.start)(http=http, **options)
        return self.running

    def join(self, channel="room", **params):
        client = self.track(centrifuge_client.connect(self.running.address(), timeout=30))
        client.state = client.call("subscribe", channel=channel, **params)
        return client

    def api(self, method, **params):
        answer = http_client.post(self.running.address(), f"/api/{method}", params).json()
        self.assertNotIn("error", answer, f"{method} {params}")
        return answer["result"]

    def members(self, channel="room"):
        return sorted(self.api("presence", channel=channel)["presence"])

    def spread(self, count, channel="room"):
        """Clients on two workers at least."""
        clients = [self.join(channel) for _ in range(count)]
        while len(set(self.owners(clients).values())) < 2:
            clients.append(self.join(channel))
        return clients

    def owners(self, clients):
        """A client's id to the process id of the worker that holds its connection."""
        ids = {client.socket.wire.sock.getsockname(): client.id for client in clients}
        return {ids[end]: pid for end, pid in self.workers_of(ids).items()}

    def publish(self, first, count, channel="room"):
        for n in range(first, first + count):
            self.api("publish", channel=channel, data=n)

    def check_all_hear(self, clients, data="after"):
        self.api("publish", channel="room", data=data)
        for client in clients:
            while client.push("pub")["data"] != data:
                pass

    # Members.

    def test_one_list_over_all_workers(self):
        self.begin(workers=3)
        clients = self.spread(6)
        self.assertEqual(self.members(), sorted(client.id for client in clients))
        gone = clients.pop()
        gone.close()
        for client in clients:
            self.assertEqual(client.push("leave")["info"]["client"], gone.id)
        self.assertEqual(self.members(), sorted(client.id for client in clients))
        stats = self.api("presence_stats", channel="room")
        self.assertEqual(stats, {"num_clients": len(clients), "num_users": len(clients)})

    def test_members_are_told_who_comes_and_goes_unless_that_is_off(self):
        self.begin(workers=2)
        channels = ("discreet", "room")
        watcher, other = (self.track(centrifuge_client.connect(self.running.address())) for _ in range(2))
        for client in (watcher, other):
            for channel in channels:
                client.call("subscribe", channel=channel)
        self.assertEqual(self.members("discreet"), sorted([watcher.id, other.id]))
        for channel in channels:
            other.call("unsubscribe", channel=channel)
        self.assertEqual(watcher.push("leave", "room")["info"]["client"], other.id)
        self.api("publish", channel="discreet", data="after")
        seen = watcher.pushes_until("pub")
        self.assertEqual([push for push in seen if push["channel"] == "discreet"], [])
        self.assertEqual([push["join"]["info"]["client"] for push in seen], [watcher.id, other.id])
        self.assertEqual(self.members("discreet"), [watcher.id])

    def test_a_worker_that_dies_for_good_takes_its_members_with_it(self):
        self.begin(workers=2, main="worker_keeper off;")
        clients = self.spread(4)
        victim = self.running.worker_pids()[0]
        owners = self.owners(clients)
        gone = sorted(client.id for client in clients if owners[client.id] == victim)
        stay = [client for client in clients if owners[client.id] != victim]
        self.assertTrue(gone and stay)
        os.kill(victim, SIGKILL)
        for client in stay:
            self.assertEqual(sorted(client.push("leave")["info"]["client"] for _ in gone), gone)
        self.assertEqual(self.members(), sorted(client.id for client in stay))
        self.running.expect_deaths()

    def test_a_worker_whose_connections_are_adopted_keeps_its_members(self):
        self.begin(workers=2)
        clients = self.spread(4)
        ids = sorted(client.id for client in clients)
        for victim in self.running.worker_pids():
            self.wait_slots(2)
            os.kill(victim, SIGKILL)
            self.wait_slots(2, without=[victim])
        self.check_all_hear(clients)
        self.assertEqual(self.members(), ids)
        self.assertEqual([push for client in clients for push in client.pushes if "leave" in push], [])
        gone = clients.pop()
        gone.close()
        for client in clients:
            self.assertEqual(client.push("leave")["info"]["client"], gone.id)
        self.running.expect_deaths()

    def test_reloads_change_nobody(self):
        self.begin(workers=2)
        clients = self.spread(4)
        ids = sorted(client.id for client in clients)
        for _ in range(3):
            self.reload()
        self.check_all_hear(clients)
        self.assertEqual(self.members(), ids)
        self.assertEqual([push for client in clients for push in client.pushes if "leave" in push], [])

    @continuity.needs_next
    def test_an_upgrade_changes_nobody(self):
        self.begin(workers=2, copy=True)
        clients = self.spread(4)
        ids = sorted(client.id for client in clients)
        self.publish(0, 5)
        place = self.api("history", channel="room", limit=0)
        self.publish(5, 5)
        self.install(os.environ["BEAMGATE_NEXT"])
        self.upgrade()
        self.check_all_hear(clients)
        self.assertEqual(self.members(), ids)
        late = self.join(recover=True, epoch=place["epoch"], offset=place["offset"])
        self.assertTrue(late.state["recovered"])
        self.assertEqual([pub["data"] for pub in late.state["publications"]], [5, 6, 7, 8, 9, "after"])

    def test_a_new_master_learns_who_is_there(self):
        self.begin(workers=2)
        clients = self.spread(4)
        ids = sorted(client.id for client in clients)
        self.running.lose_master()
        gone = clients.pop()
        gone.close()
        ids.remove(gone.id)
        self.running.start_another_master()
        beamgate.until(lambda: self.members() == ids, 20, "the members")
        self.check_all_hear(clients)

    # History.

    def test_who_comes_back_gets_what_it_has_missed_once_and_in_order(self):
        self.begin(workers=2)
        client = self.join()
        self.publish(0, 10)
        while client.push("pub")["data"] != 9:
            pass
        place = {"epoch": client.state["epoch"], "offset": 10}
        client.close()
        self.publish(10, 100)
        client = self.join(recover=True, **place)
        self.assertTrue(client.state["recovered"] and client.state["was_recovering"])
        self.assertEqual([pub["data"] for pub in client.state["publications"]], list(range(10, 110)))
        self.publish(110, 1)
        self.assertEqual(client.push("pub"), {"data": 110, "offset": 111})

    def test_what_is_not_whole_is_not_recovered(self):
        self.begin()
        place = self.join("small").state
        self.publish(0, 4, "small")
        late = self.join("small", recover=True, epoch=place["epoch"], offset=place["offset"])
        self.assertFalse(late.state.get("recovered", False))
        self.assertEqual(late.state.get("publications", []), [])
        other = self.join("small", recover=True, epoch="another", offset=4)
        self.assertFalse(other.state.get("recovered", False))
        near = self.join("small", recover=True, epoch=place["epoch"], offset=1)
        self.assertEqual([pub["data"] for pub in near.state["publications"]], [1, 2, 3])

    # Users.

    def test_a_message_for_a_user_that_is_away_waits(self):
        self.begin(behaviour=Reply(200, {"user": "ada"}, {"Content-Type": "application/vnd.beamgate+json"}))
        for n in range(3):
            answer = http_client.post(self.running.address(), "/api/users/ada", f"note {n}", {"Content-Type": "text/plain"})
            self.assertEqual(answer.status, 200, answer.text)
        ada = self.track(ws_client.connect(self.running.address(), "/raw"))
        self.assertEqual([ada.recv() for _ in range(3)], ["note 0", "note 1", "note 2"])
        http_client.post(self.running.address(), "/api/users/ada", "live", {"Content-Type": "text/plain"})
        self.assertEqual(ada.recv(), "live")
        tab = self.track(ws_client.connect(self.running.address(), "/raw"))
        http_client.post(self.running.address(), "/api/users/ada", "both", {"Content-Type": "text/plain"})
        self.assertEqual((ada.recv(), tab.recv()), ("both", "both"))
        ada.close()
        tab.close()
        beamgate.until(lambda: not self.online(), 10, "nobody")
        http_client.post(self.running.address(), "/api/users/ada", "later", {"Content-Type": "text/plain"})
        self.assertEqual(self.track(ws_client.connect(self.running.address(), "/raw")).recv(), "later")

    def online(self):
        return [user["user"] for user in self.api("users")["users"] if user["connections"]]

    def test_session_events_wait_for_their_application(self):
        away = True
        delivered = []

        def application(request):
            if request.type == "beamgate.connect":
                user = request.header("beamgate-uri").split("=")[1]
                return Reply(200, {"user": user}, {"Content-Type": "application/vnd.beamgate+json"})
            if away:
                return Reply(500)  # Unlike 503, nothing that opens the breaker.
            delivered.append((request.header("webhook-id"), json.loads(request.body)))
            return Reply(204)

        self.begin(users="presence_webhook app;", behaviour=application, workers=2)
        cursor = self.api("users")["cursor"]
        expected = set()
        for n in range(20):
            client = self.track(ws_client.connect(self.running.address(), f"/raw?user=u{n}"))
            expected.add((f"u{n}", "beamgate.user.online"))
            if n % 2:
                client.close()
                expected.add((f"u{n}", "beamgate.user.offline"))
        beamgate.until(lambda: len(self.online()) == 10, 10, "the users")
        victim = self.running.worker_pids()[0]
        self.wait_slots(2)
        os.kill(victim, SIGKILL)
        self.wait_slots(2, without=[victim])
        changes = self.api("user_changes", since=cursor)
        self.assertEqual({(change["user"], change["type"]) for change in changes["changes"]}, expected)
        away = False

        def facts():
            return [event for _, events in delivered for event in events if event["type"].startswith("beamgate.user.")]
        beamgate.until(lambda: len(facts()) >= len(expected), 30, "all session events")
        self.assertEqual({(event["data"]["user"], event["type"]) for event in facts()}, expected)
        ids = [event["id"] for event in facts()]
        self.assertEqual(len(ids), len(set(ids)), "an event came twice")
        batches = [webhook_id for webhook_id, _ in delivered]
        self.assertEqual(len(batches), len(set(batches)), "a batch came twice")
        self.running.expect_deaths()

    def test_session_events_outlive_the_workers_that_have_them(self):
        """Those that leave, since there are to be fewer workers or another binary, give them to those that stay."""
        away = threading.Event()
        away.set()
        facts = []

        def application(request):
            if request.type == "beamgate.connect":
                user = request.header("beamgate-uri").split("=")[1]
                return Reply(200, {"user": user}, {"Content-Type": "application/vnd.beamgate+json"})
            if away.is_set():
                return Reply(500)  # Unlike 503, nothing that opens the breaker.
            facts.extend((event["data"].get("user"), event["type"]) for event in json.loads(request.body))
            return Reply(204)

        self.begin(copy=True, users="presence_webhook app;", behaviour=application, workers=4)
        for n in range(40):
            self.track(ws_client.connect(self.running.address(), f"/raw?user=u{n}")).close()
        beamgate.until(lambda: not self.online(), 10, "nobody")
        self.running.write_config(workers=1)
        self.running.signal(SIGHUP)
        self.running.wait_workers(1, timeout=30)
        self.upgrade()
        beamgate.until(lambda: len(self.running.worker_pids()) == 1, 30, "one worker")
        away.clear()
        kinds = ("beamgate.user.online", "beamgate.user.offline")
        expected = {(f"u{n}", kind) for n in range(40) for kind in kinds}

        def told():
            return [fact for fact in facts if fact[1] in kinds]
        beamgate.until(lambda: len(told()) >= len(expected), 30, "all session events")
        self.assertEqual(sorted(told()), sorted(expected), "each once")
        self.assertNotIn("webhook_events_lost", self.running.log())

    def test_the_end_of_the_gateway_ends_all_sessions(self):
        """Whichever worker ends last, and however they are ended: one of them tells of everybody."""
        def application(request):
            if request.type == "beamgate.connect":
                user = request.header("beamgate-uri").split("=")[1]
                return Reply(200, {"user": user}, {"Content-Type": "application/vnd.beamgate+json"})
            return Reply(204)

        for signal, delay in ((SIGTERM, "0"), (SIGQUIT, "0"), (SIGTERM, "1m"), (SIGTERM, "0"), (SIGQUIT, "0")):
            with self.subTest(signal=signal, delay=delay):
                self.begin(users="presence_webhook app;", delay=delay, behaviour=application, workers=2,
                           main="worker_shutdown_timeout 1s;")
                users = [f"u{n}" for n in range(20)]
                for user in users:  # They don't answer a Close.
                    self.track(ws_client.connect(self.running.address(), f"/raw?user={user}"))
                self.running.signal(signal)
                self.running.check_ended()
                gone = [event["data"]["user"] for event in self.backend.events("beamgate.user.offline")]
                self.assertEqual(sorted(gone), sorted(users))
                self.assertNotIn("webhook_events_lost", self.running.log())

    def test_sessions_that_nobody_hears_the_end_of_are_counted(self):
        def application(request):
            if request.type != "beamgate.connect":
                return Reply(500)
            return Reply(200, {"user": "ann"}, {"Content-Type": "application/vnd.beamgate+json"})

        self.begin(users="presence_webhook app;", behaviour=application)
        self.track(ws_client.connect(self.running.address(), "/raw?user=ann"))
        self.running.signal(SIGTERM)
        self.running.check_ended()
        self.assertRegex(self.running.log(), r"webhook_events_lost at_least=[1-9]")

    def test_cursors_that_are_none(self):
        self.begin()
        for since in ("", "1", "a-b", "1-2-3"):
            answer = http_client.post(self.running.address(), "/api/user_changes", {"since": since}).json()
            self.assertEqual(answer["error"]["code"], 107, since)
        self.assertFalse(self.api("user_changes", since="1-0")["known"], "of another incarnation")

    # Many.

    def test_above_the_limit_there_are_numbers(self):
        self.begin(workers=2)
        clients = [self.join() for _ in range(60)]
        answer = http_client.post(self.running.address(), "/api/presence", {"channel": "room"}).json()
        self.assertEqual(answer["error"]["code"], 106)
        self.assertEqual(self.api("presence_stats", channel="room"), {"num_clients": 60, "num_users": 60})
        self.check_all_hear(clients[:1])
        joins = [push for push in clients[0].pushes if "join" in push]
        self.assertTrue(40 <= len(joins) <= 50, f"{len(joins)} of those below the limit, itself included")
        clients[-1].close()
        beamgate.until(lambda: self.api("presence_stats", channel="room")["num_users"] == 59, 10, "one less")
        self.check_all_hear(clients[:1], "later")
        self.assertEqual([push for push in clients[0].pushes if "leave" in push], [])


if __name__ == "__main__":
    beamgate.main()
