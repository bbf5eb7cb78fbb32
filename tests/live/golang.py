#!/usr/bin/env python3
"""Go's interfaces, maps, channels and functions, natively and over gdbserver, in programs of both ends of what is
supported: against what the programs say of themselves, and against what Delve says at the same place.

Else as native.py."""
import os, sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "support"))
sys.path.insert(0, HERE)
from nativetargets import *
import smoke

DEBUG = "-gcflags=all=-N -l"
CHAINS = smoke.find_toolchains()
ROOMS = "depth: 6, items: 2000, bytes: 1MiB"
LOOSE = {"$ptr", "$chan"}  # the addresses of another process


def chains():
    if not CHAINS:
        raise Skipped("no Go with a Delve that fits")
    return CHAINS


def same(want, got):
    """Equal but for addresses and the order of a map's pairs."""
    if isinstance(want, dict) and len(want) == 1 and next(iter(want)) in LOOSE:
        return isinstance(got, dict) and list(got) == list(want)
    if isinstance(want, dict):
        return isinstance(got, dict) and want.keys() == got.keys() and all(same(want[key], got[key]) for key in want)
    if not isinstance(want, list):
        return want == got and isinstance(want, bool) == isinstance(got, bool)
    if not isinstance(got, list) or len(want) != len(got):
        return False
    rest = list(got)
    for one in want:
        at = next((i for i, other in enumerate(rest) if same(one, other)), None)
        if at is None:
            return False
        rest.pop(at)
    return True


def said_by(program, *arguments):
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60)
    return json.loads(done.stdout.splitlines()[0])


def captured(start, place, expressions, room=ROOMS, *more):
    """A few at a time: one stop reads only so much."""
    values, left = {}, list(expressions)
    while left:
        texts, left = left[:24], left[24:]
        captures = ", ".join(f"c{i}: {{expr: {json.dumps(text)}, {room}}}" for i, text in enumerate(texts))
        got = run(f"  p: {{at: {place}, max_hits: 1, capture: {{{captures}}}}}\n", start(), *more)
        check(len(got.hits()) == 1, got.brief())
        values.update({text: got.hits()[0]["values"][f"c{i}"] for i, text in enumerate(texts)})
    return values


def compare(want, got, who):
    wrong = [f"{text}: {json.dumps(got[text])[:200]}, {who} says {json.dumps(want[text])[:200]}"
             for text in want if not same(want[text], got[text])]
    check(not wrong, "; ".join(wrong[:5]))


def place_of(fixture):
    if fixture == "kinds":
        return "main.see"
    with open(os.path.join(ROOT, "fixtures", "go", fixture, "main.go")) as source:
        line = next(i for i, text in enumerate(source, 1) if text.strip() == "here(n)")
    return json.dumps(f"{fixture}/main.go:{line}")


def questions(fixture, program):
    if fixture != "kinds":
        return said_by(program), [program], ROOMS
    told = said_by(program, "-expect")
    return {"k." + name: value for name, value in told.items()}, [program, "-n", "3"], "depth: 3"


def native(fixture, chain, *flags):
    program = chain.build(fixture, DEBUG, *flags)
    want, command, room = questions(fixture, program)
    check(len(want) > 60, f"only {len(want)} questions")
    compare(want, captured(lambda: Launched(*command), place_of(fixture), want, room), "the program")


def test_holders_natively():
    for chain in chains():
        native("holders", chain)


def test_kinds_natively():
    for chain in chains():
        native("kinds", chain)


def test_moved_code_and_foreign_linkers():
    for chain in chains():
        native("holders", chain, "-buildmode=pie")
    need("gcc")
    native("holders", chains()[-1], "-ldflags=-linkmode=external")


def test_over_gdbserver():
    for chain in chains():
        for fixture in "holders", "kinds":
            program = chain.build(fixture, DEBUG)
            want, command, room = questions(fixture, program)
            compare(want, captured(lambda: gdbserver(*command), place_of(fixture), want, room), "the program")


