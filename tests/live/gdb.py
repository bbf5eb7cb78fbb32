#!/usr/bin/env python3
"""gdb:// against real stubs: gdbserver, lldb-server, qemu-user, valgrind; and against stubs that are none.

The programs (fixtures/c/live) count themselves, so what is told must equal what has happened. Prints `ok NAME`,
`FAIL NAME: why` or `skip NAME: why` a test, and `N passed, N failed, N skipped` last. Arguments are parts of test names
to run. PICKGLASS is the program under test; TIMES=1 shows what each test took."""
import concurrent.futures, json, os, random, re, shutil, signal, socket, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "support"))
from fakestub import FakeStub
from gdbtargets import *

TICK = "  t: {at: tick, capture: [n]}\n"


def some(n):
    return FREE.replace("{", "{hits: %d, " % n, 1)


def exact(got, stub, **pairs):
    """Each probe was hit as often as the program says that it was called: reached, passed and emitted."""
    told, account = stub.told(), got.account()
    for probe, key in pairs.items():
        row = account[probe]
        check(row["reached"] == row["hits"] == row["emitted"] == told[key] == len(got.hits(probe)),
              f"{probe}: {row['reached']} reached, {row['hits']} hits, {len(got.hits(probe))} events, {told[key]} calls")
        check(row["lost"] == 0 and row["unpaired"] == 0 and row["throttled"] == 0, f"{probe}: {row}")
    return told


# ---- 1. ways to a target ----

def test_launched_once():
    stub = gdbserver(build("counts"))
    got = run("  w: {at: work, capture: [n]}\n", stub)
    exact(got, stub, w="work")
    check(got.values("w", "n") == list(range(50)), got.values("w", "n"))
    check(got.of("exit")[0]["status"] == 0 and got.of("armed")[0]["found"] == "at_launch", got.of("armed"))
    check(stub.wait() == 0, stub.said())


def test_launched_without_once():
    stub = gdbserver(build("counts"), once=False)
    got = run("  w: {at: work, capture: [n]}\n", stub)
    exact(got, stub, w="work")


def test_left_in_the_middle_it_runs_to_its_end():
    for once in (True, False):
        stub = gdbserver(build("counts"), once=once)
        got = run("  w: {at: work, capture: [n]}\n", stub, limits=some(7))
        check(got.values("w", "n") == list(range(7)), got.brief())
        check(stub.told()["work"] == 50, "it did not run on")


def test_multi_has_no_process():
    stub = gdbserver(once=False, options=["--multi"])
    got = run("  w: {at: work}\n", stub, code=3)
    check("no process" in got.err and got.seconds < 5, got.brief())


def test_multi_with_a_program():
    stub = gdbserver(build("counts"), once=False, options=["--multi"])
    got = run("  w: {at: work, capture: [n]}\n", stub)
    exact(got, stub, w="work")


def multi():
    return gdbserver(once=False, options=["--multi"])


def test_multi_stays():
    stub = gdbserver(build("counts"), once=False, options=["--multi"])
    run("  w: {at: work, capture: [n]}\n", stub.uri + "?extended=yes")
    got = run("  w: {at: work}\n", stub, code=3)
    check("no process" in got.err and stub.process.poll() is None, "it ended the stub: " + got.err)


def test_multi_attach():
    stub = multi()
    for busy in (Busy(), Busy(leader=False, threads=3)):
        for turn in range(2):
            got = run(TICK, f"{stub.uri}?attach={busy.pid}", limits=some(20))
            ns = got.values("t", "n")
            check(len(ns) == 20 and got.of("armed")[0]["found"] == "running", got.brief())
            busy.untouched()
    check(stub.process.poll() is None, "the stub has ended")


def test_multi_run():
    """Arguments, environment, working directory; it runs on after the run, and on demand it does not."""
    stub, folder, told = multi(), os.path.join(WORK, "cwd with blanks"), os.path.join(WORK, "multi.told")
    os.makedirs(folder, exist_ok=True)
    words = f"run={build('counts')}%2012&cwd={folder.replace(' ', '%20')}&env=TOLD={told}&env=OTHER=a%26b%3Dc"
    got = run("  w: {at: work, capture: [n]}\n", f"{stub.uri}?{words}")
    check(got.values("w", "n") == list(range(12)) and got.of("armed")[0]["found"] == "at_launch", got.brief())
    check(json.load(open(told))["work"] == 12, "its environment")
    os.unlink(told)
    run("  w: {at: work, capture: [n]}\n", f"{stub.uri}?{words}", limits=some(3))
    until(lambda: os.path.exists(told) and json.load(open(told))["work"] == 12, 5, "it did not run on")
    got = run("  w: {at: show_cwd}\n", f"{stub.uri}?run=/bin/sh%20-c%20%27pwd;sleep%2030%27", code=2)
    check(stub.process.poll() is None, "the stub has ended")


def test_multi_run_and_kill():
    stub, busy = multi(), build("busy")
    path = os.path.join(WORK, "multi.shared")
    got = run(TICK, f"{stub.uri}?run={busy}%20{path}", "--kill-launched", limits=some(5))
    check(len(got.hits()) == 5, got.brief())
    until(lambda: not children_of(stub.pid), 5, "it was not killed")


def test_multi_mistakes():
    stub = multi()
    for words, said in (("attach=4194000", "attaching"), ("run=/no/such/program", "running"), ("run=" + __file__, "running")):
        refused(run(ONE, f"{stub.uri}?{words}", *HURRY, code=None), "target-1", said, codes=(3,))
    for words in ("atach=1", "attach=x", "attach=0", "run=", "run='a", "cwd=/tmp", "run=a&env=b", "run=%zz", "baud=9600", "attach=1&run=a"):
        refused(run(ONE, f"{stub.uri}?{words}", *HURRY, code=None), stub.uri + "?", codes=(1, 3))
    busy = Busy()
    got = run("  w: {at: tikc}\n", f"{stub.uri}?attach={busy.pid}", code=2)
    busy.untouched()
    got = run(ONE, f"{stub.uri}?run={build('counts')}", "--binary", build("counts", "-O1"), code=3)
    check("build-id" in got.err, got.err)
    until(lambda: not children_of(stub.pid), 5, "what was launched for nothing is still there")
    stub = gdbserver(build("counts"), once=False, options=["--multi"])
    refused(run(ONE, f"{stub.uri}?attach={busy.pid}", code=3), "already")


def test_multi_check_and_list():
    stub, busy = multi(), Busy()
    got = pickglass("check", recipe(TICK), f"{stub.uri}?attach={busy.pid}")
    check(got.code == 0, got.brief())
    busy.untouched()
    got = pickglass("list", f"{stub.uri}?run={build('counts')}", "functions", "^work$")
    check(got.code == 0 and "work" in got.out, got.out + got.err)
    until(lambda: not children_of(stub.pid), 5, "what was launched to be looked at is still there")


def test_multi_death_by_kill():
    busy, stub = Busy(patient=True), multi()
    stub.uri += f"?attach={busy.pid}"
    process = start(many(), stub, hits=20)
    os.killpg(process.pid, signal.SIGKILL)
    finish(process)
    busy.untouched()


def attached(leader, once, threads=1):
    busy = Busy(threads=threads, leader=leader)
    check((os.getpgid(busy.pid) == busy.pid) == leader, "the test's own premise")
    stub = gdbserver(attach=busy.pid, once=once)
    got = run(TICK, stub, limits=some(40))
    ns = got.values("t", "n")
    check(len(ns) == 40 and (threads > 1 or ns == list(range(ns[0], ns[0] + 40))), ns)
    check(got.of("armed")[0]["found"] == "running", got.of("armed"))
    busy.untouched()
    return busy, stub


def test_attach_to_a_group_leader():
    attached(leader=True, once=True)


def test_attach_to_a_member_of_a_group():
    attached(leader=False, once=True)


def test_attach_without_once():
    attached(leader=True, once=False)


def test_attach_to_threads():
    attached(leader=False, once=True, threads=4)


def test_attach_twice_one_after_the_other():
    busy, _ = attached(leader=True, once=True)
    got = run(TICK, gdbserver(attach=busy.pid), limits=some(5))
    check(len(got.hits()) == 5, got.brief())
    busy.untouched()


def test_pipe():
    need("gdbserver")
    log = os.path.join(WORK, "pipe.out")
    got = run("  w: {at: work, capture: [n]}\n", f"gdb+pipe:gdbserver - {build('counts')} 12")
    check(got.values("w", "n") == list(range(12)) and got.of("exit"), got.brief())
    busy = Busy()
    got = run(TICK, f"gdb+pipe:gdbserver --once --attach - {busy.pid}", limits=some(20))
    check(len(got.hits()) == 20, got.brief())
    busy.untouched()


def test_a_process_that_cannot_be_interrupted():
    """Behind a pipe nobody knows where it runs: that gdbserver cannot interrupt it is said, and the limit comes with a hit."""
    busy = Busy(leader=False)
    got = run(TICK, f"gdb+pipe:gdbserver --once --attach - {busy.pid}", limits=some(20))
    check(len(got.hits()) == 20, got.brief())
    check(any("leads no process group" in e["message"] for e in got.of("error")), got.of("error"))
    busy.untouched()
    busy = Busy(leader=True)
    got = run("  never: {at: never_called}\n", f"gdb+pipe:gdbserver --once --attach - {busy.pid}", limits=FREE.replace("25s", "2s"))
    check(not any("leads no" in e["message"] for e in got.of("error")) and "duration" in got.reason(), got.of("error"))
    busy.untouched()


