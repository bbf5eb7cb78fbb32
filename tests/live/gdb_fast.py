#!/usr/bin/env python3
"""gdb://, its fast paths: hits that cost one round trip, conditions and tracepoints on the target. Each must give the
events that the plain path gives, each hit once, and leave the program as it was.

As tests/live/gdb.py: arguments are parts of test names to run."""
import json, os, re, signal, subprocess, sys, time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "support"))
from gdbtargets import *


def wire(got):
    return next(e["wire"] for e in got.of("end") if "wire" in e)


def a_hit(got):
    """Round trips from a hit to its resume, as a mean."""
    said = wire(got)
    return said["hit_round_trips"] / said["hit_stops"]


def plainly(probes):
    """With a stop a hit: a limit, though it is never reached, forbids tracepoints."""
    return probes.replace("{at: ", "{max_hits: 1000000, at: ").replace("{return_of: ", "{max_hits: 1000000, return_of: ")


# ---- 1. over a breakpoint ----

OTHERS = "".join(f"  other{i}: {{at: {{function: {name}, hw: true}}}}\n"
                 for i, name in enumerate(("main", "local_sum", "alloc", "tight")))


def over(level, memory):
    """The hits of `work`, `fib` and its returns; in hardware, or with its slots taken by others."""
    stub = gdbserver(build("counts", level), "200")
    got = run((OTHERS if memory else "") + plainly("""  w: {at: work, capture: [n]}
  s: {at: second, capture: [n, name]}
  f: {at: fib, capture: [n]}
  r: {return_of: work, capture: {r: return}}
"""), stub)
    told, account = stub.told(), got.account()
    check(account["w"]["hits"] == told["work"] == 200 and account["s"]["hits"] == told["second"], account)
    check(got.values("w", "n") == list(range(200)) and got.values("r", "r") == [2 * n for n in range(200)], "values")
    check(got.values("s", "name") == [("alpha", "beta", "gamma")[n % 3] for n in range(200)], "names")
    if level == "-O0":
        check(account["f"]["hits"] == told["fib"], account["f"])
    return got


def test_emulated_where_hardware_is_taken():
    for level in ("-O0", "-O1", "-O2"):
        emulated, hardware = over(level, True), over(level, False)
        check([hit["values"] for hit in emulated.hits() if hit["probe"][:5] != "other"] ==
              [hit["values"] for hit in hardware.hits()], "values differ")
        # Beside the first hits, some of `second` have another string than the one before.
        check(a_hit(emulated) < 1.6, f"{level}: {a_hit(emulated):.2f} round trips a hit: {wire(emulated)}")


def test_one_round_trip_a_hit():
    """Two levels of pointers cost two more at the first hit, and none at the others."""
    program = build("shapes", "-O0")
    for others in ("", OTHERS.replace("local_sum", "small").replace("alloc", "outer").replace("tight", "middle")):
        stub = gdbserver(program, "400")
        got = run(others + plainly("  s: {at: show, capture: [shape->area, shape->next->label, shape->next->name]}\n"), stub)
        check(len(got.hits("s")) == 400 and stub.told()["calls"] == 400, got.brief())
        check({tuple(hit["values"].values()) for hit in got.hits("s")} == {(1 << 40, "the last", "last")}, "values")
        if not others:
            said = wire(got)
            check(400 <= said["hit_round_trips"] <= 404, said)


def some(n):
    return FREE.replace("{", "{hits: %d, " % n, 1)


COLD = "".join(f"  c{i}: {{at: cold{i}, capture: [n]}}\n" for i in (1, 2, 3, 4))
HOT = """  a: {at: hot1, capture: [thread, n]}
  b: {at: hot2, capture: [thread, n, item->name, item->next->kind]}
  c: {at: hot3, capture: [n]}
"""


