/* A recipe's text as a tree with a mark on every node. YAML (and JSON, its subset) without its
 * traps: whatever YAML would rewrite in silence (tags, anchors, aliases, nulls, duplicate keys,
 * brackets that split a plain scalar) is an error here that says 'quote it'. Scalars stay text:
 * "no" and "1.10" are what the reader of a key makes of them. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>

#define NODE_TEXT_MAX (1u << 20) /* bytes of a recipe */
#define NODE_DEPTH_MAX 32
#define NODE_COUNT_MAX 100000

enum node_kind { NODE_SCALAR, NODE_LIST, NODE_MAP };

struct mark {
    unsigned line, column; /* from 1; in characters */
};

struct node {
    enum node_kind kind;
    struct mark mark;
    bool plain;        /* a scalar without quotes */
    char *text;        /* of a scalar, NUL-terminated */
    struct node *key;  /* of a map's member: a scalar */
    struct node *next; /* sibling */
    struct node *first, *last;
    size_t count;
};

/* Errors of a source, collected so that one look shows them all. */
struct source {
    const char *name; /* for messages: see recipe_parse() */
    const char *text;
    size_t len;
    char *messages; /* one or more lines each; owned */
    unsigned errors;
    bool no_memory;
};

#define SOURCE_ERRORS_MAX 20

/* Adds "NAME:LINE:COLUMN: message" and the line itself, with a caret. */
void source_error(struct source *source, struct mark mark, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* "NAME:LINE:COLUMN: message", or the line's own name instead. Appends. */
void source_message(struct buffer *out, const char *name, struct mark mark, const char *message);

/* What was being read is incomplete: source_finish() says so. */
void source_no_memory(struct source *source);

/* The collected messages as one error, or NULL if there were none. Frees them. */
struct error *source_finish(struct source *source);

/* NULL after a syntax error (which is in `source` then) or for an empty text. */
struct node *node_parse(struct source *source);
void node_free(struct node *node);

/* The member `key` of a map, or NULL. */
struct node *node_member(const struct node *map, const char *key);
