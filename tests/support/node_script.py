"""A script for Node that plays a part in a test: a client's official library, or a browser.

    seen = node_script.play(["phoenix_client.mjs", url, "talk"], {"kill workers": kill}, gateway.log)

The script (support/dialogue.mjs) prints "ok ..." for what it has seen, and "do ACTION" where the test has to act; it goes on
when a line comes back.  It ends with another status than 0 after any surprise, and that fails the test.
"""

import os
import subprocess
import threading
from pathlib import Path

import beamgate

SUPPORT = Path(beamgate.SOURCE_ROOT, "tests", "support")
CHROMIUM = os.environ.get("BEAMGATE_CHROMIUM", "/usr/bin/chromium")
TIMEOUT_S = 240  # A browser on a busy machine takes its time.
LOG_CHARACTERS = 4000


def need(*packages):
    """Fails where one of them is not installed."""
    for name in packages:
        if not (SUPPORT / "node_modules" / name).is_dir():
            raise AssertionError(f"{name} is not installed; run: npm ci --prefix tests/support")


def need_chromium():
    need("playwright-core")
    if not os.access(CHROMIUM, os.X_OK):
        raise AssertionError(f"no {CHROMIUM}; run: packaging/install-dependencies test")


def act(actions, text):
    """The action of that name; or of its first word, which is given the others."""
    if text in actions:
        return actions[text]()
    verb, *arguments = text.split()
    return actions[verb](*arguments)


def play(command, actions=None, log=str, timeout=TIMEOUT_S):
    """Runs a script of support/ with its arguments, and does what it asks for.  Gives what it has seen; log: what to show
    beside that when it fails."""
    script = subprocess.Popen(["node", str(SUPPORT / command[0]), *command[1:]], cwd=SUPPORT, text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    watchdog = threading.Timer(timeout, script.kill)
    watchdog.start()
    seen = []
    try:
        for line in script.stdout:
            seen.append(line.rstrip())
            if line.startswith("do "):
                script.stdin.write(f"{act(actions, line[3:].strip()) or 'done'}\n")
                script.stdin.flush()
        if script.wait() != 0:
            raise AssertionError("\n".join([f"status {script.returncode}", *seen, log()[-LOG_CHARACTERS:]]))
    finally:
        watchdog.cancel()
        script.kill()
        script.wait()
        script.stdin.close()
        script.stdout.close()
    return [line[3:] for line in seen if line.startswith("ok ")]
