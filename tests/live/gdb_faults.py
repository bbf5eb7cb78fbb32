#!/usr/bin/env python3
"""Real stubs through a proxy that injects faults (tests/support/proxy.py). After each fault: pickglass has ended in
bounded time, with one error that says what and where and the exit code of its kind; no breakpoint is left, and the
program runs, or is held by its stub as it was found, and the next run works.

    gdb_faults.py              a choice of the faults, the same ones each time
    gdb_faults.py every        all of them, some minutes

Other arguments are parts of test names; `FAULT='cut at m'` runs one fault alone and shows what was said. PICKGLASS is
the program under test. The last line is `N passed, N failed, N skipped`."""
import concurrent.futures, os, random, signal, struct, subprocess, sys, threading, time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "support"))
import gdbtargets
from gdbtargets import *
from proxy import Fault, Proxy, REPLIES

EVERY = "every" in sys.argv[1:]
HURRY = ("--timeout", "1s", "--connect-timeout", "600ms")
BRIEF = FREE.replace("{duration: 25s", "{hits: 60, duration: 8s")


def many():
    """Five places: one more than the processor has slots, so that breakpoints stand in the text, too."""
    lines = ("sink += tick(n)", "if (g_never)", "if (nap)", "ticks = n;", "return (int)(n & 7)")
    return "".join(f"  l{i}: {{at: 'busy.c:{line_of('busy', text)}', capture: [n]}}\n" for i, text in enumerate(lines)) + \
        "  t: {at: tick, capture: {n: n, first: 'shared[0]', g: g_ticks}, stack: 4}\n"


PROBES = "  t: {at: tick, capture: [n], stack: 3, registers: true}\n"


def state(pid):
    return status_of(pid, "State")[0]


def at_rest(busy):
    """The program goes on untraced; or its stub holds it as it was found, to be let go by the next client."""
    def look():
        check(busy.process.poll() is None, f"the program is dead: {busy.process.returncode}")
        return status_of(busy.pid, "TracerPid") == "0" and state(busy.pid) in "RS"
    try:
        until(look, 3, "held")
        return True
    except Failed as why:
        check(str(why) == "held", why)
        return False


def ticks_on(busy):
    before = busy.ticks
    until(lambda: busy.ticks > before, 5, "the program does not go on")


def clean(busy):
    changed = changed_code(busy.pid)
    check(not changed, f"its code is not its file's: {changed[:3]}")


def sound(busy, stub, allow_held=True):
    if at_rest(busy):
        clean(busy)
        ticks_on(busy)
        return
    check(allow_held, f"the program is held: {status_of(busy.pid, 'State')}")
    if state(busy.pid) == "t":  # stopped by its stub, which serves the next one
        clean(busy)
        got = pickglass("run", recipe("  t: {at: tick, capture: [n]}\n", FREE.replace("{", "{hits: 2, ", 1)), stub.uri, "-q", "-o", "-",
                        "--resume", "--timeout", "5s", timeout=20)
        check(got.code == 0 and len(got.hits()) == 2, f"the next run: {got.brief()} {got.of('end')}")
        check(at_rest(busy), "the next run did not let it go")
    clean(busy)  # else it runs, with its stub beside it
    ticks_on(busy)


def one_error(got, codes):
    check(got.code in codes, got.brief())
    if got.code == 0:
        return
    lines = [line for line in got.err.splitlines() if line.startswith("pickglass: target-1:")]
    check(len(got.err.strip()) > 30 and "target-1" in got.err, f"no reason: {got.brief()}")
    check("worker" not in got.err, got.brief())
    ends = [e for e in got.of("end") if "target" in e]
    check(len(ends) == 1 and ends[0].get("error"), f"it is not told in `end`: {ends}")
    warnings = [e["message"] for e in got.of("error") if e["severity"] == "warning"]
    lines = [line for line in lines if not any(line.endswith(warning) for warning in warnings)]
    check(len(lines) == 1, f"{len(lines)} errors: {lines}")


