/* How people name functions: "f", "C::f", "ns::C::f(int)", "file.c::f", "main.(*T).M". */
#pragma once

#include "base/error.h"
#include "symbol/names.h"
#include <regex.h>

struct name_pattern {
    char text[1024];  /* without parameters and file */
    const char *last; /* its last part, without template arguments: what an index is searched for */
    size_t last_len;
    char hint[256];     /* `last`, terminated */
    const char *file;   /* inside of `storage`; NULL: any */
    const char *params; /* "(int, char)", without spaces; NULL: any overload */
    char storage[2048];
    bool whole; /* the name must be all of it, not the end of a qualified one */
};

void name_pattern_init(struct name_pattern *pattern, const char *text);
bool name_pattern_fits(const struct name_pattern *pattern, struct unit *unit,
                       const struct names *names, const struct name *name);

/* For a demangled symbol: "ns::C::f(int)". */
bool name_pattern_fits_text(const struct name_pattern *pattern, const char *name);

/* A POSIX extended regular expression; ERROR_RECIPE with the reason. */
struct error *pattern_compile(regex_t *regex, const char *pattern);

/* May the unit's line table name this file? Cheap; false is certain. */
bool unit_may_have_file(struct unit *unit, const char *path);
