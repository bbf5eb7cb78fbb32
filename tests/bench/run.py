#!/usr/bin/env python3
"""Ratios of one run, side by side: pickglass, the floor (a bare client that only looks for the end of each
reply), and `dlv trace`, on one program; then many sessions at once against a scripted server.

    scripts/build build --buildtype=release && python3 tests/bench/run.py [ROUNDS [SESSIONS]]

Medians of the rounds with their spread, rounds interleaved. Absolute figures mean little on a machine that does
other things; the ratios are the claim."""
import json, os, re, statistics, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "live"))
import smoke  # servers and toolchains

BUILD = os.environ.get("BUILD", os.path.join(ROOT, "build"))
PICKGLASS = os.path.join(BUILD, "src", "pickglass")
FLOOR = os.path.join(BUILD, "tests", "floor")
FAKEDLV = os.path.join(BUILD, "tests", "fakedlv")
HITS = 700


def recipe(hits, place="main.traceMe", captures="n, path"):
    return smoke.write(f"recipe: 1\nlimits: {{hits: {hits}, pause_budget: 100%, duration: 120s}}\n"
                       f"probes:\n  hot: {{at: {place}, capture: [{captures}]}}\n")


def floor_rate(server):
    out = subprocess.run([FLOOR, server.address, "main.traceMe", str(HITS), "n", "path"], capture_output=True, text=True,
                         timeout=120).stdout
    return json.loads(out)["hits_per_s"]


def pickglass_rate(server, path, added):
    done = subprocess.run([PICKGLASS, "run", path, server.uri, "-q", "-o", "jsonl:/dev/stdout"], capture_output=True,
                          text=True, timeout=120, env={**os.environ, "PICKGLASS_LOG": "session:1"})
    hits = [e for e in map(json.loads, done.stdout.splitlines()) if e["type"] == "hit"]
    added += [int(ns) for ns in re.findall(r"held for (\d+) ns", done.stderr)]
    stamp = lambda e: time.mktime(time.strptime(e["time"][:19], "%Y-%m-%dT%H:%M:%S")) + float(e["time"][19:29])
    return (len(hits) - 1) / (stamp(hits[-1]) - stamp(hits[0]))


def trace_rate(chain, calls=100):
    program = chain.build("loop")
    began = time.time()
    done = subprocess.run([chain.dlv, "trace", "--exec", program, "main.traceMe", "--", "-n", str(calls)],
                          capture_output=True, text=True, timeout=300)
    seen = len(re.findall(r"goroutine\(\d+\): main.traceMe|main.traceMe\(", done.stdout + done.stderr))
    began_empty = time.time()
    subprocess.run([chain.dlv, "trace", "--exec", program, "main.traceMe", "--", "-n", "1"], capture_output=True, timeout=60)
    start_up = time.time() - began_empty
    took = began_empty - began - start_up
    return calls / took if took > 0 and seen else 0


def show(name, values, base=None):
    middle = statistics.median(values)
    ratio = f"  {middle / base:5.2f} of the floor" if base else ""
    print(f"  {name:12} {middle:8.0f} hits/s   ({min(values):.0f} to {max(values):.0f}){ratio}")
    return middle


def one_target(chain, rounds):
    server = smoke.Server([chain.dlv, "exec", chain.build("loop"), "--headless", "--accept-multiclient", "--continue",
                           "--api-version=2", "--listen=127.0.0.1:0"])
    path, floors, ours, added = recipe(HITS), [], [], []
    try:
        smoke.until_running(server)
        for _ in range(rounds):
            floors.append(floor_rate(server))
            ours.append(pickglass_rate(server, path, added))
    finally:
        server.end()
    traces = [trace_rate(chain) for _ in range(3)]
    print(f"{chain.name}: a Go loop, an int and a string captured, {rounds} rounds of {HITS} hits")
    base = show("floor", floors)
    mine = show("pickglass", ours, base)
    theirs = show("dlv trace", traces, base)
    print(f"  pickglass is {mine / theirs:.1f} times dlv trace (entry and return there)" if theirs else "")
    added.sort()
    print(f"  between a reply and our continue: median {added[len(added) // 2] / 1000:.0f} us, 90 % {added[len(added) * 9 // 10] / 1000:.0f} us")


def many_sessions(count):
    server = smoke.Server([FAKEDLV, "--anywhere", "--func", "main.f=main.go:10"])
    path = recipe(10, "main.f", "n, path")
    port = server.address.rsplit(":", 1)[1]  # a server can be one target of a run
    targets = smoke.write("".join(f"t{i}=dlv://127.0.{i // 250}.{i % 250 + 1}:{port}\n" for i in range(count)), "targets.txt")
    hold = recipe(1000000, "main.f", "n")
    try:
        began = time.time()
        done = subprocess.run([PICKGLASS, "run", path, "--targets", targets, "-q", "-o", "jsonl:/dev/stdout"],
                              capture_output=True, text=True, timeout=300)
        took = time.time() - began
        hits = done.stdout.count('"type":"hit"')
        peak = max_memory(hold, targets)
    finally:
        server.end()
    print(f"{count} sessions at once, scripted servers, 10 hits each: {hits} of {count * 10} events, {hits / took:.0f} hits/s, "
          f"exit {done.returncode}")
    print(f"  the worker's peak: {peak / 1024:.0f} MiB, {peak / count:.0f} KiB a session")


def max_memory(path, targets):
    """Peak KiB of the worker while all sessions hit as fast as they can for two seconds."""
    main = subprocess.Popen([PICKGLASS, "run", path, "--targets", targets, "-q", "-o", "jsonl:/dev/null"],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline, peak = time.time() + 3, 0
    while time.time() < deadline and main.poll() is None:
        children = smoke.output("pgrep", "-P", str(main.pid)).split()
        if children:
            try:
                status = open(f"/proc/{children[0]}/status").read()
                peak = max(peak, int(re.search(r"VmHWM:\s+(\d+)", status).group(1)))
            except (OSError, AttributeError):
                pass
    main.terminate()
    main.wait(60)
    return peak


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    for chain in smoke.find_toolchains():
        one_target(chain, rounds)
    many_sessions(int(sys.argv[2]) if len(sys.argv) > 2 else 1000)


if __name__ == "__main__":
    main()
