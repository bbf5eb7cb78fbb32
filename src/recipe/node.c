#include "recipe/node.h"

#include "base/buffer.h"
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

/* Where the line of `mark` begins, and its length. */
static const char *find_line(const struct source *source, unsigned line, size_t *len) {
    const char *p = source->text, *end = p + source->len;
    while (--line && p < end) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        p = newline ? newline + 1 : end;
    }
    const char *newline = memchr(p, '\n', (size_t)(end - p));
    *len = (size_t)((newline ? newline : end) - p);
    return p;
}

/* The name of a line of a text that nobody has seen; NULL: its own has no such. */
static const char *name_of_line(const char *name, unsigned line, int *len) {
    const char *at = line ? name : NULL;
    for (; at && line; line--) {
        at = strchr(at, '\n');
        at += at != NULL;
    }
    *len = at ? (int)strcspn(at, "\n") : 0;
    return *len ? at : NULL;
}

/* Nor has anybody named the probe that the line is of. */
static const char *behind_probe(const char *message) {
    const char *end = strncmp(message, "probe \"", 7) ? NULL : strstr(message, "\": ");
    return end ? end + 3 : message;
}

void source_message(struct buffer *out, const char *name, struct mark mark, const char *message) {
    int len;
    const char *line = name_of_line(name, mark.line, &len);
    if (line)
        buffer_printf(out, "%.*s: %s", len, line, behind_probe(message));
    else
        buffer_printf(out, "%.*s:%u:%u: %s", (int)strcspn(name, "\n"), name, mark.line, mark.column,
                      message);
}

static void add_excerpt(struct buffer *out, const struct source *source, struct mark mark) {
    size_t len;
    const char *line = find_line(source, mark.line, &len);
    if (!len || len > 400 || strchr(source->name, '\n'))
        return;
    buffer_printf(out, "\n%5u | %.*s\n      | ", mark.line, (int)len, line);
    for (unsigned i = 1; i < mark.column && i <= len; i++)
        buffer_putc(out, line[i - 1] == '\t' ? '\t' : ' ');
    buffer_putc(out, '^');
}

void source_error(struct source *source, struct mark mark, const char *format, ...) {
    if (++source->errors > SOURCE_ERRORS_MAX)
        return;
    struct buffer out = BUFFER_INIT(1 << 20);
    if (source->messages)
        buffer_printf(&out, "%s\n", source->messages);
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    source_message(&out, source->name, mark, text);
    add_excerpt(&out, source, mark);
    free(source->messages);
    source->messages = buffer_take(&out);
}

void source_no_memory(struct source *source) {
    source->no_memory = true;
    source->errors++;
}

struct error *source_finish(struct source *source) {
    char more[48] = "";
    if (!source->errors)
        return NULL;
    if (source->errors > SOURCE_ERRORS_MAX)
        snprintf(more, sizeof more, "\n... and %u more", source->errors - SOURCE_ERRORS_MAX);
    struct error *error = source->messages && !source->no_memory
                              ? error_new(ERROR_RECIPE, "%s%s", source->messages, more)
                              : error_no_memory();
    free(source->messages);
    source->messages = NULL;
    source->errors = 0;
    return error;
}

struct builder {
    struct source *source;
    struct node *stack[NODE_DEPTH_MAX]; /* the open lists and maps */
    struct node *key;                   /* a map's key that waits for its value */
    int depth;
    size_t count;
    struct node *root;
    bool failed;
};

static struct mark mark_of(const yaml_mark_t *mark) {
    return (struct mark){(unsigned)mark->line + 1, (unsigned)mark->column + 1};
}

static void refuse(struct builder *b, const yaml_event_t *event, const char *what) {
    source_error(b->source, mark_of(&event->start_mark),
                 "%s: if it belongs to an expression, quote it", what);
    b->failed = true;
}

