#include "symbol/locate.h"

#include "base/text.h"
#include "symbol/demangle.h"
#include "symbol/gosym.h"
#include "symbol/known_places.h"
#include "symbol/match.h"
#include "symbol/names.h"
#include "symbol/not_located.h"
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#define PLACES_MAX 100000
#define INSTANCES_MAX 4096
#define CODE_MAX ((size_t)16 << 20) /* bytes of one function that are searched for its returns */

struct search {
    struct loaded *loaded;
    const struct place_query *query;
    struct place_list *out;
    struct name_pattern pattern;
    size_t functions; /* that were found, with or without a place */
};

/* ---- collecting ---- */

static struct code_place *add_place(struct search *search, uint64_t address, const char *function,
                                    bool inlined) {
    struct place_list *out = search->out;
    struct module *module = search->loaded->module;
    struct code_place *place =
        out->count < PLACES_MAX ? ARRAY_ADD(out->list, out->count, out->cap) : NULL;
    if (!place)
        return NULL;
    struct unit *unit = unit_at(module, address);
    const struct lines *lines = unit ? unit_lines(unit) : NULL;
    const struct line_row *row = line_at(lines, address);
    *place = (struct code_place){.loaded = search->loaded,
                                 .address = address,
                                 .function = function,
                                 .file = row ? line_file(lines, row) : "",
                                 .line = row ? row->line : 0,
                                 .inlined = inlined};
    if (!row && gosym_of(module->elf))
        gosym_line(gosym_of(module->elf), address, &place->file, &place->line);
    return place;
}

/* The place is the function's, or its copy's at the entry `copy`, whatever else begins there. */
static void name_scope(struct code_place *place, struct function *function, uint64_t copy) {
    if (place && function)
        place->calls = scope_calls_at(function, place->address - place->loaded->bias, copy);
}

static void add_returns(struct search *search, struct function *function,
                        const struct range *ranges, size_t count, const char *name, bool thumb) {
    const struct arch *arch = search->loaded->module->elf->arch;
    for (size_t i = 0; arch && i < count; i++) {
        size_t size = ranges[i].high - ranges[i].low, offsets[256], tails = 0;
        uint8_t *code = size <= CODE_MAX ? malloc(size + 1) : NULL;
        if (!code)
            continue;
        size = elf_read(search->loaded->module->elf, ranges[i].low, code, size);
        size_t n = arch->returns(code, size, ranges[i].low, thumb, offsets, 256, &tails);
        search->out->tail_calls += (unsigned)tails;
        for (size_t k = 0; k < n && k < 256; k++)
            name_scope(add_place(search, ranges[i].low + offsets[k], name, false), function, 0);
        free(code);
    }
}

static bool is_thumb(struct module *module, uint64_t entry) {
    const struct elf_symbol *symbol = module_symbol_at(module, entry);
    return symbol && symbol->thumb;
}

static void add_function(struct search *search, struct function *function) {
    search->functions++;
    if (search->query->returns)
        add_returns(search, function, function->ranges, function->range_count, function->name,
                    is_thumb(search->loaded->module, function->entry));
    else
        name_scope(add_place(search,
                             search->query->entry ? function->entry : function_start(function),
                             function->name, false),
                   function, 0);
}

static bool is_lto(const struct unit *unit) {
    return strstr(unit->producer, "-flto") != NULL;
}

/* May copies of the function with that entry be in `other`? */
static bool may_have_copies(const struct unit *unit, struct unit *other, struct die_place origin) {
    return other == unit || (other->range_count && (unit_refers(other) & REFERS_INLINED) &&
                             unit_mentions(other, other->offset, other->end, origin.offset));
}

static bool is_in_copy(const struct instance *copy, uint64_t pc) {
    struct scope *scope = scope_at(copy->host, pc);
    while (scope && scope->place.offset != copy->place.offset)
        scope = scope->parent;
    return scope != NULL;
}

/* A copy that is entered within its host's prologue begins behind it. */
static uint64_t instance_start(const struct instance *copy) {
    uint64_t entry = copy->host->entry;
    uint64_t start = copy->entry >= entry ? function_start(copy->host) : 0;
    bool skips = copy->entry == entry || (copy->entry < start && is_in_copy(copy, start));
    return skips ? start : copy->entry;
}

