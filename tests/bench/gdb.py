#!/usr/bin/env python3
"""What a hit costs over the GDB protocol, beside gdb over the same stubs, in one run.

A C function in a loop, its int argument and a string captured at each hit. Each way is measured in turn, ROUNDS times;
medians, and their ratios in the order that was promised. (gdb itself cannot run a program over lldb-server.) PIN=0 leaves all of it to the scheduler; else everything runs
on one processor. PICKGLASS is the program (a release build). Arguments are parts of the ways' names."""
import json, os, re, shutil, socket, statistics, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PICKGLASS = os.environ.get("PICKGLASS", os.path.join(ROOT, "build", "src", "pickglass"))
WORK = tempfile.mkdtemp(prefix="pickglass-bench-")
HOT = os.path.join(WORK, "hot")
ROUNDS = int(os.environ.get("ROUNDS", "3"))
LINK_MS = 2
LIMITS = "limits: {duration: none, max_pause: {is: 10s, do: cut}}\n"
STOP, TRACE = "max_hits: 100000000, ", ""  # a limit, though it is never reached, has to be looked at: a stop a hit
NEVER = "when: n == -1, "


class Server:
    """A stub with the program, and perhaps a slow link before it."""

    def __init__(self, count, link=0, kind="gdbserver"):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        command = {"gdbserver": ["gdbserver", "--once", f"127.0.0.1:{port}", HOT, str(count)],
                   "qemu": ["qemu-x86_64", "-g", str(port), HOT, str(count)],
                   "lldb": ["lldb-server", "gdbserver", f"127.0.0.1:{port}", "--", HOT, str(count)]}[kind]
        self.processes = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)]
        if kind == "gdbserver":
            for line in self.processes[0].stderr:
                if "Listening" in line:
                    break
        else:
            time.sleep(0.3)  # they serve one client: nobody else may look whether they listen
        if link:
            proxy = subprocess.Popen([sys.executable, os.path.join(ROOT, "tests", "support", "delay.py"), str(link), str(port)],
                                     stdout=subprocess.PIPE, text=True)
            self.processes.append(proxy)
            port = int(proxy.stdout.readline())
        self.port = port

    def __enter__(self):
        return self

    def __exit__(self, *why):
        for process in reversed(self.processes):
            process.kill()
            process.wait()


