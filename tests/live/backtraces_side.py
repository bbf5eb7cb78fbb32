"""Runs inside gdb: stops a program again and again, wherever it happens to be, and compares every thread's stack with
the engine's.

BACKTRACES names a JSON file with the job: name, binary, arguments, functions, peek, stops, seed, most, out."""
import json, os, random, re, subprocess, sys, time, traceback
import gdb

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import known
from expected import squeeze, without_parameters
from peek import Peek
from stacks import gdb_stack, number, register_values, same_file, same_function

JOB = json.load(open(os.environ["BACKTRACES"]))
known.BUILD = JOB["name"]
FRAMES = 64
THREADS = 8
PLACES = 6
LONGEST_STEP = 40
SHOWN = 40
MOMENT = 0.03   # seconds that the program runs on, at most
PATIENCE = 3    # seconds for steps, and for a place to be reached
random.seed(JOB["seed"])

# Sends SIGINT after the seconds that it reads, if it has read nothing newer by then.
TICKER = """import os, select, signal, sys
wait, pid = None, 0
while True:
    if not select.select([0], [], [], wait)[0]:
        os.kill(pid, signal.SIGINT)
        wait = None
        continue
    line = os.read(0, 200).decode().split()
    if not line:
        break
    pid, wait = int(line[-2]), float(line[-1])
    wait = wait if wait else None
"""


class Ticker:
    def __init__(self):
        self.child = subprocess.Popen(["python3", "-c", TICKER], stdin=subprocess.PIPE)

    def after(self, seconds):
        self.child.stdin.write(f"{gdb.selected_inferior().pid} {seconds}\n".encode())
        self.child.stdin.flush()

    def close(self):
        self.child.stdin.close()
        self.child.wait()


class Engine:
    """The engine, which is asked afresh when the process has loaded code since."""

    def __init__(self):
        self.peek, self.modules, self.crashes = None, None, []

    def at_stop(self):
        pid = gdb.selected_inferior().pid
        with open(f"/proc/{pid}/maps") as maps:
            modules = sorted({line.split(maxsplit=5)[5] for line in maps if ".so" in line})
        if modules != self.modules:
            self.close()
            self.peek, self.modules = Peek(JOB["peek"], JOB["binary"], pid), modules

    def stack(self, newest):
        self.peek.set_registers(register_values(newest))
        return self.peek.ask({"do": "stack", "max": FRAMES, "past_main": True})

    def close(self):
        if self.peek:
            self.crashes += self.peek.crashes
            self.peek.close()


class Comparison:
    def __init__(self):
        self.stacks = self.whole = self.frames = self.agreed = self.reworded = self.stops = 0
        self.known, self.disagreements, self.disagreed, self.functions = {}, [], 0, set()

    def add(self, theirs, answer):
        ours = answer.get("stack", [])
        self.stacks += 1
        for at, frame in enumerate(theirs):
            mine = ours[at] if at < len(ours) else None
            why = difference(frame, mine, theirs[at - 1] if at else None)
            parts = parting(theirs, at) if why == STOP else None
            why = parts or why
            if why == STOP or parts or (why and mine is None):
                break
            self.frames += 1
            self.agreed += not why
            self.reworded += bool(why)
            if why:
                self.known[why] = self.known.get(why, 0) + 1
        else:
            at += 1
            why = parting(theirs, at)
        self.functions.update(frame["function"] for frame in theirs[:at] if frame["function"])
        if why and why != STOP:
            self.known[why] = self.known.get(why, 0) + 1
        elif at < len(theirs) or len(ours) > at and at < FRAMES:
            return self.disagree(theirs, ours, at, answer)
        self.whole += 1
        return None

    def disagree(self, theirs, ours, at, answer):
        self.frames += len(theirs) - at
        self.disagreed += 1
        what = f"frame {at} behind {shown(theirs[at - 1]) if at else 'nothing'}"
        said, came = shown(theirs[at]) if at < len(theirs) else "the end", shown(ours[at]) if at < len(ours) else "the end"
        if at == len(ours):
            came += f" ({answer.get('why') or answer.get('error')})"
        if len(self.disagreements) < SHOWN:
            self.disagreements.append([f"{what}, of {' < '.join(str(frame['function']) for frame in theirs[:12])}", said, came])

    def write(self, crashes, notes):
        found = {**vars(self), "functions": len(self.functions), "crashes": crashes, "notes": notes}
        with open(JOB["out"], "w") as out:
            json.dump(found, out)


