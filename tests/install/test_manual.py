"""The manual says what is: pages are installed and well-formed, and what they name exists, and the other way round.

The build is installed into a directory of the test's own.  beamgate.conf(5) is the reference for directives here, since
another test compares it with the table it is made from.
"""

import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

import beamgate
import manual
import standard_webhooks

# Written with _ and neither a directive nor a metric: the names of others.
FOREIGN = re.compile(r"^(tests/|nchan_|channel_(occupied|vacated)|member_(added|removed)|batch_events|terminate_|socket_id|handle_in|last_event_id|"
                     r"_timeout$|broadcast_from|skip_history|SOKETI_|HTTP_|BEAMGATE_|NOTIFY_SOCKET|LimitNOFILE|net\.|fs\.|config_)")

NEVER_SENT = {"beamgate.reset", "beamgate.keepalive"}  # An event of streams, and a name that GRIP has no word for.


def words_with_underscore(words):
    return {word for word in words if "_" in word and not FOREIGN.match(word)}


def directives():
    found = re.findall(r"^\\fB([a-z_0-9]+)\\fR", manual.page("beamgate.conf.5"), re.M)
    return set(found)


def metric_rows():
    """Names without beamgate_ to the reasons, or actions, that a counter's lines are labelled with, of the table they are made from."""
    rows = {}
    for name, label, reason, kind in re.findall(
            r'\{"([a-z0-9_]+)", "(?:(\w+)=\\"(\w+)\\")?[^\n]*?", (Counter|Gauge)', manual.sources("common/metrics")):
        reasons = rows.setdefault(name + ("_total" if kind == "Counter" else ""), [])
        if label in ("reason", "action"):
            reasons.append(reason)
    return rows


def api_methods():
    """Name to what the code calls it."""
    return dict(re.findall(r'\{"(\w+)",\s*Method::(\w+)\}', manual.sources("worker/api")))


