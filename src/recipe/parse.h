/* What the readers of a recipe's parts share. Each reader takes a node, reports what is wrong with
 * it to the source and goes on, so that one run shows every mistake. */
#pragma once

#include "recipe/recipe.h"

struct reader {
    struct source *source;
    struct recipe *recipe;
    const struct settings *given;
    const struct target *target;
    const char *where; /* for messages: `probe "slow"`, "limits", ... */
};

/* One key of a mapping. Parsing, the schema and the suggestions all come from these tables. */
struct key {
    const char *name;
    const char *schema; /* a JSON Schema fragment */
    const char *doc;
    void (*read)(struct reader *reader, const struct node *node, void *into);
    bool required;
};

/* Reads every member of `map` by the table (which ends with a NULL name). */
void read_map(struct reader *reader, const struct node *map, const struct key *keys, void *into);

/* Which language a text is: decides how ${p} is quoted. */
enum language {
    LANGUAGE_PLAIN,
    LANGUAGE_OURS,
    LANGUAGE_TARGET,
    LANGUAGE_TEMPLATE, /* plain text, with ours between braces */
};

/* The scalar's text with ${p} put in and $$ undone; in the target's language units on numbers
 * become plain integers. NULL after an error. The caller owns it. */
char *read_text(struct reader *reader, const struct node *node, enum language language);
char *read_name(struct reader *reader, const struct node *node, const char *what);
bool read_bool(struct reader *reader, const struct node *node, bool *out);
bool read_uint(struct reader *reader, const struct node *node, uint64_t most, uint64_t *out);
bool read_duration(struct reader *reader, const struct node *node, uint64_t *ns);
bool read_size(struct reader *reader, const struct node *node, uint64_t most, uint64_t *bytes);

/* The index of the scalar's text in `words` (which ends with NULL), or -1 after an error. */
int read_word(struct reader *reader, const struct node *node, const char *const *words);
bool want_kind(struct reader *reader, const struct node *node, enum node_kind kind,
               const char *what);

void location_clear(struct location *location);
void read_location(struct reader *reader, const struct node *node, struct location *location);
/* One name or a list of them; whether the target's processor has them is seen later. */
/* An error for each of the probe's keys that does not go with its others. */
void probe_combines(struct reader *reader, const struct node *node, const struct probe *probe);

/* An error at the node where there is no signal of that name. */
void check_signal(struct reader *reader, const struct node *node, const char *text);
void read_syscalls(struct reader *reader, const struct node *node, struct location *location);
void read_limits(struct reader *reader, const struct node *node, void *into);
void read_load(struct reader *reader, const struct node *node, void *into);
void read_params(struct reader *reader, const struct node *node, void *into);
void read_targets(struct reader *reader, const struct node *node, void *into);
void read_probes(struct reader *reader, const struct node *node, void *into);
void read_aggregate(struct reader *reader, const struct node *node, void *into);
void read_expect(struct reader *reader, const struct node *node, void *into);

/* After every probe is read: names that refer to other probes, own-language expressions. */
void resolve_probes(struct reader *reader);
void probe_clear(struct probe *probe);

extern const struct key recipe_keys[], probe_keys[], location_keys[], limits_keys[], load_keys[],
    param_keys[], target_keys[], after_keys[], watch_keys[], capture_keys[], limit_keys[],
    aggregate_keys[];
