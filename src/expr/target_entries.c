/* The entries of containers that keep them in nodes, chains or hash tables: where each is. */
#include "expr/target_parts.h"

#include <string.h>

#define TREE_DEPTH 128 /* a red-black tree of 2^64 nodes is not deeper */
#define PAGE 4096
#define COUNT_MOST 4096 /* nodes that are followed to count them */
#define NODE_STEP 256   /* neighbours are fetched with a node: they were often made together */
#define BLOCK_CELLS 8   /* Go: abi.MapBucketCount, abi.MapGroupSlots */
#define BLOCK_STEP 4096 /* a hash table's blocks lie in a row */
#define BLOCKS_MAX 8192 /* of one table that are looked at, chained ones too */
#define TABLES_MAX 4096
#define BITS_MAX 48

struct walk {
    struct evaluation *evaluation;
    const struct shape *shape;
    struct entries *out;
    struct blocks blocks_of; /* SHAPE_BLOCKS */
    uint64_t last;           /* SHAPE_CHAIN: the node that was seen last */
    bool ended;              /* behind the last that was found there are no more */
    unsigned blocks;         /* looked at */
    unsigned pending;        /* not known yet */
};

static uint64_t ahead_of(uint64_t count, uint64_t size) {
    return count < BLOCK_STEP && size < BLOCK_STEP && count * size < BLOCK_STEP ? count * size
                                                                                : BLOCK_STEP;
}

static enum outcome worse(enum outcome a, enum outcome b) {
    return a > b ? a : b;
}

/* A number of `size` bytes. What is not known is wanted, `ahead` bytes of it. */
static enum outcome number_at(struct evaluation *evaluation, uint64_t address, size_t size,
                              uint64_t ahead, uint64_t *out) {
    *out = 0;
    switch (memory_read(evaluation->frame->memory, address, out, size)) {
    case MEMORY_OK: return EVAL_OK;
    case MEMORY_AGAIN:
        evaluation->again = true;
        if (ahead > size)
            memory_want(evaluation->frame->memory, address, (size_t)ahead);
        return EVAL_AGAIN;
    default: return evaluation_fault(evaluation, address);
    }
}

static enum outcome pointer_at(struct walk *walk, uint64_t address, uint64_t ahead, uint64_t *out) {
    return number_at(walk->evaluation, address, walk->evaluation->frame->registers.arch->word,
                     ahead, out);
}

static enum outcome invalid(struct walk *walk) {
    return evaluation_fail(walk->evaluation, "it is not in a valid state");
}

static bool is_full(const struct walk *walk) {
    return walk->out->count == walk->out->most;
}

/* ---- nodes ---- */

static void add_node(struct walk *walk, uint64_t node) {
    uint64_t at = node + walk->shape->node;
    if (!is_full(walk))
        walk->out->list[walk->out->count++] = (struct entry){at, at + walk->shape->mapped_at};
}

/* In order. Where a node is not known yet the others are looked at all the same: a tree takes as
 * many fetches as it is deep. */
static enum outcome walk_tree(struct walk *walk, uint64_t node, int depth) {
    uint64_t left, right, word = walk->evaluation->frame->registers.arch->word;
    if (!node || is_full(walk))
        return EVAL_OK;
    if (depth > TREE_DEPTH)
        return invalid(walk);
    enum outcome a = pointer_at(walk, node + walk->shape->link, NODE_STEP, &left);
    enum outcome b = pointer_at(walk, node + walk->shape->link + word, NODE_STEP, &right);
    if (a != EVAL_OK || b != EVAL_OK)
        return worse(a, b);
    a = walk_tree(walk, left, depth + 1);
    if (a != EVAL_FAILED)
        add_node(walk, node);
    b = a == EVAL_FAILED ? a : walk_tree(walk, right, depth + 1);
    return worse(a, b);
}

/* Nodes that were made one after another can lie the other way round, too. Not across the start of
 * a page: what is before it may not be there. */
static void want_before(struct walk *walk, uint64_t node, uint64_t previous) {
    uint64_t page = node & ~(uint64_t)(PAGE - 1);
    uint64_t low = node - page > NODE_STEP ? node - NODE_STEP : page;
    if (node < previous && previous - node < PAGE)
        memory_want(walk->evaluation->frame->memory, low, (size_t)(node - low));
}

/* A chain that comes back to itself comes back to a node that was marked, too: every node whose
 * number is a power of two is. */
static enum outcome walk_chain(struct walk *walk, uint64_t node) {
    uint64_t marked = 0, next_mark = 1, steps = 0;
    enum outcome outcome = EVAL_OK;
    while (node && !is_full(walk) && outcome == EVAL_OK) {
        uint64_t next;
        if (node == marked)
            return invalid(walk);
        if (++steps == next_mark) {
            marked = node;
            next_mark *= 2;
        }
        add_node(walk, node);
        outcome = pointer_at(walk, node, NODE_STEP, &next);
        if (outcome == EVAL_AGAIN)
            want_before(walk, node, walk->last);
        walk->last = node;
        node = next;
    }
    walk->ended = outcome == EVAL_OK && !node;
    return outcome;
}

