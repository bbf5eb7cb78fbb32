#!/usr/bin/env python3
"""What real Delves said, said again: each transcript in fixtures/wire is replayed to pickglass whole, a byte at a
time, and in random chunks; its requests, output and exit code must be the recorded ones.

    wire.py [PART...]          replays the transcripts whose names have one of the parts
    wire.py record [PART...]   records them anew, from every Delve that is there

Prints `ok NAME` or `FAIL NAME: why` a replay, and `N passed, N failed, N skipped` last. PICKGLASS is the program under
test, DLV_NEW one more Delve to record. The format is told in fixtures/wire/README.md."""
import concurrent.futures, glob, json, os, random, re, select, shutil, signal, socket, subprocess, sys, tempfile, threading, time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
WIRE = os.path.join(ROOT, "fixtures", "wire")
PICKGLASS = os.path.abspath(os.environ.get("PICKGLASS", os.path.join(ROOT, "build", "src", "pickglass")))
EDGE = 8000  # bytes at both ends of a long reply that are sent one by one; its middle is to be over in time
WAIT = 30  # seconds: the longest for one request, one reply, one end


class Failed(Exception):
    pass


class Gone(Exception):
    """The other end closed the connection."""


# ---- what legitimately differs between two runs ----

RUN_ID = re.compile(r"\b(pg)?[0-9a-f]{8}p\d+t[0-9a-f]+(?=n\d|\b)")
ADDRESS = re.compile(r"127\.0\.0\.1:\d+")


def plain_text(text):
    text = RUN_ID.sub(lambda found: (found.group(1) or "") + "RUN", text)
    return ADDRESS.sub("127.0.0.1:PORT", text)


def plain_field(key, value):
    if key.endswith("_ns") or key == "armed_share":
        return 0
    if key in ("time", "pickglass", "wire"):  # our version; how many writes it were depends on how replies come
        return "*"
    return [plain_event(child) for child in value] if key == "probes" else value


def plain_event(event):
    """Pids stay: what pickglass says of them came from the wire."""
    return {key: plain_field(key, value) for key, value in event.items()}


def plain_request(text):
    request = json.loads(plain_text(text))
    return {"method": request.get("method"), "params": request.get("params")}


def outcome(code, out, err):
    lines = plain_text(out).splitlines()
    events = [plain_event(json.loads(line)) for line in lines if line.startswith("{")]
    text = [line for line in lines if not line.startswith("{")]
    return {"exit": code, "stdout": text, "stderr": plain_text(err).splitlines()}, events


def shown(value):
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) < 600 else text[:600] + "..."


def difference(want, got, path=""):
    """Where two values differ first, as text; None if nowhere."""
    if isinstance(want, dict) and isinstance(got, dict) and list(want) == list(got):
        pairs = [(f"{path}.{key}", want[key], got[key]) for key in want]
    elif isinstance(want, list) and isinstance(got, list) and len(want) == len(got):
        pairs = [(f"{path}[{i}]", a, b) for i, (a, b) in enumerate(zip(want, got))]
    elif type(want) is type(got) and want == got and not isinstance(want, (dict, list)):
        return None
    else:
        return f"{path or 'it'}: expected {shown(want)}, got {shown(got)}"
    for place, a, b in pairs:
        found = difference(a, b, place)
        if found:
            return found
    return None


# ---- sockets and programs, all waits bounded ----

class Lines:
    def __init__(self, connection):
        self.connection, self.rest = connection, b""

    def next(self):
        while b"\n" not in self.rest:
            more = self.connection.recv(1 << 16)
            if not more:
                raise Gone
            self.rest += more
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode()


def listen():
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.2)
    return server, server.getsockname()[1]


def accept(server, pickglass):
    deadline = time.time() + WAIT
    while True:
        try:
            connection, _ = server.accept()
            break
        except TimeoutError:
            ended = pickglass.process.poll() is not None
            if ended or time.time() > deadline:
                raise Failed(f"it does not connect: {pickglass.said()[1][-300:]}")
    connection.settimeout(WAIT)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