def one_fault(request, what, nth=1, every=False, manner="whole", codes=(0, 3), probes=None, limits=BRIEF, attach=True):
    """One run against one fault. The result, and whether the fault had its chance."""
    busy = Busy(nap=300, light=True)  # which dies of a SIGINT
    stub = gdbserver(attach=busy.pid, once=False)
    proxy = Proxy(stub.port, [Fault(request, what, nth, every)], manner)
    proxy.kill = stub.process.kill
    try:
        got = run(probes or PROBES, proxy, *HURRY, code=None, limits=limits, timeout=25)
        check(got.seconds < 20, f"{got.seconds:.1f} s")
        one_error(got, codes)
        if os.environ.get("FAULT"):
            print(got.err, [p for p in proxy.requests()][-24:])
        if what in ("W", "X", "W process") and request.startswith("vCont"):
            check(busy.process.poll() is None, "dead")  # the stub is believed: it is not asked about its dead
        elif what != "kill" and (what != "lie" or request != "z"):  # nobody can see what was not taken out
            sound(busy, stub)
        return got, proxy.struck()
    finally:
        proxy.end()
        stub.end()
        busy.end()


# ---- the table ----

GREETING = ("qSupported", "QStartNoAckMode", "vCont?", "?", "qAttached", "qXfer:features", "qXfer:auxv", "qXfer:exec-file",
            "qXfer:libraries", "QPassSignals")
ARMED = ("Hg", "g", "m", "Z", "z", "vCont;c", "vCont;s", "D")
PLAIN = ("empty", "E01", "E.text", "OK", "cut", "oversized", "huge", "xx", "half xx", "words", "zeros", "doubled", "notice", "output",
         "acks", "noise", "late", "half", "silence", "silent from here", "checksum", "close", "close before", "close in the middle",
         "damage request")
HARMLESS = ("notice", "acks", "noise", "late", "output")  # anywhere, and in any number

TABLE = [(request, what) for request in GREETING + ARMED for what in PLAIN] + [
    *(("qSupported", f"size {n}") for n in ("0", "1", "huge", "words")), ("qSupported", "no size"), ("qSupported", "no features"),
    ("qXfer:features", "other registers"), ("qXfer:features", "not XML"), ("qXfer:libraries", "not XML"),
    *((request, what) for request in ("?", "vCont;c", "vCont;s") for what in ("W", "X", "W process", "N", "no such thread")),
    *((request, what) for request in GREETING + ARMED for what in ("W", "X") if request not in ("?",)),
    ("Z", "lie"), ("Z0", "lie"), ("Z1", "lie"), ("z", "lie"), ("QPassSignals", "lie"), ("Hg", "lie"),
]
CHOICE = 12  # without `every`, each so many-th is tried


def attempt(request, what):
    nth = 1 if request in GREETING or request == "D" else 3
    probes = many() if hash_of(request, what) % 2 and request != "Z1" or request in ("Z0", "vCont;s") else PROBES
    if request in ("Z", "D") or request.startswith("Z"):
        nth = 1
    got, struck = one_fault(request, what, nth, probes=probes)
    if what in HARMLESS and request not in ("vCont;c", "vCont;s"):
        check(got.code == 0 and got.hits(), f"nothing was wrong: {got.brief()}")


def hash_of(*words):
    return sum(i * ord(c) for i, c in enumerate("".join(words), 1))


