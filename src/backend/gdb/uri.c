#include "backend/gdb/uri.h"

#include "base/text.h"
#include "loop/ssh.h"
#include <ctype.h>
#include <stdlib.h>

#define BAUD_DEFAULT 115200

static bool add_word(struct gdb_words *words, const char *text, size_t n) {
    if (words->count == GDB_WORDS_MAX)
        return false;
    char *word = strndup(text, n);
    words->list[words->count] = word;
    words->count += word != NULL;
    return word != NULL;
}

/* As a shell splits words, and nothing else that a shell does. */
static bool split_words(const char *text, struct gdb_words *words) {
    char *word = malloc(strlen(text) + 1), quote = 0;
    size_t n = 0;
    bool begun = false, fine = word != NULL;
    for (const char *at = text; fine; at++) {
        bool escaped = *at == '\\' && quote != '\'' && at[1];
        if (!*at || (!quote && *at == ' ')) {
            fine = !begun || add_word(words, word, n);
            n = 0;
            begun = false;
            if (!*at)
                break;
        } else if (!escaped && (quote ? *at == quote : *at == '\'' || *at == '"')) {
            quote = quote ? 0 : *at;
            begun = true;
        } else {
            at += escaped;
            word[n++] = *at;
            begun = true;
        }
    }
    free(word);
    return fine && !quote && words->count;
}

static int hex_digit(char c) {
    return isdigit((unsigned char)c)            ? c - '0'
           : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 87
                                                : -1;
}

/* "%20" in place; false where the two digits are none, or name a NUL. */
static bool unescape(char *text) {
    char *to = text;
    for (const char *at = text; *at; at++) {
        if (*at != '%') {
            *to++ = *at;
            continue;
        }
        int high = hex_digit(at[1]), low = high < 0 ? -1 : hex_digit(at[2]);
        if (low < 0 || !(high | low))
            return false;
        *to++ = (char)(high << 4 | low);
        at += 2;
    }
    *to = '\0';
    return true;
}

/* ---- keys ---- */

static bool take_number(const char *value, long most, long *out) {
    char *end;
    *out = strtol(value, &end, 10);
    return isdigit((unsigned char)*value) && !*end && *out > 0 && *out <= most;
}

static const char *take_attach(struct gdb_uri *uri, const char *value) {
    long pid;
    if (!take_number(value, INT32_MAX, &pid))
        return "is no pid";
    uri->attach = pid;
    return NULL;
}

static const char *take_run(struct gdb_uri *uri, const char *value) {
    return uri->run.count ? "is there twice"
           : split_words(value, &uri->run)
               ? NULL
               : "is no program with its arguments (an open quote, or nothing)";
}

static const char *take_cwd(struct gdb_uri *uri, const char *value) {
    free(uri->cwd);
    uri->cwd = strdup(value);
    return *value ? NULL : "is no folder";
}

static const char *take_env(struct gdb_uri *uri, const char *value) {
    const char *equals = strchr(value, '=');
    if (!equals || equals == value)
        return "is not NAME=VALUE";
    return add_word(&uri->env, value, strlen(value)) ? NULL : "is one too many";
}

static const char *take_extended(struct gdb_uri *uri, const char *value) {
    uri->extended = !strcmp(value, "yes");
    return uri->extended || !strcmp(value, "no") ? NULL : "is neither yes nor no";
}

static const char *take_baud(struct gdb_uri *uri, const char *value) {
    long baud;
    if (!take_number(value, 10000000, &baud))
        return "is no speed";
    uri->baud = (unsigned)baud;
    return NULL;
}

static const struct key {
    const char *name;
    const char *(*take)(struct gdb_uri *uri, const char *value); /* what is wrong; NULL: nothing */
    bool serial;
} keys[] = {{"attach", take_attach, false}, {"run", take_run, false},
            {"cwd", take_cwd, false},       {"env", take_env, false},
            {"baud", take_baud, true},      {"extended", take_extended, false}};

static const char *key_name(void *ctx, size_t i) {
    (void)ctx;
    return i < sizeof keys / sizeof *keys ? keys[i].name : NULL;
}

static struct error *unknown_key(const char *whole, const char *name) {
    const char *near = text_nearest(name, key_name, NULL);
    return error_new(ERROR_USAGE, "%s: unknown key \"%s\"%s%s%s", whole, name,
                     near ? " (did you mean \"" : "", near ? near : "", near ? "\"?)" : "");
}

