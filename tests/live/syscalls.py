#!/usr/bin/env python3
"""System calls as a trigger, natively and over gdbserver: what fixtures/c/live/calls.c makes and counts itself. Else as
native.py."""
import json, os, signal, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from nativetargets import *

OPEN = "  o: {syscall: openat, capture: {path: '(char *)arg1', flags: arg2}, at_return: {fd: return}}\n"
NAPS = "  n: {syscall: clock_nanosleep, capture: {clock: arg0}, at_return: {r: return}}\n"


class Served:
    """A program that gdbserver has launched; what it knows of itself is in a file."""

    def __init__(self, *command):
        self.stub = gdbserver(*command)
        self.uri, self.binary = self.stub.uri, self.stub.binary

    def told(self):
        return self.stub.told()


BACKENDS = Launched, Served


def calls(threads, count, probes, *more, code=0, on=Launched, **how):
    target = on(build("calls"), str(threads), str(count), *more)
    got = run(probes, target, code=code, **how)
    return got, target.told()


def own(got, probe="o"):
    """Not those of the loader and the C library."""
    return [hit["values"] for hit in got.hits(probe) if hit["values"]["path"] == "/dev/null" or
            hit["values"]["path"].startswith("/nowhere/")]


def test_each_call_with_its_result():
    for on, threads, count in (Launched, 1, 200), (Launched, 8, 60), (Launched, 32, 12), (Served, 1, 100), (Served, 8, 20):
        got, told = calls(threads, count, OPEN + "  c: {syscall: close, capture: {fd: arg0}}\n", on=on)
        rows = own(got)
        check(told["wrong"] == 0, told)
        check(len(rows) == threads * count == told["opened"] + told["missing"], f"{len(rows)} hits, {told}")
        want = sorted(f"/nowhere/{t}/{i}" for t in range(threads) for i in range(count) if i % 4)
        check(sorted(row["path"] for row in rows if row["fd"] == -2) == want, "paths")
        check(all(row["fd"] > 2 for row in rows if row["path"] == "/dev/null"), "descriptors")
        check(all(row["flags"] == os.O_CLOEXEC for row in rows), rows[:3])
        check(len(got.hits("c")) >= told["closed"], f"{len(got.hits('c'))} of {told['closed']}")
        for row in got.account().values():
            check(row["lost"] == 0 and row["unpaired"] == 0 and row["hits"] == row["emitted"], row)


def test_what_an_event_says():
    got, told = calls(1, 4, OPEN + "  s: {syscall: [close, openat], capture: [arg0], stack: 4, log: '{hit.function} {arg0}'}\n")
    armed = {probe["probe"]: probe["places"] for probe in got.of("armed")[0]["probes"]}
    check(armed == {"o": [{"syscall": "openat", "number": 257}],
                    "s": [{"syscall": "close", "number": 3}, {"syscall": "openat", "number": 257}]}, armed)
    hit = next(hit for hit in got.hits("o") if hit["values"]["path"] == "/nowhere/0/3")
    check(hit["syscall"] == "openat" and hit["elapsed_ns"] > 0 and hit["thread"]["id"] != hit["pid"], hit)
    logs = got.of("log")
    check({log["syscall"] for log in logs} == {"openat", "close"}, logs[-2:])
    check([frame["function"] for frame in logs[-1]["stack"]][:1] != [""] and logs[-1]["message"], logs[-1])


def test_how_long_they_take():
    for on in BACKENDS:
        got, told = calls(0, 8, NAPS + "  s: {syscall: clock_nanosleep, at_return: [return], keep: elapsed > 15ms}\n"
                          "  f: {syscall: clock_nanosleep, at_return: [return], keep: elapsed < 15ms}\n", "nap", on=on)
        check(told["wrong"] == 0 and len(got.hits("n")) == len(got.hits("s")) == 8 and not got.hits("f"), got.brief())
        check(all(hit["elapsed_ns"] >= 20e6 for hit in got.hits("n")), [hit["elapsed_ns"] for hit in got.hits("n")])
        check(got.values("n", "clock", "r") == [(1, 0)] * 8, got.values("n", "clock", "r"))


