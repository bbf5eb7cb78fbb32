#!/usr/bin/env python3
"""The command line: what is wrong with it is told at once, in words that help, and what it takes is not ignored.

Else as native.py."""
import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from nativetargets import *
import eventschema

TICK = "  t: {at: tick, capture: [n], max_hits: 2}\n"


def refused(code, *arguments, words=(), but=()):
    got = pickglass(*arguments)
    check(got.code == code, f"{arguments}: exit {got.code}, not {code}: {got.err[-300:]}")
    for word in words:
        check(word in got.err, f"{arguments}: no {word!r}: {got.err[-400:]}")
    check(not re.search(r"trace:\d", got.err), f"{arguments}: a line of what nobody has written: {got.err[-400:]}")
    for word in but:
        check(word not in got.err, f"{arguments}: {word!r}: {got.err[-400:]}")


# ---- options ----

def test_each_pid_is_a_target():
    both = [Busy(light=True), Busy(light=True)]
    pids = [word for busy in both for word in ("--pid", str(busy.pid))]
    got = pickglass("run", recipe(TICK, FREE), *pids, "-q", "-o", "-")
    check(got.code == 0 and {hit["pid"] for hit in got.hits()} == {busy.pid for busy in both}, got.brief())
    got = pickglass("check", recipe(TICK, FREE), *pids)
    check(got.code == 0 and got.out.count("tick at ") == 2, got.out + got.err)
    refused(1, "list", *pids, "threads", words=["one target"])


def test_an_option_that_takes_one_value():
    for option, command in ("--binary", "run"), ("--targets", "run"), ("--target-stdout", "run"), ("--hits", "trace"), ("--when", "trace"):
        refused(1, command, "x", option, "one", option, "two", words=[option + " is there twice", '"one"', '"two"'])


def test_a_binary_where_none_is_needed():
    """It would be ignored: whose file it is, the process knows."""
    busy = Busy(light=True)
    path = recipe(TICK, FREE)
    for arguments in ("run", path, "--pid", str(busy.pid), "-q"), ("check", path, f"native:{busy.pid}"), ("list", f"native:{busy.pid}", "threads"), \
                     ("run", path, "dlv://127.0.0.1:1"):
        refused(1, *arguments, "--binary", "/no/such/file", words=["/no/such/file", "knows by itself"])


def test_a_program_where_none_is_launched():
    refused(1, "check", recipe(TICK, FREE), "--", "/bin/true", words=["launches no program", "/bin/true"])
    refused(1, "run", recipe(TICK, FREE), "--", words=["which program"])


def test_help():
    for command in "run", "trace", "check", "list", "schema":
        check(pickglass("help", command).out == pickglass(command, "--help").out != "", command)
    refused(1, "help", "foo", words=['"foo"'])
    refused(1, "foo", words=['"foo"'])


# ---- targets ----

def test_a_target_that_is_misspelt_or_incomplete():
    path = recipe(TICK, FREE)
    for word in "gbd://127.0.0.1:1", "a=gbd://127.0.0.1:1", "pid:42", "a=pid:42", "127.0.0.1:2345", "localhost:2345":
        for command in "run", "check":
            refused(1, command, path, word, words=[word.removeprefix("a="), "gdb://HOST:PORT", "native:PID"], but=["reading"])
    refused(1, "list", "gbd://127.0.0.1:1", "functions", words=["gdb://HOST:PORT"])
    refused(1, "run", "nosuch.yaml", words=["reading nosuch.yaml"])
    colon = write("recipe: 1\nprobes:\n" + TICK, "with:colon.yaml")
    os.chdir(os.path.dirname(colon))
    check(pickglass("check", "with:colon.yaml").code == 0, "a recipe whose name has a colon")


def test_a_programs_file_among_the_recipes():
    program = build("busy")
    got = pickglass("check", recipe(TICK, FREE), program)
    check(got.code == 0 and "tick at " in got.out and "n: " in got.out, got.out + got.err)
    refused(1, "run", recipe(TICK, FREE), program, words=[program + " is a program", "`-- "])


def test_a_stripped_process():
    """A name like it in some library is not all that there is to say."""
    program = build("busy")
    stripped = os.path.join(WORK, "stripped")
    subprocess.run(["strip", "-o", stripped, program], check=True)
    process = Process(stripped, tempfile.mktemp(dir=WORK), "1", "1000")
    refused(2, "check", recipe(TICK, FREE), "--pid", str(process.pid), words=['no function "tick"', "stripped is stripped"])


# ---- recipes ----

def test_a_recipe_in_a_pipe():
    path = recipe(TICK, FREE)
    got = subprocess.run(["bash", "-c", f"'{PICKGLASS}' check <(cat '{path}')"], capture_output=True, text=True, timeout=30)
    check(got.returncode == 0 and "tick" in got.stdout, got.stdout + got.stderr)


def test_a_parameter_of_another_type():
    path = write("recipe: 1\nparams: {least: {type: duration}}\nprobes:\n  a: {call: tick, keep: 'elapsed > ${least}'}\n")
    refused(2, "check", path, "-p", "least=abc", words=["is not of type duration"], but=["captured"])
    check(pickglass("check", path, "-p", "least=5ms").code == 0, "5ms")


