/* The JSON Schema of events: which fields each kind has, in the order of docs/events.md. A field
 * that is not here is refused, so that a test of what runs emit finds it. */
#include "value/event.h"

/* As the types of events; the end of a target and that of the run differ. */
enum kind { RUN, ARMED, HIT, LOG, SIGNAL, EXIT, TRIP, ERROR, TARGET_END, RUN_END, KINDS };

static const enum event_type types[KINDS] = {
    [RUN] = EVENT_RUN,        [ARMED] = EVENT_ARMED, [HIT] = EVENT_HIT,   [LOG] = EVENT_LOG,
    [SIGNAL] = EVENT_SIGNAL,  [EXIT] = EVENT_EXIT,   [TRIP] = EVENT_TRIP, [ERROR] = EVENT_ERROR,
    [TARGET_END] = EVENT_END, [RUN_END] = EVENT_END,
};

#define IN(kind) (1u << (kind))
#define HITS (IN(HIT) | IN(LOG) | IN(SIGNAL))
#define ENDS (IN(TARGET_END) | IN(RUN_END))

#define TEXT "{\"type\":\"string\"}"
#define COUNT "{\"type\":\"integer\",\"minimum\":0}"
#define FLAG "{\"const\":true}"
#define OBJECT "{\"type\":\"object\"}"
#define LIST_OF(items) "{\"type\":\"array\",\"items\":" items "}"
#define ANY_LIST "{\"type\":[\"array\",\"object\"]}" /* or an $error, or $truncated */
#define TEXTS "{\"type\":\"object\",\"additionalProperties\":" TEXT "}"
#define WITH(required, properties)                                                                 \
    "{\"type\":\"object\",\"additionalProperties\":false,\"required\":[" required                  \
    "],\"properties\":{" properties "}}"

#define TARGET WITH("\"name\",\"uri\"", "\"name\":" TEXT ",\"uri\":" TEXT ",\"labels\":" TEXTS)
#define SERVER                                                                                     \
    WITH("\"name\",\"version\",\"language\"",                                                      \
         "\"name\":" TEXT ",\"version\":" TEXT ",\"language\":" TEXT)
#define PLACE                                                                                      \
    WITH("", "\"function\":" TEXT ",\"file\":" TEXT ",\"line\":" COUNT ",\"addresses\":" LIST_OF(  \
                 TEXT) ",\"returns\":" LIST_OF(TEXT) ",\"syscall\":" TEXT ",\"number\":" COUNT)
#define ARMED_PROBE                                                                                \
    WITH("\"probe\",\"trigger\",\"stop\"",                                                         \
         "\"probe\":" TEXT ",\"trigger\":" TEXT ",\"places\":" LIST_OF(                            \
             PLACE) ",\"waits_for\":" TEXT ",\"types\":" TEXTS                                     \
                    ",\"when_decided_by\":{\"enum\":[\"server\",\"pickglass\"]}"                   \
                    ",\"inlined_copies_left_out\":" COUNT                                          \
                    ",\"stop\":{\"enum\":[\"process\",\"thread\"]}")
#define THREAD WITH("\"id\"", "\"id\":{\"type\":\"integer\"},\"name\":" TEXT)
#define LOCATION                                                                                   \
    WITH("\"function\",\"file\",\"line\",\"pc\"",                                                  \
         "\"function\":" TEXT ",\"file\":" TEXT ",\"line\":" COUNT ",\"pc\":" TEXT)
#define WIRE                                                                                       \
    WITH("\"requests\",\"writes\",\"round_trips\",\"hit_stops\",\"hit_round_trips\"",              \
         "\"requests\":" COUNT ",\"writes\":" COUNT ",\"round_trips\":" COUNT                      \
         ",\"hit_stops\":" COUNT ",\"hit_round_trips\":" COUNT)
#define ACCOUNT                                                                                    \
    WITH("\"probe\",\"reached\",\"hits\",\"emitted\",\"rate_limited\",\"throttled\",\"unpaired\"," \
         "\"lost\",\"armed_share\"",                                                               \
         "\"probe\":" TEXT ",\"reached\":{\"type\":[\"integer\",\"null\"]},\"hits\":" COUNT        \
         ",\"emitted\":" COUNT ",\"rate_limited\":" COUNT ",\"throttled\":" COUNT                  \
         ",\"unpaired\":" COUNT ",\"lost\":" COUNT                                                 \
         ",\"armed_share\":{\"type\":\"number\",\"minimum\":0,\"maximum\":1}")

struct field {
    const char *name, *schema;
    unsigned always, sometimes; /* in which kinds */
};

