#!/usr/bin/env python3
"""What smoke.py leaves out: readers that are slow, pauses that are long, servers that are launched or
restarted, text for people, the installed library, a death after each request, completions and the manual.

Output and arguments are those of smoke.py. The build directory is the one that PICKGLASS is in."""
import contextlib, errno, fcntl, json, os, pty, re, select, shutil, signal, socket, subprocess
import sys, tempfile, termios, threading, time, urllib.request

sys.dont_write_bytecode = True
from smoke import (FAKEDLV, Failed, FREE, PICKGLASS, RELAY, ROOT, Rpc, Server, WORK, check, find_toolchains, httpd, pickglass, run_all,
                   run, seconds_of, untouched, worker_of, write)

BUILD = os.path.dirname(os.path.dirname(os.path.abspath(PICKGLASS)))
MARK = "PICKGLASS_LIVE_MARK"


# ---- waiting ----

def until(condition, seconds, why):
    """The first true value of condition(); it is asked again every 20 ms."""
    deadline = time.time() + seconds
    while True:
        value = condition()
        if value:
            return value
        check(time.time() < deadline, why() if callable(why) else why)
        time.sleep(0.02)


@contextlib.contextmanager
def ending(server):
    try:
        yield server
    finally:
        server.end()


def marked(mark):
    """Processes that have inherited our mark: all that a run has started, wherever they went."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                if f"{MARK}={mark}".encode() in file.read().split(b"\0"):
                    with open(f"/proc/{pid}/cmdline", "rb") as line:
                        found[int(pid)] = line.read().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            pass  # it has ended, or is not ours
    return found


def nothing_left(mark, seconds=10):
    until(lambda: not marked(mark), seconds, lambda: f"processes are left: {marked(mark)}")


def end_marked(mark):
    for pid in marked(mark):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


class Live:
    """A run under way. Its events are collected once read() was called."""

    def __init__(self, recipe, *args, **more):
        self.events, self.ended, self.news = [], False, threading.Condition()
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([PICKGLASS, "run", write(recipe), "-q", *args], text=True,
                                        stdout=subprocess.PIPE, stderr=self.errors, stdin=subprocess.DEVNULL,
                                        start_new_session=True, **more)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def read(self):
        threading.Thread(target=self.collect, daemon=True).start()
        return self

    def collect(self):
        for line in self.process.stdout:
            with self.news:
                self.events.append(json.loads(line))
                self.news.notify_all()
        with self.news:
            self.ended = True
            self.news.notify_all()

    def first(self, wanted):
        return next((event for event in self.events if wanted(event)), None)

    def await_event(self, wanted, seconds, why):
        with self.news:
            self.news.wait_for(lambda: self.ended or self.first(wanted), seconds)
            event = self.first(wanted)
        check(event, f"{why}; it said: {self.said()}")
        return event

    def said(self):
        self.errors.seek(0)
        return self.errors.read()[-300:]

    def hits(self):
        return [event for event in self.events if event["type"] == "hit"]

    def account(self, name):
        ends = [event for event in self.events if event["type"] == "end" and "probes" in event]
        return next(probe for probe in ends[0]["probes"] if probe["probe"] == name)

    def interrupt(self, seconds=15):
        self.process.send_signal(signal.SIGINT)
        return self.wait(seconds)

    def wait(self, seconds=15):
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"it does not end within {seconds} s")


# ---- a target that is as busy as can be, with a lot to read ----

BUSY = """package main

import (
	"fmt"
	"net"
	"strings"
	"sync/atomic"
)

type node struct {
	Name  string
	Pages []string
	Next  *node
}

var (
	calls int64
	deep  *node
	pages []string
)

//go:noinline
func work(n int64) int64 {
	return n + 1
}

// tell tells everybody who asks how many calls there were.
func tell(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		fmt.Fprintln(client, atomic.LoadInt64(&calls))
		client.Close()
	}
}

