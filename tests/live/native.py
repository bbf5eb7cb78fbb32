#!/usr/bin/env python3
"""The native back end on programs that count themselves, launched and attached.

Prints `ok NAME`, `FAIL NAME: why` or `skip NAME: why` a test, and `N passed, N failed, N skipped` last. Arguments are
parts of test names to run. PICKGLASS is the program under test; TIMES=1 shows what each test took."""
import os, random, signal, sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "support"))
from nativetargets import *

TICK = "  t: {at: tick, capture: [n]}\n"


# ---- exactness ----

def test_each_call_once():
    target = Launched(build("counts"))
    got = run("  w: {at: work, capture: [n]}\n  f: {call: fib, capture: {n: n}, at_return: {r: return}}\n", target)
    exact(got, target.told(), w="work")
    check(got.values("w", "n") == list(range(50)), got.values("w", "n"))
    known = [0, 1, 1, 2, 3, 5, 8, 13, 21, 34]
    check(got.hits("f") and all(hit["values"]["r"] == known[hit["values"]["n"]] for hit in got.hits("f")), "results")
    check(got.account()["f"]["unpaired"] == 0, got.account()["f"])


def test_an_instruction_that_loops_on_itself():
    program = build("counts", "-O0", "-no-pie")
    at = next(row.split()[0] for row in subprocess.run(["nm", program], capture_output=True, text=True).stdout.splitlines()
              if row.endswith(" tight_loop"))
    target = Launched(program, "1")
    got = run(f"  l: {{at: '*0x{at}', capture: {{left: $rcx}}}}\n", target)
    exact(got, target.told(), l="iterations")
    check(got.values("l", "left") == list(range(20, 0, -1)), got.values("l", "left"))


def test_threads():
    for threads, calls in (8, 200), (32, 50):
        target = Launched(build("threads"), str(threads), str(calls))
        got = run("  o: {at: one, capture: [thread, n]}\n  t: {call: two, capture: {t: thread, n: n}, at_return: {r: return}}\n",
                  target)
        exact(got, target.told(), o="one", t="two")
        check(sorted(got.values("o", "thread", "n")) == [(t, n) for t in range(threads) for n in range(calls)], "pairs")


def test_threads_that_all_stand():
    target = Launched(build("threads"), "8", "60")
    got = run("  o: {at: one, stop: process, capture: [thread, n]}\n", target)
    exact(got, target.told(), o="one")


def test_every_function_at_once():
    """Whatever their first instructions are: the program computes what it computes without us."""
    for flags in ("-O0",), ("-O2",), ("-O1", "-fcf-protection=full"):
        program = build("counts", *flags)
        Launched(program)
        alone = Launched(program)
        subprocess.run([program], env={**os.environ}, timeout=20, stdout=subprocess.DEVNULL, check=False)
        expected = alone.told()
        target = Launched(program)
        got = run("  all: {at: {match: '.', max: 5000, inlined: false}}\n", target)
        check(target.told() == expected, f"{flags}: {target.told()} without us {expected}")
        check(len(got.hits()) > 100, f"{flags}: {len(got.hits())} hits")


def test_every_line_of_a_program():
    """A breakpoint at each line's first instruction: loads, branches, calls, returns as the compiler has them."""
    source = os.path.join(ROOT, "fixtures", "c", "live", "counts.c")
    with open(source) as text:
        lines = len(text.readlines())
    program = build("counts", "-O2")
    alone = Launched(program, "5")
    subprocess.run([program, "5"], env={**os.environ}, timeout=20, stdout=subprocess.DEVNULL, check=False)
    expected = alone.told()
    probes, n = "", 0
    for line in range(1, lines + 1):
        checked = pickglass("check", recipe(f"  l: {{at: 'counts.c:{line}'}}\n"), "--binary", program)
        if checked.code == 0:
            probes += f"  l{line}: {{at: 'counts.c:{line}'}}\n"
            n += 1
    target = Launched(program, "5")
    got = run(probes, target)
    check(n > 30 and target.told() == expected, f"{n} lines: {target.told()} without us {expected}")
    check(len(got.hits()) > n, len(got.hits()))


# ---- signals, children ----

