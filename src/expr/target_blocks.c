/* Elements by their number: in a row, in a std::deque's blocks, or of several types. */
#include "expr/target_parts.h"

#define TABLE_STEP 4096 /* bytes of a table of blocks that are fetched at once */
#define BLOCKS_MOST (UINT64_C(1) << 48)

static enum outcome worse(enum outcome a, enum outcome b) {
    return a > b ? a : b;
}

static enum outcome invalid(struct evaluation *evaluation) {
    return evaluation_fail(evaluation, "it is not in a valid state");
}

struct iterator {
    uint64_t current, first, last, node;
};

static enum outcome iterator_of(struct evaluation *evaluation, const struct operand *operand,
                                const struct block_place *place, struct iterator *out) {
    unsigned word = evaluation->frame->registers.arch->word;
    const uint64_t offsets[] = {place->current, place->first, place->last, place->node};
    uint64_t *const parts[] = {&out->current, &out->first, &out->last, &out->node};
    enum outcome worst = EVAL_OK;
    *out = (struct iterator){0};
    for (int i = 0; i < 4; i++)
        worst =
            worse(worst, operand_read(evaluation, operand, place->at + offsets[i], parts[i], word));
    return worst;
}

static bool is_valid(const struct iterator *at, uint64_t bytes, uint64_t size, unsigned word) {
    return at->last - at->first == bytes && at->current - at->first < bytes &&
           !((at->current - at->first) % size) && !(at->node % word);
}

enum outcome blocks_of(struct evaluation *evaluation, const struct operand *operand,
                       const struct shape *shape, struct blocks *out) {
    struct iterator begin, end;
    unsigned word = evaluation->frame->registers.arch->word;
    uint64_t size = type_plain(shape->element)->size;
    enum outcome outcome = worse(iterator_of(evaluation, operand, &shape->begin, &begin),
                                 iterator_of(evaluation, operand, &shape->end, &end));
    if (outcome != EVAL_OK)
        return outcome;
    uint64_t bytes = begin.last - begin.first, nodes = (end.node - begin.node) / word;
    bool same = begin.node == end.node;
    if (!size || begin.last <= begin.first || bytes % size ||
        !is_valid(&begin, bytes, size, word) || !is_valid(&end, bytes, size, word) ||
        end.node < begin.node || nodes > BLOCKS_MOST ||
        (same && (end.current < begin.current || end.first != begin.first)))
        return invalid(evaluation);
    out->per = bytes / size;
    out->skipped = (begin.current - begin.first) / size;
    out->table = begin.node;
    unsigned __int128 count =
        (unsigned __int128)nodes * out->per + (end.current - end.first) / size - out->skipped;
    out->count = (uint64_t)count;
    return count > INT64_MAX ? invalid(evaluation) : EVAL_OK;
}

enum outcome blocks_element(struct evaluation *evaluation, const struct blocks *blocks,
                            const struct shape *shape, uint64_t i, uint64_t ahead, uint64_t *out) {
    unsigned word = evaluation->frame->registers.arch->word;
    uint64_t place = blocks->skipped + i, block = 0;
    uint64_t entry = blocks->table + place / blocks->per * word;
    switch (memory_read(evaluation->frame->memory, entry, &block, word)) {
    case MEMORY_AGAIN:
        evaluation->again = true;
        memory_want(evaluation->frame->memory, entry,
                    ahead < TABLE_STEP / word ? (size_t)(ahead + 1) * word : TABLE_STEP);
        return EVAL_AGAIN;
    case MEMORY_FAULT: return evaluation_fault(evaluation, entry);
    default: break;
    }
    *out = block + place % blocks->per * type_plain(shape->element)->size;
    return EVAL_OK;
}

/* ---- bits ---- */

#define WORD_BITS(word) (8 * (word))

