#include "delve/variable.h"

#include "base/text.h"
#include "delve/scan.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Go's reflect.Kind, as Delve sends it. */
enum kind {
    K_INVALID,
    K_BOOL,
    K_INT,
    K_INT64 = 6,
    K_UINT = 7,
    K_UINTPTR = 12,
    K_FLOAT32,
    K_FLOAT64,
    K_COMPLEX64,
    K_COMPLEX128,
    K_ARRAY,
    K_CHAN,
    K_FUNC,
    K_INTERFACE,
    K_MAP,
    K_POINTER,
    K_SLICE,
    K_STRING,
    K_STRUCT,
    K_UNSAFE_POINTER,
    K_COUNT
};

static value_ref convert(struct delve_reader *r, const json_t *v, unsigned depth);

static const char *text_of(const json_t *v, const char *key) {
    return delve_text(json_object_get(v, key));
}

static uint64_t uint_of(const json_t *v, const char *key) {
    return delve_uint(json_object_get(v, key));
}

static const json_t *child_of(const json_t *v, size_t i) {
    return json_array_get(json_object_get(v, "children"), i);
}

static size_t child_count(const json_t *v) {
    return json_array_size(json_object_get(v, "children"));
}

static enum kind kind_of(const json_t *v) {
    int64_t kind = delve_int(json_object_get(v, "kind"));
    return kind < 0 || kind >= K_COUNT ? K_INVALID : (enum kind)kind;
}

static bool is_composite(enum kind kind) {
    return kind == K_ARRAY || kind == K_INTERFACE || kind == K_MAP || kind == K_POINTER ||
           kind == K_SLICE || kind == K_STRUCT;
}

/* A constant's value comes as "main.Red (0)": the number is in the last parentheses. */
static const char *number_text(const json_t *v) {
    const char *text = text_of(v, "value"), *open = strrchr(text, '(');
    return open && text[strlen(text) - 1] == ')' ? open + 1 : text;
}

static value_ref convert_bool(struct delve_reader *r, const json_t *v, unsigned depth) {
    (void)depth;
    return value_bool(r->into, strncmp(number_text(v), "true", 4) == 0 ||
                                   strstr(text_of(v, "value"), "(true)") != NULL);
}

static value_ref hex(struct delve_reader *r, uint64_t number) {
    char text[24];
    snprintf(text, sizeof text, "0x%" PRIx64, number);
    return value_string(r->into, text, strlen(text));
}

static value_ref convert_int(struct delve_reader *r, const json_t *v, unsigned depth) {
    (void)depth;
    int64_t number = strtoll(number_text(v), NULL, 10);
    return r->as == DELVE_AS_HEX ? hex(r, (uint64_t)number) : value_int(r->into, number);
}

static value_ref convert_uint(struct delve_reader *r, const json_t *v, unsigned depth) {
    (void)depth;
    uint64_t number = strtoull(number_text(v), NULL, 10);
    return r->as == DELVE_AS_HEX ? hex(r, number) : value_uint(r->into, number);
}

static value_ref convert_float(struct delve_reader *r, const json_t *v, unsigned depth) {
    (void)depth;
    return value_float(r->into, strtod(number_text(v), NULL));
}

static value_ref convert_complex(struct delve_reader *r, const json_t *v, unsigned depth) {
    (void)depth;
    if (!strcmp(text_of(v, "value"), "unknown")) /* its parts come as 0 */
        return value_error(r->into,
                           "Delve does not show complex numbers with NaN or infinite parts");
    double re = strtod(text_of(child_of(v, 0), "value"), NULL);
    double im = strtod(text_of(child_of(v, 1), "value"), NULL);
    value_ref ref = value_new(r->into, VALUE_COMPLEX);
    if (ref) {
        value_get(r->into, ref)->complex.re = re;
        value_get(r->into, ref)->complex.im = im;
    }
    return ref;
}

/* Reads [address, +length) or notes that it is wanted. NULL with *error where it cannot be read. */
static const char *memory(struct delve_reader *r, uint64_t address, uint64_t length,
                          const char **error) {
    struct delve_memory range = {address, (uint32_t)length};
    const char *bytes = NULL;
    *error = NULL;
    if (r->final)
        bytes = r->memory(r->ctx, range, error);
    if (bytes || *error)
        return bytes;
    r->failed = true;
    if (r->wanted_count < sizeof r->wanted / sizeof *r->wanted)
        r->wanted[r->wanted_count++] = range;
    return NULL;
}

static value_ref text_value(struct delve_reader *r, const char *bytes, size_t n, uint64_t of) {
    if (n > r->load.string)
        n = r->load.string;
    if (n < of)
        n = text_whole(bytes, n);
    value_ref ref = r->as == DELVE_AS_BYTES ? value_texted(r->into, VALUE_BYTES, bytes, n)
                                            : value_string(r->into, bytes, n);
    if (n < of)
        value_truncate(r->into, ref, of);
    return ref;
}

