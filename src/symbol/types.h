/* The types of a program, made from its debug info when they are met. Immutable once complete;
 * they live as long as their module. */
#pragma once

#include "base/buffer.h"
#include "symbol/module.h"

enum type_kind {
    TYPE_VOID,
    TYPE_BOOL,
    TYPE_INT,  /* `sign` */
    TYPE_CHAR, /* an integer that holds text: `sign` */
    TYPE_FLOAT,
    TYPE_COMPLEX,
    TYPE_ENUM,
    TYPE_POINTER,
    TYPE_REFERENCE,      /* & and && */
    TYPE_MEMBER_POINTER, /* `target` is what it points to, `holder` the class */
    TYPE_ARRAY,
    TYPE_STRUCT,
    TYPE_CLASS,
    TYPE_UNION,
    TYPE_FUNCTION,
    TYPE_TYPEDEF,
    TYPE_CONST,
    TYPE_VOLATILE,
    TYPE_QUALIFIED, /* restrict, atomic, ... : `name` */
    TYPE_UNKNOWN,   /* what we cannot read; `name` says what */
};

struct member {
    const char *name; /* NULL: an anonymous one, whose members count as ours */
    const struct type *type;
    uint64_t offset;   /* bytes */
    uint64_t bit;      /* bit-field: its first bit, from the start of the struct */
    unsigned bit_size; /* 0: no bit-field */
    bool base;         /* a base class */
    bool virtual_base; /* its offset is in the object's vtable: `location` computes it */
    const uint8_t *location;
    size_t location_size;
    struct dwarf *dwarf; /* whose section has `location` */
    bool artificial;     /* made by the compiler: a vtable pointer */
};

/* One of the shapes that an enumeration of Rust's can have. */
struct variant {
    struct member member;
    uint64_t value; /* of the discriminant */
    bool otherwise; /* for all values that no other variant has */
};

struct enumerator {
    const char *name;
    int64_t value;
};

struct type {
    enum type_kind kind;
    const char *name; /* qualified; NULL for what has none */
    uint64_t size;    /* bytes; 0 unknown */
    bool sign;
    bool rvalue;      /* TYPE_REFERENCE: && */
    bool declaration; /* its definition was not found */
    bool vector;      /* TYPE_ARRAY: a SIMD one */
    bool quad;        /* a float of 16 bytes is IEEE's; else x87's */
    bool unit_go;     /* of a Go program */
    uint8_t go_kind;  /* there: what it is to the runtime (internal/abi.Kind); 0: not said */
    bool flags;       /* TYPE_ENUM: values are flags */
    bool variadic;    /* TYPE_FUNCTION */
    bool prototyped;
    const struct type *target; /* of pointers, arrays, typedefs, ...; a function's result */
    const struct type *holder;
    uint64_t count;         /* TYPE_ARRAY: elements */
    bool has_count;         /* no: a flexible array, or one whose length is computed: */
    struct die_place bound; /* a VLA's: the subrange's entry; dwarf NULL: none */
    uint64_t stride;        /* bytes between elements */
    struct member *members; /* after type_complete(); a function's parameters */
    size_t member_count;
    struct variant *variants; /* of which an object has one at a time */
    size_t variant_count;
    struct member discriminant; /* says which; without a type: there is only one */
    struct enumerator *enumerators;
    size_t enumerator_count;
    uint16_t dictionary; /* TYPE_TYPEDEF, of a generic function of Go's: 1 + the number of the word
                            in its dictionary that says what the type is; `target` is a shape */
    struct die_place place;
    bool complete;
    bool shared; /* one of this library's own: of no module, never written to */
    const struct type *pointer_to_me; /* made for casts and & */
};

/* The type that an entry's DW_AT_type (or what it was made from) names; void where it has none.
 * Never NULL. */
const struct type *type_of_entry(struct die die);
/* The same without what the entry was made from; for those who read types. `depth` bounds chains.
 */
const struct type *type_target(struct module *module, struct die die, int depth);
const struct type *type_at(struct module *module, struct die_place place);

/* Reads members, enumerators, parameters. Declarations are completed from other units, where
 * `module` has a definition. */
const struct type *type_complete(struct module *module, const struct type *type);

/* Without typedefs and qualifiers. */
const struct type *type_plain(const struct type *type);
const struct type *type_pointer_to(struct module *module, const struct type *type);
const struct type *type_array_of(struct module *module, const struct type *type, uint64_t count);

/* "unsigned int", "struct a", "ns::C<int>": base types by any spelling of C's. NULL: no such type.
 */
const struct type *type_named(struct module *module, const char *name, struct unit *near);

/* The types that a language's rules need and a program need not mention. */
enum basic {
    BASIC_INT,
    BASIC_UINT,
    BASIC_LONG,
    BASIC_ULONG,
    BASIC_LLONG,
    BASIC_ULLONG,
    BASIC_INT128,
    BASIC_UINT128,
    BASIC_SCHAR,
    BASIC_UCHAR,
    BASIC_SHORT,
    BASIC_USHORT,
    BASIC_LONG32, /* of 32-bit targets */
    BASIC_ULONG32,
    BASIC_CHAR,
    BASIC_BOOL,
    BASIC_DOUBLE,
    BASIC_LONG_DOUBLE,
    BASIC_FLOAT,
    BASIC_VOID,
    BASIC_POINTER,
    BASICS
};
const struct type *type_basic(enum basic basic);

/* Appends the type as its language writes it: "const char *", "int (*)(int)", "[4]int". */
void type_print(const struct type *type, struct buffer *out);

bool type_is_integer(const struct type *plain);   /* bool, char, int, enum */
bool type_is_number(const struct type *plain);    /* those, and floats */
bool type_is_composite(const struct type *plain); /* struct, class, union */
bool type_is_text(const struct type *plain);      /* a character of any width */

/* The member with this name, also of anonymous members and base classes. `path` gets the members to
 * step through, outermost first; their number, 0 if there is none, -1 if several have it. */
#define MEMBER_PATH 16
int type_member(struct module *module, const struct type *type, const char *name, size_t n,
                const struct member *path[static MEMBER_PATH]);
