"""Runs inside gdb: stops a fixture at many places and compares what gdb and the engine say there.

DIFFERENTIAL names a JSON file with the job: binary, fixture, sources, peek, checks, quick, seed, out."""
import bisect, functools, itertools, json, os, random, re, subprocess, sys, traceback
import gdb

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import expressions
from expected import (CHARS, Differs, FREE_FORM, POINTERS, RECORDS, REFERENCES, STRING, VECTOR, base, beyond_measure, bounds,
                      compare, function_name, is_data, member, real, squeeze, trouble, type_name, without_parameters)
import known
from known import reason
from peek import Peek
from stacks import brief, gdb_stack, hidden_frames, inlined_at, number, register_values, same_file, same_function, same_stack

JOB = json.load(open(os.environ["DIFFERENTIAL"]))
QUICK = JOB["quick"]
known.BUILD = JOB["name"]
MOST_STOPS = 24 if QUICK else 80
MOST_OF_A_FUNCTION = 2 if QUICK else 3
MOST_OF_A_FRAME = 120 if QUICK else 400
MOST_OF_A_VARIABLE = 25 if QUICK else 60
STEPS = 30 if QUICK else 100
LINE_ADDRESSES = 200 if QUICK else 1000
GLOBALS_EVERY = 12 if QUICK else 8
NAME = re.compile(r"^((\(anonymous namespace\)|[A-Za-z_]\w*)(<.*>)?::)*[A-Za-z_]\w*$")
COMPILERS_OWN = re.compile(r"^(this|__closure|__vla_expr\d+|__func__|__PRETTY_FUNCTION__|__range\d*|__begin\d*|__end\d*|"
                           r"__for_\w+|.*\..*)$")
BEFORE_MAIN = re.compile(r"_GLOBAL_|__static_init|__cxx_global|_Z.*__cxx_global")
random.seed(JOB["seed"])


class Check:
    def __init__(self):
        self.compared = self.agreed = 0
        self.known, self.disagreements = {}, []

    def as_json(self):
        return {"compared": self.compared, "agreed": self.agreed, "known": self.known,
                "disagreed": self.compared - self.agreed - sum(self.known.values()),
                "disagreements": self.disagreements[:50]}


class Results:
    def __init__(self):
        self.checks, self.stops, self.crashes, self.notes = {}, 0, [], []

    def add(self, name, what, agreed, theirs=None, ours=None):
        check = self.checks.setdefault(name, Check())
        check.compared += 1
        if agreed:
            check.agreed += 1
            return
        why = reason(name, what, theirs, ours)
        if why:
            check.known[why] = check.known.get(why, 0) + 1
        elif len(check.disagreements) < 50:
            check.disagreements.append([what, clip(theirs), clip(ours)])

    def known(self, name, why):
        check = self.checks.setdefault(name, Check())
        check.compared += 1
        check.known[why] = check.known.get(why, 0) + 1

    def no_judge(self, name):
        self.known(name, GAVE_UP)

    def write(self):
        with open(JOB["out"], "w") as out:
            json.dump({"checks": {name: check.as_json() for name, check in self.checks.items()}, "stops": self.stops,
                       "crashes": self.crashes, "notes": self.notes}, out)


FORGOTTEN = "gdb forgets a row of the line table behind which another file's row has the same address"
AS_BINUTILS = "binutils says what we say: gdb leaves out a row that has the line of the one before"
GAVE_UP = "an internal error of gdb's own"
RESULTS = Results()
LINKED_MAIN = 0


def clip(value):
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 3000 else text[:3000] + "..."


def wanted(check):
    return not JOB["checks"] or check in JOB["checks"]


# ---- the fixture's functions, lines and addresses ----

def fixture_symtabs():
    found = {}
    for source in JOB["sources"]:
        try:
            for sal in gdb.decode_line(f"{source}:1")[1] or []:
                if sal.symtab:
                    found[(sal.symtab.fullname(), source)] = sal.symtab
        except gdb.error as error:
            RESULTS.notes.append(f"{source}: {error}")
    return list(found.values())


