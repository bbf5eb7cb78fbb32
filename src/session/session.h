/* One target of a run: connect, find the places, arm, and then
 *     resume ▸ stop ▸ read ▸ decide ▸ arm what changed ▸ resume
 * until it ends; then disarm, resume, leave. It drives any back end through session/backend.h. */
#pragma once

#include "session/backend.h"

enum session_mode {
    SESSION_RUN,
    SESSION_CHECK, /* find the places, try the conditions, change nothing */
    SESSION_LIST,
    SESSION_REPAIR, /* after a worker's death: clear what its run has armed, and let the target go
                       on */
};

struct session_options {
    enum session_mode mode;
    bool resume;           /* a target found stopped by somebody is resumed */
    bool end_kills_target; /* go on although the target dies with the connection */
    bool insecure, kill_launched;
    bool follow;         /* children that the target forks: see hooks->forked */
    unsigned connect_ms; /* how long to try to connect */
    unsigned timeout_ms; /* for one answer */
    const char *relay, *output;
    struct note *note; /* for main, should we die */
    const char *list_what, *list_pattern;
};

/* The later ones weigh more. */
enum session_outcome { OUTCOME_FINE, OUTCOME_LIMIT, OUTCOME_FAILED, OUTCOME_USAGE, OUTCOME_RECIPE };

struct session;

/* What a session tells the run that it is part of. */
struct session_hooks {
    /* A finished event; the buffer is the session's and good during the call. */
    void (*event)(void *ctx, const struct buffer *event);
    /* One more hit that counts for the run; false when the run's limit is reached by it. */
    bool (*count_hit)(void *ctx);
    /* `then: end_run`, or a run-wide limit. */
    void (*end_run)(void *ctx, const char *reason);
    /* Where the server can be reached, for repair after our death. */
    void (*reachable)(void *ctx, struct session *session, const char *uri);
    /* The target has forked a process: a session for `uri` that is started during the call has it
     * from its begin; else it is let go. */
    void (*forked)(void *ctx, struct session *session, const char *uri);
    /* Once, the last call: `end` has been sent. The session may be freed from here. */
    void (*over)(void *ctx, struct session *session, enum session_outcome outcome);
};

/* `recipe` must outlive the session (NULL for SESSION_LIST and SESSION_REPAIR); strings are copied.
 */
struct error *session_new(uv_loop_t *loop, const char *run, const char *target, const char *uri,
                          const char *binary, const struct recipe *recipe,
                          const struct session_options *options, const struct session_hooks *hooks,
                          void *ctx, struct session **out);
void session_start(struct session *session);

/* Ends it in good order; `over` follows. May be called at any time, also twice. */
void session_end(struct session *session, const char *reason);

/* The sinks do not follow: what was found running is disarmed, what was launched waits at its next
 * stop; `false` undoes it. */
void session_congest(struct session *session, bool congested);

/* Frees it at once. Only after `over`, or when all of the process ends. */
void session_free(struct session *session);

/* Do these words of a server say that it knows no such name? */
bool session_is_no_name(const struct backend_caps *caps, const char *why);

/* Does every key of the recipe have a meaning for this back end? The first that has not is an
 * ERROR_RECIPE at its line. */
bool session_names_arguments(const struct probe *probe); /* arg0, arg1, ... by the ABI */
struct error *session_fits(const struct recipe *recipe, const struct backend_caps *caps);
