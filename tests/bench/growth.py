"""How gatewarden's own costs grow: with sessions, routes, servers and workers, and beside a flood of logins."""

import dataclasses
import json
import subprocess

import ground
import peers
from scenarios import summary


def figure_of(scenario, costs, more=None):
    named = {label: {"cost": summary(values), "more": (more or {}).get(label, {})} for label, values in costs.items()}
    return {"name": scenario.name, "title": scenario.title, "unit": scenario.unit, "peers": named}


@dataclasses.dataclass
class Sessions:
    """Live sessions in this process alone, from few to very many."""

    name: str
    title: str
    unit = "bytes a session"

    def measure(self, place, said):
        costs, more = {}, {}
        for count in [1_000, 10_000, 100_000, 1_000_000, 10_000_000]:
            count = int(count * min(said.scale, 1)) or 1000
            command = ground.pinned(ground.PROXY_CORE, place.bench("sessions"), "--count", count)
            measured = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
            label = f"{count:,}"
            costs[label] = [measured.pop("bytes_each")]
            more[label] = measured
        return figure_of(self, costs, more)


@dataclasses.dataclass
class Growth:
    """The cost of a request as something in the configuration grows."""

    name: str
    title: str
    variants: dict
    requests: int = 30_000
    unit = "CPU us a request"

    def measure(self, place, said):
        costs, more = {label: [] for label in self.variants}, {label: {} for label in self.variants}
        for _ in range(min(said.rounds, 3)):
            for label, options in self.variants.items():
                peer = peers.gatewarden(place, **options)
                requests = max(500, int(self.requests * said.scale))
                self.drive(place, peer, requests // 4)
                before = ground.cpu_micros(peer.process.pid)
                measured = self.drive(place, peer, requests)
                costs[label].append((ground.cpu_micros(peer.process.pid) - before) / requests)
                more[label] = {"a second": requests / measured["seconds"], "p99 us": measured["p99"]}
                place.end(peer.process)
        return figure_of(self, costs, more)

    def drive(self, place, peer, requests):
        return place.drive(peer.port, "--pairs", place.folder / "pairs", "--expect", 200, "--requests", requests)


@dataclasses.dataclass
class Flood:
    """Authenticated traffic at a fixed rate, alone and beside more logins than the machine can check."""

    name: str
    title: str
    rate: int = 1000
    unit = "p99 us of the authenticated"

    def measure(self, place, said):
        hash_of = subprocess.run(
            [place.gatewarden, "user", "add", "--users", place.folder / "users.toml", "slow@bench"],
            input="a password\n", text=True, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert hash_of.returncode == 0
        peer = peers.gatewarden(place)
        costs, more = {"alone": [], "beside a flood": []}, {"alone": {}, "beside a flood": {}}
        paced = ["--pairs", place.folder / "pairs", "--expect", 200, "--rate", self.rate, "--requests", self.rate * 4]
        for _ in range(min(said.rounds, 3)):
            costs["alone"].append(place.drive(peer.port, *paced)["p99"])
            flood = self.flood(place, peer)
            costs["beside a flood"].append(place.drive(peer.port, *paced)["p99"])
            measured = json.loads(flood.communicate(timeout=60)[0])
            place.running.remove(flood)
            more["beside a flood"] = {"logins a second": measured["requests"] / measured["seconds"]}
        place.end(peer.process)
        return figure_of(self, costs, more)

    def flood(self, place, peer):
        login = json.dumps({"username": "slow@bench", "password": "wrong"})
        command = [place.load, "drive", "--target", f"127.0.0.1:{peer.port}", "--ca", place.folder / "certs/ca.pem"]
        command += ["--pairs", place.folder / "pairs", "--path", "/login", "--json", login]
        command += ["--requests", 1_000_000, "--seconds", 6, "--rate", 400, "--connections", 64]
        return place.start(ground.LOAD_CORE, *command, stdout=subprocess.PIPE, text=True)


def routes(count):
    """So many routes more than the usual ones."""
    more = ", ".join(f'{{ path = "/r{number}/x", upstream = "main" }}' for number in range(count))
    return {"routes": more}


ALL = [
    Sessions("8", "live sessions in memory"),
    Growth("9", "routes", {f"{count:,} routes": routes(count) for count in [1, 10, 100, 1000]}),
    Growth("9b", "servers of an upstream", {f"{count} servers": {"servers": count} for count in [1, 10, 100]}),
    Flood("10", "a flood of logins (argon2id) beside authenticated traffic"),
    Growth("11", "workers", {f"{count} workers": {"workers": count} for count in [1, 2]}, requests=60_000),
]