static struct error *take_pair(struct gdb_uri *uri, const char *whole, char *pair) {
    char *equals = strchr(pair, '=');
    if (equals)
        *equals = '\0';
    const struct key *key = NULL;
    for (size_t i = 0; i < sizeof keys / sizeof *keys && !key; i++)
        key = strcmp(keys[i].name, pair) ? NULL : &keys[i];
    if (!key)
        return unknown_key(whole, pair);
    if (key->serial != (uri->kind == STREAM_SERIAL))
        return error_new(ERROR_USAGE, "%s: \"%s\" is %s", whole, pair,
                         key->serial ? "for serial lines alone" : "not for serial lines");
    char *value = equals ? equals + 1 : pair + strlen(pair);
    const char *wrong = unescape(value) ? key->take(uri, value) : "has a % that is no %XX";
    return wrong ? error_new(ERROR_USAGE, "%s: %s=%s %s", whole, pair, value, wrong) : NULL;
}

static struct error *take_query(struct gdb_uri *uri, const char *whole, char *query) {
    struct error *error = NULL;
    for (char *pair = query, *next; pair && !error; pair = next) {
        next = strchr(pair, '&');
        if (next)
            *next++ = '\0';
        error = take_pair(uri, whole, pair);
    }
    if (!error && uri->attach && uri->run.count)
        error = error_new(ERROR_USAGE, "%s: attach= and run= exclude each other", whole);
    if (!error && !uri->run.count && (uri->cwd || uri->env.count))
        error = error_new(ERROR_USAGE, "%s: cwd= and env= are for run=", whole);
    uri->extended |= uri->attach || uri->run.count;
    return error;
}

/* ---- the whole ---- */

static const struct {
    const char *prefix;
    enum stream_kind kind;
} schemes[] = {{"gdb://", STREAM_TCP},
               {"gdb+unix:", STREAM_UNIX},
               {"gdb+pipe:", STREAM_COMMAND},
               {"gdb+ssh://", STREAM_COMMAND},
               {"gdb+serial:", STREAM_SERIAL}};

/* A command may have a '?' of its own: only what looks like a key of ours ends it. */
static char *query_of(const struct gdb_uri *uri) {
    char *mark = strchr(uri->where, '?');
    for (; mark && uri->kind == STREAM_COMMAND && !uri->ssh; mark = strchr(mark + 1, '?'))
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
            size_t n = strlen(keys[i].name);
            if (!strncmp(mark + 1, keys[i].name, n) && mark[n + 1] == '=')
                return mark;
        }
    return mark;
}

static bool good_place(const struct gdb_uri *uri) {
    char host[256], port[8];
    struct ssh_way way;
    if (uri->ssh)
        return ssh_way(uri->where, &way);
    return *uri->where && (uri->kind != STREAM_TCP ||
                           stream_split(uri->where, host, sizeof host, port, sizeof port));
}

bool gdb_uri_again(const struct gdb_uri *uri) {
    return uri->kind != STREAM_COMMAND || uri->ssh;
}

struct error *gdb_uri_parse(const char *text, struct gdb_uri *out) {
    *out = (struct gdb_uri){.baud = BAUD_DEFAULT};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes && !out->where; i++) {
        size_t n = strlen(schemes[i].prefix);
        if (strncmp(text, schemes[i].prefix, n))
            continue;
        bool slashes = schemes[i].kind != STREAM_COMMAND && !strncmp(text + n, "//", 2);
        out->kind = schemes[i].kind;
        out->ssh = !strncmp(text, "gdb+ssh:", 8);
        out->where = strdup(text + n + (slashes ? 2 : 0));
    }
    char *note = out->where && gdb_uri_again(out) ? strchr(out->where, '#') : NULL;
    if (note) {
        *note = '\0';
        out->note = strdup(note + 1);
    }
    char *query = out->where ? query_of(out) : NULL;
    if (query)
        *query = '\0';
    if (!out->where || !good_place(out))
        return error_new(
            ERROR_USAGE,
            "\"%s\" is no target: gdb://HOST:PORT, gdb+unix:/PATH, gdb+pipe:COMMAND or "
            "gdb+serial:/dev/ttyX?baud=115200",
            text);
    return query ? take_query(out, text, query + 1) : NULL;
}

static void free_words(struct gdb_words *words) {
    for (size_t i = 0; i < words->count; i++)
        free(words->list[i]);
    words->count = 0;
}

void gdb_uri_free(struct gdb_uri *uri) {
    free(uri->where);
    free(uri->cwd);
    free(uri->note);
    free_words(&uri->run);
    free_words(&uri->env);
    *uri = (struct gdb_uri){0};
}
