"""Signals, the pid file, the daemon, process names and privileges: what an administrator or systemd relies on."""

import os
import pwd
import threading
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGUSR1

import backend
import beamgate
import http_client
import ws_client

HTTP = """
server {
    listen 127.0.0.1:0;
    location = /echo { websocket echo; }
    location = /hello { return 200 "hello\\n"; }
}
"""


class Ending(beamgate.TestCase):
    def test_term_and_int_end_at_once_and_open_connections_with_them(self):
        for number in (SIGTERM, SIGINT):
            with self.subTest(number=number):
                gateway = self.gateway(HTTP)
                with ws_client.connect(gateway.address(), "/echo") as client:
                    gateway.stop(number, timeout=5 if not beamgate.sanitized() else 20)
                    self.assertIn(client.recv_close(), (1001, 1006))
                with self.assertRaises(ConnectionRefusedError):
                    http_client.get(gateway.address(), "/hello")

    def test_quit_closes_websockets_with_1001_and_takes_no_new_connections(self):
        gateway = self.gateway(HTTP, main="worker_shutdown_timeout 1s;")
        clients = [self.track(ws_client.connect(gateway.address(), "/echo")) for _ in range(10)]
        gateway.signal(SIGQUIT)
        for client in clients:
            self.assertEqual(client.recv_close(), 1001)
        gateway.check_ended()

    def test_quit_finishes_the_request_that_runs(self):
        app = self.backend()
        held = backend.Held(backend.Reply(200, "finished"))
        app.on("/work", held)
        gateway = self.gateway(f"server {{ listen 127.0.0.1:0; location / {{ proxy_pass {app.url}; }} }}")
        with http_client.Connection(gateway.address()) as connection:
            connection.send_request("GET", "/work")
            app.wait(path="/work")
            gateway.signal(SIGQUIT)
            gateway.wait_log(r"\bstopping\b.*graceful=yes")
            beamgate.until(lambda: self.refused(gateway.address()), 10, "no more accepting")
            held.release()
            self.assertEqual(connection.read_response().text, "finished")
            self.assertTrue(connection.ended(), "the connection is not kept after that")
        gateway.check_ended()

    def refused(self, address):
        try:
            http_client.get(address, "/other", timeout=5)
        except ConnectionRefusedError:
            return True
        except (ConnectionError, EOFError):
            pass  # Was in the queue when the last socket closed.
        return False

    def test_quit_after_the_time_limit_ends_what_does_not_end_itself(self):
        app = self.backend(backend.Hang())
        gateway = self.gateway(f"server {{ listen 127.0.0.1:0; location / {{ proxy_pass {app.url}; }} }}",
                               main="worker_shutdown_timeout 1s;")
        with http_client.Connection(gateway.address()) as connection:
            connection.send_request("GET", "/work")
            app.wait(path="/work")
            gateway.stop(SIGQUIT)


class Logs(beamgate.TestCase):
    def test_usr1_reopens_logs_after_a_rotation(self):
        """Also for workers that may not open what the master has opened."""
        http = HTTP.replace("listen", "access_log access.log; listen")
        nobody = "user nobody;" if os.geteuid() == 0 else ""
        gateway = self.gateway(http, main=f"{nobody} error_log error.log info;", start=False)
        text = gateway.config_path.read_text().replace("error_log stderr info;\n", "")
        gateway.write_config(text)
        gateway.start(wait=False)
        error_log, access_log = gateway.path("error.log"), gateway.path("access.log")
        ready = beamgate.until(lambda: error_log.exists() and "ready workers=2" in error_log.read_text(), 20, "ready")
        self.assertTrue(ready)
        address = next(line.split("address=")[1] for line in error_log.read_text().splitlines() if "address=" in line)

        def asked(target):  # The master has made the file before the worker has it.
            http_client.get(address, target)
            return target in access_log.read_text()

        for number in (1, 2):
            beamgate.until(lambda: asked(f"/hello?{number}"), 10, "an access log line")
            error_log.rename(gateway.path(f"error.log.{number}"))
            access_log.rename(gateway.path(f"access.log.{number}"))
            gateway.signal(SIGUSR1)
            beamgate.until(lambda: error_log.exists() and access_log.exists(), 10, "new files")
        beamgate.until(lambda: asked("/hello?last"), 10, "a line in the new access log")
        self.assertNotIn("last", gateway.path("access.log.1").read_text())
        gateway.signal(SIGHUP)
        in_force = beamgate.until(lambda: error_log.read_text().count("configuration_in_force") == 2, 10, "both workers")
        self.assertTrue(in_force)
        self.assertNotIn("log_reopen_failed", error_log.read_text())
        self.assertEqual(gateway.log(), "")