BEYOND = {"k." + name for name in smoke.BEYOND}


def test_as_delve_says():
    """What each says of one place of the same program, as recipes see it."""
    for chain in chains():
        for fixture in "holders", "kinds":
            program = chain.build(fixture, DEBUG)
            want, command, room = questions(fixture, program)
            texts = [text for text in want if text not in BEYOND and "$error" not in str(want[text])]
            arguments = " ".join(["", "--", *command[1:]] if command[1:] else [])
            theirs = captured(lambda: f"dlv+exec:{chain.dlv} exec {command[0]}{arguments}", place_of(fixture), texts, room, "--kill-launched")
            ours = captured(lambda: Launched(*command), place_of(fixture), texts, room)
            compare(theirs, ours, chain.name)


# ---- what functions return ----

RESULTS = {  # of a call with n
    "one": lambda n: 2 * n + 1, "two": lambda n: {"~r0": n, "~r1": {"s": "odd"} if n % 2 else None},
    "named": lambda n: {"size": n, "text": f"t{n}", "ok": n > 1, "ratio": n / 2}, "pair": lambda n: {"A": n, "B": "p"},
    "num": lambda n: 1.5 * n, "cplx": lambda n: {"$complex": [n, -1]}, "slice": lambda n: [n, n + 1], "arr": lambda n: [n],
    "iface": lambda n: {"A": n, "B": "i"}}
CALLS = "".join(f"  {name}: {{call: main.{name}, at_return: {{r: return}}}}\n" for name in RESULTS)


def returned(got):
    values = {name: got.values(name, "r") for name in RESULTS}
    for name, value in RESULTS.items():
        want = [value(n) for n in range(3)]
        if name == "two" and values[name] and "~r0" not in values[name][0]:  # Go 1.19's names
            values[name] = [dict(zip(("~r0", "~r1"), one.values())) for one in values[name]]
        check(same(want, values[name]), f"{name}: {values[name]}, not {want}")


def test_results():
    for chain in chains():
        for flags in DEBUG, "-gcflags=":
            program = chain.build("results", flags)
            returned(run(CALLS, Launched(program)))
            returned(run(CALLS, gdbserver(program)))
        returned(run(CALLS, f"dlv+exec:{chain.dlv} exec {chain.build('results', DEBUG)}", "--kill-launched"))


def test_results_by_name_and_none():
    program = chains()[0].build("results", DEBUG)
    got = run("  n: {call: main.named, at_return: {text: return.text, half: return.ratio / 2}}\n", Launched(program))
    check(got.values("n", "text", "half") == [("t0", 0), ("t1", 0.25), ("t2", 0.5)], got.values("n", "text", "half"))
    got = run("  x: {call: main.none, at_return: {r: return}}\n", Launched(program), code=2)
    check("returns nothing" in got.err, got.brief())


def test_a_condition_about_nothing():
    """Delve hears of the name at the first hit only: the run ends then, as it does not begin natively."""
    for chain in chains():
        program = chain.build("results", DEBUG)
        got = run("  x: {at: main.one, when: ke == 1}\n", f"dlv+exec:{chain.dlv} exec {program}", "--kill-launched", code=2)
        check(re.search("when: .*could not find symbol value for ke", got.err) and got.of("end")[-1]["exit"] == 2, got.brief())


# ---- hits are told once ----

def test_hits_of_preempted_goroutines():
    """A goroutine that is taken off by a signal where it stands at a breakpoint has hit it once."""
    for chain in chains():
        program = chain.build("preempted", "-gcflags=")
        stub = gdbserver(program)
        got = run("  l: {at: main.lookup, capture: [id]}\n", stub)
        ids, calls = got.values("l", "id"), int(stub.wait_for(r'"calls":(\d+)')[1])
        check(sorted(ids) == list(range(1, calls + 1)), f"{len(ids)} hits, {len(set(ids))} of {calls} calls")


