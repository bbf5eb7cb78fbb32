/* Values of libraries that are damaged: an error in that value alone, and bounded. */
#include "own_program.h"

TestSuite(damaged, .init = open_self, .fini = close_self);

#define INVALID "{\"$error\":\"it is not in a valid state\"}"
#define UNREADABLE "{\"$error\":\"cannot read memory at 0x8\"}"
#define NOWHERE ((void *)8)

/* How the types of this file are to be seen. */
static struct {
    const char *type;
    struct shape shape;
} known[2];

static bool own_shape(struct module *module, const struct type *type, struct shape *out) {
    (void)module;
    for (size_t i = 0; i < COUNT(known); i++) {
        if (!type->name || !known[i].type || strcmp(type->name, known[i].type))
            continue;
        *out = known[i].shape;
        return true;
    }
    return false;
}

static void seen_as(size_t i, const char *type, struct shape shape) {
    known[i].type = type;
    known[i].shape = shape;
    the_shape = own_shape;
}

/* ---- nodes ---- */

struct link {
    struct link *next, *before;
    long value;
};
struct links {
    struct link *next, *before;
    long size;
} the_ring;
static struct link the_nodes[3];

static void ring(void) {
    struct link *nodes = the_nodes, *header = (struct link *)&the_ring;
    for (int i = 0; i < 3; i++)
        nodes[i] = (struct link){i < 2 ? nodes + i + 1 : header, i ? nodes + i - 1 : header, i};
    the_ring = (struct links){nodes, nodes + 2, 3};
    seen_as(0, "links",
            (struct shape){
                .kind = SHAPE_RING, .length = 16, .node = 16, .element = type_basic(BASIC_LONG)});
}

Test(damaged, rings) {
    ring();
    is("the_ring", "[0,1,2]");
    the_ring.size = 2; /* there are more */
    is("the_ring", INVALID);
    the_ring.size = 1L << 40; /* there are less */
    is("the_ring", INVALID);
    ring();
    the_nodes[2].next = the_nodes; /* it never ends */
    the_ring.size = 60;
    is("the_ring", INVALID);
    ring();
    the_nodes[1].next = NULL;
    is("the_ring", INVALID);
    the_nodes[1].next = NOWHERE;
    is("the_ring", UNREADABLE);
}

Test(damaged, chains) {
    ring();
    the_nodes[2].next = NULL;
    known[0].shape.kind = SHAPE_CHAIN;
    known[0].shape.uncounted = true;
    is("the_ring", "[0,1,2]");
    the_nodes[2].next = the_nodes + 1;
    is("the_ring", INVALID);
    known[0].shape.uncounted = false;
    is("the_ring", INVALID);
    the_ring.size = -1;
    is("the_ring", "{\"$error\":\"its length is negative\"}");
}

/* ---- blocks ---- */

struct place {
    long *current, *first, *last, **node;
};
struct blocks {
    struct place begin, end;
} the_blocks;
static long the_elements[3][4];
static long *the_table[3];

/* Seven elements: two, four and one. */
static void blocks(void) {
    for (int i = 0; i < 12; i++)
        the_elements[i / 4][i % 4] = i;
    for (int i = 0; i < 3; i++)
        the_table[i] = the_elements[i];
    long *first = the_elements[0], *last = the_elements[2];
    the_blocks = (struct blocks){{first + 2, first, first + 4, the_table},
                                 {last + 1, last, last + 4, the_table + 2}};
    seen_as(0, "blocks",
            (struct shape){.kind = SHAPE_BLOCKS,
                           .begin = {0, 0, 8, 16, 24},
                           .end = {32, 0, 8, 16, 24},
                           .element = type_basic(BASIC_LONG)});
}