def fixture_functions(symtabs):
    """(name without parameters, block) of every function with code of its own."""
    found = []
    for symtab in symtabs:
        for block in (symtab.global_block(), symtab.static_block()):
            for symbol in block:
                if symbol.is_function and symbol.symtab.fullname() == symtab.fullname():
                    body = gdb.block_for_pc(int(symbol.value().address))
                    found.append((without_parameters(symbol.name), body))
    return found or functions_by_name()


def functions_by_name():
    """Optimised at link time, they belong to a unit that has no source file of its own."""
    found = []
    for name in ["main"] + list(expressions.LOCAL):
        found += [(name, gdb.block_for_pc(pc)) for pc in places_of(name)]
    return found


def demangled(name):
    """gdb 13 tells a location's function by its linker's name."""
    if not name or not name.startswith("_Z"):
        return name
    return gdb.execute(f"demangle {name}", to_string=True).strip()


def places_of(spec):
    point = gdb.Breakpoint(spec, internal=True)
    try:
        found = {}
        for location in point.locations:
            source = location.source or (None, 0)
            found[location.address] = (without_parameters(demangled(location.function)), source[1])
        return found
    finally:
        point.delete()


def compare_places(peek, spec, asked, check):
    try:
        theirs = places_of(spec)
    except gdb.error:
        theirs = {}
    answer = peek.ask({"do": "place", "location": asked})
    places = answer.get("places", [])
    ours = {number(place.get("pc")): (without_parameters(place.get("function")), place.get("line")) for place in places}
    said = {hex(pc): at for pc, at in sorted(theirs.items())}
    came = answer if "error" in answer else {hex(pc): at for pc, at in sorted(ours.items())}
    agreed = set(theirs) == set(ours) and ("error" in answer) == (not theirs)
    if not agreed and check == "place-lines" and gdb_forgot(asked, theirs, ours):
        RESULTS.known(check, FORGOTTEN)
    else:
        RESULTS.add(check, asked, agreed, said, came)
    for pc in set(theirs) & set(ours):
        RESULTS.add(check + "-names", f"{asked} at {pc:#x}", alike(theirs[pc], ours[pc]) or same_in_copy(pc, theirs[pc], ours[pc]),
                    theirs[pc], ours[pc])


def same_in_copy(pc, theirs, ours):
    """Where an inlined copy begins, gdb tells the line of the call; its line table has that of the copy."""
    return bool(inlined_at(pc)) and alike((theirs[0], gdb.find_pc_line(pc).line), ours)


@functools.lru_cache(None)
def line_rows():
    """(address, file, line, is a statement) of the line table, by address, as binutils reads it."""
    row = re.compile(r"^(\S+)\s+(\d+|-)\s+(0x[0-9a-f]+)(?:\s+\d+)?(\s+x)?\s*$", re.MULTILINE)
    found = []
    for path in (JOB["binary"], JOB["binary"] + ".debug"):
        if os.path.exists(path):
            text = subprocess.run(["readelf", "--debug-dump=decodedline", path], capture_output=True, text=True, errors="replace").stdout
            found += [(int(pc, 16), os.path.basename(file), int(line) if line != "-" else 0, bool(statement))
                      for file, line, pc, statement in row.findall(text)]
    return sorted(found, key=lambda row: row[0])


def gdb_forgot(asked, theirs, ours):
    """All that we have more is in the program's line table, and not in gdb's; what gdb has instead is where it slid to."""
    file, line = asked.split(":")
    more = set(ours) - set(theirs)
    rows = {(entry.line, entry.pc) for symtab in fixture_symtabs() if os.path.basename(symtab.filename) == file
            for entry in symtab.linetable()}
    return bool(more) and all((pc, file, int(line), True) in line_rows() and (int(line), pc) not in rows for pc in more)


def alike(theirs, ours):
    return same_function(theirs[0], ours[0]) and theirs[1] == ours[1]


def check_places(peek, symtabs, functions):
    for name in dict.fromkeys(name for name, _ in functions):
        compare_places(peek, name, name, "place")
    for name in expressions.LOCAL:
        if places_of(name) and name not in {known for known, _ in functions}:
            compare_places(peek, name, name, "place")
    for symtab in symtabs:
        file = os.path.basename(symtab.filename)
        for line in sorted(symtab.linetable().source_lines()):
            if line > 0:
                compare_places(peek, f"{file}:{line}", f"{file}:{line}", "place-lines")


