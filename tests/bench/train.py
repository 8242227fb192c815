"""Puts a gateway that records its own profile under every kind of load that counts, each for about as long."""

import pathlib
import sys
import tempfile

import ground
import peers
import scenarios

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Of a round of the benchmark: long enough that what happens once hardly counts.
SCALE = 1.2


def main(binary):
    ground.raise_descriptors()
    with tempfile.TemporaryDirectory() as folder, ground.Ground(ROOT, pathlib.Path(folder), binary) as place:
        for scenario in scenarios.ALL:
            if isinstance(scenario, scenarios.Requests):
                print(f"{scenario.name}: {scenario.title}", flush=True)
                (peer,) = peers.start(place, ["gatewarden"])
                scenario.run(place, peer, int(scenario.requests * SCALE))
                place.end(peer.process)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