def hot(got, threads, calls):
    """Every hit of the three, exactly once, with its values."""
    names = ("alpha", "beta", "gamma", "")
    every = [(t, n) for t in range(threads) for n in range(calls)]
    check(sorted(got.values("a", "thread", "n")) == every, f"a: {len(got.hits('a'))} hits")
    want = [(t, n, names[n % 4], 250 + (n + 1) % 4) for t, n in every]
    check(sorted(got.values("b", "thread", "n", "item->name", "item->next->kind")) == want, f"b: {len(got.hits('b'))} hits")
    check(sorted(got.values("c", "n")) == sorted([2, 1, 0] * len(every)), f"c: {len(got.hits('c'))} hits")
    for probe, row in got.account().items():
        check(row["lost"] == row["throttled"] == 0 and row["hits"] == len(got.hits(probe)), f"{probe}: {row}")


def test_hottest_places_get_the_hardware():
    """Four that come first and hit once lose their slots to those that hit often."""
    stub = gdbserver(build("places", "-O0"), "1", "300")
    got = run(plainly(COLD + HOT), stub, env={"PICKGLASS_LOG": "gdb:2"})
    hot(got, 1, 300)
    check([len(got.hits(f"c{i}")) for i in (1, 2, 3, 4)] == [1, 1, 1, 1], got.brief())
    slots = re.findall("-> Z1,[0-9a-f]*", got.err)
    check(len(slots) == 4 + 3, f"slots were given to {slots}")


def test_threads_at_emulated_places():
    taken = COLD.replace("{at: ", "{at: {function: ").replace(", capture", ", hw: true}, capture")
    for level in ("-O0", "-O1"):
        stub = gdbserver(build("places", level), "8", "40")
        got = run(taken + plainly(HOT), stub)
        hot(got, 8, 40)
        # Another thread than the one before brings another stack, so some guesses miss.
        check(a_hit(got) < 2, f"{level}: {a_hit(got):.2f} round trips a hit")


# ---- 2. conditions that the stub decides ----

def decided_by(got):
    return {p["probe"]: p.get("when_decided_by") for e in got.of("armed") for p in e["probes"]}


CONDITIONS = {
    "n % 50 == 7": lambda t, n: n % 50 == 7,
    "n > 110 && thread < 1000": lambda t, n: n > 110,
    "item->id == 12 && n < 40": lambda t, n: n % 4 == 2 and n < 40,
    "item->next->kind == 253 || n == 1": lambda t, n: n % 4 == 2 or n == 1,
    "item->name[0] == 'b'": lambda t, n: n % 4 == 1,
    "item->weight < -2": lambda t, n: n % 4 == 3,
    "(n & 31) == g_limit": lambda t, n: n % 32 == 7,
}


def test_conditions_are_exact():
    """Decided by the stub in memory and in hardware, and by us: the same hits."""
    for level in ("-O0", "-O2"):
        for i, (text, wanted) in enumerate(CONDITIONS.items()):
            want = [n for n in range(120) if wanted(0, n)]
            if level == "-O2" and i % 2:
                continue
            for others in ("",) if i % 3 else ("", COLD.replace("{at: ", "{at: {function: ").replace(", capture", ", hw: true}, capture")):
                stub = gdbserver(build("places", level), "1", "120")
                got = run(others + f"  b: {{max_hits: 9999, at: hot2, when: {json.dumps(text)}, capture: [n, item->name]}}\n", stub)
                row = got.account()["b"]
                check(got.values("b", "n") == want, f"{level} {text}: {got.values('b', 'n')} {got.brief()}")
                check(row["hits"] == len(want) and row["lost"] == 0, row)
                if decided_by(got)["b"] == "server":
                    check(row["reached"] is None and wire(got)["hit_stops"] == len(want) + (4 if others else 0), wire(got))
                else:
                    check(level == "-O2" and row["reached"] == 120, f"{level} {text} was decided here: {row}")


