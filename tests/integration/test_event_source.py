"""EventSource in a real Chromium: two tabs hear everything once and in order through the death of every worker, and
pages of other origins as far as they may.  The browser is driven by support/event_source.mjs."""

import os
from signal import SIGKILL

import beamgate
import node_script

HTTP = """
channels kept { history 1000 10m; }
server {
    listen 127.0.0.1:0;
    listen 127.0.0.2:0;
    location = /page { default_type text/html; return 200 "<!DOCTYPE html><title>a page</title>"; }
    location = /kept { sse kept; sse_retry 100ms; }
    location = /theirs { sse kept; sse_origins http://*.nowhere.example http://127.0.0.1:$PORT; sse_credentials on; }
    location = /strangers { sse kept; sse_origins https://somebody.else.example; }
    location /api/ { api on; }
    location = /metrics { metrics on; }
}
"""


class EventSource(beamgate.TestCase):
    @classmethod
    def setUpClass(cls):
        node_script.need_chromium()

    def test_in_chromium(self):
        gateway = self.gateway(HTTP.replace("$PORT", "1"), workers=4, main="worker_keeper off;")
        gateway.deaths_expected = True
        # The page's own origin is known only now.
        port = gateway.address().rpartition(":")[2]
        text = gateway.config_path.read_text()
        gateway.config_path.write_text(text.replace("http://127.0.0.1:1", f"http://127.0.0.1:{port}"))
        mark = gateway.log_mark()
        gateway.signal(1)
        gateway.wait_log(r"\breloaded\b", after=mark)

        def kill_workers():
            before = gateway.wait_workers(4)
            for pid in before:
                os.kill(pid, SIGKILL)
            beamgate.until(lambda: len(set(gateway.worker_pids()) - set(before)) == 4, 30, "four others")

        def streams(count):
            beamgate.until(lambda: gateway.metrics()["beamgate_event_streams_active"] == count and
                           gateway.metrics()["beamgate_hub_subscriptions"] == count, 30, f"{count} streams")

        actions = {"kill workers": kill_workers, **{f"wait for {n}": lambda n=n: streams(n) for n in range(3)}}
        first, second = gateway.addresses()[:2]
        seen = node_script.play(["event_source.mjs", f"http://{first}", f"http://{second}"], actions, gateway.log)
        self.assertEqual(len(seen), 5)


if __name__ == "__main__":
    beamgate.main()
