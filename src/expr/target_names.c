/* Names, members and elements. */
#include "expr/target_generic.h"

#include "base/text.h"
#include <string.h>

static const struct type *step_into(struct compiler *c, const struct type *type,
                                    const struct member *const *path, int n) {
    for (int i = 0; i < n; i++) {
        bool virtual_base = path[i]->virtual_base || path[i]->location;
        struct insn *insn =
            compiler_emit(c, virtual_base ? I_VIRTUAL_BASE : I_MEMBER, path[i]->type);
        insn->member = path[i];
        insn->loaded = c->view.site->loaded ? c->view.site->loaded : c->view.site->space->list;
        type = path[i]->type;
    }
    return compiler_settle(c, type);
}

const struct type *compiler_use(struct compiler *c, const struct target_node *node,
                                const struct meaning *meaning, const char *name) {
    const struct member *path[MEMBER_PATH];
    struct insn *insn;
    switch (meaning->kind) {
    case MEANS_CONSTANT:
        insn = compiler_emit(c, I_NUMBER, meaning->type);
        insn->u = (uint64_t)meaning->value;
        return meaning->type;
    case MEANS_STATIC:
    case MEANS_FUNCTION:
        if (!meaning->type)
            return compiler_fail(
                c, node, "\"%s\" has no debug info, so its type is not known: say *(TYPE *)&%s",
                name, name);
        insn = compiler_emit(c, I_ADDRESS_OF_STATIC, meaning->type);
        insn->n = meaning->address;
        insn->loaded = meaning->loaded;
        return compiler_settle(c, meaning->type);
    default: break;
    }
    const struct type *type = generic_type(c, meaning->type);
    insn = compiler_emit(c, I_VARIABLE, type);
    insn->location = meaning->location;
    insn->constant = meaning->constant;
    insn->n = meaning->constant_size;
    insn->loaded = meaning->loaded;
    if (!meaning->location && !meaning->constant) {
        insn->text = NULL;
        c->expr->unavailable =
            c->expr->unavailable ? c->expr->unavailable : arena_strdup(&c->expr->arena, name);
    }
    if (meaning->kind != MEANS_MEMBER)
        return compiler_settle(c, type);
    const struct type *object = type_plain(type)->target;
    compiler_emit(c, I_FOLLOW, object);
    int n = type_member(c->view.module, object, name, strlen(name), path);
    return step_into(c, object, path, n);
}

static const struct type *unknown_name(struct compiler *c, const struct target_node *node,
                                       const char *name) {
    const char *near = scope_nearest(&c->view, name);
    compiler_fail(c, node, "there is no \"%s\" here%s%s%s", name, near ? " (did you mean \"" : "",
                  near ? near : "", near ? "\"?)" : "");
    error_because(c->error, REASON_NO_NAME);
    return NULL;
}

const struct type *compile_name(struct compiler *c, const struct target_node *node) {
    struct meaning meaning = scope_lookup(&c->view, node->text);
    /* Go: what escaped is a pointer on the stack, and meant is what it points to. */
    if (meaning.kind == MEANS_NOTHING)
        return unknown_name(c, node, node->text);
    const struct type *type = compiler_use(c, node, &meaning, node->text);
    const struct type *plain = type ? type_plain(type) : NULL;
    bool direct = !c->view.go || !c->view.innermost ||
                  variable_named(c->view.innermost, node->text, strlen(node->text), c->view.line);
    if (plain && !direct && meaning.kind == MEANS_VARIABLE && plain->kind == TYPE_POINTER) {
        compiler_emit(c, I_FOLLOW, plain->target);
        return plain->target;
    }
    return type;
}

/* Go writes a package's variable "pkg.name": where the left side is no variable, the whole is one
 * name. */
