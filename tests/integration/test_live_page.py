"""The page of the packaged configuration in a real Chromium: two tabs talk through four workers, markup stays
text, the counters count, a tab whose worker is killed comes back by itself.

The browser is driven by support/live_page.mjs."""

import os
from pathlib import Path
from signal import SIGKILL

import beamgate
import http_client
import pages


def packaged_config(*replacements):
    """conf/beamgate.conf on a free loopback port, with four workers."""
    text = Path(beamgate.SOURCE_ROOT, "conf", "beamgate.conf").read_text()
    own = [("listen 8080;", "listen 127.0.0.1:0;"), ("listen [::]:8080;", ""),
           ("worker_processes auto;", "worker_processes 4;"), ("error_log stderr notice;", "error_log stderr info;")]
    for old, new in [*own, *replacements]:
        if text.count(old) != 1:
            raise AssertionError(f"conf/beamgate.conf no longer says {old!r} once")
        text = text.replace(old, new)
    return ("user root;\n" if os.geteuid() == 0 else "") + text


class LivePage(pages.TestCase):
    page = "live-page"
    script = "live_page.mjs"

    def test_two_tabs_talk(self):
        gateway = self.gateway(config=packaged_config())
        self.assertEqual(len(self.play(gateway, "talk")), 8)

    def test_tabs_come_back(self):
        gateway = self.gateway(config="worker_keeper off;\n" + packaged_config())  # Or no tab would notice.
        gateway.deaths_expected = True

        def kill_workers():
            for pid in gateway.wait_workers(4):
                os.kill(pid, SIGKILL)

        seen = self.play(gateway, "come_back", {"kill workers": kill_workers, "stop gateway": gateway.stop})
        self.assertEqual(len(seen), 2)

    def test_counters_are_for_this_machine_only(self):
        refused = """location = /status {
            allow 127.0.0.1;
            allow ::1;"""
        gateway = self.gateway(config=packaged_config((refused, "location = /status {")))
        self.assertEqual(len(self.play(gateway, "remote")), 1)

    def test_files(self):
        """The page's files over plain HTTP: types, policy, revalidation, and nothing beside them."""
        address = self.gateway(config=packaged_config()).address()
        page = http_client.get(address, "/")
        self.assertEqual(page.status, 200)
        self.assertEqual(page.header("content-type"), "text/html; charset=utf-8")
        self.assertIn("default-src 'none'", page.header("content-security-policy"))
        self.assertEqual(page.header("x-content-type-options"), "nosniff")
        self.assertNotIn("http://", page.text)
        self.assertNotIn("https://", page.text)

        tag = page.header("etag")
        fresh = http_client.get(address, "/", {"If-None-Match": f'"other", {tag}'})
        self.assertEqual((fresh.status, fresh.body, fresh.header("etag")), (304, b"", tag))
        self.assertEqual(http_client.get(address, "/", {"If-None-Match": '"other"'}).status, 200)

        head = http_client.request(address, "HEAD", "/")
        self.assertEqual((head.status, head.header("content-length")), (200, str(len(page.body))))

        for name, media_type in (("live.js", "text/javascript; charset=utf-8"), ("icon.svg", "image/svg+xml"),
                                 ("live.css", "text/css; charset=utf-8")):
            self.assertEqual(http_client.get(address, "/" + name).header("content-type"), media_type)
        self.assertEqual(http_client.get(address, "/nothing.js").status, 404)
        self.assertEqual(http_client.get(address, "/live/index.html").status, 404)
        refused = http_client.post(address, "/", "x")
        self.assertEqual((refused.status, refused.header("allow")), (405, "GET, HEAD"))


if __name__ == "__main__":
    beamgate.main()
