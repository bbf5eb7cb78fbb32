/* Thread-local variables: the block of a module in a thread (the ELF TLS ABI). The program's own is
 * at a fixed distance of the thread pointer; a library's is found in the thread's vector of blocks
 * (DTV), under the number that glibc's dynamic linker has given it. Where glibc keeps that is said
 * by its symbols _thread_db_*, made for debuggers. */
#include "symbol/machine.h"

#include <string.h>

#define LISTS_MAX 16   /* of the dynamic linker's modules with such variables, one after another */
#define SLOTS_MAX 1024 /* modules of one of them */
#define UNALLOCATED UINT64_MAX

/* Fields of glibc's structs. */
enum { FIRST_LIST, LIST_LENGTH, LIST_NEXT, LIST_SLOTS, SLOT_MAP, SLOT_GENERATION, BLOCK, FIELDS };

struct search {
    struct machine *m;
    struct loaded *loaded;
    uint64_t fields[FIELDS]; /* offsets */
    uint64_t slot_size, word;
    uint64_t number, generation; /* found: of `loaded` */
};

static const char not_glibc[] =
    "thread-local variables of a library cannot be found: glibc's tables are not there";

static bool find_symbol(const struct space *space, const char *name, struct loaded **loaded,
                        uint64_t *address) {
    for (size_t i = 0; i < space->count; i++) {
        struct elf_symbol **list;
        if (!module_symbols_named(space->list[i].module, name, &list))
            continue;
        *loaded = &space->list[i];
        *address = list[0]->address;
        return true;
    }
    return false;
}

/* glibc describes a field by its bits, how many there are, and its offset; a size by itself. */
static bool described(const struct space *space, const char *name, unsigned at, uint64_t *out) {
    char symbol[64] = "_thread_db_";
    struct loaded *loaded;
    uint64_t address;
    uint32_t words[3] = {0};
    size_t size = (at + 1) * sizeof *words;
    strncat(symbol, name, sizeof symbol - strlen(symbol) - 1);
    if (!find_symbol(space, symbol, &loaded, &address) ||
        elf_read(loaded->module->elf, address, words, size) != size)
        return false;
    *out = words[at];
    return true;
}

static bool describe(struct search *s) {
    static const char *const names[FIELDS] = {[FIRST_LIST] =
                                                  "rtld_global__dl_tls_dtv_slotinfo_list",
                                              [LIST_LENGTH] = "dtv_slotinfo_list_len",
                                              [LIST_NEXT] = "dtv_slotinfo_list_next",
                                              [LIST_SLOTS] = "dtv_slotinfo_list_slotinfo",
                                              [SLOT_MAP] = "dtv_slotinfo_map",
                                              [SLOT_GENERATION] = "dtv_slotinfo_gen",
                                              [BLOCK] = "dtv_t_pointer_val"};
    const struct space *space = s->m->frame->space;
    for (int i = 0; i < FIELDS; i++)
        if (!described(space, names[i], 2, &s->fields[i]))
            return false;
    return described(space, "sizeof_dtv_slotinfo", 0, &s->slot_size) && s->slot_size;
}

static bool word_at(struct search *s, uint64_t address, size_t ahead, uint64_t *out) {
    *out = 0;
    switch (memory_read(s->m->frame->memory, address, out, s->word)) {
    case MEMORY_OK: return true;
    case MEMORY_AGAIN:
        memory_want(s->m->frame->memory, address, ahead > s->word ? ahead : s->word);
        return machine_again(s->m);
    default: return machine_fail(s->m, "the dynamic linker's tables cannot be read");
    }
}

/* struct link_map (link.h) begins with what the module has moved by; two words on is its dynamic
 * section. */
static bool is_ours(struct search *s, uint64_t map, bool *out) {
    const struct elf_section *dynamic = elf_section_named(s->loaded->module->elf, ".dynamic");
    uint64_t bias, section;
    *out = false;
    if (!word_at(s, map, 3 * s->word, &bias) || !word_at(s, map + 2 * s->word, s->word, &section))
        return false;
    *out = bias == s->loaded->bias && dynamic && section == dynamic->address + bias;
    return true;
}