static bool package_name(struct compiler *c, const struct target_node *node, const char **name) {
    const struct target_node *left = &c->tree.nodes[node->args[0]];
    struct meaning probe;
    if (left->kind != TN_NAME || !c->view.go)
        return false;
    probe = scope_lookup(&c->view, left->text);
    if (probe.kind == MEANS_VARIABLE || probe.kind == MEANS_STATIC)
        return false;
    size_t n = strlen(left->text) + strlen(node->text) + 2;
    char *whole = arena_alloc(&c->expr->arena, n);
    if (!whole)
        return false;
    strcat(strcat(strcpy(whole, left->text), "."), node->text);
    *name = whole;
    return true;
}

/* ---- members and elements ---- */

struct near_member {
    const struct type *type;
};

static const char *member_name(void *ctx, size_t i) {
    const struct type *type = ((struct near_member *)ctx)->type;
    if (i >= type->member_count)
        return NULL;
    return type->members[i].name ? type->members[i].name : "";
}

static const struct type *no_member(struct compiler *c, const struct target_node *node,
                                    const struct type *type, int n) {
    if (n < 0)
        return compiler_fail(c, node,
                             "\"%s\" is a member of several base classes: name the one you mean",
                             node->text);
    struct near_member near = {type_complete(c->view.module, type_plain(type))};
    const char *word = text_nearest(node->text, member_name, &near);
    if (near.type->declaration && !near.type->member_count)
        return compiler_fail(c, node,
                             "%s is only declared in the debug info: it has no members to read",
                             compiler_type_text(c, type));
    return compiler_fail(c, node, "%s has no member \"%s\"%s%s%s", compiler_type_text(c, type),
                         node->text, word ? " (did you mean \"" : "", word ? word : "",
                         word ? "\"?)" : "");
}

/* x.shared, where `shared` is a static member of x's class: a variable of its own. */
static const struct type *static_member(struct compiler *c, const struct target_node *node,
                                        const struct type *plain) {
    struct meaning meaning = scope_static_member(&c->view, plain, node->text, 0);
    if (meaning.kind == MEANS_NOTHING)
        return NULL;
    compiler_emit(c, I_POP, NULL);
    return compiler_use(c, node, &meaning, node->text);
}

const struct type *compile_member(struct compiler *c, const struct target_node *node) {
    const struct member *path[MEMBER_PATH];
    const char *name;
    if (package_name(c, node, &name)) {
        struct meaning meaning = scope_lookup(&c->view, name);
        return meaning.kind == MEANS_NOTHING ? unknown_name(c, node, name)
                                             : compiler_use(c, node, &meaning, name);
    }
    const struct type *type = compiler_compile(c, node->args[0]);
    for (int i = 0; type && i < 8; i++) { /* gdb's users write . and -> alike */
        const struct type *plain = type_plain(type);
        const struct shape *shape = compiler_shape_of(c, type);
        const struct type *inner = plain->kind == TYPE_POINTER ? plain->target
                                   : shape && shape->kind == SHAPE_POINTER && node->op == TOP_ARROW
                                       ? shape->element
                                       : NULL;
        if (!inner)
            break;
        if (plain->kind != TYPE_POINTER)
            compiler_part(c, type_pointer_to(c->view.module, inner), shape->data);
        compiler_emit(c, I_FOLLOW, inner);
        type = inner;
    }
    if (!type)
        return NULL;
    const struct type *plain = type_plain(type);
    if (!type_is_composite(plain))
        return compiler_fail(c, node, "%s has no members", compiler_type_text(c, type));
    int n = type_member(c->view.module, type, node->text, strlen(node->text), path);
    const struct type *shared = n ? NULL : static_member(c, node, plain);
    if (shared || c->error)
        return shared;
    return n <= 0 ? no_member(c, node, type, n) : step_into(c, type, path, n);
}

static bool is_integer_node(struct compiler *c, const struct target_node *node,
                            const struct type *type) {
    if (!type || type_is_integer(type_plain(type)))
        return type;
    compiler_fail(c, node, "an index must be an integer, not %s", compiler_type_text(c, type));
    return false;
}