# ---- from the thread's own stack to the goroutine's ----

WORK_OF_THE_RUNTIME = """  starts: {at: runtime.newproc1, stack: 40}
  waits: {at: runtime.park_m, stack: 40}
"""
STACKS = {  # from the function that changes stacks on
    "starts": ["systemstack", "systemstack_switch", "newproc", "main.spawn"],
    "waits": ["mcall", "gopark", "chanrecv", "chanrecv1", "main.wait"]}
END_OF_MAIN = ["main.main", "runtime.main", "runtime.goexit"]


def stacks_of(got, probe, through):
    """Those that go through a function: names and lines."""
    check(all(isinstance(hit["stack"], list) for hit in got.hits(probe)), [hit for hit in got.hits(probe) if not isinstance(hit["stack"], list)][:1])
    found = [[(frame["function"], frame["line"]) for frame in hit["stack"]] for hit in got.hits(probe)]
    return [stack for stack in found if through in [name for name, _ in stack]]


def names_from(stack, changes):
    names = [name for name, _ in stack]
    return names[names.index(changes):]


def full(names):
    return [name if "." in name else "runtime." + name for name in names]


def runs_through(got, probe, wanted):
    wanted = full(wanted) + END_OF_MAIN
    stacks = stacks_of(got, probe, wanted[-4])
    check(stacks, f"{probe}: no stack with {wanted[-4]}")
    for stack in stacks:
        check(names_from(stack, wanted[0]) == wanted, f"{probe}: {stack}, not {wanted}")
    return stacks


def test_stacks_of_goroutines_behind_the_runtime():
    for chain in chains():
        program = chain.build("stacks", DEBUG)
        theirs = run(WORK_OF_THE_RUNTIME, f"dlv+exec:{chain.dlv} exec {program}", "--kill-launched")
        for start in (lambda: Launched(program)), (lambda: gdbserver(program)):
            got = run(WORK_OF_THE_RUNTIME, start())
            for probe, wanted in STACKS.items():
                ours, delves = runs_through(got, probe, wanted), stacks_of(theirs, probe, wanted[-1])
                ends = [stack[-len(wanted) - 2:] for stack in ours]  # Delve 1.20 leaves out what changes stacks
                check(delves and all(stack[-len(wanted) - 2:] in ends for stack in delves), f"{ours}, {chain.name} says {delves}")


MACHINES = {"aarch64": "arm64", "riscv64": "riscv64", "arm": "arm"}


def emulated(machine, program, probes):
    """With one processor and nobody taken off by signals. All the same threads meet at times: qemu's stub does not bear that."""
    for _ in range(4):
        stub = qemu(machine, program, options=("-E", "GOMAXPROCS=1", "-E", "GODEBUG=asyncpreemptoff=1"))
        got = run(probes, stub.uri, *stub.binary, code=None)
        if got.code == 0:
            return got
        check("nothing had asked for" in got.err or "refused (" in got.err, got.brief())
    raise Failed(f"four times: {got.brief()}")


def test_stacks_of_goroutines_on_other_machines():
    for chain in chains():
        for machine, name in MACHINES.items():
            program = os.path.join(WORK, f"{chain.name}-stacks-{name}")
            subprocess.run([chain.go, "build", DEBUG, "-o", program, "./stacks"], check=True, timeout=300,
                           cwd=os.path.join(ROOT, "fixtures", "go"), env={**chain.env, "GOARCH": name, "CGO_ENABLED": "0"})
            got = emulated(machine, program, WORK_OF_THE_RUNTIME)
            for probe, wanted in STACKS.items():
                runs_through(got, probe, wanted)
            grown(emulated(machine, program, "  main: {at: main.main, max_hits: 1}\n"
                                             "  grows: {at: runtime.newstack, after: main, stack: 150, max_hits: 20}\n"))


