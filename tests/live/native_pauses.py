#!/usr/bin/env python3
"""How long a target is held: where it loads and unloads libraries all the time, and where a pause is cut.

Else as native.py."""
import os, statistics, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from nativetargets import *

WORKER = os.path.join(os.path.dirname(PICKGLASS), "pickglass-worker")


def patience(limit):
    """Sanitizers take their time."""
    slow = "libasan" in subprocess.run(["ldd", WORKER], capture_output=True, text=True).stdout
    return limit * (8 if slow else 1)


def compiled(text, *flags, name):
    source = write(text, name)
    subprocess.run(["gcc", "-g", "-w", *flags, "-o", source[:-2], source, "-ldl"], check=True, timeout=120)
    return source[:-2]


def of_target(got):
    return next(end for end in got.of("end") if "held_ns" in end)


# ---- libraries that come and go ----

CYCLES = """#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv) { int wrong = 0, n = atoi(argv[2]), nap = atoi(argv[3]);
  for (int i = 0; i < n; i++) { void *h = dlopen(argv[1], RTLD_NOW); int (*f)(int) = (int (*)(int))dlsym(h, "plug");
    wrong += f(i) != i + 100; dlclose(h); free(malloc(8)); usleep(nap); }
  return wrong; }
"""

# A library of the system, with much debug info where that is installed, has a place of the recipe, too.
MALLOC = "  m: {at: {function: malloc, module: libc.so.6}, every: 1s, capture: {size: arg0}}\n"
PLUG = "  p: {call: {function: plug, module: plug.so}, capture: [n], at_return: {r: return}}\n"


def test_libraries_that_come_and_go():
    got = run(MALLOC + PLUG, Launched(compiled(CYCLES, name="cycles.c"), plug(), "100", "0"))
    check(got.values("p", "n") == list(range(100)), got.values("p", "n"))
    check(got.values("p", "r") == [n + 100 for n in range(100)], got.values("p", "r"))
    check(got.of("exit")[0]["status"] == 0 and not got.of("error"), got.brief())


def test_an_attached_program_that_loads_and_unloads():
    process = Process(compiled(CYCLES, name="cycles.c"), plug(), "1000", "10000")
    time.sleep(0.3)
    got = run(MALLOC, Attached(process.pid), limits="limits: {duration: 3s, pause_budget: 100%, max_pause: 5s}\n")
    end = of_target(got)
    each = end["held_ns"] / max(end["stops"], 1) / 1e6
    check(end["stops"] > 50, f"{end['stops']} stops: it loaded nothing")
    print(f"  {end['stops']} stops of {each:.2f} ms", flush=True)
    check(each < patience(10), f"{each:.1f} ms a stop")
    free(process.pid)
    check(process.wait(60) == 0, "it was hurt")


REPLACED = """#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>
static void copy(const char *from, const char *to) { char b[4096]; size_t n; FILE *i = fopen(from, "rb"), *o = fopen(to, "wb");
  while ((n = fread(b, 1, sizeof b, i)) > 0) fwrite(b, 1, n, o); fclose(i); fclose(o); }
int main(int argc, char **argv) { int sum = 0;
  for (int i = 0; i < 8; i++) { if (i == 2) rename(argv[2], argv[1]); if (i == 4) copy(argv[3], argv[1]);
    void *h = dlopen(argv[1], RTLD_NOW); int (*f)(int) = (int (*)(int))dlsym(h, "plug"); sum += f(i); dlclose(h); }
  return sum == 2 * 100 + 2 * 200 + 4 * 300 + 28 ? 0 : 1; }
"""


