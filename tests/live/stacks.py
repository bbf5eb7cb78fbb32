"""Stacks as gdb sees them, in the words that the engine's answers are compared by. Runs inside gdb."""
import os, re
import gdb

from expected import squeeze, without_parameters

GENERAL = ("rax rbx rcx rdx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15 rip eflags cs ss ds es fs gs "
           "fs_base gs_base").split()


def number(text):
    try:
        return int(text, 0) if isinstance(text, str) else int(text)
    except (TypeError, ValueError):
        return -1


def same_function(theirs, ours):
    """What a function declares is told without that function: `f(int)::Local::g` is our `Local::g`."""
    theirs, ours = squeeze(without_parameters(theirs or "")), squeeze(without_parameters(ours or ""))
    around = theirs[:-len(ours)] if ours and theirs.endswith("::" + ours) else ""
    return theirs == ours or re.search(r"\)::|::\$_\d+::", around) is not None


def same_file(theirs, ours):
    return isinstance(ours, str) and os.path.normpath(theirs) == os.path.normpath(ours)


def register_values(frame):
    values = {}
    for name in GENERAL:
        values[name] = int(frame.read_register(name)) & (1 << 64) - 1
    for i in range(16):
        vector = frame.read_register(f"xmm{i}")["v16_int8"]
        values[f"xmm{i}"] = "".join(f"{int(vector[j]) & 255:02x}" for j in range(16))
    top = int(frame.read_register("st0").format_string(format="x"), 0)
    values["st0"] = top.to_bytes(10, "little").hex()
    return values


def inlined_at(pc):
    """The inlined functions around an address, innermost first, and the line each was called from."""
    found, block = [], gdb.block_for_pc(pc)
    while block and block.superblock:
        if block.function:
            if not is_inlined(block):
                break
            found.append((block.function.name, block.function.line))
        block = block.superblock
    return found


def is_inlined(block):
    """An out-of-line function's block hangs directly below its file's, or, a local class's, in a function elsewhere."""
    above = block.superblock
    return not above.is_static and above.start <= block.start < above.end


def hidden_frames(frame):
    """gdb shows no inlined frame at its first instruction after a step: how many it leaves out, and where they are."""
    pc = frame.pc()
    inlined = inlined_at(pc)
    shown, at = 0, frame
    while at and at.type() == gdb.INLINE_FRAME:
        shown, at = shown + 1, at.older()
    hidden = inlined[:max(0, len(inlined) - shown)]
    sal = gdb.find_pc_line(pc)
    lines = [sal.line] + [line for _, line in hidden]
    return [(name, line) for (name, _), line in zip(hidden, lines)], lines[-1] if hidden else None


def theirs_of(frame, line=None):
    sal = frame.find_sal()
    inside = frame.type() != gdb.SIGTRAMP_FRAME
    return {"function": without_parameters(frame.name()) if inside else "*", "line": (line or sal.line) if sal.symtab else 0,
            "file": sal.symtab.fullname() if sal.symtab else None, "pc": frame.pc(),
            "tail": frame.type() == gdb.TAILCALL_FRAME, "inlined": frame.type() == gdb.INLINE_FRAME}


def gdb_stack(newest, most=32):
    hidden, line = hidden_frames(newest)
    found = []
    for name, at in hidden:
        found.append({"function": without_parameters(name), "line": at, "file": None, "pc": newest.pc(), "tail": False,
                      "inlined": True})
    frame = newest
    while frame and len(found) < most:
        found.append(theirs_of(frame, line))
        frame, line = frame.older(), None
    for one in found:
        one["looked_up"] = one["pc"] - (one["pc"] != newest.pc())
    return found


def same_frame(theirs, ours, judge=None):
    """The judge, asked where lines differ, says which file and line stand at an address of the process."""
    if theirs["function"] == "*":
        return True
    if theirs["line"] == 0 and not theirs["file"]:
        return not theirs["function"] or same_function(theirs["function"], ours.get("function"))
    file, line = ours.get("file"), ours.get("line")
    same_line = theirs["line"] == line and (not theirs["file"] or same_file(theirs["file"], file))
    if not same_line and judge:
        same_line = judge(theirs["looked_up"]) == (os.path.basename(file or ""), line)
    return same_function(theirs["function"], ours.get("function")) and same_line and theirs["pc"] == number(ours.get("pc"))


def same_stack(theirs, ours, judge=None):
    return len(ours) >= len(theirs) and all(same_frame(a, b, judge) for a, b in zip(theirs, ours))


def brief(stack):
    return " < ".join(f"{frame.get('function')}:{frame.get('line')}" for frame in stack)