def test_signals_are_passed_through():
    program = build("signals")
    alone = Launched(program)
    subprocess.run([program], env={**os.environ}, timeout=20, stdout=subprocess.DEVNULL, check=False)
    expected = alone.told()
    target = Launched(program)
    run("  w: {at: work, capture: [n]}\n", target)
    told = target.told()
    check({key: value for key, value in told.items() if key != "work"} ==
          {key: value for key, value in expected.items() if key != "work"}, f"{told} without us {expected}")


def test_children_are_let_go():
    for how in "fork", "system", "spawn", "threads":
        target = Launched(build("forks"), how, "12")
        got = run("  w: {at: work, capture: [n]}\n", target)
        told = target.told()
        check(told["wrong"] == 0 and told["fine"] == 12, f"{how}: {told}")
        if how != "threads":
            check(got.account()["w"]["hits"] == told["work"], f"{how}: {got.account()['w']} {told}")


def test_an_exec_of_what_the_recipe_does_not_fit():
    target = Launched(build("forks"), "exec")
    got = run("  w: {at: work}\n", target, code=3)
    check("does not fit what the target runs now" in got.err and len(got.hits()) == 3, got.brief())


def test_a_crash_is_seen():
    program = write("""#include <stdlib.h>
struct list { int n; struct list *next; };
__attribute__((noinline)) int sum(struct list *l) { int s = 0; for (; l; l = l->next) s += l->n; return s; }
int main(void) { struct list last = {1, (struct list *)0x123450}, first = {2, &last}; return sum(&first); }
""", "crash.c")
    subprocess.run(["gcc", "-g", "-O0", "-o", program[:-2], program], check=True, timeout=60)
    got = run("  s: {signal: SIGSEGV, stack: 4, registers: true}\n  e: {exit: true}\n", Launched(program[:-2]))
    crash = got.hits("s")[0]
    check(crash["signal"] == "SIGSEGV" and crash["fault"] in ("0x123450", "0x123458"), crash.get("fault"))
    check([frame["function"] for frame in crash["stack"][:2]] == ["sum", "main"], crash["stack"])
    check(got.of("exit")[0]["signal"] == 11, got.of("exit"))


def test_a_crash_at_a_breakpoint():
    """Its instruction is executed from a copy: the fault, its stack and the registers are told as of the program's own."""
    program = write("""__attribute__((noinline)) int load(int *at) { int n = 0;
  __asm__ volatile(".globl faults\\nfaults: movl (%1), %0" : "=r"(n) : "r"(at)); return n; }
int main(void) { int n = 1; return load(&n) + load((int *)0x123450); }
""", "crashes.c")
    subprocess.run(["gcc", "-g", "-O0", "-o", program[:-2], program], check=True, timeout=60)
    symbol = subprocess.run(["nm", program[:-2]], capture_output=True, text=True, check=True).stdout
    at = {words[-1]: int(words[0], 16) for words in map(str.split, symbol.splitlines()) if words[-1] in ("load", "faults")}
    got = run(f"  l: {{at: {{function: load, offset: {at['faults'] - at['load']}}}}}\n"
              "  s: {signal: SIGSEGV, stack: 4, registers: true, args: true}\n", Launched(program[:-2]))
    crash, second = got.hits("s")[0], got.hits("l")[1]
    check(crash["fault"] == "0x123450" and crash["location"]["pc"] == second["location"]["pc"], crash)
    check(crash["registers"]["rip"] == second["location"]["pc"], crash["registers"]["rip"])
    check([frame["function"] for frame in crash["stack"][:2]] == ["load", "main"], crash["stack"])
    check(list(crash["args"]) == ["at"] and "0x123450" in str(crash["args"]), f"found in its frame: {crash['args']}")


def test_text_of_events_that_come_together():
    path = os.path.join(WORK, "together.txt")
    run("  w: {at: work, capture: [n]}\n", Launched(build("counts")), "-o", path)
    with open(path) as text:
        lines = text.read().splitlines()
    check(len(lines) > 50 and all(line.strip() for line in lines), f"{len(lines)} lines, {lines[-3:]}")