def test_a_pattern_is_for_names():
    refused(1, "list", "--pid", str(Busy(light=True).pid), "threads", "busy", words=["list threads takes no pattern", "grep"])


def test_what_is_listed_elsewhere():
    stub = gdbserver(attach=Busy(light=True).pid)
    refused(3, "list", stub.uri, "threads", words=["threads can be listed of a Delve", "natively"])


# ---- trace: the words are the user's, the recipe is not ----

def test_words_of_trace():
    busy = Busy(light=True)
    target = ["--pid", str(busy.pid)]
    for option, value in ("--hits", "abc"), ("--stack", "many"), ("--for", "soon"), ("--for", "1s # x"):
        refused(1, "trace", *target, "tick", option, value, words=[f'{option} "{value}": '], but=[" | "])
    wrong = ([["tikc"], 'LOCATION "tikc": no function "tikc"'], [["tick", "n +"], 'EXPR "n +": '], [["tick", "n", "zoo"], 'EXPR "zoo": '],
             [["tick", "--when", "n >"], '--when "n >": '])
    for words, told in wrong:
        refused(2, "trace", *target, *words, "-q", "-o", "-", words=[told], but=["probe", " | "])


def test_words_of_trace_at_a_launch():
    """A library might have the function: that none has is the reason, not that none came."""
    for words in ["tikc"], ["tikc", "n"]:
        refused(2, "trace", *words, "-q", "-o", "-", "--kill-launched", "--", build("counts"), words=['LOCATION "tikc": no function "tikc"'],
                but=["never loaded", "\n\n", "EXPR"])


def test_the_recipe_of_trace():
    words = ["--pid", "1", "tick", "--when", 'n > 1 && "\n$" != ""', "--hits", "3", "--stack", "2"]
    for more in [], ["n", "*p"]:
        got = pickglass("trace", *words, *more, "--print-recipe")
        check(got.code == 0, got.err)
        again = pickglass("check", write(got.out))
        check(again.code == 0 and '$" != ""' in again.out and "n > 1" in again.out, again.out + again.err)


# ---- the schema of events: each of the runs above, and of other tests, is held against it, too ----

def lines(got):
    return [json.loads(line) for line in got.out.splitlines() if line.startswith("{")]


def runs_of_all_kinds():
    """Events of each type, with each field that a back end here can give."""
    busy, counts = Busy(light=True), build("counts")
    yield run("""  hit: {at: tick, capture: [n], args: true, locals: true, registers: true, stack: 4, thread: true, max_hits: 2}
  call: {call: tick, at_return: {r: return}, max_hits: 2, keep: 'n / (n - n) > 1', capture: [n]}
  log: {at: tick, log: 'n is {n}', capture: [n], max_hits: 2, when: n > 1}
  often: {at: tick, max_hits: 100000}
  clock: {timer: 20ms, max_hits: 2}
""", Attached(busy.pid), limits="limits: {duration: 2s, pause_budget: 1%, max_pause: 1ms}\n")
    yield run("  all: {syscall: [write, exit_group], max_hits: 3}\n  end: {exit: true}\n  w: {watch: {expr: g_counter, access: write}, max_hits: 2}\n", Launched(counts))
    yield run("  end: {exit: true}\n  s: {signal: SIGSEGV}\n", Launched(compiled_crash()))
    yield run("  end: {exit: true}\n", Launched("sh", "-c", "/bin/true; /bin/true"), "--follow-forks")
    yield run("  f: {at: nosuch}\n", Attached(busy.pid), code=2)
    yield run(TICK, gdbserver(attach=busy.pid))
    yield run(TICK, "native:1999999999", code=3)
    yield run("  f: {panic: true}\n", Attached(busy.pid), code=2)


def compiled_crash():
    source = write("int main(void) { return *(volatile int *)8; }\n", "crash.c")
    subprocess.run(["gcc", "-g", "-o", source[:-2], source], check=True, timeout=60)
    return source[:-2]


def test_events_are_as_the_schema_says():
    if not eventschema.jsonschema:
        raise Skipped("no python module jsonschema")
    events = [event for got in runs_of_all_kinds() for event in lines(got)]
    for event in events:
        why = eventschema.wrong_with(event, PICKGLASS)
        check(not why, f"{why}: {event}")
    kinds = eventschema.schema["oneOf"]
    check({event["type"] for event in events} == {kind["properties"]["type"]["const"] for kind in kinds}, "a type that no run emits")
    told = {key for event in events for key in event}
    rest = {key for kind in kinds for key in kind["properties"]} - told
    check(rest <= {"goroutine", "goroutines", "stop_cost_ns", "cut", "lasted_ns"}, f"no run emits {rest}")
    for event in events[:1] + events[-1:]:
        check(eventschema.wrong_with({**event, "more": 1}, PICKGLASS), "a field that nobody knows is taken")
        check(eventschema.wrong_with({key: value for key, value in event.items() if key != "run"}, PICKGLASS), "a field less is taken")


KNOWN = {}

if __name__ == "__main__":
    native_main(globals(), KNOWN)