def test_through_ssh():
    """An ssh that forwards on this machine; the stub listens there, and serves again when the link has ended."""
    folder = tempfile.mkdtemp(dir=WORK)
    need("socat")
    with open(os.path.join(folder, "ssh"), "w") as file:
        file.write('#!/bin/sh\nwhile [ "$1" != -W ]; do shift; done\n[ "$3" = me@box ] && exec socat - "TCP:$2"\n')
    os.chmod(os.path.join(folder, "ssh"), 0o755)
    path = {"PATH": folder + ":" + os.environ["PATH"]}
    busy = Busy()
    stub = gdbserver(attach=busy.pid)
    got = run(TICK, f"gdb+ssh://me@box:2222/127.0.0.1:{stub.port}", limits=some(20), env=path)
    check(len(got.hits()) == 20, got.brief())
    busy.untouched()
    stub = multi()
    got = run(TICK, f"gdb+ssh://me@box/127.0.0.1:{stub.port}?attach={busy.pid}", limits=some(20), env=path)
    check(len(got.hits()) == 20, got.brief())
    busy.untouched()


def test_unix_socket():
    stub = qemu("x86_64", build("counts"), unix=True)
    got = run("  w: {at: work, capture: [n]}\n", stub)
    exact(got, stub, w="work")


def test_serial_line():
    for damage in (0, 5000):
        line = Line(damage)
        stub = gdbserver_on_line(line, build("counts"))
        got = run("  w: {at: work, capture: [n]}\n  b: {at: second}\n", stub, "--timeout", "2s")
        exact(got, stub, w="work", b="second")
        check(got.values("w", "n") == list(range(50)), got.values("w", "n"))
        check(line.damaged > 2 or not damage, f"{line.damaged} of {line.carried} bytes were damaged")
        line.end()


def test_serial_line_attached():
    busy, line = Busy(), Line()
    got = run(TICK, gdbserver_on_line(line, attach=busy.pid), limits=some(20))
    check(len(got.hits()) == 20, got.brief())
    busy.untouched()
    line.end()


def test_serial_lines_that_are_none():
    for device, said in (("/dev/null", "no serial line"), (WORK + "/nothing", "connecting"), (__file__, "no serial line")):
        refused(run(ONE, f"gdb+serial:{device}?baud=9600", *HURRY, code=None), said)
    line = Line()
    refused(run(ONE, f"gdb+serial:{line.names[0]}?baud=12345", *HURRY, code=None), "9600", codes=(1, 3))
    refused(run(ONE, f"gdb+serial:{line.names[0]}", *HURRY, code=None), "no answer")
    line.end()


def test_trace():
    stub = gdbserver(build("counts"))
    got = pickglass("trace", stub.uri, "work", "n", "g_sum", "--hits", "3", "-o", "-", "-q")
    check(got.code == 0 and [list(hit["values"].values()) for hit in got.hits()] == [[0, 0], [1, 0], [2, 1]], got.out)
    check(stub.told()["work"] == 50, "it did not run on")


def test_what_the_wire_took():
    stub = gdbserver(build("counts"))
    got = run("  w: {at: work, capture: [n], max_hits: 20}\n", stub, "-v")
    [wire] = [e["wire"] for e in got.of("end") if "wire" in e]
    told = re.search(r"target-1: wire: (\d+) requests in (\d+) writes, (\d+) round trips; at (\d+) hits ([0-9.]+) a hit", got.err)
    check(told, got.err)
    check([int(told[i]) for i in range(1, 5)] == [wire[key] for key in ("requests", "writes", "round_trips", "hit_stops")], f"{told[0]} {wire}")
    check(abs(float(told[5]) - wire["hit_round_trips"] / wire["hit_stops"]) < 0.006, f"{told[0]} {wire}")
    check("wire:" not in run("  w: {at: work, max_hits: 2}\n", gdbserver(build("counts"))).err, "without -v")


def sockets_to(port):
    """(timer, seconds until it ends) of each connection to this port, as the kernel tells them."""
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table][1:]
    return [(row[5].split(":")[0], int(row[5].split(":")[1], 16) / 100) for row in rows if row[2].endswith(f":{port:04X}") and row[3] == "01"]


def test_a_silent_link_is_looked_after():
    """While the target runs nobody says anything: the kernel asks now and then whether the peer is there still."""
    busy = Busy(nap=2000, light=True)
    stub = gdbserver(attach=busy.pid)
    process = start("  o: {at: tick, max_hits: 1}\n  never: {at: never_called}\n", stub)
    timer, left = until(lambda: next((row for row in sockets_to(stub.port) if row[0] == "02"), None), 5, "no keep-alive")
    check(left <= 30, f"it is asked after {left} s")
    process.send_signal(signal.SIGINT)
    finish(process)
    busy.untouched()


# ---- 2. exactness ----

def test_threads_at_one_breakpoint():
    stub = gdbserver(build("threads"), "8", "60")
    got = run("  o: {at: one, capture: [thread, n]}\n", stub)
    told = exact(got, stub, o="one")
    check(sorted(got.values("o", "thread", "n")) == [(t, n) for t in range(8) for n in range(60)], "pairs")
    check(told["sum_one"] == sum(got.values("o", "n")), "sum")
    check(len({hit["thread"]["id"] for hit in got.hits()}) == 8, "threads")


def test_threads_at_two_breakpoints():
    stub = gdbserver(build("threads"), "8", "60")
    got = run("  o: {at: one, capture: [thread, n]}\n  t: {at: two, capture: [thread, n]}\n", stub)
    exact(got, stub, o="one", t="two")
    check(sorted(got.values("t", "thread", "n")) == [(t, n) for t in range(8) for n in range(1, 60, 2)], "pairs")


def test_threads_at_breakpoints_in_memory():
    """More places than the processor has slots for: some are stepped over by us."""
    stub = gdbserver(build("threads"), "8", "40")
    line = line_of("threads", "return thread - n")
    got = run(f"  a: {{at: {{match: '^(one|two)$'}}, capture: [thread, n]}}\n  b: {{at: 'threads.c:{line}', capture: [n]}}\n"
              "  d: {at: depth}\n  e: {return_of: two}\n", stub)
    told, account = stub.told(), got.account()
    check(account["a"]["hits"] == told["one"] + told["two"], f"a: {account['a']} {told}")
    check(account["b"]["hits"] == account["e"]["hits"] == told["two"], f"{account} {told}")
    check(account["d"]["hits"] == 8 * 4 * 4, f"d: {account['d']}")


def test_threads_call_and_return():
    stub = gdbserver(build("threads"), "4", "40")
    got = run("  d: {call: depth, capture: {n: n}, at_return: {r: return}}\n"
              "  o: {call: one, capture: {t: thread, n: n}, at_return: {r: return}}\n", stub)
    exact(got, stub, o="one")
    check(all(hit["values"]["r"] == hit["values"]["t"] + hit["values"]["n"] for hit in got.hits("o")), "results")
    check(got.account()["d"]["unpaired"] == 0 and len(got.hits("d")) == 4 * 4 * 4, got.account())
    by_thread = {}
    for hit in got.hits("d"):
        by_thread.setdefault(hit["thread"]["id"], []).append(hit["values"]["r"] - hit["values"]["n"])
    check(all(len(set(offsets)) == 1 for offsets in by_thread.values()), "a call was paired with another thread's return")


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def test_recursion():
    for machine in ("-O0", "-O2"):
        stub = gdbserver(build("counts", machine), "1")
        got = run("  f: {call: fib, capture: {n: n}, at_return: {r: return}}\n", stub)
        told = exact(got, stub, f="fib") if machine == "-O0" else stub.told()
        check(got.hits("f") and all(hit["values"]["r"] == fib(hit["values"]["n"]) for hit in got.hits("f")), "results")
        if machine == "-O0":
            check(told["fib_sum"] == sum(got.values("f", "r")), "sum")
        check(all(hit["elapsed_ns"] >= hit["paused_ns"] >= 0 for hit in got.hits("f")), "elapsed")


def test_returns_alone():
    stub = gdbserver(build("counts"))
    got = run("  r: {return_of: work, capture: {r: return}}\n", stub)
    exact(got, stub, r="work")
    check(got.values("r", "r") == [2 * n for n in range(50)], "results")


def address_of(program, symbol):
    need("nm")
    rows = subprocess.run(["nm", program], capture_output=True, text=True).stdout.splitlines()
    return next("0x" + row.split()[0] for row in rows if row.endswith(" " + symbol))


def test_a_loop_of_one_instruction():
    program = build("counts", "-O0", "-no-pie")
    for more in ("", ", hw: true"):
        stub = gdbserver(program, "1")
        at = f"{{address: '*{address_of(program, 'tight_loop')}'{more}}}"
        got = run(f"  l: {{at: {at}, capture: {{left: $rcx}}}}\n", stub)
        exact(got, stub, l="iterations")
        check(got.values("l", "left") == list(range(20, 0, -1)), got.values("l", "left"))


def test_a_loop_of_one_instruction_in_memory():
    """Four other places take the processor's slots first."""
    program = build("counts", "-O0", "-no-pie")
    stub = gdbserver(program, "1")
    got = run("".join(f"  p{i}: {{at: {name}}}\n" for i, name in enumerate(("work", "second", "bump", "tight"))) +
              f"  l: {{at: '*{address_of(program, 'tight_loop')}', capture: {{left: $rcx}}}}\n", stub)
    exact(got, stub, l="iterations", p3="loops")
    check(got.values("l", "left") == list(range(20, 0, -1)), got.values("l", "left"))


