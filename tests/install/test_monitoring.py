"""The dashboard and the alert rules that come with the package: well-formed, and every metric they name exists."""

import json
import re
import subprocess
import unittest
from pathlib import Path

import beamgate
import http_client
import prometheus

MONITORING = Path(__file__).resolve().parents[2] / "packaging" / "monitoring"
NAMES = re.compile(r"\bbeamgate_[a-z0-9_]+\b")
LABELS = re.compile(r'\b(beamgate_[a-z0-9_]+)\{([^}]*)\}')


class Monitoring(beamgate.TestCase):
    def known(self):
        """Names of samples to the labels they have."""
        gateway = self.gateway("upstream app { server 127.0.0.1:1; } server { listen 127.0.0.1:0; location /metrics { metrics; }"
                               " location / { proxy_pass http://app; } }")
        page = http_client.get(gateway.address(), "/metrics").text
        labels = {}
        for kind, samples in prometheus.read(page, openmetrics=False).values():
            for sample in samples:
                name, _, rest = sample.partition("{")
                labels.setdefault(name, set()).update(re.findall(r'(\w+)="', rest))
        return labels

    def check(self, expressions):
        known = self.known()
        named = set()
        for expression in expressions:
            named.update(NAMES.findall(expression))
            for name, matchers in LABELS.findall(expression):
                wanted = set(re.findall(r"(\w+)=~?", matchers)) - {"job", "instance"}
                self.assertLessEqual(wanted, known[name], expression)
            for labels in re.findall(r"by \(([^)]*)\)", expression):
                name = NAMES.search(expression)[0]
                self.assertLessEqual(set(labels.split(", ")) - {"instance", "job"}, known[name], expression)
        self.assertGreater(len(named), 10)
        self.assertEqual(named - set(known), set())

    def test_alert_rules_name_what_there_is(self):
        text = (MONITORING / "prometheus-alerts.yml").read_text()
        rules = re.findall(r"expr: (?:>\n)?(.*?)\n        (?:for|labels):", text, re.S)
        self.assertEqual(len(rules), text.count("- alert: "))
        self.check(rules[1:])  # The first is about "up".

    @unittest.skipUnless(prometheus.tool(), "promtool is not installed (packaging/install-dependencies test)")
    def test_promtool_takes_the_alert_rules(self):
        done = subprocess.run([prometheus.tool(), "check", "rules", str(MONITORING / "prometheus-alerts.yml")],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"SUCCESS: [1-9]\d* rules found")

    def test_the_dashboard_shows_what_there_is(self):
        board = json.loads((MONITORING / "grafana-dashboard.json").read_text())
        panels = [panel for panel in board["panels"] if panel["type"] != "row"]
        self.assertEqual(len({panel["id"] for panel in board["panels"]}), len(board["panels"]))
        self.check(target["expr"] for panel in panels for target in panel["targets"])
        taken = set()
        for panel in board["panels"]:
            place = panel["gridPos"]
            self.assertLessEqual(place["x"] + place["w"], 24, panel["title"])
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
            self.assertFalse(cells & taken, panel["title"])
            taken |= cells


if __name__ == "__main__":
    beamgate.main()
