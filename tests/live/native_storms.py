#!/usr/bin/env python3
"""Every hit exactly once, whatever else goes on: threads, recursion, signals, children, libraries (fixtures/c/live/storm.c).

SOAK=SECONDS makes each storm last that long. Else as native.py."""
import collections, os, re, signal, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from nativetargets import *

WORK_PROBE = "  w: {at: work, capture: [n]}\n"
LONG = f"limits: {{duration: {int(SOAK) + 25}s, pause_budget: 100%, max_pause: 5s}}\n"
MS = str(int(1000 * SOAK) or 400)


def storm(mode, threads=3, probes=WORK_PROBE, *more):
    target = Launched(build("storm"), mode, MS, str(threads), *more)
    got = run(probes, target, limits=LONG, timeout=SOAK + 30)
    told = target.told()
    check(told["wrong"] == 0, f"{told['wrong']} of {told['done']} went wrong: {told}")
    return got, told


def calm(mode, threads=3, probes=WORK_PROBE, *more, **pairs):
    got, told = storm(mode, threads, probes, *more)
    exact(got, told, w="calls", **pairs)
    hits = told["calls"] + sum(told[key] for key in pairs.values())
    check(told["calls"] > 0 and hits > 20, f"{told} is no load")
    return got, told


# ---- threads ----