static void add_instances(struct search *search, struct unit *unit, const struct name *name) {
    struct instance *found = calloc(INSTANCES_MAX, sizeof *found);
    struct die_place origin = name_place(unit, name);
    struct module *module = search->loaded->module;
    struct dwarf *dwarf = unit->dwarf == module->alt ? module->dwarf : unit->dwarf;
    bool left = false;
    for (size_t i = 0; found && i < dwarf->unit_count; i++) {
        struct unit *other = &dwarf->units[i];
        unit_load(other);
        if (!may_have_copies(unit, other, origin))
            continue;
        size_t n = unit_instances(other, origin, found, INSTANCES_MAX);
        search->functions += n != 0;
        left |= n != 0;
        for (size_t k = 0; k < n && k < INSTANCES_MAX; k++) {
            if (search->query->inlined && !search->query->returns)
                name_scope(add_place(search, instance_start(&found[k]), found[k].host->name, true),
                           found[k].host, found[k].place.offset);
            else
                search->out->inlined_left_out++;
        }
    }
    search->out->vanished |= !left;
    free(found);
}

/* ---- functions by name ---- */

static bool found_function(void *ctx, struct unit *unit, const struct names *names,
                           const struct name *name) {
    struct search *search = ctx;
    /* -flto inlines what the compiler had not marked for it. */
    bool copied = name->inlined || (!name->code && !name->declaration && is_lto(unit));
    if ((!name->code && !copied) || !name_pattern_fits(&search->pattern, unit, names, name))
        return true;
    struct function *function = name->code ? function_of_entry(unit, name->offset) : NULL;
    if (function)
        add_function(search, function);
    else if (copied)
        add_instances(search, unit, name);
    return search->out->count < PLACES_MAX;
}

static bool is_code(const struct elf_symbol *symbol) {
    return symbol->kind == SYMBOL_FUNCTION && symbol->address && !symbol->indirect;
}

/* Go's functions check their stack first, and do so again when it has grown. */
static uint64_t start_of(struct search *search, const struct elf_symbol *symbol) {
    const struct gosym *table = gosym_of(search->loaded->module->elf);
    size_t i = table && !search->query->entry ? gosym_at(table, symbol->address) : SIZE_MAX;
    return i == SIZE_MAX ? symbol->address : gosym_start(table, i);
}

/* A thunk ("_ZTh", "_ZTv" in the C++ ABI, section 5.1.4) adjusts `this` and jumps to its method, by
 * whose name it is called, too: that would be two hits of a call. gcc may copy the method into it.
 */
static bool leads_on(const struct search *search, const struct elf_symbol *symbol) {
    struct elf_file *elf = search->loaded->module->elf;
    uint8_t code[64];
    size_t returns[1], tails = 0;
    bool thunk = !strncmp(symbol->name, "_ZTh", 4) || !strncmp(symbol->name, "_ZTv", 4);
    if (!thunk || strstr(search->query->function, "thunk to ") || symbol->size > sizeof code)
        return false;
    size_t size = elf_read(elf, symbol->address, code, symbol->size);
    return elf->arch &&
           !elf->arch->returns(code, size, symbol->address, symbol->thumb, returns, 1, &tails) &&
           tails;
}

static void add_symbol(struct search *search, const struct elf_symbol *symbol) {
    struct range range = {symbol->address, symbol->address + symbol->size};
    if (!is_code(symbol) || leads_on(search, symbol))
        return;
    bool mangled = !strncmp(symbol->name, "_Z", 2);
    const char *name =
        mangled ? module_label(search->loaded->module, symbol->address) : symbol->name;
    search->functions++;
    if (search->query->returns)
        add_returns(search, NULL, &range, 1, name, symbol->thumb);
    else
        add_place(search, start_of(search, symbol), name, false);
}