Test(damaged, deques) {
    blocks();
    is("the_blocks", "[2,3,4,5,6,7,8]");
    is("the_blocks[6] + len(the_blocks)", "15");
    is("the_blocks[7]", "index 7 is outside of its 7 elements");
    static const struct {
        size_t offset; /* of a pointer in `the_blocks` */
        long by;       /* bytes that it is wrong by */
    } rows[] = {
        {offsetof(struct blocks, begin.current), -24}, {offsetof(struct blocks, begin.current), 16},
        {offsetof(struct blocks, begin.current), 1},   {offsetof(struct blocks, begin.first), 40},
        {offsetof(struct blocks, begin.last), 8},      {offsetof(struct blocks, begin.last), -32},
        {offsetof(struct blocks, begin.node), 24},     {offsetof(struct blocks, begin.node), 1},
        {offsetof(struct blocks, end.current), 24},    {offsetof(struct blocks, end.last), -8},
        {offsetof(struct blocks, end.node), -24},      {offsetof(struct blocks, end.node), 4},
        {offsetof(struct blocks, end.node), -16}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        blocks();
        *(uintptr_t *)((char *)&the_blocks + rows[i].offset) += (uintptr_t)rows[i].by;
        char *got = json("the_blocks");
        cr_expect_str_eq(got, INVALID, "row %zu: %s", i, got);
        free(got);
    }
    the_blocks = (struct blocks){0};
    is("the_blocks", INVALID);
}

Test(damaged, deques_elsewhere) {
    blocks();
    the_table[1] = NOWHERE; /* a block that is not there: its elements alone */
    is("the_blocks[4]", "{\"$error\":\"cannot read memory at 0x18\"}");
    is("the_blocks[1] + the_blocks[6]", "11");
    is("the_blocks", "[2,3," UNREADABLE ",{\"$error\":\"cannot read memory at 0x10\"},"
                     "{\"$error\":\"cannot read memory at 0x18\"},"
                     "{\"$error\":\"cannot read memory at 0x20\"},8]");
    blocks(); /* far more than there can be are counted, and not looked at */
    the_blocks.end.node = (long **)((uintptr_t)the_blocks.end.node + (8UL << 40));
    is("len(the_blocks)", "4398046511111");
    the_blocks.end.node = (long **)(UINTPTR_MAX - 7);
    is("the_blocks", INVALID);
    blocks();
    the_blocks.begin.node = NOWHERE;
    the_blocks.end.node = (long **)24;
    is("the_blocks", UNREADABLE);
}

/* ---- bits ---- */

struct bit_place {
    unsigned long *word;
    unsigned bit;
};
struct bits {
    struct bit_place begin, end;
} the_bits;
static unsigned long the_words[2];

static void bits(void) {
    the_words[0] = 5;
    the_words[1] = 1;
    the_bits = (struct bits){{the_words, 0}, {the_words, 3}};
    seen_as(0, "bits",
            (struct shape){.kind = SHAPE_BITS,
                           .begin = {.at = 0, .first = 0, .current = 8},
                           .end = {.at = 16, .first = 0, .current = 8},
                           .element = type_basic(BASIC_BOOL)});
}

Test(damaged, bits) {
    bits();
    is("the_bits", "[true,false,true]");
    the_bits.end.word++;
    is("the_bits[64]", "true");
    is("the_bits[67]", "index 67 is outside of its 67 elements");
    static const struct bits rows[] = {
        {{the_words, 4}, {the_words, 3}},                       /* ends before it begins */
        {{the_words + 1, 0}, {the_words, 3}},                   /* the same */
        {{the_words, 0}, {the_words, 64}},                      /* no bit of a word */
        {{the_words, 64}, {the_words + 1, 0}},                  /* the same */
        {{the_words, 0}, {(void *)((char *)the_words + 3), 0}}, /* not by whole words */
        {{NULL, 0}, {(void *)(1L << 60), 0}},                   /* no memory is so large */
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        the_bits = rows[i];
        char *got = json("the_bits");
        cr_expect_str_eq(got, INVALID, "row %zu: %s", i, got);
        free(got);
    }
    the_bits = (struct bits){{NOWHERE, 0}, {NOWHERE, 1}};
    is("the_bits", "[" UNREADABLE "]");
    the_bits = (struct bits){{the_words, 0}, {(void *)((uintptr_t)the_words + (1UL << 40)), 0}};
    is("len(the_bits)", "8796093022208");
    is("the_bits", "{\"$truncated\":{\"of\":8796093022208,\"value\":"
                   "[true,false,true,false,false,false,false,false]}}");
}

/* ---- one of several ---- */

struct alternatives {
    long first;
};
struct variant_of_two {
    struct alternatives held;
    unsigned char number;
} the_variant = {{7}, 0};

