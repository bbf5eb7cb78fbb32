#include "arch/arch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const struct arch arch_x86_64, arch_aarch64, arch_riscv64, arch_arm;

static const struct arch *const all[] = {&arch_x86_64, &arch_aarch64, &arch_riscv64, &arch_arm};
#define COUNT (sizeof all / sizeof *all)

const struct arch *arch_of_machine(unsigned e_machine) {
    for (size_t i = 0; i < COUNT; i++)
        if (all[i]->machine == e_machine)
            return all[i];
    return NULL;
}

const struct arch *arch_named(const char *name) {
    for (size_t i = 0; i < COUNT; i++)
        if (!strcmp(all[i]->name, name))
            return all[i];
    return NULL;
}

static bool in_range(const struct arch_range *range, const char *name, struct arch_register *out) {
    size_t n = strlen(range->prefix);
    unsigned long i = 0;
    if (strncmp(name, range->prefix, n))
        return false;
    if (range->count > 1) {
        char *end;
        if (name[n] < '0' || name[n] > '9' || (name[n] == '0' && name[n + 1]))
            return false;
        i = strtoul(name + n, &end, 10);
        n = (size_t)(end - name);
    }
    if (name[n] || i >= range->count)
        return false;
    *out = (struct arch_register){range->prefix, (uint16_t)(range->dwarf + i),
                                  (uint8_t)(range->slot + i), range->size, range->class};
    return true;
}

bool arch_register_named(const struct arch *arch, const char *name, struct arch_register *out) {
    for (size_t i = 0; i < arch->alias_count; i++)
        if (!strcmp(arch->aliases[i].name, name)) {
            *out = arch->aliases[i];
            return true;
        }
    for (size_t i = 0; i < arch->range_count; i++)
        if (in_range(&arch->ranges[i], name, out))
            return true;
    return false;
}

bool arch_register_of_dwarf(const struct arch *arch, uint64_t dwarf, struct arch_register *out) {
    for (size_t i = 0; i < arch->range_count; i++) {
        const struct arch_range *range = &arch->ranges[i];
        if (dwarf < range->dwarf || dwarf - range->dwarf >= range->count)
            continue;
        uint64_t k = dwarf - range->dwarf;
        *out = (struct arch_register){range->prefix, (uint16_t)dwarf, (uint8_t)(range->slot + k),
                                      range->size, range->class};
        return true;
    }
    return false;
}

const char *arch_register_name(const struct arch *arch, size_t i) {
    static _Thread_local char name[24];
    for (size_t k = 0; k < arch->range_count; k++) {
        const struct arch_range *range = &arch->ranges[k];
        if (i >= range->count) {
            i -= range->count;
            continue;
        }
        if (range->count == 1)
            return range->prefix;
        snprintf(name, sizeof name, "%s%zu", range->prefix, i);
        return name;
    }
    return i < arch->alias_count ? arch->aliases[i].name : NULL;
}

void registers_set_bytes(struct registers *registers, unsigned slot, const void *bytes, size_t n) {
    if (slot >= ARCH_SLOTS)
        return;
    memset(registers->bytes[slot], 0, ARCH_REGISTER);
    memcpy(registers->bytes[slot], bytes, n > ARCH_REGISTER ? ARCH_REGISTER : n);
    registers->valid[slot / 64] |= UINT64_C(1) << slot % 64;
}

void registers_set(struct registers *registers, unsigned slot, uint64_t value) {
    registers_set_bytes(registers, slot, &value, sizeof value);
}

void registers_forget(struct registers *registers, unsigned slot) {
    if (slot < ARCH_SLOTS)
        registers->valid[slot / 64] &= ~(UINT64_C(1) << slot % 64);
}

bool registers_has(const struct registers *registers, unsigned slot) {
    bool valid = slot < ARCH_SLOTS && registers->valid[slot / 64] >> slot % 64 & 1;
    if (!valid && registers->wanted)
        *registers->wanted = true;
    return valid;
}

bool registers_get(const struct registers *registers, unsigned slot, uint64_t *value) {
    if (!registers_has(registers, slot))
        return false;
    memcpy(value, registers->bytes[slot], sizeof *value);
    if (registers->arch->word == 4)
        *value = (uint32_t)*value;
    return true;
}