def test_what_one_of_several_places_lacks():
    """An instance of a template without the member: said before the run, and at its hits that value alone is an error."""
    source = write("""struct a { int common, only; }; struct b { int common; long other; };
template <class T> __attribute__((noinline)) int use(T &t) { return t.common + 1; }
int main() { a x{1, 2}; b y{3, 4}; int n = 0; for (int i = 0; i < 3; i++) n += use(x) + use(y); return n == 0; }
""", "instances.cpp")
    subprocess.run(["g++", "-g", "-O0", "-o", source[:-4], source], check=True, timeout=60)
    some = "  u: {at: use, capture: {c: t.common, o: t.only}}\n  v: {at: use, when: t.only == 2, capture: {c: t.common}}\n"
    for stub in Launched(source[:-4]), gdbserver(source[:-4]):
        got = run(some, stub)
        lacking = {"$error": 'b has no member "only"'}
        check(got.values("u", "c", "o") == [(1, 2), (3, lacking)] * 3, f"{stub.uri}: {got.values('u', 'c', 'o')}")
        check(got.values("v", "c") == [1] * 3, f"{stub.uri}: {got.values('v', 'c')}")
        warned = [e["message"] for e in got.of("error") if e["severity"] == "warning"]
        check(len(warned) == 2 and all("use<b>" in text and "recipe.yaml:" in text for text in warned), f"{stub.uri}: {warned}")
    got = run(some.replace("only", "olny"), Launched(source[:-4]), code=2)
    check(not got.hits() and 'no member "olny"' in got.err, got.brief())


def test_a_hit_that_was_required():
    for probe, code in ("{at: work, when: n == 77777}", 6), ("{at: work}", 0), ("{exit: true}", 0):
        got = run(f"  w: {probe}\n", Launched(build("counts")), "--require-hits", code=code)
        check(got.of("end")[-1]["exit"] == code, f"{probe}: {got.of('end')[-1]}")


def test_standard_files_that_are_closed():
    """A number that is free is the next file's: nothing of ours may be written there."""
    probes = recipe("  w: {at: work, capture: [n], max_hits: 3}\n")
    told = os.path.join(WORK, "closed.jsonl")
    for closed, sink, code in ("<&-", told, 0), (">&-", told, 0), ("2>&-", told, 0), (">&- 2>&-", told, 0), (">&-", "-", 3):
        done = subprocess.run(["sh", "-c", f'"$@" {closed}', "sh", PICKGLASS, "run", probes, "-o", sink, "--", build("counts")],
                              capture_output=True, timeout=30)
        check(done.returncode == code, f"{closed} {sink}: {done.returncode} {done.stderr[-300:]}")
    with open(told) as lines:
        check(sum('"type":"hit"' in line for line in lines) == 12, "hits")


def test_a_full_disk():
    for command in ["--version"], ["--help"], ["list", build("counts"), "functions"], ["schema", "recipe"]:
        with open("/dev/full", "w") as full:
            done = subprocess.run([PICKGLASS, *command], stdout=full, stderr=subprocess.PIPE, text=True, timeout=30)
        check(done.returncode == 3 and "No space left" in done.stderr, f"{command}: {done.returncode} {done.stderr}")


# ---- triggers that concern no code ----

def test_watch_and_timer():
    target = Launched(build("counts"))
    got = run("  w: {watch: {expr: g_counter, access: write}}\n", target)
    pairs = got.values("w", "old", "new")
    check(len(pairs) == target.told()["bump"] and all(old < new for old, new in pairs), pairs[:5])
    busy = Busy(threads=1, patient=True)
    got = run("  t: {timer: 100ms, capture: [g_ticks], max_hits: 5}\n", Attached(busy.pid))
    ticks = got.values("t", "g_ticks")
    check(len(ticks) == 5 and ticks == sorted(ticks) and ticks[0] < ticks[-1], ticks)
    check(got.of("end")[0]["paused_ns"] == 0, "a timer that reads globals has stopped somebody")
    busy.untouched()


def test_a_timer_that_looks_at_a_thread_stops_it():
    """It says where that thread stands, and what it costs is counted: the budget holds for it, too."""
    busy = Busy(patient=True)
    limits = "limits: {duration: 2s, pause_budget: 1%, max_pause: 5s}\n"
    got = run("  t: {timer: 1ms, stack: 8, registers: true}\n", Attached(busy.pid), limits=limits)
    for hit in got.hits("t"):
        top = hit["stack"][0]
        check(hit["location"]["function"] and hit["location"]["function"] == top["function"], f"{hit['location']} {top}")
        check(hit["location"]["pc"] == hit["registers"].get("rip"), hit)
        check(hit["thread"].get("name", "").startswith("busy") and hit["pause_ns"] > 0, hit)
    end = next(e for e in got.of("end") if "target" in e)
    check(end["stops"] == len(got.hits("t")) > 2 and end["paused_ns"] > 0, end)
    check("pause_budget" in [trip["limit"] for trip in got.of("trip")], got.of("trip"))
    check(end["paused_ns"] < 0.1 * end["duration_ns"], f"held for {end['paused_ns']} of {end['duration_ns']} ns")
    got = run("  t: {timer: 20ms, capture: [g_ticks]}\n", Attached(busy.pid), limits="limits: {duration: 1500ms}\n")
    end = next(e for e in got.of("end") if "target" in e)
    check(end["stops"] == end["paused_ns"] == 0 and len(got.hits("t")) > 2, end)
    busy.untouched()