/* Each node must know the one before it: so a ring that is damaged is found out. */
static enum outcome walk_ring(struct walk *walk, uint64_t header, uint64_t node) {
    uint64_t next, before, previous = header, link = walk->shape->link;
    uint64_t back = link ? 0 : walk->evaluation->frame->registers.arch->word;
    while (node != header && !is_full(walk)) {
        if (!node)
            return invalid(walk);
        enum outcome outcome = pointer_at(walk, node + link, NODE_STEP, &next);
        outcome = worse(outcome, pointer_at(walk, node + back, 0, &before));
        if (outcome == EVAL_AGAIN)
            want_before(walk, node, previous);
        if (outcome != EVAL_OK)
            return outcome;
        if (before != previous)
            return invalid(walk);
        add_node(walk, node);
        previous = node;
        node = next;
    }
    walk->ended = node == header;
    return EVAL_OK;
}

static enum outcome walk_blocks(struct walk *walk) {
    enum outcome worst = EVAL_OK;
    uint64_t per = walk->blocks_of.per;
    for (uint64_t i = 0; i < walk->out->most && worst != EVAL_FAILED; i++) {
        uint64_t at, ahead = (walk->out->most - i) / per + 1;
        enum outcome outcome =
            blocks_element(walk->evaluation, &walk->blocks_of, walk->shape, i, ahead, &at);
        worst = worse(worst, outcome);
        if (outcome == EVAL_OK)
            walk->out->list[walk->out->count++] = (struct entry){at, at};
    }
    walk->ended = true;
    return worst;
}

/* ---- blocks of cells ---- */

static enum outcome part_of_cell(struct walk *walk, uint64_t at, bool apart, uint64_t *out) {
    *out = at;
    return apart ? pointer_at(walk, at, 0, out) : EVAL_OK;
}

/* Go's marks: a bucket's are what the hash begins with, from 5 on, and below that say why a cell is
 * empty; a group's have their highest bit set where a cell is empty. */
#define MARK_EVACUATED 2
#define MARK_LEAST 5

static bool is_used(const struct walk *walk, uint8_t mark) {
    return walk->shape->kind == SHAPE_BUCKETS ? mark >= MARK_LEAST : !(mark & 0x80);
}

static enum outcome take_cells(struct walk *walk, uint64_t block, uint64_t marks) {
    const struct hash_shape *hash = &walk->shape->hash;
    enum outcome worst = EVAL_OK;
    for (unsigned i = 0; i < BLOCK_CELLS && !is_full(walk); i++) {
        struct entry entry;
        if (!is_used(walk, (uint8_t)(marks >> 8 * i)))
            continue;
        enum outcome a =
            part_of_cell(walk, block + hash->key + i * hash->key_step, hash->key_apart, &entry.key);
        enum outcome b = part_of_cell(walk, block + hash->value + i * hash->value_step,
                                      hash->value_apart, &entry.value);
        if (a == EVAL_OK && b == EVAL_OK)
            walk->out->list[walk->out->count++] = entry;
        worst = worse(worst, worse(a, b));
    }
    return worst;
}

/* Is there no need to look further for now? */
static bool is_enough(struct walk *walk) {
    bool wanted = walk->pending * (BLOCK_CELLS / 2) >= walk->out->most - walk->out->count;
    walk->out->cut |= walk->blocks > BLOCKS_MAX;
    return is_full(walk) || walk->blocks > BLOCKS_MAX || (walk->pending && wanted);
}

/* A block's marks. `row` of them, this one the first, lie side by side. */
static enum outcome marks_of(struct walk *walk, uint64_t block, uint64_t row, uint64_t *marks) {
    const struct hash_shape *hash = &walk->shape->hash;
    walk->blocks++;
    enum outcome outcome = number_at(walk->evaluation, block + hash->marks, BLOCK_CELLS,
                                     ahead_of(row, hash->block), marks);
    walk->pending += outcome == EVAL_AGAIN;
    return outcome;
}

/* ---- buckets: each may go on in others ---- */

static enum outcome walk_bucket(struct walk *walk, uint64_t block, uint64_t row, bool replaced) {
    const struct hash_shape *hash = &walk->shape->hash;
    enum outcome outcome = EVAL_OK;
    while (block && outcome == EVAL_OK && !is_enough(walk)) {
        uint64_t marks, next;
        outcome = marks_of(walk, block, row, &marks);
        uint8_t first = (uint8_t)marks;
        if (outcome != EVAL_OK ||
            (replaced && first >= MARK_EVACUATED && first < MARK_LEAST)) /* they have moved */
            return outcome;
        outcome = worse(take_cells(walk, block, marks),
                        pointer_at(walk, block + hash->overflow, 0, &next));
        block = next;
        row = 1;
        replaced = false;
    }
    return outcome;
}