class Manual(unittest.TestCase):
    def pages(self, *, generated=False):
        return {path.name: path.read_text() for path in manual.PAGES if generated or path.name != "beamgate.conf.5"}

    def test_every_page_is_installed(self):
        with tempfile.TemporaryDirectory() as directory:
            subprocess.run(["cmake", "--install", os.environ["BEAMGATE_BUILD"], "--prefix", directory], check=True,
                           stdout=subprocess.DEVNULL)
            installed = {path.name for path in Path(directory).rglob("man?/*")}
        self.assertEqual(installed, {path.name for path in manual.PAGES})
        self.assertGreaterEqual(len(installed), 6)

    def test_pages_are_well_formed(self):
        for path in manual.PAGES:
            lint = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", str(path)], capture_output=True, text=True)
            complaints = [line for line in lint.stdout.splitlines() if "missing date" not in line]
            self.assertEqual(complaints, [])
            typeset = subprocess.run(["groff", "-t", "-man", "-Tutf8", "-Kutf8", "-rLL=78n", "-ww", "-z", str(path)],
                                     capture_output=True, text=True, check=True)
            self.assertEqual(typeset.stderr, "")

    def test_pages_that_are_referred_to_exist(self):
        ours = {path.name for path in manual.PAGES}
        for name, text in self.pages(generated=True).items():
            for referred, number in re.findall(r"\b(beamgate[a-z.\\-]*) ?\(([1-9])\)", text):
                self.assertIn(f"{manual.plain(referred)}.{number}", ours, name)

    def test_bold_words_are_directives_or_methods(self):
        known = directives() | set(api_methods())
        self.assertIn("worker_connections", known)
        for name, text in self.pages().items():
            self.assertEqual(words_with_underscore(manual.marked(text, "B")) - known, set(), name)

    def test_variables_exist(self):
        listed = manual.plain(manual.section(manual.page("beamgate.conf.5"), "NAMES OF VARIABLES"))
        known = set(re.findall(r"\$([a-z_0-9]+)", listed))
        prefixes = tuple(re.findall(r"\$([a-z_]+_)\\f", listed))
        self.assertIn("arg_", prefixes)
        for name, text in self.pages().items():
            named = set(re.findall(r"\$([a-z][a-z_0-9]+)", text))
            self.assertEqual({each for each in named - known if not each.startswith(prefixes)}, set(), name)

    def test_italic_words_stand_in_the_sources(self):
        literals = set(re.findall(r'["/]([a-z0-9_]+)\\?"', manual.sources("common", "master", "worker")))
        for name, text in self.pages().items():
            named = {re.split("[/:]", word)[-1].removeprefix("beamgate_").removesuffix("_total")
                     for word in words_with_underscore(manual.marked(text, "I"))}
            self.assertEqual(named - literals, set(), name)

    def test_every_directive_and_variable_is_tried_end_to_end(self):
        """What no test of the whole gateway has in its configuration may do nothing, and nobody would know."""
        tests = manual.ROOT / "tests"
        tried = "".join(path.read_text() for place in ("integration", "support", "install") for path in (tests / place).glob("*.py"))
        words = set(re.findall(r"\w+", tried))
        self.assertEqual(directives() - words, set())
        page = manual.page("beamgate.conf.5").split(".SH NAMES OF VARIABLES\n")[1].split("\n.SH ")[0]
        variables = set(re.findall(r"\$([a-z_0-9]+)[,.]", page))
        self.assertGreater(len(variables), 50)
        self.assertEqual(variables - words, set())

    def test_metrics_that_are_named_exist(self):
        rows = metric_rows()
        named = {word for text in self.pages().values()
                 for word in re.findall(r"\bbeamgate_([a-z0-9_]+_(?:total|seconds|bytes|active))\b", text)}
        self.assertGreater(len(named), 5)
        self.assertLessEqual(named, set(rows))

    def test_every_reason_is_explained_and_no_other(self):
        page = manual.page("beamgate-troubleshooting.7").split(".SH REASONS\n")[1].split("\n.SH ")[0] + "\n"
        explained = {name: sorted(re.findall(r"^\.TP\n\.I ([a-z_0-9]+)$", text, re.M))
                     for name, text in re.findall(r"^\.SS beamgate_([a-z_0-9]+)\n(.*?)(?=^\.SS|\Z)", page, re.M | re.S)}
        counted = {name: sorted(reasons) for name, reasons in metric_rows().items() if reasons}
        self.assertGreater(len(counted), 5)
        self.assertEqual(explained, counted)


class Options(unittest.TestCase):
    def test_options_and_signals(self):
        usage = subprocess.run([beamgate.binary(), "-h"], capture_output=True, text=True, check=True).stdout
        page = manual.plain(manual.section(manual.page("beamgate.8"), "OPTIONS"))
        options = set(re.findall(r"^\.(?:B|BI|BR) \"?(-[a-zA-Z?])", page, re.M)) | {"-?"}
        self.assertEqual(options, set(re.findall(r"^ +(-[a-zA-Z?])", usage, re.M)) | {"-h", "-?"})
        signals = set(re.findall(r"\w+", re.search(r"-s signal +: .*?: (.*)", usage)[1])) - {"or"}
        described = set(re.findall(r"^\.B (\w+)$", page.split(".BI -s ")[1].split(".TP")[0], re.M))
        self.assertEqual(described - {"pid"}, signals)

    def test_bash_completion_offers_what_there_is(self):
        script = manual.ROOT / "packaging" / "debian" / "completions" / "beamgate"

        def completed(*words):
            command = (f'source {script}; COMP_WORDS=({" ".join(words)} ""); COMP_CWORD={len(words)}; _beamgate; '
                       'printf "%s\\n" "${COMPREPLY[@]}"')
            return set(subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True).stdout.split())

        self.assertEqual(completed("beamgate", "-s"), {"stop", "quit", "reload", "reopen", "upgrade"})
        for option in completed("beamgate") - {"-s", "-c", "-p", "-g"}:
            done = subprocess.run([beamgate.binary(), option, "-v"], capture_output=True, text=True)
            self.assertNotIn("invalid option", done.stderr, option)
        usage = subprocess.run([beamgate.binary(), "ctl", "-h"], capture_output=True, text=True, check=True).stdout
        self.assertEqual({word for word in completed("beamgate", "ctl") if word.startswith("-")} - {"-g", "-h"},
                         {"-s", "--socket", "-c", "-p", "-j"} & set(re.findall(r"-+[a-z]+", usage)))


