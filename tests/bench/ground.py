"""What every measurement stands on: certificates, users, an upstream, live pairs, and processes that are pinned and counted."""

import json
import os
import pathlib
import resource
import socket
import subprocess
import time

# The proxy has one core, the load generator and the upstream the other.
PROXY_CORE, LOAD_CORE = "0", "1"


def raise_descriptors():
    """As many as may be; only root may raise the hard limit, and not everywhere."""
    for wanted in [65536, resource.getrlimit(resource.RLIMIT_NOFILE)[1]]:
        try:
            return resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
        except (ValueError, OSError):
            continue


def most_connections():
    """Connections that a proxy can hold here: HAProxy counts two descriptors for each."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2 - 100


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def pinned(core, *command):
    return ["taskset", "-c", core, *map(str, command)]


def descendants(pid):
    """The process and its children: HAProxy and nginx work in theirs."""
    found, look = [], [pid]
    while look:
        one = look.pop()
        found.append(one)
        for task in pathlib.Path(f"/proc/{one}/task").glob("*/children"):
            look += [int(child) for child in task.read_text().split()]
    return found


def private_bytes(pid):
    """Memory that only these processes have."""
    total = 0
    for one in descendants(pid):
        for line in pathlib.Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
            if line.startswith(("Private_Clean:", "Private_Dirty:")):
                total += int(line.split()[1]) * 1024
    return total


class Ground:
    """Everything that the peers share; a context that ends all it started."""

    def __init__(self, root, folder, binary=None):
        self.root, self.folder = root, folder
        self.gatewarden = binary or root / "target/release/gatewarden"
        self.load = self.bench("load")
        self.running = []

    def bench(self, name):
        """A benchmark that cargo built last."""
        built = (path for path in (self.root / "target/bench/build/release/deps").glob(f"{name}-*") if not path.suffix)
        return max((path for path in built if os.access(path, os.X_OK)), key=lambda path: path.stat().st_mtime)

    def __enter__(self):
        run = lambda *command: subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
        run(self.gatewarden, "cert", "dev", "--dir", self.folder / "certs")
        run(self.gatewarden, "secret", "new", self.folder / "token.key")
        (self.folder / "users.toml").write_text(users())
        os.chmod(self.folder / "users.toml", 0o600)
        self.generator = self.start(
            LOAD_CORE, self.load, "upstream", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.upstream = self.heard("upstream").strip()
        return self

    def __exit__(self, *_):
        for process in self.running:
            process.terminate()
        for process in self.running:
            process.wait(20)

    def start(self, core, *command, **options):
        process = subprocess.Popen(pinned(core, *command), **options)
        self.running.append(process)
        return process

    def end(self, process):
        self.running.remove(process)
        process.terminate()
        process.wait(20)

    def target(self, peer):
        """Whom the load generator is to drive, and whose CPU time to watch meanwhile."""
        watched = [word for pid in descendants(peer.process.pid) for word in ("--watch", pid)]
        return ["--target", f"127.0.0.1:{peer.port}", *watched]

    def run(self, task, peer, *more):
        """What the load generator prints."""
        command = pinned(LOAD_CORE, self.load, task, *self.target(peer), *more)
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout

    def drive(self, peer, *more, task="drive"):
        """Lets the upstream's own process drive a peer; what it measured."""
        words = [task, *map(str, [*self.target(peer), *more])]
        try:
            self.generator.stdin.write(json.dumps(words) + "\n")
            self.generator.stdin.flush()
        except BrokenPipeError:
            pass
        return json.loads(self.heard(*words))

    def heard(self, *words):
        """A line of the load generator's, which it was asked for so."""
        if line := self.generator.stdout.readline():
            return line
        raise RuntimeError(f"the load generator ended with {self.generator.wait(20)} at: {' '.join(words)}")


def users():
    """Cheap hashes: what a password check costs is measured on its own."""
    import hashlib

    lines = []
    for number in range(20):
        digest = hashlib.md5(f"{number}:bench:bench".encode()).hexdigest()
        lines.append(f'[[users]]\nname = "{number}@bench"\npassword = "a1:{digest}"\nrole = "user"\n')
    return "".join(lines)


def wait_for(port, patience=10):
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise TimeoutError(f"nothing listens on port {port}")
