"""What a Prometheus server makes of a page of metrics: its own tool's word, and the rules of both formats."""

import re
import shutil
import subprocess

ACCEPT = ("application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
          "text/plain;version=0.0.4;q=0.5,*/*;q=0.1")  # As Prometheus 2.x asks.
SUFFIXES = {"counter": {"_total", "_created"}, "gauge": {""}, "histogram": {"_bucket", "_sum", "_count", "_created"}}
SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*",?)*\})? (\S+)')


def tool():
    """promtool's path; None where it is not installed."""
    return shutil.which("promtool")


def check_metrics(text):
    """What `promtool check metrics` complains of; needs tool()."""
    done = subprocess.run([tool(), "check", "metrics"], input=text, capture_output=True, text=True)
    return done.stderr + done.stdout


def read(text, openmetrics):
    """Family to (type, {sample: value}); raises AssertionError where a format's rule is broken."""
    families, current = {}, None
    lines = text.split("\n")
    assert lines.pop() == "", "the last line has its end"
    if openmetrics:
        assert lines.pop() == "# EOF"
    for line in lines:
        if line.startswith("# HELP "):
            current = line.split(" ", 3)[2]
            assert current not in families, f"{current} is in two pieces"
            families[current] = ("untyped", {})
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == current, line
            families[name] = (kind, {})
        else:
            match = SAMPLE.fullmatch(line)
            assert match, line
            kind, samples = families[current]
            family = current.removesuffix("_total") if kind == "counter" and not openmetrics else current
            assert match[1].startswith(family), f"{line} in {current}"
            assert match[1][len(family):] in SUFFIXES[kind] - (set() if openmetrics else {"_created"}), line
            key = match[1] + (match[2] or "")
            assert key not in samples, f"twice: {key}"
            samples[key] = float(match[3])
    for name, (kind, samples) in families.items():
        assert name.endswith("_total") == (kind == "counter" and not openmetrics), name
        if kind == "histogram":
            buckets = [value for key, value in samples.items() if key.startswith(name + "_bucket")]
            assert buckets == sorted(buckets) and buckets[-1] == samples[name + "_count"], name
    return families
