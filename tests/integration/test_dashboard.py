"""The dashboard: who is let in, what is kept from whom, and the page in a real Chromium.

The browser is driven by support/dashboard.mjs.  What a session is made of is written here once more (mac()), so that
forged and expired ones can be shown."""

import base64
import contextlib
import hashlib
import hmac
import os
import re
import threading
import time
from signal import SIGHUP, SIGUSR2

import beamgate
import centrifuge_client
import continuity
import http_client
import pages
import ws_client
from backend import Actions

TOKEN = "a token of the dashboard"
OTHER_TOKEN = "another token, for rotation"
COOKIE = "beamgate_dashboard"
OWN = {"X-BeamGate-Dashboard": "1"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
DASHBOARD = f'location /dashboard/ {{ dashboard; dashboard_token "{TOKEN}"; dashboard_token "{OTHER_TOKEN}"; }}'
ROOM = """
    channels room { presence on; history 10 10m; }
    server {
        listen 127.0.0.1:0;
        DASHBOARD
        location = /status { status; }
        location = /metrics { metrics; }
        location /api/ { api on; }
        location = /member { websocket centrifuge; webhook app; }
        location / { websocket raw; webhook app; websocket_subscribe room; }
    }
"""
LOCAL = "server { listen 127.0.0.1:0; location /dashboard/ { dashboard; } location = /metrics { metrics; } }"


def mac(token, sealed):
    key = hmac.digest(token.encode(), b"beamgate dashboard session 1", hashlib.sha256)
    return base64.urlsafe_b64encode(hmac.digest(key, sealed.encode(), hashlib.sha256)).rstrip(b"=").decode()


def session(token=TOKEN, lasts_s=12 * 3600, sealed=None):
    if sealed is None:
        sealed = f"{int(time.time()) + lasts_s}.AAAAAAAAAAAAAAAA"
    return f"{sealed}.{mac(token, sealed)}"


def with_session(value):
    return {"Cookie": f"other=1; {COOKIE}={value}", **OWN}


def log_in(address, token=TOKEN, headers=()):
    return http_client.post(address, "/dashboard/login", "token=" + token.replace(" ", "+").replace(",", "%2C"), {**FORM, **dict(headers)})


def server(dashboard=DASHBOARD):
    return f"server {{ listen 127.0.0.1:0; {dashboard} location = /metrics {{ metrics; }} }}"


class Login(beamgate.TestCase):
    def overview(self, address, value):
        return http_client.get(address, "/dashboard/overview", with_session(value)).status

    def test_right_and_wrong(self):
        gateway = self.gateway(server(), workers=2)
        address = gateway.address()
        self.assertIn("name=\"token\"", http_client.get(address, "/dashboard/").text)
        wrong = log_in(address, "something else")
        self.assertEqual((wrong.status, wrong.header("set-cookie")), (403, None))
        self.assertIn("That is not the token.", wrong.text)
        gateway.wait_log(r"\[warn\].* dashboard_login_refused connection=[0-9a-f]{16} client=127\.0\.0\.1 reason=\"wrong token\"")
        self.assertEqual(log_in(address, "").status, 403)
        for token in (TOKEN, OTHER_TOKEN):
            right = log_in(address, token)
            self.assertEqual((right.status, right.header("location")), (303, "./"))
            cookie = right.header("set-cookie")
            self.assertRegex(cookie, rf"^{COOKIE}=\d+\.[\w-]{{16}}\.[\w-]{{43}}; Max-Age=43200; HttpOnly; SameSite=Strict$")
            value = re.match(rf"{COOKIE}=([^;]*)", cookie)[1]
            for _ in range(8):  # Whichever worker answers.
                self.assertEqual(self.overview(address, value), 200)
        self.assertNotIn(TOKEN, gateway.log())

    def test_a_logout_ends_every_copy_of_the_session(self):
        """For whichever worker answers, and after an upgrade; other sessions of the token go on."""
        gateway = self.gateway(server(), workers=2, main="upgrade_trial 0;")
        address = gateway.address()
        value, other = (re.match(rf"{COOKIE}=([^;]*)", log_in(address).header("set-cookie"))[1] for _ in range(2))
        self.assertEqual(self.overview(address, value), 200)
        self.assertEqual(http_client.post(address, "/dashboard/logout", "", {"Cookie": f"{COOKIE}={value}"}).status, 303)
        gateway.wait_log(r"\[notice\].* dashboard_logout connection=[0-9a-f]{16} client=127\.0\.0\.1")

        def check():
            for _ in range(8):
                self.assertEqual((self.overview(address, value), self.overview(address, other)), (401, 200))
        check()
        gateway.signal(SIGUSR2)
        gateway.wait_log(r"\bupgraded workers=2", timeout=60)
        check()

    def test_forged_and_expired(self):
        address = self.gateway(server()).address()
        self.assertEqual(self.overview(address, session()), 200)
        good = session()
        expires, nonce, seal = good.split(".")
        for bad in (session(lasts_s=-1), session(token="a token of somebody else"), good[:-1] + ("A" if good[-1] != "A" else "E"),
                    f"{int(expires) + 9}.{nonce}.{seal}", f"{nonce}.{seal}", seal, "", ".", "..", TOKEN,
                    session(sealed="99999999999999999999.AAAA"), session(sealed="tomorrow.AAAA"), session(sealed="")):
            with self.subTest(bad=bad):
                self.assertEqual(self.overview(address, bad), 401)
        self.assertEqual(http_client.get(address, "/dashboard/overview", OWN).status, 401)
        self.assertNotIn("Overview", http_client.get(address, "/dashboard/", with_session(session(lasts_s=-1))).text)

    def test_the_address_of_the_form_leads_to_the_page(self):
        """It stays in the browser after a wrong token."""
        address = self.gateway(server()).address()
        for headers in ({}, with_session(session())):
            moved = http_client.get(address, "/dashboard/login", headers)
            self.assertEqual((moved.status, moved.header("location")), (303, "./"))
        self.assertEqual(http_client.get(address, "/dashboard/logout").status, 405)

    def test_too_many(self):
        gateway = self.gateway(server(), workers=2)
        address = gateway.address()
        statuses = []
        while not statuses or statuses[-1] != 429:
            statuses.append(log_in(address, "a guess").status)
            self.assertLess(len(statuses), 100, "never refused")
        self.assertGreaterEqual(statuses.count(403), 5)
        self.assertEqual(set(statuses), {403, 429})
        refused = log_in(address, TOKEN)
        self.assertEqual((refused.status, refused.header("set-cookie")), (429, None))
        self.assertGreater(int(refused.header("retry-after")), 0)
        self.assertIn(f"Wait {refused.header('retry-after')} seconds", refused.text)
        self.assertEqual(self.overview(address, session()), 200, "who is in stays in")
        gateway.wait_log("dashboard_login_refused .*too many")

    def test_other_sites(self):
        """A page elsewhere can't log anybody in or out, nor ask for anything."""
        address = self.gateway(server()).address()
        own, other = f"http://{address}", "http://evil.example"
        self.assertEqual(log_in(address, headers={"Origin": own}).status, 303)
        for headers in ({"Origin": other}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}):
            with self.subTest(headers=headers):
                self.assertEqual(log_in(address, headers=headers).status, 403)
                self.assertEqual(http_client.post(address, "/dashboard/logout", "", headers).status, 403)
                for method, path in (("GET", "overview"), ("POST", "api/channels"), ("DELETE", "api/connections/0001000001000001")):
                    answer = http_client.request(address, method, f"/dashboard/{path}", {**with_session(session()), **headers})
                    self.assertEqual(answer.status, 403, path)
        cookie_only = {"Cookie": f"{COOKIE}={session()}", "Origin": own}
        self.assertEqual(http_client.request(address, "DELETE", "/dashboard/api/connections/0001000001000001", cookie_only).status, 403)
        self.assertEqual(http_client.request(address, "DELETE", "/dashboard/api/connections/0001000001000001",
                                             {**cookie_only, **OWN}).status, 404)
        out = http_client.post(address, "/dashboard/logout", "", {"Origin": own})
        self.assertEqual(out.status, 303)
        self.assertTrue(out.header("set-cookie").startswith(f"{COOKIE}=; Max-Age=0;"))
        self.assertEqual(http_client.get(address, "/dashboard/logout").status, 405)

    def test_what_the_page_may_not(self):
        address = self.gateway(server()).address()
        for method, path in (("POST", "publish"), ("POST", "disconnect"), ("POST", "batch"), ("POST", ""), ("POST", "subscribe"),
                             ("POST", "history_remove"), ("DELETE", "users/ann"), ("DELETE", "channels/room"),
                             ("POST", "users/ann"), ("POST", "connections/0001000001000001")):
            answer = http_client.request(address, method, f"/dashboard/api/{path}", with_session(session()), "{}")
            self.assertEqual(answer.status, 404, path)
        self.assertEqual(http_client.post(address, "/dashboard/api/channels", {}, with_session(session())).json(), {"result": {"channels": {}}})

    def test_a_changed_token_ends_sessions(self):
        gateway = self.gateway(server(), workers=2)
        address = gateway.address()
        value = session(OTHER_TOKEN)
        self.assertEqual(self.overview(address, value), 200)
        mark = gateway.log_mark()
        gateway.write_config(http=server(f'location /dashboard/ {{ dashboard; dashboard_token "{TOKEN}"; }}'))
        gateway.signal(SIGHUP)
        gateway.wait_log("#worker: configuration_in_force", count=2, after=mark, timeout=30)
        address = gateway.address()
        self.assertEqual(self.overview(address, value), 401)
        self.assertEqual(self.overview(address, session()), 200)