def test_a_library_that_is_another_one_the_next_time():
    libraries = []
    for number in 1, 2, 3:
        before = "".join(f"int before{i}(int n) {{ return n * {i}; }}\n" for i in range(50 * (number - 1)))
        source = write(f"{before}int plug(int n) {{ return n + {number}00; }}\n", f"plug{number}.c")
        libraries.append(source[:-2] + ".so")
        subprocess.run(["gcc", "-g", "-O0", "-shared", "-fPIC", "-o", libraries[-1], source], check=True, timeout=60)
    got = run("  p: {call: {function: plug, module: plug1.so}, capture: [n], at_return: {r: return}}\n",
              Launched(compiled(REPLACED, name="replaced.c"), *libraries))
    wanted = [(n, n + 100 * (1 if n < 2 else 2 if n < 4 else 3)) for n in range(8)]
    check(got.values("p", "n", "r") == wanted, got.values("p", "n", "r"))
    files = [os.path.basename(hit["location"]["file"]) for hit in got.hits()]
    check(files == ["plug1.c"] * 2 + ["plug2.c"] * 2 + ["plug3.c"] * 4, files)
    check(got.of("exit")[0]["status"] == 0, got.brief())


# ---- max_pause ----

TOO_LATE = "not read: max_pause was over"


def test_a_pause_is_cut():
    program = build("counts", "-O0")
    captures = "  w: {at: work, capture: {a: n, b: n + 1, c: n + 2, d: n + 3}, stack: 3}\n"
    tight = "limits: {duration: 25s, hits: 20, max_pause: 100ns}\n"
    got = run(captures, Launched(program), limits=tight)
    check(len(got.hits()) == 20 and all(hit.get("cut") for hit in got.hits()), got.brief())
    for hit in got.hits():
        values = hit["values"]
        check(isinstance(values["a"], int), values)
        check(values["d"] == {"$error": TOO_LATE} and TOO_LATE in str(hit["stack"][-1]), hit)
    trips = [(trip["limit"], trip["do"]) for trip in got.of("trip")]
    check(trips and set(trips) == {("max_pause", "cut")}, trips)
    got = run("  w: {at: work, args: true, locals: true, capture: {a: n, b: n}}\n", Launched(program), limits=tight)
    check(len(got.hits()) == 20 and all(hit.get("cut") and hit["values"]["b"] == {"$error": TOO_LATE} for hit in got.hits()), got.brief())
    for limits in ROOMY, "limits: {duration: 25s, hits: 20, max_pause: {is: 100ns, do: throttle}}\n":
        got = run(captures, Launched(program), limits=limits)
        check(got.hits() and not any(hit.get("cut") for hit in got.hits()), got.brief())
        check(all(hit["values"]["d"] == hit["values"]["a"] + 3 for hit in got.hits()), got.hits()[0])


def test_what_only_a_caller_knows_costs_little():
    """Arguments that nobody uses are not passed: what they would be is said at the call, in a function with much inlined."""
    names = [f"a{i}" for i in range(12)]
    text = "#include <map>\n#include <string>\n#include <vector>\nusing S = std::string;\n"
    text += f"static __attribute__((noinline)) void all({', '.join('const S &' + name for name in names)}) {{ __asm__ volatile(\"\" ::: \"memory\"); }}\n"
    blocks = "".join(f"  {{ std::map<S, std::vector<S>> m; m[s].push_back(s + \"{i}\"); s += m.begin()->first; s.resize(3); }}\n" for i in range(40))
    text += f"int main(int, char **) {{ S s(\"abc\");\n{blocks}  for (int i = 0; i < 20; i++) all({', '.join('s' for _ in names)});\n}}\n"
    source = write(text, "all.cpp")
    subprocess.run(["g++", "-g", "-O2", "-w", "-o", source[:-4], source], check=True, timeout=120)
    got = run("  w: {at: all, args: true}\n", Launched(source[:-4]))
    known = [hit["args"] == {name: "abc" for name in names} for hit in got.hits()]
    pause = statistics.median(hit["pause_ns"] for hit in got.hits()) / 1e6
    print(f"  {sum(known)} of {len(known)} hits with all of it, a pause of {pause:.2f} ms", flush=True)
    check(len(known) == 20 and pause < patience(4), f"{pause:.1f} ms: {got.brief()}")


KNOWN = {}

if __name__ == "__main__":
    native_main(globals(), KNOWN)
