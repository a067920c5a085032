#!/usr/bin/python3
"""Measures what an idle WebSocket costs a worker, with TLS and without: memory, and time for handshakes.

    cmake --preset release && cmake --build build/release --target beamgate
    tests/bench/tls_idle.py [CONNECTIONS]

Half of the clients have sent a large message and got it back before they idle: buffers must not stay behind.
"""

import asyncio
import os
import ssl
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))

import beamgate  # noqa: E402
import ws_frame  # noqa: E402
from certificates import Authority  # noqa: E402
from wire import split_address  # noqa: E402

AT_ONCE = 50


async def open_one(address, tls, chatty):
    reader, writer = await asyncio.open_connection(*address, ssl=tls,
                                                   server_hostname="one.test" if tls else None)
    writer.write(ws_frame.handshake("one.test", "/", ws_frame.make_key(), (), (), None))
    await reader.readuntil(b"\r\n\r\n")
    if chatty:
        message = ws_frame.encode(ws_frame.BINARY, b"x" * 60_000)
        writer.write(message)
        await reader.readexactly(60_004)
    return writer


async def hold(gateway, address, tls, count):
    began, clients = time.monotonic(), []
    before = gateway.memory()
    for first in range(0, count, AT_ONCE):
        clients += await asyncio.gather(*(open_one(address, tls, n % 2 == 0) for n in range(first, first + AT_ONCE)))
    took = time.monotonic() - began
    await asyncio.sleep(10)  # What has become free goes back over some seconds.
    after = gateway.memory()
    for client in clients:
        client.transport.abort()
    return {name: (after[name] - before[name]) / count for name in ("Pss", "Anonymous")}, took


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000
    with tempfile.TemporaryDirectory() as directory:
        authority = Authority(directory)
        pair = authority.issue("one.test")
        http = f"""server {{ listen 127.0.0.1:0 ssl; {pair.directives()}
                     location / {{ websocket echo; websocket_ping_interval 0; websocket_idle_timeout 0; }} }}
                   server {{ listen 127.0.0.2:0; location / {{ websocket echo; websocket_ping_interval 0;
                     websocket_idle_timeout 0; }} }}"""
        print(f"{'':10} {'memory':>16} {'of it heap':>14} {'handshakes':>12}")
        for version in ("TLSv1_2", "TLSv1_3", None):
            with beamgate.Gateway(http, workers=1, events=f"worker_connections {count + 100};") as gateway:
                tls = None
                if version:
                    tls = authority.client()
                    tls.minimum_version = tls.maximum_version = ssl.TLSVersion[version]
                address = split_address(gateway.address(0 if version else 1))
                bytes_each, took = asyncio.run(hold(gateway, address, tls, count))
                print(f"{version or 'plain':10} {bytes_each['Pss']:>10.0f} bytes {bytes_each['Anonymous']:>8.0f} bytes"
                      f" {count / took:>8.0f} /s")


if __name__ == "__main__":
    sys.exit(main())
