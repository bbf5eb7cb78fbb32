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


# ---- watches of what a hit has in its hands ----

def boxes(nap=0, calls=30):
    """Calls put(&boxes[i % 3]), which adds 1, 2 or 3 to what is in the box."""
    source = write("""#include <unistd.h>
struct box { int step; long sum; };
__attribute__((noinline)) void put(struct box *box) { box->sum += box->step; }
static struct box boxes[3] = {{1, 0}, {2, 0}, {3, 0}};
int main(void) { for (int i = 0; i < CALLS; i++) { put(&boxes[i % 3]); if (NAP) usleep(NAP); } }
""", "boxes.c")
    subprocess.run(["gcc", "-g", "-O0", f"-DNAP={nap}", f"-DCALLS={calls}", "-o", source[:-2], source], check=True, timeout=60)
    return Launched(source[:-2])


def test_from_a_hit_that_reads_nothing():
    got = run("  a: {at: put, max_hits: 1}\n  w: {watch: {expr: box->sum, access: write, from: a}}\n", boxes())
    check(got.values("w", "old", "new") == [(n, n + 1) for n in range(10)], got.brief())
    check(not got.of("error"), got.err)


def test_from_a_hit_that_has_no_such_thing():
    """Known before anything runs, as of any other expression."""
    got = run("  a: {at: put}\n  w: {watch: {expr: bax->sum, from: a}}\n", boxes(), code=2)
    check(":5:" in got.err and 'watch: there is no "bax" here' in got.err and not got.hits(), got.brief())


def test_from_no_hit_though_armed_at_one():
    """What is global is meant, whatever has its name there."""
    source = write("""long n;
__attribute__((noinline)) void add(long n) { n += 100; __asm__ volatile("" : : "r"(n)); }
int main(void) { for (int i = 0; i < 5; i++) { add(i); n++; } }
""", "shadow.c")
    subprocess.run(["gcc", "-g", "-O0", "-o", source[:-2], source], check=True, timeout=60)
    probes = "  a: {at: add, max_hits: 1}\n  w: {watch: {expr: n, access: write}, after: a}\n"
    for stub in Launched(source[:-2]), gdbserver(source[:-2]):
        got = run(probes, stub)
        check(got.values("w", "old", "new") == [(n, n + 1) for n in range(5)], f"{stub.uri}: {got.values('w', 'old', 'new')} {got.brief()}")


def test_from_a_hit_of_what_its_frame_has():
    """A local variable is watched while its function runs. What others write to where it was, is not told; each call has
    its own, wherever that lies; and when no call can come any more, the run is over."""
    source = write("""#include <signal.h>
__attribute__((noinline)) long count(int n) { volatile long sum = 0; for (int i = 1; i <= n; i++) sum += i; return sum; }
__attribute__((noinline)) long other(int n) { volatile long a[4]; for (int i = 0; i < 64; i++) a[i % 4] = n + i; return a[0]; }
__attribute__((noinline)) long deep(int n) { volatile long a[40]; a[n] = n ? deep(n - 1) : count(3); return a[n] + other(n); }
static void handler(int s) { other(s); }
int main(void) { signal(SIGUSR1, handler);
  for (int i = 0; i < 6; i++) { count(3); other(i); deep(i % 3); other(7); raise(SIGUSR1); count(3); } }
""", "frames.c")
    subprocess.run(["gcc", "-g", "-O0", "-o", source[:-2], source], check=True, timeout=60)
    for often, calls in ("", 18), (", max_hits: 1", 1):
        for stub in Launched(source[:-2]), gdbserver(source[:-2]):
            got = run(f"  a: {{at: count{often}}}\n  w: {{watch: {{expr: sum, access: write, from: a}}, stack: 2}}\n", stub)
            check([new for _, new in got.values("w", "old", "new")] == [0, 1, 3, 6] * calls, f"{stub.uri}: {got.values('w', 'old', 'new')}")
            places = {(hit["location"]["function"], hit["stack"][0]["function"]) for hit in got.hits("w")}
            check(places == {("count", "count")}, f"also where the instruction of the breakpoint is what writes: {places}")
            check(not got.of("error") and (not often or "nothing" in got.of("end")[0]["reason"]), f"{stub.uri}: {got.of('end')[0]}")