static value_ref raw_text(struct delve_reader *r, const json_t *v, uint64_t of) {
    uint64_t n = of < r->load.string ? of : r->load.string;
    const char *error, *bytes = memory(r, uint_of(v, "base"), n, &error);
    if (bytes)
        return text_value(r, bytes, n, of);
    return value_error(r->into, "%s", error ? error : "not read");
}

/* Not this value's fault alone: what is built here is incomplete. */
static value_ref no_memory(struct delve_reader *r) {
    r->into->failed = true;
    return 0;
}

static value_ref convert_string(struct delve_reader *r, const json_t *v, unsigned depth) {
    (void)depth;
    const json_t *text = json_object_get(v, "value"), *raw = json_object_get(v, "StringValueBytes");
    uint64_t of = uint_of(v, "len");
    const char *bytes = delve_text(text);
    size_t n = json_string_length(text);
    char *decoded = NULL;
    if (json_is_string(raw) && json_string_length(raw)) {
        decoded = strdup(json_string_value(raw));
        n = json_string_length(raw);
        if (!decoded || !text_unbase64(decoded, &n)) {
            bool broken = decoded != NULL;
            free(decoded);
            return broken ? value_error(r->into, "the server sent a broken string") : no_memory(r);
        }
        bytes = decoded;
    } else if (!raw && of && uint_of(v, "base") && memmem(bytes, n, "\xef\xbf\xbd", 3)) {
        if (r->final)
            return raw_text(r, v, of);
        r->incomplete = true;
    }
    if (n > of)
        of = n; /* constants come without a length */
    if (n < of && n < r->load.string && !r->final)
        r->incomplete = true;
    value_ref ref = text_value(r, bytes, n, of);
    free(decoded);
    return ref;
}

static bool is_bytes(const json_t *v) {
    const char *type = text_of(v, "realType"), *element = strchr(type, ']');
    const json_t *first = child_of(v, 0);
    /* Delve has one kind, Uint, for all widths: the type tells. */
    return first ? !strcmp(text_of(first, "realType"), "uint8")
                 : element && (!strcmp(element, "]uint8") || !strcmp(element, "]byte"));
}

static value_ref bytes_value(struct delve_reader *r, const char *bytes, uint64_t n, uint64_t of) {
    if (r->as == DELVE_AS_TEXT && n < of)
        n = text_whole(bytes, n);
    value_ref ref = r->as == DELVE_AS_TEXT ? value_string(r->into, bytes, n)
                                           : value_texted(r->into, VALUE_BYTES, bytes, n);
    if (n < of)
        value_truncate(r->into, ref, of);
    return ref;
}

static value_ref convert_bytes(struct delve_reader *r, const json_t *v, uint64_t len) {
    uint64_t n = len < r->load.bytes ? len : r->load.bytes;
    const json_t *children = json_object_get(v, "children");
    if (json_array_size(children) >= n) {
        for (uint64_t i = 0; i < n; i++)
            if (*text_of(json_array_get(children, i), "unreadable"))
                return value_error(r->into, "%s",
                                   text_of(json_array_get(children, i), "unreadable"));
        char *bytes = malloc(n + 1);
        for (uint64_t i = 0; bytes && i < n; i++)
            bytes[i] = (char)strtol(number_text(json_array_get(children, i)), NULL, 10);
        value_ref ref = bytes ? bytes_value(r, bytes, n, len) : no_memory(r);
        free(bytes);
        return ref;
    }
    if (!r->final) {
        r->incomplete = true;
        return value_new(r->into, VALUE_NULL);
    }
    uint64_t base = kind_of(v) == K_ARRAY ? uint_of(v, "addr") : uint_of(v, "base");
    const char *error, *bytes = memory(r, base, n, &error);
    return bytes ? bytes_value(r, bytes, n, len)
                 : value_error(r->into, "%s", error ? error : "not read");
}

/* The composite that is not shown any more because it lies too deep. */
static value_ref cut(struct delve_reader *r, enum value_kind kind, uint64_t of) {
    value_ref ref = value_new(r->into, kind);
    if (of)
        value_truncate(r->into, ref, of);
    return ref;
}