def innermost_function(pc):
    block = gdb.block_for_pc(pc)
    while block and not block.function:
        block = block.superblock
    return block.function.name if block and block.function else None


def check_lines(peek, functions):
    bodies = [body for _, body in functions if body]
    for _ in range(LINE_ADDRESSES if bodies else 0):
        body = random.choice(bodies)
        pc = random.randrange(body.start, body.end)
        sal = gdb.find_pc_line(pc)
        if not sal.symtab or not sal.line:
            continue
        theirs = (without_parameters(innermost_function(pc)), sal.line, sal.symtab.fullname())
        answer = peek.ask({"do": "line", "pc": hex(pc)})
        ours = (without_parameters(answer.get("function")), answer.get("line"), answer.get("file"))
        agreed = alike(theirs, ours) and same_file(theirs[2], ours[2])
        if not agreed and same_function(theirs[0], ours[0]) and binutils_line(pc) == (os.path.basename(ours[2] or ""), ours[1]):
            RESULTS.known("line", AS_BINUTILS)
        else:
            RESULTS.add("line", hex(pc), agreed, theirs, answer if "error" in answer else ours)


def binutils_line(pc):
    """(file, line) of the last row at or before an address."""
    rows = line_rows()
    at = bisect.bisect_right(rows, pc, key=lambda row: row[0])
    return rows[at - 1][1:3] if at else None


# ---- registers and stacks ----

def linked(pc):
    """The address that the program's file has for one of its process."""
    return pc - int(gdb.parse_and_eval("(long) &main")) + LINKED_MAIN


def line_of(pc):
    """What binutils say of an address of the process."""
    return binutils_line(linked(pc))


def compare_stack(peek, newest, check):
    theirs = gdb_stack(newest)
    answer = peek.ask({"do": "stack", "max": 32})
    ours = answer.get("stack", [])
    what = f"{theirs[0]['function']}+{theirs[0]['pc']:#x}"
    came = answer if "error" in answer else brief(ours)
    own = own_frames(theirs)
    if own:
        without_tails = [frame for frame in own if not frame["tail"]]
        agreed = same_stack(own, ours) or same_stack(without_tails, ours)
        if not agreed and (same_stack(own, ours, line_of) or same_stack(without_tails, ours, line_of)):
            RESULTS.known(check, AS_BINUTILS)
        else:
            RESULTS.add(check, what, agreed, brief(own), came)
    if len(own) < len(theirs):
        RESULTS.add(check + "-outside", what, passes_through(theirs, ours), brief(theirs), came)


def own_frames(stack):
    """Those before the first one in a library."""
    for at, frame in enumerate(stack):
        if not in_binary(frame["pc"]):
            return stack[:at]
    return stack


def passes_through(theirs, ours):
    """The program's own functions must be there, in their order, whatever is between them."""
    rest = iter(ours)
    names = [frame["function"] for frame in theirs if in_binary(frame["pc"]) and frame["file"] and not frame["tail"]]
    return all(any(same_function(name, frame.get("function")) for frame in rest) for name in names)


def in_binary(pc):
    return gdb.current_progspace().solib_name(pc) is None and gdb.current_progspace().block_for_pc(pc) is not None


# ---- variables and values ----

def function_scopes(frame):
    """The blocks from the innermost to the function's own; then the file's static and global ones."""
    try:
        block = frame.block()
    except RuntimeError:
        return [], []
    inner = []
    while block and not block.is_static and not block.is_global:
        inner.append(block)
        if block.function:
            break
        block = block.superblock
    outer = frame.block()
    return inner, [outer.static_block, outer.global_block]


def is_constant(symbol):
    """A variable of which a constant is left; enumerators are others."""
    if not symbol.is_constant:
        return False
    kind = real(symbol.type)
    return kind.code != gdb.TYPE_CODE_ENUM or symbol.name not in [field.name for field in kind.fields()]


def variables_in(blocks):
    found = {}
    for block in blocks:
        for symbol in block:
            if (symbol.is_variable or symbol.is_argument or is_constant(symbol)) and NAME.match(symbol.name) and symbol.name not in found:
                found[symbol.name] = symbol
    return found


