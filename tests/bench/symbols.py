#!/usr/bin/env python3
"""From exec to 'breakpoint address known' in a large program, beside gdb and lldb, interleaved; and what a compiled
capture costs to evaluate.

    scripts/build build --buildtype=release && python3 tests/bench/symbols.py [PROGRAM LOCATION [ROUNDS]]

Without a program: the Go compiler's own, built here with its debug info. Medians with their spread."""
import json, os, resource, shutil, statistics, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get("BUILD", os.path.join(ROOT, "build"))


def go_compiler():
    path = os.path.join(tempfile.mkdtemp(prefix="pickglass-bench-"), "compile")
    subprocess.run(["go", "build", "-o", path, "cmd/compile"], check=True, timeout=600,
                   env={**os.environ, "GOFLAGS": "-buildvcs=false"})
    return path


def work_of_children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def timed(command, text=None):
    """Milliseconds by the clock, and of a processor's work: the second is nearly the same on a machine that has other
    things to do."""
    began, work = time.perf_counter(), work_of_children()
    subprocess.run(command, input=text, capture_output=True, text=True, timeout=300)
    return (time.perf_counter() - began) * 1000, (work_of_children() - work) * 1000


def main():
    program = sys.argv[1] if len(sys.argv) > 2 else go_compiler()
    place = sys.argv[2] if len(sys.argv) > 2 else "main.main"
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 9
    request = json.dumps({"do": "place", "location": place}) + "\n"
    peers = {"pickglass": lambda: timed([os.path.join(BUILD, "tests", "peek"), program], request)}
    if shutil.which("gdb"):
        peers["gdb"] = lambda: timed(["gdb", "-batch", "-nx", "-ex", f"break {place}", program])
    if shutil.which("lldb"):
        peers["lldb"] = lambda: timed(["lldb", "--batch", "-x", "-o", f"breakpoint set -n {place}", program])
    took = {name: [] for name in peers}
    for peer in peers.values():
        peer()  # the file into the page cache
    for _ in range(rounds):
        for name, peer in peers.items():
            took[name].append(peer())
    base = statistics.median(clock for clock, _ in took["pickglass"])
    print(f"place of {place} in {os.path.basename(program)} ({os.path.getsize(program) >> 20} MiB), ms:")
    for name, pairs in took.items():
        clock, work = zip(*pairs)
        middle = statistics.median(clock)
        print(f"  {name:10} {middle:7.0f}  ({min(clock):.0f} to {max(clock):.0f})  {middle / base:5.2f} of ours; "
              f"work {statistics.median(work):.0f} ({min(work):.0f} to {max(work):.0f})")
    print(f"  load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    one = subprocess.run(["/usr/bin/env", "python3", "-c", "import resource,subprocess,sys;"
                          "subprocess.run(sys.argv[2:],input=sys.argv[1],text=True,capture_output=True);"
                          "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)", request,
                          os.path.join(BUILD, "tests", "peek"), program], capture_output=True, text=True)
    print(f"  peak memory of ours: {int(one.stdout) >> 10} MiB (of any peer: {peak >> 10} MiB)")
    print("evaluation of a compiled capture:", subprocess.run([os.path.join(BUILD, "tests", "evaluate")],
                                                               capture_output=True, text=True).stdout.strip())


if __name__ == "__main__":
    main()
