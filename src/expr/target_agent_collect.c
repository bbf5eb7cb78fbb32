/* What showing a value will read, collected on the target: the same walk as target_show.c's, of
 * those types whose walk does not depend on what is found on the way. */
#include "expr/target_agent_parts.h"

#define COLLECT_MAX 4096 /* bytes of one range */
#define NESTING 8
#define PAGE 4096

struct collector {
    struct agent_compiler *c;
    const struct show_limits *limits;
    struct module *module;
    shape_fn *shape;
};

static bool collect(struct collector *k, const struct type *type, bool wild, unsigned depth,
                    int nesting);

/* Nothing in it is followed. */
static bool is_flat(struct collector *k, const struct type *type, int nesting) {
    const struct type *plain = type_complete(k->module, type_plain(type));
    struct shape shape;
    if (nesting > NESTING)
        return false;
    if (plain->kind == TYPE_ARRAY)
        return plain->has_count && is_flat(k, plain->target, nesting + 1);
    if (!type_is_composite(plain))
        return type_is_number(plain);
    if (plain->declaration || !plain->size || (k->shape && k->shape(k->module, plain, &shape)))
        return false;
    for (size_t i = 0; i < plain->member_count; i++)
        if (plain->members[i].virtual_base || plain->members[i].location ||
            (!plain->members[i].artificial && !is_flat(k, plain->members[i].type, nesting + 1)))
            return false;
    return true;
}

/* Drops the address that is on top. */
static bool drop(struct collector *k) {
    agent_op(k->c->agent, AGENT_POP);
    k->c->now.depth--;
    return true;
}

static bool collect_range(struct collector *k, bool wild, uint64_t size) {
    if (!size || size > COLLECT_MAX)
        return agent_fail(k->c, "it is too large to be collected");
    return agent_will_read(k->c, wild, size) && drop(k);
}

/* Up to a NUL, `most` bytes, but not over the end of the page. The address stays. */
static void collect_in_page(struct agent *agent, uint64_t most) {
    agent_op(agent, AGENT_DUP);
    agent_op(agent, AGENT_DUP);
    agent_constant(agent, PAGE - 1);
    agent_op(agent, AGENT_BIT_AND);
    agent_constant(agent, PAGE);
    agent_op(agent, AGENT_SWAP);
    agent_op(agent, AGENT_SUB); /* address, address, bytes to the page's end */
    agent_op(agent, AGENT_DUP);
    agent_constant(agent, most);
    agent_op(agent, AGENT_LESS_UNSIGNED);
    size_t crosses = agent_jump(agent, AGENT_IF_GOTO);
    agent_op(agent, AGENT_POP);
    agent_constant(agent, most);
    agent_land(agent, crosses);
    agent_op(agent, AGENT_TRACENZ);
}

/* One character more than is shown: whether it ends there. What lies in the next page is wanted
 * only where the text does not end before; if that page is not there, nothing of it is collected: a
 * stub may collect what it cannot read as if it could. */
static bool collect_string(struct collector *k) {
    struct agent *agent = k->c->agent;
    uint64_t most = (uint64_t)k->limits->string + 1;
    if (most > PAGE)
        return agent_fail(k->c, "so long texts are not collected");
    if (!agent_guard(k->c))
        return false;
    collect_in_page(agent, most);
    agent_op(agent, AGENT_DUP);
    agent_constant(agent, PAGE - 1);
    agent_op(agent, AGENT_BIT_AND);
    agent_constant(agent, PAGE - most);
    agent_op(agent, AGENT_SWAP);
    agent_op(agent, AGENT_LESS_UNSIGNED); /* does it cross? */
    agent_op(agent, AGENT_LOG_NOT);
    size_t over = agent_jump(agent, AGENT_IF_GOTO);
    agent_constant(agent, ~(uint64_t)(PAGE - 1));
    agent_op(agent, AGENT_BIT_AND);
    agent_constant(agent, PAGE);
    agent_op(agent, AGENT_ADD); /* the next page, instead of the address */
    if (!agent_guard(k->c))
        return false;
    agent_op(agent, AGENT_DUP);
    agent_constant(agent, most);
    agent_op(agent, AGENT_TRACENZ);
    agent_land(agent, over);
    return drop(k);
}

