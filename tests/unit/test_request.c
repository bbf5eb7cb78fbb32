#include "delve/request.h"
#include "unit.h"

/* What Delve takes while a Command is running (docs of its wire): everything else wedges the
 * connection. */
static const struct {
    enum delve_method method;
    const char *name;
    bool while_running;
} methods[] = {
    {DELVE_SET_API_VERSION, "SetApiVersion", true},
    {DELVE_GET_VERSION, "GetVersion", true},
    {DELVE_IS_MULTICLIENT, "IsMulticlient", true},
    {DELVE_STATE, "State", true},
    {DELVE_HALT, "Command", true},
    {DELVE_COMMAND, "Command", false},
    {DELVE_LIST_BREAKPOINTS, "ListBreakpoints", false},
    {DELVE_FIND_LOCATION, "FindLocation", false},
    {DELVE_RETURN_LOCATIONS, "FunctionReturnLocations", false},
    {DELVE_CREATE_BREAKPOINT, "CreateBreakpoint", false},
    {DELVE_CREATE_WATCHPOINT, "CreateWatchpoint", false},
    {DELVE_AMEND_BREAKPOINT, "AmendBreakpoint", false},
    {DELVE_CLEAR_BREAKPOINT, "ClearBreakpoint", false},
    {DELVE_EVAL, "Eval", false},
    {DELVE_EXAMINE_MEMORY, "ExamineMemory", false},
    {DELVE_STACKTRACE, "Stacktrace", false},
    {DELVE_LIST_ARGS, "ListFunctionArgs", false},
    {DELVE_LIST_LOCALS, "ListLocalVars", false},
    {DELVE_LIST_GOROUTINES, "ListGoroutines", false},
    {DELVE_LIST_THREADS, "ListThreads", false},
    {DELVE_LIST_REGISTERS, "ListRegisters", false},
    {DELVE_LIST_FUNCTIONS, "ListFunctions", false},
    {DELVE_LIST_SOURCES, "ListSources", false},
    {DELVE_LIST_TYPES, "ListTypes", false},
    {DELVE_LIST_PACKAGE_VARS, "ListPackageVars", false},
    {DELVE_FOLLOW_EXEC_ENABLED, "FollowExecEnabled", false},
    {DELVE_DETACH, "Detach", false},
};

Test(request, only_what_is_safe_goes_out_while_running) {
    for (size_t i = 0; i < COUNT(methods); i++) {
        SHOULD_BE(delve_method_name(methods[i].method), methods[i].name, "name");
        cr_expect_eq(delve_while_running(methods[i].method), methods[i].while_running,
                     "%s while running", methods[i].name);
    }
}

Test(request, every_method_has_a_name) {
    for (int i = 0; i < DELVE_METHODS; i++)
        cr_expect_not_null(delve_method_name((enum delve_method)i), "method %d", i);
}

/* The request as JSON, checked to be one line; the caller frees it. */
static json_t *sent(enum delve_method method, uint64_t id, json_t *params) {
    struct buffer out = BUFFER_INIT(1 << 16);
    delve_request(&out, method, id, params);
    cr_assert(!out.failed);
    cr_assert_eq(out.data[out.len - 1], '\n');
    cr_assert_eq(strchr(out.data, '\n'), out.data + out.len - 1, "one line");
    json_t *json = json_loadb(out.data, out.len, 0, NULL);
    cr_assert_not_null(json, "%s", out.data);
    buffer_free(&out);
    return json;
}

Test(request, is_json_rpc_1) {
    json_t *json = sent(DELVE_EVAL, 7, json_pack("{s:s}", "Expr", "a\n\"b\""));
    cr_assert_str_eq(json_string_value(json_object_get(json, "method")), "RPCServer.Eval");
    cr_assert_eq(json_integer_value(json_object_get(json, "id")), 7);
    json_t *params = json_object_get(json, "params");
    cr_assert_eq(json_array_size(params), 1);
    cr_assert_str_eq(json_string_value(json_object_get(json_array_get(params, 0), "Expr")),
                     "a\n\"b\"");
    json_decref(json);
}

Test(request, no_params_stand_for_an_empty_object) {
    json_t *json = sent(DELVE_GET_VERSION, 1, NULL);
    json_t *first = json_array_get(json_object_get(json, "params"), 0);
    cr_assert(json_is_object(first));
    cr_assert_eq(json_object_size(first), 0);
    json_decref(json);
}

Test(request, load_asks_for_what_the_recipe_allows) {
    struct delve_load load = {.string = 256, .items = 64, .depth = 3, .bytes = 1};
    json_t *json = delve_load_config(&load);
    cr_assert(json_is_true(json_object_get(json, "FollowPointers")));
    cr_assert_eq(json_integer_value(json_object_get(json, "MaxVariableRecurse")), 3);
    cr_assert_eq(json_integer_value(json_object_get(json, "MaxStringLen")), 256);
    cr_assert_eq(json_integer_value(json_object_get(json, "MaxArrayValues")), 64);
    cr_assert_eq(json_integer_value(json_object_get(json, "MaxStructFields")), -1);
    json_decref(json);
}

Test(request, scope_always_names_the_goroutine) {
    json_t *json = delve_scope(-1, 2);
    cr_assert_eq(json_integer_value(json_object_get(json, "GoroutineID")), -1);
    cr_assert_eq(json_integer_value(json_object_get(json, "Frame")), 2);
    json_decref(json);
}