static bool search_list(struct search *s, uint64_t list, uint64_t length, uint64_t first) {
    bool again = false;
    for (uint64_t i = 0; i < length; i++) {
        uint64_t slot = list + s->fields[LIST_SLOTS] + i * s->slot_size, map;
        size_t ahead = (size_t)((length - i) * s->slot_size);
        bool ours = false;
        if (!word_at(s, slot + s->fields[SLOT_MAP], ahead, &map))
            return false;
        if (map && !is_ours(s, map, &ours)) {
            if (s->m->outcome != EVAL_AGAIN)
                return false;
            s->m->outcome = EVAL_OK; /* the others are wanted in the same go */
            again = true;
        }
        if (!ours)
            continue;
        s->number = first + i;
        return word_at(s, slot + s->fields[SLOT_GENERATION], s->word, &s->generation);
    }
    return !again || machine_again(s->m);
}

/* The linker's number of the module, and since when it has that. */
static bool find_number(struct search *s) {
    struct loaded *linker;
    uint64_t list, length, first = 0;
    if (!find_symbol(s->m->frame->space, "_rtld_global", &linker, &list))
        return machine_fail(s->m, not_glibc);
    if (!word_at(s, list + linker->bias + s->fields[FIRST_LIST], s->word, &list))
        return false;
    for (int i = 0; list && i < LISTS_MAX && !s->number; i++) {
        if (!word_at(s, list + s->fields[LIST_LENGTH], 4096 - list % 4096, &length))
            return false;
        if (length > SLOTS_MAX)
            return machine_fail(s->m, "the dynamic linker's tables are not in a valid state");
        if (!search_list(s, list, length, first) ||
            !word_at(s, list + s->fields[LIST_NEXT], s->word, &list))
            return false;
        first += length;
    }
    return s->number || machine_fail(s->m, "the dynamic linker does not know its library (yet)");
}

/* The vector is in the word behind the thread pointer where the blocks are below that; else the
 * thread pointer is behind two words, of which it is the first. Its own first word is the
 * generation it is of, the one before that how many entries it has. */
static bool find_block(struct search *s, uint64_t thread, uint64_t *block) {
    const struct arch *arch = s->m->frame->registers.arch;
    uint64_t at =
        arch->tls_variant == 2 ? thread + s->word : thread - (arch->tls_gap ? 0 : 2 * s->word);
    uint64_t vector, length, generation, entry = 2 * s->word;
    if (!word_at(s, at, s->word, &vector) ||
        !word_at(s, vector - entry, (size_t)((s->number + 2) * entry), &length) ||
        !word_at(s, vector, s->word, &generation))
        return false;
    *block = UNALLOCATED;
    if (s->number <= length && generation >= s->generation &&
        !word_at(s, vector + s->number * entry + s->fields[BLOCK], s->word, block))
        return false;
    return *block != UNALLOCATED ||
           machine_fail(s->m, "this thread has not used its library's variables yet");
}

static bool library_block(struct machine *m, struct loaded *loaded, uint64_t thread,
                          uint64_t *block) {
    struct search s = {.m = m, .loaded = loaded, .word = m->frame->registers.arch->word};
    if (!describe(&s))
        return machine_fail(m, not_glibc);
    return find_number(&s) && find_block(&s, thread, block);
}

bool machine_tls_address(struct machine *m) {
    const struct arch *arch = m->frame->registers.arch;
    struct loaded *loaded = m->frame->loaded;
    struct cell offset;
    uint64_t thread, block;
    if (!machine_pop(m, &offset))
        return false;
    if (!loaded || arch->tls < 0 || !loaded->module->elf->has_tls)
        return machine_fail(m, "its thread-local variable cannot be found");
    if (!registers_get(&m->frame->registers, (unsigned)arch->tls, &thread))
        return machine_fail(m, "the thread pointer is not known here");
    const struct elf_file *elf = loaded->module->elf;
    uint64_t align = elf->tls_align;
    /* gcc 12 writes addresses into split DWARF 5, where offsets belong. */
    if (offset.i >= elf->tls_size && offset.i - elf->tls_address < elf->tls_size)
        offset.i -= elf->tls_address;
    if (offset.i >= elf->tls_size)
        return machine_fail(m, "its location is outside of the thread's variables");
    if (loaded->tls_module != 1) {
        if (!library_block(m, loaded, thread, &block))
            return false;
    } else if (arch->tls_variant == 2) {
        block = thread - (elf->tls_size + align - 1) / align * align;
    } else {
        block = thread + (arch->tls_gap + align - 1) / align * align;
    }
    return machine_push(m, block + offset.i);
}
