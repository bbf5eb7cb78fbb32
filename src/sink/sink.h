/* Where finished events go. A sink is one file here and one row in sink.c's table.
 *
 * To add a sink:
 *   1. src/sink/NAME.c with a `const struct sink_kind`
 *   2. its row in sink.c
 *   3. docs/adding-a-sink.md says what the reader of events may rely on */
#pragma once

#include "base/error.h"
#include "base/map.h"
#include "sink/output.h"
#include "value/event.h"

struct sink;

struct sink_kind {
    const char *name;       /* in -o NAME:PATH */
    const char *extensions; /* of files that mean it: " jsonl json " */
    /* Appends what people see of this event to `out`; nothing is fine. */
    void (*write)(struct sink *sink, const struct buffer *event, struct buffer *out);
};

struct sink {
    const struct sink_kind *kind;
    struct output output;
    struct buffer text;
    bool colour, many_targets;
    bool failed;
    unsigned probe_width, target_width;
};

/* `spec` is "-", a file, or KIND:PATH. `patience` must outlive the sink. */
struct error *sink_open(const char *spec, const struct patience *patience, struct sink **out);

/* Takes one event, and writes it whole; into a file perhaps not before the next sink_flush(). The
 * first failure is returned; afterwards the sink takes no more. */
struct error *sink_event(struct sink *sink, const struct buffer *event);

/* No more events are there at once: what was taken is written. */
struct error *sink_flush(struct sink *sink);
struct error *sink_close(struct sink *sink);

extern const struct sink_kind text_sink, jsonl_sink;

/* The live line on stderr: probes armed, hits, hits a second, share of time paused. */
struct status {
    bool on, shown;
    struct map targets; /* how many probes each has armed, by a hash of its name */
    uint64_t armed, hits, last_hits, paused_ns, last_ns, started_ns;
    double rate;
};
void status_init(struct status *status, bool wanted);
void status_event(struct status *status, const struct buffer *event);
void status_show(struct status *status, uint64_t now_ns);
void status_free(struct status *status);
void status_hide(struct status *status); /* before anything else is printed on the terminal */