def test_filters():
    for on in BACKENDS:
        probes = "  a: {syscall: openat, when: 'arg2 == %d', max_hits: 5, capture: {p: '(char *)arg1'}}\n" % os.O_CLOEXEC
        got, told = calls(3, 100, probes + "  m: {syscall: openat, when: g_thread_count == 3, capture: [g_thread_count]}\n"
                          "  e: {syscall: openat, every: 5ms, capture: {p: '(char *)arg1'}}\n"
                          "  d: {syscall: close, hit_cond: '== 3', then: disarm, capture: {fd: arg0}}\n", on=on)
        check(told["wrong"] == 0 and len(got.hits("a")) == 5 and len(got.hits("d")) == 1, got.brief())
        check(len(got.hits("m")) >= 300 and set(got.values("m", "g_thread_count")) == {3}, len(got.hits("m")))
        check(0 < len(got.hits("e")) < 250, len(got.hits("e")))
        got, told = calls(2, 50, "  f: {at: open_one, max_hits: 1}\n  a: {syscall: openat, after: f, max_hits: 3, capture: {p: '(char *)arg1'}}\n", on=on)
        check(len(got.hits("a")) == 3 and all(row[:9] == "/nowhere/" or row == "/dev/null" for row in got.values("a", "p")), got.values("a", "p"))


def test_children_are_left_alone():
    for on in BACKENDS:
        got, told = calls(2, 40, OPEN, "fork", on=on)
        check(told["wrong"] == 0 and len(own(got)) == 80, f"{len(own(got))} {told}")
        check("/dev/zero" not in got.values("o", "path"), "a child's call was told")


def test_another_program():
    for on in BACKENDS:
        got, told = calls(1, 20, OPEN + "  x: {syscall: execve, capture: {path: '(char *)arg0'}}\n", "exec", on=on)
        check(told["wrong"] == 0 and len(own(got)) == 20, f"{len(own(got))} {told}")
        check(got.values("x", "path") == ["/proc/self/exe"], got.values("x", "path"))


def test_attached_and_left():
    busy = Counter(threads=3, nap=300)
    for hits in (1, 40, 300):
        got = run(NAPS + "  t: {at: tick, capture: [n]}\n", Attached(busy.pid), limits=up_to(hits))
        naps = got.hits("n")
        check(hits <= len(naps) + len(got.hits("t")) < hits + 6, got.brief())  # those of one stop are told together
        check(all(hit["values"] == {"clock": 0, "r": 0} for hit in naps), naps[:2])
    busy.unharmed()


def test_valgrind():
    stub = valgrind(build("calls"), "2", "30")
    got = run(OPEN, stub, timeout=60)
    check(len(own(got)) == 60 and stub.told()["wrong"] == 0, f"{len(own(got))} {got.brief()}")
    check(all(row["fd"] == -2 for row in own(got) if row["path"] != "/dev/null"), own(got)[:3])


def test_left_over_gdbserver():
    """gdbserver kills what it is told to detach from while another thread stands at a call."""
    busy = Counter(threads=6, nap=100)
    for hits in (1, 5, 60):
        stub = gdbserver(attach=busy.pid)
        got = run(NAPS + "  t: {at: tick, capture: [n]}\n", stub, limits=up_to(hits))
        check(hits <= len(got.hits()) < hits + 6, got.brief())
        busy.unharmed(0.3)


def test_killed_over_gdbserver():
    for who in "group", "worker":
        busy = Counter(threads=6, nap=100)
        process = start(NAPS, gdbserver(attach=busy.pid, once=False), hits=30)
        if who == "worker":
            os.kill(next(iter(children_of(process.pid))), signal.SIGKILL)
        else:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=15)
        busy.unharmed(0.3)


