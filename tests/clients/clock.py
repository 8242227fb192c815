"""The wall clock jumps by a year, both ways, under a running gateway: what ended stays ended, the rest lives its time."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

import requests

YEAR = 365 * 24 * 3600
# Seconds; a login takes a second in a build for tests.
LIFETIME = 6
WORK = pathlib.Path(os.environ["WORK"]) / "clock"
LIBRARY = next(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


def holds(what, truth):
    if not truth:
        sys.exit(f"no: {what}")
    print(f"ok: {what}", flush=True)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def jump(seconds):
    """The gateway's wall clock is so far from ours; its clocks of elapsed time are left alone, as the kernel leaves them."""
    new = WORK / "offset.new"
    new.write_text(f"{seconds:+d}\n")
    new.replace(WORK / "offset")


def configure(port, lifetime):
    config = WORK / f"{port}.toml"
    config.write_text(
        f"""
listeners = [{{ address = "127.0.0.1:{port}", tls = false }}]
tokens.secret_files = ["{os.environ["WORK"]}/signing.key"]
directories = [{{ kind = "file", path = "{os.environ["WORK"]}/users.toml" }}]
sessions.lifetime = "{lifetime}s"
upstreams.echo.servers = ["http://127.0.0.1:{os.environ["ECHO"]}"]
routes = [{{ path = "/", upstream = "echo" }}]
"""
    )
    return config


class Gateway:
    """One whose wall clock we move."""

    def __init__(self, lifetime):
        self.port = free_port()
        jump(0)
        clock = {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(WORK / "offset"),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        command = [os.environ["GATEWARDEN"], "serve", "--config", configure(self.port, lifetime)]
        with open(WORK / f"{self.port}.log", "w") as log:
            self.process = subprocess.Popen(command, env=os.environ | clock, stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        sys.exit((WORK / f"{self.port}.log").read_text())

    def log_in(self):
        login = {"username": os.environ["USER_NAME"], "password": os.environ["PASSWORD"]}
        said = requests.post(f"http://127.0.0.1:{self.port}/login", json=login).json()
        return {"X-Key": said["key"], "X-Access-Token": said["token"]}, said["expires"] / 1000 - time.time()

    def status(self, pair, path="/echo", method="GET"):
        return requests.request(method, f"http://127.0.0.1:{self.port}{path}", headers=pair).status_code

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        holds("it ends cleanly", self.process.wait(20) == 0)


def jumps_end_nothing_and_revive_nothing():
    gateway = Gateway(3600)
    ended, _ = gateway.log_in()
    lives, expires = gateway.log_in()
    holds("expires is an hour away", 3500 < expires < 3700)
    holds("logout", gateway.status(ended, "/logout", "POST") == 200)
    for offset in [YEAR, -YEAR, 0]:
        jump(offset)
        holds(f"by {offset} s: what lives, lives", gateway.status(lives) == 200)
        holds(f"by {offset} s: what ended stays ended", gateway.status(ended) == 401)
        pair, expires = gateway.log_in()
        holds(f"by {offset} s: the gateway's clock did jump", abs(expires - 3600 - offset) < 100)
        holds(f"by {offset} s: a new session lives", gateway.status(pair) == 200)
    gateway.end()


def lives_are_as_long_as_they_are():
    gateway = Gateway(LIFETIME)
    before, _ = gateway.log_in()
    jump(-YEAR)
    behind, _ = gateway.log_in()
    holds("both live after a jump back", [gateway.status(before), gateway.status(behind)] == [200, 200])
    time.sleep(LIFETIME)
    holds("neither lives a year longer", [gateway.status(before), gateway.status(behind)] == [401, 401])
    jump(YEAR)
    holds("nor again", [gateway.status(before), gateway.status(behind)] == [401, 401])
    gateway.end()


shutil.rmtree(WORK, ignore_errors=True)
WORK.mkdir()
jumps_end_nothing_and_revive_nothing()
lives_are_as_long_as_they_are()