/* Functions without debug info. Those that have some were found by it. */
static void find_symbols(struct search *search) {
    struct module *module = search->loaded->module;
    struct elf_symbol **list;
    size_t n = module_symbols_named(module, search->query->function, &list), count;
    bool described = search->functions > 0;
    for (size_t i = 0; i < n; i++) {
        struct function *function = is_code(list[i]) ? function_at(module, list[i]->address) : NULL;
        if (!function)
            add_symbol(search, list[i]);
        else if (!described && function->entry == list[i]->address)
            add_function(search, function); /* another name of it: printf is __printf */
    }
    const struct elf_symbol *symbols = module_symbols(module, &count);
    if (!n && gosym_of(module->elf))
        for (size_t i = 0; i < count; i++)
            if (is_code(&symbols[i]) && !function_at(module, symbols[i].address) &&
                name_pattern_fits_text(&search->pattern, symbols[i].name))
                add_symbol(search, &symbols[i]);
    if (n || !strstr(search->query->function, "::"))
        return;
    for (size_t i = 0; i < count; i++) {
        struct buffer plain = BUFFER_INIT(1 << 16);
        if (!is_code(&symbols[i]) || strncmp(symbols[i].name, "_Z", 2) ||
            !strstr(symbols[i].name, search->pattern.hint))
            continue;
        demangle(symbols[i].name, &plain);
        if (plain.data && name_pattern_fits_text(&search->pattern, plain.data)) {
            struct function *function = function_at(module, symbols[i].address);
            if (!function)
                add_symbol(search, &symbols[i]);
            else if (!described && function->entry == symbols[i].address)
                add_function(search, function); /* its name is in another unit: -flto */
        }
        buffer_free(&plain);
    }
}

static void find_function(struct search *search) {
    module_find(search->loaded->module, search->pattern.last, search->pattern.last_len,
                NAME_FUNCTION, found_function, search);
    find_symbols(search);
}

/* ---- lines ---- */

static void add_line(struct search *search, const struct line_row *row, struct scope *seen[],
                     size_t *seen_count) {
    struct function *function = function_at(search->loaded->module, row->address);
    struct scope *scope = function ? scope_at(function, row->address) : NULL;
    uint64_t address = row->address;
    /* A block that declares nothing is none: a line has one place in the blocks that count. */
    while (scope && scope->kind == SCOPE_BLOCK && !scope->variable_count)
        scope = scope->parent;
    for (size_t i = 0; scope && i < *seen_count; i++)
        if (seen[i] == scope)
            return;
    if (scope && *seen_count < 1024)
        seen[(*seen_count)++] = scope;
    bool inlined = false;
    for (struct scope *at = scope; at; at = at->parent)
        inlined |= at->kind == SCOPE_INLINED;
    search->functions++;
    if (inlined && !search->query->inlined) {
        search->out->inlined_left_out++;
        return;
    }
    if (function && address >= function->entry && (!inlined || address == function->entry)) {
        uint64_t start = function_start(function);
        bool same_part = start > address && start - address < 4096;
        address =
            address < start && same_part && address - function->entry < 4096 ? start : address;
    }
    const char *label = function ? function->name : module_label(search->loaded->module, address);
    struct code_place *place = add_place(search, address, label ? label : "", inlined);
    if (place && address == row->address) /* several lines may begin at one address */
        place->line = row->line;
}

static void find_line(struct search *search) {
    struct dwarf *dwarf = search->loaded->module->dwarf;
    for (size_t i = 0; dwarf && i < dwarf->unit_count; i++) {
        struct unit *unit = &dwarf->units[i];
        struct scope *seen[1024];
        size_t seen_count = 0;
        if (unit->types || !unit_may_have_file(unit, search->query->file))
            continue;
        const struct lines *lines = unit_lines(unit);
        for (size_t k = 0; lines && k < lines->count; k++) {
            const struct line_row *row = &lines->rows[k];
            if (row->line == search->query->line && row->statement && !row->end &&
                !row->continues && path_ends_with(line_file(lines, row), search->query->file))
                add_line(search, row, seen, &seen_count);
        }
    }
}

/* In a stripped Go program: once for each function that has the line. */
static void find_go_line(struct search *search) {
    struct module *module = search->loaded->module;
    const struct gosym *table = module->dwarf ? NULL : gosym_of(module->elf);
    const char *name;
    uint64_t low, high;
    for (size_t i = 0; table && gosym_function(table, i, &name, &low, &high); i++) {
        uint64_t address = gosym_find_line(table, i, search->query->file, search->query->line);
        uint64_t start = address ? gosym_start(table, i) : 0;
        if (!address)
            continue;
        search->functions++;
        add_place(search, address < start ? start : address, name, false);
    }
}

/* ---- addresses ---- */

static void find_address(struct search *search) {
    uint64_t address = search->query->address - search->loaded->bias;
    const struct elf_file *elf = search->loaded->module->elf;
    for (size_t i = 0; i < elf->section_count; i++) {
        const struct elf_section *section = &elf->sections[i];
        if (!(section->flags & SHF_EXECINSTR) || address < section->address ||
            address - section->address >= section->size)
            continue;
        struct function *function = function_at(search->loaded->module, address);
        const char *label =
            function ? function->name : module_label(search->loaded->module, address);
        add_place(search, address, label ? label : "", false);
    }
}