def test_what_waits_goes_on_waiting():
    """A thread that is in a call when it is armed is told of at the entry that the kernel makes of it anew."""
    cat = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    until(lambda: status_of(cat.pid, "State")[0] == "S", 5, "it does not wait")
    live = subprocess.Popen([PICKGLASS, "run", recipe("  r: {syscall: read, at_return: {n: return}}\n", up_to(1)), f"native:{cat.pid}",
                             "-q", "-o", "-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    for line in live.stdout:
        if '"armed"' in line:
            break
    cat.stdin.write(b"hello\n")
    cat.stdin.flush()
    code, out, err = finish(live)
    hits = [json.loads(line) for line in out.splitlines() if '"type":"hit"' in line]
    check(code == 0 and [hit["values"]["n"] for hit in hits] == [6], f"{code} {out[-300:]} {err[-300:]}")
    free(cat.pid)
    cat.stdin.close()
    check(cat.wait(5) == 0, "cat did not end well")


def test_killed_in_the_middle():
    busy = Counter(threads=3, nap=100)
    for who in "group", "worker", "main":
        process = start(NAPS + "  t: {at: tick, capture: [n]}\n", Attached(busy.pid), hits=30)
        if who == "worker":
            os.kill(next(iter(children_of(process.pid))), signal.SIGKILL)
        elif who == "group":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=15)
        if who != "worker" or busy.process.poll() is None:
            busy.unharmed()
        else:
            busy = Counter(threads=3, nap=100)  # docs/safety.md: the one exception


def test_the_recipe_of_opened_files():
    got = pickglass("run", os.path.join(ROOT, "recipes", "files-opened.yaml"), "native+exec:/bin/cat /etc/hostname /nowhere/at/all", "-q", "-o", "-")
    said = {event["values"]["path"]: event for event in got.of("log")}
    check(got.code == 0 and said["/etc/hostname"]["values"]["fd"] > 2 and said["/nowhere/at/all"]["message"] == "/nowhere/at/all: -2", got.brief())
    check(len(said["/etc/hostname"]["stack"]) > 1, said["/etc/hostname"])


def test_mistakes():
    for probe, code, said in (("{syscall: opnat}", 2, 'x86_64 has no system call "opnat" (did you mean "openat"?)'),
                              ("{syscall: []}", 2, "which system calls?"),
                              ("{syscall: openat, args: true}", 2, "arg0 to arg5"),
                              ("{syscall: openat, capture: [arg6]}", 2, "arg0 to arg5"),
                              ("{syscall: openat, capture: [return]}", 2, "return"),
                              ("{syscall: openat, at_return: [arg1]}", 2, "entered only"),
                              ("{syscall: openat, keep: elapsed > 1ms}", 2, "elapsed"),
                              ("{syscall: openat, capture: [nothere]}", 2, "nothere")):
        got = run(f"  p: {probe}\n", Launched("/bin/true"), code=code)
        check(said in got.err, f"{probe}: {got.err[-300:]}")
    got = run("  p: {syscall: openat}\n", "dlv://127.0.0.1:9", code=2)
    check("syscall: not with Delve" in got.err or "not with" in got.err, got.err)


def test_calls_that_nobody_asked_for():
    """Each holds the target all the same: it counts, and the budget holds."""
    source = write("#include <unistd.h>\n#include <sys/syscall.h>\nint main(void) { for (;;) syscall(SYS_getppid); }\n", "asks.c")
    subprocess.run(["gcc", "-g", "-o", source[:-2], source], check=True, timeout=60)
    program = Process(source[:-2])
    got = run("  s: {syscall: sync}\n", Attached(program.pid), limits="limits: {duration: 2s, pause_budget: 5%}\n")
    end, trips = got.of("end")[0], [trip["limit"] for trip in got.of("trip")]
    check("pause_budget" in trips and got.account()["s"]["throttled"] > 0, got.brief())
    check(0 < end["paused_ns"] < end["duration_ns"] / 3 and got.account()["s"]["armed_share"] < 0.6, end)
    free(program.pid)


KNOWN = {}

if __name__ == "__main__":
    native_main(globals(), KNOWN)