def test_threads_at_several_places():
    probes = ("  o: {at: one, capture: [thread, n]}\n  t: {call: two, capture: {t: thread, n: n}, at_return: {r: return}}\n"
              "  d: {call: depth, capture: {t: thread, n: n}, at_return: {r: return}}\n")
    for threads, calls in (1, 400), (2, 200), (8, 60), (64, 10):
        target = Launched(build("threads"), str(threads), str(calls))
        got = run(probes, target)
        told = exact(got, target.told(), o="one", t="two")
        check(sorted(got.values("o", "thread", "n")) == [(t, n) for t in range(threads) for n in range(calls)], "pairs")
        check(all(hit["values"]["r"] == hit["values"]["t"] - hit["values"]["n"] for hit in got.hits("t")), "results")
        depth = got.hits("d")
        check(len(depth) == 4 * threads * -(-calls // 10), f"{len(depth)} calls of depth")
        check(all(hit["values"]["r"] == hit["values"]["t"] + hit["values"]["n"] for hit in depth), "recursion")
        check(got.account()["d"]["unpaired"] == 0, got.account()["d"])


def test_conditions_on_threads():
    for threads, calls in (2, 300), (16, 60):
        target = Launched(build("threads"), str(threads), str(calls))
        got = run("  o: {at: one, when: n % 7 == 3, capture: [thread, n]}\n"
                  "  p: {at: one, when: thread == 1, capture: [n]}\n", target)
        check(sorted(got.values("o", "thread", "n")) == [(t, n) for t in range(threads) for n in range(calls) if n % 7 == 3], "when")
        check(got.values("p", "n") == list(range(calls)), got.values("p", "n")[:9])
        for row in got.account().values():
            check(row["reached"] == target.told()["one"], row)


def test_tail_calls_are_paired():
    source = write("""#include <stdio.h>
__attribute__((noinline)) int last(int n) { __asm__ volatile(""); return n * 2; }
__attribute__((noinline)) int tail(int n) { __asm__ volatile(""); return last(n + 1); }
__attribute__((noinline)) int even(int n);
__attribute__((noinline)) int odd(int n) { __asm__ volatile(""); return n ? even(n - 1) : 0; }
__attribute__((noinline)) int even(int n) { __asm__ volatile(""); return n ? odd(n - 1) : 1; }
int main(void) { int s = 0; for (int i = 0; i < 20; i++) s += tail(i) + even(i); return s != 420 + 10; }
""", "tails.c")
    program = source[:-2]
    subprocess.run(["gcc", "-g", "-O2", "-o", program, source], check=True, timeout=60)
    got = run("  l: {call: last, capture: {n: n}, at_return: {r: return}}\n", Launched(program))
    check(got.of("exit")[0]["status"] == 0, got.of("exit"))
    check([(h["values"]["n"], h["values"]["r"]) for h in got.hits("l")] == [(n + 1, 2 * n + 2) for n in range(20)], got.brief())
    got = run("  e: {call: even}\n  o: {at: odd}\n", Launched(program))
    check(got.of("exit")[0]["status"] == 0, got.of("exit"))
    even, odd = got.account()["e"], got.account()["o"]
    check(even["reached"] == 110 and even["emitted"] + even["unpaired"] == 110, even)  # some leave by a jump: said, not guessed
    check(odd["reached"] == odd["emitted"] == 100, odd)
    got = run("  t: {call: tail}\n", Launched(program), code=2)
    check('"tail" has no return' in got.err, got.err)


def test_plain_load():
    for threads in 1, 2, 8, 64:
        calm("plain", threads)


def test_all_stand_at_each_hit():
    calm("plain", 8, "  w: {at: work, stop: process, capture: [n]}\n")


# ---- signals ----

def test_a_timer_whose_handler_is_probed():
    calm("alarms", 3, WORK_PROBE + "  h: {at: in_handler}\n", h="handled")


def test_signals_with_values():
    calm("queue", 3)


def test_a_flood_of_sigurg():
    got, told = calm("urge", 3, WORK_PROBE + "  h: {at: in_handler}\n", h="handled")
    check(told["handled"] > 0, told)


def test_a_handler_that_changes_what_goes_on():
    """A signal that comes at a hit finds its instruction executed: what goes on there later is no second hit."""
    calm("changes", 3)


def instructions(program, functions):
    """A probe at each of them."""
    for function in functions:
        listing = subprocess.run(["objdump", "-d", "-w", "--disassemble=" + function, program], capture_output=True, text=True).stdout
        for address in re.findall(r"^\s*([0-9a-f]+):\t", listing, re.M):
            yield f"  {function}_{address}: {{at: '*0x{address}'}}\n"


def flooded(probes, target):
    """The run's hits by probe, while signals come as fast as they can; and how many have."""
    process, sent = start(probes, target), 0
    pid = children_of(children_of(process.pid)[0])[0]

    def flood():
        nonlocal sent
        try:
            while alive(pid):
                os.kill(pid, signal.SIGURG)
                sent += 1
        except ProcessLookupError:
            pass  # it has ended
    flooding = threading.Thread(target=flood, daemon=True)
    flooding.start()
    code, out, err = finish(process, 30)
    flooding.join()
    check(code == 0, f"exit {code}: {err[-300:]}")
    rows = next(e["probes"] for e in (json.loads(line) for line in out.splitlines() if '"type":"end"' in line) if "target" in e)
    return {row["probe"]: row["hits"] for row in rows}, sent


def test_each_instruction_in_a_flood_of_signals():
    """Carried out by us or by the processor: the program computes the same, and each is hit as often."""
    for flags in ("-O0", "-no-pie"), ("-O2", "-no-pie"):
        program = build("counts", *flags)
        probes = "".join(instructions(program, ["work", "second", "fib", "bump", "local_sum"]))
        target = Launched(program, "20")
        calm_run, calm_told = run(probes, target), target.told()
        target = Launched(program, "20")
        now, sent = flooded(probes, target)
        was = {probe: row["hits"] for probe, row in calm_run.account().items()}
        odd = {probe: (hits, now[probe]) for probe, hits in was.items() if now[probe] != hits}
        check(target.told() == calm_told, f"{flags}: {target.told()}, without signals {calm_told}")
        check(not odd, f"{flags}: hits without and with {sent} signals: {odd}")
    check(sum(was.values()) > 1000 and sent > 100, f"{flags}: {sum(was.values())} hits, {sent} signals")


GO_CALLS = """package main

import (
	"os"
	"strconv"
	"sync"
)

//go:noinline
func plain(n int) int { return n * 3 }

//go:noinline
func square(n int) int { return n * n } // no instruction that we carry out

func main() {
	calls, _ := strconv.Atoi(os.Args[1])
	var all sync.WaitGroup
	for g := 0; g < 8; g++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for n := 0; n < calls; n++ {
				if plain(n)+square(n) != n*(n+3) {
					panic("a wrong result")
				}
			}
		}()
	}
	all.Wait()
}
"""


def test_goroutines_that_go_on_at_other_threads():
    """Go's own signals (SIGURG) take them off their thread wherever they are, at a hit, too."""
    need("go")
    source = write(GO_CALLS, "main.go")
    program = os.path.join(os.path.dirname(source), "calls")
    subprocess.run(["go", "build", "-o", program, source], check=True, timeout=300)
    calls = int(3000 * (1 + SOAK))
    os.environ["GOMAXPROCS"] = "4"  # more than there are processors, so that they change hands
    got = run("  p: {at: main.plain, capture: [n]}\n  s: {at: main.square, capture: [n]}\n", Launched(program, str(calls)), limits=LONG)
    del os.environ["GOMAXPROCS"]
    check(got.of("exit")[0].get("status") == 0, got.of("exit"))
    for probe in "ps":
        told = collections.Counter(got.values(probe, "n"))
        odd = [(n, times) for n, times in told.items() if times != 8]
        check(len(told) == calls and not odd, f"{len(told)} of {calls} calls, of 8 goroutines these were told so often: {odd[:5]}")


def test_threads_that_block_every_signal():
    calm("blocked", 4)


def test_jumps_out_of_handlers():
    """A jump may come between the count of a call and the call."""
    got, told = storm("jumping", 3, "  w: {at: work, capture: [n]}\n")
    hits = len(got.hits("w"))
    check(told["jumps"] > 3 and told["calls"] - told["jumps"] <= hits <= told["calls"], f"{hits} hits, {told}")
    got, told = storm("jumping", 3, "  w: {call: work, capture: {n: n}, at_return: {r: return}}\n")
    row = got.account()["w"]
    check(all(h["values"]["r"] == 3 * h["values"]["n"] for h in got.hits("w")), "a result of another call")
    check(row["emitted"] + row["unpaired"] == row["reached"] and row["unpaired"], f"a call left by a jump is unpaired: {row}, {told}")


def test_stopped_and_continued_by_somebody():
    target = Launched(build("storm"), "plain", str(int(MS) + 800), "4")
    process = start(WORK_PROBE, target, limits=LONG)
    pid = next(iter(children_of(next(iter(children_of(process.pid))))))
    for _ in rounds(8):
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.02)
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.02)
    code, out, err = finish(process, 30 + SOAK)
    told = target.told()
    end = [json.loads(line) for line in out.splitlines() if '"type":"end"' in line]
    row = next(p for e in end for p in e.get("probes", []))
    check(code == 0 and row["hits"] == told["calls"] and row["lost"] == 0, f"{code}: {row} {told} {err[-200:]}")