/* ---- patterns ---- */

struct matching {
    struct search *search;
    struct error *error;
};

static bool found_match(void *ctx, const char *name) {
    struct matching *matching = ctx;
    struct search *search = matching->search;
    struct place_query query = *search->query;
    if (search->functions >= search->query->max) {
        matching->error = error_new(
            ERROR_RECIPE, "more than %u functions match \"%s\": narrow the pattern, or raise `max`",
            search->query->max, search->query->match);
        return false;
    }
    query.function = name;
    query.match = NULL;
    struct search one = {.loaded = search->loaded, .query = &query, .out = search->out};
    name_pattern_init(&one.pattern, name);
    one.pattern.whole = true;
    find_function(&one);
    search->functions++;
    return true;
}

static struct error *find_matching(struct search *search, struct space *space) {
    struct matching matching = {.search = search};
    struct space only = {.arch = space->arch, .list = search->loaded, .count = 1};
    struct error *error = space_functions(&only, search->query->match, found_match, &matching);
    if (error && matching.error)
        error_free(matching.error);
    return error ? error : matching.error;
}

/* ---- the whole ---- */

/* Of those with the same address, the innermost first. */
static int by_address(const void *a, const void *b) {
    const struct code_place *x = a, *y = b;
    if (x->address != y->address)
        return x->address < y->address ? -1 : 1;
    return x->calls < y->calls ? -1 : x->calls > y->calls;
}

static void sort_and_merge(struct place_list *out) {
    size_t kept = 0;
    if (out->count)
        qsort(out->list, out->count, sizeof *out->list, by_address);
    for (size_t i = 0; i < out->count; i++)
        if (!kept || out->list[kept - 1].address != out->list[i].address)
            out->list[kept++] = out->list[i];
    out->count = kept;
}

static struct error *find_in(struct search *search, struct space *space) {
    if (search->query->function) {
        name_pattern_init(&search->pattern, search->query->function);
        find_function(search);
    } else if (search->query->match) {
        return find_matching(search, space);
    } else if (search->query->file) {
        find_line(search);
        find_go_line(search);
    } else {
        find_address(search);
    }
    return NULL;
}

static void add_all(struct place_list *out, const struct place_list *found, struct loaded *loaded) {
    for (size_t i = 0; i < found->count && out->count < PLACES_MAX; i++) {
        struct code_place *place = ARRAY_ADD(out->list, out->count, out->cap);
        if (!place)
            break;
        *place = found->list[i];
        place->loaded = loaded;
        place->address += loaded->bias;
    }
    out->inlined_left_out += found->inlined_left_out;
    out->tail_calls += found->tail_calls;
    out->functions += found->functions;
    out->vanished |= found->vanished;
}

static struct error *locate_in(struct space *space, struct loaded *loaded,
                               const struct place_query *query, struct place_list *out) {
    const struct place_list *known =
        query->has_address ? NULL : places_known(loaded->module, query);
    struct place_list found = {0};
    struct search search = {.loaded = loaded, .query = query, .out = &found};
    struct error *error = known ? NULL : find_in(&search, space);
    found.functions = search.functions;
    add_all(out, known ? known : &found, loaded);
    if (!known && !error && !query->has_address)
        places_remember(loaded->module, query, &found);
    place_list_free(&found);
    return error;
}

struct error *space_locate(struct space *space, const struct place_query *query, const char *module,
                           struct place_list *out) {
    struct error *error = NULL;
    bool any = false;
    *out = (struct place_list){0};
    for (size_t i = 0; i < space->count && !error; i++) {
        if (module && !path_ends_with(space->list[i].module->path, module))
            continue;
        any = true;
        if (!query->has_address || !out->count)
            error = locate_in(space, &space->list[i], query, out);
        if (!i && !module && out->count)
            break; /* the program's own come first: a library may have the same name by chance */
    }
    sort_and_merge(out);
    if (!error && !out->count)
        error = any ? not_located(space, query, out)
                    : error_new(ERROR_RECIPE, "no module \"%s\" is loaded", module);
    if (error)
        place_list_free(out);
    return error;
}

void place_list_free(struct place_list *list) {
    free(list->list);
    *list = (struct place_list){0};
}
