"""Measures gatewarden beside its peers: CPU time a request first, for that is steady on a machine that others use too."""

import argparse
import json
import pathlib
import sys
import tempfile

import chart
import ground
import growth
import peers
import scenarios

ALL = [*scenarios.ALL, *growth.ALL]
ROOT = pathlib.Path(__file__).resolve().parents[2]


def arguments():
    parser = argparse.ArgumentParser(
        prog="tests/bench/run",
        description=__doc__,
        epilog="Scenarios: " + "; ".join(f"{one.name}: {one.title}" for one in ALL),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenario", nargs="*", help="those to run; absent: all")
    # Many short ones, for what disturbs comes and goes.
    parser.add_argument("--rounds", type=int, default=15, help="rounds of all peers in turn (A B C, B C A)")
    parser.add_argument("--scale", type=float, default=1.0, help="requests of each run, times this")
    parser.add_argument("--peers", nargs="+", default=list(peers.USUAL), choices=list(peers.ALL))
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "target/bench", help="where figures.json and chart.svg go")
    said = parser.parse_args()
    known = {one.name: one for one in ALL}
    if unknown := set(said.scenario) - set(known):
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    said.scenarios = [known[name] for name in said.scenario] or ALL
    return said


def main():
    said = arguments()
    ground.raise_descriptors()
    figures = []
    with tempfile.TemporaryDirectory() as folder, ground.Ground(ROOT, pathlib.Path(folder)) as place:
        for scenario in said.scenarios:
            print(f"\n{scenario.name}: {scenario.title}", flush=True)
            figures.append(scenario.measure(place, said))
            print(scenarios.table(figures[-1]), flush=True)
    said.out.mkdir(parents=True, exist_ok=True)
    (said.out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")
    (said.out / "chart.svg").write_text(chart.draw(figures))
    print(f"\n{said.out}/figures.json and {said.out}/chart.svg written")


if __name__ == "__main__":
    sys.exit(main())