static const struct type *element_of(struct compiler *c, const struct target_node *node,
                                     const struct type *type, const struct shape **shape) {
    const struct type *plain = type_plain(type);
    *shape = compiler_shape_of(c, type);
    if (*shape && shape_has_order(*shape))
        return (*shape)->element;
    *shape = NULL;
    if (plain->kind == TYPE_ARRAY || plain->kind == TYPE_POINTER) {
        if (type_plain(plain->target)->kind == TYPE_VOID)
            return compiler_fail(c, node, "void has no elements: cast the pointer first");
        return plain->target;
    }
    return compiler_fail(c, node, "%s has no elements", compiler_type_text(c, type));
}

/* A tuple's elements are of several types: the index must be known before the run. */
static const struct type *compile_part(struct compiler *c, const struct target_node *node,
                                       const struct type *tuple, const struct shape *shape) {
    const struct target_node *index = &c->tree.nodes[node->args[1]];
    uint64_t at;
    if (index->kind != TN_INT)
        return compiler_fail(c, index,
                             "the elements of %s are of several types: its index must be "
                             "a plain number",
                             compiler_type_text(c, tuple));
    const struct type *part =
        sequence_element(c->view.site->shape, c->view.module, shape, index->i, &at);
    if (!part)
        return compiler_fail(c, index, "%s has %llu elements", compiler_type_text(c, tuple),
                             (unsigned long long)at);
    part = compiler_part(c, part, at);
    return part ? compiler_settle(c, part) : NULL;
}

const struct type *compile_index(struct compiler *c, const struct target_node *node) {
    const struct type *type = compiler_inside(c, compiler_compile(c, node->args[0]));
    const struct shape *shape = type ? compiler_shape_of(c, type) : NULL;
    if (shape && shape_has_entries(shape) && shape->key && !shape->repeats)
        return compile_lookup(c, node, type, shape);
    if (shape && shape->kind == SHAPE_SEQUENCE)
        return compile_part(c, node, type, shape);
    const struct type *element = type ? element_of(c, node, type, &shape) : NULL;
    const struct type *index = element ? compiler_compile(c, node->args[1]) : NULL;
    if (!is_integer_node(c, &c->tree.nodes[node->args[1]], index))
        return NULL;
    struct insn *insn = compiler_emit(c, I_INDEX, element);
    const struct type *plain = type_plain(type);
    insn->shape = shape;
    insn->n = plain->kind == TYPE_ARRAY && plain->stride
                  ? plain->stride
                  : type_complete(c->view.module, type_plain(element))->size;
    return compiler_settle(c, element);
}

const struct type *compile_slice(struct compiler *c, const struct target_node *node) {
    const struct type *type = compiler_inside(c, compiler_compile(c, node->args[0]));
    const struct shape *shape;
    const struct type *element = type ? element_of(c, node, type, &shape) : NULL;
    uint8_t bounds = 0;
    for (int i = 0; element && i < 2; i++) {
        if (node->args[1 + i] < 0)
            continue;
        const struct type *bound = compiler_compile(c, node->args[1 + i]);
        if (!is_integer_node(c, &c->tree.nodes[node->args[1 + i]], bound))
            return NULL;
        bounds |= (uint8_t)(1 << i);
    }
    if (!element || c->error)
        return NULL;
    if (shape && shape->kind != SHAPE_TEXT && shape->kind != SHAPE_LIST)
        return compiler_fail(c, node, "the elements of %s do not lie in a row",
                             compiler_type_text(c, type));
    bool endless = !(bounds & 2) && !shape && type_plain(type)->kind == TYPE_POINTER;
    if (endless)
        return compiler_fail(c, node, "a pointer has no end: say where, as in p[0:8]");
    struct insn *insn = compiler_emit(c, I_SLICE, element);
    insn->sub = bounds;
    insn->shape = shape;
    insn->n = type_complete(c->view.module, type_plain(element))->size;
    return type_array_of(c->view.module, element, 0);
}
