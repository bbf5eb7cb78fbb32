/* What the parts of the parser share. */
#pragma once

#include "expr/target_parts.h"

struct parser {
    const char *text;
    size_t at;
    struct target_token token;
    const char *why;
    struct arena *arena;
    struct target_tree *tree;
    target_type_fn *type;
    target_known_fn *known;
    void *ctx;
    struct module *module;
    struct error *error;
    size_t error_at;
    int depth;
};

/* Always -1; the first failure is kept. */
int parser_fail(struct parser *p, size_t at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void parser_advance(struct parser *p);
bool parser_is(const struct parser *p, enum target_op op);
bool parser_take(struct parser *p, enum target_op op);
bool parser_is_word(const struct parser *p, const char *word);

/* Behind "(": is this a type with a ")" behind it, which is not taken? The position is restored
 * where it is none. */
const struct type *parser_try_type(struct parser *p);
const struct type *parser_try_whole_type(struct parser *p);
