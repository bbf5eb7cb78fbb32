"""Disagreements with gdb that have a reason. They are counted by themselves, and fail nothing.

One row: the check (a part of its name), patterns that must be found in the expression, in gdb's answer and in ours,
and the reason. New rows need a reason that speaks about the debuggers, not about the test."""
import re

ANY = ""
VALUE = r"^(?!.*\$error)"
KNOWN = [
    ("values|table", ANY, r"synthetic pointer", r"optimized out", "gdb makes up a pointer to what was optimized away"),
    ("values", ANY, r"static origin", VALUE, "gdb shows static members inside of values, we show them by their names"),
    ("values", ANY, r"^true$", r"^\d+$", "a bool that is neither 0 nor 1 is shown as its number"),
    ("values", ANY, r"incomplete type", r"only declared", "one answer in two words"),
    ("table", r"sizeof", r"^0$|optimized out", r"optimized out|^\d+$", "the size of an array whose length is optimized away, or of what was"),
    ("values", r"^b in", r"(?i)true", r"^\d+$", "a bool that is neither 0 nor 1 is shown as its number"),
    ("", r"^\*?function_statics::", ANY, r"there is no", "a function's static variable that was optimised away has no place to be found by"),
    ("place|line|types|steps|stack", ANY, r"\$_0", r"lambda at", "templates' arguments as the compiler wrote them"),
    ("place$", r"\$_0", r"0x", r"no function", "clang's numbers of lambdas are in the linker's names alone"),
    ("line|steps|stack", ANY, r"_Head_base<0ul,", r"_Head_base<0(UL)?,", "compilers and the linker write a template's numbers with suffixes of their own, or without"),
    ("line|steps|stack", ANY, r"<(.*, )?\(__gnu_cxx::_Lock_policy\)2", r"<(.*, )?__gnu_cxx::_S_atomic>", "clang names an enumerator of a template's arguments, the linker its number"),
    ("place", r"thunk|_GLOBAL__sub_I", ANY, r"\"\"|^\[", "symbols without debug info are found by the linker's name"),
    ("types", r"\b(flat|table|text) in vla", r"^(int|char)\[\]", r"\[variable ?length\]", "gdb takes an array whose length is optimized away for one without"),
    ("values|table", r"^(flat|table|text) in vla", r"0x|optimized out|\[\]|elements", r"its length is optimized out|without a known length",
     "gdb takes an array whose length is optimized away for one without"),
    ("table", r"^sizeof\(table\)", r"^0$", r"without a known length", "gdb takes rows whose length is optimized away for empty ones"),
    ("values|table", ANY, r"Incompatible types on DWARF stack", VALUE, "gdb does not mix types where it computes a location"),
    ("values|table", r"\bld\b", r"Invalid floating value", r"NaN", "80 bits that are no long double: gdb refuses them, the processor makes NaN of them"),
    ("table", r"^(made|most) in", r"value has been optimized out", r"^\d+$", "gdb wants `this` for a static member, we do not"),
    ("line|steps|stack|place", ANY, r"::basic_string<std::allocator<char> ?>|vector<int, std::allocator<int> > const\*|basic_string<char, std::char_traits<char>, std::allocator<char> >|::pair<char const \(&\) \[2\], int, true>",
     r"::basic_string<(char)?>|vector<int> const\*|::pair<char const \(&\)\[2\], int>", "a template's default arguments, which gcc leaves out of the name"),
    ("table", r"g_fixed.size|Pair<double>::made", r"optimized out", r"no member|there is no", "a static member that was optimised away has no place to be found by"),
    ("addr2line", ANY, ANY, r"'function': ''", "padding between functions belongs to none of them"),
    ("place$", r"^(.*::)?(area|once)$", r"0x", r"0x", "gdb 13 does not read where an inlined copy is entered (DW_AT_entry_pc)"),
    ("place-lines", r"classes.cpp:(239|240|248|249|251|252)", r"'(thrower|exceptions)', (236|237|246)", r"'(thrower|exceptions)', 2(39|40|48|49|51|52)", "gdb takes a cold part, below its function's entry, for the prologue"),
    ("place$", r"^(lambdas|local_class)$", r"0x", r"0x", "gdb takes what is local to a function, and put into it, for an overload of it"),
    ("place", r"__static_initialization|library.cpp:66", r"0x", r"0x", "the line before the function is the same one: gdb forgets where the function begins"),
    ("place-lines", r"^classes.cpp:134$", r"thunk", r"thunk|\"\"", "thunks have no blocks: gdb takes one of them for all"),
]
KNOWN += [
    ("place-lines", ANY, ANY, r"has no code \(the next line", "a line without code is refused here, with the next that has some"),
    ("values", r"^argc|^\*?argv", r"optimized out", r"^1$|/pickglass-differential-\w+/", "gdb does not look beyond main, whose caller says what it has passed"),
    ("", ANY, ANY, r"a pointer to what has no address", "gdb makes up a pointer to what was optimized away"),
    ("values", r"^z in", VALUE, r"optimized out", "half of a complex number is gone: gdb shows it as 0"),
    ("values|table", ANY, ANY, r"numbers of more than 8 bytes", "a location that computes a long double or an __int128 is refused here"),
    ("values|table", r"flat|table", r"memory|-\d+", r"^\d+$", "an array's length before it was set"),
    ("values", r"items", r"1 elements", r"\[\]", "gdb shows a flexible array as if it had one element"),
    ("types", r"^sizeof", r"^int$", r"^unsigned long$", "gdb says sizeof is an int, C says it is a size_t"),
    ("types", r"[-+*/%&|^]", r"^(unsigned )?long$", r"long long", "gdb has no long long among its promoted types"),
    ("types", r"\?.*:", ANY, ANY, "gdb gives the chosen operand's type, C the common one"),
    ("types", r"^\((_Bool|bool)\)", r"^_Bool$", r"^bool$", "two names of one type"),
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
    ("addr2line", ANY, r"'\?\?', 0\)$", r"'file': '<autogenerated>', 'line': 1,", "LLVM has no line for what Go's compiler has made up: Go's addr2line says what we say"),
    ("backtrace", ANY, r" None:0 0x", r" <autogenerated>:1 0x", "gdb has no line for what Go's compiler has made up"),
]
# Of some builds alone: first a pattern for `FIXTURE/BUILD`.
OF_BUILDS = [
    ("frames/gcc-Og", "values", r"__sigaction_handler|_sifields", r"There is no member named", VALUE, "with -g3 gdb takes headers' macros for what stands in a member's name"),
    ("classes/.*nosymtab", "place-lines", r"^classes.cpp:134$", r"\(None, 134\)", r"\('', 134\)", "thunks have no blocks: gdb takes one of them for all"),
    ("classes/gcc-Os", "place-lines", r"^classes.cpp:(128|131)$", r"thunk", r"thunk", "thunks have no blocks: gdb takes one of them for all"),
    ("library/clang-O0-dwz-shared", "place$", r"_Lock_policy\)2> >::(~allocator|allocator<void>)$", r"0x", r"no function", "clang names an enumerator of a template's arguments, the linker its number"),
    ("frames/gcc-O2-(split|dwp)", "values|table", r"^\*?text in optimised", r"^(folded|102)", r"^\{'\$error': 'optimized out'\}$", "gcc leaves out of split debug info what a pointer to a text points to"),
    ("frames/gcc-O2-(split-dwarf4|dwp)", "values|table", r"^(twice \+ )?a in always_deeper, frame 1", r"^\d+$", r"^\{'\$error': 'optimized out'\}$",
     "gcc's location lists in split DWARF 4: a range that begins before a label is two bytes too short (`end-label-1`)"),
    ("templates/", "variables", r"^count<", r"^\[.(rest|all)", r"#0.*#1.*#2", "gdb drops the parameters of g++'s packs, and shows the last of clang's: here each has a name"),
    ("scopes/gcc-O2-(split|dwp)", "values|table", r"^(buffer|record)\b.* in function_statics", r"^(?!None|<)", r"^\{'\$error': 'optimized out'\}$", "gcc leaves out of split debug info where some of a function's static variables are"),
    ("classes/clang", "place$", r"thunk to (Bottom|Left|Right)::~", r"0x", r"0x", "clang describes some thunks: we skip their prologue, gdb takes the linker's symbol"),
    ("-static", "values|table", r"\bt_|^&?own\b", r"Cannot find thread-local", VALUE, "gdb finds no thread's variables without libthread_db, which asks for libpthread"),
    ("structs/clang-O2-lto", "values|table", r"^(sizeof\(|&)?(flat|table|text)\b.* in vla", ANY, r"its length is optimized out", "gdb makes up one element of an array whose length is optimized away"),
    ("scopes/clang-O2-dwz-shared", "table", r"^scopes(_other)?\.c::same_text", r"optimized out", r"there is no", "dwz has moved what both files have, and nothing has a place of, out of both"),
    ("results/clang-O2-lto", "results", r"^the returns of r_string", r"somewhere", r"nowhere", "the function ends in a jump to another one"),
    ("results/clang-O2-lto", "results", r"^r_view", r"Cannot access memory", r"cannot read memory", "the optimiser of the whole program knows that nobody reads that half of the result"),
    ("results/clang-O2-lto", "results", r"^r_unique", ANY, r"cannot read memory", "the optimiser of the whole program knows that nobody reads the address of the result"),
    ("library/clang", "place", r"^(strings|owners|vectors|Record.*|_GLOBAL__sub_I.*|__cxx_global_var_init.*|library.cpp:(14|30|36|48))$", r"0x", r"0x",
     "clang marks the prologue's end at a row of another file (an inlined copy's): gdb looks at the function's own file alone"),
    ("O2-lto", "table", r"^::global", r"^0$", r"optimized out", "gdb takes another module's variable of that name for one that was optimised away"),
    ("gcc-O2-lto", "table", r"^scopes(_other)?\.c::same_static", r"optimized out", r"^-?100$", "gdb looks for the place of a file's static in the file's own unit alone"),
    ("gcc-O2-lto", "values", r"^this in .*::~map,", r"optimized out", VALUE, "gdb finds `this` twice where a clone was made from a clone, and takes the abstract one"),
    ("gcc-O2-lto", "place-lines", r"scopes.c:20$|classes.cpp:134$", r"0x", r"0x", "gdb knows neither blocks of dropped locals nor thunks without their symbols"),
    ("classes/clang", "values", r"in Left::Left", ANY, r"cannot read memory", "a virtual base class before its constructor ran"),
    ("^results", "results", r"int128", r"^0$", VALUE, "gdb's Python makes 0 of 128-bit results"),
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
    for part, expression, gdbs, came, why in here + KNOWN:
        if re.search(part, check) and re.search(expression, what) and re.search(gdbs, theirs) and re.search(came, ours):
            return why
    return None
