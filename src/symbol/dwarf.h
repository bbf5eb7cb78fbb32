/* libdwarf behind one small door: opening, debugging entries (DIEs), attributes. The only files
 * that know libdwarf's own types are those that include this one. It hides what changed between the
 * library of 2021 (Debian 12) and 0.4 and newer.
 *
 * Nothing here fails loudly: what is damaged or missing reads as absent, and the first message of
 * libdwarf is kept in `trouble` for those who tell people that something was not found. */
#pragma once

#include "base/map.h"
#include "symbol/elf.h"
/* Where Debian and Ubuntu have them, whatever its pkg-config file says; elsewhere that is right. */
#if __has_include(<libdwarf.h>)
#include <dwarf.h>
#include <libdwarf.h>
#else
#include <libdwarf/dwarf.h>
#include <libdwarf/libdwarf.h>
#endif

struct unit;

struct dwarf {
    struct elf_file *elf; /* not owned */
    Dwarf_Debug dbg;
    struct dwarf *alt;  /* what DWARF 5 calls supplementary (dwz); not owned */
    struct dwarf *main; /* of a .dwo: the file with its skeleton; not owned */
    struct dwarf_object *object;
    struct unit *units; /* sorted by offset, first those of .debug_info */
    size_t unit_count;
    struct map splits; /* of a .dwo or .dwp: dwo ids to index + 1 in `units`, as a pointer */
    bool splits_read;
    bool shares;           /* units refer to entries of others (dwz) */
    struct map types;      /* die_key() to struct type */
    struct map signatures; /* of type units: to index + 1 in `units`, as a pointer */
    char trouble[160];     /* the first thing that libdwarf complained about */
};

/* NULL with *out NULL: the file has no debug info. */
struct error *dwarf_open(struct elf_file *elf, struct dwarf *main, struct dwarf **out);

/* The same for a file of which only the unwind information is wanted. */
struct error *dwarf_open_frames(struct elf_file *elf, struct dwarf **out);
void dwarf_close(struct dwarf *dwarf);

/* Notes a complaint of libdwarf and frees it. True for DW_DLV_OK. */
bool dwarf_fine(struct dwarf *dwarf, int result, Dwarf_Error *error);

/* A section's bytes, also of one with an old name for compressed ones (".zdebug_"); NULL: none. */
const uint8_t *dwarf_section(struct dwarf *dwarf, const char *name, size_t *size);

/* A debugging entry. die_free() is due for each that a function below gave out. */
struct die {
    struct dwarf *dwarf;
    Dwarf_Die raw; /* NULL: none */
};

/* An entry's place in its file: what caches and later visits use. */
struct die_place {
    struct dwarf *dwarf;
    uint64_t offset; /* in .debug_info, or in .debug_types */
    bool types;
};

bool die_at(struct die_place place, struct die *out);
struct die_place die_place(struct die die);
uint64_t die_key(struct die_place place); /* unique within one `struct dwarf` */
void die_free(struct die *die);

bool die_child(struct die die, struct die *out);
bool die_next(struct die die, struct die *out);

/* Moves to the next sibling, freeing the entry; false (freed) after the last. */
bool die_step(struct die *die);

unsigned die_tag(struct die die);
bool die_has(struct die die, unsigned attribute);
const char *die_string(struct die die, unsigned attribute); /* lives as long as the file; or NULL */
bool die_unsigned(struct die die, unsigned attribute, uint64_t *out);
bool die_offset(struct die die, unsigned attribute, uint64_t *out); /* into a section */
bool die_signed(struct die die, unsigned attribute, int64_t *out);
bool die_flag(struct die die, unsigned attribute);
bool die_address(struct die die, unsigned attribute, uint64_t *out);

/* The entry of the type that a type unit was made for. */
bool die_of_signature(struct dwarf *dwarf, uint64_t signature, struct die *out);

/* The entry that an attribute refers to: in its unit, the file, a type unit or the dwz file. */
bool die_ref(struct die die, unsigned attribute, struct die *out);

/* A block or expression; the bytes live as long as the file. */
bool die_block(struct die die, unsigned attribute, const uint8_t **bytes, size_t *size);

/* DW_FORM_data16: a constant of that many bytes. False: it is in another form. */
bool die_sixteen(struct die die, unsigned attribute, uint8_t out[static 16]);

/* The name, or that of what the entry was made from (abstract origin, specification); or NULL. */
const char *die_name(struct die die);

/* An attribute of the entry or of what it was made from. */
bool die_inherited(struct die die, unsigned attribute, struct die *out);

/* Code that an entry covers. [low, high) link-time; sorted as the file has them. */
struct range {
    uint64_t low, high;
};
#define RANGES_MAX 65536

/* Appends the entry's ranges; `base` is its unit's low_pc. False: it has no code. */
bool die_ranges(struct die die, uint64_t base, struct range **ranges, size_t *count, size_t *cap);
bool ranges_contain(const struct range *ranges, size_t count, uint64_t pc);