/* The pointer's value is on top: what it points to, unless it is null. */
static bool collect_behind(struct collector *k, const struct type *plain, unsigned depth,
                           int nesting) {
    const struct type *target = type_complete(k->module, type_plain(plain->target));
    bool composite =
        type_is_composite(target) || target->kind == TYPE_ARRAY || target->kind == TYPE_POINTER;
    bool deep = depth > k->limits->depth || (composite && depth + 1 > k->limits->depth);
    bool text = type_is_text(target) && !plain->unit_go;
    if (target->kind == TYPE_FUNCTION || target->kind == TYPE_VOID || (deep && !text) ||
        (type_is_composite(target) && target->declaration && !target->member_count))
        return drop(k);
    if (text && target->size != 1)
        return agent_fail(k->c, "wide texts are not collected");
    struct agent *agent = k->c->agent;
    agent_op(agent, AGENT_DUP);
    agent_op(agent, AGENT_LOG_NOT);
    size_t null = agent_jump(agent, AGENT_IF_GOTO);
    if (!(text ? collect_string(k) : collect(k, plain->target, true, depth + 1, nesting + 1)))
        return false;
    size_t over = agent_jump(agent, AGENT_GOTO);
    agent_land(agent, null);
    agent_op(agent, AGENT_POP);
    agent_land(agent, over);
    return true;
}

/* The address of one is on top, and is taken off. */
static bool collect(struct collector *k, const struct type *type, bool wild, unsigned depth,
                    int nesting) {
    const struct type *plain = type_complete(k->module, type_plain(type));
    if (nesting > NESTING)
        return agent_fail(k->c, "it is too deep");
    if (plain->kind == TYPE_POINTER) {
        if (!agent_will_read(k->c, wild, 8))
            return false;
        agent_ref(k->c->agent, 8);
        return collect_behind(k, plain, depth, nesting);
    }
    if (!is_flat(k, plain, 0))
        return agent_fail(k->c, "pointers in structs, and what has a length, are not collected");
    return collect_range(k, wild, plain->size);
}

static bool collect_shown(struct collector *k, enum show_as as) {
    struct agent_entry *top = agent_top(k->c);
    const struct type *plain = type_plain(top->type);
    bool address = as == SHOW_AS_ADDR || as == SHOW_AS_HEX;
    if (!address && as != SHOW_AS_IS)
        return agent_fail(k->c, "\"as: text\" and \"as: bytes\" are not collected");
    if (top->bit_size || (address && plain->kind == TYPE_POINTER))
        return agent_load(k->c) && drop(k);
    if (top->place)
        return collect(k, plain, top->wild, 0, 0);
    if (plain->kind == TYPE_POINTER && !address)
        return collect_behind(k, plain, 0, 0);
    return drop(k);
}

bool target_agent_collect(const struct target_expr *expr, const struct agent_site *site,
                          const struct show_limits *limits, enum show_as as, struct agent *agent,
                          const char **why) {
    static struct agent_compiler c; /* large; one thread compiles */
    struct loaded *loaded = space_at(site->space, site->pc);
    c = (struct agent_compiler){.agent = agent, .site = site, .collects = true, .reached = true};
    struct collector k = {.c = &c, .limits = limits, .shape = site->shape};
    k.module = loaded ? loaded->module : site->space->list[0].module;
    bool fine = agent_compile(&c, expr) && collect_shown(&k, as);
    size_t over = fine && c.undecided_count ? agent_jump(agent, AGENT_GOTO) : 0;
    for (size_t i = 0; fine && i < c.undecided_count; i++) { /* back to an empty stack */
        agent_land(agent, c.undecided[i]);
        for (size_t depth = c.undecided_depth[i]; depth; depth--)
            agent_op(agent, AGENT_POP);
        if (i + 1 < c.undecided_count)
            c.undecided[i] = agent_jump(agent, AGENT_GOTO);
    }
    for (size_t i = 0; fine && i + 1 < c.undecided_count; i++)
        agent_land(agent, c.undecided[i]);
    if (over)
        agent_land(agent, over);
    if (agent->failed)
        agent_fail(&c, "it is too long");
    *why = c.why;
    return !c.why;
}
