/* Keys of one probe that do not go together. */
#include "recipe/parse.h"

/* By then there is nothing to read, and nothing to choose from. */
static void check_exit(struct reader *reader, const struct probe *probe) {
    static const char *const fits[] = {"exit", "then", "max_hits", "emit", NULL};
    for (const struct node *at = probe->keys->first; at; at = at->next) {
        size_t i = 0;
        while (fits[i] && strcmp(fits[i], at->key->text))
            i++;
        if (!fits[i])
            source_error(reader->source, at->key->mark,
                         "%s: an exit is told with its status or signal alone; leave \"%s\" out",
                         reader->where, at->key->text);
    }
}

void probe_combines(struct reader *reader, const struct node *node, const struct probe *probe) {
    if (!probe->trigger)
        source_error(
            reader->source, node->key->mark,
            "%s has no trigger: one of at, call, return_of, watch, timer, signal, panic, exit, "
            "syscall",
            reader->where);
    if (probe->return_count && !probe_pairs(probe))
        source_error(reader->source, probe_key_mark(probe, "at_return"),
                     "%s: at_return goes with \"call\" and \"syscall\"; elsewhere use \"capture\"",
                     reader->where);
    if (probe->trigger == TRIGGER_SYSCALL && (probe->args || probe->locals))
        source_error(reader->source, probe_key_mark(probe, probe->args ? "args" : "locals"),
                     "%s: a system call has no variables: capture arg0 to arg5", reader->where);
    for (size_t i = 0; i < probe->return_count; i++)
        for (size_t k = 0; k < probe->capture_count; k++)
            if (!strcmp(probe->at_return[i].name, probe->captures[k].name))
                source_error(reader->source, probe->at_return[i].mark,
                             "%s: \"%s\" is captured at the entry, too: give one another name",
                             reader->where, probe->at_return[i].name);
    if (probe->every_ns && probe->trigger == TRIGGER_TIMER)
        source_error(reader->source, probe_key_mark(probe, "every"),
                     "%s: a timer has its own interval; leave \"every\" out", reader->where);
    if (probe->trigger == TRIGGER_EXIT)
        check_exit(reader, probe);
}
