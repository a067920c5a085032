"""The packaged configuration as a user meets it: no application behind it, and everything it promises works.

Only its addresses are changed, to port 0 on loopback.
"""

import json
import os
import re
import subprocess
import unittest

import beamgate
import http_client
import ws_client


class Packaged(beamgate.TestCase):
    def serve(self, text):
        for old, new in (("listen 8080;", "listen 127.0.0.1:0;"), ("listen [::]:8080;", "")):
            self.assertIn(old, text)
            text = text.replace(old, new)
        gateway = self.gateway(start=False)
        gateway.write_config(("user root;\n" if os.geteuid() == 0 else "") + text)
        self.running = gateway.start()
        self.address = next(each for each in gateway.addresses() if not each.startswith("unix:"))


class Quickstart(Packaged):
    """README's tour: what packaging/quickstart makes of the default configuration, and the examples'."""

    def test_a_killed_master_is_followed_by_the_next(self):
        script = (beamgate.SOURCE_ROOT / "packaging" / "quickstart").read_text()
        control = re.search(r"control='(.+)'", script)[1]
        change = re.search(r'sed "(.+)" conf/beamgate.conf', script)[1].replace("$control", control)
        made = subprocess.run(["sed", change, beamgate.SOURCE_ROOT / "conf" / "beamgate.conf"], capture_output=True, text=True,
                              check=True)
        self.serve(made.stdout)
        self.running.expect_deaths()
        directory = str(self.running.directory)
        with ws_client.connect(self.address, "/echo") as client:
            self.assertEqual(int(self.running.path("beamgate.pid").read_text()), self.running.pid)
            beamgate.until(lambda: self.running.path("beamgate.pid.keeper").exists(), 10, "the master's keeper")
            self.running.lose_master()
            self.running.start_another_master()
            client.send("still here")
            self.assertEqual(client.recv(), "still here")
            told = subprocess.run([beamgate.binary(), "ctl", "-p", directory, "status"], capture_output=True, text=True, timeout=30)
            self.assertRegex(told.stdout, r"(?m)^connections .* 1 WebSockets$", told.stderr)

    def test_so_do_the_examples(self):
        found = list((beamgate.SOURCE_ROOT / "conf" / "examples").glob("*/*.conf"))
        self.assertGreater(len(found), 4)
        for path in found:
            self.assertIn("\npid beamgate.pid;\n", path.read_text(), path)


class Defaults(Packaged):
    def setUp(self):
        self.serve((beamgate.SOURCE_ROOT / "conf" / "beamgate.conf").read_text())

    def test_live_page(self):
        page = http_client.get(self.address, "/")
        self.assertEqual(page.status, 200)
        self.assertTrue(page.header("content-type").startswith("text/html"))
        self.assertIn("BeamGate", page.text)

    def test_echo(self):
        with ws_client.connect(self.address, "/echo") as client:
            client.send("hello")
            self.assertEqual(client.recv(), "hello")

    def test_hub(self):
        one, two = (self.track(ws_client.connect(self.address, "/hub/lobby")) for _ in range(2))
        other = self.track(ws_client.connect(self.address, "/hub/elsewhere"))
        one.send("hello, all")
        self.assertEqual([one.recv(), two.recv()], ["hello, all", "hello, all"])
        other.send("only here")
        self.assertEqual(other.recv(), "only here")
        for target in ("/hub/", "/hub/a/b", "/hub/" + "x" * 101):
            with self.assertRaises(ws_client.Refused) as refused:
                ws_client.connect(self.address, target)
            self.assertEqual(refused.exception.status, 404)

    def test_status_metrics_and_api_are_for_loopback_only(self):
        status = http_client.get(self.address, "/status")
        self.assertEqual(status.status, 200)
        json.loads(status.body)
        metrics = self.running.metrics()
        self.assertTrue(any(name.startswith("beamgate_") for name in metrics))
        published = http_client.post(self.address, "/api/publish", {"channel": "lobby", "data": "hello"})
        self.assertEqual(published.json()["result"]["offset"], 1)
        for method, target in (("GET", "/status"), ("GET", "/metrics"), ("POST", "/api/publish")):
            answer = http_client.request(self.address, method, target, source="127.0.0.2")
            self.assertEqual(answer.status, 403, target)

    def test_unknown_paths(self):
        self.assertEqual(http_client.get(self.address, "/nothing/here").status, 404)


class BuiltIn(beamgate.TestCase):
    def test_a_directory_that_was_asked_for_is_not_replaced_by_it(self):
        """It would serve a public demonstration in the place of somebody's own servers."""
        gateway = self.gateway(start=False)
        gateway.config_path.unlink()
        for directory, error in ((gateway.path("none"), "No such file or directory"), (gateway.directory, "has no beamgate.conf")):
            for test in ([], ["-t"]):
                told = subprocess.run([beamgate.binary(), "-p", str(directory), *test], capture_output=True, text=True, timeout=30)
                self.assertEqual(told.returncode, 1)
                self.assertIn(f'"{directory}", which -p names, ', told.stderr)
                self.assertIn(error, told.stderr)

    @unittest.skipIf(os.path.exists("/etc/beamgate/beamgate.conf"), "this machine has a configuration")
    def test_the_text_compiled_in_is_the_packaged_file(self):
        """-T without a file shows what a bare start would use."""
        dump = subprocess.run([beamgate.binary(), "-T"], capture_output=True, text=True, timeout=30)
        packaged = self.gateway(start=False)
        packaged.write_config((beamgate.SOURCE_ROOT / "conf" / "beamgate.conf").read_text())
        expected = packaged.run("-T")
        self.assertEqual((dump.returncode, expected.returncode), (0, 0), dump.stderr + expected.stderr)

        def directives(text):
            return [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]

        self.assertEqual(directives(dump.stdout), directives(expected.stdout))


if __name__ == "__main__":
    beamgate.main()
