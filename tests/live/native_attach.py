#!/usr/bin/env python3
"""The native back end comes and goes, or is killed: a program that runs is left as it was found.

SOAK=SECONDS makes each of the longer tests last that long. Else as native.py."""
import os, random, signal, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from nativetargets import *

TICK = "  t: {at: tick, capture: [n]}\n"


def cycles(few, target, probes=TICK, hits=20):
    """Attaches, hits and leaves: every hit that was asked for, and nobody is the worse for it."""
    n = 0
    for n in rounds(few):
        got = run(probes, Attached(target.pid), limits=up_to(hits))
        check(len(got.hits()) == hits, f"turn {n}: {got.brief()}")
        check("no memory" not in got.err, f"turn {n}: {got.err}")
    return n + 1


# ---- coming and going ----

def test_attachments_to_many_threads():
    busy = Counter(threads=12)
    cycles(16, busy)
    busy.unharmed()
    no_watch_left(busy.pid)


def test_attachments_leave_no_memory_behind():
    busy = Counter()
    cycles(2, busy)
    before = int(status_of(busy.pid, "VmSize").split()[0])
    cycles(14, busy)
    grown = int(status_of(busy.pid, "VmSize").split()[0]) - before
    check(grown <= 1024, f"14 more attachments have made it {grown} kB larger")
    busy.unharmed()


def test_watches_leave_no_debug_register():
    busy = Counter(threads=6)
    for _ in rounds(4):
        got = run("  w: {watch: {expr: g_ticks, access: write}}\n" + TICK, Attached(busy.pid), limits=up_to(60))
        check(len(got.hits("w")) > 0, got.brief())
        free(busy.pid)
        no_watch_left(busy.pid)
    busy.unharmed()


def storm(mode, few, threads=4):
    """Attachments in the middle of a storm (fixtures/c/live/storm.c); what the program says of it at its end."""
    program = Process(build("storm"), mode, str(int(1000 * (100 + 2 * SOAK))), str(threads))
    until(lambda: len(tasks_of(program.pid)) > threads, 5, "it never began")
    turns = cycles(few, program, "  w: {at: work, capture: [n]}\n")
    check(alive(program.pid), f"the program is dead: {program.process.poll()}")
    os.kill(program.pid, signal.SIGTERM)
    told = program.told()
    check(told["wrong"] == 0, f"{told['wrong']} of {told['done']} went wrong in {turns} attachments: {program.said()[:300]}")
    check(program.wait() == 0, "its end")
    return told


def test_attachments_while_signals_with_values_come():
    storm("queue", 6)


def test_attachments_with_signals_blocked_and_pending():
    storm("blocked", 6)


def test_attachments_while_it_jumps_out_of_handlers():
    storm("jumping", 4)


def test_attachments_while_it_forks():
    storm("many-forks", 10)


def test_attachments_while_it_vforks():
    calm, begin = Counter(), time.monotonic()
    cycles(8, calm)
    usual, begin = time.monotonic() - begin, time.monotonic()
    storm("vforks", 8)
    took = time.monotonic() - begin
    check(SOAK or took < 4 * usual + 4, f"8 attachments took {took:.1f} s, without vforks {usual:.1f} s")


def test_attachments_while_a_child_shares_its_memory():
    storm("slow-vforks", 8)


def test_attachments_while_threads_come_and_go():
    storm("churn", 8)


def no_gaps(hits, turn):
    """Each thread counts its calls: between its first hit and its last one of an attachment none is missing."""
    last = {}
    for hit in hits:
        thread, n = hit["thread"]["id"], hit["values"]["n"]
        check(n == (last.get(thread, n - 1) + 1) % 65536, f"turn {turn}: thread {thread} hit {n} after {last.get(thread)}")
        last[thread] = n


def test_a_thousand_attachments():
    """In the short form fifty. The program counts itself, and sums what it computes."""
    turns, begin = 1000 if SOAK else 50, time.monotonic()
    program = Process(build("storm"), "plain", str(1000 * turns), "4")
    until(lambda: len(tasks_of(program.pid)) > 4, 5, "it never began")
    for turn in range(turns):
        got = run("  w: {at: work, capture: [n]}\n", Attached(program.pid), limits=up_to(40))
        check(len(got.hits()) == 40 and got.account()["w"]["lost"] == 0, f"turn {turn}: {got.brief()}")
        no_gaps(got.hits(), turn)
        free(program.pid)
        check(time.monotonic() - begin < 20 + turns, f"{turn} attachments took {time.monotonic() - begin:.0f} s")
    took = time.monotonic() - begin
    os.kill(program.pid, signal.SIGTERM)
    told = program.told()
    check(told["wrong"] == 0 and told["calls"] >= 40 * turns and program.wait() == 0, f"{told}")
    print(f"  {turns} attachments: {took:.1f} s")