def test_an_address_at_run_time():
    """The pc of one run's events is a place of the next: gdbserver launches without randomisation."""
    program = build("counts", "-O0", "-pie")
    pc = run("  w: {at: work, max_hits: 1}\n", gdbserver(program)).hits()[0]["location"]["pc"]
    stub = gdbserver(program)
    exact(run(f"  w: {{at: '*{pc}', capture: [n]}}\n", stub), stub, w="work")


def test_probes_that_share_a_place():
    stub = gdbserver(build("counts"))
    got = run("""  a: {at: work, capture: [n]}
  b: {at: work, when: n % 2 == 0, capture: [n]}
  c: {call: work, at_return: {r: return}}
  d: {at: work, max_hits: 3}
  e: {at: {match: '^(work|bump)$'}}
""", stub)
    exact(got, stub, a="work", c="work")
    check(got.values("b", "n") == list(range(0, 50, 2)) and len(got.hits("d")) == 3 and len(got.hits("e")) == 100, got.brief())


def test_filters():
    stub = gdbserver(build("counts"), "200")
    got = run("""  when: {at: work, when: n % 10 == 3, capture: [n]}
  text: {at: second, when: 'name == "beta" && n < 30', capture: [n, name]}
  third: {at: work, hit_cond: '% 7', capture: [n]}
  late: {at: work, hit_cond: '> 195', capture: [n]}
  most: {at: work, max_hits: 4, capture: [n]}
  keep: {at: bump, capture: {by: by, c: g_counter}, keep: by == 2 && c > 280}
  none: {at: work, when: n == 17, emit: none}
  log: {at: work, hit_cond: '== 5', capture: [n], log: "{{n}} is {n}, {hit.function}"}
""", stub)
    check(got.values("when", "n") == list(range(3, 200, 10)), got.values("when", "n"))
    check(got.values("text", "n") == list(range(1, 30, 3)), got.values("text", "n"))
    check(got.values("third", "n") == list(range(6, 200, 7)), got.values("third", "n"))
    check(got.values("late", "n") == [195, 196, 197, 198, 199], got.values("late", "n"))
    check(got.values("most", "n") == [0, 1, 2, 3], got.values("most", "n"))
    kept = got.values("keep", "by", "c")
    check(kept == [(2, c) for c in range(1, 300, 3) if c > 280], kept)
    check(not got.hits("none") and got.account()["none"]["hits"] == 1, got.account()["none"])
    check([hit["message"] for hit in got.of("log")] == ["{n} is 4, work"], got.of("log"))
    check(got.account()["when"]["reached"] == 200, got.account()["when"])


def test_after():
    stub = gdbserver(build("counts"), "30")
    got = run("""  first: {at: work, when: n == 11, capture: [n]}
  next: {at: second, after: first, max_hits: 2, capture: [n]}
  same: {at: bump, after: {probe: first, same: thread, within: 10s}, max_hits: 1, capture: {r: g_rounds}}
""", stub)
    check(got.values("next", "n") == [11, 12] and got.values("same", "r") == [11], got.brief() + str(got.values("next", "n")))


def test_rate_and_every():
    busy = Busy(patient=True)
    got = run("  rate: {at: tick, rate: 5/s, capture: [n]}\n", gdbserver(attach=busy.pid), limits=FREE.replace("25s", "1800ms"))
    check(5 <= len(got.hits()) <= 15, f"rate: {len(got.hits())}")
    got = run("  every: {at: tick, every: 250ms, capture: [n]}\n", gdbserver(attach=busy.pid), limits=FREE.replace("25s", "1600ms"))
    ns = got.values("every", "n")
    check(4 <= len(ns) <= 7 and all(b - a > 100 for a, b in zip(ns, ns[1:])), f"every: {ns}")
    busy.untouched()


def test_a_duration_ends_while_nothing_hits():
    for leader in (True, False):
        busy = Busy(leader=leader, patient=True)
        got = run("  never: {at: never_called}\n", gdbserver(attach=busy.pid), limits=FREE.replace("25s", "600ms"))
        check(0.6 <= got.seconds < 5 and not got.hits() and "duration" in got.reason(), f"{got.seconds} {got.brief()}")
        busy.untouched()


def test_timers_read_globals():
    busy = Busy(leader=False, threads=1, patient=True)
    got = run("  t: {timer: 100ms, capture: [g_ticks], max_hits: 5}\n", gdbserver(attach=busy.pid))
    ticks = got.values("t", "g_ticks")
    check(len(ticks) == 5 and ticks == sorted(ticks) and ticks[0] < ticks[-1], ticks)
    busy.untouched()


def test_timers_and_hits_together():
    busy = Busy(leader=True, patient=True)
    got = run("  clock: {timer: 50ms, capture: [g_ticks], max_hits: 8}\n" + TICK, gdbserver(attach=busy.pid),
              limits=FREE.replace("25s", "2s"))
    ns, hits = got.values("clock", "g_ticks"), got.values("t", "n")
    check(3 <= len(ns) <= 8 and ns == sorted(ns), f"{ns} {got.brief()}")
    check(hits == list(range(hits[0], hits[0] + len(hits))), "a hit was lost, or told twice")
    busy.untouched()


def test_watch_a_global():
    stub = gdbserver(build("counts"))
    got = run("  w: {watch: {expr: g_counter, access: write}}\n", stub)
    told, total, want = stub.told(), 0, []
    for i in range(50):
        want.append((total, total + 1 + i % 2))
        total += 1 + i % 2
    check(told["counter"] == total and got.values("w", "old", "new") == want, f"{got.values('w', 'old', 'new')[:4]} {got.brief()}")
    check(len(got.hits()) == told["bump"], got.brief())


def test_watch_beside_breakpoints():
    stub = gdbserver(build("counts"))
    got = run("  w: {watch: {expr: g_counter, access: write}, keep: new > old}\n  a: {at: bump, capture: [by]}\n"
              "  b: {at: work}\n  c: {at: second}\n  d: {at: fib}\n", stub)
    told = exact(got, stub, a="bump", b="work", c="second", d="fib")
    check(len(got.hits("w")) == told["bump"], got.brief())


def test_watch_from_a_hit():
    stub = gdbserver(build("counts"), "1")
    got = run("  f: {at: local_sum, max_hits: 1, capture: [n]}\n  w: {watch: {expr: sum, from: f}, max_hits: 6}\n", stub)
    check(got.values("w", "old", "new")[-5:] == [(0, 1), (1, 3), (3, 6), (6, 10), (10, 15)],
          f"{got.values('w', 'old', 'new')} {got.brief()}")


BOXES = """#include <unistd.h>
struct box { int step; long sum; char *label; };
__attribute__((noinline)) void put(struct box *box) { box->sum += box->step; box->label++; }
static struct box boxes[3] = {{1, 0, "abcdefghijkl"}, {2, 0, "ABCDEFGHIJKL"}, {3, 0, "0123456789.,"}};
int main(void) { for (int i = 0; i < 30; i++) { put(&boxes[i % 3]); usleep(5000); } }
"""


def boxes():
    """Calls put(&boxes[i % 3]), which adds 1, 2 or 3 to what is in the box."""
    source = write(BOXES, "boxes.c")
    subprocess.run(["gcc", "-g", "-O0", "-o", source[:-2], source], check=True, timeout=60)
    return gdbserver(source[:-2])


def test_watch_from_a_hit_knows_what_was():
    got = run("  f: {at: put, max_hits: 1}\n  w: {watch: {expr: box->sum, from: f}}\n", boxes())
    check(got.values("w", "old", "new") == [(n, n + 1) for n in range(10)], f"{got.values('w', 'old', 'new')} {got.brief()}")
    got = run("  f: {at: put, max_hits: 1}\n  w: {watch: {expr: box->label, from: f}}\n", boxes())
    labels = got.values("w", "old", "new")
    check(labels[:2] == [("abcdefghijkl", "bcdefghijkl"), ("bcdefghijkl", "cdefghijkl")], labels)


def test_watch_from_a_hit_holds_it_as_any_hit():
    """A name that is known at the hit alone is not looked for anywhere else."""
    for again in "", ", every: 1ms":
        got = run(f"  f: {{at: put}}\n  w: {{watch: {{expr: box->sum, from: f}}{again}}}\n", boxes())
        check(len(got.hits("w")) > 6 and not got.of("error"), got.brief())
        check(got.of("hit")[0]["pause_ns"] < 100e6, [hit["pause_ns"] for hit in got.of("hit")[:4]])
        steps = {new - old for old, new in got.values("w", "old", "new")}
        check(steps == ({1, 2, 3} if again else {1}), got.values("w", "old", "new"))


def test_watch_read():
    stub = gdbserver(build("counts"), "10")
    got = run("  w: {watch: {expr: g_pair.left, access: rw}}\n", stub)
    check(not got.hits(), "nobody reads it")


def test_signal_probe_usr1():
    stub = gdbserver(build("signals"), "6")
    got = run("  s: {signal: SIGUSR1, capture: {r: g_rounds}, stack: 6}\n", stub)
    told = exact(got, stub, s="USR1")
    check(told["USR1"] == 6 and got.values("s", "r") == list(range(6)), got.brief())
    check(all("send" in [f["function"] for f in hit["stack"]] for hit in got.hits("s")), got.hits("s")[:1])