static value_ref convert_list(struct delve_reader *r, const json_t *v, unsigned depth) {
    uint64_t len = uint_of(v, "len");
    if (kind_of(v) == K_SLICE && !uint_of(v, "base") && !len)
        return value_new(r->into, VALUE_NULL);
    if (is_bytes(v))
        return convert_bytes(r, v, len);
    if (depth > r->load.depth)
        return cut(r, VALUE_LIST, len);
    size_t n = child_count(v), most = r->load.items;
    if (n < len && n < most && !r->final)
        r->incomplete = true;
    value_ref list = value_new(r->into, VALUE_LIST);
    size_t shown = n < most ? n : most;
    for (size_t i = 0; i < shown && !r->into->failed; i++)
        value_append(r->into, list, convert(r, child_of(v, i), depth + 1));
    if (shown < len)
        value_truncate(r->into, list, len);
    return list;
}

static value_ref convert_struct(struct delve_reader *r, const json_t *v, unsigned depth) {
    uint64_t len = uint_of(v, "len");
    if (depth > r->load.depth)
        return cut(r, VALUE_OBJECT, len);
    size_t n = child_count(v);
    if (n < len && !r->final)
        r->incomplete = true;
    value_ref object = value_new(r->into, VALUE_OBJECT);
    for (size_t i = 0; i < n && !r->into->failed; i++) {
        const json_t *child = child_of(v, i);
        value_set(r->into, object, text_of(child, "name"), convert(r, child, depth + 1));
    }
    if (n < len)
        value_truncate(r->into, object, len);
    return object;
}

/* Only whole, valid UTF-8 keys without a leading '$' make an object. */
static bool has_plain_keys(const json_t *v, size_t entries) {
    for (size_t i = 0; i < entries; i++) {
        const json_t *key = child_of(v, 2 * i);
        const char *text = text_of(key, "value");
        if (kind_of(key) != K_STRING || *text == '$' || *text_of(key, "unreadable") ||
            json_string_length(json_object_get(key, "StringValueBytes")) ||
            json_string_length(json_object_get(key, "value")) < uint_of(key, "len"))
            return false;
    }
    return true;
}

static value_ref convert_map(struct delve_reader *r, const json_t *v, unsigned depth) {
    uint64_t len = uint_of(v, "len");
    if (!uint_of(v, "base"))
        return value_new(r->into, VALUE_NULL);
    bool strings = !strncmp(text_of(v, "realType"), "map[string]", 11);
    if (depth > r->load.depth)
        return cut(r, strings ? VALUE_OBJECT : VALUE_PAIRS, len);
    size_t n = child_count(v) / 2, most = r->load.items;
    if (n < len && n < most && !r->final)
        r->incomplete = true;
    size_t shown = n < most ? n : most;
    bool plain = shown ? has_plain_keys(v, shown) : strings;
    value_ref map = value_new(r->into, plain ? VALUE_OBJECT : VALUE_PAIRS);
    for (size_t i = 0; i < shown && !r->into->failed; i++) {
        const json_t *key = child_of(v, 2 * i);
        if (!plain)
            value_append(r->into, map, convert(r, key, depth + 1));
        value_ref value = convert(r, child_of(v, 2 * i + 1), depth + 1);
        if (plain)
            value_set_n(r->into, map, text_of(key, "value"),
                        json_string_length(json_object_get(key, "value")), value);
        else
            value_append(r->into, map, value);
    }
    if (shown < len)
        value_truncate(r->into, map, len);
    return map;
}

static value_ref convert_pointer(struct delve_reader *r, const json_t *v, unsigned depth) {
    const json_t *target = child_of(v, 0);
    uint64_t address = target ? uint_of(target, "addr") : strtoull(text_of(v, "value"), NULL, 0);
    if (!address && !(target && *text_of(target, "unreadable")))
        return value_new(r->into, VALUE_NULL);
    bool unread = !target || json_is_true(json_object_get(target, "onlyAddr"));
    bool deep = depth > r->load.depth ||
                (target && is_composite(kind_of(target)) && depth + 1 > r->load.depth);
    if (r->as == DELVE_AS_HEX || r->as == DELVE_AS_ADDR)
        return value_address(r->into, VALUE_PTR, address);
    if (unread && !deep && !r->final)
        r->incomplete = true;
    if (deep || unread)
        return value_address(r->into, VALUE_PTR, address);
    return convert(r, target, depth + 1);
}

static value_ref convert_interface(struct delve_reader *r, const json_t *v, unsigned depth) {
    const json_t *held = child_of(v, 0);
    if (!held || kind_of(held) == K_INVALID)
        return *text_of(held, "unreadable")
                   ? value_error(r->into, "%s", text_of(held, "unreadable"))
                   : value_new(r->into, VALUE_NULL);
    bool unread = json_is_true(json_object_get(held, "onlyAddr"));
    bool deep = depth > r->load.depth || (is_composite(kind_of(held)) && depth + 1 > r->load.depth);
    if (unread && !deep && !r->final)
        r->incomplete = true;
    if (deep || unread)
        return value_address(r->into, VALUE_PTR, uint_of(held, "addr"));
    return convert(r, held, depth + 1);
}