class Pickglass:
    """Runs in the folder of the recipes, so that messages name them without a path."""

    def __init__(self, command, port, scheme="dlv", folder=WIRE):
        command = [word.replace("TARGET", f"{scheme}://127.0.0.1:{port}") for word in command]
        self.out, self.err = tempfile.TemporaryFile("w+"), tempfile.TemporaryFile("w+")
        environment = {key: value for key, value in os.environ.items() if key != "PICKGLASS_LOG"}
        self.process = subprocess.Popen([PICKGLASS, *command], stdin=subprocess.DEVNULL, stdout=self.out,
                                        stderr=self.err, cwd=folder, env=environment)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(WAIT)
        self.out.close()
        self.err.close()

    def said(self):
        texts = []
        for file in (self.out, self.err):
            file.seek(0)
            texts.append(file.read())
        return texts

    def result(self):
        try:
            code = self.process.wait(WAIT)
        except subprocess.TimeoutExpired:
            raise Failed(f"it does not end: {self.said()[1][-300:]}")
        return outcome(code, *self.said())


# ---- transcripts ----

class Transcript:
    def __init__(self, path):
        self.name = os.path.basename(path)[:-len(".jsonl")]
        self.messages, self.events = [], []  # messages: (is a request, its number, text), as they passed
        with open(path) as file:
            self.head = json.loads(file.readline())
            for line in file:
                self.add(line.rstrip("\n"))

    def add(self, line):
        found = re.match(r'\{"(request|to)":(\d+),"(?:send|reply)":', line)
        if found:  # the very bytes: the program under test does not parse them as a library would
            self.messages.append((found.group(1) == "request", int(found.group(2)), line[found.end():-1]))
        elif line.startswith('{"event":'):
            self.events.append(json.loads(line)["event"])
        else:
            self.outcome = json.loads(line)

    def turns(self):
        """The requests up to the next reply, and the replies that follow them, again and again."""
        turns, requests, replies = [], [], []
        for is_request, number, text in self.messages:
            if is_request and replies:
                turns.append((requests, replies))
                requests, replies = [], []
            (requests if is_request else replies).append((number, text))
        return turns + [(requests, replies)]


# ---- replaying ----

def send_whole(connection, replies, _chance):
    for reply in replies:
        connection.sendall(reply)


def send_bytes(connection, replies, _chance):
    for reply in replies:
        at, end = 0, len(reply) - 1
        while at < end:
            n = 97 if EDGE < at < end - EDGE else 1
            connection.send(reply[at:min(at + n, end)])
            at += n
        time.sleep(0.001)  # the end of a line arrives alone
        connection.send(b"\n")
        time.sleep(0.001)


def send_chunks(connection, replies, chance):
    text = b"".join(replies)
    while text:
        n = chance.choice((1, 2, 7, 60, 500, 3000, 20000))
        connection.sendall(text[:n])
        text = text[n:]
        if chance.random() < 0.3:
            time.sleep(0.0005)


MANNERS = {"whole": send_whole, "bytes": send_bytes, "chunks": send_chunks}


class Player:
    def __init__(self, transcript, manner, connection):
        self.transcript, self.connection = transcript, connection
        self.send, self.lines = MANNERS[manner], Lines(connection)
        self.chance = random.Random(transcript.name)
        self.ids, self.questions, self.run = {}, set(), "RUN"

    def take(self, wanted):
        try:
            text = self.lines.next()
        except (Gone, OSError) as error:
            why = "no request within the time" if isinstance(error, TimeoutError) else "the connection ended"
            number, request = wanted[0]
            raise Failed(f"request {number}: expected {shown(request)}, got none: {why}")
        found = RUN_ID.search(text)
        self.run = found.group().removeprefix("pg") if found else self.run
        return json.loads(text), plain_request(text)

    def is_quiet(self):
        return b"\n" not in self.lines.rest and not select.select([self.connection], [], [], 0.05)[0]

    # What pickglass was told decides what it asks, but not in which order it asks it where timers play a part: a
    # request is looked for among all that had been sent before the next reply came. Where it sends no more of them,
    # it waits: how many questions are under way at once depends on how long they have taken.
    def expect(self, requests, replies):
        wanted = list(requests)
        while wanted:
            while replies and replies[0][0] in self.questions and self.is_quiet():
                self.answer([replies.pop(0)])
            request, got = self.take(wanted)
            match = [i for i, (_, text) in enumerate(wanted) if not difference(plain_request(text), got)]
            if not match:
                number, text = wanted[0]
                raise Failed(f"request {number}: expected {shown(plain_request(text))}, got {shown(got)}")
            number = wanted.pop(match[0])[0]
            self.ids[number] = request["id"]
            if request["params"] != [{"name": "continue"}]:  # whose answer may be long in coming
                self.questions.add(number)

    def patch(self, number, reply):
        reply = re.sub(r'^\{"id":\d+', '{"id":%d' % self.ids[number], reply)
        return reply.replace("pgRUNn", f"pg{self.run}n").encode() + b"\n"

    def answer(self, replies):
        try:
            self.send(self.connection, [self.patch(*reply) for reply in replies], self.chance)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it leaves without the last answers; if a request is missing, that is noticed

    def play(self):
        for requests, replies in self.transcript.turns():
            self.expect(requests, replies)
            self.answer(replies)
        try:
            raise Failed(f"one request too many: {shown(plain_request(self.lines.next()))}")
        except (Gone, ConnectionResetError):
            pass
        except TimeoutError:
            raise Failed("it does not close the connection")


