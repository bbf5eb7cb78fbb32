#include "sink/sink.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GATHER_MAX (64u << 10) /* bytes */

static const struct sink_kind *const kinds[] = {&text_sink, &jsonl_sink};

static const struct sink_kind *find_kind(const char *name, size_t n) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strlen(kinds[i]->name) == n && !memcmp(kinds[i]->name, name, n))
            return kinds[i];
    return NULL;
}

static const struct sink_kind *kind_by_extension(const char *path) {
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');
    char wanted[32] = " ";
    if (!dot || strlen(dot) > sizeof wanted - 3)
        return NULL;
    strcat(strcat(wanted, dot + 1), " ");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strstr(kinds[i]->extensions, wanted))
            return kinds[i];
    return NULL;
}

static struct error *choose(const char *spec, const struct sink_kind **kind, const char **path) {
    const char *colon = strchr(spec, ':');
    *path = spec;
    if (!strcmp(spec, "-")) {
        *kind = isatty(STDOUT_FILENO) ? &text_sink : &jsonl_sink;
        return NULL;
    }
    *kind = colon ? find_kind(spec, (size_t)(colon - spec)) : kind_by_extension(spec);
    if (*kind && colon)
        *path = colon + 1;
    if (!*kind || !**path)
        return error_new(ERROR_USAGE,
                         "-o %s: say what to write: FILE.jsonl, FILE.txt, \"-\", or text:PATH or "
                         "jsonl:PATH",
                         spec);
    return NULL;
}

struct error *sink_open(const char *spec, const struct patience *patience, struct sink **out) {
    const struct sink_kind *kind;
    const char *path;
    struct error *error = choose(spec, &kind, &path);
    struct sink *sink = error ? NULL : calloc(1, sizeof *sink);
    if (error || !sink)
        return error ? error : error_no_memory();
    sink->kind = kind;
    sink->text = BUFFER_INIT(128 << 20);
    error = output_open(&sink->output, path);
    sink->output.patience = patience;
    if (error) {
        sink->output.owned = false;
        error_free(sink_close(sink));
        return error;
    }
    const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");
    sink->colour =
        isatty(sink->output.fd) && !(no_colour && *no_colour) && term && strcmp(term, "dumb");
    *out = sink;
    return NULL;
}

/* A pipe's reader sees each event at once; a file gets what comes together in one write. */
struct error *sink_event(struct sink *sink, const struct buffer *event) {
    size_t before = sink->text.len;
    if (sink->failed)
        return NULL;
    sink->kind->write(sink, event, &sink->text);
    if (!sink->text.failed)
        return output_is_file(&sink->output) && sink->text.len < GATHER_MAX ? NULL
                                                                            : sink_flush(sink);
    if (before) { /* what came before it is whole */
        sink->text.failed = false;
        sink->text.len = before;
        error_free(sink_flush(sink));
    }
    sink->failed = true;
    return error_no_memory();
}

struct error *sink_flush(struct sink *sink) {
    struct error *error = NULL;
    if (!sink->failed && sink->text.len)
        error = output_write(&sink->output, sink->text.data, sink->text.len);
    buffer_clear(&sink->text);
    sink->failed |= error != NULL;
    return error;
}

struct error *sink_close(struct sink *sink) {
    struct error *error = sink_flush(sink), *closing = output_close(&sink->output);
    buffer_free(&sink->text);
    free(sink);
    if (error)
        error_free(closing);
    return error ? error : closing;
}
