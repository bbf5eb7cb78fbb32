/* Locations to addresses.
 *
 *   FindLocation ── several addresses, copies unwanted ──▶ FindLocation *0x... (whose code is it?)
 *        │ ── returns wanted ──▶ FunctionReturnLocations
 *        └── refused ──▶ ListFunctions or ListSources, for the nearest name */
#include "backend/delve/delve.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define INSTRUCTION_MAX 16 /* bytes */
#define FUNCTION_MAX (64u << 10)

static void refuse(struct query *query, struct error *error) {
    if (query->error)
        error_free(error);
    else
        query->error = error;
}

static void add_address(struct place *place, uint64_t address) {
    uint64_t *grown = realloc(place->addresses, (place->count + 1) * sizeof *grown);
    if (!grown)
        return;
    place->addresses = grown;
    place->addresses[place->count++] = address;
}

static void drop_address(struct place *place, uint64_t address) {
    for (size_t i = 0; i < place->count; i++) {
        if (place->addresses[i] == address) {
            memmove(&place->addresses[i], &place->addresses[i + 1],
                    (--place->count - i) * sizeof address);
            return;
        }
    }
}

/* One address among several of a function: is it in the function itself or in an inlined copy? */
/* What a question is about: a place of a query, and an address of it (0: all of it). */
struct question {
    struct query *query;
    size_t place;
    uint64_t address;
};

static struct question *question_of(struct query *query, size_t place, uint64_t address) {
    struct question *question = malloc(sizeof *question);
    if (question)
        *question = (struct question){query, place, address};
    return question;
}

static void on_owner(struct backend *b, void *ctx, struct span result, struct error *error) {
    struct question *question = ctx;
    struct query *query = question->query;
    struct place *place = &query->places[question->place];
    json_t *root = error ? NULL : span_decode(result, &b->scratch);
    const json_t *location = json_array_get(json_object_get(root, "Locations"), 0);
    const char *owner = delve_text(json_object_get(json_object_get(location, "function"), "name"));
    if (location && strcmp(owner, place->function)) {
        drop_address(place, question->address);
        query->inlined_copies++;
    }
    json_decref(root);
    error_free(error);
    free(question);
}

static void ask_address(struct backend *b, struct query *query, size_t place, uint64_t address,
                        reply_fn *on_reply) {
    struct question *question = question_of(query, place, address);
    char text[32];
    if (!question)
        return;
    snprintf(text, sizeof text, "*0x%" PRIx64, address);
    delve_call(b, DELVE_FIND_LOCATION,
               json_pack("{s:o,s:s}", "Scope", delve_scope(-1, 0), "Loc", text), on_reply,
               question);
}

/* Delve writes its breakpoints wherever it is told to: into the program's data, too. */
static bool check_code(struct query *query, const json_t *location) {
    bool is_code = json_object_get(json_object_get(location, "function"), "name") != NULL;
    if (!is_code)
        refuse(query,
               error_new(ERROR_RECIPE,
                         "%s: 0x%" PRIx64 " is in no function that Delve knows: nothing "
                         "there is executed, and a breakpoint would overwrite data",
                         query->location->text, delve_uint(json_object_get(location, "pc"))));
    return is_code;
}

static void ask_disassembly(struct backend *b, struct question *question, uint64_t from,
                            uint64_t until, reply_fn *on_reply) {
    delve_call(b, DELVE_DISASSEMBLE,
               json_pack("{s:o,s:I,s:I,s:i}", "Scope", delve_scope(-1, 0), "StartPC",
                         (json_int_t)from, "EndPC", (json_int_t)until, "Flavour", 0),
               on_reply, question);
}

/* Of the instructions from the function's first one on, does one begin at the address? */
static void on_boundary(struct backend *b, void *ctx, struct span result, struct error *error) {
    struct question *question = ctx;
    json_t *root = error ? NULL : span_decode(result, &b->scratch), *instruction;
    const json_t *list = json_object_get(root, "Disassemble");
    bool begins = !list;
    size_t i;
    json_array_foreach(list, i, instruction) begins |=
        delve_uint(json_object_get(json_object_get(instruction, "Loc"), "pc")) == question->address;
    if (!begins)
        refuse(question->query,
               error_new(ERROR_RECIPE, "%s: 0x%" PRIx64 " is the middle of an instruction",
                         question->query->location->text, question->address));
    json_decref(root);
    error_free(error);
    free(question);
}

