"""Every benchmark, one after the other: `python -m benchmarks`, or `python -m benchmarks NAME`."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import benchmarks

ORDER = [
    "ingest",
    "delivery",
    "blocking_reload",
    "latency",
    "glass_to_glass",
    "rtmp_demux",
    "packager",
    "recorder",
    "forwarding",
    "compositor",
    "analytics",
]


def main() -> None:
    names = sys.argv[1:2] or ORDER
    available = {module.name for module in pkgutil.iter_modules(benchmarks.__path__)}
    for name in names:
        if name not in available:
            sys.exit(f"no benchmark {name!r}; there are: {', '.join(sorted(available - {'__main__'}))}")
        module = importlib.import_module(f"benchmarks.{name}")
        print(f"\n== {name}: {(module.__doc__ or '').splitlines()[0]}", flush=True)
        sys.argv = [name, *sys.argv[2:]]
        module.main()


if __name__ == "__main__":
    main()