static const struct field fields[] = {
    {"v", "{\"const\":1}", ~0u, 0},
    {"time", "{\"type\":\"string\",\"format\":\"date-time\"}", ~0u, 0},
    {"run", TEXT, ~0u, 0},
    {"target", TEXT, ~(IN(RUN) | IN(ERROR) | IN(RUN_END)), IN(ERROR)},
    {"seq", COUNT, HITS, 0},
    {"probe", TEXT, HITS, IN(EXIT) | IN(TRIP) | IN(ERROR)},
    {"hit", COUNT, HITS, 0},
    {"pickglass", TEXT, IN(RUN), 0},
    {"recipe", TEXT, IN(RUN), 0},
    {"targets", LIST_OF(TARGET), IN(RUN), 0},
    {"targets", COUNT, IN(RUN_END), 0},
    {"pid", "{\"type\":\"integer\"}", IN(ARMED) | HITS | IN(EXIT), 0},
    {"command", TEXT, 0, IN(ARMED)},
    {"server", SERVER, IN(ARMED), 0},
    {"found", "{\"enum\":[\"at_launch\",\"running\",\"stopped\",\"forked\"]}", IN(ARMED), 0},
    {"parent", COUNT, 0, IN(ARMED)},
    {"stop_cost_ns", COUNT, 0, IN(ARMED)},
    {"probes", LIST_OF(ARMED_PROBE), IN(ARMED), 0},
    {"probes", LIST_OF(ACCOUNT), IN(TARGET_END), 0},
    {"thread", THREAD, HITS, 0},
    {"location", LOCATION, HITS, 0},
    {"signal", TEXT, IN(SIGNAL), IN(HIT) | IN(LOG)},
    {"signal", COUNT, 0, IN(EXIT)},
    {"status", COUNT, 0, IN(EXIT)},
    {"fault", TEXT, 0, HITS},
    {"syscall", TEXT, 0, HITS},
    {"values", OBJECT, HITS, 0},
    {"args", OBJECT, 0, HITS},
    {"locals", OBJECT, 0, HITS},
    {"registers", OBJECT, 0, HITS},
    {"goroutine", OBJECT, 0, HITS},
    {"goroutines", ANY_LIST, 0, HITS},
    {"thread_details", OBJECT, 0, HITS},
    {"stack", ANY_LIST, 0, HITS},
    {"keep", OBJECT, 0, HITS},
    {"cut", FLAG, 0, HITS},
    {"elapsed_ns", COUNT, 0, HITS},
    {"message", "{\"type\":[\"string\",\"object\"]}", IN(LOG), 0},
    {"message", TEXT, IN(ERROR), 0},
    {"severity", "{\"enum\":[\"error\",\"warning\"]}", IN(ERROR), 0},
    {"limit", TEXT, IN(TRIP), 0},
    {"is", TEXT, IN(TRIP), 0},
    {"was", TEXT, IN(TRIP), 0},
    {"do", TEXT, IN(TRIP), 0},
    {"lasted_ns", COUNT, 0, IN(TRIP)},
    {"reason", TEXT, ENDS, HITS}, /* of a panic: which kind it is */
    {"error", TEXT, 0, IN(TARGET_END)},
    {"duration_ns", COUNT, ENDS, 0},
    {"paused_ns", COUNT, IN(TARGET_END), HITS},
    {"pause_ns", COUNT, HITS, 0},
    {"pause", "{\"enum\":[\"measured\",\"estimated\",\"lower_bound\"]}", HITS | IN(TARGET_END), 0},
    {"stops", COUNT, IN(TARGET_END), 0},
    {"held_ns", COUNT, IN(TARGET_END), 0},
    {"wire", WIRE, 0, IN(TARGET_END)},
    {"exit", COUNT, IN(RUN_END), 0},
    {"followed", COUNT, 0, IN(RUN_END)},
    {"failed", COUNT, IN(RUN_END), 0},
    {"hits", COUNT, IN(RUN_END), 0},
};
#define FIELDS (sizeof fields / sizeof *fields)

static void put_kind(struct buffer *out, enum kind kind) {
    const char *type = event_type_name(types[kind]);
    buffer_printf(out,
                  "%s{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"type\"",
                  kind ? "," : "");
    for (size_t i = 0; i < FIELDS; i++)
        if (fields[i].always & IN(kind))
            buffer_printf(out, ",\"%s\"", fields[i].name);
    buffer_printf(out, "],\"properties\":{\"type\":{\"const\":\"%s\"}", type);
    for (size_t i = 0; i < FIELDS; i++)
        if ((fields[i].always | fields[i].sometimes) & IN(kind))
            buffer_printf(out, ",\"%s\":%s", fields[i].name, fields[i].schema);
    buffer_puts(out, "}}");
}

void event_schema(struct buffer *out) {
    buffer_puts(out, "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\","
                     "\"title\":\"pickglass event, version 1\",\"oneOf\":[");
    for (enum kind kind = 0; kind < KINDS; kind++)
        put_kind(out, kind);
    buffer_puts(out, "]}\n");
}
