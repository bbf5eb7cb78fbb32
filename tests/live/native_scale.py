#!/usr/bin/env python3
"""The native back end where there is much of it: ten thousand places, hundreds of threads.

Else as native.py."""
import os, signal, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from nativetargets import *

FUNCTIONS = 10000
WORKER = os.path.join(os.path.dirname(PICKGLASS), "pickglass-worker")


def patience(seconds):
    """Sanitizers take their time."""
    slow = "libasan" in subprocess.run(["ldd", WORKER], capture_output=True, text=True).stdout
    return seconds * (8 if slow else 1)


def compiled(text, *flags, name="program.c"):
    source = write(text, name)
    subprocess.run(["gcc", "-w", *flags, "-o", source[:-2], source, "-lpthread"], check=True, timeout=120)
    return source[:-2]


def many_functions():
    """It calls each of its functions once a round, and says after each round whether the sum is right."""
    shapes = ["return n + {i};", "if (n > {i}) return n - {i}; return {i} - n;", "volatile int a[4] = {{n, {i}}}; return a[0] * a[1];",
              "return n / ({i} % 7 + 1);"]
    text = "".join(f"int f{i}(int n) {{ {shapes[i % 4].format(i=i)} }}\n" for i in range(FUNCTIONS))
    text += "int (*const all[])(int) = {" + ",".join(f"f{i}" for i in range(FUNCTIONS)) + "};\n"
    text += """#include <signal.h>
#include <stdio.h>
#include <unistd.h>
static volatile int over; static void end(int n) { over = 1; }
int main(int argc, char **argv) { unsigned first = 0, wrong = 0; long rounds = 0; signal(SIGTERM, end);
  do { unsigned s = 0; for (int i = 0; i < sizeof all / sizeof *all; i++) s = s * 31 + all[i](i & 63); if (!rounds++) first = s; wrong += s != first;
    if (argc > 1) usleep(1000); } while (argc > 1 && !over);
  printf("%ld %u\\n", rounds, wrong); return wrong != 0; }
"""
    return compiled(text, "-g", "-O0", name="many.c")


def test_ten_thousand_functions():
    program = many_functions()
    all_of_them = "  f: {at: {match: '^f[0-9]+$', max: 10000, inlined: false}}\n"
    process = Process(program, "on")
    time.sleep(0.2)
    begin = time.monotonic()
    got = run(all_of_them, Attached(process.pid), limits=up_to(500), timeout=60)
    seconds = time.monotonic() - begin
    check(len(got.hits()) == 500, got.brief())
    places = got.of("armed")[0]["probes"][0]["places"]
    check(len(places) == FUNCTIONS or str(FUNCTIONS) in json.dumps(got.of("armed")), f"{len(places)} places")
    free(process.pid)
    os.kill(process.pid, signal.SIGTERM)
    check(process.wait() == 0, process.said())
    print(f"  {FUNCTIONS} places armed, 500 hits, restored: {seconds:.2f} s", flush=True)
    check(seconds < patience(2), f"{seconds:.1f} s")
    got = run(all_of_them, Launched(program), timeout=60)
    names = {hit["location"]["function"] for hit in got.hits()}
    check(len(got.hits()) == FUNCTIONS == len(names) and got.of("exit")[0]["status"] == 0, got.brief())


CROWD = """#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
static atomic_int ready; static volatile int over; volatile int never;
#define F(n) __attribute__((noinline)) int place##n(int v) { return v + n; }
F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9)
static void *stay(void *n) { ready++; while (!over) { if (never) place0(1), place1(1), place2(1), place3(1), place4(1), place5(1), place6(1), place7(1), place8(1), place9(1);
  usleep(20000); } return n; }
int main(int argc, char **argv) { size_t size = (size_t)500 << 20; char *big = malloc(size); memset(big, 1, size);
  for (int i = 0; i < 200; i++) { pthread_t t; pthread_create(&t, 0, stay, 0); } while (ready < 200) usleep(1000);
  puts("ready"); fflush(stdout); sleep(60); return 0; }
"""


def test_nobody_is_stopped_by_software_probes():
    process = Process(compiled(CROWD, "-g", "-O1", name="crowd.c"))
    process.wait_for("ready")
    probes = "".join(f"  p{i}: {{at: place{i}}}\n" for i in range(10))
    begin, stops = time.monotonic(), 0
    running = subprocess.Popen([PICKGLASS, "run", recipe(probes), f"native:{process.pid}", "-q", "-o", "-"], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
                               env={**os.environ, "PICKGLASS_LOG": "native:3"})
    for line in running.stdout:  # one pipe for both: a stop stands before `armed`
        stops += " stopped: " in line
        if '"type":"armed"' in line:
            break
    seconds = time.monotonic() - begin
    traced = sum(task_status(process.pid, tid)[0] != "0" for tid in tasks_of(process.pid))
    check(traced == 201, f"{traced} of 201 threads are traced")
    check(stops == 0, f"{stops} stops until everything was armed")
    check(len(changed_code(process.pid)) == 8, "no breakpoints are in the text")  # the first eight are told
    running.send_signal(signal.SIGINT)
    begin = time.monotonic()
    rest = running.stdout.read()
    check(running.wait(20) == 0, rest[-300:])
    end = next(json.loads(line) for line in rest.splitlines() if '"type":"end"' in line and '"target"' in line)
    check(end["stops"] == 0 and end["paused_ns"] == 0, end)
    leaving = time.monotonic() - begin
    stops = rest.count(" stopped: ")
    check(stops <= 201, f"{stops} stops at the detach of 201 threads")
    free(process.pid)
    print(f"  200 threads, 500 MB: armed after {seconds:.2f} s with no stop, left within {leaving:.2f} s", flush=True)
    check(seconds < patience(2) and leaving < patience(2), f"{seconds:.1f} s, {leaving:.1f} s")


def test_a_watchpoint_on_64_threads_and_new_ones():
    program = compiled("""#include <pthread.h>
#include <unistd.h>
long counter; static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; static volatile int go;
static void add(void) { pthread_mutex_lock(&lock); counter++; pthread_mutex_unlock(&lock); }
static void *brief(void *n) { add(); return n; }
static void *stay(void *n) { while (!go) usleep(1000); add(); pthread_t t; pthread_create(&t, 0, brief, 0); pthread_join(t, 0); return n; }
int main(void) { pthread_t t[64]; for (int i = 0; i < 64; i++) pthread_create(&t[i], 0, stay, 0); sleep(1); go = 1;
  for (int i = 0; i < 64; i++) pthread_join(t[i], 0); sleep(1); return counter == 128 ? 7 : 1; }
""", "-g", "-O0", name="adders.c")
    process = Process(program)
    until(lambda: len(tasks_of(process.pid)) == 65, 5, "it never began")
    got = run("  w: {watch: {expr: counter, access: write}}\n", Attached(process.pid), limits=up_to(128))
    check(got.values("w", "old", "new") == [(n, n + 1) for n in range(128)], got.values("w", "old", "new")[:9])
    check(len({hit["thread"]["id"] for hit in got.hits()}) == 128, "threads")
    free(process.pid)
    no_watch_left(process.pid)
    check(process.wait() == 7, "it was hurt")


KNOWN = {}

if __name__ == "__main__":
    native_main(globals(), KNOWN)
