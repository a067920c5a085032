"""Certificates made by the openssl command: an authority of the test's own, and what it signs.

    authority = Authority(directory)
    pair = authority.issue("example.test", "*.example.test")      # pair.certificate, pair.key: paths
    pair = authority.issue("rsa.test", kind="rsa")
    old = authority.issue("old.test", expired=True)
    middle = Authority(directory, "Middle", above=authority)      # What it issues brings its certificate along.

Keys are P-256 unless told otherwise: they are made in milliseconds.
"""

import ssl
import subprocess
from pathlib import Path


def openssl(*arguments, input=None):
    """Runs the command; its output as bytes."""
    done = subprocess.run(["openssl", *map(str, arguments)], input=input, capture_output=True, timeout=60)
    if done.returncode != 0:
        raise AssertionError(f"openssl {' '.join(map(str, arguments))}: {done.stderr.decode()}")
    return done.stdout


def make_key(path, kind="ec"):
    shape = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
    if kind == "rsa":
        shape = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]
    openssl("genpkey", *shape, "-out", path)


class Pair:
    def __init__(self, certificate, key):
        self.certificate = certificate
        self.key = key

    def directives(self):
        return f"ssl_certificate {self.certificate}; ssl_certificate_key {self.key};"

    def pem(self):
        return Path(self.certificate).read_text()

    def serial(self):
        return openssl("x509", "-in", self.certificate, "-noout", "-serial").decode().strip().partition("=")[2]


class Authority:
    """name: its common name; files are put into `directory`.  above: who has signed it, if not itself."""

    def __init__(self, directory, name="BeamGate Test Authority", above=None):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.stem = name.replace(" ", "-").lower()
        self.certificate = self.directory / f"{self.stem}.pem"
        self.key = self.directory / f"{self.stem}.key"
        self.issued = 0
        make_key(self.key)
        openssl("req", "-x509", "-new", "-key", self.key, "-subj", f"/CN={name}", "-days", "30",
                "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
                *(["-CA", above.certificate, "-CAkey", above.key] if above else []), "-out", self.certificate)
        self.chain = self.certificate.read_text() + above.chain if above else ""  # Up to the root, without it.
        (self.directory / f"{self.stem}.index").write_text("")
        self.settings = self.directory / f"{self.stem}.cnf"
        self.settings.write_text(
            f"[ca]\ndefault_ca = own\n[own]\ndatabase = {self.directory}/{self.stem}.index\n"
            f"new_certs_dir = {self.directory}\nserial = {self.directory}/{self.stem}.serial\nrand_serial = yes\n"
            f"certificate = {self.certificate}\nprivate_key = {self.key}\ndefault_md = sha256\ndefault_crl_days = 30\n"
            "unique_subject = no\ncopy_extensions = copy\npolicy = any\n[any]\ncommonName = supplied\n"
            "organizationName = optional\n")

    def issue(self, *names, kind="ec", expired=False, organization=None):
        """A certificate for these names; the first is its common name."""
        self.issued += 1
        stem = self.directory / f"{self.stem}-{self.issued}"
        pair = Pair(f"{stem}.pem", f"{stem}.key")
        make_key(pair.key, kind)
        alternatives = ",".join(("IP:" if name.replace(".", "").isdigit() else "DNS:") + name for name in names)
        subject = f"/CN={names[0]}" + (f"/O={organization}" if organization else "")
        openssl("req", "-new", "-key", pair.key, "-subj", subject, "-addext", f"subjectAltName={alternatives}",
                "-out", f"{stem}.csr")
        dates = ["-startdate", "20200101000000Z", "-enddate", "20200201000000Z"] if expired else ["-days", "20"]
        openssl("ca", "-batch", "-notext", "-config", self.settings, "-in", f"{stem}.csr", "-out", pair.certificate,
                *dates)
        if self.chain:
            Path(pair.certificate).write_text(pair.pem() + self.chain)
        return pair

    def revoke(self, pair):
        """Takes it back; the path of the list that says so."""
        openssl("ca", "-config", self.settings, "-revoke", pair.certificate)
        return self.revocation_list()

    def revocation_list(self):
        path = self.directory / f"{self.stem}.crl"
        openssl("ca", "-config", self.settings, "-gencrl", "-out", path)
        return path

    def ocsp_response(self, pair, path):
        """An answer to whether the certificate is good, DER."""
        request = self.directory / "ocsp.request"
        openssl("ocsp", "-issuer", self.certificate, "-cert", pair.certificate, "-no_nonce", "-reqout", request)
        openssl("ocsp", "-index", f"{self.directory}/{self.stem}.index", "-CA", self.certificate, "-rsigner",
                self.certificate, "-rkey", self.key, "-reqin", request, "-respout", path, "-ndays", "5")
        return path

    def client(self, pair=None, **options):
        """A context that trusts this authority and shows `pair`; options: attributes of ssl.SSLContext."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # A stream that is cut must not look like one that ends.
        if pair is not None:
            context.load_cert_chain(pair.certificate, pair.key)
        for name, value in options.items():
            setattr(context, name, value)
        return context
