#!/usr/bin/python3
"""A small PHP page and a file that is compressed: this gateway and nginx beside each other, in turn, in one run.

    tests/bench/php_and_gzip.py [seconds]

Both have one worker, the same php-fpm and the same file of 10 KB; h2load (nghttp2-client) asks with 32 kept
connections.  Every figure is the better of three rounds, in which the two take turns.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))

import beamgate  # noqa: E402
from chat_example import free_port  # noqa: E402
from php_fpm import PhpFpm  # noqa: E402

TEXT = "".join(f"<li>Entry {i}: {'the quick brown fox jumps'[i % 20:]} over {i * 7919 % 1000} dogs</li>\n" for i in range(200))
PAGE = "<?php header('Content-Type: text/plain'); echo 'hello, ', $_GET['name'] ?? 'world';"


def site(root, fpm, address):
    return (f"server {{ listen {address}; root {root}; access_log off;\n"
            "location ~ \\.php$ { include fastcgi_params; fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;\n"
            f"fastcgi_pass {fpm.socket}; }}\n"
            "location = /page.html { gzip on; gzip_comp_level 1; } }")


def nginx(directory, text):
    base = Path(directory)
    temp = "".join(f"{kind}_temp_path {base}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    params = (beamgate.SOURCE_ROOT / "conf" / "fastcgi_params").read_text()
    (base / "fastcgi_params").write_text(params)
    user = "user root;" if os.geteuid() == 0 else ""
    (base / "nginx.conf").write_text(
        f"daemon off; {user} worker_processes 1; pid {base}/pid; error_log {base}/log; events {{ worker_connections 1024; }}\n"
        f"http {{ keepalive_requests 1000000000; types {{ text/html html; }} {temp} {text} }}")
    return subprocess.Popen(["/usr/sbin/nginx", "-p", directory, "-c", str(base / "nginx.conf")])


def rate(url, seconds, *headers):
    output = subprocess.run(["h2load", "--h1", "-c", "32", "-D", str(seconds), *headers, url], check=True,
                            stdout=subprocess.PIPE, text=True).stdout
    failed = re.search(r"(\d+) failed, (\d+) errored", output)
    if failed.groups() != ("0", "0") or " 0 2xx" in output:
        raise AssertionError(output)
    return float(re.search(r"([\d.]+) req/s", output).group(1))


def main():
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        fpm = PhpFpm({"small.php": PAGE, "page.html": TEXT[:10_240]})
        gateway = beamgate.Gateway("keepalive_requests 1000000000; types { text/html html; }" + site(fpm.root, fpm, "127.0.0.1:0"),
                                   workers=1, log_level="notice")
        peer = None
        try:
            gateway.start()
            other = f"127.0.0.1:{free_port()}"
            peer = nginx(directory, site(fpm.root, fpm, other))
            beamgate.until(lambda: subprocess.run(["curl", "-s", f"http://{other}/"], stdout=subprocess.DEVNULL).returncode == 0)
            for name, path, headers in (("PHP page", "/small.php?name=x", ()),
                                        ("10 KB with gzip", "/page.html", ("-H", "Accept-Encoding: gzip"))):
                best = {"BeamGate": 0.0, "nginx": 0.0}
                for _ in range(3):
                    for who, address in (("BeamGate", gateway.address()), ("nginx", other)):
                        best[who] = max(best[who], rate(f"http://{address}{path}", seconds, *headers))
                print(f"{name}: BeamGate {best['BeamGate']:.0f}/s, nginx {best['nginx']:.0f}/s, "
                      f"ratio {best['BeamGate'] / best['nginx']:.2f}")
        finally:
            gateway.close()
            fpm.close()
            if peer:
                peer.terminate()
                peer.wait(20)


if __name__ == "__main__":
    main()