def compare(transcript, result, events):
    if result["exit"] == transcript.outcome["exit"] and len(events) != len(transcript.events):
        raise Failed(f"expected {len(transcript.events)} events, got {len(events)}: {shown(events[-1:])}")
    for i, (want, got) in enumerate(zip(transcript.events, events)):
        found = difference(want, got)
        if found:
            raise Failed(f"event {i + 1}: {found}")
    found = difference(transcript.outcome, result)
    if found:
        raise Failed(found)


def replay(transcript, manner):
    server, port = listen()
    with server, Pickglass(transcript.head["command"], port) as pickglass:
        with accept(server, pickglass) as connection:
            Player(transcript, manner, connection).play()
        compare(transcript, *pickglass.result())


def attempt(transcript, manner):
    try:
        replay(transcript, manner)
        return None
    except Exception as error:  # a broken test is a failed one
        return str(error) if isinstance(error, Failed) else f"{type(error).__name__}: {error}"


def replay_all(paths):
    jobs = [(transcript, manner) for transcript in map(Transcript, paths) for manner in MANNERS]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = [(job, pool.submit(attempt, *job)) for job in jobs]
        failed = 0
        for (transcript, manner), result in results:
            why = result.result()
            failed += why is not None
            name = f"{transcript.name} {manner}"
            print(f"FAIL {name}: {why}" if why else f"ok {name}", flush=True)
    print(f"{len(jobs) - failed} passed, {failed} failed, 0 skipped")
    return failed


# ---- recording ----

def output(*command, env=None):
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=env).stdout


def minor_version(text, pattern):
    found = re.search(pattern, text)
    return int(found.group(1)) if found else 0


def toolchains():
    """(Delve's version, dlv, go, environment) of what fits each other."""
    plain_env = {**os.environ, "GOFLAGS": "-buildvcs=false", "CGO_ENABLED": "0"}
    old_env = {**plain_env, "GOROOT": "", "GOTOOLCHAIN": "local"}
    gos = [(go, env) for go, env in ((shutil.which("go"), plain_env), ("/usr/lib/go-1.19/bin/go", old_env))
           if go and os.path.exists(go)]
    for dlv in sorted({path for path in (os.environ.get("DLV_NEW"), "/usr/bin/dlv") if path and os.path.exists(path)}):
        version = minor_version(output(dlv, "version"), r"Version: 1\.(\d+)")
        fits = [(go, env) for go, env in gos
                if version - 2 <= minor_version(output(go, "version", env=env), r"go1\.(\d+)") <= version]
        if fits:
            yield f"1.{version}", dlv, *fits[0]


def build(work, fixture, version, go, env):
    path = os.path.join(work, version, fixture)
    if not os.path.exists(path):
        subprocess.run([go, "build", "-trimpath", "-o", path, "./" + fixture], check=True, timeout=300, env=env,
                       cwd=os.path.join(ROOT, "fixtures", "go"))
    return path