def compare_variables(peek, frame, where):
    inner, _ = function_scopes(frame)
    if not inner:
        return
    theirs = [(name, squeeze(symbol.type)) for name, symbol in variables_in(inner).items() if not COMPILERS_OWN.match(name)]
    answer = peek.ask({"do": "variables"})
    ours = {}
    for one in answer.get("variables", []):
        ours.setdefault(one.get("name"), squeeze(one.get("type")))
    names = [name for name in ours if not COMPILERS_OWN.match(name or "")]
    agreed = {name for name, _ in theirs} == set(names[:len(theirs)]) and "error" not in answer
    if agreed:
        agreed = scope_order(inner, names)
    RESULTS.add("variables", where, agreed, [name for name, _ in theirs], answer if "error" in answer else names)
    for name, kind in theirs:
        if name in ours:
            RESULTS.add("types", f"variable {name} in {where}", kind == ours[name], kind, ours[name])


def scope_order(blocks, names):
    """Within one block any order will do; an inner block's names come first."""
    levels, seen = {}, set()
    for level, block in enumerate(blocks):
        for symbol in block:
            levels.setdefault(symbol.name, level)
    found = [levels[name] for name in names if name in levels]
    return found == sorted(found)


def wrapped(expression):
    return f"({expression})" if expression.startswith("*") else expression


def walk(expression, value, pointers=2):
    """The expression and those of its parts."""
    yield expression
    try:
        if value.type.strip_typedefs().code in REFERENCES:
            value = value.referenced_value()
        code = real(value.type).code
        if code in RECORDS:
            yield from walk_members(expression, ".", value, pointers)
        elif code == gdb.TYPE_CODE_ARRAY:
            yield from walk_elements(expression, value, pointers)
        elif code in POINTERS and pointers and not trouble(value) and int(value):
            yield from walk_pointer(expression, value, pointers - 1)
    except gdb.error:
        pass


def walk_members(expression, arrow, value, pointers):
    name = type_name(value.type)
    if STRING.match(name) or VECTOR.match(name) or FREE_FORM.match(name):
        return
    for field in real(value.type).fields():
        if not is_data(field):
            continue
        if field.is_base_class or not field.name:
            part = base(value, field) if field.is_base_class else member(value, field)
            if part is not None:
                yield from walk_members(expression, arrow, part, pointers)
        else:
            yield from walk(f"{wrapped(expression)}{arrow}{field.name}", member(value, field), pointers)


def walk_elements(expression, value, pointers):
    first, last = bounds(real(value.type))
    for i in range(first, min(last, first + 3) + 1):
        yield from walk(f"{wrapped(expression)}[{i}]", value[i], pointers)


def walk_pointer(expression, value, pointers):
    target = real(value.type.strip_typedefs().target())
    if target.code in (gdb.TYPE_CODE_FUNC, gdb.TYPE_CODE_VOID):
        return
    if target.code in RECORDS:
        yield f"*{expression}"
        yield from walk_members(expression, "->", value.dereference(), pointers)
    elif not CHARS.match(str(target)):
        yield from walk(f"*{expression}", value.dereference(), pointers)


def frame_name(frame):
    return without_parameters(frame.name()) or "?"