def test_watch_on_many_threads_leaves_nothing():
    busy = Busy(threads=6, patient=True)
    run("  w: {watch: {expr: g_ticks, access: write}, max_hits: 20}\n", Attached(busy.pid))
    busy.untouched()
    time.sleep(0.5)  # a debug register that was left would kill it at its next write
    busy.untouched()


def test_libraries():
    plug = write("int plug(int n) { static int calls; calls++; return n + calls; }\n", "plug.c")
    folder = os.path.dirname(plug)
    subprocess.run(["gcc", "-g", "-O0", "-shared", "-fPIC", "-o", os.path.join(folder, "plug.so"), plug], check=True)
    main_c = write("""#include <dlfcn.h>
int main(int argc, char **argv) { int s = 0; for (int i = 0; i < 4; i++) { void *h = dlopen(argv[1], RTLD_NOW);
  int (*f)(int) = (int (*)(int))dlsym(h, "plug"); for (int k = 0; k < 3; k++) s += f(k); dlclose(h); } return s == 36 ? 7 : 1; }
""", "main.c")
    subprocess.run(["gcc", "-g", "-o", main_c[:-2], main_c, "-ldl"], check=True)
    got = run("  p: {call: {function: plug, module: plug.so}, capture: {n: n}, at_return: {r: return}}\n",
              Launched(main_c[:-2], os.path.join(folder, "plug.so")))
    check(got.values("p", "n") == [0, 1, 2] * 4, got.values("p", "n"))
    check(got.of("exit")[0]["status"] == 7, got.of("exit"))
    waits = [armed["probes"][0].get("waits_for") for armed in got.of("armed")]
    check(waits[0] == "plug.so" and None in waits and not got.of("error"), f"{waits} {got.err}")
    got = run("  a: {at: malloc, when: 'arg0 >= 424200', capture: {n: arg0}, stack: 3}\n", Launched(build("counts", "-O0")))
    check(got.values("a", "n") == list(range(424200, 424210)), got.values("a", "n"))
    check(all(hit["stack"][1]["function"] == "alloc" for hit in got.hits()), got.hits()[0]["stack"])


def test_a_library_that_never_comes():
    probes = "  p: {at: {function: plug, module: libnever.so.7}}\n  w: {at: work}\n"
    got = run(probes, Launched(build("counts")))
    waits = [probe.get("waits_for") for probe in got.of("armed")[0]["probes"]]
    check(waits == ["libnever.so.7", None], waits)
    told = [(error["probe"], error["severity"]) for error in got.of("error")]
    check(told == [("p", "warning")] and ":4:" in got.err and "libnever.so.7, which was never loaded" in got.err, got.err)
    got = pickglass("check", recipe(probes), "--binary", build("counts"))
    check(got.code == 0 and got.out.count("waits for libnever.so.7 to be loaded") == 1, got.out + got.err)


# ---- a target is left as it was ----

def test_an_attached_program_is_left_alone():
    for threads in 1, 8:
        busy = Busy(threads=threads, patient=True)
        got = run(TICK, Attached(busy.pid), limits=FREE.replace("{", "{hits: 300, ", 1))
        check(len(got.hits()) == 300, got.brief())
        busy.untouched()
        busy.end()


def killed(how, hits):
    busy = Busy(threads=random.choice([1, 4]), patient=True)
    process = start(TICK, Attached(busy.pid), hits=hits)
    time.sleep(random.random() / 50)
    how(process)
    process.stdout.close()
    process.stderr.close()
    process.wait(15)
    busy.untouched()
    check(busy.word(Busy.INTS) == 0, "the program got a signal of ours")
    busy.end()