static void ask_boundary(struct backend *b, struct question *question, uint64_t entry) {
    struct question *next = question_of(question->query, question->place, question->address);
    if (next && question->address > entry && question->address - entry < FUNCTION_MAX)
        ask_disassembly(b, next, entry, question->address + INSTRUCTION_MAX, on_boundary);
    else
        free(next);
}

static void on_code(struct backend *b, void *ctx, struct span result, struct error *error) {
    struct question *question = ctx;
    json_t *root = error ? NULL : span_decode(result, &b->scratch);
    const json_t *location = json_array_get(json_object_get(root, "Locations"), 0);
    if (error)
        refuse(question->query, error_new(ERROR_RECIPE, "%s: Delve says: %s",
                                          question->query->location->text, error->message));
    else if (check_code(question->query, location))
        ask_boundary(b, question,
                     delve_uint(json_object_get(json_object_get(location, "function"), "value")));
    json_decref(root);
    error_free(error);
    free(question);
}

/* Delve counts the call of runtime.deferreturn as a return, too. A RET follows it, so with both a
 * return after a recovered panic would be seen twice, and at the first of them the results are not
 * set yet. */
static void on_instruction(struct backend *b, void *ctx, struct span result, struct error *error) {
    struct question *question = ctx;
    struct place *place = &question->query->places[question->place];
    json_t *root = error ? NULL : span_decode(result, &b->scratch);
    const json_t *first = json_array_get(json_object_get(root, "Disassemble"), 0);
    const json_t *target = json_object_get(json_object_get(first, "DestLoc"), "function");
    const char *called = delve_text(json_object_get(target, "name"));
    if (!strcmp(called, "runtime.deferreturn") && place->count > 1)
        drop_address(place, question->address);
    json_decref(root);
    error_free(error);
    free(question);
}

static void ask_instruction(struct backend *b, struct query *query, size_t place,
                            uint64_t address) {
    struct question *question = question_of(query, place, address);
    if (question)
        ask_disassembly(b, question, address, address + INSTRUCTION_MAX, on_instruction);
}

static void on_returns(struct backend *b, void *ctx, struct span result, struct error *error) {
    struct question *question = ctx;
    struct query *query = question->query;
    struct place *place = &query->places[question->place];
    json_t *root = error ? NULL : span_decode(result, &b->scratch), *address;
    size_t i;
    if (error)
        refuse(query, error_wrap(error, "the returns of %s", query->location->text));
    json_array_foreach(json_object_get(root, "Addrs"), i, address)
        add_address(place, delve_uint(address));
    for (size_t k = 0; k < place->count; k++)
        ask_instruction(b, query, question->place, place->addresses[k]);
    json_decref(root);
    free(question);
}

static void ask_returns(struct backend *b, struct query *query, size_t place,
                        const char *function) {
    struct question *question = question_of(query, place, 0);
    if (question)
        delve_call(b, DELVE_RETURN_LOCATIONS, json_pack("{s:s}", "FnName", function), on_returns,
                   question);
}

static void add_at_offset(struct backend *b, struct query *query, size_t place, uint64_t from) {
    uint64_t address = from + (uint64_t)query->location->offset;
    bool computed = query->location->has_offset || query->location->address;
    add_address(&query->places[place], address);
    if (computed)
        ask_address(b, query, place, address, on_code);
}

static bool add_place(struct backend *b, struct query *query, const json_t *location) {
    const json_t *pcs = json_object_get(location, "pcs"), *pc;
    const char *function =
        delve_text(json_object_get(json_object_get(location, "function"), "name"));
    struct place *place = ARRAY_ADD(query->places, query->count, query->cap);
    if (!place)
        return false;
    place->function = strdup(function);
    place->file = strdup(delve_text(json_object_get(location, "file")));
    place->line = (unsigned)delve_int(json_object_get(location, "line"));
    size_t i, index = query->count - 1, n = json_array_size(pcs);
    bool own = query->own || (query->location->has_inlined && !query->location->inlined);
    if (query->returns) {
        ask_returns(b, query, index, function);
        return true;
    }
    if (query->location->function && query->location->has_offset) {
        add_at_offset(b, query, index,
                      delve_uint(json_object_get(json_object_get(location, "function"), "value")));
        return true;
    }
    if (!n)
        add_at_offset(b, query, index, delve_uint(json_object_get(location, "pc")));
    json_array_foreach(pcs, i, pc) {
        add_at_offset(b, query, index, delve_uint(pc));
        if (own && n > 1)
            ask_address(b, query, index, delve_uint(pc), on_owner);
    }
    return true;
}

