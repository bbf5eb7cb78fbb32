/* What main asks a worker to do, as JSON on the pipe. */
#pragma once

#include "session/session.h"

struct job {
    char *run;                   /* the run's id */
    struct recipe_text *recipes; /* none for list and repair */
    size_t recipe_count, recipe_cap;
    struct settings params; /* from the command line */
    struct target *targets;
    size_t target_count, target_cap;
    struct session_options options; /* its strings are the job's */
    bool require_hits;
    char *binary; /* of targets that name none; or NULL */
    char *relay, *output, *list_what, *list_pattern;
};

/* Appends the JSON of a job. */
void job_write(const struct job *job, struct buffer *out);

/* Reads it; false if it is none. */
bool job_read(const char *text, size_t len, struct job *out);
void job_clear(struct job *job);
bool job_add_recipe(struct job *job, const char *name, const char *text); /* false: no memory */
void job_clear_recipes(struct job *job);