class Delve:
    def __init__(self, dlv, program, scenario):
        self.log = tempfile.TemporaryFile("w+")
        running = ["--continue"] if scenario.get("running") else []
        self.process = subprocess.Popen(
            [dlv, "exec", os.path.basename(program), "--headless", "--accept-multiclient", *running, "--api-version=2",
             "--listen=127.0.0.1:0", "--", *scenario["args"]],
            cwd=os.path.dirname(program), stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT)
        self.port = int(self.wait_for(r"API server listening at: 127\.0\.0\.1:(\d+)"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(WAIT)
        self.log.close()

    def wait_for(self, pattern):
        deadline = time.time() + WAIT
        while time.time() < deadline and self.process.poll() is None:
            self.log.seek(0)
            found = re.search(pattern, self.log.read())
            if found:
                return found.group(1)
            time.sleep(0.01)
        raise Failed("dlv does not listen")

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=WAIT)


def until_running(delve):
    deadline = time.time() + WAIT
    with delve.connect() as connection:
        lines = Lines(connection)
        while time.time() < deadline:
            connection.sendall(b'{"method":"RPCServer.State","params":[{"NonBlocking":true}],"id":1}\n')
            if json.loads(lines.next())["result"]["State"]["Running"]:
                return
            time.sleep(0.05)
    raise Failed("the target does not run")


class Recorder:
    """Between pickglass and dlv. A message is noted before it is passed on, so that nothing stands in the transcript
    before what it answers."""

    def __init__(self, client, server, work):
        self.client, self.server, self.work = client, server, work
        self.lock, self.lines, self.numbers = threading.Lock(), [], {}
        self.threads = [threading.Thread(target=self.pump, args=args) for args in
                        ((client, server, self.note_request), (server, client, self.note_reply))]
        for thread in self.threads:
            thread.start()

    def note_request(self, text):
        number = len(self.numbers) + 1
        self.numbers[json.loads(text)["id"]] = number
        return f'{{"request":{number},"send":{text}}}'

    def note_reply(self, text):
        found = re.match(r'\{"id":(\d+)', text)
        return f'{{"to":{self.numbers[int(found.group(1))]},"reply":{text}}}'

    def pump(self, source, sink, note):
        lines = Lines(source)
        try:
            while True:
                line = lines.next()
                with self.lock:
                    self.lines.append(note(plain_text(line).replace(self.work, "")))
                sink.sendall(line.encode() + b"\n")
        except (Gone, OSError):
            for end in (self.client, self.server):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # it was first

    def finish(self):
        for thread in self.threads:
            thread.join(WAIT)
        return self.lines


def record_run(scenario, delve, work):
    if scenario.get("running"):
        until_running(delve)
    front, port = listen()
    with front, Pickglass(scenario["command"], port) as pickglass, delve.connect() as server:
        with accept(front, pickglass) as client:
            recorder = Recorder(client, server, work)
            result, events = pickglass.result()
            return [*recorder.finish(), json.dumps(result), *(json.dumps({"event": event}) for event in events)]


def record_one(work, name, scenario, chain):
    version, dlv, go, env = chain
    program = build(work, scenario["fixture"], version, go, env)
    with Delve(dlv, program, scenario) as delve:
        lines = record_run(scenario, delve, os.path.dirname(program) + "/")
    head = {"wire": 1, "delve": version, **scenario}
    path = os.path.join(WIRE, f"{name}-{version}.jsonl")
    with open(path, "w") as file:
        file.write("\n".join([json.dumps(head), *lines]) + "\n")
    return path


def record_all(parts):
    with open(os.path.join(WIRE, "scenarios.json")) as file:
        scenarios = json.load(file)
    work = tempfile.mkdtemp(prefix="pickglass-wire-")
    try:
        paths = [record_one(work, name, scenario, chain) for chain in toolchains()
                 for name, scenario in scenarios.items() if wanted(f"{name}-{chain[0]}", parts)]
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return replay_all(paths)


def wanted(name, parts):
    return not parts or any(part in name for part in parts)


def main():
    words = sys.argv[1:]
    if words[:1] == ["record"]:
        failed = record_all(words[1:])
    else:
        paths = sorted(glob.glob(os.path.join(WIRE, "*.jsonl")))
        if not paths:
            sys.exit("FAIL wire: there are no transcripts")
        failed = replay_all([path for path in paths if wanted(os.path.basename(path)[:-len(".jsonl")], words)])
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
