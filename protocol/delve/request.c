#include "delve/request.h"

#include <inttypes.h>
#include <stdlib.h>

static const struct {
    const char *name;
    bool while_running;
} methods[DELVE_METHODS] = {
    [DELVE_SET_API_VERSION] = {"SetApiVersion", true},
    [DELVE_GET_VERSION] = {"GetVersion", true},
    [DELVE_IS_MULTICLIENT] = {"IsMulticlient", true},
    [DELVE_IS_ATTACHED] = {"AttachedToExistingProcess", true},
    [DELVE_STATE] = {"State", true}, /* with NonBlocking, which is the only way we ask */
    [DELVE_COMMAND] = {"Command", false},
    [DELVE_HALT] = {"Command", true},
    [DELVE_LIST_BREAKPOINTS] = {"ListBreakpoints", false},
    [DELVE_FIND_LOCATION] = {"FindLocation", false},
    [DELVE_RETURN_LOCATIONS] = {"FunctionReturnLocations", false},
    [DELVE_DISASSEMBLE] = {"Disassemble", false},
    [DELVE_CREATE_BREAKPOINT] = {"CreateBreakpoint", false},
    [DELVE_CREATE_WATCHPOINT] = {"CreateWatchpoint", false},
    [DELVE_AMEND_BREAKPOINT] = {"AmendBreakpoint", false},
    [DELVE_CLEAR_BREAKPOINT] = {"ClearBreakpoint", false},
    [DELVE_EVAL] = {"Eval", false},
    [DELVE_EXAMINE_MEMORY] = {"ExamineMemory", false},
    [DELVE_STACKTRACE] = {"Stacktrace", false},
    [DELVE_LIST_ARGS] = {"ListFunctionArgs", false},
    [DELVE_LIST_LOCALS] = {"ListLocalVars", false},
    [DELVE_LIST_GOROUTINES] = {"ListGoroutines", false},
    [DELVE_LIST_THREADS] = {"ListThreads", false},
    [DELVE_LIST_REGISTERS] = {"ListRegisters", false},
    [DELVE_LIST_FUNCTIONS] = {"ListFunctions", false},
    [DELVE_LIST_SOURCES] = {"ListSources", false},
    [DELVE_LIST_TYPES] = {"ListTypes", false},
    [DELVE_LIST_PACKAGE_VARS] = {"ListPackageVars", false},
    [DELVE_FOLLOW_EXEC_ENABLED] = {"FollowExecEnabled", false},
    [DELVE_DETACH] = {"Detach", false},
};

const char *delve_method_name(enum delve_method method) {
    return methods[method].name;
}

bool delve_while_running(enum delve_method method) {
    return methods[method].while_running;
}

void delve_request_text(struct buffer *out, enum delve_method method, uint64_t id,
                        const char *params) {
    buffer_printf(out, "{\"method\":\"RPCServer.%s\",\"params\":[%s],\"id\":%" PRIu64 "}\n",
                  methods[method].name, params, id);
}

void delve_request(struct buffer *out, enum delve_method method, uint64_t id, json_t *params) {
    char *text = params ? json_dumps(params, JSON_COMPACT) : NULL;
    delve_request_text(out, method, id, text ? text : "{}");
    if (params && !text)
        out->failed = true;
    free(text);
    json_decref(params);
}

json_t *delve_load_config(const struct delve_load *load) {
    return json_pack("{s:b,s:i,s:i,s:i,s:i}", "FollowPointers", 1, "MaxVariableRecurse",
                     (int)load->depth, "MaxStringLen", (int)load->string, "MaxArrayValues",
                     (int)load->items, "MaxStructFields", -1);
}

json_t *delve_scope(int64_t goroutine, int frame) {
    return json_pack("{s:I,s:i}", "GoroutineID", (json_int_t)goroutine, "Frame", frame);
}
