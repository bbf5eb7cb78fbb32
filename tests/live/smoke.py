#!/usr/bin/env python3
"""The main job on every real Delve that is there: recipes run, values are true, nothing is harmed.

Prints `ok NAME`, `FAIL NAME: why` or `skip NAME: why` a test, and `N passed, N failed, N skipped` last.
Arguments are parts of test names to run. PICKGLASS and FAKEDLV are the programs under test."""
import calendar, json, os, re, shutil, signal, socket, subprocess, sys, tempfile, time, urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
from eventschema import wrong_events
PICKGLASS = os.environ.get("PICKGLASS", os.path.join(ROOT, "build", "src", "pickglass"))
FAKEDLV = os.environ.get("FAKEDLV", os.path.join(ROOT, "build", "tests", "fakedlv"))
WORK = tempfile.mkdtemp(prefix="pickglass-live-")


class Failed(Exception):
    pass


def check(condition, why):
    if not condition:
        raise Failed(why)


# ---- toolchains: pairs of Go and Delve that fit ----

def output(*command, env=None):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60, env=env).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def version(text, pattern):
    found = re.search(pattern, text)
    return tuple(int(part) for part in found.groups()) if found else None


class Toolchain:
    def __init__(self, name, dlv, go, env):
        self.name, self.dlv, self.go, self.env = name, dlv, go, env
        self.built = {}

    def build(self, fixture, *flags):
        key = (fixture,) + flags
        if key not in self.built:
            path = os.path.join(WORK, f"{self.name}-{fixture}-{len(self.built)}")
            subprocess.run([self.go, "build", *flags, "-o", path, "./" + fixture], check=True, timeout=300,
                           cwd=os.path.join(ROOT, "fixtures", "go"), env=self.env)
            self.built[key] = path
        return self.built[key]


def find_toolchains():
    plain = {**os.environ, "GOFLAGS": "-buildvcs=false"}
    old = {**plain, "GOROOT": "", "GOTOOLCHAIN": "local"}
    gos = [(path, env) for path, env in ((shutil.which("go"), plain), ("/usr/lib/go-1.19/bin/go", old))
           if path and os.path.exists(path)]
    dlvs = {os.path.realpath(path) for path in (os.environ.get("DLV_NEW"), shutil.which("dlv"), "/usr/bin/dlv")
            if path and os.path.exists(path)}
    found = []
    for dlv in sorted(dlvs):
        minor = version(output(dlv, "version"), r"Version: 1\.(\d+)")
        for go, env in gos:
            go_minor = version(output(go, "version", env=env), r"go1\.(\d+)")
            if minor and go_minor and (minor[0] - 2 <= go_minor[0] <= minor[0]):
                found.append(Toolchain(f"delve1.{minor[0]}-go1.{go_minor[0]}", dlv, go, env))
                break
    return found


# ---- servers, started by us and ended by pid ----

class Server:
    def __init__(self, command, **more):
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT,
                                        start_new_session=True, **more)
        self.address = self.wait_for(r"API server listening at: (\S+)")

    def wait_for(self, pattern, seconds=30):
        deadline = time.time() + seconds
        while time.time() < deadline:
            self.log.seek(0)
            found = re.search(pattern, self.log.read())
            if found:
                return found.group(1)
            check(self.process.poll() is None, f"the server ended: {self.said()}")
            time.sleep(0.01)
        raise Failed(f"the server never said {pattern}: {self.said()}")

    def said(self):
        self.log.seek(0)
        return self.log.read()[-400:]

    @property
    def uri(self):
        return "dlv://" + self.address

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.said()


class Rpc:
    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=10)
        self.file, self.id = self.socket.makefile("rb"), 0
        self.call("SetApiVersion", APIVersion=2)

    def send(self, method, **params):
        self.id += 1
        request = {"method": "RPCServer." + method, "params": [params], "id": self.id}
        self.socket.sendall(json.dumps(request).encode())

    def call(self, method, **params):
        self.send(method, **params)
        return json.loads(self.file.readline())


def state_of(server):
    """Is it running, and which breakpoints of ours are left? Leaves it as it was."""
    rpc = Rpc(server.address)
    running = rpc.call("State", NonBlocking=True)["result"]["State"]["Running"]
    if running:
        rpc.call("Command", name="halt")
    names = [b["name"] for b in rpc.call("ListBreakpoints")["result"]["Breakpoints"]]
    if running:
        rpc.send("Command", name="continue")
    deadline = time.time() + 5
    while running and time.time() < deadline:
        if Rpc(server.address).call("State", NonBlocking=True)["result"]["State"]["Running"]:
            break
    return running, [name for name in names if name.startswith("pg")]


def untouched(server, url=None):
    deadline = time.time() + 8
    while True:  # the worker may still be at it when its main was killed
        running, ours = state_of(server)
        if running and not ours or time.time() > deadline:
            break
    check(running, "the target was left stopped")
    check(not ours, f"breakpoints are left: {ours}")
    if url:
        check(urllib.request.urlopen(url, timeout=5).status == 200, "the service does not answer")


def httpd(chain, load=50, single=False, run=True):
    flags = [] if single else ["--accept-multiclient"] + (["--continue"] if run else [])
    server = Server([chain.dlv, "exec", chain.build("httpd"), "--headless", "--api-version=2",
                     "--listen=127.0.0.1:0", *flags, "--", "-load", str(load)])
    if run and not single:
        server.url = server.wait_for(r"listening on (\S+)") + "/cart"
        state_of(server)  # the first halt reads all of the debug info: that has taken 4 s on a busy machine
    return server


