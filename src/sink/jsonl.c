/* JSON lines: one event a line, written whole. */
#include "sink/sink.h"

static void write_event(struct sink *sink, const struct buffer *event, struct buffer *out) {
    (void)sink;
    event_json(event, out);
    buffer_putc(out, '\n');
}

const struct sink_kind jsonl_sink = {"jsonl", " jsonl json ndjson ", write_event};