def test_signal_probe_usr1_attached():
    busy = Busy(patient=True)
    process = start("  s: {signal: SIGUSR1}\n" + TICK, gdbserver(attach=busy.pid))
    for i in range(3):
        os.kill(busy.pid, signal.SIGUSR1)
        until(lambda: busy.word(Busy.USR1) == i + 1, 5, "the signal did not arrive")
    process.send_signal(signal.SIGINT)
    code, out, err = finish(process)
    seen = sum('"probe":"s"' in line and '"type":"signal"' in line for line in out.splitlines())
    check(seen == 3, f"{seen} of 3 signals were seen")
    busy.untouched()


def crash(how, probes, flags="-O0"):
    stub = gdbserver(build("crash", flags), how)
    return run(probes, stub), stub


def test_signal_probe_segv():
    got, _ = crash("segv", "  s: {signal: SIGSEGV, stack: 8, args: true}\n  e: {exit: true}\n")
    hit = got.hits("s")[0]
    check([f["function"] for f in hit["stack"]][:3] == ["inner", "outer", "main"], hit["stack"])
    check(hit["args"]["value"] == 5 and "$error" in hit["args"]["where"], hit["args"])
    check(hit["location"]["line"] == line_of("crash", "*where = value"), hit)
    check(hit["signal"] == "SIGSEGV" and got.of("exit")[0]["signal"] == 11, got.of("exit"))


def test_the_address_of_a_fault():
    got, _ = crash("segv", "  s: {signal: SIGSEGV}\n")
    check(got.hits("s")[0].get("fault") == "0x1230", f"fault: {got.hits('s')[0].get('fault')}")


def test_endings():
    for how, key, value, probe in (("exit", "status", 8, None), ("abort", "signal", 6, "SIGABRT"), ("kill", "signal", 9, None),
                                   ("fpe", "signal", 8, "SIGFPE")):
        signals = f"  s: {{signal: {probe}}}\n" if probe else ""
        got, _ = crash(how, "  e: {exit: true}\n" + signals)
        check(got.of("exit")[0].get(key) == value and got.of("exit")[0].get("probe") == "e", f"{how}: {got.of('exit')}")
        check(not probe or [hit["signal"] for hit in got.hits("s")] == [probe], f"{how}: {got.brief()}")


def test_the_stack_of_an_abort():
    """It begins in the C library, of a program that was launched before it was loaded."""
    got, _ = crash("abort", "  s: {signal: SIGABRT, stack: 12}\n")
    functions = [f.get("function") for f in got.hits("s")[0]["stack"]]
    check("abort" in functions and functions[-1] in ("_start", "main") or "main" in functions, functions)


def test_stack_registers_args_locals():
    stub = gdbserver(build("shapes"))
    got = run("  s: {at: show, stack: 8, registers: true, args: true, locals: true, capture: {pc: $rip, f: factor}}\n"
              "  l: {at: local_sum, locals: true}\n", gdbserver(build("counts"), "1"), code=2)
    check("show" in got.err, "a function of another program is unknown: " + got.err)
    got = run("  s: {at: show, stack: 8, registers: true, args: true, capture: {pc: $rip, f: factor, t: $rsp}}\n", stub)
    hit = got.hits("s")[1]
    functions = [f["function"] for f in hit["stack"]]
    check(functions[:4] == ["show", "middle", "outer", "main"], functions)
    lines = [f["line"] for f in hit["stack"]][1:4]
    check(lines == [line_of("shapes", t) for t in ("return show(", "return middle(", "sum += outer")], lines)
    pc = hit["registers"]["rip"]
    told = hit["values"]["pc"]
    check(pc == told["$ptr"] == hit["location"]["pc"], f"{pc} {told} {hit['location']['pc']}")
    check(hit["args"]["n"] == 3 and hit["args"]["shape"]["name"] == "first" and hit["values"]["f"] == 1.5, hit["args"])
    check(got.account()["s"]["hits"] == stub.told()["calls"], got.brief())


def test_locals():
    stub = gdbserver(build("counts"), "1")
    line = line_of("counts", "sum += i;")
    got = run(f"  l: {{at: 'counts.c:{line}', locals: true, args: true}}\n", stub)
    rows = [(hit["args"]["n"], hit["locals"]["sum"], hit["locals"]["i"]) for hit in got.hits()]
    check(rows == [(5, 0, 1), (5, 1, 2), (5, 3, 3), (5, 6, 4), (5, 10, 5)], rows)


def test_arguments_of_a_library_pending_until_loaded():
    for options in ({}, {"once": False}):
        stub = gdbserver(build("counts"), "1", **options)
        got = run("  m: {at: {function: malloc, module: libc.so.6}, when: arg0 >= 424200 && arg0 < 424300, capture: {size: arg0}, stack: 3}\n",
                  stub)
        check(got.values("m", "size") == [424200 + i for i in range(stub.told()["alloc"])], f"{got.values('m', 'size')} {got.brief()}")
        check(all("alloc" in [f["function"] for f in hit["stack"]] for hit in got.hits()), got.hits()[0]["stack"])


def test_arguments_of_a_library_attached():
    busy = Busy(nap=2000)
    got = run("  m: {at: {function: usleep, module: libc.so.6}, capture: {us: arg0}}\n", gdbserver(attach=busy.pid), limits=some(10))
    check(got.values("m", "us") == [2000] * 10, got.brief())
    busy.untouched()


def plugin():
    build("loads")
    path = os.path.join(WORK, "plugin.so")
    done = subprocess.run(["gcc", "-g", "-O0", "-shared", "-fPIC", "-Wl,--build-id", "-o", path, os.path.join(LIVE, "plugin.c")],
                          capture_output=True, text=True, timeout=60)
    check(done.returncode == 0, done.stderr)
    return path


LOADED = "  p: {at: {function: plugin_work, module: plugin.so}, capture: {n: n, seen: plugin_seen}}\n  b: {at: before, capture: [round]}\n"


def loaded(got, told, rounds):
    want = [round * 10 + i for round in range(rounds) for i in range(4)]
    check(got.values("p", "n") == want and told["calls"] == len(want), f"{got.values('p', 'n')} {told} {got.brief()}")
    check(got.values("b", "round") == list(range(rounds)), got.values("b", "round"))
    check(all(seen == sum(want[i - i % 4:i]) for i, seen in enumerate(got.values("p", "seen"))), got.values("p", "n", "seen"))


def test_libraries_come_and_go():
    """A breakpoint in a library that is loaded later, unloaded, and loaded again, elsewhere."""
    path = plugin()
    for starter in (gdbserver, lldb_server):
        stub = starter(build("loads"), path, "5")
        got = run(LOADED, stub)
        loaded(got, stub.told(), 5)


def test_libraries_come_and_go_attached():
    program = Process(build("loads"), plugin(), "7", "250000")
    time.sleep(0.2)
    got = run(LOADED, gdbserver(attach=program.pid))
    told, ns = program.told(), got.values("p", "n")
    check(told["calls"] == 28 and len(ns) >= 16 and ns == [r * 10 + i for r in range(7) for i in range(4)][-len(ns):], f"{told} {ns} {got.brief()}")


def test_a_library_that_never_comes():
    stub = gdbserver(build("counts"), "5")
    got = run("  m: {at: {function: inflate, module: libz.so.1}}\n  w: {at: work, capture: [n]}\n", stub, code=None)
    check(got.values("w", "n") == list(range(5)) or got.code == 2, got.brief())
    check(got.seconds < 10, "bounded")


def test_a_library_that_never_comes_attached():
    """Where the dynamic loader would say so, nothing stays behind."""
    busy = Busy(patient=True)
    got = run("  m: {at: {function: inflate, module: libz.so.1}}\n  o: {at: tick, max_hits: 3}\n", gdbserver(attach=busy.pid),
              limits="limits: {duration: 3s, pause_budget: 50%}\n", code=None)
    check(len(got.hits("o")) == 3, got.brief())
    busy.untouched()


def test_a_limit_of_pauses():
    busy = Busy(patient=True)
    got = run(TICK.replace("{at", "{max_hits: 1000000, at"), gdbserver(attach=busy.pid),  # else nobody is stopped
              limits="limits: {duration: 2s, pause_budget: 5%}\n")
    end = [e for e in got.of("end") if "probes" in e][0]
    share = end["paused_ns"] / end["duration_ns"]
    check(share < 0.1 and got.hits(), f"held {share:.1%} of the time, {len(got.hits())} hits")
    check(any(trip["limit"] == "pause_budget" for trip in got.of("trip")), got.of("trip"))
    busy.untouched()


# ---- 3. values are gdb's ----

def gdb_values(program, place, expressions):
    need("gdb")
    arguments = [part for e in expressions for part in ("-ex", f"echo @@{e}\\n", "-ex", "output " + e, "-ex", "echo \\n")]
    said = subprocess.run(["gdb", "-batch", "-nx", "-ex", f"break {place}", "-ex", "run", *arguments, program], capture_output=True,
                          text=True, timeout=60, env={**os.environ, "DEBUGINFOD_URLS": ""}).stdout
    return {name: value.strip() for name, value in re.findall(r"^@@(.*)\n([^@]*?)$(?=\n@@|\n*\Z|\n)", said, re.M)}


