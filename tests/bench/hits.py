#!/usr/bin/env python3
"""What a hit costs, natively and over gdbserver, beside gdb and beside the bare floor, in one run.

A C function in a loop, its int argument and a string captured at each hit. Each way is measured in turn, several
times; the medians and their ratios are printed. PICKGLASS is the program (a release build)."""
import json, os, re, shutil, socket, statistics, subprocess, sys, tempfile, threading, time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PICKGLASS = os.environ.get("PICKGLASS", os.path.join(ROOT, "build", "src", "pickglass"))
WORK = tempfile.mkdtemp(prefix="pickglass-bench-")
HOT = os.path.join(WORK, "hot")
ROUNDS = int(os.environ.get("ROUNDS", "5"))
RECIPE = """recipe: 1
limits: {duration: none, max_pause: {is: 1s, do: cut}, pause_budget: {is: 100%, do: throttle}}
probes: {hit: {at: work, WHEN capture: [n, item->name]}}
"""


def build():
    subprocess.run(["gcc", "-g", "-O1", "-o", HOT, os.path.join(HERE, "hot.c")], check=True)
    subprocess.run(["gcc", "-O2", "-o", HOT + "-floor", os.path.join(HERE, "ptrace_floor.c")], check=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def floor(count):
    """As the back end does: waiting by what is faster just now."""
    return min(floor_one(count, way) for way in ("looking", "sleeping"))


def floor_one(count, way):
    code = subprocess.run(["objdump", "-d", HOT], capture_output=True, text=True, check=True).stdout
    first = re.search(r"<work>:\n\s*([0-9a-f]+):\t((?:[0-9a-f]{2} )+)", code)
    out = subprocess.run([HOT + "-floor", HOT, str(count), "0x" + first[1], str(len(first[2].split())), way],
                         capture_output=True, text=True, timeout=120, check=True).stdout.split("\n")
    cost, hits = out[-2].split()
    assert int(hits) == count, hits
    return float(cost)


def pickglass(count, expected, *target, when=""):
    recipe = os.path.join(WORK, "recipe.yaml")
    with open(recipe, "w") as out:
        out.write(RECIPE.replace("WHEN", when and f"when: {when},"))
    events = os.path.join(WORK, "events.jsonl")
    if os.path.exists(events):
        os.unlink(events)
    subprocess.run([PICKGLASS, "run", recipe, "-q", "-o", events, *target], check=True, timeout=120,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open(events) as lines:
        end = [e for e in map(json.loads, lines) if e["type"] == "end" and "probes" in e][0]
    assert end["probes"][0]["hits"] == expected, end
    return end["duration_ns"] / 1e3 / count


def native(count):
    return pickglass(count, count, "--", HOT, str(count))


def native_false(count):
    return pickglass(count, count // 1000, "--", HOT, str(count), when="n % 1000 == 7")


def with_server(run):
    port = free_port()
    server = subprocess.Popen(["gdbserver", "--once", f"127.0.0.1:{port}", HOT, str(run.__defaults__[0])],
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    for line in server.stderr:
        if "Listening" in line:
            break
    threading.Thread(target=server.stderr.read, daemon=True).start()  # it warns at each hit on some processors
    try:
        return run(port=port)
    finally:
        server.kill()
        server.wait()


def over_gdbserver(count):
    def run(count=count, port=0):
        return pickglass(count, count, f"gdb://127.0.0.1:{port}")
    return with_server(run)


def gdb_lines(arguments, count):
    """gdb's own start is not part of it: the time between the first hit's line and the last one's."""
    gdb = subprocess.Popen(["gdb", "-batch", "-nx", *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                           text=True)
    first = last = None
    for line in gdb.stdout:
        if line.startswith("hit "):
            last = time.monotonic()
            first = first or last
    gdb.wait()
    return (last - first) * 1e6 / (count - 1)


def gdb_native(count):
    return gdb_lines(["-ex", 'dprintf work,"hit %d %s\\n",n,item->name', "-ex", f"run {count}", HOT], count)


def gdb_over_gdbserver(count):
    def run(count=count, port=0):
        return gdb_lines(["-ex", f"target remote 127.0.0.1:{port}", "-ex",
                          'dprintf work,"hit %d %s\\n",n,item->name', "-ex", "continue", HOT], count)
    return with_server(run)


def gdb_false(count):
    begin = time.monotonic()
    subprocess.run(["gdb", "-batch", "-nx", "-ex", "break work if n == -1", "-ex", f"run {count}", HOT], timeout=300,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return (time.monotonic() - begin - gdb_start()) * 1e6 / count


def gdb_start():
    begin = time.monotonic()
    subprocess.run(["gdb", "-batch", "-nx", "-ex", "break work if n == -1", "-ex", "run 0", HOT], timeout=60,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - begin


def bpftrace(count):
    """In the kernel, formatted there. What its reader does not follow is lost: then the figure is none."""
    script = 'uprobe:%s:work { printf("hit %%d %%s\\n", arg1, str(*(uint64*)arg0)); }' % HOT
    done = subprocess.run(["bpftrace", "-e", script, "-c", f"{HOT} {count}"], capture_output=True, text=True, timeout=120,
                          env={**os.environ, "BPFTRACE_PERF_RB_PAGES": "4096"})
    seen = len(re.findall(r"^hit \d+ some name$", done.stdout, re.M))
    assert seen == count, f"bpftrace: {seen} of {count} hits: {done.stderr[-300:]}"
    return float(re.search(r"([\d.]+) us a call", done.stdout)[1])


WAYS = {"floor: bare ptrace": (floor, 30000), "pickglass, native": (native, 30000), "gdb dprintf, native": (gdb_native, 3000),
        "pickglass over gdbserver": (over_gdbserver, 5000), "gdb dprintf over gdbserver": (gdb_over_gdbserver, 1500),
        "pickglass, native, false 999 of 1000": (native_false, 30000), "gdb, native, always false": (gdb_false, 3000)}

FLOOR = "floor: bare ptrace"
RATIOS = [  # (what, of what, to what, what was aimed at)
    ("native, against the floor", "pickglass, native", FLOOR, "at most 1.5"),
    ("native, gdb against us", "gdb dprintf, native", "pickglass, native", "at least 12"),
    ("native, false, gdb against us", "gdb, native, always false", "pickglass, native, false 999 of 1000", "at least 15"),
    ("native, against bpftrace", "pickglass, native", "bpftrace printf", "at most 1.3"),
    ("the floor, against bpftrace", FLOOR, "bpftrace printf", "none"),
    ("gdbserver, gdb against us", "gdb dprintf over gdbserver", "pickglass over gdbserver", "at least 4")]


def main():
    build()
    if shutil.which("bpftrace") and os.geteuid() == 0:
        WAYS["bpftrace printf"] = (bpftrace, 30000)
    found = {name: [] for name in WAYS}
    for _ in range(ROUNDS):
        for name, (way, count) in WAYS.items():
            found[name].append(way(count))
    cost = {name: statistics.median(values) for name, values in found.items()}
    for name, value in cost.items():
        print(f"{name:40} {value:9.1f} us/hit   ({min(found[name]):.1f} to {max(found[name]):.1f})")
    for name, dearer, cheaper, target in RATIOS:
        if dearer in cost and cheaper in cost:
            floor_gives = f"; the bare floor: {cost[dearer] / cost[FLOOR]:.1f}" if cheaper.startswith("pickglass, native") else ""
            print(f"{name:40} {cost[dearer] / cost[cheaper]:9.2f}   (target {target}{floor_gives})")
    shutil.rmtree(WORK, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
