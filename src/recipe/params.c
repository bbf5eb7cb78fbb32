/* Parameters: their declaration, and ${p} in texts. */
#include "recipe/parse.h"

#include "base/secret.h"
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const type_names[] = {"int",      "float",    "bool", "string", "size",
                                         "duration", "location", "expr", NULL};

static char *copy_text_of(struct reader *reader, const char *text) {
    char *copy = strdup(text);
    if (!copy)
        source_no_memory(reader->source);
    return copy;
}

static void read_type(struct reader *reader, const struct node *node, void *into) {
    int type = read_word(reader, node, type_names);
    if (type >= 0)
        ((struct param *)into)->type = (enum param_type)type;
}

/* A default stands for itself: no ${p} in it, so that no order among parameters matters. */
static void read_default(struct reader *reader, const struct node *node, void *into) {
    if (want_kind(reader, node, NODE_SCALAR, "a value"))
        ((struct param *)into)->value = copy_text_of(reader, node->text);
}

static void read_env(struct reader *reader, const struct node *node, void *into) {
    if (want_kind(reader, node, NODE_SCALAR, "the name of an environment variable"))
        ((struct param *)into)->env = copy_text_of(reader, node->text);
}

static void read_secret(struct reader *reader, const struct node *node, void *into) {
    read_bool(reader, node, &((struct param *)into)->secret);
}

const struct key param_keys[] = {
    {"type",
     "{\"enum\":[\"int\",\"float\",\"bool\",\"string\",\"size\",\"duration\",\"location\",\"expr\"]"
     "}",
     "what kind of literal it is", read_type, true},
    {"default", "{\"type\":[\"string\",\"number\",\"boolean\"]}", "its value where none is given",
     read_default, false},
    {"env", "{\"type\":\"string\"}", "an environment variable that gives it", read_env, false},
    {"secret", "{\"type\":\"boolean\"}", "never shown in events or logs", read_secret, false},
    {0}};

static bool fits(enum param_type type, const char *text) {
    enum unit_kind unit;
    double number;
    char *end;
    errno = 0;
    if (type <= PARAM_FLOAT && isspace((unsigned char)*text))
        return false;
    switch (type) {
    case PARAM_INT: strtoll(text, &end, 0); return *text && !*end && !errno;
    case PARAM_FLOAT: number = strtod(text, &end); return *text && !*end && isfinite(number);
    case PARAM_BOOL: return !strcmp(text, "true") || !strcmp(text, "false");
    case PARAM_SIZE:
        return text_quantity(text, &number, &unit) && unit <= UNIT_COUNT && unit != UNIT_TIME;
    case PARAM_DURATION: return text_quantity(text, &number, &unit) && unit == UNIT_TIME;
    default: return true;
    }
}

/* Command line, then the target's own, then the environment, then the default. */
static const char *given_value(const struct reader *reader, const struct param *param) {
    const char *value = settings_get(reader->given, param->name);
    if (!value && reader->target)
        value = settings_get(&reader->target->params, param->name);
    if (!value && param->env)
        value = getenv(param->env);
    return value;
}

static void put_param(struct buffer *out, const struct param *param, enum language language);

/* Also as it stands in expressions: quoted, or as a plain number. */
static void keep_secret(const struct param *param) {
    struct buffer form = BUFFER_INIT(1 << 20);
    secret_add(param->value);
    put_param(&form, param, LANGUAGE_TARGET);
    size_t quotes = form.len > 1 && form.data[0] == '"';
    if (form.data && !form.failed) {
        form.data[form.len - quotes] = '\0';
        secret_add(form.data + quotes);
    }
    buffer_free(&form);
}

static void settle(struct reader *reader, struct param *param) {
    const char *value = given_value(reader, param);
    if (value) {
        free(param->value);
        param->value = copy_text_of(reader, value);
    }
    param->wrong = param->value && !fits(param->type, param->value);
    if (param->wrong)
        source_error(reader->source, param->mark, "parameter \"%s\": \"%s\" is not of type %s",
                     param->name, param->secret ? "***" : param->value, type_names[param->type]);
    if (param->secret && param->value)
        keep_secret(param);
}

