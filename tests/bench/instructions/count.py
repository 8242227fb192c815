"""Counts instructions under callgrind and compares them with what was kept."""

import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys

KEPT = pathlib.Path(__file__).with_name("kept.json")
TOLERANCE = 0.03
FEW, MANY = 200, 1200


def program(folder):
    """What cargo built last."""
    built = [path for path in pathlib.Path(folder).glob("instructions-*") if not path.suffix and os.access(path, os.X_OK)]
    return max(built, key=lambda path: path.stat().st_mtime)


def counted(command):
    """Instructions of a whole run, all its threads together."""
    callgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    done = subprocess.run([*callgrind, *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not found:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stderr}")
    return int(found[1])


def each(bench, name):
    few, many = (counted([bench, name, "--times", str(times)]) for times in (FEW, MANY))
    return round((many - few) / (MANY - FEW))


def line(name, count, kept):
    if not kept:
        return f"  {name:26}{count:>10,}  new"
    return f"  {name:26}{count:>10,}{count / kept - 1:>+9.1%}  of {kept:,}"


def main():
    folder, *wanted = sys.argv[1:]
    keep = "--keep" in wanted
    wanted = [name for name in wanted if name != "--keep"]
    bench, kept = program(folder), json.loads(KEPT.read_text()) if KEPT.exists() else {}
    names = subprocess.run([bench], check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    if unknown := set(wanted) - set(names):
        sys.exit(f"no such name: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    names = wanted or names
    print(f"instructions each; more than {TOLERANCE:.0%} over what was kept is too much")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        counts = dict(zip(names, pool.map(lambda name: each(bench, name), names)))
    for name in names:
        print(line(name, counts[name], kept.get(name)))
    if keep:
        KEPT.write_text(json.dumps(kept | counts, indent=1) + "\n")
        return
    over = [name for name in names if counts[name] > kept.get(name, counts[name]) * (1 + TOLERANCE)]
    under = [name for name in names if counts[name] < kept.get(name, counts[name]) * (1 - TOLERANCE)]
    if under:
        print(f"cheaper than was kept: {', '.join(under)}; run again with --keep and commit {KEPT.name}")
    if over:
        sys.exit(f"too many: {', '.join(over)}; if it has to be so, run again with --keep and commit {KEPT.name}")


if __name__ == "__main__":
    main()