func main() {
	for i := 0; i < 64; i++ {
		pages = append(pages, strings.Repeat(string(rune('a'+i%26)), 4096))
		deep = &node{fmt.Sprint("node ", i), pages, deep}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println("listening on", listener.Addr())
	go tell(listener)
	for n := int64(0); ; {
		n = work(n)
		atomic.StoreInt64(&calls, n)
	}
}
"""


def module(name, file, text):
    folder = os.path.dirname(write(f"module {name}\n\ngo 1.19\n", "go.mod"))
    with open(os.path.join(folder, file), "w") as source:
        source.write(text)
    return folder


def build_busy(chain):
    if "busy" not in chain.built:
        folder = module("busy", "main.go", BUSY)
        subprocess.run([chain.go, "build", "-o", "busy", "."], check=True, timeout=300, cwd=folder, env=chain.env)
        chain.built["busy"] = os.path.join(folder, "busy")
    return chain.built["busy"]


def busy(chain, at_launch=False):
    flags = [] if at_launch else ["--continue"]
    server = Server([chain.dlv, "exec", build_busy(chain), "--headless", "--accept-multiclient", "--api-version=2",
                     "--listen=127.0.0.1:0", *flags])
    if not at_launch:
        server.told = server.wait_for(r"listening on (\S+)")
        runs_free(server)
    return server


def calls_of(server):
    host, port = server.told.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=10) as client:
        return int(client.makefile().readline())


def calls_per_second(server):
    """Some hundred where each call hits, and millions where none does."""
    start, before = time.time(), calls_of(server)
    time.sleep(0.1)
    return (calls_of(server) - before) / (time.time() - start)


def runs_free(server, seconds=20):
    until(lambda: calls_per_second(server) > 100_000, seconds, "the target does not run at full speed")


# ---- readers that do not follow ----

LARGE = """recipe: 1
limits: {duration: 60s, pause_budget: 100%, max_pause: 20s}
load: {string: 4096, items: 64}
probes:
  hot: {at: main.work, capture: {n: n, pages: main.pages}}
"""


def gets_stuck(server):
    """Nobody reads: the target is held by its hits, and then free again."""
    until(lambda: calls_per_second(server) < 10_000, 15, "no hit slows the target")
    runs_free(server)


def is_trip(word):
    return lambda event: event["type"] == "trip" and event["limit"] == "queue" and event["was"] == word


def test_backpressure_disarms(chain):
    with ending(busy(chain)) as server, Live(LARGE, server.uri) as live:
        gets_stuck(server)
        free_from, free_to = time.time(), time.time()
        while free_to < free_from + 0.5:
            check(calls_per_second(server) > 100_000, "it is slow again although nobody reads")
            free_to = time.time()
        live.read()
        full = live.await_event(is_trip("full"), 20, "no trip tells that the reader did not follow")
        drained = live.await_event(is_trip("drained"), 20, "no trip tells that it follows again")
        check(full["do"] == "disarm" and drained["do"] == "arm again", f"{full} {drained}")
        lasted = seconds_of(drained) - seconds_of(full)
        check(abs(drained["lasted_ns"] / 1e9 - lasted) < 0.01, f"the interval: {lasted} s, {drained}")
        check(seconds_of(full) <= free_from and seconds_of(drained) >= free_to, f"not when: {full} {drained}")
        live.await_event(lambda e: e["type"] == "hit" and e["time"] > drained["time"], 20, "no hit after that")
        check(live.interrupt() == 0, "the run's exit")
        missed = [hit for hit in live.hits() if free_from < seconds_of(hit) < free_to]
        check(not missed, f"{len(missed)} hits while nothing was armed")
        untouched(server)


def waits(server, seconds=30):
    """It has hit, and then not for a time that is long against a hit. (Whether it runs is no sign: between two of
    these hits it does so for an instant that nobody may see.)"""
    rpc, count, since = Rpc(server.address), 0, time.time()

    def has_waited():
        nonlocal count, since
        listed = rpc.call("ListBreakpoints")["result"]["Breakpoints"]
        hits = sum(b["totalHitCount"] for b in listed if b["name"].startswith("pg"))
        if hits != count:
            count, since = hits, time.time()
        return count and time.time() > since + 2
    until(has_waited, seconds, "the target does not wait for the reader")


def test_backpressure_lets_a_launched_target_wait(chain):
    with ending(busy(chain, at_launch=True)) as server, Live(LARGE, server.uri) as live:
        waits(server)
        live.read()
        full = live.await_event(is_trip("full"), 20, "no trip tells that the reader did not follow")
        check(full["do"] == "wait", f"{full}")
        drained = live.await_event(is_trip("drained"), 20, "no trip tells that it follows again")
        live.await_event(lambda e: e["type"] == "hit" and e["time"] > drained["time"], 20, "no hit after that")
        check(live.interrupt() == 0, "the run's exit")
        untouched(server)


def test_interrupt_frees_a_waiting_target(chain):
    with ending(busy(chain, at_launch=True)) as server, Live(LARGE, server.uri) as live:
        waits(server)
        live.process.send_signal(signal.SIGTERM)
        until(lambda: Rpc(server.address).call("State", NonBlocking=True)["result"]["State"]["Running"], 1.5,
              "it still waits for the reader")
        check(live.wait(8) == 3 and "the reader takes nothing" in live.said(), f"{live.process.returncode} {live.said()}")
        untouched(server)


def test_backpressure_loses_no_hit_of_a_launched_target(chain):
    recipe = LARGE.replace("60s", "60s, hits: 60")
    with ending(busy(chain, at_launch=True)) as server, Live(recipe, server.uri) as live:
        waits(server)
        live.read()
        check(live.wait(30) == 0, "the run's exit")
        until(lambda: live.ended, 10, "its events do not end")
        check(live.first(is_trip("full")), "the reader was fast enough")
        numbers, account = [hit["values"]["n"] for hit in live.hits()], live.account("hot")
        missed = sorted(set(range(60)) - set(numbers))
        check(not missed, f"calls {missed} are not told, and not accounted for: {account}")
        check(account["reached"] == account["hits"] + account["lost"], f"hits without a trace: {account}")


def test_interrupt_with_a_stuck_reader(chain):
    with ending(busy(chain)) as server, Live(LARGE, server.uri) as live:
        gets_stuck(server)
        live.interrupt(8)
        untouched(server)


# ---- pauses that are too long ----

CUT = """recipe: 1
limits: {duration: 30s, pause_budget: 100%, max_pause: {is: 20ms, do: cut}}
load: {depth: 16, items: 64, string: 4096}
probes:
  large: {at: main.work, capture: {n: n, first: main.deep, second: main.deep, third: main.deep}, max_hits: 1}
"""


def one_hit(recipe, server):
    got = run(recipe, server.uri)
    check(got.code == 0 and len(got.hits()) == 1, f"exit {got.code}, {len(got.hits())} hits: {got.err[-300:]}")
    return got.hits()[0], [trip for trip in got.of("trip") if trip["limit"] == "max_pause"]


def test_cut_goes_on(chain):
    with ending(busy(chain)) as server:
        hit, trips = one_hit(CUT, server)
        check(hit.get("cut") is True, "the event is not marked")
        check("$error" in json.dumps(hit["values"]["third"]), "what was not read is no $error")
        check(isinstance(hit["values"]["n"], int), f"what had come is lost: {hit['values']['n']}")
        check(len(trips) == 1 and trips[0]["do"] == "cut" and trips[0]["probe"] == "large", f"trips: {trips}")
        runs_free(server)
        untouched(server)


UNITS = {"ns": 1, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9}


def nanoseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(\D+)", text).groups()
    return float(number) * UNITS[unit]


def test_cut_tells_the_pause(chain):
    with ending(busy(chain)) as server:
        hit, trips = one_hit(CUT, server)
        check(len(trips) == 1, f"trips: {trips}")
        was, limit, pause = nanoseconds(trips[0]["was"]), nanoseconds(trips[0]["is"]), hit["pause_ns"]
        check(was >= limit, f"tripped at {was / 1e6:.4g} ms by a limit of {limit / 1e6:.4g} ms: {trips[0]}")
        check(pause < 3 * was, f"the trip says {was / 1e6:.4g} ms, the event {pause / 1e6:.4g} ms")


def test_cut_spares_the_target(chain):
    """Delve goes on evaluating when we no longer wait for it: a cut spares only what was not yet asked."""
    with ending(busy(chain)) as server:
        whole, _ = one_hit(CUT.replace("is: 20ms", "is: 30s"), server)
        check("$error" not in json.dumps(whole["values"]), "it cannot be read at all")
        cut, _ = one_hit(CUT, server)
        check(cut["pause_ns"] < whole["pause_ns"] / 2, f"held for {cut['pause_ns'] / 1e6:.0f} ms when cut at 20 ms, "
              f"for {whole['pause_ns'] / 1e6:.0f} ms when read to the end")


# ---- servers that we start ----

SUMS = """package sums

import (
	"testing"
	"time"
)

//go:noinline
func add(a, b int) int {
	return a + b
}

func TestAdd(t *testing.T) {
	for i := 0; i < 5; i++ {
		if add(i, i) != 2*i {
			t.Fatal(i)
		}
	}
}

func TestForEver(t *testing.T) {
	for i := 0; ; i++ {
		add(i, 1)
		time.Sleep(time.Millisecond)
	}
}
"""


class Launch:
    """The environment and the folder of a launched server; whatever it leaves ends with this."""

    def __init__(self, chain):
        self.mark = f"{os.getpid()}-{time.monotonic_ns()}"
        path = os.path.dirname(chain.go) + ":" + os.environ["PATH"]
        self.env = {**chain.env, "PATH": path, MARK: self.mark}
        self.said = os.path.join(tempfile.mkdtemp(dir=WORK), "said")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        end_marked(self.mark)

    def run(self, recipe, uri, *args, **more):
        return run(recipe, uri, "--target-stdout", self.said, *args, env=self.env, **more)

    def find(self, pattern):
        with open(self.said) as file:
            return re.search(pattern, file.read()).group(1)


ADD = "recipe: 1\nlimits: {duration: 30s, hits: %s}\nprobes:\n  add: {at: sums.add, capture: [a, b]}\n"


def test_launched_tests_end(chain):
    folder = module("sums", "sums_test.go", SUMS)
    with Launch(chain) as launch:
        got = launch.run(ADD % 100, f"dlv+exec:{chain.dlv} test . -- -test.run TestAdd", cwd=folder)
        check(got.code == 0, f"exit {got.code}: {got.err[-300:]}")
        check([hit["values"]["a"] for hit in got.hits()] == [0, 1, 2, 3, 4], f"{[h['values'] for h in got.hits()]}")
        check(got.of("exit")[0].get("status") == 0, f"{got.of('exit')}")
        nothing_left(launch.mark)
    left = [name for name in os.listdir(folder) if name not in ("go.mod", "sums_test.go")]
    check(not left, f"files are left: {left}")


def test_launched_tests_are_killed_on_demand(chain):
    folder = module("sums", "sums_test.go", SUMS)
    with Launch(chain) as launch:
        got = launch.run(ADD % 3, f"dlv+exec:{chain.dlv} test . -- -test.run TestForEver", "--kill-launched", cwd=folder)
        check(got.code == 0 and len(got.hits()) == 3, f"exit {got.code}, {len(got.hits())} hits: {got.err[-300:]}")
        nothing_left(launch.mark)


LOOKUPS = "recipe: 1\nlimits: {duration: 30s, hits: 3}\nprobes:\n  a: {at: main.lookup, capture: [key]}\n"


def test_launched_programs_run_on(chain):
    with Launch(chain) as launch:
        got = launch.run(LOOKUPS, f"dlv+exec:{chain.dlv} exec {chain.build('httpd')} -- -load 50")
        check(got.code == 0 and len(got.hits()) == 3, f"exit {got.code}, {len(got.hits())} hits: {got.err[-300:]}")
        left = until(lambda: [line for line in marked(launch.mark).values() if "pickglass-worker run" not in line],
                     5, "nothing runs on")
        check(any("-load 50" in line and "dlv" not in line.split()[0] for line in left), f"no target: {left}")
        url = launch.find(r"listening on (\S+)")
        check(urllib.request.urlopen(url + "/cart", timeout=5).status == 200, "the service does not answer")
        rpc = Rpc(launch.find(r"API server listening at: (\S+)"))
        check(rpc.call("State", NonBlocking=True)["result"]["State"]["Running"], "it was left stopped")
        until(lambda: not any("pickglass-worker run" in line for line in marked(launch.mark).values()), 5,
              "the worker is left")
        rpc.call("Command", name="halt")
        rpc.call("Detach", Kill=True)
        nothing_left(launch.mark)


def test_launched_programs_are_killed_on_demand(chain):
    with Launch(chain) as launch:
        got = launch.run(LOOKUPS, f"dlv+exec:{chain.dlv} exec {chain.build('httpd')} -- -load 50", "--kill-launched")
        check(got.code == 0 and len(got.hits()) == 3, f"exit {got.code}, {len(got.hits())} hits: {got.err[-300:]}")
        nothing_left(launch.mark)


CORE = "recipe: 1\nprobes:\n  a: {at: main.lookup, when: 'key == \"/cart\"', capture: [key]}\n"


def dump(chain):
    """The program and a core of it, taken while it ran."""
    program = chain.build("httpd")
    process = subprocess.Popen([program, "-load", "20"], stdout=subprocess.PIPE, text=True)
    try:
        process.stdout.readline()  # it listens
        done("gcore", "-o", os.path.join(WORK, "core"), str(process.pid))
    finally:
        process.kill()
        process.wait()
    return program, os.path.join(WORK, f"core.{process.pid}")


def test_core(chain):
    if missing("gcore"):
        return missing("gcore")
    program, core = dump(chain)
    uri = f"dlv+exec:{chain.dlv} core {program} {core}"
    with Launch(chain) as launch:
        got = pickglass("check", write(CORE), uri, env=launch.env)
        check(got.code == 0 and "main.go" in got.out, f"check: exit {got.code}: {got.out[-200:]}{got.err[-300:]}")
        got = pickglass("check", write(CORE.replace("main.lookup", "main.lokup")), uri, env=launch.env)
        check(got.code == 2 and "recipe.yaml:3:" in got.err, f"check of what is not there: {got.code}: {got.err[-300:]}")
        for what, wanted in (("goroutines", "main."), ("functions", "main.lookup"), ("threads", "runtime")):
            got = pickglass("list", uri, what, env=launch.env)
            check(got.code == 0 and wanted in got.out, f"list {what}: exit {got.code}: {got.err[-300:]}")
        got = launch.run(CORE, uri)
        check(got.code == 3 and "core" in got.err and "check" in got.err, f"run: exit {got.code}: {got.err[-300:]}")
        nothing_left(launch.mark)
    os.unlink(core)


def test_flags_of_a_started_server(_chain):
    """What is missing is added, before the flags of the target."""
    script = write("echo \"$0 $*\"\nexit 1\n", "said.sh")
    for flags, listens, rest in (("exec ./a", True, ""), ("exec ./a -l=127.0.0.1:1", False, ""), ("exec ./a -l 127.0.0.1:1", False, ""),
                                 ("exec ./a --listen=127.0.0.1:1", False, ""), ("exec ./a --listen 127.0.0.1:1", False, ""),
                                 ("exec ./a -- -l=x", True, " -- -l=x"), ("exec ./a --", True, " --")):
        got = run(ONE, f"dlv+exec:sh {script} {flags}")
        said = re.search(rf"{script} (.*--api-version.*)", got.err)
        check(got.code == 3 and said, f"{flags}: {got.code} {got.err[-300:]}")
        words = said[1].split()
        check(("--listen=127.0.0.1:0" in words) == listens, f"{flags}: {said[1]}")
        check(said[1].endswith("--accept-multiclient" + rest), f"{flags}: {said[1]}")


def test_a_started_server_that_ends_early(chain):
    """What we start says where another server listens, and has ended, with all of its output, long before the run
    lets go of it."""
    flag = os.path.join(tempfile.mkdtemp(dir=WORK), "end")
    with ending(httpd(chain)) as server, Launch(chain) as launch:
        command = f"sh -c 'echo API server listening at: {server.address}; until [ -e {flag} ]; do sleep 0.01; done'"
        with Live(RESTARTED, "dlv+exec:" + command, "--target-stdout", launch.said, env=launch.env).read() as live:
            live.await_event(lambda e: e["type"] == "hit", 15, "no hit")
            open(flag, "w").close()
            until(lambda: len(marked(launch.mark)) == 2, 10,  # pickglass and its worker
                  lambda: f"what was started does not end: {marked(launch.mark)}")
            check(live.interrupt() == 0, "the run's exit")
            check("Sanitizer" not in live.said(), "a sanitizer spoke: " + live.said())
        untouched(server, server.url)


def test_looking_leaves_nothing_launched(chain):
    """Nothing of what was launched for a look has run: it goes with its server."""
    uri = f"dlv+exec:{chain.dlv} exec {chain.build('httpd')}"
    with Launch(chain) as launch:
        check(pickglass("check", write(CORE), uri, env=launch.env).code == 0, "check")
        check("main.lookup" in pickglass("list", uri, "functions", env=launch.env).out, "list")
        nothing_left(launch.mark)


def test_looking_spares_what_is_attached(chain):
    program = subprocess.Popen([chain.build("httpd"), "-load", "20"], stdout=subprocess.PIPE, text=True)
    try:
        url = program.stdout.readline().split()[-1]
        uri = f"dlv+exec:{chain.dlv} attach {program.pid}"
        check(pickglass("check", write(CORE), uri).code == 0, "check")
        got = run(LOOKUPS, uri, "--kill-launched")
        check(got.code == 0 and len(got.hits()) == 3, f"run --kill-launched: exit {got.code}: {got.err[-300:]}")
        check(urllib.request.urlopen(url + "/cart", timeout=5).status == 200, "the service does not answer")
    finally:
        program.kill()
        program.wait()


# ---- two runs on one server ----

ONE = "recipe: 1\nlimits: {hits: 2, pause_budget: 100%, duration: 20s}\nprobes:\n  a: {at: main.lookup}\n"
TWO = {  # both stop the target over and over, one of them by timers
    "a": "recipe: 1\nlimits: {duration: 2s, pause_budget: 100%}\nprobes:\n  a: {at: main.lookup, capture: [key]}\n",
    "b": "recipe: 1\nlimits: {duration: 1500ms, pause_budget: 100%}\nprobes:\n  f: {call: main.fail, at_return: [return]}\n  t: {timer: 100ms}\n"}


def test_a_second_run_is_refused(chain):
    with ending(httpd(chain)) as server, Live("recipe: 1\n" + FREE + "probes:\n  a: {at: main.lookup}\n", server.uri) as first:
        first.read()
        first.await_event(lambda event: event["type"] == "hit", 20, "no hit")
        for uri in server.uri, server.uri.replace("127.0.0.1", "localhost"):
            got = run(ONE, uri, "--connect-timeout", "300ms")
            check(got.code == 3 and "another run of pickglass" in got.err, f"{uri}: {got.code} {got.err[-300:]}")
        got = pickglass("list", server.uri, "functions", "main.lookup")
        check(got.code == 0 and "main.lookup" in got.out, f"list beside a run: {got.code} {got.err[-300:]}")
        first.process.send_signal(signal.SIGINT)
        got = run(ONE, server.uri)  # it waits for the end of the first
        check(got.code == 0 and len(got.hits()) == 2, f"after it: {got.code} {got.err[-300:]}")
        untouched(server, server.url)


def test_a_server_given_twice(chain):
    with ending(httpd(chain)) as server:
        got = run(ONE, "a=" + server.uri, "b=" + server.uri.replace("127.0.0.1", "localhost"))
        check(got.code == 1 and "is a target of this run already" in got.err, f"{got.code} {got.err[-300:]}")
        check({hit["target"] for hit in got.hits()} == {"a"} and len(got.hits()) == 2, got.hits())
        untouched(server, server.url)


def test_two_runs_leave_nobody_stopped(chain):
    """The second one comes by a way that hides that it is the same server."""
    with ending(httpd(chain)) as server:
        relay = f"dlv+pipe:{sys.executable} {write(RELAY, 'relay.py')} {server.address}"
        for i in range(4):
            with Live(TWO["a"], server.uri).read() as one:
                time.sleep(0.1 + 0.2 * i)
                run(TWO["b"], relay)
                one.process.wait(30)
            untouched(server, server.url)


# ---- a target that another client restarts ----

RESTARTED = "recipe: 1\nlimits: {duration: 40s, pause_budget: 100%, max_pause: 20s}\nprobes:\n  hot: {at: main.lookup}\n"


def says(*words):
    return lambda event: event["type"] in ("error", "end") and any(
        word in event.get("message", "") + event.get("error", "") for word in words)


def hit_of_another(pid):
    return lambda event: event["type"] == "hit" and event["pid"] != pid


def restart(server, rpc):
    rpc.socket.settimeout(20)  # it waits for the next stop
    answer = rpc.call("Restart")
    check(not answer["error"], f"Restart: {answer}")


def test_restart_at_a_hit(chain):
    """The restart comes between our hit and our continue, which then resumes a program without breakpoints. No
    client can see that while it runs: a running Delve tells nobody which process it has. It is told at the end."""
    with ending(httpd(chain)) as server, Live(RESTARTED, server.uri).read() as live:
        pid = live.await_event(lambda e: e["type"] == "hit", 15, "no hit")["pid"]
        restart(server, Rpc(server.address))
        code = live.interrupt(20)
        until(lambda: live.ended, 10, "its events do not end")
        told = live.first(says("restarted")) or live.first(hit_of_another(pid)) or code == 3
        check(told, f"no word about the restart, and exit {code}")
        untouched(server)


def restart_while_halted(server, live):
    """The run knows of their halt, and waits, when they restart and continue. Was the target lost?

    Delve may let their continue overtake a question about the state, and answers it at the next stop."""
    pid = live.await_event(lambda e: e["type"] == "hit", 15, "no hit")["pid"]
    rpc = Rpc(server.address)
    until(lambda: rpc.call("Command", name="halt") and live.first(says("somebody else")), 15, "no word about the halt")
    restart(server, rpc)
    rpc.send("Command", name="continue")
    live.await_event(lambda e: hit_of_another(pid)(e) or says("lost the target")(e), 20, "neither hits nor an error")
    lost = live.first(says("lost the target"))
    check(live.interrupt() == (3 if lost else 0), "the run's exit")
    until(lambda: live.ended, 10, "its events do not end")
    return lost


def test_restart_while_halted_arms_again(chain):
    with ending(httpd(chain)) as server, Live(RESTARTED, server.uri).read() as live:
        restart_while_halted(server, live)
        untouched(server)


def test_restart_while_halted_is_told(chain):
    with ending(httpd(chain)) as server, Live(RESTARTED, server.uri).read() as live:
        lost = restart_while_halted(server, live)
        check(lost or live.first(says("restarted")), "hits of another process, and no word about a restart")


# ---- a server that follows its target's children (docs/adr/0012) ----

FAMILY = """package main

import (
	"os"
	"os/exec"
	"time"
)

//go:noinline
func work(n int) int {
	return n + 1
}

func main() {
	for n := 0; len(os.Args) > 1; n++ {
		work(n)
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(500 * time.Millisecond)
	if err := exec.Command(os.Args[0], "child").Run(); err != nil {
		panic(err)
	}
}
"""


def follows(chain):
    return int(re.search(r"delve1\.(\d+)", chain.name).group(1)) > 20


def while_halted(server, method, **params):
    """The answer of a running server that is halted for the question."""
    rpc = Rpc(server.address)
    rpc.call("Command", name="halt")
    answer = rpc.call(method, **params)
    rpc.send("Command", name="continue")
    until(lambda: Rpc(server.address).call("State", NonBlocking=True)["result"]["State"]["Running"], 5, "it does not run on")
    check(not answer["error"], f"{method}: {answer}")
    return answer["result"]


def test_a_server_that_follows_children_is_refused(chain):
    if not follows(chain):
        return "this Delve follows no children"
    with ending(httpd(chain)) as server:
        while_halted(server, "FollowExec", Enable=True, Regex="")
        for command in ("run", "check"):
            got = pickglass(command, write(RESTARTED), server.uri)
            check(got.code == 3 and "target follow-exec -off" in got.err, f"{command}: {got.code}: {got.err[-300:]}")
            check(not got.hits() and not got.of("armed"), f"{command}: it was armed: {got.events}")
            untouched(server, server.url)
        check(while_halted(server, "FollowExecEnabled")["Enabled"] is True, "it was switched off")
        while_halted(server, "FollowExec", Enable=False, Regex="")
        got = run(LOOKUPS, server.uri)
        check(got.code == 0 and len(got.hits()) == 3, f"exit {got.code}: {got.err[-300:]}")


def test_a_stop_in_a_child_is_no_restart(chain):
    if not follows(chain):
        return "this Delve follows no children"
    folder = module("family", "main.go", FAMILY)
    subprocess.run([chain.go, "build", "-o", "family", "."], check=True, timeout=300, cwd=folder, env=chain.env)
    server = Server([chain.dlv, "exec", os.path.join(folder, "family"), "--headless", "--accept-multiclient",
                     "--api-version=2", "--listen=127.0.0.1:0"])
    timer = "recipe: 1\nlimits: {duration: 60s}\nprobes:\n  tick: {timer: 50ms}\n"
    with ending(server):
        rpc = Rpc(server.address)
        check(not rpc.call("FollowExec", Enable=True, Regex="")["error"], "FollowExec")
        check(not rpc.call("CreateBreakpoint", Breakpoint={"functionName": "main.work"})["error"], "CreateBreakpoint")
        with Live(timer, server.uri).read() as live:
            live.await_event(says("somebody else"), 20, "no word about the stop in the child")
            state = rpc.call("State", NonBlocking=True)["result"]["State"]
            check(state["currentThread"]["breakPoint"]["functionName"] == "main.work", f"where it stands: {state}")
            check(not live.first(says("restarted")), "the child is taken for a restart")
            live.interrupt()
        check(not rpc.call("State", NonBlocking=True)["result"]["State"]["Running"], "somebody's stop was resumed")


# ---- text for people ----

TEXT = "recipe: 1\nlimits: {duration: 30s, pause_budget: 100%, max_pause: 20s, hits: 12}\nprobes:\n" \
       "  a: {at: main.lookup, capture: [key]}\n" \
       "  count: {at: main.count, capture: {requests: main.counter}, stack: 2}\n"


def text_lines(path):
    with open(path) as file:
        text = file.read()
    check("\x1b" not in text and "\r" not in text, "a file has control codes")
    return text.splitlines()


def check_columns(lines, probes):
    """The time, the probe, the rest: each begins where it begins in all other lines."""
    stamp = r"\d\d:\d\d:\d\d\.\d{6} "
    heads = [line for line in lines if re.match(stamp, line)]
    wrong = [line for line in heads if not re.match(stamp + r"(?=.{8} )\S+ +\S", line) or line[24] != " "]
    check(not wrong, f"the columns differ: {wrong[:2]}")
    rest = [line for line in lines if line not in heads]
    loose = [line for line in rest if not re.match(r" {16}\S| {17}\S", line)]
    check(rest and not loose, f"not indented: {loose[:3]} of {len(rest)}")
    for probe, value in probes.items():
        rows = [line for line in heads if line[16:24] == f"{probe:8}"]
        check(rows and all(line[25:].startswith(value) for line in rows), f"{probe}: {rows[:2]}")
    return heads


def test_text_columns(chain):
    with ending(httpd(chain)) as server:
        folder = tempfile.mkdtemp(dir=WORK)
        named, typed, plain = (os.path.join(folder, name) for name in ("hits.txt", "hits.dat", "hits.jsonl"))
        got = run(TEXT, server.uri, "-o", named, "-o", "text:" + typed, "-o", plain, env={"TERM": "xterm-256color"})
        check(got.code == 0 and not got.out, f"exit {got.code}: {got.err[-300:]}")
        lines = text_lines(named)
        check(lines == text_lines(typed), "FILE.txt and text:FILE differ")
        heads = check_columns(lines, {"a": 'key="/', "count": "requests="})
        with open(plain) as file:
            events = [json.loads(line) for line in file]
        hits = [event for event in events if event["type"] == "hit"]
        shown = [line for line in heads if line[16:24].strip() in ("a", "count")]
        check(len(hits) == len(shown) == 12, f"{len(shown)} lines for {len(hits)} hits")


class Terminal:
    """pickglass on a terminal of its own; keys sent are typed there."""

    def __init__(self, *args, stdout=None, env=None):
        self.master, slave = pty.openpty()
        self.text = ""
        modes = termios.tcgetattr(slave)
        modes[3] &= ~termios.ECHO  # keys would be shown in the middle of a line
        termios.tcsetattr(slave, termios.TCSANOW, modes)
        self.process = subprocess.Popen(
            [PICKGLASS, *args], stdin=slave, stdout=stdout or slave, stderr=slave, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env={**os.environ, "TERM": "xterm-256color", "NO_COLOR": "", **(env or {})})
        os.close(slave)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)

    def more(self):
        if select.select([self.master], [], [], 0)[0]:
            try:
                self.text += os.read(self.master, 65536).decode(errors="replace")
            except OSError as error:  # how Linux says that nobody has the terminal any more
                check(error.errno == errno.EIO, str(error))

    def await_text(self, pattern, seconds=15):
        def found():
            self.more()
            return re.search(pattern, self.text)
        return until(found, seconds, lambda: f"{pattern!r} never came: {self.text[-300:]!r}")

    def press(self, keys, seconds=15):
        os.write(self.master, keys)

        def ended():
            self.more()
            return self.process.poll() is not None
        until(ended, seconds, "it does not end")
        self.more()
        return self.process.returncode


STATUS = r"\r\x1b\[K2 probes armed, [1-9]\d* hits, \d+/s, [\d.]+% of the time paused, [\d.]+\w+"
COLOUR = r"\x1b\[[0-9;]*m"
FOREVER = TEXT.replace(", hits: 12", "").replace("30s", "60s")


def test_text_on_a_terminal(chain):
    with ending(httpd(chain)) as server, Terminal("run", write(FOREVER), server.uri) as terminal:
        terminal.await_text(STATUS)
        check(terminal.press(b"\x03") == 0, f"Ctrl-C: exit {terminal.process.returncode}")
        check(re.search(r"\x1b\[1ma {7}\x1b\[0m \x1b\[36mkey\x1b\[0m=\"/", terminal.text), "no colours")
        lines = [re.sub(COLOUR, "", line) for line in terminal.text.split("\r\n")]
        check(any("interrupted" in line for line in lines), "the end is not shown")
        # The status line is gone before each line of an event, and at the end.
        lines = [line.rpartition("\x1b[K")[2] for line in lines]
        check(not any("probes armed" in line for line in lines), "a status line stays")
        check_columns([line for line in lines if line], {"a": 'key="/', "count": "requests="})
        untouched(server, server.url)


def test_text_without_colour(chain):
    with ending(httpd(chain)) as server:
        for args, env in (([], {"NO_COLOR": "1"}), ([], {"TERM": "dumb"}), (["-q"], {})):
            with Terminal("run", write(TEXT), server.uri, *args, env=env) as terminal:
                terminal.press(b"")
            check(terminal.process.returncode == 0, f"{args} {env}: {terminal.text[-300:]}")
            check("requests=" in re.sub(COLOUR, "", terminal.text), f"{args} {env}: no text: {terminal.text[-300:]}")
            check(bool(re.search(COLOUR, terminal.text)) == bool(args), f"{args} {env}: colours")
            check(not args or "probes armed" not in terminal.text, "-q has a status line")


def test_status_beside_a_pipe(chain):
    with ending(httpd(chain)) as server, tempfile.TemporaryFile("w+") as piped:
        with Terminal("run", write(FOREVER), server.uri, stdout=piped) as terminal:
            terminal.await_text(STATUS)
            check(terminal.press(b"\x03") == 0, f"Ctrl-C: exit {terminal.process.returncode}")
        piped.seek(0)
        events = [json.loads(line) for line in piped]
        check(any(event["type"] == "hit" for event in events), "no JSON lines beside the terminal")


# ---- the library, as others use it ----

PROGRAM = r"""#include <pickglass/pickglass.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct seen {
    pick_run *run;
    int hits;
};

static void on_event(void *ctx, const pick_event *event) {
    struct seen *seen = ctx;
    const char *text;
    size_t len;
    int64_t line = 0;
    printf("event %s\n", pick_event_type(event));
    if (strcmp(pick_event_type(event), "hit"))
        return;
    if (pick_value_text(pick_event_value(event, "values.key"), &text, &len) &&
        pick_value_int(pick_event_value(event, "location.line"), &line) && line > 0)
        printf("key %.*s probe %s seq %d\n", (int)len, text, pick_event_probe(event), (int)pick_event_seq(event));
    char *json = pick_event_json(event);
    printf("json %s\n", json ? json : "none");
    free(json);
    if (++seen->hits == 4)
        pick_run_stop(seen->run, "seen enough");
}

static void in_steps(pick_run *run) {
    pick_error *error = pick_run_start(run);
    struct pollfd poller = {pick_run_fd(run), POLLIN, 0};
    while (!error && pick_run_step(run))
        poll(&poller, 1, 50);
    pick_error_free(error);
}

int main(int argc, char **argv) {
    static const char recipe[] = "recipe: 1\nlimits: {duration: 30s, pause_budget: 100%, max_pause: 20s}\n"
                                 "probes:\n  a: {at: main.lookup, capture: [key]}\n";
    pick_run *run = pick_run_new();
    struct seen seen = {run, 0};
    pick_error *error = pick_run_recipe(run, "inner.yaml", recipe, strlen(recipe));
    if (!error)
        error = pick_run_worker(run, argv[1]);
    if (!error)
        error = pick_run_target(run, "it", argv[2]);
    pick_run_on_event(run, on_event, &seen);
    if (!error && argc > 3)
        in_steps(run);
    int code = error ? pick_error_code(error) : pick_run_all(run, &error);
    if (error)
        printf("error %s\n", pick_error_message(error));
    pick_error_free(error);
    pick_run_free(run);
    printf("code %d hits %d\n", code, seen.hits);
    return 0;
}
"""


def done(*command, **more):
    got = subprocess.run(list(command), capture_output=True, text=True, timeout=120, **more)
    check(got.returncode == 0, f"{command[0]}: {(got.stderr or got.stdout)[-600:]}")
    return got.stdout


def sanitizers():
    options = json.loads(done("meson", "introspect", "--buildoptions", BUILD))
    value = next(option["value"] for option in options if option["name"] == "b_sanitize")
    value = ",".join(value) if isinstance(value, list) else value
    return ["-fsanitize=" + value] if value not in ("none", "") else []


def find_file(folder, name):
    return next(os.path.join(path, name) for path, _, files in os.walk(folder) if name in files)


INSTALLED = {}


def install():
    """The folder of the library as it is installed, and a program that was built against it."""
    if not INSTALLED:
        stage = tempfile.mkdtemp(dir=WORK)
        done("meson", "install", "-C", BUILD, "--no-rebuild", env={**os.environ, "DESTDIR": stage})
        env = {**os.environ, "PKG_CONFIG_SYSROOT_DIR": stage,
               "PKG_CONFIG_PATH": os.path.dirname(find_file(stage, "pickglass.pc"))}
        flags = done("pkg-config", "--cflags", "--libs", "pickglass", env=env).split()
        source = write(PROGRAM, "program.c")
        done("cc", "-std=c11", "-D_POSIX_C_SOURCE=200809L", "-Wall", "-Wextra", "-Werror", "-pedantic",
             *sanitizers(), "-o", source[:-2], source, *flags)
        library = os.path.dirname(find_file(stage, "libpickglass.so"))
        INSTALLED.update(program=source[:-2], stage=stage, library=library,
                         env={**os.environ, "LD_LIBRARY_PATH": library}, include=[f for f in flags if f.startswith("-I")],
                         worker=find_file(stage, "pickglass-worker"))
    return INSTALLED


def missing(*programs):
    return next((f"no {program}" for program in programs if not shutil.which(program)), None)


def test_library(chain):
    lacking = missing("meson", "pkg-config", "cc")
    if lacking or not os.path.exists(os.path.join(BUILD, "meson-private")):
        return lacking or "PICKGLASS is in no build directory"
    installed = install()
    env = installed["env"]
    with ending(httpd(chain)) as server:
        for how in ([], ["in steps"]):
            said = done(installed["program"], installed["worker"], server.uri, *how, env=env)
            code, hits = map(int, re.search(r"^code (\d+) hits (\d+)$", said, re.M).groups())  # some were on their way
            check(code == 0 and 4 <= hits < 100, f"{how}: {said[-400:]}")
            numbers = [int(n) for n in re.findall(r"^key /.* probe a seq (\d+)$", said, re.M)]
            check(numbers == list(range(1, hits + 1)), f"{how}: {said[-400:]}")
            events = re.findall(r"^event (\w+)$", said, re.M)
            check(events[:2] == ["run", "armed"] and events[-2:] == ["end", "end"], f"{how}: {events}")
            shown = [json.loads(line) for line in re.findall(r"^json (.*)$", said, re.M)]
            check([hit["seq"] for hit in shown] == numbers and shown[0]["target"] == "it", f"{how}: {shown[:1]}")
            untouched(server, server.url)
        check("code 1 hits 0" in done(installed["program"], installed["worker"], "dlv://127.0.0.1:none", env=env), "no failure")
        check("error " in done(installed["program"], installed["worker"], "nothing://", env=env), "no error")


def test_installed_program(_chain):
    lacking = missing("meson", "pkg-config", "cc")
    if lacking or not os.path.exists(os.path.join(BUILD, "meson-private")):
        return lacking or "PICKGLASS is in no build directory"
    installed = install()
    names = [os.path.join(path, name) for path, _, files in os.walk(installed["stage"]) for name in files]
    program = next(name for name in names if name.endswith("/bin/pickglass"))
    shown = re.findall(r" [TDBRWV] (\w+)", done("nm", "-D", "--defined-only", installed["library"] + "/libpickglass.so"))
    foreign = [name for name in shown if not name.startswith("pick_")]
    check(shown and not foreign, f"the library shows more than its API: {foreign[:5]}")
    check(done(program, "--version") == pickglass("--version").out, "its version")
    for part in ("/man1/pickglass.1", "/completions/pickglass", "/site-functions/_pickglass"):
        check(any(name.endswith(part) for name in names), f"{part} is not installed")
    for header in ("pickglass", "error", "event", "recipe", "run"):
        for language, standard in (("c", "c99"), ("c++", "c++11")):
            text = write(f"#include <pickglass/{header}.h>\n#include <pickglass/{header}.h>\n", "header.c")
            if language == "c" or shutil.which("c++"):
                done("cc", "-x", language, f"-std={standard}", "-Wall", "-Wextra", "-Werror", "-pedantic",
                     "-fsyntax-only", *installed["include"], text)


# ---- servers that are none, or not as they should be ----

OLD = '{"DelveVersion":"Version: 1.8.3\\nBuild: x","APIVersion":2,"Backend":"native","TargetGoVersion":"go1.17"}'
AT_F = "recipe: 1\nlimits: {hits: 3, pause_budget: 100%, duration: 5s}\nprobes:\n  a: {at: main.f, capture: [n]}\n"
BAD_SERVERS = {  # what it does: the words of the message
    f"GetVersion reply {OLD}": ("Delve 1.8.3", "1.20"),
    "GetVersion garbage": ("does not speak Delve's JSON-RPC", "--headless"),
    "* dap": ("--headless", "DAP|dlv dap|JSON-RPC"),
    "SetApiVersion close": ("closed before it answered", "--headless"),
    "GetVersion stall": ("no answer to GetVersion within 0.5s", "--accept-multiclient"),
    "CreateBreakpoint half": ("no answer to CreateBreakpoint",),
    "continue#2 huge 100000000": ("larger than 32 MiB",),
    "FindLocation wrongid": ("answered request 999999999", "never made"),
    "CreateBreakpoint error Breakpoint exists at 0x1": ("recipe.yaml:4:", "exists"),
    "continue#2 close": ("lost the target", "closed"),
    "State error Process 42 has exited with status 1": ("gone already",),
}


def test_bad_servers(_chain):
    recipe = write(AT_F)
    for fault, words in BAD_SERVERS.items():
        server = Server([FAKEDLV, "--func", "main.f=main.go:10", "--script", write(fault + "\n", "script.fake")])
        try:
            got = run(recipe, server.uri, "--timeout", "500ms", "--connect-timeout", "500ms")
        finally:
            said = server.end()
        check(got.code == (2 if "recipe.yaml" in words[0] else 3), f"{fault}: exit {got.code}: {got.err[-300:]}")
        lacking = [word for word in words if not re.search(word, got.err)]
        check(not lacking, f"{fault}: no {lacking} in {got.err[-400:]}")
        check("recipe.yaml" in words[0] or server.address in got.err, f"{fault}: it does not say where: {got.err[-300:]}")
        check(len(got.err.splitlines()) < 4, f"{fault}: more than one message: {got.err[-600:]}")
        check(server.process.returncode != 3, f"{fault}: a call that wedges: {said}")


def test_not_a_delve(chain):
    """Real servers of another kind: of DAP, and of HTTP."""
    log = tempfile.TemporaryFile("w+")
    dap = subprocess.Popen([chain.dlv, "dap", "--listen=127.0.0.1:0"], stdout=log, stderr=subprocess.STDOUT)
    web = httpd(chain)
    try:
        def address():
            log.seek(0)
            return re.search(r"listening at: (\S+)", log.read())
        places = [until(address, 10, "dlv dap does not listen").group(1), web.url.split("/")[2]]
        for place in places:
            got = run(AT_F, "dlv://" + place, "--timeout", "1s", "--connect-timeout", "500ms")
            check(got.code == 3 and place in got.err and "headless" in got.err, f"{place}: {got.code} {got.err[-300:]}")
        untouched(web, web.url)
    finally:
        web.end()
        dap.terminate()
        dap.wait(10)


# ---- killed after each request ----

def requests(client):
    """The bytes of each request, as soon as it is whole."""
    decoder, text = json.JSONDecoder(), ""
    while True:
        try:
            data = client.recv(65536)
        except OSError:
            return
        if not data:
            return
        text += data.decode("latin-1")  # only where they end is of interest
        while text.strip():
            text = text.lstrip()
            try:
                _, end = decoder.raw_decode(text)
            except ValueError:
                break
            yield text[:end].encode("latin-1") + b"\n"
            text = text[end:]


class Proxy:
    """Stands before a server, and kills the process victim() right after the n-th request has passed."""

    def __init__(self, address):
        self.there = address.rsplit(":", 1)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.uri = "dlv://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.lock, self.passed, self.victim = threading.Lock(), 0, None

    def kill_after(self, n, victim):
        self.n, self.victim_of = n, victim
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.victim = self.victim or self.victim_of()
            server = socket.create_connection((self.there[0], int(self.there[1])))
            threading.Thread(target=self.pass_requests, args=(client, server), daemon=True).start()
            threading.Thread(target=self.pass_answers, args=(server, client), daemon=True).start()

    def pass_requests(self, client, server):
        with contextlib.suppress(OSError):
            for request in requests(client):
                server.sendall(request)
                with self.lock:
                    self.passed += 1
                    if self.passed == self.n:
                        os.kill(self.victim, signal.SIGKILL)
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)

    def pass_answers(self, server, client):
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                client.sendall(data)
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


HOT = "recipe: 1\n" + FREE + "probes:\n  hot: {at: main.lookup, capture: [key], registers: true, max_hits: 2}\n" \
      "  call: {call: main.quick, capture: {path: r.URL.Path}, max_hits: 2}\n"


def untouched_at_last(server):
    """The server may begin with the last continue of a run that has gone after our halt: we look again."""
    for _ in range(2):
        with contextlib.suppress(TimeoutError):
            untouched(server, server.url)
            return
    untouched(server, server.url)


def killed_after(n, server, recipe, victim_of, code_then):
    """Was it? False where the run was over before its n-th request."""
    mark, proxy = f"{os.getpid()}-{n}-{time.monotonic_ns()}", Proxy(server.address)
    process = subprocess.Popen([PICKGLASS, "run", recipe, proxy.uri, "-q"], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, start_new_session=True,
                               env={**os.environ, MARK: mark})
    try:
        proxy.kill_after(n, lambda: victim_of(process))
        code = process.wait(20)
        check(code in (0, code_then), f"it ended with {code}")
        nothing_left(mark)
        untouched_at_last(server)
        return code != 0
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        end_marked(mark)
        proxy.close()


def killed_after_each(chain, victim_of, code_then):
    """Of a whole run: the handshake, the places, arming, hits and what is read at them, disarming, the last continue."""
    recipe, n = write(HOT), 1
    with ending(httpd(chain)) as server:
        try:
            while killed_after(n, server, recipe, victim_of, code_then):
                n += 1
                check(n < 100, "the run does not come to its end")
        except Exception as why:
            raise Failed(f"killed after request {n}: {type(why).__name__} {why}") from why
    check(n > 20, f"a whole run has no more than {n} requests")


def test_killed_after_each_request(chain):
    killed_after_each(chain, lambda process: process.pid, -signal.SIGKILL)


def test_worker_killed_after_each_request(chain):
    killed_after_each(chain, worker_of, 3)


# ---- completions and the manual ----

COMMANDS = ("run", "trace", "check", "list", "schema")


def completed(*words):
    script = os.path.join(ROOT, "completions", "pickglass.bash")
    text = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _pickglass; printf "%s\\n" "${COMPREPLY[@]}"'
    return done("bash", "-c", text, "bash", script, *words, cwd=tempfile.mkdtemp(dir=WORK)).split()


def options_of(command):
    return re.findall(r"^ +(?:-\w, +)?(--[a-z-]+)", pickglass(command, "--help").out, re.M)


def test_completions(_chain):
    if missing("bash"):
        return missing("bash")
    done("bash", "-n", os.path.join(ROOT, "completions", "pickglass.bash"))
    if shutil.which("zsh"):
        done("zsh", "-n", os.path.join(ROOT, "completions", "_pickglass"))
    check(completed("pickglass", "ru") == ["run"], f"ru: {completed('pickglass', 'ru')}")
    check(set(COMMANDS) <= set(completed("pickglass", "")), f"{completed('pickglass', '')}")
    check(completed("pickglass", "list", "dlv://127.0.0.1:1", "func") == ["functions"], "func")
    check(completed("pickglass", "schema", "ev") == ["event"], "schema ev")
    for command in COMMANDS:
        offered, wanted = completed("pickglass", command, "--"), options_of(command)
        check(wanted or command not in ("run", "trace"), f"{command} --help shows no options")
        lacking = sorted(set(wanted) - set(offered))
        check(not lacking, f"{command}: not completed: {lacking}")


def test_manual(_chain):
    if missing("groff"):
        return missing("groff")
    path = os.path.join(ROOT, "docs", "man", "pickglass.1")
    got = subprocess.run(["groff", "-man", "-ww", "-Tutf8", path], capture_output=True, text=True, timeout=60)
    check(got.returncode == 0 and not got.stderr, f"warnings: {got.stderr[:400]}")
    text = re.sub(r"\x1b\[[0-9;]*m|.\x08", "", got.stdout).replace("‐", "-").replace("−", "-")
    lacking = [option for command in COMMANDS for option in options_of(command)
               if option not in text and option != "--help"]
    check(not lacking, f"not in the manual: {sorted(set(lacking))}")


# ---- through a real sshd ----

SSHD = """Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
"""
SSH = """#!/bin/sh
exec {ssh} -F {folder}/config "$@"
"""
CONFIG = """Host box
  HostName 127.0.0.1
  Port {port}
  IdentityFile {folder}/user
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known
  StrictHostKeyChecking accept-new
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextlib.contextmanager
def sshd():
    """A server with keys and settings of its own; yields the folder with a program `ssh` that knows it as `box`."""
    folder, port = tempfile.mkdtemp(dir=WORK), free_port()
    os.makedirs("/run/sshd", exist_ok=True)  # where it confines itself before a login
    for name in ("host", "user"):
        done("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", os.path.join(folder, name))
    for name, text in (("sshd", SSHD), ("config", CONFIG), ("ssh", SSH)):
        with open(os.path.join(folder, name), "w") as file:
            file.write(text.format(folder=folder, port=port, ssh=shutil.which("ssh")))
    os.chmod(os.path.join(folder, "ssh"), 0o755)
    process = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", os.path.join(folder, "sshd")],
                               stderr=open(os.path.join(folder, "log"), "w"))
    try:
        def listens():
            check(process.poll() is None, "sshd has ended")
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0
        until(listens, 10, "sshd does not listen")
        yield folder
    finally:
        process.terminate()
        process.wait(10)