# ---- pickglass ----

class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err
        self.events = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
        spoke = re.search(r"ERROR: \w+Sanitizer|\.[ch]:\d+:\d+: runtime error", err)
        check(not spoke, "a sanitizer spoke: " + err[:1500])
        wrong = wrong_events(self.events, PICKGLASS)
        check(not wrong, f"events that the schema refuses: {wrong[:2]}")

    def hits(self, probe=None):
        return [e for e in self.events if e["type"] in ("hit", "log") and (not probe or e["probe"] == probe)]

    def of(self, kind):
        return [e for e in self.events if e["type"] == kind]

    def account(self):
        return {p["probe"]: p for e in self.of("end") if "probes" in e for p in e["probes"]}


def write(text, name="recipe.yaml"):
    path = os.path.join(tempfile.mkdtemp(dir=WORK), name)
    with open(path, "w") as file:
        file.write(text)
    return path


def pickglass(*args, timeout=60, env=None, **more):
    done = subprocess.run([PICKGLASS, *args], capture_output=True, text=True, timeout=timeout,
                          env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, **more)
    return Result(done.returncode, done.stdout, done.stderr)


def run(recipe, *args, **more):
    if "\n" in recipe:
        recipe = write(recipe)
    return pickglass("run", recipe, "-q", *args, **more)


FREE = "limits: {duration: 20s, pause_budget: 100%, max_pause: 5s}\n"


# ---- values ----

LOOSE = {"$ptr", "$func", "$chan"}
BEYOND = {  # what Delve itself does not tell
    "Float32NegZero": "Delve sends 0", "Float64NegZero": "Delve sends 0", "ComplexNaN": "an $error"}


def same(want, got):
    if isinstance(want, dict) and len(want) == 1 and next(iter(want)) in LOOSE:
        return isinstance(got, dict) and list(got) == list(want)
    if isinstance(want, dict):
        return isinstance(got, dict) and want.keys() == got.keys() and all(same(want[k], got[k]) for k in want)
    if isinstance(want, list):
        if not isinstance(got, list) or len(want) != len(got):
            return False
        return all(same(a, b) for a, b in zip(want, got)) or \
            all(any(same(a, b) for b in got) for a in want)  # pairs of a map have no order
    return want == got and isinstance(want, bool) == isinstance(got, bool)


def test_values(chain):
    program = chain.build("kinds")
    want = json.loads(output(program, "-expect"))
    captures = ", ".join(f"{name}: k.{name}" for name in want)
    recipe = f"recipe: 1\nlimits: {{max_pause: 5s}}\nprobes:\n  see: {{at: main.see, max_hits: 1, capture: {{{captures}}}}}\n"
    got = run(recipe, f"dlv+exec:{chain.dlv} exec {program} -- -n 100", "--kill-launched")
    check(got.code == 0 and got.hits(), f"exit {got.code}: {got.err[-300:]}")
    values = got.hits()[0]["values"]
    wrong = [f"{name}: want {json.dumps(want[name])[:120]} got {json.dumps(values.get(name))[:120]}"
             for name in want if name not in BEYOND and not same(want[name], values.get(name))]
    check(not wrong, "; ".join(wrong[:4]))
    check(len(want) > 80, "the fixture shows too little")


# ---- calls, exits, panics ----

def test_calls_are_counted_and_paired(chain):
    probes = {"fib": "fib", "work": "work", "fails": "fails", "multi": "multi", "recovers": "recovers",
              "thrower": "thrower"}
    text = "recipe: 1\nprobes:\n" + "".join(f"  {p}: {{call: main.{f}}}\n" for p, f in probes.items())
    text += "  returns: {return_of: main.recovers}\n"
    got = run(text, f"dlv+exec:{chain.dlv} exec {chain.build('calls')} -- -rounds 3")
    counts = json.loads([line for line in got.err.splitlines() if line.startswith("{")][-1])
    counts = {key.lower(): n for key, n in counts.items()}
    account = got.account()
    for probe in probes:
        check(account[probe]["hits"] == counts[probe], f"{probe}: {account[probe]} of {counts[probe]}")
        paired = counts[probe] if probe != "thrower" else 0
        check(account[probe]["emitted"] == paired, f"{probe}: {account[probe]['emitted']} paired")
    check(account["returns"]["hits"] == counts["recovers"], f"returns: {account['returns']}")
    check(account["thrower"]["unpaired"] == counts["thrower"], "calls that a panic ended are unpaired")
    for hit in got.hits("work"):
        check(hit["elapsed_ns"] - hit["paused_ns"] < 1e9 and hit["elapsed_ns"] > 1e6, "elapsed is off")
    check(got.of("exit")[0]["status"] == 0, "the exit status")


def test_results_without_optimisation(chain):
    text = "recipe: 1\nprobes:\n  multi: {call: main.multi, capture: {n: n}, at_return: {all: return, sum: sum}}\n"
    program = chain.build("calls", "-gcflags=all=-N -l")
    got = run(text, f"dlv+exec:{chain.dlv} exec {program} -- -rounds 2")
    check(len(got.hits()) == 2, f"{len(got.hits())} hits")
    for hit in got.hits():
        values = hit["values"]
        check(values["sum"] == values["all"]["sum"] and values["all"]["name"] == "multi", str(values))