def test_conditions_with_threads():
    stub = gdbserver(build("places", "-O0"), "8", "40")
    got = run("  a: {max_hits: 9999, at: hot1, when: n % 8 == thread, capture: [thread, n]}\n"
              "  b: {max_hits: 9999, at: hot2, when: item->id == 12, capture: [thread, n]}\n"
              "  c: {max_hits: 9999, at: hot3, when: n == 1 && by < 1, capture: [n]}\n", stub)
    check(sorted(got.values("a", "thread", "n")) == [(t, n) for t in range(8) for n in range(40) if n % 8 == t], "a")
    check(sorted(got.values("b", "thread", "n")) == [(t, n) for t in range(8) for n in range(2, 40, 4)], "b")
    check(got.values("c", "n") == [1] * 320, "c")
    check(decided_by(got) == {"a": "server", "b": "server", "c": "pickglass"}, decided_by(got))
    check(stub.told()["hot"] == 320, "calls")


def test_a_condition_that_cannot_be_decided_is_told():
    """A null pointer, and memory that is not there: the same words as without the stub's help."""
    for others in ("", OTHERS.replace("main", "fib")):
        undecided(others)


def undecided(others):
    stub = gdbserver(build("counts", "-O0"), "12")
    got = run(others + "  w: {max_hits: 9999, at: work, when: '*(int *)(long)(n / 5) > 5', capture: [n]}\n"
              "  s: {max_hits: 9999, at: second, when: '!*(int *)(long)(n * 16 + 16)'}\n"
              "  b: {max_hits: 9999, at: bump, when: '*(int *)(long)(by + 16) == 3 || 12 / (by - 1) == 3'}\n", stub)
    said = [e["message"] for e in got.of("error")]
    check(any('probe "w": when: a null pointer is followed' in text for text in said), said)
    check(any('probe "s": when: cannot read memory at 0x10' in text for text in said), said)
    check(any('probe "b": when: cannot read memory at 0x11' in text for text in said), said)
    check(not got.hits("w") and {decided_by(got)[p] for p in "wsb"} == {"server"}, got.brief())
    check(stub.told()["work"] == 12 and wire(got)["hit_stops"] >= 3 * 12, wire(got))


def test_a_running_target_is_calibrated_first():
    busy = Busy()
    stub = gdbserver(attach=busy.pid)
    got = run("  t: {max_hits: 9999, at: tick, when: n % 1000 == 7, capture: [n]}\n", stub, limits=some(5))
    check(len(got.hits()) == 5 and all(n % 1000 == 7 for n in got.values("t", "n")), got.brief())
    ns = got.values("t", "n")
    check(ns == list(range(ns[0], ns[0] + 5000, 1000)), ns)
    busy.untouched()


# ---- 3. tracepoints ----

UNPAID = "limits: {duration: 60s, max_pause: 5s}\n"  # without a budget for pauses, which many threads together overdraw


def traced(got):
    check(wire(got)["hit_stops"] == 0, f"somebody stopped: {wire(got)}")


def test_traced_hits_are_those_of_stops():
    for level in ("-O0", "-O1"):
        got = run(HOT, gdbserver(build("places", level), "1", "400"))
        hot(got, 1, 400)
        traced(got)
        stops = run(plainly(HOT), gdbserver(build("places", level), "1", "400"))
        for probe in "abc":
            check(got.values(probe, *got.hits(probe)[0]["values"]) == stops.values(probe, *got.hits(probe)[0]["values"]), probe)
            for key in ("location", "pid", "thread"):
                one, other = got.hits(probe)[7][key], stops.hits(probe)[7][key]
                check(key != "location" or one == other, f"{one} {other}")
                check(key != "pid" or one == got.of("armed")[0]["pid"], "pid")
                check(key != "thread" or one["id"] == got.of("armed")[0]["pid"], "thread")
        times = [hit["time"] for hit in got.hits()]
        check(times == sorted(times) and got.of("run")[0]["time"] < times[0] < times[-1] < got.of("end")[0]["time"], "times")


def test_traced_until_it_starts_a_thread():
    """gdbserver misses hits of a thread that it finds standing at a tracepoint: with several threads, all hits are stops."""
    stub = gdbserver(build("places", "-O0"), "8", "100")
    got = run("  cold: {at: {match: '^cold.$'}}\n" + HOT, stub)
    hot(got, 8, 100)
    told = stub.told()
    check(told["hot"] == 800 and len(got.hits("cold")) == 4, f"{told} {got.brief()}")
    check(wire(got)["hit_stops"] == sum(len(got.hits(probe)) for probe in "abc"), f"{wire(got)} {got.brief()}")
    by_thread = {}
    for hit in got.hits("a"):
        by_thread.setdefault(hit["thread"]["id"], set()).add(hit["values"]["thread"])
    check(len(by_thread) == 8 and all(len(threads) == 1 for threads in by_thread.values()), f"threads: {by_thread}")


