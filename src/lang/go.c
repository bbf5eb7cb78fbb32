/* How the Go runtime keeps maps, interfaces and channels. The compiler and the linker describe them
 * in the debug info as structs of their own (cmd/link/internal/ld/dwarf.go): a map is a pointer to
 * hash<K,V> (up to Go 1.23; runtime/map.go) or map<K,V> (internal/runtime/maps), a channel one to
 * hchan<T>, an interface a runtime.eface or runtime.iface. */
#include "lang/parts.h"

#include <string.h>

/* Vendor attributes of entries of map types. */
#define DW_AT_GO_KEY 0x2901
#define DW_AT_GO_ELEM 0x2902
#define ALIASES 8

struct part {
    const char *name;
    uint64_t *at;
    const struct type **type; /* NULL: not wanted */
};

static bool find_parts(struct module *module, const struct type *type, const struct part *parts,
                       size_t n) {
    const struct type *unwanted;
    for (size_t i = 0; i < n; i++)
        if (!lang_follow(module, type, parts[i].name, parts[i].at,
                         parts[i].type ? parts[i].type : &unwanted))
            return false;
    return true;
}
#define FIND_PARTS(module, type, parts)                                                            \
    find_parts(module, type, parts, sizeof parts / sizeof *parts)

/* What a pointer type points to, without aliases; NULL: it is none. */
static const struct type *behind(struct module *module, const struct type *type) {
    const struct type *plain = type_plain(type);
    return plain->kind == TYPE_POINTER ? type_complete(module, type_plain(plain->target)) : NULL;
}

/* ---- maps ---- */

/* The type that an alias's vendor attribute names; NULL: it has none. */
static const struct type *named_by(struct module *module, const struct type *type,
                                   unsigned attribute) {
    const struct type *found = NULL;
    for (int i = 0; i < ALIASES && !found && type->kind == TYPE_TYPEDEF; i++, type = type->target) {
        struct die die, named;
        if (!die_at(type->place, &die))
            continue;
        if (die_ref(die, attribute, &named)) {
            found = type_at(module, die_place(named));
            die_free(&named);
        }
        die_free(&die);
    }
    return found;
}

/* `stored` is what a cell has. What is larger than 128 bytes is kept elsewhere, and a pointer to it
 * in the cell. */
static const struct type *held_type(const struct type *stored, const struct type *named,
                                    bool *apart) {
    const struct type *plain = type_plain(stored);
    *apart = named && plain->kind == TYPE_POINTER && plain->size != type_plain(named)->size;
    return *apart ? named : stored;
}

static void take_cells(struct module *module, const struct type *type, const struct type *key,
                       const struct type *value, struct shape *out) {
    out->key = held_type(key, named_by(module, type, DW_AT_GO_KEY), &out->hash.key_apart);
    out->mapped = held_type(value, named_by(module, type, DW_AT_GO_ELEM), &out->hash.value_apart);
    out->element = out->key;
    out->behind = true;
}

static const struct type *element_of(const struct type *type) {
    const struct type *plain = type_plain(type);
    return plain->kind == TYPE_ARRAY ? plain->target : NULL;
}

static bool buckets(struct module *module, const struct type *type, const struct type *map,
                    struct shape *out) {
    const struct type *first, *keys, *values;
    struct hash_shape *hash = &out->hash;
    const struct part of_map[] = {{"count", &out->length, NULL},
                                  {"flags", &hash->flags, NULL},
                                  {"B", &hash->bits, NULL},
                                  {"buckets", &out->data, &first},
                                  {"oldbuckets", &hash->old, NULL}};
    const struct part of_block[] = {{"tophash", &hash->marks, NULL},
                                    {"keys", &hash->key, &keys},
                                    {"values", &hash->value, &values},
                                    {"overflow", &hash->overflow, NULL}};
    out->kind = SHAPE_BUCKETS;
    if (!FIND_PARTS(module, map, of_map))
        return false;
    const struct type *block = behind(module, first);
    if (!block || !FIND_PARTS(module, block, of_block))
        return false;
    const struct type *key = element_of(keys), *value = element_of(values);
    if (!key || !value)
        return false;
    hash->block = block->size;
    hash->key_step = type_plain(key)->size;
    hash->value_step = type_plain(value)->size;
    take_cells(module, type, key, value, out);
    return true;
}