def grown(got):
    stacks = stacks_of(got, "grows", "main.grow")
    check(len(stacks) > 2, got.brief())
    for stack in stacks:
        names = names_from(stack, "runtime.morestack")
        check(names == ["runtime.morestack"] + ["main.grow"] * names.count("main.grow") + END_OF_MAIN, stack)


def test_stacks_that_grow():
    for chain in chains():
        got = run("  grows: {at: runtime.newstack, stack: 150}\n", Launched(chain.build("stacks", DEBUG)))
        grown(got)


def test_results_of_functions_that_defer():
    for chain in chains():
        program = chain.build("deferred", "-gcflags=")
        for target in Launched(program), gdbserver(program):
            got = run("  t: {call: main.two, at_return: {r: return}}\n  n: {call: main.named, at_return: {k: return.k, e: return.err}}\n", target)
            check([list(one.values()) for one in got.values("t", "r")] == [[2, "t1"], [4, "t2"], [6, "t3"]], got.values("t", "r"))
            check(got.values("n", "k") == [3, 6, 9] and [e is None for e in got.values("n", "e")] == [True, False, True], got.values("n", "k", "e"))


def test_calls_on_a_stack_that_grows():
    """The runtime moves it while they are under way, of two goroutines at a time."""
    for chain in chains():
        program = chain.build("deferred", "-gcflags=")
        for target in Launched(program), gdbserver(program):
            got = run("  d: {call: main.deep, capture: [n], at_return: {r: return}}\n", target)
            check(sorted(got.values("d", "n", "r")) == sorted(6 * [(n, n * (n + 1) // 2) for n in range(11)]), got.values("d", "n", "r"))
            check(got.account()["d"]["unpaired"] == 0, got.account())


BY_C = ["systemstack_switch", "cgocall", "main._Cfunc_through", "main.cross"]
IN_THE_CALLBACK = {
    "again": ["asmcgocall", "systemstack_switch", "cgocall", "main._Cfunc_leaf", "main.callback"],
    "starts": ["systemstack", "systemstack_switch", "newproc", "main.callback"]}


def test_stacks_of_goroutines_behind_c():
    """Not as Delve has them: it has a frame without a name in the place of systemstack_switch."""
    need("gcc")
    for chain in chains():
        got = run("  into: {at: through, stack: 40}\n  again: {at: leaf, stack: 40}\n  starts: {at: runtime.newproc1, stack: 40}\n",
                  Launched(chain.build("foreign", DEBUG)))
        runs_through(got, "into", ["asmcgocall", *BY_C])
        for probe, begin in IN_THE_CALLBACK.items():
            stacks = stacks_of(got, probe, "main.cross")
            check(stacks, got.brief())
            for stack in stacks:
                names = names_from(stack, full(begin)[0])
                end = full(BY_C) + END_OF_MAIN
                check(names[:len(begin)] == full(begin) and names[-len(end):] == end, stack)


class Unpreempted:
    """A goroutine that stands at a breakpoint seems to run for long, and is interrupted: it comes to the breakpoint twice."""

    def __enter__(self):
        os.environ["GODEBUG"] = "asyncpreemptoff=1"

    def __exit__(self, *error):
        del os.environ["GODEBUG"]


# ---- what is returned on the stack ----

def letters(n, names):
    return {name: n + i for i, name in enumerate(names)}


STACKED = {  # of a call with n; what Go 1.19 calls ~r0 can be ~r1
    "main.many": lambda n: letters(n, "abcdefghij"),
    "main.mixed": lambda n: {"small": n, "grid": [{"$bytes": "AQID"}, {"$bytes": "BAUJ"}], "ok": n > 0, "none": {}, "err": "e",
                             "wide": {"A": n, "B": 2, "C": 3, "Tail": [4, -5]}, "half": 0.5},
    "main.floats": lambda n: letters(n, "abcdefghijklmopqr"),
    "main.split": lambda n: {**{name: n for name in "abcdefgh"}, "text": "split", "last": n},
    "main.array": lambda n: [n, 1, -2, 3],
    "main.Wide.method": lambda n: {"~r0": {"A": n + 2, "B": 2, "C": 3, "Tail": [4, 5]}, "~r1": n},
    "main.(*Wide).pointer": lambda n: {"k": {"$complex": [n, 10]}, "l": [{"$func": "main.one"}, None], "m": {"a": 9}, "o": None},
    "main.recovers": lambda n: {"a": [7, n], "text": "recovered" if n else "fine"}}


def stacked(start, *more):
    calls = "".join(f"  c{i}: {{call: {json.dumps(name)}, at_return: {{r: return}}}}\n" for i, name in enumerate(STACKED))
    got = run(calls, start, *more)
    for i, (name, value) in enumerate(STACKED.items()):
        values, want = got.values(f"c{i}", "r"), [value(n) for n in range(3)]
        if "method" in name:
            values, want = [list(one.values()) for one in values], [list(one.values()) for one in want]
        check(same(want, values), f"{name}: {values}, not {want}")


def test_results_on_the_stack():
    for chain in chains():
        for flags in DEBUG, "-gcflags=":
            program = chain.build("results", flags)
            stacked(Launched(program))
            stacked(gdbserver(program))
        stacked(f"dlv+exec:{chain.dlv} exec {chain.build('results', DEBUG)}", "--kill-launched")
        stacked(Launched(chain.build("results", "-gcflags=", "-buildmode=pie")))


def test_results_on_aarch64():
    for chain in chains():
        other = smoke.Toolchain(chain.name + "-arm64", chain.dlv, chain.go, {**chain.env, "GOARCH": "arm64"})
        for flags in DEBUG, "-gcflags=":
            with Unpreempted():  # qemu-user answers out of turn when a thread gets a signal in the middle of a stop
                returned(run(CALLS, qemu("aarch64", other.build("results", flags))))
                stacked(qemu("aarch64", other.build("results", flags)))


def test_parts_of_results():
    """Of a large one, no more is read than is wanted. Go's older compilers do not tell of all arguments."""
    for chain in chains():
        program = chain.build("results", DEBUG)
        got = run("  l: {call: main.large, at_return: {r: 'return[2999]', of: len(return), j: 'return[1]'}}\n"
                  "  m: {call: main.many, at_return: {j: return.j + return.a}}\n", Launched(program))
        check(got.values("l", "r", "of", "j") == [(n, 3000, 0) for n in range(3)] and got.values("m", "j") == [9, 11, 13], got.brief())
        told = "go1.19" not in chain.name
        got = run("  u: {call: main.unnamed, at_return: {r: return}}\n", Launched(program), code=0 if told else 2)
        if told:
            check(got.values("u", "r") == [{"~r0": [7, 8], "~r1": None}] * 3, got.values("u", "r"))
        else:
            check("does not have all of the function's arguments" in got.err, got.brief())


# ---- type parameters ----

def generic_places():
    with open(os.path.join(ROOT, "fixtures", "go", "generics", "main.go")) as source:
        marks = [(line, text.split("// ")[1].strip()) for line, text in enumerate(source, 1) if "here(n) // " in text]
    return {name: json.dumps(f"generics/main.go:{line}") for line, name in marks}


def generic_truth(program):
    """{place: [what the program says there, hit by hit]}"""
    done = subprocess.run([program], capture_output=True, text=True, timeout=60)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    return {place: [one["values"] for one in said if one["place"] == place] for place in generic_places()}


def generic_seen(start, truth, *more):
    """What the debugger sees of the same, in as few runs as one stop's reading allows."""
    seen = {place: [{} for _ in hits] for place, hits in truth.items()}
    places, size = generic_places(), 5
    rooms = ROOMS.replace("depth: 6", "depth: 14")
    most = max(len(hits[0]) for hits in truth.values())
    for at in range(0, most, size):
        asked = {place: list(hits[0])[at:at + size] for place, hits in truth.items()}
        probes = ""
        for place, texts in asked.items():
            captures = ", ".join(f"c{i}: {{expr: {json.dumps(text)}, {rooms}}}" for i, text in enumerate(texts))
            probes += f"  {place}: {{at: {places[place]}, capture: {{{captures}}}}}\n" if texts else ""
        with Unpreempted():
            got = run(probes, start(), *more)
        for place, texts in asked.items():
            hits = [hit for hit in got.hits() if hit["probe"] == place]
            check(not texts or len(hits) == len(truth[place]), f"{place}: {len(hits)} hits, {got.brief()}")
            for values, hit in zip(seen[place], hits):
                values.update({text: hit["values"][f"c{i}"] for i, text in enumerate(texts)})
    return seen


def generic_compare(want, got, who, beyond=()):
    wrong = [f"{place} {n}: {text}: {json.dumps(got[place][n].get(text))[:150]}, {who} says {json.dumps(values[text])[:150]}"
             for place, hits in want.items() for n, values in enumerate(hits) for text in values
             if (place, text) not in beyond and not same(values[text], got[place][n].get(text))]
    check(not wrong, f"{len(wrong)}: " + "; ".join(wrong[:6]))


def test_type_parameters():
    for chain in chains():
        program = chain.build("generics", DEBUG)
        truth = generic_truth(program)
        check(sum(len(values) for hits in truth.values() for values in hits) > 500, "few questions")
        if "go1.19" not in chain.name:  # it gave shapes numbers
            for told in truth["twins"][:2]:
                told.update(first={"$ptr": ""}, second={"$ptr": ""})
        generic_compare(truth, generic_seen(lambda: Launched(program), truth), "the program")
        generic_compare(truth, generic_seen(lambda: gdbserver(program), truth), "the program")


# Variables that have moved to the heap, or that a closure has: Delve shows the shape, "a number" for a pointer.
SHAPES = {("show", "box"), ("show", "box.V"), ("show", 'box.By["one"]'), ("escape", "moved"), ("escape", "key"), ("inside", "v"),
          ("twins", "first"), ("twins", "second")}


def test_type_parameters_as_delve_says():
    for chain in chains():
        program = chain.build("generics", DEBUG)
        truth = generic_truth(program)
        theirs = generic_seen(lambda: f"dlv+exec:{chain.dlv} exec {program}", truth, "--kill-launched")
        generic_compare(theirs, generic_seen(lambda: Launched(program), truth), chain.name, SHAPES)


FOLLOW = ("  f: {at: main.follow, capture: {n: n, own: v.N, name: v.Name, next: v.Next.N, sum: n + v.N, first: 'kept[0].N', nil: v == nil}}\n"
          "  c: {call: main.follow, at_return: {r: return}}\n")
FOO, BAR = {"N": 1, "Next": {"N": 2, "Next": None}}, {"Name": "b", "Level": 7}


def followed(got, whole=True):
    """The types are other ones in each call, and with them what a field is."""
    rows = [["error" if isinstance(value, dict) and "$error" in value else value for value in row]
            for row in got.values("f", "n", "own", "name", "next", "sum", "first", "nil")]
    no = "error"
    check(rows == [[1, 1, no, 2, 2, no, False], [2, no, "b", no, no, no, False], [3, 2, no, no, 5, 1, False], [4, 1, no, 2, 5, no, False]], rows)
    if whole:
        again = [value["again"] for value in got.values("c", "r")]
        check(again[:3] == [{"N": 1, "Next": {"$ptr": again[0]["Next"]["$ptr"]}}, BAR, {"N": 2, "Next": None}], again)


def test_fields_of_type_parameters():
    for chain in chains():
        program = chain.build("generics", DEBUG)
        with Unpreempted():
            followed(run(FOLLOW, Launched(program)))
            followed(run(FOLLOW, gdbserver(program)))
            conditions = [run("  w: {at: main.follow, when: v.Level == 7 && n > 0, capture: {v: v}}\n", start(program))
                          for start in (Launched, gdbserver)]
        for got in conditions:
            check(got.values("w", "v") == [BAR] and "main.Foo has no member \"Level\"" in got.err, got.brief())


def test_fields_on_aarch64():
    for chain in chains():
        other = smoke.Toolchain(chain.name + "-arm64", chain.dlv, chain.go, {**chain.env, "GOARCH": "arm64"})
        for flags in DEBUG, "-gcflags=":
            with Unpreempted():
                followed(run(FOLLOW, qemu("aarch64", other.build("generics", flags))), whole=flags == DEBUG)


def test_names_of_generic_functions():
    """Without type arguments they mean every instance, also of methods and closures; what the compiler adds is not listed."""
    for chain in chains():
        program = chain.build("generics", DEBUG)
        with Unpreempted():
            got = run("  f: {at: main.follow, args: true, locals: true}\n  p: {at: main.(*Box).Put}\n  s: {at: main.Pair.Swap}\n"
                      "  i: {at: main.inside.func1}\n", Launched(program))
        check([len([hit for hit in got.hits() if hit["probe"] == name]) for name in "fpsi"] == [4, 18, 18, 18], got.brief())
        first = got.hits("f")[0]
        check(list(first["args"]) == ["n", "v", "kept"] and first["locals"] == {} and first["args"]["v"] == FOO, first)


def test_arguments_and_locals_as_delve_has_them():
    """Without results, and by their own names, also those that have moved to the heap. A shape's value is another matter."""
    place = generic_places()["escape"]
    for chain in chains():
        program, seen = chain.build("generics", DEBUG), []
        for start, more in (Launched(program), ()), (f"dlv+exec:{chain.dlv} exec {program}", ("--kill-launched",)):
            hit = run(f"  e: {{at: {place}, max_hits: 1, args: true, locals: true}}\n", start, *more).hits()[0]
            seen.append((hit["args"], {key: sorted(value) if key == "lost" else value for key, value in hit["locals"].items()}))
        check(seen[0] == seen[1] and sorted(seen[0][1]) == ["key", "lost", "moved"] and list(seen[0][0]) == ["n", "k", "v"], seen)


BLOCKS = [{"both": [7, 7], "last": 7}, {"both": ["s", "s"], "last": "s"}], [[2.5, 2.5], [[1], [1]]]


def test_arrays_of_type_parameters():
    """Results on the stack, also where the dictionary is not used, and the debug info does not say that it is passed."""
    for chain in chains():
        for flags in DEBUG, "-gcflags=":
            got = run("  f: {call: main.block, at_return: {r: return}}\n  m: {call: main.(*Box).block, at_return: {r: return}}\n",
                      Launched(chain.build("generics", flags)))
            seen = got.values("f", "r"), got.values("m", "r")
            check(same(list(BLOCKS), list(seen)), seen)


def test_lost_dictionaries():
    """Optimised code drops what says the types behind a function's entry: a pointer is an address then."""
    for chain in chains():
        program = chain.build("generics", "-gcflags=")
        with Unpreempted():
            followed(run(FOLLOW, Launched(program)), whole=False)
            followed(run(FOLLOW, gdbserver(program)), whole=False)
            got = run("  c: {call: main.follow, at_return: {r: return}}\n", Launched(program))
            wrong = run("  c: {call: main.follow, at_return: {r: return.again.N}}\n", Launched(program), code=2)
        check([list(value["again"]) for value in got.values("c", "r")] == [["$ptr"]] * 4, got.values("c", "r"))
        check("the dictionary that says what a type parameter is cannot be read here" in wrong.err, wrong.brief())




if __name__ == "__main__":
    native_main(globals(), {})