static const char *brackets_of(const char *text) {
    static const char open[] = "([{", close[] = ")]}";
    char stack[64];
    size_t depth = 0;
    char quote = 0;
    for (const char *p = text; *p; p++) {
        const char *which;
        if (quote) {
            if (*p == '\\' && p[1])
                p++;
            else if (*p == quote)
                quote = 0;
        } else if (*p == '"' || *p == '`') {
            quote = *p;
        } else if ((which = strchr(open, *p)) && depth < sizeof stack) {
            stack[depth++] = close[which - open];
        } else if (strchr(close, *p) && (!depth || stack[--depth] != *p)) {
            return "has a bracket that nothing opened";
        }
    }
    return quote   ? "has a quote that is not closed"
           : depth ? "has a bracket that is not closed"
                   : NULL;
}

static struct node *new_node(struct builder *b, enum node_kind kind, const yaml_event_t *event) {
    struct node *node = b->count < NODE_COUNT_MAX ? calloc(1, sizeof *node) : NULL;
    if (!node) {
        refuse(b, event, "the recipe is too large");
        return NULL;
    }
    b->count++;
    node->kind = kind;
    node->mark = mark_of(&event->start_mark);
    return node;
}

static struct node *add_key(struct builder *b, struct node *map, struct node *node) {
    struct node *same = node_member(map, node->text);
    if (same) {
        source_error(b->source, node->mark, "duplicate key \"%s\" (first at line %u)", node->text,
                     same->key->mark.line);
        b->failed = true;
    }
    return b->key = node;
}

static void attach(struct builder *b, struct node *node) {
    struct node *parent = b->depth ? b->stack[b->depth - 1] : NULL;
    if (!parent) {
        b->root = node;
        return;
    }
    if (parent->kind == NODE_MAP && !b->key) {
        if (node->kind == NODE_SCALAR) {
            add_key(b, parent, node);
            return;
        }
        source_error(b->source, node->mark, "a key must be a plain word");
        b->failed = true;
    }
    node->key = b->key;
    b->key = NULL;
    if (parent->last)
        parent->last->next = node;
    else
        parent->first = node;
    parent->last = node;
    parent->count++;
}

static bool is_null_word(const char *text) {
    return !*text || !strcmp(text, "~") || !strcasecmp(text, "null");
}

static void on_scalar(struct builder *b, const yaml_event_t *event) {
    if (event->data.scalar.anchor ||
        (event->data.scalar.tag && !event->data.scalar.quoted_implicit &&
         !event->data.scalar.plain_implicit)) {
        refuse(b, event,
               event->data.scalar.anchor ? "this is a YAML anchor (&)" : "this is a YAML tag (!)");
        return;
    }
    /* libyaml drops a "!" that stands alone. */
    size_t at = event->start_mark.index;
    if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && at < b->source->len &&
        b->source->text[at] == '!') {
        refuse(b, event, "this is a YAML tag (!)");
        return;
    }
    struct node *node = new_node(b, NODE_SCALAR, event);
    if (!node)
        return;
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    node->text = strdup((const char *)event->data.scalar.value);
    if (!node->text)
        source_no_memory(b->source);
    if (!node->text || strlen(node->text) != event->data.scalar.length) {
        refuse(b, event, "the text holds a NUL byte");
        free(node->text);
        free(node);
        return;
    }
    const char *unbalanced = node->plain ? brackets_of(node->text) : NULL;
    if (node->plain && is_null_word(node->text)) {
        refuse(b, event,
               *node->text ? "this is YAML's null" : "the value is missing (YAML's null)");
    } else if (unbalanced) {
        source_error(b->source, node->mark, "\"%s\" %s: YAML has split it there; quote it",
                     node->text, unbalanced);
        b->failed = true;
    }
    attach(b, node);
}

static void on_open(struct builder *b, const yaml_event_t *event, enum node_kind kind, bool anchor,
                    bool tag) {
    if (anchor || tag) {
        refuse(b, event, anchor ? "this is a YAML anchor (&)" : "this is a YAML tag (!)");
        return;
    }
    if (b->depth == NODE_DEPTH_MAX) {
        refuse(b, event, "the recipe is nested too deeply");
        return;
    }
    struct node *node = new_node(b, kind, event);
    if (!node)
        return;
    attach(b, node);
    b->stack[b->depth++] = node;
}