SCALARS = {
    "types": ("locals", "g_char g_schar g_uchar g_short g_ushort g_int g_uint g_long g_ulong g_llong g_ullong g_at_limit "
              "g_over_limit g_bool g_i8 g_u8 g_i16 g_u32 g_i64 g_u64 g_size g_diff g_count g_fixed g_volatile g_color g_below "
              "g_wide g_power g_bits.one g_bits.three g_bits.thirteen g_bits.forty g_bits.twenty_three g_bits.last "
              "g_straddling.across g_straddling.negative g_straddling.far g_straddling.tail g_point.x g_point_ptr->y g_grid[1][2] "
              "sizeof(g_bits) sizeof(struct|point) g_int+1 g_uint>>3 g_short*2 -g_i64/7 g_i64%1000 g_u8&0x48 ~g_i16 g_u8<<3 "
              "g_long<0 g_ulong>g_count g_bool&&g_false g_bool@@g_false !g_bool g_u8?3:4 (unsigned|char)g_int (short)g_u32 "
              "(long)g_double g_double*2 g_float g_double g_both^g_u8 seed*3 seed==3 *g_pointer_to_const"),
    "structs": ("walk", "list->value list->next->value list->next->next->value list->self->next->value g_first.next->self->value "
                "g_nodes[3]->value g_nodes[1]->next->value g_tree.children[0]->name[0] g_packed.c g_packed.i g_packed.s g_packed.d "
                "g_packed.text[7] g_aligned.far g_aligned.tail g_anonymous.deep.y g_variant.i g_variant.f g_pairs[2].a g_pairs[2].b "
                "g_pairs[4].a*10 g_cube[1][2][3] *g_cube[1][1] **g_cube[1] g_holder.const_node->value g_holder.list[1]->value "
                "g_holder.matrix[0][1][0] g_holder.flag sizeof(g_cube) sizeof(struct|outer) sizeof(g_pairs)/sizeof(g_pairs[0]) "
                "s_outer.id s_outer.in[1].pairs[2].b s_outer.in[1].up->tag s_outer.where->tag s_outer.unnamed_x s_outer.as_bits "
                "s_outer.shared.bytes[3] s_outer.shared.halves.high s_outer.shared.word (&g_pairs[1])->b *(&g_pairs[3].a) "
                "list==&g_first list->next!=0 ((struct|outer|*)&s_outer)->id &g_pairs[3]-&g_pairs[1]"),
}


def same_as_gdb(ours, theirs):
    """gdb shows a character with its letter, an enumeration or a truth by name; numbers as numbers."""
    number = re.match(r"-?\d[\d.e+-]*", theirs)
    if isinstance(ours, bool):
        return theirs in (("true", "1"), ("false", "0"))[not ours]
    if isinstance(ours, (int, float)):
        return bool(number) and (float(number.group()) == float(ours) or abs(float(number.group()) - ours) <= 1e-6 * abs(ours))
    if isinstance(ours, str):
        letter = re.match(r"-?\d+ '(.*)'$", theirs)
        return ours == theirs or (bool(number) and number.group() == ours) or (bool(letter) and letter.group(1) == ours)
    return False


def test_values_are_those_of_gdb():
    compared = 0
    for flags in ("-O0", "-O2"):
        for fixture, (place, table) in SCALARS.items():
            expressions = [e.replace("|", " ").replace("@@", "||") for e in table.split()]
            program = build(fixture, flags, source=[fixture + ".c", "stop.c"])
            theirs = gdb_values(program, place, expressions)
            check(len(theirs) > 0.95 * len(expressions), f"gdb told {len(theirs)} of {len(expressions)}")
            captures = "".join(f"      e{i}: '{e}'\n" for i, e in enumerate(expressions))
            got = run(f"  p:\n    at: {place}\n    max_hits: 1\n    capture:\n{captures}", gdbserver(program))
            values = got.hits("p")[0]["values"]
            wrong = []
            for i, e in enumerate(expressions):
                ours, his = values[f"e{i}"], theirs.get(e)
                if his is None or "optimized out" in his:
                    continue
                compared += 1
                if not same_as_gdb(ours, his):
                    wrong.append(f"{e}: {json.dumps(ours)}, gdb: {his}")
            check(not wrong, f"{fixture} {flags}: " + "; ".join(wrong[:8]))
    check(compared > 150, f"{compared} compared")


# ---- 4. the same recipe on every stub ----

SAME = """  s: {at: show, capture: {all: "*shape", n: n, f: factor, w: shape->weight, next: shape->next->name, c: g_calls, up: n * 2 - 1}, stack: 4}
  m: {call: middle, capture: {n: n}, at_return: {r: return, x: 'shape->corners[0].x'}}
  k: {call: small, capture: [n], at_return: {r: return}}
  e: {at: outer, when: n % 2 == 1, args: true}
"""


def story(got):
    return [(hit["probe"], json.dumps(hit["values"], sort_keys=True), json.dumps(hit.get("args")), hit["location"]["function"],
             hit["location"]["line"], tuple((f["function"], f["line"]) for f in hit.get("stack", [])[:4])) for hit in got.hits()]


BASE = []


def same_everywhere(stub, but=None):
    if not BASE:
        first = gdbserver(build("shapes"))
        BASE.extend(story(run(SAME, first)))
        check(len(BASE) == 5 + 5 + 5 + 2 and first.told()["calls"] == 5, f"the base: {len(BASE)}")
        check([f[0] for f in BASE[0][5]] == ["show", "middle", "outer", "main"], BASE[0])
    text = "".join(row + "\n" for row in SAME.splitlines() if not but or not row.strip().startswith(but))
    base = [row for row in BASE if not but or row[0] + ":" not in but]
    got = run(text, stub)
    ours = story(got)
    wrong = [f"{b} is {o}" for o, b in zip(ours, base) if o != b]
    check(not wrong and len(ours) == len(base), f"{len(ours)} of {len(base)}; {wrong[:2]}")
    check(stub.told()["calls"] == 5, "it did not run to its end")


def counted_everywhere(stub, call="call"):
    result = ", at_return: {r: return}" if call == "call" else ""
    got = run(f"  w: {{at: work, capture: [n, g_sum]}}\n  f: {{{call}: fib, capture: {{n: n}}{result}}}\n  b: {{at: bump, when: by == 2}}\n", stub)
    exact(got, stub, w="work", f="fib")
    check(got.values("w", "n") == list(range(50)) and len(got.hits("b")) == 25, got.brief())
    check(call == "at" or all(hit["values"]["r"] == fib(hit["values"]["n"]) for hit in got.hits("f")), "results")


def left_everywhere(stub):
    got = run("  w: {at: work, capture: [n]}\n", stub, limits=some(3))
    check(got.values("w", "n") == [0, 1, 2], got.brief())
    check(stub.told()["work"] == 50, "it did not run on")


def test_calls_on_thumb():
    stub = qemu("thumb", build("counts", machine="thumb"))
    exact(run("  f: {call: fib, capture: {n: n}, at_return: {r: return}}\n", stub), stub, f="fib")


def test_results_of_64_bits_on_arm():
    for machine in ("arm",):
        stub = qemu(machine, build("shapes", machine=machine))
        got = run("  m: {call: middle, capture: {n: n}, at_return: {r: return}}\n", stub)
        check(len(got.hits()) == 5 and got.values("m", "r")[0] == 1099512, got.values("m", "r"))


def each(starter):
    same_everywhere(starter(build("shapes")))
    counted_everywhere(starter(build("counts")))
    left_everywhere(starter(build("counts")))


def each_qemu(machine, but=None, call="call"):
    need(EMULATOR[machine])
    same_everywhere(qemu(machine, build("shapes", machine=machine)), but)
    counted_everywhere(qemu(machine, build("counts", machine=machine)), call)
    left_everywhere(qemu(machine, build("counts", machine=machine)))


def test_same_lldb_server():
    each(lldb_server)


def test_same_valgrind():
    each(valgrind)


def test_same_qemu_x86_64():
    each_qemu("x86_64")


def test_same_qemu_aarch64():
    each_qemu("aarch64")


def test_same_qemu_riscv64():
    each_qemu("riscv64")


def test_same_qemu_thumb():
    each_qemu("thumb", ("m:", "k:"), "at")


def test_same_qemu_arm():
    each_qemu("arm", ("m:",))


def test_same_optimised():
    """With -O2 other processors inline other things, so here each stub is compared with the program alone."""
    for machine in ("x86_64", "aarch64", "riscv64", "thumb"):
        stub = qemu(machine, build("shapes", "-O2", machine=machine))
        got = run("  s: {at: show, capture: [n, 'shape->corners[0].x', shape->name]}\n", stub)
        check(got.values("s", "n") == [0, 3, 6, 9, 12] and stub.told()["calls"] == 5, f"{machine}: {got.values('s', 'n')}")


def test_lldb_server_threads():
    stub = lldb_server(build("threads"), "6", "40")
    got = run("  o: {at: one, capture: [thread, n]}\n  t: {at: two, capture: [thread, n]}\n", stub)
    exact(got, stub, o="one", t="two")
    check(sorted(got.values("o", "thread", "n")) == [(t, n) for t in range(6) for n in range(40)], "pairs")


def test_lldb_server_watch_and_signals():
    stub = lldb_server(build("counts"), "10")
    got = run("  w: {watch: {expr: g_counter, access: write}}\n", stub)
    check([new - old for old, new in got.values("w", "old", "new")] == [1 + i % 2 for i in range(10)], got.brief())
    stub = lldb_server(build("crash"), "segv")
    got = run("  s: {signal: SIGSEGV, stack: 4}\n", stub)
    check(got.hits("s") and got.hits("s")[0]["stack"][1]["function"] == "outer", got.brief())
    check(got.of("exit")[0].get("signal") == 11, got.of("exit"))