def test_through_ssh(chain):
    if os.geteuid() or not os.path.exists("/usr/sbin/sshd") or missing("ssh", "ssh-keygen"):
        return "no sshd that may be started"
    with sshd() as folder, ending(httpd(chain)) as server:
        env = {"PATH": folder + ":" + os.environ["PATH"]}
        got = run(LOOKUPS, f"dlv+ssh://box/{server.address}", env=env)
        check(got.code == 0 and len(got.hits()) == 3, f"exit {got.code}: {got.err[-300:]}")
        untouched(server, server.url)
        got = run(LOOKUPS, "dlv+ssh://box/127.0.0.1:1", "--connect-timeout", "300ms", env=env)
        check(got.code == 3 and "refused" in got.err, f"nobody there: exit {got.code}: {got.err[-300:]}")
        got = run(LOOKUPS, f"dlv+ssh://nobody-of-that-name@box/{server.address}", "--connect-timeout", "300ms", env=env)
        check(got.code == 3 and "Permission denied" in got.err, f"no login: exit {got.code}: {got.err[-300:]}")


# ---- all of them ----

WITHOUT_SERVER = {"bad_servers", "installed_program", "completions", "manual"}
ON_ONE = {"text_columns", "text_on_a_terminal", "text_without_colour", "status_beside_a_pipe", "library",
          "interrupt_with_a_stuck_reader", "interrupt_frees_a_waiting_target",
          "backpressure_loses_no_hit_of_a_launched_target", "cut_tells_the_pause",
          "through_ssh", "a_started_server_that_ends_early", "worker_killed_after_each_request", "not_a_delve", "restart_at_a_hit", "restart_while_halted_is_told"}  # what the version of Delve does not matter for


def cases():
    chains = find_toolchains()
    for name, test in list(globals().items()):
        name = name[5:] if name.startswith("test_") else None
        if name in WITHOUT_SERVER:
            yield name, test, None
        for chain in chains[:1] if name in ON_ONE else chains if name and name not in WITHOUT_SERVER else []:
            yield f"{name} {chain.name}", test, chain
    if not chains:
        yield "live", lambda _: "no pair of dlv and go that fit each other", None


if __name__ == "__main__":
    run_all(cases())