def test_results_that_delve_has_not(chain):
    program = chain.build("foreign", "-gcflags=all=-N -l")
    got = run("recipe: 1\nprobes:\n  c: {call: doubled, at_return: [return]}\n  go: {call: main.cross, at_return: [return]}\n",
              f"dlv+exec:{chain.dlv} exec {program}", "--kill-launched")
    check([hit["values"]["return"] for hit in got.hits("go")] == [3, 4, 5], got.hits("go"))
    check(got.hits("c") and all("function of C" in hit["values"]["return"]["$error"] for hit in got.hits("c")), got.hits("c"))
    for probe in "call: main.cross, at_return: {r: return, e: return.err}", "return_of: main.cross, capture: [2 + return]", \
                 "return_of: main.cross, when: return > 1":
        for command in "check", "run":
            got = pickglass(command, write(f"recipe: 1\nprobes:\n  a: {{{probe}}}\n"), f"dlv+exec:{chain.dlv} exec {program}")
            check(got.code == 2 and "stands alone" in got.err and "recipe.yaml:3:" in got.err, f"{command} {probe}: {got.code} {got.err[-300:]}")
    got = run("recipe: 1\nprobes:\n  a: {call: main.cross, at_return: {r: return, text: '\"return \" + \"x\"'}}\n",
              f"dlv+exec:{chain.dlv} exec {program}", "--kill-launched")
    check(got.code == 0 and got.hits()[0]["values"] == {"r": 3, "text": "return x"}, f"{got.code} {got.err[-300:]}")


def test_endings(chain):
    text = "recipe: 1\nprobes:\n  panic: {panic: true, stack: 8}\n  exit: {exit: true}\n"
    for mode, field, value, panics in (("unrecovered", "status", 2, 1), ("nilptr", "status", 2, 1),
                                       ("fatal", "status", 2, 1), ("exit3", "status", 3, 0),
                                       ("killed", "signal", 9, 0)):
        got = run(text, f"dlv+exec:{chain.dlv} exec {chain.build('panics')} -- -mode {mode}")
        check(got.code == 0, f"{mode}: exit {got.code}")
        check(got.of("exit")[0].get(field) == value, f"{mode}: {got.of('exit')}")
        check(len(got.hits("panic")) == panics, f"{mode}: {len(got.hits('panic'))} panics")
        if panics:
            check(any("main.end" in f["function"] for f in got.hits("panic")[0]["stack"]), f"{mode}: its stack")


# ---- filters ----

def seconds_of(event):
    text = event["time"]
    return calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")) + float("0" + text[19:-1])


def test_filters_at_shared_places(chain):
    server = httpd(chain)
    try:
        got = run("recipe: 1\n" + FREE.replace("20s", "3s") + """probes:
  carts: {at: main.lookup, when: key == "/cart", capture: [key], max_hits: 3}
  slow: {at: main.lookup, when: 'key == "/slow"', capture: {key: key}}
  third: {at: main.count, hit_cond: '% 3', rate: 4/s}
  every: {at: main.(*ringBuffer).read, every: 500ms, capture: {r: b.readIndex}}
  named: {at: {match: '^main\\.(quick|slow)$'}, capture: {path: r.URL.Path}, keep: 'matches(path, "^/s")'}
  after: {at: main.count, after: {probe: slow, within: 1s}, max_hits: 2}
""", server.uri)
        check(got.code == 0, f"exit {got.code}: {got.err[-300:]}")
        account = got.account()
        check([h["values"]["key"] for h in got.hits("carts")] == ["/cart"] * 3, "carts")
        check(got.hits("slow") and {h["values"]["key"] for h in got.hits("slow")} == {"/slow"}, "slow")
        third, every = [[seconds_of(h) for h in got.hits(name)] for name in ("third", "every")]
        windows = int((third[-1] - third[0]) * 1.02 + 0.05) + 1  # a second each, from its first hit on
        check(len(third) <= 4 * windows, f"rate: {third}")
        check(len(every) >= 3 and all(b - a > 0.45 for a, b in zip(every, every[1:])), f"every: {every}")
        reads = [h["values"]["r"] for h in got.hits("every")]
        check(all(b - a > 2 for a, b in zip(reads, reads[1:])), f"it does not run on in between: {reads}")
        check(got.hits("named") and all(h["values"]["path"].startswith("/s") for h in got.hits("named")), "keep")
        check(account["after"]["hits"] == 2, f"after: {account['after']}")
        untouched(server, server.url)
    finally:
        server.end()


def test_watch(chain):
    server = httpd(chain)
    try:
        got = run("recipe: 1\n" + FREE + "probes:\n  c: {watch: main.counter, max_hits: 5, keep: new > old}\n", server.uri)
        check([h["values"]["new"] - h["values"]["old"] for h in got.hits()] == [1] * 5, f"{got.err[-300:]}")
        mixed = run("recipe: 1\nprobes:\n  c: {watch: main.counter}\n  a: {at: main.count}\n", server.uri)
        check(mixed.code == 2 and ":3:" in mixed.err, "a watch beside code probes is refused at its line")
        untouched(server, server.url)
    finally:
        server.end()


def test_timer_and_goroutines(chain):
    server = httpd(chain)
    try:
        got = run("recipe: 1\n" + FREE + "probes:\n  t: {timer: 100ms, capture: [main.counter], goroutines: true, max_hits: 3}\n",
                  server.uri)
        counts = [h["values"]["main.counter"] for h in got.hits()]
        check(len(counts) == 3 and counts == sorted(counts), f"{counts} {got.err[-300:]}")
        check(all(h["goroutines"] for h in got.hits()), "goroutines")
    finally:
        server.end()


