"""What is measured: each scenario is one kind of work for all peers, in rounds, each of which another peer begins: A B C, B C A."""

import dataclasses
import statistics
import subprocess

import ground
import peers

REFERENCE = "haproxy"
# Turns of a second each, at a fixed rate.
MOST_PACED = 7


def summary(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "values": values}


def ratios(figure, reference=REFERENCE):
    """Each peer's ratio to the reference, round by round: what disturbs a round disturbs both."""
    if reference not in figure["peers"]:
        return
    figure["reference"] = reference
    base = figure["peers"][reference]["cost"]["values"]
    for peer in figure["peers"].values():
        pairs = zip(peer["cost"]["values"], base)
        peer["ratio"] = summary([mine / theirs for mine, theirs in pairs if theirs])


def rotated(started, turn):
    """In each round another one begins."""
    first = turn % len(started)
    return started[first:] + started[:first]


def paced(rate, turns, reference):
    """What one peer did at one rate: medians, and of the ratios to the reference, turn by turn."""
    told = {"rate": rate}
    for said, measured in [("us", "cpu_micros"), ("p50 us", "p50"), ("p99 us", "p99")]:
        scale = rate if said == "us" else 1
        told[said] = statistics.median(turn[measured] for turn in turns) / scale
        if reference and said != "p99 us":
            told[f"{said} ratio"] = statistics.median(
                turn[measured] / other[measured] for turn, other in zip(turns, reference)
            )
    return told


def written(measured):
    return ", ".join(f"{key} {value:,.{0 if value >= 10 else 2}f}" for key, value in measured.items())


def table(figure):
    """The figures as a person reads them."""
    heading = f"ratio to {figure.get('reference', REFERENCE)}"
    lines = [f"  {'':20}{figure['unit']:>28}{heading:>28}  more"]
    for name, peer in figure["peers"].items():
        cost, ratio = peer["cost"], peer.get("ratio")
        said = f"{ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})" if ratio else ""
        lines.append(f"  {name:20}{cost['median']:>28,.1f}{said:>28}  {written(peer.get('more', {}))}")
        lines += (f"  {'':20}{'':>56}  {written(paced)}" for paced in peer.get("paced", ()))
    if "good" in figure:
        lines.append(f"  good: {figure['good']}")
    return "\n".join(lines)