def test_faults():
    rows = TABLE if EVERY or os.environ.get("FAULT") else random.Random(4).sample(TABLE, len(TABLE) // CHOICE)
    together({f"{what} at {request}": (attempt, request, what) for request, what in rows})


# ---- how bytes go ----

def test_manners():
    """A byte a write, and replies that come together: nothing is wrong with that."""
    for manner in ("bytes", "merged"):
        got, _ = one_fault("no such request", "empty", manner=manner, probes=many())
        check(got.code == 0 and len(got.hits()) == 60, f"{manner}: {got.brief()}")
        stub = qemu("x86_64", build("counts"), "20")
        stub.port = int(stub.uri.rsplit(":", 1)[1])
        proxy = Proxy(stub.port, [], manner)
        proxy.binary = stub.binary
        until_listens(stub.port)
        got = run("  w: {at: work, capture: [n]}\n", proxy)
        check(got.values("w", "n") == list(range(20)) and stub.told()["work"] == 20, f"{manner}: {got.brief()}")
        proxy.end()


def until_listens(port):
    """Without a connection, which would be the stub's one client."""
    row = f":{port:04X} "
    def look():
        with open("/proc/net/tcp") as sockets:
            return any(row in line.split("  ")[0] + line and line.split()[3] == "0A" for line in sockets)
    until(look, 10, "the stub does not listen")


def acked_fault(request, what, nth):
    """qemu-user acknowledges each packet, and serves one client: when that goes, the program runs on."""
    stub = qemu("x86_64", build("counts"), "40")
    port = int(stub.uri.rsplit(":", 1)[1])
    until_listens(port)
    proxy = Proxy(port, [Fault(request, what, nth)])
    proxy.binary = stub.binary
    try:
        got = run("  w: {at: work, capture: [n, g_sum]}\n  s: {at: second}\n", proxy, *HURRY, code=None, timeout=25)
        check(got.seconds < 20, f"{got.brief()} {got.seconds:.1f} s")
        one_error(got, (0, 3) if request != "Z" else (0, 2, 3))
        if os.environ.get("FAULT"):
            print(got.brief(), stub.said(), alive(stub.pid), proxy.log[-25:])
        if what in ("checksum", "damage request", "no ack", "notice", "acks", "noise", "late"):
            check(got.code == 0 and len(got.hits("w")) == 40, f"it is to be mended: {got.brief()}")
        # The end of the link kills qemu while it answers (SIGPIPE), and its program where breakpoints stand.
        if got.code == 0 or (request in ("m", "Z", "z", "g") and what != "close"):
            check(stub.told(5)["work"] == 40, "it did not run on")
    finally:
        proxy.end()
        stub.end()


def test_faults_with_acknowledgements():
    rows = [(request, what, nth) for request, nth in (("qSupported", 1), ("?", 1), ("qXfer:features", 1), ("m", 3), ("Z", 2), ("z", 4),
                                                      ("vCont;c", 4), ("vCont;s", 3), ("g", 3))
            for what in ("checksum", "damage request", "no ack", "notice", "acks", "noise", "late", "E01", "doubled", "cut", "close", "silence")]
    for row in (("vCont;c", "silence", 4), ("vCont;s", "silence", 3)):
        rows.remove(row)  # it cannot be interrupted: that is a program that runs
    rows = rows if EVERY else random.Random(5).sample(rows, 16)
    together({f"{what} at {request}": (acked_fault, request, what, nth) for request, what, nth in rows})


def other_stub(name):
    """What one of the others serves the same program with; each serves one client."""
    program = build("counts", machine="aarch64") if name == "aarch64" else build("counts")
    stub = {"lldb-server": lldb_server, "vgdb": valgrind, "aarch64": lambda *words: qemu("aarch64", *words)}[name](program, "40")
    stub.port = int(stub.uri.rsplit(":", 1)[1])
    until_listens(stub.port)
    return stub


def other_fault(name, request, what, nth):
    stub = other_stub(name)
    proxy = Proxy(stub.port, [Fault(request, what, nth)])
    proxy.binary = stub.binary
    try:
        got = run("  w: {at: work, capture: [n, g_sum]}\n  s: {at: second}\n", proxy, *HURRY, code=None, timeout=40)
        check(got.seconds < 30, f"{got.brief()} {got.seconds:.1f} s")
        one_error(got, (0, 3) if request != "Z" else (0, 2, 3))
        if os.environ.get("FAULT"):
            print(got.brief(), stub.said(), alive(stub.pid), proxy.log[-25:])
        if what in HARMLESS:
            check(got.code == 0 and len(got.hits("w")) == 40, f"nothing was wrong: {got.brief()}")
        # Where the connection has not ended, what stands in the code was taken out, and the program runs on. A stub that
        # says that its program is dead is believed.
        told_dead = what in "WX" and request in ("c", "vCont;c", "vCont;s", "?")
        if got.code == 0 and not told_dead or (request in ("m", "Z", "g", "qXfer:features") and what in ("E01", "cut", "words", "W")):
            check(stub.told(15)["work"] == 40, "it did not run on")
    finally:
        proxy.end()
        stub.end()


def test_faults_of_other_stubs():
    whats = ("E01", "cut", "words", "xx", "W", "X", "doubled", "notice", "acks", "noise", "late", "close", "silence")
    rows = [(name, request, what, nth) for name in ("lldb-server", "vgdb", "aarch64")
            for request, nth in (("qSupported", 1), ("?", 1), ("qXfer:features", 1), ("m", 3), ("Z", 2), ("z", 2), ("g", 2), ("c", 3),
                                 ("vCont;c", 3), ("vCont;s", 2)) for what in whats
            if not (name == "aarch64" and what in ("silence", "close") and request[0] in "vczg")]  # no interrupt; dies with its link
    rows = rows if EVERY else random.Random(7).sample(rows, 18)
    together({f"{name}: {what} at {request}": (other_fault, name, request, what, nth) for name, request, what, nth in rows})


def together(jobs):
    """Each job's function with its arguments, several at a time; fails with all that failed. What lacks its stub is left out."""
    one = os.environ.get("FAULT")
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        running = {name: pool.submit(*job) for name, job in jobs.items() if not one or name == one}
    ended = {name: job.exception() for name, job in running.items()}
    lacking = [why for why in ended.values() if isinstance(why, Skipped)]
    if lacking and len(lacking) == len(ended):
        raise lacking[0]
    wrong = [f"{name}: {why}" for name, why in ended.items() if why and why not in lacking]
    check(not wrong, f"{len(wrong)} of {len(running)}:\n  " + "\n  ".join(why[:int(os.environ.get("LONG", 300))] for why in wrong[:40]))


# ---- the link ends ----

def link_ends(after):
    """It ends when so many bytes have come from the stub, wherever that is."""
    busy = Busy(nap=300, light=True)
    stub = gdbserver(attach=busy.pid, once=False)
    proxy = Proxy(stub.port, cut_after=after)
    try:
        got = run(many(), proxy, *HURRY, code=None, limits=BRIEF, timeout=25)
        one_error(got, (0, 3))
        check(got.seconds < 20, f"{got.seconds:.1f} s")
        sound(busy, stub)
    finally:
        proxy.end()
        stub.end()
        busy.end()


def test_the_link_ends_after_n_bytes():
    bounds = [0, 1, 2, 3, 20, 921, 922, 950, 990, 1100, 8000, 14700, 15100, 15500, 16000, 20200, 20800, 21500, 22000, 22500, 23000, 23500, 24000, 25000,
              27000, 30000, 33000]
    choice = random.Random(6)
    rows = [n + choice.randrange(40) for n in bounds] if EVERY else choice.sample(bounds, 9)
    together({f"after {n} bytes": (link_ends, n) for n in rows})


def test_a_stub_that_stands_still():
    """SIGSTOP: no answer, for ever. When it goes on, it reads what we have said last: it lets the program go."""
    for probes in (PROBES, many()):
        busy = Busy(nap=300, light=True)
        stub = gdbserver(attach=busy.pid, once=False)
        process = start(probes, stub, *HURRY, hits=10, limits=FREE.replace("25s", "2s"))
        os.kill(stub.pid, signal.SIGSTOP)
        code, out, err = finish(process)
        os.kill(stub.pid, signal.SIGCONT)
        check(code == 3 and "no answer" in err, f"exit {code}: {err[-300:]}")
        sound(busy, stub)


def test_a_stub_that_is_killed():
    """The kernel lets the program go; what stands in its text stays, and is told."""
    busy = Busy(nap=300, light=True)
    stub = gdbserver(attach=busy.pid, once=False)
    process = start(PROBES, stub, *HURRY, hits=10)
    stub.process.kill()
    code, out, err = finish(process)
    check(code == 3 and "could not be taken out" in err, f"exit {code}: {err[-300:]}")


def leaves_stopped(goodbye, *faults):
    """As gdbserver does now and then by one of its own signals."""
    def stop(reply):
        os.kill(busy.pid, signal.SIGSTOP)
        return reply
    busy = Busy(nap=300, light=True)
    stub = gdbserver(attach=busy.pid, once=False)
    proxy = Proxy(stub.port, [Fault(goodbye, stop), *faults])
    got = run("  n: {syscall: clock_nanosleep, max_hits: 20}\n", proxy, *HURRY, code=3 if faults else 0)
    check(proxy.struck(), f"not all of it happened: {got.brief()}")
    sound(busy, stub)


def test_a_target_that_is_left_stopped():
    leaves_stopped("D")
    leaves_stopped("D", Fault("vCont", "words", 10))


# ---- we end ----

def killed_at(n, whom, attach=True):
    busy = Busy(nap=300, light=True)
    stub = gdbserver(attach=busy.pid, once=False)
    process, begun = None, threading.Event()

    def on_packet(number, payload):
        if number == n and begun.wait(5):
            pids = [process.pid] if whom == "main" else workers_of(process.pid)
            for pid in pids:
                os.kill(pid, signal.SIGKILL)

    proxy = Proxy(stub.port, on_packet=on_packet)
    try:
        process = subprocess.Popen([PICKGLASS, "run", recipe(many(), BRIEF.replace("60", "12")), proxy.uri, "-q", "-o", "-", *HURRY],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL, start_new_session=True)
        begun.set()
        code, out, err = finish(process, 25)
        check(code in ((-9, 0) if whom == "main" else (0, 3)), f"exit {code}: {err[-300:]}")
        sound(busy, stub)
        return proxy.sent
    finally:
        proxy.end()
        stub.end()
        busy.end()


def test_killed_at_every_step():
    """At every packet of a short run, and every so many-th without `every`: pickglass, or its worker."""
    steps = killed_at(10 ** 9, "main")
    check(steps > 50, f"{steps} packets")
    for whom in ("main", "worker"):
        numbers = range(1, steps + 1) if EVERY else random.Random(whom).sample(range(1, steps + 1), 10)
        together({f"{whom} at packet {n}": (killed_at, n, whom) for n in numbers})


def kill_both(stub, probes):
    """pickglass and its worker at the same moment, in the middle of hits."""
    process = start(probes, stub, hits=3)
    for pid in [*workers_of(process.pid), process.pid]:
        os.kill(pid, signal.SIGKILL)
    process.communicate()


def test_both_are_killed_beside_valgrind():
    """Its program goes on, or stands at the breakpoint that has stayed in valgrind: that depends on where it was. The next
    client finds it so, and afterwards it goes on."""
    shared, tick = os.path.join(gdbtargets.WORK, "ticks"), "  t: {at: tick, capture: [n], max_hits: 5}\n"
    stub = valgrind(build("busy"), shared, "1", "300")
    kill_both(stub, "  t: {at: tick}\n")
    stub.wait()  # two gateways at once would read each other's answers
    check(alive(stub.program.pid), "the program is dead")
    again = vgdb(stub.program)
    again.binary = stub.binary
    got = run(tick, again, "--resume", limits=FREE.replace("{", "{hits: 5, ", 1))
    check(len(got.hits()) == 5, got.brief())

    def ticks():
        with open(shared, "rb") as file:
            return struct.unpack_from("<Q", file.read(), 8 * Busy.TICKS)[0]
    before = ticks()
    until(lambda: ticks() > before + 100, 10, "the program does not go on")


def test_both_are_killed_beside_a_board():
    """It stops at the breakpoint that stands, for the next client, who finds it so and may let it go."""
    stub = metal()
    kill_both(stub, "  t: {at: take}\n")
    got = run("  t: {at: take, capture: {n: sample->number}, max_hits: 5}\n", stub, "--resume", limits=FREE.replace("{", "{hits: 5, ", 1))
    numbers = got.values("t", "n")
    check(len(numbers) == 5 and numbers == list(range(numbers[0], numbers[0] + 5)), got.brief())


if __name__ == "__main__":
    sys.argv = [word for word in sys.argv if word != "every"]
    sys.exit(main([(name, test) for name, test in list(globals().items()) if name.startswith("test_")]))