def test_lldb_server_attached():
    need("lldb-server")
    busy, port = Busy(), free_port()
    stub = Stub("lldb-server", "gdbserver", "--attach", str(busy.pid), f"127.0.0.1:{port}")
    stub.uri = f"gdb://127.0.0.1:{port}"
    stub.binary = ("--binary", busy.program)
    got = run(TICK, stub, "--resume", limits=some(20))  # it does not say that it has attached
    ns = got.values("t", "n")
    check(ns == list(range(ns[0], ns[0] + 20)), ns)
    busy.untouched()


def test_qemu_watch():
    stub = qemu("x86_64", build("counts"), "10")
    got = run("  w: {watch: {expr: g_counter, access: write}}\n", stub, code=None)
    values = got.values("w", "old", "new")
    check([new - old for old, new in values] == [1 + i % 2 for i in range(10)] or got.code == 2, f"{values} {got.brief()}")


def filtered(n):
    return n % 40 - 10


def test_bare_metal():
    """No system, no processes, no file that it names: a Cortex-M, in Thumb. It is held at its reset, and found running later."""
    stub = metal()
    got = run("""  t: {at: take, capture: {n: sample->number, c: sample->celsius, name: sample->name, pc: $r15}, stack: 8}
  f: {call: measure, capture: [n], at_return: {r: return}}
  d: {at: 'metal.c:%d', when: depth == 3, capture: {s: '*sample'}}
""" % line_of("../metal/metal", "return depth ?"), stub, limits=some(60))
    rows = got.values("t", "n", "c", "name")
    check(rows == [(n, filtered(n), ("even", "odd")[n & 1]) for n in range(len(rows))] and len(rows) > 15, rows)
    check(all(hit["values"]["r"] == filtered(hit["values"]["n"]) + 3 for hit in got.hits("f")), got.values("f", "n", "r"))
    check([f["function"] for f in got.hits("t")[0]["stack"]] == ["take", "measure", "reset"], got.hits("t")[0]["stack"])
    check(got.values("d", "s")[1] == {"number": 1, "celsius": -9, "name": "odd"}, got.values("d", "s")[:2])
    check(got.of("armed")[0]["found"] == "at_launch", got.of("armed"))
    got = run("  clock: {timer: 100ms, capture: [g_ticks, g_last], max_hits: 4}\n", stub)
    ticks = got.values("clock", "g_ticks")
    check(len(ticks) == 4 and ticks == sorted(set(ticks)) and got.of("armed")[0]["found"] == "running", f"{ticks} {got.of('armed')}")
    check(all(last["celsius"] == filtered(last["number"]) for last in got.values("clock", "g_last")), got.values("clock", "g_last"))
    got = run("  w: {watch: {expr: g_ticks, access: write}, max_hits: 5}\n", stub)
    check([new - old for old, new in got.values("w", "old", "new")] == [1] * len(got.hits()) and got.hits(), str(got.values("w", "old", "new")) + got.brief())
    got = run("  never: {at: halt}\n", stub, limits=FREE.replace("25s", "400ms"))
    check("duration" in got.reason() and got.seconds < 5, got.brief())


# ---- 5. nothing is harmed ----

def many(busy_lines=("sink += tick(n)", "if (g_never)", "if (nap)", "ticks = n;", "return (int)(n & 7)")):
    """More places than there are slots: breakpoints in the program's text."""
    return "".join(f"  l{i}: {{at: 'busy.c:{line_of('busy', text)}', capture: [n]}}\n" for i, text in enumerate(busy_lines)) + TICK


def die(how, patient=True):
    """At several moments, with breakpoints in the processor and in the text, in a leader and in a member of a group."""
    for turn, (probes, leader, threads) in enumerate(((TICK, True, 1), (many(), False, 1), (many(), True, 3))):
        busy = Busy(leader=leader, threads=threads, patient=patient)
        process = start(probes, gdbserver(attach=busy.pid), hits=3 + turn * 40)
        time.sleep(random.random() / 50)
        how(process)
        code, out, err = finish(process)
        check(code in (0, -signal.SIGKILL), f"exit {code}: {err[-300:]}")
        busy.untouched()
        busy.end()


def test_death_by_interrupt():
    die(lambda process: process.send_signal(signal.SIGINT))


def test_death_by_terminate():
    die(lambda process: process.send_signal(signal.SIGTERM))


def test_death_by_kill():
    die(lambda process: process.kill())


def test_death_of_the_group():
    die(lambda process: os.killpg(process.pid, signal.SIGKILL))


def test_no_interrupt_of_ours_is_left():
    """A run that ends in the middle of hits interrupts the program, and a hit may be faster than that: the SIGINT must
    not be what the program gets when it is let go. Every other program here is patient, so that this is told here alone."""
    for turn in range(12):
        busy = Busy(leader=turn % 2 == 0, threads=1 + turn % 3, patient=True)
        process = start(many() if turn % 2 else TICK, gdbserver(attach=busy.pid), hits=3 + turn)
        time.sleep(random.random() / 50)
        process.send_signal(signal.SIGINT)
        finish(process)
        busy.untouched()
        check(busy.word(Busy.INTS) == 0, f"turn {turn}: the program got our SIGINT")
        busy.end()


def test_death_without_hits():
    for deadly in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        busy = Busy(leader=False, patient=True)
        process = start("  one: {at: tick, max_hits: 1}\n  never: {at: never_called}\n", gdbserver(attach=busy.pid))
        time.sleep(0.05)
        process.send_signal(deadly)
        finish(process)
        busy.untouched()


def test_death_of_the_worker():
    """Another one takes out what it has left, and lets the program go: where the stub serves a second client."""
    for turn, (probes, leader, threads) in enumerate(((TICK, True, 1), (many(), False, 1), (many(), True, 3),
                                                      ("  never: {at: never_called}\n  o: {at: tick, max_hits: 3}\n", False, 1))):
        busy = Busy(leader=leader, threads=threads)
        stub = multi() if turn % 2 else gdbserver(attach=busy.pid, once=False)
        stub.uri += f"?attach={busy.pid}" if turn % 2 else ""
        process = start(probes, stub, hits=3)
        time.sleep(random.random() / 50)
        [worker] = workers_of(process.pid)
        os.kill(worker, signal.SIGKILL)
        code, out, err = finish(process)
        check(code == 3 and "cleared" in err, f"exit {code}: {err[-300:]}")
        busy.untouched()
        busy.end()
        check(turn % 2 == 0 or stub.process.poll() is None, "the stub has ended")


def test_death_of_the_worker_on_a_serial_line():
    busy, line = Busy(), Line()
    process = start(many(), gdbserver_on_line(line, attach=busy.pid), hits=5)
    [worker] = workers_of(process.pid)
    os.kill(worker, signal.SIGKILL)
    code, out, err = finish(process)
    check(code == 3 and "cleared" in err, f"exit {code}: {err[-300:]}")
    busy.untouched()
    line.end()


def test_death_of_a_launching_run():
    stub = gdbserver(build("threads"), "2", "3000")
    process = start("  o: {at: one}\n", stub, hits=20)
    process.kill()
    finish(process)
    check(stub.told(20)["one"] == 6000, "it did not run to its end")


def test_the_reader_goes():
    busy = Busy(patient=True)
    process = start(TICK, gdbserver(attach=busy.pid), hits=5)
    process.stdout.close()
    check(process.wait(15) == 3, f"exit {process.returncode}")
    process.stderr.close()
    busy.untouched()


def test_the_stub_is_killed():
    """What becomes of the program then is the stub's and the kernel's."""
    stub = gdbserver(attach=Busy(patient=True).pid)
    process = start(TICK, stub, hits=5)
    stub.process.kill()
    code, out, err = finish(process)
    check(code == 3 and ("closed" in err or "reset" in err), f"exit {code}: {err[-300:]}")


def forks(how, n, probes="  w: {at: work, capture: [n]}\n", **more):
    stub = gdbserver(build("forks"), how, str(n), **more)
    got = run(probes, stub)
    told = stub.told()
    check(told["fine"] == n and told["wrong"] == 0, f"children died: {told} {got.brief()}")
    return got, told


# Five places: their breakpoints stand in the text, which children inherit.
DEEP = "  w: {at: work, capture: [n]}\n  a: {at: count}\n  b: {at: by_fork}\n  c: {at: by_system}\n  d: {at: by_spawn}\n  " \
       "r: {return_of: work}\n"


def test_children_by_fork():
    for probes in ("  w: {at: work, capture: [n]}\n", DEEP):
        got, told = forks("fork", 4, probes)
        check(len(got.hits("w")) == told["work"] == 16, f"{len(got.hits('w'))} hits, {told}")


def test_children_by_system():
    for probes in ("  w: {at: work, capture: [n]}\n", DEEP):
        got, told = forks("system", 3, probes)
        check(len(got.hits("w")) == told["work"] == 6, f"{len(got.hits('w'))} hits, {told}")


def test_children_by_spawn():
    got, told = forks("spawn", 3, DEEP)
    check(len(got.hits("w")) == told["work"] == 6, f"{len(got.hits('w'))} hits, {told}")