enum outcome bits_of(struct evaluation *evaluation, const struct operand *operand,
                     const struct shape *shape, struct bits *out) {
    unsigned word = evaluation->frame->registers.arch->word;
    const struct block_place *begin = &shape->begin, *end = &shape->end;
    uint64_t first = 0, last = 0;
    uint32_t from = 0, to = 0;
    *out = (struct bits){.count = shape->fixed, .address = operand->address + shape->data};
    if (shape->kind == SHAPE_FIXED_BITS)
        return EVAL_OK;
    enum outcome outcome =
        worse(operand_read(evaluation, operand, begin->at + begin->first, &first, word),
              operand_read(evaluation, operand, end->at + end->first, &last, word));
    outcome =
        worse(outcome, operand_read(evaluation, operand, begin->at + begin->current, &from, 4));
    outcome = worse(outcome, operand_read(evaluation, operand, end->at + end->current, &to, 4));
    if (outcome != EVAL_OK)
        return outcome;
    bool valid = last >= first && !((last - first) % word) && from < WORD_BITS(word) &&
                 to < WORD_BITS(word) && last - first < BLOCKS_MOST && (last > first || to >= from);
    if (!valid)
        return invalid(evaluation);
    *out = (struct bits){
        .count = (last - first) * 8 + to - from, .address = first + from / 8, .bit = from % 8};
    return EVAL_OK;
}

struct operand bits_element(const struct operand *operand, const struct shape *shape,
                            const struct bits *bits, uint64_t i) {
    struct operand one = operand_in_memory(shape->element, bits->address);
    uint64_t bit = bits->bit + i;
    if (shape->kind == SHAPE_FIXED_BITS)
        one = *operand;
    one.type = shape->element;
    operand_move(&one, (shape->kind == SHAPE_FIXED_BITS ? shape->data : 0) + bit / 8);
    one.bit = (unsigned)(bit % 8);
    one.bit_size = 1;
    return one;
}

/* ---- by their number ---- */

bool shape_has_order(const struct shape *shape) {
    static const bool has[SHAPE_KINDS] = {
        [SHAPE_TEXT] = true, [SHAPE_LIST] = true,       [SHAPE_BLOCKS] = true,
        [SHAPE_BITS] = true, [SHAPE_FIXED_BITS] = true,
    };
    return has[shape->kind];
}

enum outcome shape_element(struct evaluation *evaluation, const struct operand *operand,
                           const struct shape *shape, __int128 i, struct operand *out) {
    struct blocks blocks = {0};
    struct bits bits = {0};
    struct operand first = operand_in_memory(shape->element, 0);
    uint64_t count = 0;
    bool is_bits = shape->kind == SHAPE_BITS || shape->kind == SHAPE_FIXED_BITS;
    enum outcome outcome = is_bits ? bits_of(evaluation, operand, shape, &bits)
                           : shape->kind == SHAPE_BLOCKS
                               ? blocks_of(evaluation, operand, shape, &blocks)
                               : shape_elements(evaluation, operand, shape, &first, &count);
    if (outcome != EVAL_OK)
        return outcome;
    count = is_bits ? bits.count : shape->kind == SHAPE_BLOCKS ? blocks.count : count;
    if (i < 0 || (uint64_t)i >= count)
        return evaluation_fail(evaluation, "index %lld is outside of its %llu elements",
                               (long long)i, (unsigned long long)count);
    if (is_bits) {
        *out = bits_element(operand, shape, &bits, (uint64_t)i);
        return EVAL_OK;
    }
    if (shape->kind == SHAPE_BLOCKS)
        outcome = blocks_element(evaluation, &blocks, shape, (uint64_t)i, 0, &first.address);
    else
        operand_move(&first, (uint64_t)i * type_plain(shape->element)->size);
    *out = first;
    return outcome;
}

/* ---- parts of several types ---- */

bool sequence_next(shape_fn *fn, struct module *module, struct shape *shape, uint64_t *at) {
    if (!shape->mapped)
        return false;
    *at += shape->mapped_at;
    return fn(module, type_plain(shape->mapped), shape) && shape->kind == SHAPE_SEQUENCE;
}

const struct type *sequence_element(shape_fn *fn, struct module *module, const struct shape *shape,
                                    uint64_t n, uint64_t *at) {
    struct shape here = *shape;
    uint64_t seen = 0, offset = 0;
    unsigned steps = 0;
    do {
        if (here.element && seen++ == n) {
            *at = offset + here.data;
            return here.element;
        }
    } while (steps++ < PARTS_MOST && sequence_next(fn, module, &here, &offset));
    *at = seen;
    return NULL;
}