class Session:
    """One stop: gdb's frames, and the engine told about its registers."""

    def __init__(self, peek, newest):
        self.peek, self.newest = peek, newest
        self.hidden = len(hidden_frames(newest)[0])

    def evaluate(self, expression, level):
        request = {"do": "eval", "expr": expression}
        if level + self.hidden:
            request["frame"] = level + self.hidden
        return self.peek.ask(request)

    def compare(self, expression, level, frame, check="values", asked=None):
        try:
            self.compare_value(expression, level, frame, check, asked)
        except KeyboardInterrupt:
            RESULTS.no_judge(check)

    def compare_value(self, expression, level, frame, check, asked):
        what = f"{asked or expression} in {frame_name(frame)}" + (f", frame {level}" if level else "")
        answer = self.evaluate(asked or expression, level)
        ours = {"$error": answer["error"]} if "error" in answer else answer.get("value")
        try:
            frame.select()
            value = gdb.parse_and_eval(expression)
        except gdb.error as error:
            if not beyond_measure(error):
                RESULTS.add(check, what, is_refused(ours), str(error), ours)
            return
        self.judge(value, expression, answer, ours, what, check)

    def judge(self, value, expression, answer, ours, what, check):
        try:
            loose = expression.startswith("&") or not value.address
            if not (loose and same_address(value, ours)):
                compare(value, ours, expression, 1 if loose else 0)
        except Differs as differs:
            detail = "" if differs.where in ("", expression) else f" at {differs.where}"
            RESULTS.add(check, what + detail, False, differs.theirs, differs.ours)
        except gdb.error as error:
            if not beyond_measure(error):
                RESULTS.add(check, what, is_refused(ours), str(error), ours)
        else:
            RESULTS.add(check, what, True)
        if "error" not in answer:
            kind = squeeze(value.type)
            RESULTS.add("types", what, kind == squeeze(answer.get("type")), kind, answer.get("type"))

    def compare_register(self, name, level, frame):
        frame.select()
        try:
            theirs = int(gdb.parse_and_eval(name)) & (1 << 64) - 1
        except gdb.error as error:
            theirs = str(error)
        answer = self.evaluate(name, level)
        agreed = same_register(theirs, answer)
        what = f"{name} in {frame_name(frame)}, frame {level}"
        RESULTS.add("registers", what, agreed, theirs, answer.get("error", answer.get("value")))

    def variables(self, level, frame, with_globals):
        inner, outer = function_scopes(frame)
        roots = variables_in(inner)
        budget = MOST_OF_A_FRAME
        if with_globals:
            roots.update({name: symbol for name, symbol in variables_in(outer).items()
                          if name not in roots and os.path.basename(symbol.symtab.filename) in JOB["sources"]})
            budget *= 4
        asked = set()
        for name in roots:
            for expression in self.of_one(name, frame):
                if expression not in asked and len(asked) < budget:
                    asked.add(expression)
                    self.compare(expression, level, frame)

    def of_one(self, name, frame):
        frame.select()
        try:
            return list(itertools.islice(walk(name, gdb.parse_and_eval(name)), MOST_OF_A_VARIABLE))
        except (gdb.error, KeyboardInterrupt):
            return [name]

    def table(self, level, frame):
        for expression in expressions.LOCAL.get(frame_name(frame), []):
            self.compare(expression, level, frame, "table")

    def global_table(self, level, frame):
        fixture = JOB["fixture"]
        for expression in expressions.ANYWHERE + expressions.GLOBAL.get(fixture, []):
            self.compare(expression, level, frame, "table")
        for expression, theirs in expressions.OURS.get(fixture, []):
            if isinstance(theirs, str) and "::" in theirs:
                self.compare(theirs, level, frame, "table", asked=expression)
            elif is_there(re.match(r"\w+", expression).group(), frame):
                answer = self.evaluate(expression, level)
                agreed = "value" in answer and answer["value"] == theirs
                RESULTS.add("table", expression, agreed, theirs, answer)
        for name in expressions.TYPES.get(fixture, []):
            compare_type(self.peek, name)


def is_refused(ours):
    return isinstance(ours, dict) and set(ours) == {"$error"}


def is_there(name, frame):
    """Some builds leave a variable out."""
    frame.select()
    try:
        return not trouble(gdb.parse_and_eval(name))
    except gdb.error:
        return False


def same_register(theirs, answer):
    """gdb thinks of $rip as a function, of $rsp as a pointer: these, or a number."""
    ours = answer.get("value")
    if "error" in answer or isinstance(theirs, str):
        return "error" in answer and isinstance(theirs, str)
    if isinstance(ours, dict) and "$func" in ours:
        return function_name(theirs) is not None
    if ours is None:
        return theirs == 0
    return number(ours.get("$ptr") if isinstance(ours, dict) else ours) & (1 << 64) - 1 == theirs


def same_address(value, ours):
    if value.type.strip_typedefs().code not in POINTERS or not isinstance(ours, dict) or set(ours) != {"$ptr"}:
        return False
    return number(ours["$ptr"]) == int(value)


# ---- types ----