static void on_event(struct builder *b, const yaml_event_t *event) {
    switch (event->type) {
    case YAML_SCALAR_EVENT: on_scalar(b, event); break;
    case YAML_ALIAS_EVENT: refuse(b, event, "this is a YAML alias (*)"); break;
    case YAML_SEQUENCE_START_EVENT:
        on_open(b, event, NODE_LIST, event->data.sequence_start.anchor,
                event->data.sequence_start.tag && !event->data.sequence_start.implicit);
        break;
    case YAML_MAPPING_START_EVENT:
        on_open(b, event, NODE_MAP, event->data.mapping_start.anchor,
                event->data.mapping_start.tag && !event->data.mapping_start.implicit);
        break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        if (b->depth)
            b->depth--;
        break;
    case YAML_DOCUMENT_START_EVENT:
        if (b->root)
            refuse(b, event, "a second document in one file");
        break;
    default: break;
    }
}

static bool is_tab(const struct source *source, struct mark mark) {
    size_t len;
    const char *line = find_line(source, mark.line, &len);
    return mark.column <= len && line[mark.column - 1] == '\t';
}

/* libyaml's own message, with what to do about the traps of recipes. */
static const char *hint_for(const struct source *source, const yaml_parser_t *parser) {
    static const struct {
        const char *word, *hint;
    } hints[] = {
        {"anchor", " (an & that begins a value is a YAML anchor: quote it)"},
        {"alias", " (a * that begins a value is a YAML alias: quote it)"},
        {"tag", " (a ! that begins a value is a YAML tag: quote it)"},
        {"mapping values", " (a value with \": \" in it: quote it)"},
        {"cannot start any token", " (a value that begins with % @ or `: quote it)"},
        {"block scalar", " (a > or | that begins a value starts a YAML block: quote it)"},
        {"flow", " (a value with brackets, braces or commas in it: quote it)"},
        {"expected <block end>",
         " (if the line begins with a quoted part of an expression: quote it "
         "whole)"},
    };
    if (is_tab(source, mark_of(&parser->problem_mark)))
        return " (a tab: YAML is indented with blanks alone)";
    for (size_t i = 0; i < sizeof hints / sizeof *hints; i++)
        if ((parser->problem && strstr(parser->problem, hints[i].word)) ||
            (parser->context && strstr(parser->context, hints[i].word)))
            return hints[i].hint;
    return "";
}

static void syntax_error(struct source *source, const yaml_parser_t *parser) {
    source_error(source, mark_of(&parser->problem_mark), "%s%s%s%s",
                 parser->context ? parser->context : "", parser->context ? ": " : "",
                 parser->problem ? parser->problem : "not YAML", hint_for(source, parser));
}

struct node *node_parse(struct source *source) {
    struct builder b = {.source = source};
    yaml_parser_t parser;
    if (source->len > NODE_TEXT_MAX) {
        source_error(source, (struct mark){1, 1}, "the recipe is larger than 1 MiB");
        return NULL;
    }
    if (!yaml_parser_initialize(&parser)) {
        source_no_memory(source);
        return NULL;
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)source->text, source->len);
    for (bool end = false; !end && !b.failed;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            syntax_error(source, &parser);
            b.failed = true;
            break;
        }
        on_event(&b, &event);
        end = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    if (b.key)
        node_free(b.key);
    if (b.failed) {
        node_free(b.root);
        return NULL;
    }
    if (!b.root)
        source_error(source, (struct mark){1, 1}, "the recipe is empty");
    return b.root;
}

void node_free(struct node *node) {
    while (node) {
        struct node *next = node->next;
        node_free(node->first);
        node_free(node->key);
        free(node->text);
        free(node);
        node = next;
    }
}

struct node *node_member(const struct node *map, const char *key) {
    for (struct node *at = map->kind == NODE_MAP ? map->first : NULL; at; at = at->next)
        if (at->key && !strcmp(at->key->text, key))
            return at;
    return NULL;
}