# ---- children ----

def test_forks():
    calm("forks")


def test_forks_of_many():
    calm("many-forks")


def test_vforks():
    calm("vforks")


def test_a_child_that_shares_memory():
    calm("shares")


def test_spawns():
    calm("spawns")


def test_it_becomes_a_daemon():
    """The child that goes on is another process: it lives, and the run ends with the one that was launched."""
    target = Launched(build("storm"), "daemonise", MS, "2")
    got = run(WORK_PROBE, target)
    check(target.told()["wrong"] == 0 and target.told()["done"] == 100, target.told())
    check(got.of("exit")[0]["status"] == 0, got.of("exit"))


# ---- threads and libraries that come and go ----

def test_threads_that_come_and_go():
    calm("churn")


def test_a_watchpoint_on_threads_that_come_and_go():
    source = write("""#include <pthread.h>
long counter; static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void *add(void *n) { pthread_mutex_lock(&lock); counter++; pthread_mutex_unlock(&lock); return n; }
int main(void) { for (int i = 0; i < 8; i++) { pthread_t t[8]; for (int k = 0; k < 8; k++) pthread_create(&t[k], 0, add, 0);
  for (int k = 0; k < 8; k++) pthread_join(t[k], 0); } return counter == 64 ? 7 : 1; }
""", "adders.c")
    program = source[:-2]
    subprocess.run(["gcc", "-g", "-O0", "-o", program, source, "-lpthread"], check=True, timeout=60)
    got = run("  w: {watch: {expr: counter, access: write}}\n", Launched(program))
    check(got.of("exit")[0]["status"] == 7, got.of("exit"))
    check(got.values("w", "old", "new") == [(n, n + 1) for n in range(64)], got.values("w", "old", "new")[:9])


def test_a_library_that_comes_and_goes():
    """It is unloaded and loaded again under a load: each of its calls is seen, from the first."""
    got, told = calm("libraries", 3, WORK_PROBE + "  p: {call: {function: plug, module: plug.so}, capture: {n: n}, at_return: {r: return}}\n",
                     plug(), p="sent")
    check(all(h["values"]["r"] == 100 + h["values"]["n"] for h in got.hits("p")), "results")


def test_a_library_that_is_there_at_first():
    """Attached while it is loaded: it goes, and comes again."""
    program = Process(build("storm"), "libraries", str(int(MS) + 60000), "1", plug())
    until(lambda: "plug.so" in open(f"/proc/{program.pid}/maps").read(), 5, "it never loads it")
    got = None
    for _ in rounds(3):
        got = run("  p: {call: {function: plug, module: plug.so}}\n", Attached(program.pid), limits=up_to(20))
        check(len(got.hits("p")) == 20, got.brief())
    os.kill(program.pid, signal.SIGTERM)
    check(program.told()["wrong"] == 0, program.said())


# ---- exec ----

def test_it_executes_itself_and_others():
    source = write("""#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
__attribute__((noinline)) int work(int n) { __asm__ volatile(""); return n; }
static char **arguments; static int by_thread;
static void *again(void *p) { execv("/proc/self/exe", arguments); return p; }
int main(int argc, char **argv) { int left = argc > 1 ? atoi(argv[1]) : 0; static char text[12];
  for (int i = 0; i < 5; i++) work(i);
  if (!left) return 9; text[0] = (char)('0' + left - 1); by_thread = argc > 2;
  char *a[] = {"again", text, argc > 2 ? argv[2] : NULL, NULL}; arguments = a;
  if (by_thread) { pthread_t t; pthread_create(&t, 0, again, 0); pthread_join(t, 0); } else again(0); return 1; }
""", "again.c")
    program = source[:-2]
    subprocess.run(["gcc", "-g", "-O0", "-w", "-o", program, source, "-lpthread"], check=True, timeout=60)
    for how in [], ["thread"]:
        marker = Process("/bin/sh", "-c", f"sleep 0.5; exec {program} 3 {' '.join(how)}")
        got = run("  w: {at: work}\n", Launched(program, "3", *how))
        check(got.err.count("restarted") == 3 and len(got.hits("w")) == 20, f"{how}: {got.brief()}")
        check(got.of("exit")[0].get("status") == 9, got.of("exit"))
        check(marker.wait() == 9, "the test's own program")


KNOWN = {}

if __name__ == "__main__":
    native_main(globals(), KNOWN)