Test(damaged, variants) {
    seen_as(0, "variant_of_two", (struct shape){.kind = SHAPE_VARIANT, .length = 8, .fixed = 1});
    seen_as(1, "alternatives",
            (struct shape){.kind = SHAPE_SEQUENCE, .element = type_basic(BASIC_LONG)});
    struct module *module = space.list[0].module;
    known[0].shape.element = type_named(module, "struct alternatives", NULL);
    is("the_variant", "{\"index\":0,\"value\":7}");
    the_variant.number = 1;
    is("the_variant", "{\"$error\":\"no alternative has the number 1\"}");
    the_variant.number = 254;
    is("the_variant", "{\"$error\":\"no alternative has the number 254\"}");
    the_variant.number = 255; /* an exception has left it without a value */
    is("the_variant", "null");
    known[1].shape.mapped = known[0].shape.element; /* alternatives without an end */
    the_variant.number = 254;
    is("the_variant", "{\"index\":254,\"value\":7}");
    is("len(the_variant.held)", "257");
    known[1].type = NULL; /* what is no sequence */
    is("the_variant", "{\"$error\":\"no alternative has the number 254\"}");
}

/* ---- what is held, or counted, elsewhere ---- */

struct counted_text {
    const char *text;
} the_text;
static struct {
    long length, capacity, users;
    char text[8];
} the_header = {4, 7, 0, "text"};

Test(damaged, texts_with_headers) {
    the_text.text = the_header.text;
    seen_as(
        0, "counted_text",
        (struct shape){
            .kind = SHAPE_TEXT, .header = 24, .capacity = 8, .element = type_basic(BASIC_CHAR)});
    is("the_text", "\"text\"");
    is("len(the_text) + cap(the_text)", "11");
    the_header.length = -1;
    is("the_text", "{\"$error\":\"its length is negative\"}");
    the_text.text = NULL;
    is("the_text", "{\"$error\":\"cannot read memory at 0xffffffffffffffe8\"}");
    the_text.text = (char *)32;
    is("the_text", UNREADABLE);
}

struct short_text {
    unsigned char length;
    char text[7];
    const char *where;
    long count;
} the_short = {8, "text", "a longer text", 13};

Test(damaged, short_texts) {
    seen_as(0, "short_text",
            (struct shape){.kind = SHAPE_TEXT,
                           .data = 8,
                           .length = 16,
                           .has_short = true,
                           .short_text = 1,
                           .short_most = 7,
                           .element = type_basic(BASIC_CHAR)});
    is("the_short", "\"text\"");
    is("len(the_short)", "4");
    is("the_short[1:3]", "\"ex\"");
    the_short.length = 14; /* not in the object any more */
    is("the_short", INVALID);
    the_short.length = 254;
    is("the_short[20]", "it is not in a valid state");
    the_short.length = 1;
    is("the_short", "\"a longer text\"");
    the_short.where = NOWHERE;
    is("the_short", UNREADABLE);
}

struct weak {
    long *pointer;
    struct counts {
        int users;
    } * counts;
} the_weak;
static long what_it_is = 5;
static struct counts the_counts;

Test(damaged, weak_pointers) {
    seen_as(0, "weak",
            (struct shape){.kind = SHAPE_WEAK, .length = 8, .element = type_basic(BASIC_LONG)});
    is("the_weak", "{\"expired\":true,\"value\":null}");
    the_weak = (struct weak){NOWHERE, &the_counts}; /* what is gone is not looked at */
    is("the_weak", "{\"expired\":true,\"value\":null}");
    the_counts.users = 1;
    is("the_weak", "{\"expired\":false,\"value\":" UNREADABLE "}");
    the_weak.pointer = &what_it_is;
    is("the_weak", "{\"expired\":false,\"value\":5}");
    the_weak.counts = NOWHERE;
    is("the_weak", UNREADABLE);
}

struct any {
    void (*manager)(void);
    void *storage;
} the_any;

#define UNKNOWN "{\"$error\":\"the type of what it holds is not known\"}"

Test(damaged, anys) {
    seen_as(0, "any", (struct shape){.kind = SHAPE_ANY, .data = 8});
    is("the_any", "null");
    the_any.manager = bits; /* a function, and no manager */
    is("the_any", UNKNOWN);
    *(void **)&the_any.manager = NOWHERE;
    is("the_any", UNKNOWN);
    *(void **)&the_any.manager = &the_any;
    is("the_any", UNKNOWN);
}