static enum outcome walk_buckets(struct walk *walk, uint64_t first, uint64_t count, bool replaced) {
    enum outcome worst = EVAL_OK;
    for (uint64_t i = 0; first && i < count && worst != EVAL_FAILED && !is_enough(walk); i++)
        worst = worse(worst,
                      walk_bucket(walk, first + i * walk->shape->hash.block, count - i, replaced));
    return worst;
}

#define SAME_SIZE_GROW 8 /* a flag: the buckets are replaced by as many */

/* While a table grows, entries are in the new buckets or still in those they replace. */
static enum outcome walk_table(struct walk *walk, uint64_t map) {
    const struct hash_shape *hash = &walk->shape->hash;
    struct evaluation *evaluation = walk->evaluation;
    uint64_t first, old, bits, flags;
    enum outcome outcome = worse(pointer_at(walk, map + walk->shape->data, 0, &first),
                                 pointer_at(walk, map + hash->old, 0, &old));
    outcome = worse(outcome, number_at(evaluation, map + hash->bits, 1, 0, &bits));
    outcome = worse(outcome, number_at(evaluation, map + hash->flags, 1, 0, &flags));
    if (outcome != EVAL_OK)
        return outcome;
    if (bits > BITS_MAX)
        return invalid(walk);
    uint64_t count = UINT64_C(1) << bits;
    outcome = walk_buckets(walk, first, count, false);
    if (outcome == EVAL_FAILED)
        return outcome;
    count = flags & SAME_SIZE_GROW ? count : count / 2;
    return worse(outcome, walk_buckets(walk, old, count, true));
}

/* ---- groups: of one table, or of many in a directory ---- */

static enum outcome walk_groups(struct walk *walk, uint64_t first, uint64_t count) {
    enum outcome worst = EVAL_OK;
    for (uint64_t i = 0; i < count && worst != EVAL_FAILED && !is_enough(walk); i++) {
        uint64_t marks, block = first + i * walk->shape->hash.block;
        enum outcome outcome = marks_of(walk, block, count - i, &marks);
        if (outcome == EVAL_OK)
            outcome = take_cells(walk, block, marks);
        worst = worse(worst, outcome);
    }
    return worst;
}

static enum outcome walk_directory(struct walk *walk, uint64_t map) {
    const struct hash_shape *hash = &walk->shape->hash;
    uint64_t word = walk->evaluation->frame->registers.arch->word;
    uint64_t first, count, table, last = 0, groups, mask;
    enum outcome outcome = worse(pointer_at(walk, map + walk->shape->data, 0, &first),
                                 pointer_at(walk, map + hash->directory, 0, &count));
    if (outcome != EVAL_OK)
        return outcome;
    if (!count)
        return first ? walk_groups(walk, first, 1) : EVAL_OK;
    for (uint64_t i = 0; i < count && outcome != EVAL_FAILED && !is_enough(walk); i++) {
        if (i == TABLES_MAX) {
            walk->out->cut = true;
            break;
        }
        enum outcome one = pointer_at(walk, first + i * word, ahead_of(count - i, word), &table);
        bool again = table == last; /* a table that is not split yet fills several places */
        last = table;
        if (one == EVAL_OK && !again)
            one = worse(pointer_at(walk, table + hash->groups, 0, &groups),
                        pointer_at(walk, table + hash->mask, 0, &mask));
        if (one == EVAL_OK && !again)
            one = walk_groups(walk, groups, mask == UINT64_MAX ? mask : mask + 1);
        else
            walk->pending += one == EVAL_AGAIN;
        outcome = worse(outcome, one);
    }
    return outcome;
}

/* ---- all of them ---- */

static uint64_t entry_size(const struct shape *shape) {
    bool hash = shape->kind == SHAPE_BUCKETS || shape->kind == SHAPE_GROUPS;
    return type_plain(shape->element)->size + (hash ? type_plain(shape->mapped)->size : 0);
}

static enum outcome walk_shape(struct walk *walk, const struct operand *operand, uint64_t first) {
    uint64_t map = operand->address;
    switch (walk->shape->kind) {
    case SHAPE_TREE: return walk_tree(walk, first, 0);
    case SHAPE_CHAIN: return walk_chain(walk, first);
    case SHAPE_RING:
        return walk_ring(walk, operand->address + walk->shape->data - walk->shape->link, first);
    case SHAPE_BLOCKS: return walk_blocks(walk);
    default: break;
    }
    enum outcome outcome = operand_read(walk->evaluation, operand, 0, &map,
                                        walk->evaluation->frame->registers.arch->word);
    if (outcome != EVAL_OK || !map)
        return outcome;
    return walk->shape->kind == SHAPE_BUCKETS ? walk_table(walk, map) : walk_directory(walk, map);
}

