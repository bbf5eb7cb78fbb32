/* Requests of Delve's JSON-RPC 1.0. */
#pragma once

#include "base/buffer.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum delve_method {
    DELVE_SET_API_VERSION,
    DELVE_GET_VERSION,
    DELVE_IS_MULTICLIENT,
    DELVE_IS_ATTACHED,
    DELVE_STATE,
    DELVE_COMMAND,
    DELVE_HALT, /* Command{"halt"}: the one command that is for a running target */
    DELVE_LIST_BREAKPOINTS,
    DELVE_FIND_LOCATION,
    DELVE_RETURN_LOCATIONS,
    DELVE_DISASSEMBLE,
    DELVE_CREATE_BREAKPOINT,
    DELVE_CREATE_WATCHPOINT,
    DELVE_AMEND_BREAKPOINT,
    DELVE_CLEAR_BREAKPOINT,
    DELVE_EVAL,
    DELVE_EXAMINE_MEMORY,
    DELVE_STACKTRACE,
    DELVE_LIST_ARGS,
    DELVE_LIST_LOCALS,
    DELVE_LIST_GOROUTINES,
    DELVE_LIST_THREADS,
    DELVE_LIST_REGISTERS,
    DELVE_LIST_FUNCTIONS,
    DELVE_LIST_SOURCES,
    DELVE_LIST_TYPES,
    DELVE_LIST_PACKAGE_VARS,
    DELVE_FOLLOW_EXEC_ENABLED,
    DELVE_DETACH,
    DELVE_METHODS
};

const char *delve_method_name(enum delve_method method);

/* May it be sent while a Command is running? Delve serves the others on the connection itself, and
 * one that waits for the target's lock then wedges it: not even `halt` is read any more. */
bool delve_while_running(enum delve_method method);

/* Appends one request. `params` is consumed; NULL stands for {}. */
void delve_request(struct buffer *out, enum delve_method method, uint64_t id, json_t *params);

/* The same with parameters that are JSON text already. */
void delve_request_text(struct buffer *out, enum delve_method method, uint64_t id,
                        const char *params);

struct delve_load {
    unsigned string; /* bytes of a string */
    unsigned items;  /* elements of an array, slice or map */
    unsigned depth;  /* nesting and dereferences */
    unsigned bytes;  /* bytes of a []byte */
};

json_t *delve_load_config(const struct delve_load *load);
json_t *delve_scope(int64_t goroutine, int frame); /* goroutine -1: the current one */