# ---- safety ----

HOT = "recipe: 1\n" + FREE + "probes:\n  hot: {at: main.lookup, capture: [key]}\n"


def start(*args, **more):
    process = subprocess.Popen([PICKGLASS, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               stdin=subprocess.DEVNULL, start_new_session=True, text=True, **more)
    for line in process.stdout:
        if '"type":"hit"' in line:
            return process
    raise Failed("no hit came: " + process.stderr.read()[-300:])


def finish(process):
    try:
        out, err = process.communicate(timeout=15)
    except subprocess.TimeoutExpired:
        process.kill()
        raise Failed("it does not end")
    return process.returncode, out, err


def worker_of(process):
    children = output("pgrep", "-P", str(process.pid)).split()
    check(children, "there is no worker")
    return int(children[0])


def test_whatever_dies_the_target_lives(chain):
    deaths = {
        "interrupt": lambda p: p.send_signal(signal.SIGINT),
        "terminate": lambda p: p.send_signal(signal.SIGTERM),
        "kill": lambda p: p.kill(),
        "kill the group": lambda p: os.killpg(p.pid, signal.SIGKILL),
        "kill the worker": lambda p: os.kill(worker_of(p), signal.SIGKILL),
        "close stdout": lambda p: p.stdout.close(),
    }
    server = httpd(chain)
    recipe = write(HOT)
    try:
        for name, die in deaths.items():
            process = start("run", recipe, server.uri, "-q")
            die(process)
            code = process.wait(15) if name == "close stdout" else finish(process)[0]
            wanted = {"interrupt": 0, "terminate": 0, "kill the worker": 3, "close stdout": 3}.get(name, -9)
            check(code == wanted, f"{name}: exit {code}")
            untouched(server, server.url)
    finally:
        server.end()


def test_full_disk(chain):
    if not os.path.exists("/dev/full"):
        return "no /dev/full"
    server = httpd(chain)
    try:
        got = run(HOT, server.uri, "-o", "jsonl:/dev/full")
        check(got.code == 3 and "No space left" in got.err, f"{got.code} {got.err[-300:]}")
        untouched(server, server.url)
    finally:
        server.end()


def test_somebody_elses_stop(chain):
    server = httpd(chain)
    try:
        rpc = Rpc(server.address)
        rpc.call("Command", name="halt")
        rpc.call("CreateBreakpoint", Breakpoint={"name": "theirs", "functionName": "main.fail", "line": -1})
        got = run(HOT, server.uri)
        check(got.code == 3 and "--resume" in got.err, f"found stopped: {got.code} {got.err[-200:]}")
        process = subprocess.Popen([PICKGLASS, "run", write(HOT.replace("20s", "6s")), server.uri, "-q", "--resume"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        seen = []
        for line in process.stdout:
            event = json.loads(line)
            seen.append(event)
            if event["type"] == "error" and "somebody else" in event["message"]:
                break
        stopped = Rpc(server.address).call("State", NonBlocking=True)["result"]["State"]
        check(not stopped["Running"], "their stop was resumed")
        other = Rpc(server.address)
        other.call("ClearBreakpoint", Name="theirs")
        other.send("Command", name="continue")
        rest = [json.loads(line) for line in process.stdout]
        check(process.wait(20) == 0, "the run's exit")
        check([e for e in rest if e["type"] == "hit"], "it did not go on after they had resumed")
        untouched(server, server.url)
    finally:
        server.end()


def test_leftovers_of_a_crash(chain):
    server = httpd(chain)
    try:
        process = start("run", write(HOT), server.uri, "-q")
        os.kill(process.pid, signal.SIGSTOP)  # it cannot repair
        os.kill(worker_of(process), signal.SIGKILL)
        process.kill()
        finish(process)
        got = run("recipe: 1\nlimits: {hits: 2, pause_budget: 100%}\nprobes:\n  a: {at: main.lookup}\n", server.uri, "--resume")
        check(got.code == 0 and len(got.hits()) == 2, f"{got.code} {got.err[-300:]}")
        check("had left behind" in got.out, "it says that it cleared them")
        untouched(server, server.url)
    finally:
        server.end()


def until_running(server):
    deadline = time.time() + 10
    while not Rpc(server.address).call("State", NonBlocking=True)["result"]["State"]["Running"]:
        check(time.time() < deadline, "dlv --continue never did")


def test_pause_budget(chain):
    server = Server([chain.dlv, "exec", chain.build("loop"), "--headless", "--accept-multiclient", "--continue",
                     "--api-version=2", "--listen=127.0.0.1:0"])
    try:
        until_running(server)
        got = run("recipe: 1\nlimits: {duration: 4s}\nprobes:\n  hot: {at: main.traceMe, capture: [n]}\n", server.uri)
        end = [e for e in got.of("end") if "probes" in e][0]
        share = end["paused_ns"] / end["duration_ns"]
        check(share < 0.08, f"held {share:.1%} of the time")
        check(got.hits() and any(t["limit"] == "pause_budget" and t.get("probe") == "hot" for t in got.of("trip")),
              f"{len(got.hits())} hits, trips {got.of('trip')[:2]}")
        failing = run("recipe: 1\nlimits: {duration: 10s, pause_budget: {is: 1%, do: fail}}\nprobes:\n  hot: {at: main.traceMe}\n", server.uri)
        check(failing.code == 5, f"do: fail: exit {failing.code}")
        untouched(server)
    finally:
        server.end()


def test_secrets(chain):
    server = httpd(chain)
    try:
        got = run("recipe: 1\n" + FREE + """params: {hidden: {type: string, secret: true}}
redact: [path]
probes:
  a: {at: net/http.serverHandler.ServeHTTP, when: 'req.URL.Path != ${hidden}', capture: {u: req.URL, h: req.Header, agent: 'req.Header["User-Agent"]'}, max_hits: 2}
""", server.uri, "-p", "hidden=s3cr3t-value", env={"PICKGLASS_LOG": "all:2"})
        check(len(got.hits()) == 2, got.err[-300:])
        check("s3cr3t-value" not in got.out + got.err, "the secret is shown")
        made = run("recipe: 1\n" + FREE + """params: {hidden: {type: string, secret: true}, pin: {type: int, secret: true, default: 123456}}
probes:
  a: {at: main.lookup, capture: {pin: '${pin}', n: 'len(key) + ${pin}', len: len(key)}, log: 'is it {${hidden}}, {len}', max_hits: 2}
""", server.uri, "-p", "hidden=s3cr3t-value")
        said = made.of("log")
        check(len(said) == 2 and said[0]["message"].startswith("is it ***, "), f"{said} {made.err[-300:]}")
        check(said[0]["values"]["pin"] == said[0]["values"]["n"] == {"$redacted": True} and said[0]["values"]["len"] > 0, said[0]["values"])
        check(not re.search("s3cr3t-value|1234(56|57|58|59|6[0-9])", re.sub(r'"(run|time)":"[^"]*"', "", made.out) + made.err), "a secret is shown")
        check(got.hits()[0]["values"]["u"]["Path"] == {"$redacted": True}, str(got.hits()[0]["values"]["u"]))
    finally:
        server.end()


# ---- several recipes ----

def test_recipes_run_together(chain):
    server = httpd(chain)
    try:
        first = write("recipe: 1\nname: one\nlimits: {duration: 20s, pause_budget: 100%}\nprobes:\n  a: {at: main.lookup, max_hits: 3}\n", "one.yaml")
        second = write("recipe: 1\nparams: {word: {type: string}}\nprobes:\n  b: {at: main.lookup, when: 'key == ${word}', "
                       "capture: [key], max_hits: 2}\n", "two.yaml")
        got = run(first, second, server.uri, "-p", "word=/cart")
        check(got.code == 0 and len(got.of("run")) == 1, f"exit {got.code}: {got.err[-300:]}")
        check(len(got.hits("a")) == 3 and [h["values"]["key"] for h in got.hits("b")] == ["/cart"] * 2, str(got.account()))
        order = [h["probe"] for h in got.hits()]
        check([h["seq"] for h in got.hits()] == [1, 2, 3, 4, 5] and "b" in order[:4], f"one after the other: {order}")
        wrong = run(first, first, server.uri)
        check(wrong.code == 2 and "different names" in wrong.err and "one.yaml:5:3" in wrong.err, wrong.err[-300:])
        there = write("recipe: 1\nprobes:\n  c: {at: main.lokup}\n", "three.yaml")
        wrong = run(first, there, server.uri, "-q")
        check(wrong.code == 2 and "three.yaml:3:" in wrong.err, wrong.err[-300:])
        untouched(server, server.url)
    finally:
        server.end()


# ---- many targets, transports ----

def test_many_targets(chain):
    servers = [httpd(chain) for _ in range(2)]
    try:
        got = run("recipe: 1\nlimits: {hits: 5, pause_budget: 100%}\nprobes:\n  a: {at: main.lookup}\n",
                  *[f"s{i}={s.uri}" for i, s in enumerate(servers)], "dead=dlv://127.0.0.1:1", "--connect-timeout", "300ms")
        check(got.code == 3, f"exit {got.code}")
        for i in range(2):
            hits = [h for h in got.hits() if h["target"] == f"s{i}"]
            check([h["seq"] for h in hits] == [1, 2, 3, 4, 5], f"s{i}: {len(hits)} hits")
        check(any(e.get("target") == "dead" and "connecting" in e.get("error", "") for e in got.of("end")), "dead")
        for server in servers:
            untouched(server, server.url)
    finally:
        for server in servers:
            server.end()


RELAY = """import socket, sys, threading
host, port = sys.argv[1].rsplit(':', 1)
s = socket.create_connection((host, int(port)))
def copy():
    while True:
        data = s.recv(65536)
        if not data: break
        sys.stdout.buffer.write(data); sys.stdout.buffer.flush()
threading.Thread(target=copy, daemon=True).start()
while True:
    data = sys.stdin.buffer.raw.read(65536)
    if not data: break
    s.sendall(data)
"""


def test_transports(chain):
    server = httpd(chain)
    relay = write(RELAY, "relay.py")
    bin_dir = tempfile.mkdtemp(dir=WORK)
    ssh = os.path.join(bin_dir, "ssh")
    with open(ssh, "w") as file:
        file.write(f'#!/bin/sh\n[ "$*" = "-o BatchMode=yes -p 2222 -W {server.address} me@box" ] || exit 9\n'
                   f'exec {sys.executable} {relay} {server.address}\n')
    os.chmod(ssh, 0o755)
    recipe = "recipe: 1\nlimits: {hits: 3, pause_budget: 100%}\nprobes:\n  a: {at: main.lookup, capture: [key]}\n"
    try:
        for uri in (f"dlv+pipe:{sys.executable} {relay} {server.address}", f"dlv+ssh://me@box:2222/{server.address}"):
            got = run(recipe, uri, env={"PATH": bin_dir + ":" + os.environ["PATH"]})
            check(got.code == 0 and len(got.hits()) == 3, f"{uri}: {got.code} {got.err[-300:]}")
            untouched(server, server.url)
    finally:
        server.end()
    if "1.20" in chain.name:
        return
    path = os.path.join(WORK, "dlv.sock")
    server = subprocess.Popen([chain.dlv, "exec", chain.build("httpd"), "--headless", "--accept-multiclient",
                               "--listen=unix:" + path, "--", "-load", "50"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        got = run(recipe, "dlv+unix:" + path)
        check(got.code == 0 and len(got.hits()) == 3, f"unix: {got.code} {got.err[-300:]}")
    finally:
        server.terminate()
        server.wait(10)


def test_attach(chain):
    program = subprocess.Popen([chain.build("httpd"), "-load", "50"], stdout=subprocess.PIPE, text=True)
    try:
        url = program.stdout.readline().split()[-1]
        got = run("recipe: 1\nlimits: {hits: 3, pause_budget: 100%}\nprobes:\n  a: {at: main.lookup}\n",
                  f"dlv+exec:{chain.dlv} attach {program.pid}")
        check(got.code == 0 and len(got.hits()) == 3, f"{got.code} {got.err[-300:]}")
        check(urllib.request.urlopen(url + "/cart", timeout=5).status == 200, "the service does not answer")
        check(program.poll() is None, "it has ended")
    finally:
        program.kill()
        program.wait()


# ---- bad input ----

def test_wrong_places_and_conditions(chain):
    server = httpd(chain)
    try:
        cases = (("at: main.lokup", "main.lookup", "3:"), ("at: main.go:99999", "could not find", "3:"),
                 ("at: main.lookup, when: 'nope +'", "recipe.yaml:3:", "3:"), ("signal: SIGSEGV", "panic: true", "3:"),
                 ("at: main.lookup, stop: thread", "whole process", "3:"))
        for probe, word, line in cases:
            got = run("recipe: 1\nprobes:\n  a: {" + probe + "}\n", server.uri)
            check(got.code == 2, f"{probe}: exit {got.code} {got.err[-200:]}")
            check(word in got.err and "recipe.yaml:" + line in got.err, f"{probe}: {got.err[-300:]}")
            untouched(server, server.url)
    finally:
        server.end()


def test_an_offset_counts_from_the_first_instruction(chain):
    server = httpd(chain)
    try:
        symbols = output("nm", chain.build("httpd"))
        entry = int(re.search(r"^([0-9a-f]+) T main\.lookup$", symbols, re.M)[1], 16)
        got = run("recipe: 1\nlimits: {hits: 4}\nprobes:\n  a: {at: {function: main.lookup, offset: 0}}\n  b: {at: main.lookup}\n", server.uri)
        pcs = {hit["probe"]: int(hit["location"]["pc"], 16) for hit in got.hits()}
        check(pcs["a"] == entry < pcs["b"], f"{entry}: {pcs}")
        untouched(server, server.url)
    finally:
        server.end()


def test_places_where_nothing_is_executed(chain):
    """Delve would write its breakpoint there all the same."""
    server = httpd(chain)
    try:
        symbols = output("nm", chain.build("httpd"))
        entry, data = (int(re.search(rf"^([0-9a-f]+) \w {re.escape(name)}$", symbols, re.M)[1], 16) for name in ("main.lookup", "runtime.etext"))
        data = (data & -4096) + 8192  # of what is constant
        cases = ((f"{{function: main.lookup, offset: {data - entry}}}", "no function"), (f'"*{data:#x}"', "no function"),
                 (f"{{address: {entry:#x}, offset: {data - entry}}}", "no function"), (f'"*{entry + 1:#x}"', "middle of an instruction"),
                 ("{function: main.lookup, offset: 1}", "middle of an instruction"))
        for place, word in cases:
            for command in "check", "run":
                got = pickglass(command, write(f"recipe: 1\nprobes:\n  a: {{at: {place}}}\n"), server.uri)
                check(got.code == 2 and word in got.err and "recipe.yaml:3:" in got.err, f"{command} {place}: {got.code} {got.err[-300:]}")
        untouched(server, server.url)
        got = run(f'recipe: 1\nlimits: {{hits: 1}}\nprobes:\n  a: {{at: "*{entry:#x}"}}\n', server.uri)
        check(got.code == 0 and int(got.hits()[0]["location"]["pc"], 16) == entry, f"{got.code} {got.err[-300:]}")
        untouched(server, server.url)
    finally:
        server.end()


def test_a_name_that_nothing_has(chain):
    server = httpd(chain)
    try:
        for when in "nope > 1", "main.Nope > 1", "key != \"\" && fmt.Nope > 1":
            got = run(f"recipe: 1\nprobes:\n  a: {{at: main.lookup, when: '{when}'}}\n", server.uri)
            check(got.code == 2 and "recipe.yaml:3:" in got.err, f"{when}: {got.code} {got.err[-300:]}")
            untouched(server, server.url)
    finally:
        server.end()


def test_launch_stop(chain):
    server = httpd(chain, run=False)  # linked dynamically: it stands in the loader, not in Go's entry
    try:
        got = run("recipe: 1\nlimits: {hits: 2}\nprobes:\n  a: {at: main.lookup}\n", server.uri)
        check(got.code == 0 and len(got.hits()) == 2, f"{got.code} {got.err[-300:]}")
        check(got.of("armed")[0]["found"] == "at_launch", got.of("armed")[0]["found"])
        untouched(server)
    finally:
        server.end()


def test_single_client(chain):
    server = httpd(chain, single=True)
    try:
        got = run("recipe: 1\nprobes:\n  a: {at: main.lookup}\n", server.uri)
        check(got.code == 3 and "--end-kills-target" in got.err, f"{got.code} {got.err[-300:]}")
    finally:
        server.end()


def test_check_and_list(chain):
    server = httpd(chain)
    try:
        got = pickglass("check", write("recipe: 1\nprobes:\n  a: {at: main.lookup, when: key == \"/x\"}\n"), server.uri)
        check(got.code == 0 and "main.lookup" in got.out and "main.go" in got.out, got.out + got.err)
        functions = pickglass("list", server.uri, "functions", "^main\\.lo")
        check("main.lookup" in functions.out.split(), functions.out + functions.err)
        for what in ("files", "types", "variables", "threads", "goroutines"):
            check(len(pickglass("list", server.uri, what).out.splitlines()) > 1, what)
        untouched(server, server.url)
        stopped = httpd(chain, run=False)
        try:
            pickglass("list", stopped.uri, "functions", "^main")
            check(not state_of(stopped)[0], "a stopped target was resumed by list")
        finally:
            stopped.end()
    finally:
        server.end()


def told_with_jq():
    """What the documentation makes of recipes' events: (recipe, jq's program)."""
    files = ["README.md", os.path.join("docs", "cookbook.md")] + [os.path.join("recipes", name) for name in os.listdir(os.path.join(ROOT, "recipes"))]
    for path in files:
        with open(os.path.join(ROOT, path)) as file:
            yield from re.findall(r"recipes/([\w-]+)\.yaml(?:(?!recipes/).)*?\bjq (?:-\w+ )?'([^']+)'", file.read(), re.S)


def test_recipes_worth_having(chain):
    server = httpd(chain)
    recipes = {"http-requests": [], "who-calls": ["-p", "function=main.lookup", "-p", "hits=5"],
               "slow-calls": ["-p", "function=main.lookup", "-p", "slower_than=5ms"],
               "gauge": ["-p", "at=main.(*ringBuffer).read", "-p", "first=b.readIndex", "-p", "second=b.writeIndex", "-p", "every=200ms"],
               "goroutine-growth": ["-p", "every=300ms"]}
    told = list(told_with_jq())
    check(len(told) == 4 and all(name in recipes for name, _ in told), str(told))
    try:
        for name, params in recipes.items():
            got = run(os.path.join(ROOT, "recipes", name + ".yaml"), server.uri, "-p", "duration=2s", *params)
            check(got.code == 0 and got.hits(), f"{name}: {got.code} {got.err[-300:]}")
            for program in [program for of, program in told if of == name and shutil.which("jq")]:
                rows = subprocess.run(["jq", "-c", program], input=got.out, capture_output=True, text=True, timeout=30).stdout.splitlines()
                check(len(rows) == len(got.hits()) and not {"null", "0"} & set(rows), f"{name}: jq {program}: {rows[:5]}")
        untouched(server, server.url)
    finally:
        server.end()
    got = run(os.path.join(ROOT, "recipes", "panic.yaml"), f"dlv+exec:{chain.dlv} exec {chain.build('panics')}", "--kill-launched")
    check(got.hits("panic"), f"panic: {got.err[-300:]}")


# ---- faults that a real server does not have on demand ----

def test_faults(_chain):
    recipe = write("recipe: 1\nlimits: {hits: 3, pause_budget: 100%, duration: 2s}\nprobes:\n  a: {at: main.f, capture: [n]}\n")
    faults = {"close": 3, "half": 3, "stall": 3, "garbage": 3, "wrongid": 3, "dap": 3, "splitbytes": 0, "twohits": 0}
    for method in ("GetVersion", "FindLocation", "CreateBreakpoint", "continue#2"):
        for fault, code in faults.items():
            if fault in ("twohits", "dap") and method != "continue#2":
                continue
            script = write(f"{method} {fault}\n", "script.fake")
            server = Server([FAKEDLV, "--func", "main.f=main.go:10", "--script", script])
            try:
                got = run(recipe, server.uri, "--timeout", "500ms", "--connect-timeout", "500ms")
            finally:
                said = server.end()
            check(got.code == code, f"{method} {fault}: exit {got.code}, {got.err[-200:]}")
            check(server.process.returncode != 3, f"{method} {fault}: a call that wedges: {said}")
            if code:
                check(len(got.err.strip()) > 20, f"{method} {fault}: no word about it")


def test_restart_and_strangers(_chain):
    recipe = write("recipe: 1\nlimits: {hits: 4, pause_budget: 100%, duration: 5s}\nprobes:\n  a: {at: main.f, capture: [n]}\n")
    for fault, word in (("pidchange", "restarted"), ("evalfails no such thing", None), ("panic", "unrecovered panic")):
        script = write(f"continue#2 {fault}\n", "script.fake")
        server = Server([FAKEDLV, "--func", "main.f=main.go:10", "--script", script])
        try:
            got = run(recipe, server.uri)
        finally:
            said = server.end()
        check(server.process.returncode != 3, f"{fault}: {said}")
        check(not word or word in got.out, f"{fault}: {got.out[-600:]}")
        check(len(got.hits()) >= (1 if fault == "panic" else 3), f"{fault}: {len(got.hits())} hits, {got.err[-300:]}")


def test_another_runs_stop(_chain):
    """Its hit came to our `continue`: nobody else would end that stop."""
    script = write("continue#2 otherrun\ncontinue#4 otherrun\ncontinue#5 strangerstop\n", "script.fake")
    server = Server([FAKEDLV, "--func", "main.f=main.go:10", "--script", script])
    try:
        got = run("recipe: 1\nlimits: {hits: 9, pause_budget: 100%, duration: 3s}\nprobes:\n  a: {at: main.f, capture: [n]}\n", server.uri)
    finally:
        said = server.end()
    told = [e["message"] for e in got.of("error")]
    check(server.process.returncode != 3 and got.code == 0 and len(got.hits()) == 2, f"{said} {got.code} {len(got.hits())} hits {told}")
    check(len([t for t in told if "another run" in t and "pg00000000p1t0n1" in t]) == 1, told)
    check(any("2 hits of another run" in t for t in told) and any("user1" in t and "somebody else" in t for t in told), told)


def test_closed_port(_chain):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    got = run("recipe: 1\nprobes:\n  a: {at: main.f}\n", f"dlv://127.0.0.1:{port}", "--connect-timeout", "300ms")
    check(got.code == 3 and "refused" in got.err, f"{got.code} {got.err}")
    got = run("recipe: 1\nprobes:\n  a: {at: main.f}\n", "dlv://192.0.2.1:4040")
    check(got.code != 0 and "--insecure" in got.err, got.err)


def test_five_mistakes(_chain):
    got = pickglass("check", write("""recipe: 1
limits: {duration: soon}
probes:
  slow:
    call: main.f
    wehn: x > 3
    keep: elapsd > 5ms
  other: {capture: [a]}
  third: {at: main.g, stack: many}
"""))
    for line in (2, 6, 7, 8, 9):
        check(f"recipe.yaml:{line}:" in got.err, f"line {line} is not named: {got.err}")
    check(got.code == 2 and 'did you mean "when"' in got.err, got.err)


BAD_RECIPES = [
    "recipe: 1", "recipe: 2\nprobes: {a: {at: f}}", "recipe: 1\nprobes: {a: {at: f, wehn: x}}",
    "recipe: 1\nprobes: {a: {at: f, call: g}}", "recipe: 1\nprobes: {a: {capture: [x]}}", "recipe: 1\nprobes: {}",
    "recipe: 1\nlimits: {hits: [1]}\nprobes: {a: {at: f}}", "recipe: 1\nprobes: {a: {at: f, then: stop}}",
    "recipe: 1\nprobes: {a: {watch: {access: write}}}", "recipe: 1\nallow: [set]\nprobes: {a: {at: f}}",
    "recipe: 1\nprobes: {a: {at: {function: f, lin: 3}}}", "recipe: 1\nload: {strings: 3}\nprobes: {a: {at: f}}"]


def test_schema_and_parser_agree(_chain):
    try:
        import jsonschema, yaml
    except ImportError as missing:
        return f"no python module {missing.name}"
    schema = json.loads(pickglass("schema", "recipe").out)
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    folder = os.path.join(ROOT, "recipes")
    good = [open(os.path.join(folder, name)).read() for name in sorted(os.listdir(folder))]
    good.append(open(os.path.join(ROOT, "tests", "unit", "data", "documented.yaml")).read())
    for text in good:
        errors = [e.message for e in validator.iter_errors(yaml.safe_load(text))]
        check(not errors, f"the schema refuses what the parser takes: {errors[:2]}")
    for text in BAD_RECIPES:
        check(list(validator.iter_errors(yaml.safe_load(text))), f"the schema takes {text!r}")
        check(pickglass("check", write(text + "\n")).code == 2, f"the parser takes {text!r}")


EVERYWHERE = {"test_schema_and_parser_agree", "test_faults", "test_restart_and_strangers", "test_another_runs_stop", "test_closed_port", "test_five_mistakes"}


# ---- all of them ----

def cases():
    chains = find_toolchains()
    for chain in chains or [None]:
        for name, test in list(globals().items()):
            once = name in EVERYWHERE
            if name.startswith("test_") and (chain is (chains or [None])[0] if once else chain):
                yield name[5:] + ("" if once else " " + chain.name), test, chain
    if not chains:
        yield "live", lambda _: "no pair of dlv and go that fit each other", None


def outcome(label, test, chain):
    begin = time.monotonic()
    try:
        why = test(chain)
        took = f" ({time.monotonic() - begin:.1f} s)" if os.environ.get("TIMES") else ""
        return ("skip", f"skip {label}: {why}") if why else ("ok", f"ok {label}{took}")
    except Exception as error:  # a broken test is a failed one
        kind = "" if isinstance(error, Failed) else type(error).__name__ + " "
        return "FAIL", f"FAIL {label}: {kind}{error}"


def run_all(cases):
    """Each is a label, a function and a toolchain; the command's arguments are parts of labels."""
    counts = {"ok": 0, "FAIL": 0, "skip": 0}
    for label, test, chain in cases:
        if len(sys.argv) > 1 and not any(part in label for part in sys.argv[1:]):
            continue
        word, line = outcome(label, test, chain)
        counts[word] += 1
        print(line, flush=True)
    shutil.rmtree(WORK, ignore_errors=True)
    print("{ok} passed, {FAIL} failed, {skip} skipped".format(**counts))
    sys.exit(1 if counts["FAIL"] else 0)


if __name__ == "__main__":
    run_all(cases())
