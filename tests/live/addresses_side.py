"""Runs inside gdb: what gdb says about every address of a list.

ADDRESSES names a JSON file with {addresses, out}; the answer is {address: [[function...], file, line, symbol]}, inlined
calls innermost first."""
import json, os, re
import gdb

JOB = json.load(open(os.environ["JOB"]))


def functions_at(pc):
    found, block = [], gdb.block_for_pc(pc)
    while block and not block.is_static and not block.is_global:
        if block.function:
            found.append(block.function.name)
            above = block.superblock
            if above.is_static or not above.start <= block.start < above.end:
                break  # an out-of-line function's block; a local class's hangs in a function elsewhere
        block = block.superblock
    return found


def symbol_at(pc):
    told = gdb.execute(f"info symbol {pc:#x}", to_string=True)
    match = re.match(r"(.*?)(?: \+ \d+)? in section \S+", told)
    return match.group(1) if match else None


def main():
    gdb.execute("set width 0")
    found = {}
    for pc in JOB["addresses"]:
        sal = gdb.find_pc_line(pc)
        found[pc] = [functions_at(pc), sal.symtab.fullname() if sal.symtab else None, sal.line if sal.symtab else 0, symbol_at(pc)]
    with open(JOB["out"], "w") as out:
        json.dump(found, out)


main()