def test_children_while_threads_hit():
    got, told = forks("threads", 2, "  w: {at: work, rate: 50/s}\n  a: {at: count}\n  b: {at: by_fork}\n")
    check(len(got.hits("b")) == 2, got.brief())


def test_children_on_a_stub_that_stays():
    got, told = forks("fork", 3, DEEP, once=False)
    check(len(got.hits("w")) == told["work"], f"{len(got.hits('w'))} hits, {told}")


def test_exec():
    """Into a program that the recipe does not fit: the run ends, the program does not."""
    stub = gdbserver(build("forks"), "exec")
    got = run("  w: {at: work, capture: [n]}\n", stub, code=3)
    check(got.values("w", "n") == [0, 1, 2], got.brief())
    check("exec" in got.err and "does not fit" in got.err and got.seconds < 15, got.brief())


def test_exec_into_what_the_recipe_fits():
    """Places, values and the number of hits are those of the new program from there on."""
    for probes in ("  w: {at: work, capture: [n]}\n", "  w: {call: work, capture: [n], at_return: {r: return}}\n  a: {at: main}\n"):
        for options in ({}, {"once": False, "options": ["--multi"]}):
            stub = gdbserver(build("forks"), "into", build("counts"), "5", **options)
            got = run(probes, stub)
            told = stub.told()
            ns = got.values("w", "n")
            check(told["work"] == 5 and ns == [0, 1, 2, 0, 1, 2, 3, 4], f"{told} {ns} {got.brief()}")
            check(any("exec" in e["message"] for e in got.of("error")), got.of("error"))
            check(len(got.of("armed")) > 1, got.of("armed"))


def test_exec_into_itself_with_breakpoints_in_memory():
    program = build("forks")
    stub = gdbserver(program, "into", program, "fork")
    got = run(DEEP, stub)
    told = stub.told()
    check(told["fine"] == 5 and told["wrong"] == 0 and len(got.hits("w")) == 3 + told["work"], f"{told} {got.brief()}")


def test_exec_of_an_attached_program():
    marker = os.path.join(WORK, "executed")
    program = Process("/bin/sh", "-c", f"sleep 1.5; echo yes >{marker}; exec sleep 0.3")
    time.sleep(0.1)
    stub = gdbserver(attach=program.pid)
    got = run("  e: {exit: true}\n", stub, code=None, limits=FREE.replace("25s", "8s"))
    check(program.wait(10) == 0 and os.path.exists(marker), f"the program was harmed: {program.process.returncode} {got.brief()}")


def test_killed_in_the_middle():
    busy = Busy(threads=2)
    process = start(TICK, gdbserver(attach=busy.pid), hits=10)
    os.kill(busy.pid, signal.SIGKILL)
    code, out, err = finish(process)
    exits = [json.loads(line) for line in out.splitlines() if '"type":"exit"' in line]
    told = code == 0 and exits and exits[0].get("signal") == 9
    # gdbserver 13 dies with it now and then, and tells nothing
    check(told or (code == 3 and "its target has ended, too" in err), f"exit {code}, {exits} {err[-300:]}")


def test_exits_in_the_middle():
    busy = Busy()
    process = start(TICK, gdbserver(attach=busy.pid), hits=10)
    os.kill(busy.pid, signal.SIGTERM)  # which it handles
    code, out, err = finish(process)
    exits = [json.loads(line) for line in out.splitlines() if '"type":"exit"' in line]
    check(code == 0 and exits and exits[0].get("status") == 0, f"exit {code}, {exits} {err[-300:]}")


def all_signals(told, rounds):
    want = {name: rounds for name in ("USR1", "USR2", "URG", "HUP", "INT", "WINCH", "SEGV", "RTMIN")}
    wrong = {name: told[name] for name in want if told[name] != want[name]}
    check(not wrong and told["ALRM"] == 5 and told["CHLD"] == 3, f"{wrong} {told}")


def test_signals_pass():
    for probes in ("  w: {at: work, capture: [n]}\n",
                   "  w: {at: work}\n  a: {at: send}\n  b: {at: alarms}\n  c: {at: child}\n  d: {at: on_signal}\n"):
        stub = gdbserver(build("signals"), "8")
        got = run(probes, stub)
        all_signals(stub.told(), 8)
        check(got.of("exit")[0].get("status") == 0, got.of("exit"))


def test_signals_pass_on_lldb_server():
    stub = lldb_server(build("signals"), "5")
    got = run("  w: {at: work, capture: [n]}\n", stub)
    all_signals(stub.told(), 5)


def test_signals_pass_while_they_are_probed():
    stub = gdbserver(build("signals"), "6")
    got = run("  s: {signal: SIGSEGV}\n  w: {at: work}\n", stub)
    all_signals(stub.told(), 6)
    check(len(got.hits("s")) == 6, got.brief())


def test_signals_arrive_at_an_attached_program():
    """Signals that come while it stands at a breakpoint, again and again."""
    busy = Busy(patient=True)
    process = start(many(), gdbserver(attach=busy.pid))
    for i in range(30):
        os.kill(busy.pid, signal.SIGUSR1)
        until(lambda: busy.word(Busy.USR1) == i + 1, 5, f"signal {i} did not arrive")
    process.send_signal(signal.SIGINT)
    finish(process)
    check(busy.word(Busy.USR1) == 30, "one came twice")
    busy.untouched()


def test_many_short_runs():
    """Each ends in the middle of hits, by its limit: nothing of any is left."""
    busy = Busy(threads=3, leader=False, patient=True)
    for i in range(6):
        got = run(many(), gdbserver(attach=busy.pid), limits=some(5 + 7 * i))
        check(len(got.hits()) == 5 + 7 * i, got.brief())
        changed = changed_code(busy.pid)
        check(not changed, changed)
    busy.untouched()


# ---- found by the way ----

def test_a_function_of_a_header():
    """gcc writes no file number before the first code of a unit: the line table's first state says 1, the header."""
    got = run("  t: {at: tell}\n", gdbserver(build("threads"), "1", "1"))
    check(os.path.basename(got.hits()[0]["location"]["file"]) == "tell.h", got.hits()[0]["location"])


# ---- 6. what is no stub, and what fits no stub ----

def refused(got, *words, codes=(3,), seconds=5):
    check(got.code in codes, got.brief())
    check(got.seconds < seconds, f"{got.seconds:.1f} s")
    check(all(word in got.err for word in words), f"{words}: {got.err[-400:]}")
    check(len(got.err.strip()) > 30 and "worker" not in got.err, f"no reason: {got.err[-400:]}")


HURRY = ("--timeout", "800ms", "--connect-timeout", "800ms")
ONE = "  w: {at: work, capture: [n]}\n"


def fake(**more):
    return FakeStub(build("counts", "-O0", "-no-pie", "-fcf-protection=none"), **more)


def with_fake(stub, *more, probes=ONE, limits=FREE.replace("25s", "1200ms"), **how):
    try:
        return run(probes, stub, "--binary", build("counts", "-O0", "-no-pie", "-fcf-protection=none"), *HURRY, *more, code=None,
                   limits=limits, timeout=12, **how)
    finally:
        stub.end()


def test_the_fake_itself():
    """Without a fault it is a stub, and nothing is left in it."""
    for more in ({}, {"no_ack": False}):
        stub = fake(stops=4, **more)
        got = with_fake(stub)
        check(got.code == 0 and len(got.hits()) >= 2 and got.of("exit"), got.brief() + str(stub.requests[-6:]))
        stub = fake(stops=1000, **more)
        got = with_fake(stub, limits=some(3))
        check(len(got.hits()) == 3 and stub.detached and not stub.inserted, f"{stub.inserted} {stub.requests[-6:]} {got.brief()}")


def test_nobody_there():
    got = run(ONE, f"gdb://127.0.0.1:{free_port()}", *HURRY, code=None)
    refused(got, "target-1", "refused")
    got = run(ONE, f"gdb+unix:{WORK}/no-such-socket", *HURRY, code=None)
    refused(got, "target-1")
    got = run(ONE, "gdb+pipe:false", *HURRY, code=None)
    refused(got, "target-1")
    got = run(ONE, "gdb+pipe:no-such-command-anywhere", *HURRY, code=None)
    refused(got, "target-1")


def test_uris_that_are_none():
    for uri in ("gdb:", "gdb://", "gdb://127.0.0.1", "gdb://127.0.0.1:", "gdb://127.0.0.1:99999", "gdb+unix:", "gdb+pipe:", "gdb+ssh://x", "gdb:foo",
                "gdb://:1", "gdb://192.0.2.1:2345"):
        got = run(ONE, uri, *HURRY, code=None)
        refused(got, codes=(1,))
    check("--insecure" in got.err, got.err)


def say(data, then=None):
    def talk(connection):
        connection.settimeout(5)
        if data:
            connection.sendall(data)
        if then == "close":
            return
        while connection.recv(65536):
            if then == "again":
                connection.sendall(data)
    return talk