static value_ref convert_func(struct delve_reader *r, const json_t *v, unsigned depth) {
    (void)depth;
    const char *name = text_of(v, "value");
    if (!uint_of(v, "base") && (!*name || !strcmp(name, "nil")))
        return value_new(r->into, VALUE_NULL);
    return value_texted(r->into, VALUE_FUNC, name, strlen(name));
}

static value_ref convert_chan(struct delve_reader *r, const json_t *v, unsigned depth) {
    (void)depth;
    uint64_t address = uint_of(v, "base");
    return address ? value_address(r->into, VALUE_CHAN, address) : value_new(r->into, VALUE_NULL);
}

static value_ref convert_unsafe(struct delve_reader *r, const json_t *v, unsigned depth) {
    (void)depth;
    const json_t *target = child_of(v, 0);
    uint64_t address = target ? uint_of(target, "addr") : strtoull(text_of(v, "value"), NULL, 0);
    return address ? value_address(r->into, VALUE_PTR, address) : value_new(r->into, VALUE_NULL);
}

static value_ref convert_invalid(struct delve_reader *r, const json_t *v, unsigned depth) {
    (void)depth;
    const char *text = text_of(v, "value");
    return !*text || !strcmp(text, "nil")
               ? value_new(r->into, VALUE_NULL)
               : value_error(r->into, "a value of unknown kind: %s", text);
}

typedef value_ref converter(struct delve_reader *r, const json_t *v, unsigned depth);

static converter *const converters[K_COUNT] = {
    [K_INVALID] = convert_invalid,
    [K_BOOL] = convert_bool,
    [K_INT... K_INT64] = convert_int,
    [K_UINT... K_UINTPTR] = convert_uint,
    [K_FLOAT32... K_FLOAT64] = convert_float,
    [K_COMPLEX64... K_COMPLEX128] = convert_complex,
    [K_ARRAY] = convert_list,
    [K_CHAN] = convert_chan,
    [K_FUNC] = convert_func,
    [K_INTERFACE] = convert_interface,
    [K_MAP] = convert_map,
    [K_POINTER] = convert_pointer,
    [K_SLICE] = convert_list,
    [K_STRING] = convert_string,
    [K_STRUCT] = convert_struct,
    [K_UNSAFE_POINTER] = convert_unsafe,
};

/* Delve's words for a value that the compiler has not kept are about its own innards. */
static value_ref unreadable(struct delve_reader *r, const char *why) {
    bool optimized = strstr(why, "empty OP stack") || strstr(why, "could not find loclist entry");
    return optimized ? value_error(r->into, "optimized out here (Delve: %s)", why)
                     : value_error(r->into, "%s", why);
}

/* Recursion is bounded by load.depth: every composite checks it before it descends. */
static value_ref convert(struct delve_reader *r, const json_t *v, unsigned depth) {
    const char *why = text_of(v, "unreadable");
    if (*why)
        return unreadable(r, why);
    if (delve_int(json_object_get(v, "len")) < 0)
        return value_error(r->into, "the server says its length is negative");
    return converters[kind_of(v)](r, v, depth);
}

value_ref delve_value(struct delve_reader *reader, const json_t *variable) {
    reader->incomplete = reader->failed = false;
    reader->wanted_count = 0;
    if (reader->as == DELVE_AS_ADDR && kind_of(variable) != K_POINTER &&
        !*text_of(variable, "unreadable"))
        return value_address(reader->into, VALUE_PTR, uint_of(variable, "addr"));
    return convert(reader, variable, 0);
}

/* Without escapes, its length is that of the text. U+FFFD may stand for bytes that are no UTF-8. */
static bool is_whole_text(struct span text, struct span raw, uint64_t len) {
    return span_is_null(raw) && *text.at == '"' && text.len - 2 >= len &&
           !memchr(text.at, '\\', text.len) && !memmem(text.at, text.len, "\xef\xbf\xbd", 3);
}

bool delve_is_whole(struct span variable) {
    static const char *const names[] = {"kind", "value", "len", "unreadable", "StringValueBytes"};
    struct span s[sizeof names / sizeof *names];
    if (!span_members(variable, names, s, sizeof names / sizeof *names) || !s[0].at || !s[1].at)
        return false;
    int64_t kind = span_int(s[0]);
    bool unreadable = s[3].len > 2 && *s[3].at == '"' && s[3].at[1] != '\\';
    if (unreadable || (kind >= K_BOOL && kind <= K_FLOAT64))
        return true;
    return kind == K_STRING && is_whole_text(s[1], s[4], span_uint(s[2]));
}