void read_params(struct reader *reader, const struct node *node, void *into) {
    struct recipe *recipe = into;
    if (!want_kind(reader, node, NODE_MAP, "parameters by name"))
        return;
    for (const struct node *at = node->first; at; at = at->next) {
        struct param *param = ARRAY_ADD(recipe->params, recipe->param_count, recipe->param_cap);
        if (!param || !(param->name = strdup(at->key->text))) {
            recipe->param_count -= param != NULL;
            source_no_memory(reader->source);
            return;
        }
        param->mark = at->key->mark;
        param->type = PARAM_STRING;
        if (!text_is_name(param->name))
            source_error(reader->source, at->key->mark, "\"%s\" is no name for a parameter",
                         param->name);
        char where[128];
        snprintf(where, sizeof where, "parameter \"%.96s\"", param->name);
        reader->where = where;
        read_map(reader, at, param_keys, param);
        reader->where = "the recipe";
        settle(reader, param);
    }
}

static const char *param_candidate(void *ctx, size_t i) {
    struct recipe *recipe = ctx;
    return i < recipe->param_count ? recipe->params[i].name : NULL;
}

static const struct param *find_param(struct reader *reader, const struct node *node,
                                      const char *name) {
    struct recipe *recipe = reader->recipe;
    for (size_t i = 0; i < recipe->param_count; i++) {
        if (strcmp(recipe->params[i].name, name))
            continue;
        if (recipe->params[i].wrong)
            return NULL; /* that has been said */
        if (recipe->params[i].value)
            return &recipe->params[i];
        source_error(reader->source, node->mark,
                     "parameter \"%s\" has no value: give -p %s=VALUE%s%s", name, name,
                     recipe->params[i].env ? " or set the environment variable " : "",
                     recipe->params[i].env ? recipe->params[i].env : "");
        return NULL;
    }
    const char *near = text_nearest(name, param_candidate, recipe);
    source_error(reader->source, node->mark, "\"${%s}\" is not declared under params%s%s%s", name,
                 near ? " (did you mean \"" : "", near ? near : "", near ? "\"?)" : "");
    return NULL;
}

static void put_string(struct buffer *out, const char *text) {
    buffer_putc(out, '"');
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            buffer_printf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            buffer_printf(out, c == '\n' ? "\\n" : c == '\t' ? "\\t" : "\\x%02x", c);
        else
            buffer_putc(out, (char)c);
    }
    buffer_putc(out, '"');
}

/* Text between the expressions of a template: its braces mean themselves. */
static void put_literal(struct buffer *out, const char *text) {
    for (; *text; text++) {
        if (*text == '{' || *text == '}')
            buffer_putc(out, *text);
        buffer_putc(out, *text);
    }
}

static void put_param(struct buffer *out, const struct param *param, enum language language) {
    enum unit_kind unit;
    double number;
    if (language == LANGUAGE_PLAIN)
        buffer_puts(out, param->value);
    else if (language == LANGUAGE_TEMPLATE)
        put_literal(out, param->value);
    else if (param->type == PARAM_STRING)
        put_string(out, param->value);
    else if (language == LANGUAGE_TARGET &&
             (param->type == PARAM_SIZE || param->type == PARAM_DURATION) &&
             text_quantity(param->value, &number, &unit))
        buffer_printf(out, "%.0f", number);
    else if (param->type == PARAM_EXPR)
        buffer_printf(out, "(%s)", param->value);
    else
        buffer_puts(out, param->value);
}

/* ${name} at `p`; behind it, or NULL after an error. */
static const char *expand_one(struct reader *reader, const struct node *node, const char *p,
                              enum language language, bool quoted, struct buffer *out) {
    const char *end = strchr(p, '}');
    if (!end) {
        source_error(reader->source, node->mark,
                     "\"${\" is not closed (write $$ for a dollar sign)");
        return NULL;
    }
    char name[96];
    snprintf(name, sizeof name, "%.*s", (int)(end - p - 2), p + 2);
    if (quoted) {
        source_error(reader->source, node->mark,
                     "\"${%s}\" inside quotes: it is put in as a literal with its own quotes",
                     name);
        return NULL;
    }
    const struct param *param = find_param(reader, node, name);
    if (!param)
        return NULL;
    put_param(out, param, language);
    return end + 1;
}

