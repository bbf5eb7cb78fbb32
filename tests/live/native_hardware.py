#!/usr/bin/env python3
"""Breakpoints of the hardware (`hw: true`): every hit once, the text as it was, the debug registers clear afterwards.

As native.py."""
import os, signal, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from nativetargets import *

HARD = "  w: {at: {function: work, hw: true}, capture: [n]}\n"


def test_every_hit_of_many_threads():
    for threads, calls in (1, 200), (8, 100), (32, 20):
        target = Launched(build("threads"), str(threads), str(calls))
        got = run("  o: {at: {function: one, hw: true}, capture: [thread, n]}\n", target)
        exact(got, target.told(), o="one")
        pairs = [(t, n) for t in range(threads) for n in range(calls)]
        check(sorted(got.values("o", "thread", "n")) == pairs, "pairs")
        got = run("  o: {at: {function: one, hw: true}, when: n % 5 == 1, capture: [thread, n]}\n", target)
        check(sorted(got.values("o", "thread", "n")) == [pair for pair in pairs if pair[1] % 5 == 1], "a condition")
        check(got.account()["o"]["reached"] == threads * calls, got.account()["o"])


def test_in_storms():
    for mode, threads in ("plain", 4), ("churn", 3), ("forks", 3), ("vforks", 3), ("alarms", 3), ("queue", 3):
        target = Launched(build("storm"), mode, "400", str(threads))
        got = run(HARD, target, limits=ROOMY, timeout=40)
        told = target.told()
        check(told["wrong"] == 0, f"{mode}: {told}")
        exact(got, told, w="calls")


def test_the_text_is_left_alone():
    busy = Counter(threads=4)
    process = start("  t: {at: {function: tick, hw: true}, capture: [n]}\n", Attached(busy.pid), limits=ROOMY, hits=50)
    check(not changed_code(busy.pid), f"while armed: {changed_code(busy.pid)[:3]}")
    check(any((task_status(busy.pid, tid)[0] != "0") for tid in tasks_of(busy.pid)), "nobody traces it: not while armed")
    process.send_signal(signal.SIGINT)
    finish(process)
    free(busy.pid)
    no_watch_left(busy.pid)
    busy.unharmed()


def test_main_is_killed():
    busy = Counter(threads=4)
    process = start("  t: {at: {function: tick, hw: true}, capture: [n]}\n", Attached(busy.pid), limits=ROOMY, hits=50)
    process.kill()
    process.communicate()
    free(busy.pid)
    no_watch_left(busy.pid)
    busy.unharmed()


def test_right_behind_an_int3():
    """The trap of one looks like that of the other: the instruction between them has one byte."""
    program = build("counts", "-O0", "-fcf-protection=none", "-no-pie")
    code = subprocess.run(["objdump", "-d", "--disassemble=work", program], capture_output=True, text=True).stdout
    begin = re.search(r"<work>:\n\s*([0-9a-f]+):\s+55\s", code)
    check(begin, "work does not begin with push %rbp")
    entry = int(begin[1], 16)
    for first, second in ("", ", hw: true"), (", hw: true", ""), (", hw: true", ", hw: true"):
        target = Launched(program)
        got = run(f"  a: {{at: {{address: {entry:#x}{first}}}}}\n  b: {{at: {{address: {entry + 1:#x}{second}}}}}\n", target)
        exact(got, target.told(), a="work", b="work")


def test_four_and_no_more():
    probes = [f"  p{i}: {{at: {{function: {name}, hw: true}}}}\n" for i, name in enumerate(("work", "fib", "tick", "main", "tight_loop"))]
    names = subprocess.run(["nm", build("counts")], capture_output=True, text=True).stdout
    probes = [probe for probe in probes if f" T {probe.split('function: ')[1].split(',')[0]}\n" in names]
    more = [f"  q{i}: {{at: {{function: main, offset: 0, hw: true}}}}\n" for i in range(2)]
    check(len(probes) >= 3, names)
    got = run("".join(probes[:3] + more[:1]), Launched(build("counts")))
    check(got.code == 0, got.brief())
    got = run("  w: {at: {match: '^(work|fib|main|_start|_init|tight_loop|tick)$', hw: true}}\n", Launched(build("counts")), code=None)
    check(got.code and "all four debug registers" in got.err and "hw" in got.err, got.brief())


def test_beside_watchpoints():
    busy = Counter(threads=2)
    watch = "  w: {watch: {expr: g_ticks, access: write}, max_hits: 20}\n"
    got = run(watch + "  t: {at: {function: tick, hw: true}, max_hits: 20}\n", Attached(busy.pid), limits=ROOMY)
    check(len(got.hits("w")) == 20 and len(got.hits("t")) == 20, got.brief())
    free(busy.pid)
    no_watch_left(busy.pid)
    busy.unharmed()


def test_in_data_and_in_the_middle():
    got = run("  w: {at: {function: work, offset: 2, hw: true}}\n", Launched(build("counts", "-O0", "-fcf-protection=none")), code=None)
    check(got.code and "middle of an instruction" in got.err, got.brief())


KNOWN = {}

if __name__ == "__main__":
    native_main(globals(), KNOWN)