@dataclasses.dataclass
class Requests:
    """Requests of one kind: CPU time of the proxy for each, requests a second on one core, latency at a fixed rate."""

    name: str
    title: str
    requests: int
    load: list
    resume: bool = False
    wrong: bool = False
    paced: bool = False
    unit = "CPU us a request"

    def measure(self, place, said):
        started = peers.start(place, said.peers)
        requests = max(200, int(self.requests * said.scale))
        cost, speed = {peer.name: [] for peer in started}, {peer.name: [] for peer in started}
        self.run(place, started[0], requests // 4)
        for turn in range(said.rounds):
            for peer in rotated(started, turn):
                measured = self.run(place, peer, requests)
                cost[peer.name].append(measured["cpu_micros"] / requests)
                speed[peer.name].append(requests / measured["seconds"])
        figure = {"name": self.name, "title": self.title, "unit": self.unit, "peers": {}}
        for peer in started:
            more = {"a second": statistics.median(speed[peer.name])}
            figure["peers"][peer.name] = {"cost": summary(cost[peer.name]), "more": more}
        if self.paced:
            self.measure_pace(place, started, figure, said.rounds)
        for peer in started:
            place.end(peer.process)
        for leftover in list(place.running[1:]):
            place.end(leftover)
        ratios(figure)
        return figure

    def measure_pace(self, place, started, figure, rounds):
        """CPU time and latency where nobody is short of time: at 4,000 a second, and at half of what the slowest sustains."""
        half = round(min(peer["more"]["a second"] for peer in figure["peers"].values()) / 2)
        for rate in (min(4_000, half), half):
            measured = {peer.name: [] for peer in started}
            for turn in range(min(rounds, MOST_PACED)):
                for peer in rotated(started, turn):
                    measured[peer.name].append(self.run(place, peer, rate, "--rate", rate))
            for name, turns in measured.items():
                figure["peers"][name].setdefault("paced", []).append(paced(rate, turns, measured.get(REFERENCE)))

    def run(self, place, peer, requests, *more):
        pairs = peer.wrong if self.wrong else peer.pairs
        expect = 401 if self.wrong else 200
        measured = place.drive(
            peer, "--pairs", pairs, "--expect", expect, "--requests", requests, *self.load, *more
        )
        bad = measured["errors"] + measured["unexpected"]
        assert bad == 0, f"{peer.name}: {bad} of {requests} requests went wrong"
        assert measured["requests"] == requests, f"{peer.name}: {measured['requests']} of {requests} requests were made"
        # Those opened at first, side by side, have nothing to take up.
        enough = requests - 8 if self.resume else 0
        assert enough <= measured["resumed"] <= self.resume * requests, f"{peer.name}: {measured['resumed']} resumed"
        return measured


@dataclasses.dataclass
class Idle:
    """Memory of connections that have had their handshake and one request."""

    name: str
    title: str
    connections: int
    unit = "bytes a connection"

    def measure(self, place, said):
        connections = min(max(500, int(self.connections * min(said.scale, 1))), ground.most_connections() - 100)
        figure = {"name": self.name, "title": self.title, "unit": self.unit, "peers": {}}
        cost = {}
        for _ in range(min(said.rounds, 3)):
            for peer in peers.start(place, said.peers):
                before = ground.private_bytes(peer.process.pid)
                command = [place.load, "hold", *place.target(peer), "--pairs", peer.pairs]
                command += ["--connections", connections]
                holder = place.start(
                    ground.LOAD_CORE, *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
                )
                assert holder.stdout.readline() == "ready\n", f"{peer.name} did not take {connections} connections"
                held = (ground.private_bytes(peer.process.pid) - before) / connections
                cost.setdefault(peer.name, []).append(held)
                place.end(holder)
            for leftover in list(place.running[1:]):
                place.end(leftover)
        figure["peers"] = {name: {"cost": summary(values)} for name, values in cost.items()}
        ratios(figure)
        return figure


@dataclasses.dataclass
class Tunnels(Requests):
    """WebSocket messages there and back; each counts as one request."""

    unit = "CPU us a message"

    def run(self, place, peer, requests, *more):
        connections = min(1000, requests)
        measured = place.drive(
            peer, "--pairs", peer.pairs, "--connections", connections,
            "--messages", max(1, requests // connections), task="tunnels",
        )  # fmt: skip
        assert not measured["unexpected"], f"{peer.name}: messages came back changed"
        return measured


FRESH = ["--fresh", "--connections", 16]
# rustls keeps eight tickets of a server.
RESUMED = ["--fresh", "--connections", 8, "--resume"]
ALL = [
    Requests("1", "HTTP/1.1, 64 connections kept, 1 KiB answers", 20_000, ["--connections", 64], paced=True),
    Requests(
        "2", "HTTP/2, 8 connections x 32 streams, 1 KiB answers", 20_000,
        ["--protocol", "h2", "--connections", 8, "--streams", 32], paced=True,
    ),
    Requests("3", "a new TLS connection for each request, no resumption", 1_000, FRESH),
    Requests("3b", "a resumed TLS connection for each request", 1_000, RESUMED, resume=True),
    Requests("4", "refused: a wrong token", 20_000, ["--connections", 64], wrong=True),
    Requests("5", "1 MiB downloads", 600, ["--connections", 8, "--path", "/bytes/1048576"]),
    Requests("5b", "10 MiB uploads", 60, ["--connections", 8, "--path", "/sink", "--upload", 10 << 20]),
    Idle("6", "memory of idle TLS connections after one request", 10_000),
    Tunnels("7", "WebSocket messages over 1,000 tunnels", 80_000, []),
]  # fmt: skip
