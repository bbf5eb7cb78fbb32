/* A program or shared library: its file, the file with its debug info, its units. What is asked for
 * is read, and nothing else: symbols first, then the units that a question touches.
 *
 * All addresses are link-time ones; a `struct space` (space.h) says where modules were loaded. A
 * module belongs to one thread. */
#pragma once

#include "symbol/dwarf.h"
#include <sys/stat.h>

#define MODULE_MEMORY ((size_t)1 << 30) /* bytes that all of a module's answers may cost */

struct lines;
struct names;
struct frames;
struct function;
struct go_layout;
struct type;

/* A compilation unit. The fields behind `loaded` are there after unit_load(). */
struct unit {
    struct module *module;
    struct dwarf *dwarf;
    uint64_t offset, end; /* of the unit, header included, in its section */
    uint64_t die;         /* offset of its first entry */
    bool types;           /* in .debug_types, or a type unit of DWARF 5 */
    uint8_t offset_size;  /* 4; 8 in DWARF's 64-bit format (DWARF 5, section 7.4) */
    uint64_t signature;   /* of a type unit; the dwo id of a skeleton and of its split unit */
    uint64_t type_die;    /* of a type unit: the offset of its type's entry */

    bool loaded;
    const char *name, *comp_dir, *producer; /* "" where there is none */
    unsigned language, version;
    uint64_t base;        /* low_pc: what old ranges and location lists are relative to */
    uint64_t ranges_base; /* of its lists; of its split unit's in GNU's extension to DWARF 4 */
    struct range *ranges;
    size_t range_count;
    uint64_t strings_base; /* of a split unit, in .debug_str_offsets.dwo */
    struct unit *split;    /* the unit in the .dwo file that has the entries; or NULL */
    struct unit *skeleton; /* of a split unit */
    struct names *names;
    struct lines *lines;
    bool lines_read;
    struct function **functions; /* functions.h */
    struct function **by_offset; /* the same, by their entries' places */
    struct span *spans;          /* which addresses are whose */
    size_t function_count, span_count;
    bool functions_read;
    int8_t optimised; /* 1: has location lists, -1: has none, 0: not looked yet */
    uint8_t refers;   /* enum unit_reference; after the first unit_refers() */
    bool refers_read;
};

struct pc_range {
    uint64_t low, high;
    struct unit *unit;
};

struct module {
    char *path;
    struct elf_file *elf;   /* what runs */
    struct elf_file *debug; /* where the debug info is: `elf`, a file of its own, or NULL */
    struct elf_file *alt_elf;
    struct dwarf *dwarf; /* NULL: no debug info */
    struct dwarf *alt;
    struct dwarf **dwos;
    struct elf_file **dwo_elfs;
    size_t dwo_count, dwo_cap, dwo_elf_cap;
    struct dwarf *package; /* the one of `dwos` that is the program's .dwp; or NULL */
    bool package_sought;
    struct pc_range *pcs; /* sorted; after the first unit_at() */
    size_t pc_count;
    bool pcs_read;
    struct frames *frames;
    struct elf_symbol **by_name; /* sorted by name; after the first lookup */
    size_t by_name_count;
    struct map sought;       /* names that were searched for; see names_find.c */
    struct map known_places; /* what was asked for already; see known_places.c */
    struct map locations;    /* expressions that were decoded; see location.c */
    struct map call_sites;   /* by their return addresses; see call_sites.c */
    struct map labels;       /* demangled names, by address; after the first module_label() */
    struct map go_types;     /* entries of types by what names them at run time; see go_types.h */
    uint64_t go_types_base;
    bool go_types_read;
    struct go_layout *go_layout; /* see go_stack.c; NULL: not asked for */
    struct arena arena;
    unsigned naming; /* units whose names are being read, one for another */
    char *note;      /* what people should know: a debug file that did not fit; or NULL */

    /* Shared by all that have opened the same file under the same name. */
    struct module *next;
    struct stat file;
    bool shared;   /* false: it is its opener's alone */
    unsigned uses; /* 0: closed by all, and kept for the next one */
};

/* ERROR_RUN where the file cannot be used at all. Debug info is optional: `note` says why a file
 * that should have it was not taken. A file that is open already is not read again, nor is
 * one that was closed a while ago: each module_open() wants its module_close(). */
struct error *module_open(const char *path, struct module **out);
/* The same, of a file whose name is another one: that of /proc/PID/exe. */
struct error *module_open_as(const char *path, const char *name, struct module **out);
struct error *module_open_image(const char *name, const void *bytes, size_t size,
                                struct module **out);
void module_close(struct module *module);

/* Opens a .dwo file of the module, which owns it. *out NULL: it has no debug info. */
#define SPLITS_MAX 65536
struct error *module_add_split(struct module *module, const char *path, struct dwarf **out);

/* PROGRAM.dwp, in which all .dwo files are; NULL: there is none. */
struct dwarf *module_package(struct module *module);

/* The functions' and objects' symbols of the file itself, or of its debug file. */
const struct elf_symbol *module_symbols(struct module *module, size_t *count);
const struct elf_symbol *module_symbol_at(struct module *module, uint64_t pc);

/* The name of the symbol at `pc` as people write it; NULL: there is none. In the module's arena. */
const char *module_label(struct module *module, uint64_t pc);

/* Symbols with exactly this name: an array inside of `by_name`; how many. */
size_t module_symbols_named(struct module *module, const char *name, struct elf_symbol ***out);

/* ---- units ---- */

void unit_load(struct unit *unit);

/* The unit with the entries: the split one where there is one. */
struct unit *unit_entries(struct unit *unit);
struct unit *unit_at(struct module *module, uint64_t pc);
struct unit *unit_of(struct die die);

/* Where the unit's part of a section of a .dwp begins (DW_SECT_*); a .dwo has one part, from 0. */
uint64_t unit_contribution(struct unit *unit, unsigned section);

/* An entry of .debug_addr: that of the program's file, also for split units. */
bool unit_address(struct unit *unit, uint64_t index, uint64_t *out);

/* One entry of a list of ranges (DW_RLE_*), with its operands as they are in the file. `base` is
 * that of the offsets that follow. False: it is no range. */
bool list_range(struct unit *unit, unsigned code, uint64_t a, uint64_t b, uint64_t *base,
                uint64_t *low, uint64_t *high);

/* False: no entry of the unit has this name. True: perhaps one has. Cheap. */
bool unit_may_name(struct unit *unit, const char *name, size_t n);

/* Which of the unit's entries may be made from those of other units: functions and variables whose
 * names stand there (-flto), copies of functions that were inlined. Cheap. */
enum unit_reference { REFERS_NAMES = 1, REFERS_INLINED = 2 };
unsigned unit_refers(struct unit *unit);

/* May an entry of the unit, from one place of .debug_info to another, refer to the one at `offset`,
 * there or in the file that it shares? Cheap; false is certain. */
bool unit_mentions(struct unit *unit, uint64_t from, uint64_t to, uint64_t offset);

/* Does any variable of the unit move between places (gcc's and clang's optimised code)? */
bool unit_is_optimised(struct unit *unit);

static inline bool unit_is_go(const struct unit *unit) {
    return unit->language == DW_LANG_Go;
}
