#!/usr/bin/env python3
"""How a native breakpoint bears threads: hits a second with 1, 2, 8 and 64 threads on one breakpoint, as ratios of one run.

Every hit is counted by the program too: a figure with a lost hit is none. PICKGLASS is the program under test."""
import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from nativetargets import *

SECONDS, TURNS = 2, 3
LIMITS = "limits: {duration: 60s, max_pause: 5s}\n"


def rate(threads, probe):
    target = Launched(build("storm", "-O2"), "plain", str(SECONDS * 1000), str(threads))
    got = run(probe, target, limits=LIMITS, timeout=60)
    told, row = target.told(), got.account()["w"]
    check(row["reached"] == told["calls"] and row["lost"] == 0, f"{threads} threads: {row}, {told['calls']} calls")
    return told["calls"] / SECONDS


def main():
    for name, probe in ("an int captured", "  w: {at: work, capture: [n]}\n"), ("false 999 times in 1,000", "  w: {at: work, when: n % 1000 == 7}\n"):
        print(name)
        rates = {}
        for _ in range(TURNS):
            for threads in 1, 2, 8, 64:
                rates.setdefault(threads, []).append(rate(threads, probe))
        one = max(rates[1])
        for threads, seen in rates.items():
            print(f"  {threads:3} threads: {max(seen):9.0f} hits a second, {max(seen) / one:.2f} of one thread's")


if __name__ == "__main__":
    try:
        main()
    finally:
        end_all()
        shutil.rmtree(WORK, ignore_errors=True)