/* A number with a unit at `p` becomes an integer of its base unit; behind it, or `p` if it is none.
 */
static const char *lower_unit(const char *p, struct buffer *out) {
    char *end;
    if (p[0] == '0' && p[1] && strchr("xXbBoO", p[1]))
        return p; /* hexadecimal, octal, binary */
    double number = strtod(p, &end), factor;
    size_t n = 0;
    enum unit_kind kind;
    while (isalpha((unsigned char)end[n]))
        n++;
    if (!n || !text_unit(end, n, &kind, &factor) || isdigit((unsigned char)end[n]) || end[n] == '_')
        return p;
    buffer_printf(out, "%.0f", number * factor);
    return end + n;
}

/* Follows quotes: the quote that is open behind `c`, given the one that was open before it. */
static char next_quote(char quote, char c) {
    if (quote)
        return c == quote ? 0 : quote;
    return c == '"' || c == '`' || c == '\'' ? c : 0;
}

/* Copies one character, or an escaped one with its backslash; behind it. */
static const char *copy_one(const char *p, char *quote, struct buffer *out) {
    if (*p == '\\' && *quote && *quote != '`' && p[1])
        buffer_putc(out, *p++);
    else
        *quote = next_quote(*quote, *p);
    buffer_putc(out, *p);
    return p + 1;
}

/* The state of a walk through a text: which quote is open, and whether we are between the braces of
 * a template. */
struct walk {
    enum language language;
    char quote;
    bool braces;
};

static enum language language_at(const struct walk *walk) {
    if (walk->language == LANGUAGE_TEMPLATE)
        return walk->braces ? LANGUAGE_OURS : LANGUAGE_TEMPLATE;
    return walk->language;
}

static const char *copy_text(const char *p, struct walk *walk, struct buffer *out) {
    char ignored = 0;
    bool code = language_at(walk) == LANGUAGE_OURS || language_at(walk) == LANGUAGE_TARGET;
    if (walk->language == LANGUAGE_TEMPLATE && !walk->quote) {
        bool doubled = !walk->braces && (*p == '{' || *p == '}') && p[1] == *p;
        if (doubled)
            buffer_putc(out, *p++);
        else if (*p == '{' || *p == '}')
            walk->braces = *p == '{';
    }
    return copy_one(p, code ? &walk->quote : &ignored, out);
}

static bool substitute(struct reader *reader, const struct node *node, enum language language,
                       struct buffer *out) {
    struct walk walk = {.language = language};
    for (const char *p = node->text; p && *p;) {
        if (p[0] == '$' && p[1] == '$') {
            buffer_putc(out, '$');
            p += 2;
        } else if (p[0] == '$' && p[1] == '{') {
            p = expand_one(reader, node, p, language_at(&walk), walk.quote != 0, out);
            if (!p)
                return false;
        } else {
            p = copy_text(p, &walk, out);
        }
    }
    return true;
}

static char *lower_units(const char *text) {
    struct buffer out = BUFFER_INIT(EXPR_TEXT_MAX * 8);
    char quote = 0, before = 0;
    for (const char *p = text; *p; before = p[-1]) {
        bool starts = isdigit((unsigned char)*p) && !isalnum((unsigned char)before) &&
                      before != '_' && before != '.';
        const char *behind = starts && !quote ? lower_unit(p, &out) : p;
        p = behind != p ? behind : copy_one(p, &quote, &out);
    }
    return buffer_take(&out);
}

char *read_text(struct reader *reader, const struct node *node, enum language language) {
    if (!want_kind(reader, node, NODE_SCALAR, "a single value"))
        return NULL;
    struct buffer out = BUFFER_INIT(EXPR_TEXT_MAX * 4);
    if (!substitute(reader, node, language, &out)) {
        buffer_free(&out);
        return NULL;
    }
    char *text = buffer_take(&out);
    if (text && language == LANGUAGE_TARGET) {
        char *lowered = lower_units(text);
        free(text);
        text = lowered;
    }
    if (!text)
        source_error(reader->source, node->mark, "the text is too long");
    return text;
}