def test_traced_until_a_probe_sees_it_start_a_thread():
    stub = gdbserver(build("places", "-O0"), "2", "30")
    got = run("  s: {at: {function: pthread_create, module: libc.so.6}}\n" + HOT, stub)
    hot(got, 2, 30)
    check(len(got.hits("s")) == 2 and stub.told()["hot"] == 60, got.brief())


NEXT_TO = r"""#include "tell.h"
void first(void *to, long n), same(void *to, long n);
__asm__(".text\n.globl first, second, same, again\n.type again, @function\n.type first, @function\n.type second, @function\n.type same, @function\n"
        "first: %s\n.size first, .-first\nsecond: ret\n.size second, .-second\n"
        "same: mov %%rsi, %%rcx\nagain: rep stosb\nret\n.size same, .-same\n");
int main(void) {
    static char bytes[500];
    for (int i = 0; i < 50; i++) {
        first(bytes, 1);
        same(bytes, sizeof bytes);
    }
    tell("{\"done\":50}\n");
    return 0;
}
"""


def assembled(first):
    source = write(NEXT_TO % first, f"next_{first}.c")
    done = subprocess.run(["gcc", "-O1", "-I", LIVE, "-o", source[:-2], source], capture_output=True, text=True, timeout=60)
    check(done.returncode == 0, done.stderr)
    return source[:-2]


def test_traced_behind_a_stop():
    """A thread comes to a tracepoint by a step of ours, or by an instruction that was carried out for it."""
    for instruction in ("rdtsc", "nop"):
        got = run("  f: {at: first, max_hits: 1000}\n  s: {at: second}\n", gdbserver(assembled(instruction)))
        check(len(got.hits("f")) == 50 and len(got.hits("s")) == 50, f"{instruction}: {got.brief()}")
        check([hit["probe"] for hit in got.hits()] == ["f", "s"] * 50, "their order")


def test_what_repeats_is_not_traced():
    got = run("  r: {at: again, capture: {left: $rcx}}\n", gdbserver(assembled("nop")))
    check(got.values("r", "left") == [500] * 50 and wire(got)["hit_stops"] == 50, f"{got.values('r', 'left')} {wire(got)}")


def test_traced_conditions():
    for level in ("-O0", "-O1"):
        for text, wanted in list(CONDITIONS.items())[level == "-O1"::2]:
            stub = gdbserver(build("places", level), "1", "120")
            got = run(f"  b: {{at: hot2, when: {json.dumps(text)}, capture: [n, item->name]}}\n", stub)
            want = [n for n in range(120) if wanted(0, n)]
            check(got.values("b", "n") == want, f"{level} {text}: {got.values('b', 'n')} {got.brief()}")
            check(got.account()["b"]["lost"] == 0 and stub.told()["hot"] == 120, got.account())


def test_traced_texts_that_are_not_there():
    """Null, wild, at the end of a page: in the words of a stop."""
    probes = ("  w: {at: work, capture: {a: '*(int *)(long)n', s: '(char *)(long)n', far: '*(int *)0x123456789000', "
              "end: '(char *)((long)&g_counter | 4095)'}}\n  s: {at: second, capture: {n: n, name: {expr: name, string: 3}}}\n")
    both = [run(text, gdbserver(build("counts", "-O0"), "20")) for text in (probes, plainly(probes))]
    for probe, names in (("w", ("a", "s", "far")), ("s", ("n", "name"))):
        check(both[0].values(probe, *names) == both[1].values(probe, *names),
              f"{both[0].values(probe, *names)[:3]} {both[1].values(probe, *names)[:3]}")
    check(len(both[0].hits("w")) == 20 and wire(both[0])["hit_stops"] <= 1, wire(both[0]))