/* Keys and values side by side in slots, or (GOEXPERIMENT=mapsplitgroup) in arrays of their own. */
static bool group(struct module *module, const struct type *block, struct hash_shape *hash,
                  const struct type **key, const struct type **value) {
    const struct type *slots = NULL, *keys, *values;
    uint64_t first, key_at, value_at;
    const struct part split[] = {{"keys", &hash->key, &keys}, {"elems", &hash->value, &values}};
    if (!lang_follow(module, block, "ctrl", &hash->marks, &slots))
        return false;
    hash->block = block->size;
    if (FIND_PARTS(module, block, split)) {
        *key = element_of(keys);
        *value = element_of(values);
        hash->key_step = *key ? type_plain(*key)->size : 0;
        hash->value_step = *value ? type_plain(*value)->size : 0;
        return *key && *value;
    }
    const struct type *slot =
        lang_follow(module, block, "slots", &first, &slots) ? element_of(slots) : NULL;
    const struct part of_slot[] = {{"key", &key_at, key}, {"elem", &value_at, value}};
    if (!slot || !FIND_PARTS(module, slot, of_slot))
        return false;
    hash->key = first + key_at;
    hash->value = first + value_at;
    hash->key_step = hash->value_step = type_plain(slot)->size;
    return true;
}

static bool groups(struct module *module, const struct type *type, const struct type *map,
                   struct shape *out) {
    const struct type *directory, *first, *key, *value;
    struct hash_shape *hash = &out->hash;
    const struct part of_map[] = {{"used", &out->length, NULL},
                                  {"dirPtr", &out->data, &directory},
                                  {"dirLen", &hash->directory, NULL}};
    const struct part of_table[] = {{"groups.data", &hash->groups, &first},
                                    {"groups.lengthMask", &hash->mask, NULL}};
    out->kind = SHAPE_GROUPS;
    if (!FIND_PARTS(module, map, of_map))
        return false;
    const struct type *tables = behind(module, directory);
    const struct type *table = tables ? behind(module, tables) : NULL;
    if (!table || !FIND_PARTS(module, table, of_table))
        return false;
    const struct type *block = behind(module, first);
    if (!block || !group(module, block, hash, &key, &value))
        return false;
    take_cells(module, type, key, value, out);
    return true;
}

/* ---- channels, interfaces ---- */

static bool channel(struct module *module, const struct type *type, const struct type *inside,
                    struct shape *out) {
    const struct part parts[] = {{"qcount", &out->length, NULL},
                                 {"dataqsiz", &out->capacity, NULL},
                                 {"buf", &out->data, NULL}};
    (void)type;
    out->kind = SHAPE_CHANNEL;
    out->behind = true;
    out->element = type_basic(BASIC_POINTER);
    return FIND_PARTS(module, inside, parts);
}

static bool empty_interface(struct module *module, const struct type *type,
                            const struct type *inside, struct shape *out) {
    const struct part parts[] = {{"_type", &out->length, NULL}, {"data", &out->data, NULL}};
    (void)type;
    out->kind = SHAPE_INTERFACE;
    return FIND_PARTS(module, inside, parts);
}

static bool interface_with_methods(struct module *module, const struct type *type,
                                   const struct type *inside, struct shape *out) {
    const struct type *tab, *unwanted;
    const struct part parts[] = {{"tab", &out->length, &tab}, {"data", &out->data, NULL}};
    (void)type;
    out->kind = SHAPE_INTERFACE;
    out->by_table = true;
    if (!FIND_PARTS(module, inside, parts))
        return false;
    const struct type *table = behind(module, tab); /* its names changed with Go 1.22 */
    return table && (lang_follow(module, table, "_type", &out->node, &unwanted) ||
                     lang_follow(module, table, "Type", &out->node, &unwanted));
}

static const struct row {
    const char *name; /* what the name of the struct begins with */
    bool pointer;     /* the type is a pointer to that struct */
    bool (*fits)(struct module *module, const struct type *type, const struct type *inside,
                 struct shape *out);
} rows[] = {
    {"map<", true, groups},
    {"hash<", true, buckets},
    {"hchan<", true, channel},
    {"runtime.eface", false, empty_interface},
    {"runtime.iface", false, interface_with_methods},
};

bool lang_go_shape(struct module *module, const struct type *type, struct shape *out) {
    const struct type *plain = type_plain(type);
    bool pointer = plain->kind == TYPE_POINTER;
    const struct type *inside = pointer ? type_plain(plain->target) : plain;
    for (size_t i = 0; inside->unit_go && inside->name && i < sizeof rows / sizeof *rows; i++) {
        *out = (struct shape){0};
        if (rows[i].pointer == pointer &&
            !strncmp(inside->name, rows[i].name, strlen(rows[i].name)))
            return rows[i].fits(module, type, inside, out);
    }
    return false;
}
