"""What the tests of the native back end need: programs launched and attached, and proofs that a program was left as
it was found: traced by nobody, thread by thread, at full speed, its code that of its files, its debug registers clear."""
import ctypes, os, shlex, signal
from gdbtargets import *

SOAK = float(os.environ.get("SOAK", "0"))
ROOMY = "limits: {duration: 25s, pause_budget: 100%, max_pause: 5s}\n"


class Launched:
    """A program that pickglass launches; what it knows of itself is in a file."""
    binary = ()

    def __init__(self, *command):
        self.path = tempfile.mktemp(dir=WORK, suffix=".told")
        self.uri = "native+exec:" + shlex.join(command)
        os.environ["TOLD"] = self.path

    def told(self):
        def look():
            try:
                with open(self.path) as told:
                    return json.loads(told.read())
            except (OSError, ValueError):
                return None
        return until(look, 10, "the program told nothing")


class Attached:
    binary = ()

    def __init__(self, pid):
        self.uri = f"native:{pid}"


def rounds(few):
    """0, 1, 2, ...: a few, or as many as SOAK seconds hold."""
    begin, n = time.monotonic(), 0
    while n < few or time.monotonic() - begin < SOAK:
        yield n
        n += 1


def up_to(limit):
    return f"limits: {{duration: 25s, hits: {limit}, pause_budget: 100%, max_pause: 5s}}\n"


# ---- the kernel's own view ----

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.restype = ctypes.c_long
LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
SEIZE, INTERRUPT, PEEKUSER, DETACH = 0x4206, 0x4207, 3, 17
DEBUG_CONTROL = 848 + 7 * 8  # offsetof(struct user, u_debugreg[7])


def debug_control(tid):
    """Debug register 7 of a thread that nobody traces; None: it has ended."""
    if LIBC.ptrace(SEIZE, tid, None, None):
        return None
    LIBC.ptrace(INTERRUPT, tid, None, None)
    _, status = os.waitpid(tid, 0x40000000)
    if not os.WIFSTOPPED(status):
        return None
    ctypes.set_errno(0)
    value = LIBC.ptrace(PEEKUSER, tid, ctypes.c_void_p(DEBUG_CONTROL), None)
    LIBC.ptrace(DETACH, tid, None, None)
    return value


def tasks_of(pid):
    return [int(name) for name in os.listdir(f"/proc/{pid}/task")]


def task_status(pid, tid):
    """Tracer and state of one thread."""
    try:
        with open(f"/proc/{pid}/task/{tid}/status") as status:
            pairs = dict(row.split(":", 1) for row in status if ":" in row)
        return pairs["TracerPid"].strip(), pairs["State"].strip()
    except (OSError, KeyError):
        return "0", "X (gone)"


def held(pid):
    """Threads that somebody traces, or that stand."""
    found = {tid: task_status(pid, tid) for tid in tasks_of(pid)}
    return {tid: how for tid, how in found.items() if how[0] != "0" or how[1][0] in "tT"}


def free(pid, seconds=8):
    """No thread is traced or stands, the code is its files', no debug register is set."""
    def look():
        check(alive(pid), "the program is dead")
        return not held(pid)
    until(look, seconds, lambda: f"threads are held: {held(pid)}")
    changed = changed_code(pid)
    check(not changed, f"its code is not its file's: {changed[:3]}")


def no_watch_left(pid):
    left = {tid: hex(value) for tid in tasks_of(pid) if (value := debug_control(tid)) and value & 0xff}
    check(not left, f"debug registers are set: {left}")


class Counter(Busy):
    """A busy program whose pace is compared with what it was: `unharmed` is the whole promise."""

    def __init__(self, threads=1, nap=0):
        super().__init__(threads=threads, nap=nap, patient=True)

    def unharmed(self, share=0.4):
        """One hit costs ten ticks or more, so who is still probed is far below; threads on one counter are twice as
        fast on one core as on two."""
        code = self.process.poll()
        check(code is None, f"the program is dead: {code}")
        free(self.pid)
        pace = 0
        for _ in range(5):
            pace = max(pace, self.speed())
            if pace > share * self.pace:
                break
        check(pace > share * self.pace, f"it ticks at {pace:.0f} a second, before at {self.pace:.0f}")
        check(self.word(self.INTS) == 0 and self.word(self.USR1) == 0, "it got signals that nobody sent")


def plug():
    """A library: int plug(int n) is n + 100."""
    source = write("int plug(int n) { return n + 100; }\n", "plug.c")
    library = source[:-2] + ".so"
    subprocess.run(["gcc", "-g", "-O0", "-shared", "-fPIC", "-o", library, source], check=True, timeout=60)
    return library


def exact(got, told, **pairs):
    """Each probe was hit as often as the program says that it was called: reached, passed and emitted."""
    account = got.account()
    for probe, key in pairs.items():
        row, calls = account[probe], told[key]
        check(row["reached"] == row["hits"] == row["emitted"] == calls == len(got.hits(probe)),
              f"{probe}: {row['reached']} reached, {row['hits']} hits, {len(got.hits(probe))} events, {calls} calls")
        check(row["lost"] == 0 and row["unpaired"] == 0 and row["throttled"] == 0, f"{probe}: {row}")
        check(len({hit["hit"] for hit in got.hits(probe)}) == calls, f"{probe}: a hit was told twice")
    return told


def can_trace():
    return run("  e: {exit: true}\n", Launched("/bin/true"), code=None).code == 0


def native_main(module, defects):
    """All tests of a file; those with a defect that is known run only when they are named. A container may forbid it all."""
    def no_ptrace():
        raise Skipped("tracing is not allowed here")
    tests = [(name, test) for name, test in list(module.items()) if name.startswith("test_")]
    sys.exit(main(tests if can_trace() else [("test_native", no_ptrace)], defects))