def test_no_stubs():
    raws = {"closes": say(b"", "close"), "HTTP": say(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "close"),
            "ssh": say(b"SSH-2.0-OpenSSH_9.2\r\n"), "silent": say(b""), "half": say(b"+$PacketSi"), "zeros": say(b"\0" * 100000),
            "noise": say(random.Random(1).randbytes(100000)), "noise again": say(random.Random(2).randbytes(5000), "again"),
            "wrong checksum": say(b"+$OK#00"), "wrong for ever": say(b"+$OK#00", "again"), "acks": say(b"+" * 100000),
            "naks": say(b"-" * 100000), "naks again": say(b"-", "again"), "notes": say(b"%Stop:T05#00" * 1000),
            "endless": say(b"$" + b"a" * (9 << 20)), "runs": say(b"$" + b"0*~" * (1 << 20) + b"#00"), "OK": say(b"+$OK#9a", "again"),
            "E01": say(b"+$E01#a6", "again"), "empty": say(b"+$#00", "again"), "delve": say(b'{"id":0,"error":"x"}\n', "again")}
    for name, raw in raws.items():
        stub = FakeStub(raw=raw)
        got = with_fake(stub)
        try:
            refused(got, "target-1", stub.uri.rsplit(":", 1)[1] if name not in ("E01", "empty", "OK") else "", seconds=6)
        except Failed as why:
            raise Failed(f"{name}: {why}")


REQUESTS = ("qSupported", "QStartNoAckMode", "vCont?", "?", "qAttached", "qXfer:auxv", "H", "m", "g", "Z0", "z0", "vCont;c", "vCont;s", "D")
FAULTS = ("close", "silence", "half", "garbage", "checksum", "empty", "E01", "E.text", "OK", "twice", "stray", "words", "short", "long", "xx",
          "minus", "T", "W", "percent", "late", "bytes", "notes")
HARMLESS = ("late", "bytes", "notes", "checksum")


def one_fault(request, what):
    stub = fake(fault=(request, what), stops=6, no_ack=what != "checksum" or request == "QStartNoAckMode")
    got = with_fake(stub)
    check(got.code in (0, 2, 3) and got.seconds < 8, f"{got.brief()} {got.seconds:.1f} s")
    check(got.code == 0 or len(got.err.strip()) > 30 and "target-1" in got.err, f"no reason: {got.brief()}")
    check("worker" not in got.err, got.brief())
    if what in HARMLESS:
        check(got.code == 0 and got.hits(), f"nothing was wrong: {got.brief()}")
    # What is silent at a resume runs, for all that a client can know; and where a damaged packet is asked for again, the
    # fake has only the one before.
    quiet = request == "D" or request.startswith(("vCont;", "z0")) and what in ("silence", "half")
    if what in ("close", "silence", "half", "garbage") and not quiet and (request, what) != ("QStartNoAckMode", "garbage"):
        check(got.code == 3, got.brief())


def fault_by_fault(requests):
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        jobs = {f"{what} at {request}": pool.submit(one_fault, request, what) for request in requests for what in FAULTS}
    wrong = [f"{name}: {job.exception()}" for name, job in jobs.items() if job.exception()]
    check(not wrong, f"{len(wrong)} of {len(jobs)}: " + "; ".join(why[:300] for why in wrong[:5]))


def test_faults_while_greeting():
    fault_by_fault(REQUESTS[:7])


def test_faults_while_armed():
    fault_by_fault(REQUESTS[7:])


def test_everything_refused():
    for what in ("empty", "E01", "E.text", "OK", "words"):
        stub = fake(fault=("", what), every=True)
        refused(with_fake(stub), "target-1")


def test_absurd_packet_sizes():
    for size in (b"0", b"1", b"2", b"8", b"9", b"10", b"11", b"13", b"20", b"ffffffffffff", b"ffffffffffffffff", b"10000000000000000", b"-1", b"zz", b"", None,
                 b"1048576", b"131072"):
        stub = fake(packet_size=size)
        got = with_fake(stub)
        check(got.code in (0, 3) and got.seconds < 8, f"{size}: {got.brief()}")
        check(got.code == 3 or got.hits() and isinstance(got.values("w", "n")[0], int), f"{size}: {got.brief()} {got.values('w', 'n')[:2]}")
        big = max(len(request) for request in stub.requests if request.startswith("m")) if got.code == 0 else 0
        check(big < 100, f"{size}: a request of {big}")


def test_an_object_without_end():
    class Endless(FakeStub):
        def reply(self, text):
            return b"m" + b"x" * 4000 if text.startswith("qXfer:auxv") else super().reply(text)
    stub = Endless(build("counts", "-O0", "-no-pie", "-fcf-protection=none"))
    refused(with_fake(stub, limits=FREE), "target-1", "16 MiB", seconds=10)


def test_a_duration_that_ends_before_the_target_is_reached():
    stub = FakeStub(raw=say(b""))
    got = run(ONE, stub.uri, code=None, limits=FREE.replace("25s", "500ms"))
    stub.end()
    refused(got, "target-1")


def test_another_build():
    program, other = build("counts"), build("counts", "-O1")
    for stub in (qemu("x86_64", program), gdbserver(program), lldb_server(program)):
        stub.binary = ("--binary", other)
        refused(run(ONE, stub, code=None), "target-1", "build-id")


def test_another_processor():
    other = build("counts", machine="aarch64")
    for starter in (gdbserver, lldb_server, lambda program: qemu("x86_64", program)):
        stub = starter(build("counts"))
        stub.binary = ("--binary", other)
        refused(run(ONE, stub, code=None), "target-1", codes=(2, 3))


def test_another_processor_the_other_way():
    """Every machine has registers that are called pc and sp."""
    for machine in "aarch64", "riscv64", "arm":
        stub = qemu(machine, build("counts", machine=machine))
        stub.binary = ("--binary", build("counts"))
        refused(run(ONE, stub, code=None), "target-1", "registers", "x86_64")


def test_another_program_than_the_attached_one():
    """It ran before its stub attached to it, and runs on."""
    for binary in build("counts"), os.path.join(WORK, "nothing"), __file__:
        busy = Busy(nap=300)
        stub = gdbserver(attach=busy.pid)
        stub.binary = ("--binary", binary)
        got = run(TICK, stub, code=None)
        refused(got, "target-1", "the target runs on")
        busy.untouched()
        busy.end()


def test_names_where_no_libraries_are_told_of():
    """A name that the program does not have is not waited for: no library will ever be there."""
    source = write("int work(int n) { return n + 1; }\nint main(void) { return work(-1); }\n", "dynamic.c")
    need("aarch64-linux-gnu-gcc", "qemu-aarch64")
    done = subprocess.run(["aarch64-linux-gnu-gcc", "-g", "-o", source[:-2], source], capture_output=True, text=True, timeout=60)
    check(done.returncode == 0, done.stderr)
    for name, code in ("wokr", 2), ("work", 0):
        stub = qemu("aarch64", source[:-2], options=("-L", "/usr/aarch64-linux-gnu"))
        got = run(f"  w: {{at: {name}}}\n", stub.uri, "--binary", source[:-2], code=code)
        check(code == 0 or 'no function "wokr" (did you mean "work"?)' in got.err, got.brief())
        check(code or len(got.hits("w")) == 1, got.brief())


def test_no_program():
    stub = qemu("x86_64", build("counts"))
    stub.binary = ()
    refused(run(ONE, stub, code=None), "--binary")
    for bad in (os.path.join(WORK, "nothing"), WORK, __file__, "/dev/null"):
        stub = qemu("x86_64", build("counts"))
        stub.binary = ("--binary", bad)
        refused(run(ONE, stub, code=None), "target-1", codes=(1, 2, 3))


def mistake(probes, *words):
    stub = gdbserver(build("counts"))
    got = run(probes, stub, code=2)
    refused(got, *words, codes=(2,))
    return got


def test_mistakes_at_their_lines():
    mistake("  w: {at: wrok}\n", "recipe.yaml:4:", 'did you mean "work"')
    mistake("  w: {at: work, capture: [m]}\n", "recipe.yaml:4:", '"m"')
    mistake("  w: {at: work}\n  p: {panic: true}\n", "recipe.yaml:5:", "panic")
    mistake("  w: {at: work}\n  s: {signal: SIGNOTHING}\n", "recipe.yaml:5:", "SIGNOTHING")
    mistake("  w: {at: work}\n  x: {watch: no_such_thing}\n", "recipe.yaml:5:", "no_such_thing")
    mistake("  w: {at: 'counts.c:1'}\n", "recipe.yaml:4:", "no code")


def test_goroutines_are_refused():
    mistake("  w: {at: work}\n  g: {at: work, goroutines: true}\n", "recipe.yaml:5:", "goroutines")


def test_mistakes_leave_an_attached_program_alone():
    busy = Busy()
    got = run("  w: {at: tikc}\n", gdbserver(attach=busy.pid), code=2)
    check('did you mean "tick"' in got.err, got.err)
    busy.untouched()


def test_too_many_watches():
    stub = gdbserver(build("counts"))
    got = run("".join(f"  w{i}: {{watch: {{expr: {e}, access: write}}}}\n" for i, e in
                      enumerate(("g_counter", "g_rounds", "g_sum", "g_pair.left", "g_pair.right"))), stub, code=None)
    check(got.code in (2, 3) and "recipe.yaml:" in got.err and "target-1" in got.err, got.brief())


def test_a_second_client():
    """A stub serves one: the other is told so in bounded time."""
    busy = Busy(patient=True)
    stub = gdbserver(attach=busy.pid)
    process = start(TICK, stub, hits=3)
    got = run(TICK, stub, *HURRY, code=3)
    refused(got, "target-1")
    process.send_signal(signal.SIGINT)
    check(finish(process)[0] == 0, "the first client was disturbed")
    busy.untouched()


if __name__ == "__main__":
    sys.exit(main([(name, test) for name, test in list(globals().items()) if name.startswith("test_")]))