class Api(unittest.TestCase):
    def setUp(self):
        self.page = manual.page("beamgate-api.7")

    def test_methods(self):
        rows = api_methods()
        section = manual.section(self.page, "METHODS")
        described = set(re.findall(r"^\.TP\n\.B ([a-z_]+)$", section, re.M)) - {"batch"}
        self.assertEqual(described, set(rows))

    def test_error_codes(self):
        header = (manual.ROOT / "worker" / "api" / "reply.h").read_text()
        known = {code for code in re.findall(r"^  \w+ = (\d+),", header, re.M) if code != "0"}
        table = manual.section(self.page, "Answers").split(".TE")[0]
        self.assertEqual(set(re.findall(r"^(\d{3})\t", table, re.M)), known)


class Webhooks(unittest.TestCase):
    def setUp(self):
        self.page = manual.page("beamgate-webhooks.7")
        self.text = manual.plain(self.page)
        self.code = manual.sources("worker/hook", "worker/proto")

    def test_events_and_fields(self):
        for pattern in (r"\bbeamgate\.[a-z]+\b", r"\bce-[a-z]+\b", r"\bwebhook-[a-z]+\b", r"\bbeamgate-(?!webhooks|api|pusher|phoenix|centrifuge|streams)[a-z-]+[a-z]\b"):
            in_code = set(re.findall(pattern, " ".join(re.findall(r'"([^"\n]*)"', self.code))))
            in_page = set(re.findall(pattern, self.text)) - {"beamgate.conf"}
            self.assertTrue(in_code)
            self.assertEqual(in_page, in_code - NEVER_SENT, pattern)

    def test_members_of_the_document(self):
        members = set(re.findall(r'if \(name == "([a-z]+)"\)', self.code))
        document = json_members(self.text[self.text.index("a string as above, an integer"):])
        self.assertEqual(members, document)

    def test_the_signature_of_the_example(self):
        secret = re.search(r"secret (whsec_\S+);", self.page)[1]
        example = self.text[self.text.index("whose bytes are"):]
        fields = dict(re.findall(r"^(webhook-[a-z]+): (.+)$", example, re.M))
        body = re.search(r"^webhook-signature: .*\n\n(.*)$", example, re.M)[1].encode()
        now = int(fields["webhook-timestamp"])
        standard_webhooks.verify(secret, fields, body, now)
        with self.assertRaises(standard_webhooks.Invalid):
            standard_webhooks.verify(secret, fields, body + b"!", now)
        command = re.search(r"^printf .*?base64$", example, re.M | re.S)[0]
        shell = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True).stdout.strip()
        self.assertEqual("v1," + shell, fields["webhook-signature"])

    def test_the_configuration_of_the_synopsis_is_accepted(self):
        text = manual.section(self.page, "SYNOPSIS").replace(".nf\n", "").replace(".fi\n", "")
        with tempfile.TemporaryDirectory() as directory:
            Path(directory, "beamgate.conf").write_text("user root;\npid off;\nevents {}\n" + text)
            done = subprocess.run([beamgate.binary(), "-t", "-p", directory, "-c", "beamgate.conf"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)


def json_members(text):
    """Names at the beginning of lines of the document that follows."""
    return {"user", *re.findall(r'^  "(\w+)":', text.split("\n}")[0], re.M)}


if __name__ == "__main__":
    beamgate.main()
