"""How gatewarden's own costs grow: with sessions, routes, servers and workers, and beside a flood of logins."""

import dataclasses
import json
import statistics
import subprocess

import ground
import peers
from scenarios import ratios, rotated, summary


def figure_of(scenario, costs, more):
    """What was measured, and each as a share of the first, round by round; of the least of all rounds too, where little of what
    others do on the machine is left."""
    named, least = {}, min(next(iter(costs.values())))
    for label, values in costs.items():
        columns = {"least": min(values), "ratio of the least": min(values) / least}
        columns |= {name: statistics.median(values) for name, values in more[label].items()}
        named[label] = {"cost": summary(values), "more": columns}
    figure = {"name": scenario.name, "title": scenario.title, "unit": scenario.unit, "peers": named}
    ratios(figure, reference=next(iter(costs)))
    figure["good"] = scenario.good
    return figure


def columns(measured, *names):
    """Each figure to its list: one a round."""
    for label, name, value in names:
        measured.setdefault(label, {}).setdefault(name, []).append(value)


@dataclasses.dataclass
class Sessions:
    """Live sessions in a process of their own, from few to very many. Of pauses the least of all rounds counts: what is
    gatewarden's own comes in each."""

    name: str
    title: str
    unit = "bytes a session"
    good = "at most 320 bytes from 100,000 on (below, the empty table counts); no pause above 10,000 us"
    counts = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)

    def measure(self, place, said):
        costs, more = {}, {}
        for _ in range(min(said.rounds, 3)):
            for count in self.counts:
                count = int(count * min(said.scale, 1)) or 1000
                # On both cores, so that one thread can look up while another sweeps.
                command = [place.bench("sessions"), "--count", str(count)]
                measured = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
                label = f"{count:,}"
                costs.setdefault(label, []).append(measured.pop("bytes_each"))
                columns(more, *((label, name, value) for name, value in measured.items()))
        for measured in more.values():
            measured.update({name: [min(values)] for name, values in measured.items() if name.startswith("slowest")})
        return figure_of(self, costs, more)


@dataclasses.dataclass
class Variants:
    """The cost of a request as something grows: all variants at once, in rounds A B C, B C A."""

    name: str
    title: str
    variants: dict
    good: str
    requests: int = 10_000
    unit = "CPU us a request"

    def measure(self, place, said):
        requests = max(500, int(self.requests * said.scale))
        started = {label: self.start(place, **options) for label, options in self.variants.items()}
        costs, more = {label: [] for label in started}, {}
        for label, peer in started.items():
            self.drive(place, peer, requests // 4)
        for turn in range(said.rounds):
            for label, peer in rotated(list(started.items()), turn):
                measured = self.drive(place, peer, requests)
                costs[label].append(measured["cpu_micros"] / requests)
                columns(more, (label, "a second", requests / measured["seconds"]), (label, "p99 us", measured["p99"]))
        for peer in started.values():
            place.end(peer.process)
        return figure_of(self, costs, more)

    def start(self, place, **options):
        return peers.gatewarden(place, **options)

    def drive(self, place, peer, requests):
        measured = place.drive(peer, "--pairs", peer.pairs, "--expect", 200, "--requests", requests)
        bad = measured["errors"] + measured["unexpected"]
        assert bad == 0, f"{bad} of {requests} requests went wrong"
        return measured


class Crowds(Variants):
    """Gateways with so many sessions, which are issued in the process: millions of logins would take an hour."""

    def start(self, place, count):
        return peers.crowded(place, count)


@dataclasses.dataclass
class Flood:
    """Authenticated traffic at a fixed rate, alone and beside more logins than the machine can check. Both share one core."""

    name: str
    title: str
    rate: int = 500
    seconds: int = 5
    unit = "p99 us of the authenticated"
    good = "at most 1.50 beside the flood"

    def measure(self, place, said):
        added = subprocess.run(
            [place.gatewarden, "user", "add", "--users", place.folder / "users.toml", "slow@bench"],
            input="a password\n", text=True, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert added.returncode == 0
        peer = peers.gatewarden(place)
        paced = ["--pairs", peer.pairs, "--expect", 200, "--rate", self.rate, "--requests", self.rate * self.seconds]
        costs, more = {"alone": [], "beside a flood": []}, {}
        for _ in range(min(said.rounds, 5)):
            for label in costs:
                flood = self.flood(place, peer) if label != "alone" else None
                measured = place.drive(peer, *paced)
                assert not measured["errors"] + measured["unexpected"], "authenticated requests went wrong"
                costs[label].append(measured["p99"])
                columns(more, (label, "p50 us", measured["p50"]), (label, "max us", measured["max"]))
                if flood:
                    answers = json.loads(flood.communicate(timeout=60)[0])
                    place.running.remove(flood)
                    columns(more, *((label, *one) for one in self.judged(answers)))
        place.end(peer.process)
        return figure_of(self, costs, more)

    def flood(self, place, peer):
        """More at once than the queue takes and more a second than one core can check, and refused ones at once again."""
        login = json.dumps({"username": "slow@bench", "password": "wrong"})
        command = [place.load, "drive", *place.target(peer), "--pairs", peer.pairs]
        command += ["--path", "/login", "--json", login, "--expect", 401]
        command += ["--requests", 1_000_000, "--seconds", self.seconds, "--rate", 200, "--connections", 128]
        return place.start(ground.LOAD_CORE, *command, stdout=subprocess.PIPE, text=True)

    def judged(self, answers):
        checked = answers["requests"] - answers["unexpected"]
        yield "logins checked a second", checked / answers["seconds"]
        yield "turned away a second", answers["unexpected"] / answers["seconds"]


def routes(count):
    """So many routes more than the usual ones."""
    more = ", ".join(f'{{ path = "/r{number}/x", upstream = "main" }}' for number in range(count))
    return {"routes": more}


ALL = [
    Sessions("8", "live sessions in memory"),
    Crowds(
        "8b", "live sessions, cost of a request",
        {f"{count:,} sessions": {"count": count} for count in Sessions.counts},
        "at most 1.10 of the least", requests=8_000,
    ),
    Variants(
        "9", "routes", {f"{count:,} routes": routes(count) for count in [1, 10, 100, 1000]}, "flat: at most 1.05",
    ),
    Variants(
        "9b", "servers of an upstream", {f"{count} servers": {"servers": count} for count in [1, 10, 100]},
        "flat: at most 1.05 beyond what more connections cost",
    ),
    Flood("10", "a flood of logins (argon2id) beside authenticated traffic"),
    Variants(
        "11", "workers; two share their cores with the load generator",
        {f"{count} workers": {"workers": count} for count in [1, 2]}, "CPU a request as with one: at most 1.10",
        requests=20_000,
    ),
]  # fmt: skip
