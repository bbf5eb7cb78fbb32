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


def timed(command, text=None):
    began = time.perf_counter()
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=300)
    return (time.perf_counter() - began) * 1000, done.stdout


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
            took[name].append(peer()[0])
    base = statistics.median(took["pickglass"])
    print(f"place of {place} in {os.path.basename(program)} ({os.path.getsize(program) >> 20} MiB), ms:")
    for name, values in took.items():
        middle = statistics.median(values)
        print(f"  {name:10} {middle:7.0f}  ({min(values):.0f} to {max(values):.0f})  {middle / base:5.2f} of ours")
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