def shown(frame):
    pc = number(frame["pc"])
    module = gdb.current_progspace().solib_name(pc)
    return f"{frame['function']} {frame['file']}:{frame['line']} {pc:#x} {os.path.basename(module or '')}".strip()


# ---- what may differ, and why ----

STOP = "the stacks part here"


def no_code(theirs):
    return not theirs["function"] and not gdb.current_progspace().block_for_pc(theirs["pc"])


def plain(name):
    """Without templates' arguments, and with the library's names as they are written in programs."""
    before = None
    name = squeeze(name).replace("__cxx11::", "").replace("operator<", "operator lt").replace("operator->", "operator arrow")
    while name != before:
        before, name = name, re.sub(r"<[^<>]*>", "", name)
    return re.sub(r"\bstd::basic_(?=[io]?stream\b|string\b)", "std::", name)


INHERITED = re.compile(r"((?:\w+::)*)(\w+)::\w+ \1\2::\2")
# Go's signal handler makes a goroutine call these where it is.
INJECTED = ("runtime.asyncPreempt", "runtime.sigpanic", "runtime.debugCallV2")
# The runtime calls on its threads' own stacks; who asked for it is on a goroutine's (golang.py asks Delve there).
LEAVES_GOROUTINE = ("runtime.systemstack", "runtime.mcall", "runtime.morestack", "runtime.asmcgocall")
STAYS = "gdb does not go from the thread's own stack to the goroutine's"
BEFORE_IT = "what Go has injected returns to where the signal came: gdb looks before that, as behind a call"


def parting(theirs, at):
    """Why gdb goes another way than we do behind these frames."""
    if at > 1 and theirs[at - 2]["function"] in INJECTED:
        return BEFORE_IT
    if at and theirs[at - 1]["function"] in LEAVES_GOROUTINE:
        return STAYS
    if at == 1 and theirs[0]["function"] == "runtime.sigreturn__sigaction":
        return "gdb takes Go's way back from a signal handler for a function, where nothing was called from it"
    return None


ENDS = [
    (lambda theirs, before: no_code(theirs), "behind the outermost frame gdb takes for code what lies on the stack"),
    (lambda theirs, before: before.get("function") == "runtime.clone", "behind a change of stacks gdb takes for callers what lies on the other one"),
    (lambda theirs, before: before and no_code({"function": before.get("function"), "pc": number(before.get("pc"))}),
     "behind an address without code gdb guesses a caller"),
    (lambda theirs, before: before.get("function") == "clone3", "clone3 has no unwind information where the thread is made: gdb guesses"),
]
NAMES = [
    (lambda theirs, ours: theirs == "__GI_" + ours, "the C library's own aliases: gdb shows the linker's name of a function in C"),
    (lambda theirs, ours: re.fullmatch(re.escape(theirs) + r"\.\d+", ours), "gdb takes a symbol's last number for Ada's"),
    (lambda theirs, ours: theirs.endswith("@plt") and not ours, "gdb makes up names for the stubs of a procedure linkage table"),
    (lambda theirs, ours: plain(theirs) == plain(ours), "templates' arguments as the compiler wrote them"),
    (lambda theirs, ours: ")::" in theirs and plain(theirs).endswith("::" + plain(ours)), "a local class's name is told without its function's"),
    (lambda theirs, ours: INHERITED.fullmatch(f"{plain(theirs)} {plain(ours)}"), "an inherited constructor: gdb tells the base's, we the class's own"),
]