def test_interrupted_and_terminated():
    for turn in range(4):
        killed(lambda process: process.send_signal([signal.SIGINT, signal.SIGTERM][turn % 2]), 3 + turn * 20)


def test_job_control():
    busy = Busy(threads=2, patient=True)
    process = start(TICK, Attached(busy.pid))
    os.kill(busy.pid, signal.SIGSTOP)
    until(lambda: status_of(busy.pid, "State")[0] in "Tt", 5, "it does not stop")
    time.sleep(0.1)
    ticks = busy.ticks
    time.sleep(0.2)
    check(busy.ticks == ticks, "it ticks although it was stopped")
    os.kill(busy.pid, signal.SIGCONT)
    until(lambda: busy.ticks > ticks, 5, "it does not continue")
    process.send_signal(signal.SIGINT)
    finish(process)
    busy.untouched()


def test_a_stopped_program_stays_stopped():
    busy = Busy(threads=3, patient=True)
    os.kill(busy.pid, signal.SIGSTOP)
    until(lambda: status_of(busy.pid, "State")[0] == "T", 5, "it does not stop")
    got = run(TICK, Attached(busy.pid), limits="limits: {duration: 1500ms}\n")
    check(got.of("armed")[0]["found"] == "stopped" and f"kill -CONT {busy.pid}" in got.err, f"{got.of('armed')} {got.err}")
    check(status_of(busy.pid, "State")[0] == "T", status_of(busy.pid, "State"))
    os.kill(busy.pid, signal.SIGCONT)
    got = run(TICK, Attached(busy.pid), limits=up_to(20))
    check(got.of("armed")[0]["found"] == "running" and not got.err, f"{got.of('armed')} {got.err}")
    busy.untouched()


def test_a_target_that_is_killed():
    busy = Busy(threads=4, patient=True)
    process = start(TICK, Attached(busy.pid), hits=20)
    os.kill(busy.pid, signal.SIGKILL)
    code, out, err = finish(process)
    check(code == 0 and '"type":"exit"' in out and '"signal":9' in out, f"{code} {out[-300:]} {err[-300:]}")


# ---- what cannot be traced ----

def refused(got, *words, code=3):
    check(got.code == code and got.seconds < 10, f"exit {got.code} after {got.seconds:.1f} s: {got.err[-300:]}")
    for word in words:
        check(word in got.err, f"{word}: {got.err[-400:]}")


def test_pids_that_are_no_targets():
    refused(run(TICK, "native:4000000", code=None), "no process")
    refused(run(TICK, "native:2", code=None), "kernel") if status_of(2, "PPid") == "0" and os.path.exists("/proc/2") and \
        not status_of(2, "VmSize") else None
    refused(run(TICK, "native:cat", code=None), "no target", code=1)
    zombie = subprocess.Popen(["true"])
    until(lambda: status_of(zombie.pid, "State")[0] == "Z", 5, "no zombie")
    refused(run(TICK, f"native:{zombie.pid}", code=None), "zombie")
    zombie.wait()
    busy = Busy(threads=2)
    thread = next(int(tid) for tid in os.listdir(f"/proc/{busy.pid}/task") if int(tid) != busy.pid)
    refused(run(TICK, f"native:{thread}", code=None), "thread", str(busy.pid))
    stub = gdbserver(attach=busy.pid)
    refused(run(TICK, Attached(busy.pid), code=None), "gdbserver")
    stub.end()


def test_programs_that_do_not_begin():
    refused(run(TICK, Launched("/does/not/exist"), code=None), "/does/not/exist", "No such file")
    refused(run(TICK, Launched(write("no program")), code=None), "Permission denied")


def test_places_that_are_none():
    program = build("counts")
    listing = subprocess.run(["objdump", "-d", program], capture_output=True, text=True).stdout
    inside = re.search(r"^\s*([0-9a-f]+):\t48 89 e5", listing, re.M)
    refused(run("  w: {at: wrok}\n", Launched(program), code=None), "wrok", "work", code=2)
    check(inside, "no such instruction")
    got = run("  w: {at: {function: work, offset: 2}}\n", Launched(program), code=None)
    check(got.code == 2 and "middle of an instruction" in got.err, got.brief())
    refused(run(f"  w: {{at: '*0x10'}}\n", Launched(program), code=None), "0x10", code=2)


if __name__ == "__main__":
    native_main(globals(), {})