KINDS = {gdb.TYPE_CODE_STRUCT: ("struct", "class"), gdb.TYPE_CODE_UNION: ("union",), gdb.TYPE_CODE_ENUM: ("enum",)}


def lookup_type(name):
    try:
        return gdb.lookup_type(name)
    except gdb.error:
        return gdb.parse_and_eval(f"({name} *) 0").type.target()


def compare_type(peek, name):
    try:
        kind = lookup_type(name)
    except gdb.error:
        return
    answer = peek.ask({"do": "type", "name": name})
    RESULTS.add("layout", name, answer.get("size") == kind.sizeof, kind.sizeof, answer.get("error", answer.get("size")))
    if "error" in answer or "size" not in answer:
        return
    plain = real(kind)
    if plain.code in KINDS:
        RESULTS.add("layout", f"kind of {name}", answer.get("kind") in KINDS[plain.code], KINDS[plain.code], answer.get("kind"))
    if plain.code in RECORDS:
        ours = {member.get("name"): member for member in answer.get("members", [])}
        for field in plain.fields():
            if is_data(field) and field.name and not field.is_base_class:
                compare_member(name, field, ours.get(field.name))


def compare_member(name, field, ours):
    what, bits = f"{name}.{field.name}", field.bitsize
    theirs = {"type": squeeze(field.type), "offset": field.bitpos // 8, "bit_size": bits}
    if not isinstance(ours, dict):
        RESULTS.add("layout", what, False, theirs, ours)
        return
    came = {"type": squeeze(ours.get("type")), "offset": ours.get("offset"), "bit_size": ours.get("bit_size") or 0}
    if bits:
        # A bit-field's offset is that of its first byte or of its storage unit.
        theirs["offset"] = came["offset"] if came["offset"] in (field.bitpos // 8, unit_of(field)) else theirs["offset"]
    RESULTS.add("layout", what, theirs == came, theirs, came)


def unit_of(field):
    size = field.type.sizeof
    return field.bitpos // 8 // size * size


# ---- the program's run ----

def prepare():
    for setting in ("confirm off", "pagination off", "width 0", "height 0", "startup-with-shell off", "debuginfod enabled off",
                    "max-value-size 1048576", "print symbol on", "print object off", "print elements 4000",
                    "environment LD_BIND_NOW 1", "print thread-events off"):
        try:
            gdb.execute(f"set {setting}", to_string=True)
        except gdb.error:
            pass
    # What gdb calls an internal error then comes as a KeyboardInterrupt, and it can go on.
    for what in ("quit no", "corefile no"):
        gdb.execute(f"maintenance set internal-error {what}", to_string=True)
    for signal in ("SIGUSR1", "SIGUSR2"):
        gdb.execute(f"handle {signal} nostop noprint pass", to_string=True)


def alive():
    return gdb.selected_inferior().pid != 0


def set_breakpoints(functions):
    own = [name for name, _ in functions if not BEFORE_MAIN.match(name)]
    names = dict.fromkeys(["stop_here"] + own + list(expressions.LOCAL) + ["small"])
    points = []
    for name in names:
        try:
            points.append(gdb.Breakpoint(name, internal=True))
        except gdb.error:
            pass
    return points


def one_stop(peek, number_of_stop, seen):
    newest = gdb.newest_frame()
    peek.set_registers(register_values(newest))
    session = Session(peek, newest)
    name = frame_name(newest)
    older = newest.older()
    compare_stack(peek, newest, "stack")
    frames = [(0, newest)]
    if older and older.type() != gdb.TAILCALL_FRAME and in_binary(older.pc()) and (name == "stop_here" or seen.setdefault(("caller", name), 0) == 0):
        frames.append((1, older))
        seen[("caller", name)] = 1
    if not session.hidden and newest.find_sal().symtab:
        compare_variables(peek, newest, f"{name}:{newest.find_sal().line}")
    for level, frame in frames:
        session.variables(level, frame, number_of_stop % GLOBALS_EVERY == 0 and level == len(frames) - 1)
        if seen.get((level, frame_name(frame)), 0) < 3:
            seen[(level, frame_name(frame))] = seen.get((level, frame_name(frame)), 0) + 1
            session.table(level, frame)
        for register in expressions.REGISTERS if level == 0 else ("$rip", "$rsp", "$rbp", "$rbx", "$r12"):
            session.compare_register(register, level, frame)
    if name == "stop_here" and len(frames) > 1 and "tables" not in seen:
        seen["tables"] = True
        session.global_table(1, older)


def run_through(functions):
    points = set_breakpoints(functions)
    gdb.execute("run", to_string=True)
    peek, seen = Peek(JOB["peek"], JOB["binary"], gdb.selected_inferior().pid), {}
    while alive() and RESULTS.stops < MOST_STOPS:
        one_stop(peek, RESULTS.stops, seen)
        RESULTS.stops += 1
        RESULTS.write()
        for point in points:
            if point.enabled and point.location != "stop_here" and point.hit_count >= MOST_OF_A_FUNCTION:
                point.enabled = False
        gdb.execute("continue", to_string=True)
    finish(peek, points)


def finish(peek, points):
    if alive():
        gdb.execute("kill", to_string=True)
    for point in points:
        point.delete()
    RESULTS.crashes += peek.crashes
    peek.close()


def step_about():
    """Any instruction at all: prologues, epilogues, stubs, the C library."""
    start = gdb.Breakpoint("main", internal=True)
    gdb.execute("run", to_string=True)
    start.delete()
    peek = Peek(JOB["peek"], JOB["binary"], gdb.selected_inferior().pid)
    for _ in range(STEPS):
        gdb.execute(f"stepi {random.randint(1, 60)}", to_string=True)
        if not alive():
            break
        newest = gdb.newest_frame()
        peek.set_registers(register_values(newest))
        compare_stack(peek, newest, "steps")
    finish(peek, [])


class Finish(gdb.FinishBreakpoint):
    def stop(self):
        return True


def one_result(peek):
    """At the instruction that returns: ours. One step later: gdb's."""
    frame = gdb.newest_frame()
    name = frame_name(frame)
    peek.set_registers(register_values(frame))
    answer = peek.ask({"do": "eval", "expr": "return"})
    ours = {"$error": answer["error"]} if "error" in answer else answer.get("value")
    end = Finish(frame, internal=True)
    gdb.execute("continue", to_string=True)
    value = end.return_value
    if value is None:
        return RESULTS.no_judge("results")
    try:
        compare(value, ours, name)
    except (Differs, gdb.error) as differs:
        RESULTS.add("results", name, False, getattr(differs, "theirs", str(differs)), getattr(differs, "ours", ours))
    else:
        RESULTS.add("results", name, True)


def check_results(functions):
    start = gdb.Breakpoint("main", internal=True)
    gdb.execute("run", to_string=True)
    start.delete()
    peek = Peek(JOB["peek"], JOB["binary"], gdb.selected_inferior().pid)
    points = []
    for name in (name.split("[")[0] for name, _ in functions if name.startswith("r_")):
        places = peek.ask({"do": "place", "location": name, "returns": True}).get("places", [])
        RESULTS.add("results", f"the returns of {name}", places, "somewhere", "nowhere")
        points += [gdb.Breakpoint("*" + place["pc"], internal=True) for place in places]
    while alive():
        gdb.execute("continue", to_string=True)
        if alive():
            one_result(peek)
    finish(peek, points)


def main():
    global LINKED_MAIN
    prepare()
    LINKED_MAIN = int(gdb.parse_and_eval("(long) &main"))
    symtabs = fixture_symtabs()
    functions = fixture_functions(symtabs)
    if not functions:
        RESULTS.notes.append("gdb finds no functions here")
    peek = Peek(JOB["peek"], JOB["binary"])
    if wanted("place"):
        check_places(peek, symtabs, functions)
    if wanted("line"):
        check_lines(peek, functions)
    RESULTS.crashes += peek.crashes
    peek.close()
    if wanted("values"):
        run_through(functions)
    if JOB["fixture"] == "results" and wanted("results"):
        check_results(functions)
    if wanted("steps"):
        step_about()


try:
    main()
except (Exception, KeyboardInterrupt):
    RESULTS.notes.append("the test itself: " + traceback.format_exc())
    if alive():
        gdb.execute("kill", to_string=True)
RESULTS.write()
