"""Disagreements with gdb that have a reason. They are counted by themselves, and fail nothing.

One row: the check (a part of its name), patterns that must be found in the expression, in gdb's answer and in ours,
and the reason. New rows need a reason that speaks about the debuggers, not about the test."""
import re

ANY = ""
VALUE = r"^(?!.*\$error)"
LOCAL = r"\)::|\$_\d|Inside|operator\(\)"
STD = r"std::|basic_string|__cxx11"
KNOWN = [
    ("line|addr2line|steps|stack|place", ANY, LOCAL, LOCAL.replace(r"\)::|", ""), "a local class's name is told without its function's"),
    ("values|table", ANY, r"synthetic pointer", r"optimized out", "gdb makes up a pointer to what was optimized away"),
    ("values", ANY, r"static origin", VALUE, "gdb shows static members inside of values, we show them by their names"),
    ("values", ANY, r"^true$", r"^\d+$", "a bool that is neither 0 nor 1 is shown as its number"),
    ("values", ANY, r"incomplete type", r"only declared", "one answer in two words"),
    ("table", r"sizeof", r"^0$|optimized out", r"optimized out|^\d+$", "the size of an array whose length is optimized away, or of what was"),
    ("variables", r"optimised|in_anonymous", ANY, ANY, "gdb leaves constants and dropped locals out of an optimised function's names"),
    ("values", r"^b in", r"(?i)true", r"^\d+$", "a bool that is neither 0 nor 1 is shown as its number"),
    ("", r"^\*?function_statics::", ANY, r"there is no", "a function's static variable that was optimised away has no place to be found by"),
    ("place", r"owners|vectors|Record|_GLOBAL__sub_I|__cxx_global_var_init|library.cpp:(36|48)", r"0x", r"0x", "clang's own mark of the prologue's end is believed here"),
    ("place|line|types|steps|stack", ANY, r"\$_0|char const ?\*", r"lambda at|const char ?\*", "templates' arguments as the compiler wrote them"),
    ("place", r"thunk|_GLOBAL__sub_I", ANY, r"no function|\"\"|^\[", "symbols without debug info are found by the linker's name"),
    ("types|values|table", r"text in vla", ANY, r"variable length|length cannot be read", "clang gives a bare VLA whose length it has dropped"),
    ("table", r"g_fixed.size|Pair<double>::made", r"optimized out", r"no member|there is no", "a static member that was optimised away has no place to be found by"),
    ("addr2line", ANY, r"\.rs'", r'"line": 0|/', "Rust's inlined shims: LLVM and we take different rows"),
    ("addr2line", ANY, r"library.cpp'", r"/usr/include", "binutils does not see all inlined calls"),
    ("variables", r"function_statics", ANY, ANY, "gdb leaves out statics that were optimised away"),
    ("addr2line", ANY, ANY, r"'function': ''", "padding between functions belongs to none of them"),
    ("addr2line|stack|steps|line|place", ANY, STD, STD, "gdb and binutils take the library's names from the linker's, with `const` behind and all arguments"),
    ("addr2line|stack|steps", r"_M_construct|operator|Item", ANY, ANY, "the same, cut off before it shows"),
    ("place", r"area", ANY, ANY, "gdb 13 does not read where an inlined copy is entered (DW_AT_entry_pc)"),
    ("place-lines", r"classes.cpp:(239|240|248|249|251|252)", ANY, ANY, "gdb takes a cold part, below its function's entry, for the prologue"),
    ("place", r"^lambdas|^local_class", ANY, ANY, "gdb takes what is local to a function, and put into it, for an overload of it"),
    ("place", r"^same_function|^main|scopes.c:100", ANY, ANY, "an inlined copy that begins where its host does: gdb skips the host's prologue and shows the call's line"),
    ("place", r"~Bottom", ANY, ANY, "an inlined copy that begins where its host does: gdb skips the host's prologue and shows the call's line"),
    ("place", r"__static_initialization|library.cpp:66", ANY, ANY, "the line before the function is the same one: gdb forgets where the function begins"),
    ("addr2line", ANY, r"lambdas\(int\)", r"operator\(\)", "the last row at an address is no statement: binutils and LLVM take it, gdb and we the statement's"),
    ("place-lines", r"library.cpp:(8|14|33|45|53)", ANY, ANY, "a line that shares its first address with another file's: gdb forgets it and slides to the next"),
    ("place-lines", ANY, r"thunk", r"thunk|\"\"", "a thunk has no debug info, and its name is the linker's"),
]
# Disagreements that nobody has explained yet: counted, shown, and to be worked off.
OPEN = [
    ("steps", r"operator\(\)", ANY, ANY, "the frame of a lambda's static invoker"),
    ("addr2line", ANY, r"library.cpp', 66", ANY, "landing pads of main"),
]
KNOWN += [
    ("place-lines", ANY, ANY, r"has no code \(the next line", "a line without code is refused here, with the next that has some"),
    ("values", r"^argc|^argv", r"optimized out", VALUE, "gdb does not look beyond main, whose caller says what it has passed"),
    ("", ANY, ANY, r"a pointer to what has no address", "gdb makes up a pointer to what was optimized away"),
    ("values", r"^z in", VALUE, r"optimized out", "half of a complex number is gone: gdb shows it as 0"),
    ("values|table", ANY, ANY, r"numbers of more than 8 bytes", "a location that computes a long double or an __int128 is refused here"),
    ("values|table", r"flat|table", r"memory|-\d+", r"^\d+$", "an array's length before it was set"),
    ("values", r"items", r"1 elements", r"\[\]", "gdb shows a flexible array as if it had one element"),
    ("types", r"^sizeof", r"^int$", r"^unsigned long$", "gdb says sizeof is an int, C says it is a size_t"),
    ("types", r"[-+*/%&|^]", r"^(unsigned )?long$", r"long long", "gdb has no long long among its promoted types"),
    ("types", r"\?.*:", ANY, ANY, "gdb gives the chosen operand's type, C the common one"),
    ("types", r"^\(_Bool\)", r"^_Bool$", r"^bool$", "two names of one type"),
    ("types", ANY, r"\[\d+\]", r"\[variable length\]", "an expression's type is known before the run, a VLA's length is not"),
    ("", r"^[\w.\[\]]+\.\w+ in ", VALUE, r"\[\d+\] has no members", "gdb takes an array for its first element"),
    ("", r"^sizeof\(.*&\)", VALUE, r"\$error", "references are no types to cast to here"),
    ("", r"nullptr", r"generic pointer", r"null|None", "gdb does not show nullptr itself"),
    ("values", ANY, r"Cannot access memory|virtual baseclass botch", r"its base class is not found|\$error", "a virtual base class before its constructor ran"),
    ("", ANY, r"not available on integers of more than 8 bytes", VALUE, "gdb does not calculate with 128 bits"),
    ("", ANY, r"cannot subscript something of type `int'", VALUE, "C lets an index and an array change places, gdb does not"),
    ("", ANY, r"syntax error in expression, near `namespace\)", VALUE, "gdb wants quotes around an anonymous namespace's names"),
    ("table", r"^outer::versioned", r"No symbol \"versioned\"", VALUE, "gdb does not look into an inline namespace by itself"),
    ("table", r"lib::Pair<double>::made|g_fixed\.size", r"no (member|field)", VALUE, "gdb misses some static members of templates"),
    ("table", r"^\(bool\)", r"No symbol \"bool\"", VALUE, "stdbool's macro: gdb reads C without its headers"),
    ("values", r"^(\$eflags|\$mxcsr)$", ANY, ANY, "gdb shows a set of flags, we show the number"),
    ("values", r"/ ?0$|% ?0$", ANY, r"\$error", "the words about a division by zero are each debugger's own"),
    ("stack", ANY, r"@plt", ANY, "gdb makes up names for the stubs of a procedure linkage table"),
    ("place", ANY, r"\[\]$", r"0x", "gdb finds no line for what only a header declares"),
]
# Of some builds alone: first a pattern for `FIXTURE/BUILD`.
OF_BUILDS = [
    ("O2-lto", "table", r"^::global", r"^0$", r"optimized out", "gdb takes another module's variable of that name for one that was optimised away"),
    ("clang-O2-lto", "values|table", r"flat|table", ANY, r"its length cannot be read", "an array's length that was optimised away: gdb makes up one element"),
    ("gcc-O2-lto", "place-lines", r"scopes.c:20$|classes.cpp:134$", ANY, ANY, "gdb knows neither blocks of dropped locals nor thunks without their symbols"),
    ("gcc-O2-lto", "variables", ANY, ANY, ANY, "gdb does not look for dropped locals in the unit that a function was compiled in"),
    ("scopes/gcc.*(split|dwp)", "values|table", r"\bt_|^&?own", r"opcode 0xa2|^[^<]*$", VALUE, "gcc writes an address where a thread-local's offset belongs: gdb takes it for one"),
    ("classes/clang", "values", r"in Left::Left", ANY, r"cannot read memory", "a virtual base class before its constructor ran"),
    ("^results", "results", r"int128", r"^0$", VALUE, "gdb's Python makes 0 of 128-bit results"),
    ("clang.*split-dwarf5", "", ANY, r"optimized out|no such vector element", ANY, "gdb 13 does not read the location lists in clang's split DWARF 5"),
    ("types-dwarf", "types|table", r"^scopes.c::same", ANY, ANY, "with type units gdb 13 takes another file's static variable"),
    ("clang", "table", r"^g_short ==|^g_words", ANY, r"basic_string|std::string", "clang leaves out the class that holds a std::string's pointer"),
]
BUILD = ""
INTEGER_WORDS = {"int", "long", "short", "char", "unsigned", "signed"}


def spelled_alike(theirs, ours):
    """`unsigned long` and `long unsigned int`: one type, said in gdb's words and in the compiler's."""
    def words(text):
        def one(found):
            parts = found.group().split()
            if not set(parts) <= INTEGER_WORDS:
                return found.group()
            kept = [part for part in parts if part != "int"] or ["int"]
            return " ".join(sorted(kept)) if kept != ["signed"] else "int"
        return re.sub(r"\b(?:(?:unsigned|signed|long|short|int|char)\b ?)+", one, text)
    return words(theirs) == words(ours)


def reason(check, what, theirs, ours):
    theirs, ours = str(theirs), str(ours)
    if check in ("types", "layout") and theirs != ours and spelled_alike(theirs, ours):
        return "an integer type's words as the compiler wrote them"
    here = [row[1:] for row in OF_BUILDS if re.search(row[0], BUILD)]
    for part, expression, gdbs, came, why in here + KNOWN + [row[:4] + ("not explained yet: " + row[4],) for row in OPEN]:
        if re.search(part, check) and re.search(expression, what) and re.search(gdbs, theirs) and re.search(came, ours):
            return why
    return None