class Local(beamgate.TestCase):
    """Without a token: this machine, and nobody for whom a proxy speaks."""

    def test_this_machine_alone(self):
        address = self.gateway(LOCAL).address()
        self.assertEqual(http_client.get(address, "/dashboard/overview", OWN).json()["session"], False)
        self.assertEqual(http_client.get(address, "/dashboard/overview", {**OWN, "Host": "localhost:1"}).status, 200)
        self.assertEqual(http_client.get(address, "/dashboard/overview", {**OWN, "Host": "[::1]:1"}).status, 200)
        for headers in ({"X-Forwarded-For": "127.0.0.1"}, {"x-forwarded-proto": "http"}, {"Forwarded": "for=127.0.0.1"},
                        {"Via": "1.1 proxy"}, {"X-Real-IP": "127.0.0.1"}, {"Host": "gateway.example"}, {"Host": "127.0.0.1.evil.example"},
                        {"Host": "192.0.2.1"}):
            with self.subTest(headers=headers):
                for path in ("", "overview", "dashboard.css", "login"):
                    answer = http_client.get(address, f"/dashboard/{path}", {**OWN, **headers})
                    self.assertEqual(answer.status, 403, path)
                self.assertIn("answered on this machine only", answer.text)

    def test_believed_proxies(self):
        http = LOCAL.replace("server {", "server { set_real_ip_from 127.0.0.1; real_ip_header X-Client;", 1)
        address = self.gateway(http).address()
        self.assertEqual(http_client.get(address, "/dashboard/overview", {**OWN, "X-Client": "203.0.113.7"}).status, 403)
        self.assertEqual(http_client.get(address, "/dashboard/overview", {**OWN, "X-Client": "127.0.0.1"}).status, 200)

    def test_a_proxy_header(self):
        gateway = self.gateway(LOCAL.replace("127.0.0.1:0", "127.0.0.1:0 proxy_protocol"), start=False)
        gateway.start()
        with contextlib.closing(http_client.Connection(gateway.address())) as client:
            client.send(b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n")
            self.assertEqual(client.request("GET", "/dashboard/overview", OWN).status, 403)

    def test_off_by_default(self):
        address = self.gateway("server { listen 127.0.0.1:0; location / { return 204; } location /off/ { dashboard off; return 204; } }").address()
        self.assertEqual(http_client.get(address, "/dashboard/").status, 204)
        self.assertEqual(http_client.get(address, "/off/").status, 204)


class Page(pages.TestCase):
    page = "dashboard"
    script = "dashboard.mjs"

    def start(self, **options):
        application = self.backend()
        application.on("beamgate.connect", Actions(user="ann"))
        application.on("beamgate.message", lambda request: Actions(publish=[{"channel": "room", "data": request.text}]))
        webhook = f"webhook app {{ url {application.url}/; secret whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0; }}"
        return self.gateway(webhook + ROOM.replace("DASHBOARD", DASHBOARD), workers=2, **options)

    def test_files(self):
        address = self.gateway(server()).address()
        for name, media_type in (("dashboard.js", "text/javascript; charset=utf-8"), ("icon.svg", "image/svg+xml"),
                                 ("dashboard.css", "text/css; charset=utf-8"), ("", "text/html; charset=utf-8")):
            answer = http_client.get(address, f"/dashboard/{name}", with_session(session()))
            self.assertEqual((answer.status, answer.header("content-type")), (200, media_type))
            self.assertNotRegex(answer.text, r"https?://(?!www\.w3\.org/2000/svg)")
            policy = answer.header("content-security-policy")
            for part in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"):
                self.assertIn(part, policy)
            self.assertNotIn("unsafe", policy)
            self.assertEqual(answer.header("x-content-type-options"), "nosniff")
            if not name:
                self.assertEqual(answer.header("cache-control"), "no-store")
                self.assertNotRegex(answer.text, r"<script(?![^>]* src=)|\son\w+=|\sstyle=")
        self.assertEqual(http_client.get(address, "/dashboard/index.html", with_session(session())).status, 404)
        self.assertEqual(http_client.get(address, "/dashboard/nothing.js").status, 404)
        bare = self.gateway(server(DASHBOARD.replace("/dashboard/", "/dashboard"))).address()
        moved = http_client.get(bare, "/dashboard")
        self.assertEqual((moved.status, moved.header("location")), (308, "dashboard/"))

    def test_login(self):
        self.assertEqual(len(self.play(self.start(), "login")), 3)

    def test_look(self):
        gateway = self.start()
        clients = []
        quiet = threading.Event()

        def connect():
            clients.extend(self.track(ws_client.connect(gateway.address(), "/")) for _ in range(4))
            member = self.track(centrifuge_client.connect(gateway.address(), "/member"))
            member.call("subscribe", channel="room")  # Subscribers by the location are no members.
            talk = threading.Thread(target=keep_talking, args=(clients[0],))
            self.addCleanup(talk.join, 30)
            self.addCleanup(quiet.set)
            talk.start()

        def keep_talking(client):
            while not quiet.wait(0.1):
                client.send("<b>hello</b>")
        self.assertEqual(len(self.play(gateway, "look", {"connect": connect})), 5)

    def test_kick(self):
        gateway = self.start()
        clients = []

        def connect():
            clients.append(self.track(ws_client.connect(gateway.address(), "/")))

        def still_open():
            clients[0].send("one more")
            self.assertEqual(clients[0].recv(), "one more")

        def closed():
            self.assertEqual(clients[0].recv_close(), 1008)
            gateway.wait_log("dashboard_close connection=[0-9a-f]{16} client=127.0.0.1")
        self.assertEqual(len(self.play(gateway, "kick", {"connect": connect, "still open": still_open, "closed": closed})), 1)

    def test_keyboard(self):
        self.assertEqual(len(self.play(self.start(), "keyboard")), 1)


class GoesOn(continuity.TestCase, Page):
    """Over a reload and an upgrade to another build."""

    test_files = test_login = test_look = test_kick = test_keyboard = None

    @continuity.needs_next
    def test_goes_on(self):
        self.start_copy(http=server(), workers=2)

        def upgrade():
            self.install(os.environ["BEAMGATE_NEXT"])
            self.upgrade()
        self.assertEqual(len(self.play(self.running, "goes_on", {"reload": self.reload, "upgrade": upgrade})), 2)

    def start(self, **options):
        return continuity.TestCase.start(self, **options)


if __name__ == "__main__":
    beamgate.main()