def test_from_a_hit_of_what_a_caller_has():
    """It lies in the caller's frame, whichever function has been handed its address."""
    source = write("""__attribute__((noinline)) void add(volatile long *to, int n) { *to += n; }
__attribute__((noinline)) long count(int n) { volatile long sum = 0; for (int i = 1; i <= n; i++) add(&sum, i); return sum; }
__attribute__((noinline)) long other(int n) { volatile long a[4]; for (int i = 0; i < 64; i++) a[i % 4] = n + i; return a[0]; }
int main(void) { count(3); other(1); count(3); other(2); count(3); }
""", "callers.c")
    subprocess.run(["gcc", "-g", "-O0", "-o", source[:-2], source], check=True, timeout=60)
    for stub in Launched(source[:-2]), gdbserver(source[:-2]):
        got = run("  a: {at: add, max_hits: 1}\n  w: {watch: {expr: '*to', access: write, from: a}, max_hits: 12}\n", stub)
        check([new for _, new in got.values("w", "old", "new")] == [1, 3, 6], f"{stub.uri}: {got.values('w', 'old', 'new')} {got.brief()}")


def test_from_a_hit_among_others():
    """Threads hit both places all the time, several in one stop: `mine` is known in one of them alone. Of
    2000 hits, for the thread that is watched may wait for a processor while the others hit."""
    source = write("""#include <pthread.h>
#include <unistd.h>
struct count { long n; };
__attribute__((noinline)) void up(struct count *theirs) { theirs->n++; }
__attribute__((noinline)) void down(struct count *mine) { mine->n--; }
static void *ups(void *unused) { struct count c = {0}; for (;;) up(&c); return unused; }
static void *downs(void *unused) { struct count c = {0}; for (;;) down(&c); return unused; }
int main(void) { pthread_t t; for (int i = 0; i < 6; i++) pthread_create(&t, 0, i % 2 ? ups : downs, 0);
  sleep(60); }
""", "counting.c")
    subprocess.run(["gcc", "-g", "-O0", "-pthread", "-o", source[:-2], source], check=True, timeout=60)
    process = Process(source[:-2])
    for _ in range(3):
        got = run("  a: {at: up}\n  b: {at: down}\n  w: {watch: {expr: mine->n, access: write, from: b}, keep: new == old - 1, max_hits: 3}\n",
                  Attached(process.pid), limits=up_to(2000))
        check(len(got.hits("w")) == 3 and not got.of("error"), got.brief())
        check({hit["location"]["function"] for hit in got.hits("w")} == {"down"}, got.values("w", "old", "new"))


def test_through_a_pointer_that_is_not_right_before_the_program_begins():
    """The dynamic linker has to relocate it."""
    source = write("int g_number; int *g_pointer = &g_number;\nint main(void) { for (int i = 1; i < 4; i++) *g_pointer = i; return 0; }\n", "late.c")
    subprocess.run(["gcc", "-g", "-O0", "-fPIE", "-pie", "-o", source[:-2], source], check=True, timeout=60)
    for target in Launched(source[:-2]), gdbserver(source[:-2]):
        got = run("  w: {watch: {expr: '*g_pointer', access: write}}\n", target)
        check(got.values("w", "old", "new") == [(0, 1), (1, 2), (2, 3)] and not got.of("error"), f"{got.values('w', 'old', 'new')} {got.brief()}")


def test_several_on_the_same_bytes():
    """Each is told of a write to its own; one with a condition that is false does not take the next one's place."""
    source = write("""struct { int a, b; } g_both;
static volatile int *first = &g_both.a, *second = &g_both.b;
int main(void) { *second = 1; *first = 2; *second = 3; return 0; }
""", "both.c")
    subprocess.run(["gcc", "-g", "-O0", "-no-pie", "-o", source[:-2], source], check=True, timeout=60)
    got = run("  all: {watch: {expr: '*(long *)&g_both', access: write}}\n"
              "  odd: {watch: {expr: g_both.b, access: write}, when: g_both.b == 3}\n"
              "  b: {watch: {expr: g_both.b, access: write}}\n  a: {watch: {expr: g_both.a, access: write}}\n", Launched(source[:-2]))
    found = {name: [new for _, new in got.values(name, "old", "new")] for name in ("all", "odd", "b", "a")}
    check(found == {"all": [1 << 32, (1 << 32) + 2, (3 << 32) + 2], "odd": [3], "b": [1, 3], "a": [2]}, found)


def test_from_one_hit_after_the_other():
    """Disarmed in between: it is found in the frame of the next hit, and that is the box of that call."""
    got = run("  a: {at: put}\n  w: {watch: {expr: box->sum, access: write, from: a}, every: 1ms}\n",
              boxes(nap=5000, calls=60), limits=ROOMY)
    steps = [new - old for old, new in got.values("w", "old", "new")]
    check(len(steps) > 6 and set(steps) == {1, 2, 3}, got.values("w", "old", "new"))
    check(not got.of("error"), got.err)


def test_in_data_and_in_the_middle():
    got = run("  w: {at: {function: work, offset: 2, hw: true}}\n", Launched(build("counts", "-O0", "-fcf-protection=none")), code=None)
    check(got.code and "middle of an instruction" in got.err, got.brief())


KNOWN = {}

if __name__ == "__main__":
    native_main(globals(), KNOWN)
