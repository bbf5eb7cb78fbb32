/* limits, load and redact. */
#include "recipe/parse.h"

#include <stdlib.h>

#define COUNT_MAX UINT64_C(1000000000000)

static const char *const action_names[] = {"throttle", "cut", "disarm", "end", "fail", NULL};

struct limit_reader {
    struct limit *limit;
    enum unit_kind unit;
};

static void read_number(struct reader *reader, const struct node *node, struct limit_reader *into) {
    uint64_t whole = 0;
    char *text = NULL;
    enum unit_kind kind;
    if (into->unit == UNIT_TIME) {
        if (read_duration(reader, node, &whole))
            into->limit->is = (double)whole;
    } else if (into->unit == UNIT_NONE) {
        if (read_uint(reader, node, COUNT_MAX, &whole))
            into->limit->is = (double)whole;
    } else if ((text = read_text(reader, node, LANGUAGE_PLAIN))) {
        double share;
        if (!text_quantity(text, &share, &kind) || kind != UNIT_PERCENT || share <= 0 || share > 1)
            source_error(reader->source, node->mark, "%s: \"%s\" is not a share of time (like 5%%)",
                         reader->where, text);
        else
            into->limit->is = share;
        free(text);
    }
}

static void read_is(struct reader *reader, const struct node *node, void *into) {
    read_number(reader, node, into);
}

static void read_do(struct reader *reader, const struct node *node, void *into) {
    int action = read_word(reader, node, action_names);
    if (action >= 0)
        ((struct limit_reader *)into)->limit->action = (enum action)action;
}

const struct key limit_keys[] = {
    {"is", "{\"type\":[\"string\",\"number\"]}", "the figure", read_is, true},
    {"do", "{\"enum\":[\"throttle\",\"cut\",\"disarm\",\"end\",\"fail\"]}", "what happens then",
     read_do, false},
    {0}};

static void read_limit(struct reader *reader, const struct node *node, struct limit *limit,
                       enum unit_kind unit) {
    struct limit_reader into = {limit, unit};
    limit->set = true;
    limit->mark = node->mark;
    if (node->kind == NODE_MAP)
        read_map(reader, node, limit_keys, &into);
    else
        read_number(reader, node, &into);
}

static void read_run_duration(struct reader *reader, const struct node *node, void *into) {
    struct limits *limits = into;
    limits->duration_set = true;
    if (node->kind == NODE_SCALAR && !strcmp(node->text, "none"))
        limits->duration_ns = 0;
    else
        read_duration(reader, node, &limits->duration_ns);
    if (node->kind == NODE_SCALAR && strcmp(node->text, "none") && !limits->duration_ns)
        source_error(reader->source, node->mark,
                     "limits: a duration of 0 is no run; \"none\" is one without an end");
}

static void read_hits(struct reader *reader, const struct node *node, void *into) {
    read_limit(reader, node, &((struct limits *)into)->hits, UNIT_NONE);
}

static void read_run_hits(struct reader *reader, const struct node *node, void *into) {
    read_limit(reader, node, &((struct limits *)into)->run_hits, UNIT_NONE);
}

static void read_max_pause(struct reader *reader, const struct node *node, void *into) {
    read_limit(reader, node, &((struct limits *)into)->max_pause, UNIT_TIME);
}

static void read_pause_budget(struct reader *reader, const struct node *node, void *into) {
    read_limit(reader, node, &((struct limits *)into)->pause_budget, UNIT_PERCENT);
}

#define LIMIT_SCHEMA "{\"$ref\":\"#/$defs/limit\"}"

const struct key limits_keys[] = {
    {"duration", "{\"type\":[\"string\",\"number\"]}", "how long the run lasts; none = no end",
     read_run_duration, false},
    {"hits", LIMIT_SCHEMA, "most hits of a target", read_hits, false},
    {"run_hits", LIMIT_SCHEMA, "most hits of the run, all targets together", read_run_hits, false},
    {"max_pause", LIMIT_SCHEMA, "the longest single pause", read_max_pause, false},
    {"pause_budget", LIMIT_SCHEMA, "the share of time that the target may be held",
     read_pause_budget, false},
    {0}};

void read_limits(struct reader *reader, const struct node *node, void *into) {
    reader->where = "limits";
    read_map(reader, node, limits_keys, &((struct recipe *)into)->limits);
    reader->where = "the recipe";
}

static void read_string(struct reader *reader, const struct node *node, void *into) {
    uint64_t bytes = 0;
    if (read_size(reader, node, 1 << 20, &bytes))
        ((struct load *)into)->string = (unsigned)bytes;
}

static void read_items(struct reader *reader, const struct node *node, void *into) {
    uint64_t items = 0;
    if (read_uint(reader, node, 100000, &items))
        ((struct load *)into)->items = (unsigned)items;
}

static void read_depth(struct reader *reader, const struct node *node, void *into) {
    uint64_t depth = 0;
    if (read_uint(reader, node, 16, &depth))
        ((struct load *)into)->depth = (unsigned)depth;
}

static void read_bytes(struct reader *reader, const struct node *node, void *into) {
    uint64_t bytes = 0;
    if (read_size(reader, node, 1 << 20, &bytes))
        ((struct load *)into)->bytes = (unsigned)bytes;
}

const struct key load_keys[] = {
    {"string", "{\"type\":[\"string\",\"integer\"]}", "bytes of a string", read_string, false},
    {"items", "{\"type\":[\"string\",\"integer\"]}", "elements of an array, slice or map",
     read_items, false},
    {"depth", "{\"type\":[\"string\",\"integer\"]}", "dereferences and nesting", read_depth, false},
    {"bytes", "{\"type\":[\"string\",\"integer\"]}", "bytes of a []byte", read_bytes, false},
    {0}};

void read_load(struct reader *reader, const struct node *node, void *into) {
    reader->where = "load";
    read_map(reader, node, load_keys, into);
    reader->where = "the recipe";
}