class Reload(beamgate.TestCase):
    def test_an_invalid_configuration_changes_nothing_and_is_named_with_file_and_line(self):
        gateway = self.gateway(HTTP)
        before = gateway.worker_pids()
        with ws_client.connect(gateway.address(), "/echo") as client:
            text = gateway.config_path.read_text()
            gateway.write_config(text.replace("websocket echo;", "websocket echoo;"))
            line = text[: text.index("websocket echo;")].count("\n") + 1
            mark = gateway.log_mark()
            gateway.signal(SIGHUP)
            gateway.wait_log(rf"beamgate\.conf:{line}:\d+", after=mark)
            client.send("unharmed")
            self.assertEqual(client.recv(), "unharmed")
        self.assertEqual(http_client.get(gateway.address(), "/hello").text, "hello\n")
        self.assertEqual(gateway.worker_pids(), before)

    def test_what_needs_a_restart_is_named(self):
        """Each directive that this reload did not apply, and none that is as it was at the start."""
        gateway = self.gateway(HTTP, main="worker_sandbox off;", events="worker_connections 100;")
        text = gateway.config_path.read_text()
        changes = (("pid beamgate.pid;", "pid other.pid;"), ("daemon off;", "daemon on;"), ("worker_sandbox off;", "master_keeper off;"),
                   ("worker_connections 100;", "worker_connections 200;"), ("worker_processes 2;", "worker_rlimit_nofile 900; worker_processes 1;"))
        changed = text
        for old, new in changes:
            self.assertIn(old, changed)
            changed = changed.replace(old, new)
        names = {"pid", "daemon", "worker_sandbox", "master_keeper", "worker_connections", "worker_rlimit_nofile"}
        for config, expected in ((changed, names), (changed, names), (text, set())):
            mark = gateway.log_mark()
            gateway.write_config(config)
            gateway.signal(SIGHUP)
            gateway.wait_log(r"\breloaded\b", after=mark)
            lines = [line for line in gateway.log().splitlines()[mark:] if "needs_restart" in line]
            self.assertEqual({line.split("directive=")[1].split()[0] for line in lines}, expected)
        self.assertIn("directive=worker_connections running=100 configured=200", gateway.log())
        self.assertTrue(gateway.path("beamgate.pid").exists())

    def test_an_address_that_is_taken_changes_nothing(self):
        gateway = self.gateway(HTTP)
        taken = self.gateway(HTTP).address()
        text = gateway.config_path.read_text()
        gateway.write_config(text.replace("listen 127.0.0.1:0;", f"listen 127.0.0.1:0; listen {taken};"))
        mark = gateway.log_mark()
        gateway.signal(SIGHUP)
        gateway.wait_log(r"Address already in use.*" + taken.replace(".", r"\."), after=mark)
        self.assertEqual(http_client.get(gateway.address(), "/hello").text, "hello\n")


class Commands(beamgate.TestCase):
    def test_dash_s_finds_the_master_by_its_pid_file(self):
        gateway = self.gateway(HTTP)
        self.assertEqual(int(gateway.path("beamgate.pid").read_text()), gateway.pid)
        self.assertEqual(gateway.run("-s", "reload").returncode, 0)
        gateway.wait_log(r"\breloaded\b")
        self.assertEqual(gateway.run("-s", "reopen").returncode, 0)
        gateway.wait_log(r"\blogs_reopened\b")
        self.assertEqual(gateway.run("-s", "quit").returncode, 0)
        gateway.check_ended()
        self.assertFalse(gateway.path("beamgate.pid").exists())
        failed = gateway.run("-s", "stop")
        self.assertNotEqual(failed.returncode, 0)
        self.assertIn("beamgate.pid", failed.stderr)

    def test_dash_t(self):
        gateway = self.gateway(HTTP, start=False)
        good = gateway.run("-t")
        self.assertEqual(good.returncode, 0, good.stderr)
        gateway.write_config(gateway.config_path.read_text().replace("listen", "lisen"))
        bad = gateway.run("-t")
        self.assertNotEqual(bad.returncode, 0)
        self.assertRegex(bad.stderr, r"beamgate\.conf:\d+:\d+")
        self.assertIn("listen", bad.stderr, "a suggestion")

    def test_dash_t_fails_where_a_start_would(self):
        """And makes nothing where a start would make something."""
        gateway = self.gateway(HTTP, start=False)
        before = set(os.listdir(gateway.directory))
        for setting in ("error_log none/x.log info;", "pid none/x.pid;", "pid .;", "control unix:none/c.sock;",
                        "working_directory none;"):
            with self.subTest(setting=setting):
                name = setting.split()[0]
                text = "\n".join(line for line in gateway.compose(**gateway.shape).splitlines() if not line.startswith(name))
                gateway.write_config(f"\n{setting}\n{text}")
                told = gateway.run("-t")
                self.assertEqual(told.returncode, 1, told.stderr)
                self.assertRegex(told.stderr, r"\[emerg\] \S*beamgate\.conf:2:1: ")
                self.assertNotIn("successful", told.stderr)
                self.assertEqual(gateway.run().returncode, 1, "a start fails as well")
                self.assertEqual(set(os.listdir(gateway.directory)), before)
        gateway.write_config(f"error_log new.log;\n{text.replace('error_log stderr info;', '')}")
        self.assertEqual(gateway.run("-t").returncode, 0)
        self.assertEqual(set(os.listdir(gateway.directory)), before)

    def test_a_taken_address_is_named_and_ends_the_start(self):
        first = self.gateway(HTTP)
        second = self.gateway(HTTP.replace("127.0.0.1:0", first.address()), start=False)
        second.start(wait=False)
        self.assertNotEqual(second.wait_exit(), 0)
        second.wait_log(first.address().replace(".", r"\."))


