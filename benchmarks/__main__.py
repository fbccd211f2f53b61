"""`python -m benchmarks [--quick] [--json] [SECTION ...]`."""

from __future__ import annotations

import argparse
import json
import sys
import time

from benchmarks import copying, forking, interpreter, machine, many, running, spares, starting
from benchmarks.context import Context
from benchmarks.peers import make_peers
from benchmarks.report import as_json, as_markdown, as_text
from localbox import WallError

SECTIONS = {
    "starting": starting.sections,
    "running": running.sections,
    "copying": copying.sections,
    "many": many.sections,
    "forking": forking.sections,
    "interpreter": interpreter.sections,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--quick", action="store_true", help="a smoke run; the figures say nothing")
    parser.add_argument("--json", action="store_true", help="JSON instead of tables")
    parser.add_argument("--markdown", action="store_true", help="tables for docs/benchmarks.md")
    parser.add_argument("--profile", help="of the sandboxes; the default one if not given")
    options = parser.parse_args()
    for name in options.sections:
        if name not in SECTIONS:
            parser.error(f"no section {name!r}; there are {', '.join(SECTIONS)}")

    began = time.monotonic()
    spares.switch_off()
    as_lines = as_markdown if options.markdown else as_text
    here = machine.describe()
    results = []
    if not options.json:
        print("\n".join(f"{name:10} {value}" for name, value in here.items()), flush=True)
    try:
        with make_peers() as peers:
            context = Context(peers, options.quick, options.profile)
            for name in options.sections or SECTIONS:
                for section in SECTIONS[name](context):
                    results.append(as_json(section))
                    if not options.json:
                        print("\n".join(as_lines(section)), flush=True)
    except WallError as error:
        print(f"no sandbox here: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps({"machine": here, "quick": options.quick, "sections": results}, indent=2))
    else:
        print(f"\n{time.monotonic() - began:.0f} s in all")
    return 0


if __name__ == "__main__":
    sys.exit(main())