def test_traced_arguments_and_results():
    probes = "  a: {at: hot2, args: true, locals: true, capture: {next: 'item->next->name', sum: 'n + thread'}}\n" \
             "  r: {return_of: hot1, capture: {r: return}}\n"
    both = [run(text, gdbserver(build("places", "-O0"), "1", "50")) for text in (probes, plainly(probes))]
    def bare(hit):
        return {key: hit.get(key) for key in ("values", "args", "locals", "location", "hit")}
    for probe in "ar":
        check([bare(hit) for hit in both[0].hits(probe)] == [bare(hit) for hit in both[1].hits(probe)], probe)
        check(len(both[0].hits(probe)) == 50, probe)


def test_what_might_fork_is_not_traced():
    stub = gdbserver(build("forks"), "fork", "3")
    got = run("  w: {at: work, capture: [n]}\n", stub)
    told = stub.told()
    check(told["wrong"] == 0 and told["fine"] == 3 and got.account()["w"]["hits"] == told["work"], f"{told} {got.account()}")
    check(wire(got)["hit_stops"] == told["work"], wire(got))


SIGNALS = """#include <signal.h>
#include <sys/time.h>
#include "tell.h"
volatile long sum, signals;
__attribute__((noinline)) long f(long i) { return sum += i & 1; }
static void handle(int number) { signals += number == SIGALRM; }
int main(void) {
    struct itimerval often = {{0, 1000}, {0, 1000}};
    signal(SIGALRM, handle);
    setitimer(ITIMER_REAL, &often, 0);
    for (long i = 0; i < 4000; i++)
        f(i);
    tell("{\\"signals\\":%ld}\\n", signals);
    return 0;
}
"""


def test_what_handles_signals_is_not_traced():
    """gdbserver collects a hit once more when a signal comes while it steps over the tracepoint."""
    source = write(SIGNALS, "signals.c")
    done = subprocess.run(["gcc", "-g", "-O1", "-I", LIVE, "-o", source[:-2], source], capture_output=True, text=True, timeout=60)
    check(done.returncode == 0, done.stderr)
    stub = gdbserver(source[:-2])
    got = run("  a: {at: f, capture: {i: i}}\n", stub)
    check(got.values("a", "i") == list(range(4000)), f"{len(got.hits())} hits")
    check(stub.told()["signals"] > 20 and wire(got)["hit_stops"] == 4000, f"{stub.told()} {wire(got)}")


def test_traced_before_an_exec():
    """A program that executes another one, and never forks."""
    source = write("""#include <unistd.h>
__attribute__((noinline)) int work(int n) { __asm__ volatile(""); return n + 1; }
int main(int argc, char **argv) {
    int sum = 0;
    for (int i = 0; i < 20; i++)
        sum += work(i);
    if (argc > 1)
        return 0;
    execl(argv[0], argv[0], "again", (char *)0);
    return sum;
}
""", "again.c")
    program = source[:-2]
    need("gcc")
    check(subprocess.run(["gcc", "-g", "-O0", "-o", program, source]).returncode == 0, "building it")
    stub = gdbserver(program)
    got = run("  w: {at: work, capture: [n]}\n", stub)
    check(got.values("w", "n") == 2 * list(range(20)) and stub.wait() == 0, f"{got.values('w', 'n')} {got.brief()}")


def test_traced_while_attached():
    for threads in (1, 4):
        busy = Busy(threads=threads, calm=True)
        traces = threads == 1
        got = run("  t: {at: tick, capture: [n]}\n", gdbserver(attach=busy.pid), limits=FREE.replace("25s", "2s"))
        ns = got.values("t", "n")
        check(len(ns) > 20, got.brief())
        check(threads > 1 or ns == list(range(ns[0], ns[0] + len(ns))), "a hit was lost, or told twice")
        check(got.account()["t"]["lost"] == 0 and (wire(got)["hit_stops"] < 20) == traces, f"{got.account()} {wire(got)}")
        busy.untouched()
        check(busy.word(Busy.INTS) == 0, "the program got our SIGINT")
        busy.end()