def ours(count, options, link=0, kind="gdbserver", hits=None):
    recipe, events = os.path.join(WORK, "recipe.yaml"), os.path.join(WORK, "events.jsonl")
    with open(recipe, "w") as out:
        out.write("recipe: 1\n" + LIMITS + "probes: {hit: {" + options + "at: work, capture: [n, item->name]}}\n")
    if os.path.exists(events):
        os.unlink(events)
    with Server(count, link, kind) as server:
        done = subprocess.run([PICKGLASS, "run", recipe, "-q", "-o", events, "--binary", HOT, f"gdb://127.0.0.1:{server.port}"],
                              timeout=300, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr[-300:]
    with open(events) as lines:
        end = [e for e in map(json.loads, lines) if e["type"] == "end" and "probes" in e][0]
    account, wire = end["probes"][0], end["wire"]
    assert account["hits"] == (count if hits is None else hits) and account["lost"] == 0, end
    ours.trips = wire["hit_round_trips"] / wire["hit_stops"] if wire["hit_stops"] else 0
    return end["duration_ns"] / 1e3 / count


def gdb_commands(commands, link=0, kind="gdbserver", count=0):
    """Seconds from the target's resume to its end, as gdb itself takes them."""
    with Server(count, link, kind) as server:
        script = ["set confirm off", "set pagination off", f"target remote 127.0.0.1:{server.port}", *commands,
                  "python import time; began = time.monotonic()", "continue", "python print('took', time.monotonic() - began)"]
        out = subprocess.run(["gdb", "-batch", "-nx", *sum((["-ex", line] for line in script), []), HOT], timeout=300,
                             capture_output=True, text=True).stdout
    return float(re.search(r"took ([0-9.]+)", out)[1]), out


def dprintf(count, link=0, kind="gdbserver"):
    took, out = gdb_commands(['dprintf work,"hit %d %s\\n",n,item->name'], link, kind, count)
    assert len(re.findall(r"^hit ", out, re.M)) == count, out[-300:]
    return took * 1e6 / count


def false_there(count, link=0):
    return gdb_commands(["set breakpoint condition-evaluation target", "break work if n == -1"], link, count=count)[0] * 1e6 / count


def false_here(count, link=0, kind="gdbserver"):
    return gdb_commands(["set breakpoint condition-evaluation host", "break work if n == -1"], link, kind, count)[0] * 1e6 / count


WAYS = {
    "trace": lambda: ours(30000, TRACE), "stop": lambda: ours(4000, STOP), "gdb dprintf": lambda: dprintf(800),
    "trace, link": lambda: ours(30000, TRACE, LINK_MS), "stop, link": lambda: ours(500, STOP, LINK_MS),
    "gdb dprintf, link": lambda: dprintf(60, LINK_MS),
    "false": lambda: ours(20000, STOP + NEVER, hits=0), "gdb false, on the target": lambda: false_there(20000),
    "false, link": lambda: ours(20000, STOP + NEVER, LINK_MS, hits=0),
    "gdb false, on the host": lambda: false_here(1000),
    "false, qemu": lambda: ours(2000, STOP + NEVER, 0, "qemu", 0), "gdb false, qemu": lambda: false_here(500, 0, "qemu"),
    "stop, qemu": lambda: ours(2000, STOP, 0, "qemu"), "gdb dprintf, qemu": lambda: dprintf(300, 0, "qemu"),
    "stop, lldb": lambda: ours(1000, STOP, 0, "lldb"),
    "false, lldb": lambda: ours(1000, STOP + NEVER, 0, "lldb", 0),
}
RATIOS = [("gdb dprintf", "trace", 8), ("gdb dprintf, link", "trace, link", 100), ("gdb dprintf", "stop", 4),
          ("gdb dprintf, link", "stop, link", 6), ("gdb false, on the target", "false", 1), ("gdb false, qemu", "false, qemu", 4),
          ("gdb dprintf, qemu", "stop, qemu", 4)]


def many(sessions, count):
    """So many gdbservers in one worker: what a session takes, and hits a second of all of them."""
    recipe = os.path.join(WORK, "many.yaml")
    servers = [Server(count) for _ in range(sessions)]
    try:
        for options, name in ((TRACE, "traced"), (STOP, "stopping")):
            for server in servers:
                server.__exit__()
            servers = [Server(count) for _ in range(sessions)]
            with open(recipe, "w") as out:
                out.write("recipe: 1\n" + LIMITS + "probes: {hit: {" + options + "at: work, capture: [n, item->name]}}\n")
            events = os.path.join(WORK, f"many-{name}.jsonl")
            begin = time.monotonic()
            run = subprocess.Popen([PICKGLASS, "run", recipe, "-q", "-o", events,
                                    *(f"gdb://127.0.0.1:{server.port}" for server in servers)], stderr=subprocess.PIPE)
            most = 0
            while run.poll() is None:
                most = max(most, memory_of_workers(run.pid))
                time.sleep(0.05)
            took = time.monotonic() - begin
            with open(events) as lines:
                ends = [e for e in map(json.loads, lines) if e["type"] == "end" and "probes" in e]
            hits = sum(e["probes"][0]["hits"] for e in ends)
            assert hits == sessions * count, (hits, run.stderr.read()[-300:])
            print(f"{sessions} gdbservers, {name}: {most / sessions / 1024:.1f} MiB a session, {hits / took:.0f} hits/s")
    finally:
        for server in servers:
            server.__exit__()


def memory_of_workers(pid):
    """KiB that the processes below `pid` have to themselves."""
    total = 0
    for entry in os.listdir("/proc"):
        try:
            with open(f"/proc/{entry}/stat") as stat:
                parent = int(stat.read().rsplit(")", 1)[1].split()[1])
            if parent == pid:
                with open(f"/proc/{entry}/smaps_rollup") as rollup:
                    total += sum(int(line.split()[1]) for line in rollup if line.startswith("Private_"))
        except (OSError, ValueError, IndexError):
            continue
    return total


def main():
    if os.environ.get("PIN", "1") != "0":
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    subprocess.run(["gcc", "-g", "-O1", "-no-pie", "-o", HOT, os.path.join(HERE, "hot.c")], check=True)
    wanted, found, trips = sys.argv[1:], {}, {}
    for _ in range(ROUNDS):
        for name, way in WAYS.items():
            if not wanted or any(part in name for part in wanted):
                found.setdefault(name, []).append(way())
                if not name.startswith("gdb"):
                    trips[name] = ours.trips
    for name, values in found.items():
        more = f"   {trips[name]:.2f} round trips a hit" if trips.get(name) else ""
        print(f"{name:28} {statistics.median(values):9.1f} us/hit   ({min(values):.1f} to {max(values):.1f}){more}")
    for peer, mine, promised in RATIOS:
        if peer in found and mine in found:
            ratio = statistics.median(found[peer]) / statistics.median(found[mine])
            print(f"{mine + ', against ' + peer:58} {ratio:7.1f} (promised {promised})")
    if not wanted or "many" in wanted:
        many(int(os.environ.get("SESSIONS", "100")), 300)
    shutil.rmtree(WORK, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
