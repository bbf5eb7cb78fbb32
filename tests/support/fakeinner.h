/* The fake back end (fakeback.c) and its script (fakescript.c) share these. */
#pragma once

#include "fakeback.h"
#include "fakeclock.h"
#include "value/event.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX 16
#define HITS_MAX 8
#define ROUND_NS 10000000
#define RETURN 0x80 /* a function's return, behind its entry */

struct variable {
    char name[16], text[32];
};

struct variables {
    struct variable list[NAMES_MAX];
    size_t count;
};

struct slow {
    char name[16];
    unsigned rounds, done;
};

/* One connection; the script's side of it is here, too. */
struct backend {
    const struct backend_events *events;
    void *owner;
    const struct fake_setup *setup;
    struct buffer words, scratch;
    struct site *sites[64];
    size_t site_count;
    struct variables at[HITS_MAX], global;
    struct hit hits[HITS_MAX];
    size_t hit_count;
    struct stop stop;
    struct slow slow[NAMES_MAX];
    size_t slow_count;
    bool running, connecting, leaving, over, asked, given_up, ended;
    unsigned refusals;                   /* connections that fail from now on */
    uint64_t flush_at, stop_at, halt_ns; /* 0 = none */
    enum session_outcome outcome;
    int64_t pid;
};

extern struct backend fake;
extern struct backend_caps fake_caps;
extern struct backend_ops fake_ops;

void fake_word(const char *format, ...) __attribute__((format(printf, 1, 2)));
uint64_t fake_address(const char *function); /* 0: there is no such function */
struct expr_value fake_evaluate(const char *text, const struct variables *variables);
bool fake_came(struct backend *b, const struct hit *hit, const struct want *want);
void fake_deliver(enum stop_reason reason, const char *what);
void fake_nowhere(void);      /* a stop at no breakpoint */
void fake_settle(void);       /* all that is owed by now */
void fake_go_by(uint64_t ns); /* time, and what becomes due */

/* An event in words. fakewords.c */
void fake_tell(const struct buffer *event);