def test_traced_hits_are_paid_from_the_budget():
    busy = Busy(calm=True)
    got = run("  t: {at: tick, capture: [n]}\n", gdbserver(attach=busy.pid), limits="limits: {duration: 3s, pause_budget: 5%}\n")
    check(any(trip["limit"] == "pause_budget" for trip in got.of("trip")) and got.hits(), f"{got.of('trip')} {got.brief()}")
    check(got.account()["t"]["armed_share"] < 0.9, got.account())
    busy.untouched()


def test_what_the_stub_overwrites_is_counted():
    """Nobody fetches for a while: the stub's ring goes round, and every hit is either told or told as lost."""
    stub = gdbserver(build("places", "-O0"), "1", "12000")
    process = start("  b: {at: hot2, capture: {pad: g_pad, n: n}}\n", stub, limits=UNPAID, hits=10)
    workers = children_of(process.pid)
    check(workers, "no worker")
    target = children_of(stub.pid)[0]
    def goes_on():
        """Without us: not halted by our last word."""
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        before = status_of(target, "voluntary_ctxt_switches")
        time.sleep(0.2)
        if int(status_of(target, "voluntary_ctxt_switches")) > int(before) + 5:
            return True
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
        return False
    until(goes_on, 10, "the target never runs without us")
    told = stub.told(60)
    for pid in workers:
        os.kill(pid, signal.SIGCONT)
    code, out, err = finish(process, 60)
    events = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    row = next(e for e in events if e["type"] == "end" and "probes" in e)["probes"][0]
    check(code == 0 and row["lost"] > 0 and row["hits"] + row["lost"] == told["hot"] == 12000, f"{row} {err[-300:]}")
    check(any("overwritten" in e.get("message", "") for e in events), "nothing was said")
    ns = [e["values"]["n"] for e in events if e["type"] == "hit"]
    check(ns == list(range(ns[0], ns[0] + len(ns))), f"told twice, or out of order: {len(ns)} {ns[:3]} {[(i, n) for i, n in enumerate(ns) if i != n][:5]}")


def test_the_buffer_is_emptied_in_time():
    """More than it holds, by one thread and by several."""
    for threads, calls in ((1, 9000), (4, 2500)):
        stub = gdbserver(build("places", "-O0"), str(threads), str(calls))
        got = run("  b: {at: hot2, capture: {pad: g_pad, n: n, t: thread}}\n", stub, limits=UNPAID)
        check(sorted(got.values("b", "t", "n")) == [(t, n) for t in range(threads) for n in range(calls)], f"{len(got.hits())} hits")
        check(got.account()["b"]["lost"] == 0 and stub.told()["hot"] == threads * calls, got.account())


def test_death_while_traced():
    """Whoever dies, the program lives, and its code is its file's."""
    for turn, deadly in enumerate((signal.SIGKILL, signal.SIGTERM, signal.SIGKILL)):
        busy = Busy(threads=1 + turn, calm=True)
        process = start("  t: {at: tick, capture: [n]}\n", gdbserver(attach=busy.pid), hits=30 + turn * 200)
        process.send_signal(deadly)
        finish(process)
        busy.untouched()
        check(busy.word(Busy.INTS) == 0, "the program got our SIGINT")
        busy.end()


def test_death_with_conditions():
    for hits in (1, 40):
        busy = Busy(patient=True)
        process = start("  t: {at: tick, when: n % 10 == 3, max_hits: 1000000, capture: [n]}\n", gdbserver(attach=busy.pid), hits=hits)
        process.send_signal(signal.SIGKILL)
        finish(process)
        busy.untouched()
        busy.end()


def test_a_limit_ends_traced_hits():
    stub = gdbserver(build("counts"), "3000")
    got = run("  w: {at: work, capture: [n]}\n", stub, limits=some(7))
    check(got.values("w", "n") == list(range(7)), got.brief())
    check(stub.told()["work"] == 3000, "it did not run on")


if __name__ == "__main__":
    sys.exit(main([(name, test) for name, test in globals().items() if name.startswith("test_")], {}))