# ---- killed ----

def at_random(process):
    time.sleep(random.random() * 0.15)


def after_hits(n):
    def wait(process):
        left = n
        for line in process.stdout:
            left -= '"type":"hit"' in line
            if left <= 0:
                return
    return wait


def when_armed(process):
    for line in process.stdout:
        if '"type":"armed"' in line:
            return


def begin_run(busy, probes=TICK, limits=ROOMY):
    return subprocess.Popen([PICKGLASS, "run", recipe(probes, limits), f"native:{busy.pid}", "-q", "-o", "-"], stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, start_new_session=True, text=True)


def send(pid, how=os.kill):
    try:
        how(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it was faster


def main_only(process):
    send(process.pid)


def whole_group(process):
    send(process.pid, os.killpg)


def worker_only(process):
    for pid in children_of(process.pid):
        send(pid)


def reap(process):
    rest = process.stdout.read()
    process.stdout.close()
    process.wait(20)
    return rest


def test_it_is_continued_while_we_are_there():
    """A program that somebody has stopped hits from where it is let go on, in all of its threads."""
    busy = Counter(threads=3)
    os.kill(busy.pid, signal.SIGSTOP)
    until(lambda: status_of(busy.pid, "State")[0] == "T", 5, "it does not stop")
    process = begin_run(busy, limits=up_to(600))
    when_armed(process)
    os.kill(busy.pid, signal.SIGCONT)
    hits = [json.loads(line) for line in reap(process).splitlines() if '"type":"hit"' in line]
    threads = {hit["thread"]["id"] for hit in hits}
    check(process.returncode == 0 and len(hits) == 600 and len(threads) > 1, f"exit {process.returncode}, {len(hits)} hits, {threads}")
    busy.unharmed()


def kill_matrix(victim, threads, turns):
    for turn in rounds(turns):
        busy = Counter(threads=threads)
        moment = [at_random, when_armed, after_hits(1), after_hits(random.randint(2, 200))][turn % 4]
        process = begin_run(busy, limits=up_to(250) if turn % 4 == 3 else ROOMY)
        moment(process)
        victim(process)
        reap(process)
        try:
            busy.unharmed()
        except Failed as why:
            raise Failed(f"turn {turn}: {why}")
        busy.end()


def test_main_is_killed():
    kill_matrix(main_only, 1, 4)


def test_main_is_killed_with_many_threads():
    kill_matrix(main_only, 16, 4)


def test_the_group_is_killed():
    kill_matrix(whole_group, 4, 4)


def test_killed_with_watches_set():
    for turn in rounds(3):
        busy = Counter(threads=4)
        process = begin_run(busy, "  w: {watch: {expr: g_ticks, access: write}}\n")
        after_hits(5)(process)
        main_only(process)
        reap(process)
        free(busy.pid)
        no_watch_left(busy.pid)
        busy.unharmed()
        busy.end()


def test_the_worker_is_killed():
    """The documented exception: it may cost the target, which is counted; one that lives is as it was."""
    for threads in 1, 16:
        dead = turns = 0
        for turns in rounds(2):
            busy = Counter(threads=threads)
            process = begin_run(busy)
            after_hits(random.randint(1, 50))(process)
            worker_only(process)
            reap(process)
            time.sleep(0.2)  # for the trap that may be on its way
            if busy.process.poll() is None:
                busy.unharmed()
            else:
                dead += 1
            busy.end()
        print(f"  SIGKILL of the worker under load, {threads} threads: {dead} of {turns + 1} targets died", flush=True)


def test_the_worker_is_killed_while_it_watches():
    dead = 0
    for turn in rounds(3):
        busy = Counter(threads=4)
        process = begin_run(busy, "  w: {watch: {expr: g_ticks, access: write}}\n")
        after_hits(5)(process)
        worker_only(process)
        reap(process)
        time.sleep(0.2)
        if busy.process.poll() is None:
            free(busy.pid)
            no_watch_left(busy.pid)
        else:
            dead += 1
        busy.end()
    print(f"  SIGKILL of the worker with a hot watchpoint: {dead} of {turn + 1} targets died", flush=True)


def test_the_worker_is_killed_beside_a_calm_target():
    """Where a hit comes every few milliseconds only, main's repair is faster."""
    lived = 0
    for turn in rounds(5):
        busy = Counter(threads=2, nap=100000)
        process = begin_run(busy)
        after_hits(1)(process)
        worker_only(process)
        reap(process)
        time.sleep(0.3)
        if busy.process.poll() is None:
            busy.unharmed()
            lived += 1
        busy.end()
    check(lived > turn // 2, f"{lived} of {turn + 1} lived")


KNOWN = {}

if __name__ == "__main__":
    native_main(globals(), KNOWN)
