#!/usr/bin/env python3
"""--follow-forks: what a target forks is a target of its own, from its begin; and it is left as any other. Else as native.py."""
import os, signal, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from nativetargets import *

WORK_N = "  w: {at: work, capture: [n]}\n"
PAIRS = "  w: {at: work, capture: [child, n]}\n"


def follow(probes, target, *more, **how):
    return run(probes, target, "--follow-forks", *more, **how)


def by_target(got, probe="w"):
    found = {}
    for hit in got.hits(probe):
        found.setdefault(hit["target"], []).append(hit["values"])
    return found


def ends(got):
    return {event["target"]: event for event in got.of("end") if "target" in event}


# ---- each call once, in each process ----

def test_children_from_their_begin():
    for how in "fork", "threads":
        target = Launched(build("forks"), how, "12")
        got = follow(WORK_N, target)
        told, hits = target.told(), by_target(got)
        children = {name: values for name, values in hits.items() if "/" in name}
        check(told["wrong"] == 0 and told["fine"] == 12, told)
        check(len(children) == 12, f"{how}: {sorted(children)}")
        for name, values in children.items():
            check([value["n"] for value in values] == list(range(1000, 1020)), f"{how}: {name}: {values}")
        if how == "fork":
            check(len(hits["target-1"]) == told["work"], f"{len(hits['target-1'])} hits of the parent, {told}")
        check(got.of("end")[-1]["followed"] == 12 and got.of("end")[-1]["exit"] == 0, got.of("end")[-1])


def test_who_is_whose_child():
    got = follow(WORK_N, Launched(build("forks"), "fork", "2"))
    armed = {event["target"]: event for event in got.of("armed")}
    parent = armed.pop("target-1")
    check(len(armed) == 2 and parent["found"] == "at_launch" and "parent" not in parent, armed)
    for name, event in armed.items():
        check(name == f"target-1/{event['pid']}" and event["parent"] == parent["pid"] and event["found"] == "forked", event)
    exits = {event["target"]: event["status"] for event in got.of("exit")}
    check(sorted(exits.values()) == [0, 1, 2] and all(end["reason"] == "the target exited" for end in ends(got).values()), exits)


def test_programs_that_a_shell_runs():
    """Three processes run the program: one is forked by the shell and executes it, and forks; the shell itself becomes it."""
    program = build("forks")
    target = Launched("/bin/sh", "-c", f"{program} fork 1; exec {program} fork 1")
    got = follow(WORK_N, target)
    counts = sorted(len(values) for values in by_target(got).values())
    check(counts == [4, 4, 20, 20], counts)
    check("waiting for what it forks or executes" in got.err and got.of("end")[-1]["exit"] == 0, got.brief())


def test_by_vfork():
    """system() and posix_spawn() execute in a child that shares the memory until then."""
    program = build("forks")
    caller = write(f"""#include <stdlib.h>
int main(void) {{ return system("{program} fork 2; exec {program} fork 2"); }}
""", "caller.c")
    subprocess.run(["gcc", "-o", caller[:-2], caller], check=True, timeout=60)
    got = follow(WORK_N, Launched(caller[:-2]))
    counts = sorted(len(values) for values in by_target(got).values())
    check(counts == [8, 8, 20, 20, 20, 20], counts)


def test_calls_and_system_calls_of_children():
    """Whatever a probe is about, a child has it of its own."""
    target = Launched(build("forks"), "fork", "3")
    got = follow("  c: {call: work, capture: {n: n}, at_return: {r: return}}\n  f: {syscall: exit_group, capture: {code: arg0}}\n"
                 "  b: {watch: {expr: calls, access: write}, max_hits: 5}\n", target)
    told, calls = target.told(), by_target(got, "c")
    check(told["fine"] == 3 and len(calls) == 4, calls.keys())
    check(all(value["r"] == value["n"] for values in calls.values() for value in values), "what they return")
    codes = {name: values[0]["code"] for name, values in by_target(got, "f").items()}
    check(sorted(codes.values()) == [0, 1, 2, 3], codes)
    check(sorted(map(len, by_target(got, "b").values())) == [5, 5, 5, 5], "watches")


def compiled(text, name):
    source = write(text, name + ".c")
    subprocess.run(["gcc", "-g", "-O1", "-w", "-o", source[:-2], source, "-lpthread"], check=True, timeout=60)
    return source[:-2]


TICK = "__attribute__((noinline)) int tick(int n) { asm volatile(\"\" ::: \"memory\"); return n + 1; }\n"


def test_a_daemon():
    """Who forks twice ends before its child has begun: who follows waits for that."""
    program = compiled("#include <unistd.h>\n" + TICK + """
int main(void) {
    tick(1);
    if (fork())
        _exit(0);
    setsid();
    tick(2);
    if (fork())
        _exit(0);
    for (int n = 3; n < 23; n++)
        tick(n);
    _exit(0);
}
""", "daemon")
    for turn in range(8):
        got = follow("  w: {at: tick, capture: [n]}\n", Launched(program))
        check(sorted(got.values("w", "n")) == list(range(1, 23)), f"turn {turn}: {sorted(got.values('w', 'n'))}")
        check(got.of("end")[-1]["followed"] == 2, got.of("end")[-1])