class Processes(beamgate.TestCase):
    def test_names(self):
        gateway = self.gateway(HTTP)
        self.assertTrue(beamgate.command_line(gateway.pid).startswith("beamgate: master process"))
        for pid in gateway.worker_pids():
            self.assertTrue(beamgate.command_line(pid).startswith("beamgate: worker process"))

    def test_without_master_process_there_is_one_worker(self):
        for setting, count in (("", 3), ("master_process off;", 1)):
            gateway = self.gateway("server { listen 127.0.0.1:0; return 200 ok; }", main=setting, workers=3)
            self.assertEqual(len(gateway.worker_pids()), count)
            self.assertEqual(http_client.get(gateway.address(), "/").text, "ok")

    def test_the_workers_directory(self):
        for setting, directory in (("", "."), ("working_directory cores;", "cores")):
            gateway = self.gateway(HTTP, main=setting, files={"cores/file": ""})
            for pid in gateway.worker_pids():
                self.assertEqual(Path(f"/proc/{pid}/cwd").resolve(), gateway.path(directory).resolve())
            self.assertEqual(Path(f"/proc/{gateway.pid}/cwd").resolve(), gateway.directory.resolve())

    def test_daemon(self):
        gateway = self.gateway(HTTP, start=False, main="worker_processes 1;")
        text = gateway.config_path.read_text().replace("daemon off;", "daemon on;")
        text = text.replace("worker_processes 2;\n", "").replace("error_log stderr info;", "error_log error.log info;")
        gateway.write_config(text)
        started = gateway.run()
        self.assertEqual(started.returncode, 0, started.stderr)
        pid = int(gateway.path("beamgate.pid").read_text())
        self.addCleanup(self.end, pid)
        log = gateway.path("error.log")
        beamgate.until(lambda: "ready workers=1" in log.read_text(), 20, "ready")
        self.assertEqual(os.getsid(pid), pid)
        address = next(line.split("address=")[1] for line in log.read_text().splitlines() if "listening" in line)
        self.assertEqual(http_client.get(address, "/hello").text, "hello\n")
        self.assertEqual(gateway.run("-s", "stop").returncode, 0)
        beamgate.until(lambda: not beamgate.session_members(pid), 20, "the daemon's end")
        self.assertIsNone(beamgate.REPORTS.search(log.read_text()))

    def end(self, session):
        for pid in beamgate.session_members(session):
            os.kill(pid, SIGKILL)

    def test_workers_drop_privileges(self):
        """As root the workers become `user`; anybody else stays who he is."""
        gateway = self.gateway(HTTP, main="user nobody;" if os.geteuid() == 0 else "")
        expected = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else os.geteuid()
        for pid in gateway.worker_pids():
            status = Path(f"/proc/{pid}/status").read_text()
            uids = next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1:]
            self.assertEqual(set(map(int, uids)), {expected})
        self.assertEqual(http_client.get(gateway.address(), "/hello").text, "hello\n")

    def test_readiness_is_told_once_all_workers_serve(self):
        gateway = self.gateway(HTTP, workers=4)
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(http_client.get(gateway.address(), "/hello").status))
                   for _ in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        self.assertEqual(answers, [200] * 32)


if __name__ == "__main__":
    beamgate.main()
