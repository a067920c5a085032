"""The PHP example behind php-fpm, for pages and for webhooks, with no web server in between."""

import os

import beamgate
import chat_example
from php_fpm import PhpFpm


class Example(chat_example.BehindGateway, beamgate.TestCase):
    def start_both(self):
        gateway = self.gateway(start=False)
        example = chat_example.EXAMPLES / "php"
        pages = {"php/chat.php": (example / "chat.php").read_text(),
                 "chat.html": (chat_example.EXAMPLES / "chat.html").read_text()}
        port = chat_example.free_port()
        fpm = self.track(PhpFpm(pages, env={"BEAMGATE_SECRETS": chat_example.SECRET, "BEAMGATE_API_KEY": chat_example.KEY,
                                            "BEAMGATE_API": f"http://127.0.0.1:{port}/api"}))
        text = (example / "beamgate-fpm.conf").read_text()
        for old, new in (("listen 127.0.0.1:8080;", f"listen 127.0.0.1:{port};"),
                         ("worker_processes auto;", "worker_processes 2;"),
                         ("error_log stderr notice;", "error_log stderr info;"),
                         ("unix:/run/php/php-fpm.sock", fpm.socket),
                         ("/srv/chat/chat.php", f"{fpm.root}/php/chat.php"),
                         ("secret whsec_ZXhhbXBsZSBzZWNyZXQsIGNoYW5nZSBpdCBpbiBib3RoIQ==;",
                          f"secret {chat_example.SECRET};"),
                         ("api_key example-key-change-it-in-both;", f"api_key {chat_example.KEY};")):
            self.assertIn(old, text)
            text = text.replace(old, new)
        gateway.write_config(("user root;\n" if os.geteuid() == 0 else "") + text)
        gateway.start()
        return gateway.address()


if __name__ == "__main__":
    beamgate.main()