/* Entries that are found are fetched together. */
static void want_entries(struct walk *walk) {
    struct memory *memory = walk->evaluation->frame->memory;
    const struct shape *shape = walk->shape;
    bool apart = shape->kind == SHAPE_BUCKETS || shape->kind == SHAPE_GROUPS;
    for (uint64_t i = 0; i < walk->out->count; i++) {
        memory_want(memory, walk->out->list[i].key, type_plain(shape->element)->size);
        if (apart)
            memory_want(memory, walk->out->list[i].value, type_plain(shape->mapped)->size);
    }
}

bool shape_has_entries(const struct shape *shape) {
    static const bool has[SHAPE_KINDS] = {
        [SHAPE_TREE] = true,    [SHAPE_CHAIN] = true,  [SHAPE_RING] = true,
        [SHAPE_BUCKETS] = true, [SHAPE_GROUPS] = true, [SHAPE_BLOCKS] = true,
    };
    return has[shape->kind];
}

/* How many there are, as far as the container itself says it. */
static enum outcome measure(struct walk *walk, const struct operand *operand, uint64_t *first,
                            uint64_t *of) {
    const struct shape *shape = walk->shape;
    enum outcome outcome;
    switch (shape->kind) {
    case SHAPE_BLOCKS:
        outcome = blocks_of(walk->evaluation, operand, shape, &walk->blocks_of);
        *first = 0;
        *of = walk->blocks_of.count;
        return outcome;
    case SHAPE_RING:
    case SHAPE_CHAIN:
        if (shape->kind == SHAPE_RING && !operand->in_memory)
            return evaluation_fail(walk->evaluation, "it is not in memory");
        *first = 0;
        *of = UINT64_MAX;
        if (shape->uncounted)
            return operand_read(walk->evaluation, operand, shape->data, first,
                                walk->evaluation->frame->registers.arch->word);
        break;
    default: break;
    }
    struct operand at;
    outcome = shape_elements(walk->evaluation, operand, shape, &at, of);
    *first = at.address;
    return outcome;
}

/* Were there as many as the container says? */
static enum outcome agree(struct walk *walk) {
    struct entries *out = walk->out;
    const struct shape *shape = walk->shape;
    bool list = shape->kind == SHAPE_CHAIN || shape->kind == SHAPE_RING;
    if (shape->uncounted) {
        out->of = out->count + !walk->ended;
        return EVAL_OK;
    }
    bool few = out->count < out->most && !out->cut;
    return few || (list && out->count == out->of && !walk->ended) ? invalid(walk) : EVAL_OK;
}

enum outcome shape_entries(struct evaluation *evaluation, const struct operand *operand,
                           const struct shape *shape, struct entries *out) {
    struct walk walk = {.evaluation = evaluation, .shape = shape, .out = out};
    uint64_t first, most = out->most;
    out->entry = entry_size(shape);
    enum outcome outcome = measure(&walk, operand, &first, &out->of);
    if (outcome != EVAL_OK)
        return outcome;
    out->most = out->of < most ? out->of : most;
    if (out->entry && out->most > out->bytes / out->entry)
        out->most = out->bytes / out->entry;
    out->list = arena_alloc(evaluation->scratch, (size_t)(out->most + 1) * sizeof *out->list);
    if (!out->list)
        return evaluation_fail(evaluation, "it takes more memory than one hit may");
    outcome = walk_shape(&walk, operand, first);
    if (outcome == EVAL_OK)
        outcome = agree(&walk);
    if (outcome != EVAL_FAILED)
        want_entries(&walk);
    return outcome;
}

enum outcome shape_count(struct evaluation *evaluation, const struct operand *operand,
                         const struct shape *shape, uint64_t *count) {
    struct entries entries = {.most = COUNT_MOST, .bytes = UINT64_MAX};
    struct walk walk = {.evaluation = evaluation, .shape = shape};
    uint64_t first;
    struct bits bits;
    if (shape->kind == SHAPE_BITS || shape->kind == SHAPE_FIXED_BITS) {
        enum outcome found = bits_of(evaluation, operand, shape, &bits);
        *count = bits.count;
        return found;
    }
    if (!shape->uncounted)
        return measure(&walk, operand, &first, count);
    enum outcome outcome = shape_entries(evaluation, operand, shape, &entries);
    *count = entries.count;
    return outcome == EVAL_OK && entries.of > entries.count
               ? evaluation_fail(evaluation, "it has more than %d elements: they are not counted",
                                 COUNT_MOST)
               : outcome;
}