def test_a_parent_that_is_killed_while_it_forks():
    """Its last child has been told of by nobody: it is found, and goes on."""
    program = compiled("#include <signal.h>\n#include <stdio.h>\n#include <unistd.h>\n" + TICK + """
int main(void) {
    signal(SIGCHLD, SIG_IGN);
    pid_t forker = fork();
    if (!forker)
        for (int n = 0; n < 4000; n++) {
            if (!fork()) {
                tick(n);
                usleep(20000);
                _exit(0);
            }
            usleep(300);
        }
    usleep(300000);
    kill(forker, SIGKILL);
    for (int n = 0; n < 30; n++, usleep(20000))
        tick(-1);
    return 0;
}
""", "forker")
    for more in (), ("--follow-forks",):
        process = start("  w: {at: tick, capture: [n]}\n", Launched(program), *more, hits=1)
        for line in process.stdout:
            if '"n":-1' in line:
                break
        until(lambda: not any(task_status(pid, pid)[1][0] == "t" for pid in named("forker")), 3, "a child stands")
        finish(process)
        check(process.returncode == 0 and not named("forker"), f"{process.returncode}, left: {named('forker')}")


def named(name):
    return [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and comm_of(pid) == name and alive(pid)]


def comm_of(pid):
    try:
        with open(f"/proc/{pid}/comm") as comm:
            return comm.read().strip()
    except OSError:
        return ""


# ---- what nothing fits ----

def test_nothing_fits():
    got = follow(WORK_N, Launched("/bin/sh", "-c", "true; /bin/true"), code=2)
    check('no function "work"' in got.err and not got.hits(), got.brief())


def test_who_cannot_follow():
    for uri, name in ("gdb://127.0.0.1:1", "gdb"), ("dlv://127.0.0.1:1", "delve"):
        got = pickglass("run", recipe(WORK_N.replace(", capture: [n]", "")), uri, "--follow-forks")
        check(got.code == 1 and "--follow-forks" in got.err and name in got.err, f"{got.code}: {got.err}")


def test_more_than_can_be_followed():
    """Those beyond are let go, and it is said."""
    got = follow("  e: {exit: true}\n", Launched(build("family"), "300", "200000"), "--target-stdout", os.devnull,
                 limits="limits: {duration: 4s}\n")
    parent = got.of("armed")[0]["pid"]
    try:
        check("256 forked processes are followed" in got.err, got.brief())
        check(len(got.of("armed")) == 257 and len(children_of(parent)) == 300, f"{len(children_of(parent))} children")
        check(not any(held(pid) for pid in [parent, *children_of(parent)]), "somebody is held")
    finally:
        os.kill(parent, signal.SIGKILL)


# ---- left as they were ----

class Family(Process):
    def __init__(self, nap=1000):
        super().__init__(build("family"), "1", str(nap))
        self.wait_for("child 0 is")

    def beget(self, number):
        os.kill(self.pid, signal.SIGUSR1)
        return int(self.wait_for(rf"child {number} is (\d+)")[1])


def begin(family, hits=1):
    """Attached, with a child that was forked since; its pid."""
    process = start(PAIRS, Attached(family.pid), "--follow-forks", hits=0)
    for line in process.stdout:
        if '"type":"armed"' in line:
            break
    child = family.beget(1)
    for line in process.stdout:
        if f'"pid":{child}' in line and '"type":"hit"' in line:
            hits -= 1
            check(json.loads(line)["values"]["n"] >= 0, line)
            if hits <= 0:
                break
    return process, child


def unharmed(family, *children):
    for pid in (family.pid, *children):
        free(pid)
    again = run(PAIRS, Attached(children[-1]), limits=up_to(5))
    values = again.values("w", "n")
    check(values == list(range(values[0], values[0] + 5)), f"the child counts {values}")
    family.beget(2)


def test_attached_and_left():
    family = Family()
    process, child = begin(family, hits=3)
    process.send_signal(signal.SIGINT)
    finish(process)
    check(process.returncode == 0, process.returncode)
    unharmed(family, child)


def test_its_first_call_is_seen():
    family = Family()
    process = start(PAIRS, Attached(family.pid), "--follow-forks", hits=0)
    for line in process.stdout:
        if '"type":"armed"' in line:
            break
    child = family.beget(1)
    first = next(json.loads(line) for line in process.stdout if '"type":"hit"' in line)
    check(first["pid"] == child and first["values"] == {"child": 1, "n": 0}, first)
    process.send_signal(signal.SIGINT)
    finish(process)
    unharmed(family, child)


def test_pickglass_is_killed():
    family = Family()
    process, child = begin(family, hits=3)
    process.kill()
    finish(process)
    unharmed(family, child)


def test_the_worker_is_killed():
    """The documented exception is a thread that runs into a breakpoint before main has put it right: these nap."""
    family = Family(nap=100000)
    process, child = begin(family, hits=3)
    worker = workers_of(process.pid)[0]
    os.kill(worker, signal.SIGKILL)
    finish(process)
    check(process.returncode == 3, process.returncode)
    unharmed(family, child)


def test_the_end_comes_while_it_forks():
    """In the middle of forks, wherever that is: each child ends as it would have."""
    for limit in range(1, 60, 7):
        target = Launched(build("forks"), "fork", "40")
        follow(WORK_N, target, limits=f"limits: {{duration: 25s, run_hits: {limit * 10}}}\n")
        told = target.told()
        check(told["wrong"] == 0 and told["fine"] == 40, f"after {limit * 10} hits: {told}")


def test_a_storm_of_forks():
    program = Process(build("storm"), "many-forks", "60000", "3")
    until(lambda: len(tasks_of(program.pid)) > 3, 5, "it never began")
    got = follow("  w: {at: work, capture: [n]}\n", Attached(program.pid), limits=up_to(400))
    check(len(got.hits()) > 0 and got.of("end")[-1]["followed"] > 0, got.brief())
    os.kill(program.pid, signal.SIGTERM)
    told = program.told()
    check(told["wrong"] == 0 and program.wait() == 0, told)


if __name__ == "__main__":
    native_main(globals(), {})