/* Among the names that the server lists, the one that was probably meant. */
static const char *list_candidate(void *ctx, size_t i) {
    return json_string_value(json_array_get(ctx, i));
}

static const char *tail_of(const char *name) {
    const char *slash = strrchr(name, '/');
    return slash ? slash + 1 : name;
}

static const char *tail_candidate(void *ctx, size_t i) {
    const char *name = list_candidate(ctx, i);
    return name ? tail_of(name) : NULL;
}

static void suggest(struct backend *b, struct query *query, struct span result, const char *key,
                    const char *wanted) {
    json_t *root = span_decode(result, &b->scratch);
    json_t *names = json_object_get(root, key);
    const char *near = text_nearest(wanted, list_candidate, names);
    if (!near)
        near = text_nearest(tail_of(wanted), tail_candidate, names);
    if (near && query->error && query->error != error_no_memory()) {
        struct error *better = error_new(query->error->class, "%s (did you mean \"%s\"?)",
                                         query->error->message, near);
        error_free(query->error);
        query->error = better;
    }
    json_decref(root);
}

static void on_functions(struct backend *b, void *ctx, struct span result, struct error *error) {
    struct query *query = ctx;
    if (!error)
        suggest(b, query, result, "Funcs", query->location->function);
    error_free(error);
}

static void on_sources(struct backend *b, void *ctx, struct span result, struct error *error) {
    struct query *query = ctx;
    if (!error)
        suggest(b, query, result, "Sources", query->location->file);
    error_free(error);
}

static void refuse_location(struct backend *b, struct query *query, struct error *error) {
    bool no_file =
        strstr(error->message, "could not find file") || strstr(error->message, "not found");
    refuse(query,
           error_new(ERROR_RECIPE, "%s: Delve says: %s", query->location->text, error->message));
    if (query->location->function)
        delve_call(b, DELVE_LIST_FUNCTIONS, json_pack("{s:s}", "Filter", ""), on_functions, query);
    else if (query->location->file && no_file)
        delve_call(b, DELVE_LIST_SOURCES, json_pack("{s:s}", "Filter", ""), on_sources, query);
    error_free(error);
}

/* docs/adr/0012: such a server can neither be halted nor be armed with certainty. */
static struct error *why_follows(const struct backend *b) {
    return error_new(ERROR_RUN,
                     "%s follows the children of its target (`target follow-exec`, which another "
                     "client has switched on): once one of them has ended, Delve cannot be relied "
                     "on to stop, or to set a breakpoint; switch it off there (`target follow-exec "
                     "-off`)",
                     b->uri);
}

static void on_location(struct backend *b, void *ctx, struct span result, struct error *error) {
    struct query *query = ctx;
    if (b->follows) {
        error_free(error);
        refuse(query, why_follows(b));
        return;
    }
    if (error) {
        refuse_location(b, query, error);
        return;
    }
    json_t *root = span_decode(result, &b->scratch), *location;
    const json_t *locations = json_object_get(root, "Locations");
    size_t i, n = json_array_size(locations);
    if (!n)
        refuse(query, error_new(ERROR_RECIPE, "%s: nothing there", query->location->text));
    else if (query->location->match && n > query->location->max)
        refuse(query, error_new(ERROR_RECIPE,
                                "%s names %zu functions, more than its `max` of %u: narrow it, or "
                                "raise `max`",
                                query->location->text, n, query->location->max));
    else
        json_array_foreach(locations, i, location) if (!add_place(b, query, location))
            refuse(query, error_no_memory());
    json_decref(root);
}

static void location_text(const struct location *location, char *out, size_t size) {
    if (location->function)
        snprintf(out, size, "%s", location->function);
    else if (location->file)
        snprintf(out, size, "%s:%u", location->file, location->line);
    else if (location->match)
        snprintf(out, size, "/%s/", location->match);
    else
        snprintf(out, size, "*0x%" PRIx64, location->address);
}

void delve_resolve(struct backend *b, struct query *query) {
    char text[4096];
    delve_ask_follow(b);
    location_text(query->location, text, sizeof text);
    delve_call(b, DELVE_FIND_LOCATION,
               json_pack("{s:o,s:s}", "Scope", delve_scope(-1, 0), "Loc", text), on_location,
               query);
}