def difference(theirs, ours, before):
    """None: the frames are the same. Otherwise a reason that speaks about the debuggers, or STOP."""
    if ours is None:
        return next((why for test, why in ENDS if test(theirs, before or {})), STOP)
    if theirs["pc"] != number(ours.get("pc")):
        return STOP
    if before and before["function"] in INJECTED and same_function(theirs["function"], ours.get("function")):
        return None if theirs["line"] == ours.get("line") else BEFORE_IT
    if theirs["line"] != ours.get("line") or (theirs["file"] and not same_file(theirs["file"], ours.get("file"))):
        return known.reason("backtrace", theirs["function"] or "", shown(theirs), shown(ours)) or STOP
    said, came = without_parameters(theirs["function"]) or "", without_parameters(ours.get("function")) or ""
    if said in ("*", came) or squeeze(said) == squeeze(came):
        return None
    named = next((why for test, why in NAMES if test(said, came)), None)
    return named or known.reason("backtrace", theirs["function"] or "", shown(theirs), shown(ours)) or STOP


def called_frames(stack):
    """Without those that gdb infers from jumps in the place of calls, and what was inlined into them."""
    kept, inlined = [], []
    for frame in stack:
        inlined.append(frame)
        if not frame["inlined"]:
            kept += [] if frame["tail"] else inlined
            inlined = []
    return kept + inlined


def compare_threads(engine, comparison):
    engine.at_stop()
    comparison.stops += 1
    selected = gdb.selected_thread()
    for thread in list(gdb.selected_inferior().threads())[:THREADS]:
        thread.switch()
        newest = gdb.newest_frame()
        theirs = called_frames(gdb_stack(newest, 2 * FRAMES))[:FRAMES]
        comparison.add(theirs, engine.stack(newest))
    selected.switch()


# ---- where to stop ----

def alive():
    return gdb.selected_inferior().pid != 0


def at_a_moment(ticker):
    ticker.after(random.uniform(0.0001, MOMENT))
    gdb.execute("continue", to_string=True)


def some_steps_on(ticker):
    ticker.after(PATIENCE)
    gdb.execute(f"stepi {random.randint(1, LONGEST_STEP)}", to_string=True)


def instruction_in(function, bias):
    start, size = function
    listing = gdb.selected_inferior().architecture().disassemble(start + bias, start + bias + size - 1)
    return random.choice(listing)["addr"]


def bias_of_program():
    pid = gdb.selected_inferior().pid
    path = os.path.realpath(f"/proc/{pid}/exe")
    with open(f"/proc/{pid}/maps") as maps:
        first = next(line for line in maps if line.rstrip().endswith(path))
    return int(first.split("-")[0], 16) - JOB["low"]


def at_a_place(ticker):
    bias = bias_of_program()
    chosen = {instruction_in(function, bias) for function in random.sample(JOB["functions"], min(PLACES, len(JOB["functions"])))}
    points = [gdb.Breakpoint(f"*{address:#x}", internal=True) for address in chosen]
    ticker.after(random.uniform(0, PATIENCE / 4))
    gdb.execute("continue", to_string=True)
    for point in points:
        point.delete()


def next_stop(ticker):
    ways = [at_a_moment, some_steps_on] + ([at_a_place, at_a_place] if JOB["functions"] else [])
    random.choice(ways)(ticker)
    if alive():
        ticker.after(0)


def wander(comparison, engine):
    ticker, end = Ticker(), time.monotonic() + JOB["most"]
    gdb.execute("starti", to_string=True)
    while comparison.stops < JOB["stops"] and time.monotonic() < end:
        next_stop(ticker)
        if not alive():
            gdb.execute("starti", to_string=True)
            continue
        compare_threads(engine, comparison)
    ticker.close()


def prepare():
    for setting in ("pagination off", "confirm off", "width 0", "startup-with-shell off", "backtrace past-main on",
                    "print thread-events off", "debuginfod enabled off", "args " + JOB["arguments"]):
        gdb.execute("set " + setting, to_string=True)
    gdb.execute("handle all nostop noprint pass", to_string=True)
    gdb.execute("handle SIGINT stop print nopass", to_string=True)
    gdb.execute("handle SIGTRAP stop print nopass", to_string=True)


def main():
    comparison, engine, notes = Comparison(), Engine(), []
    try:
        prepare()
        wander(comparison, engine)
    except (Exception, KeyboardInterrupt):
        notes.append("the test itself: " + traceback.format_exc())
    if alive():
        gdb.execute("kill", to_string=True)
    engine.close()
    comparison.write(engine.crashes, notes)


main()
