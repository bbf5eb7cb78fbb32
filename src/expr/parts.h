/* What lexer, parser and evaluator share. */
#pragma once

#include "expr/expr.h"
#include <regex.h>

enum token_kind { T_END, T_NUMBER, T_STRING, T_NAME, T_OP, T_BAD };

enum op {
    OP_NONE,
    OP_OR,
    OP_AND,
    OP_EQ,
    OP_NE,
    OP_LE,
    OP_GE,
    OP_LT,
    OP_GT,
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_MOD,
    OP_NOT,
    OP_DOT,
    OP_OPEN,
    OP_CLOSE,
    OP_INDEX,
    OP_INDEX_END,
    OP_COMMA,
    OP_COUNT
};

extern const char *const op_texts[OP_COUNT];

struct token {
    enum token_kind kind;
    enum op op;
    size_t at, len; /* where in the text */
    struct expr_value number;
};

/* Reads the token at `*at` and moves past it. T_BAD: `*why` says what is wrong with it. */
struct token lex(const char *text, size_t *at, const char **why);

enum node_kind { N_CONST, N_NAME, N_UNARY, N_BINARY, N_MEMBER, N_INDEX, N_CALL };

struct function;

/* A node of the flat tree; children are indices of earlier nodes. */
struct node {
    enum node_kind kind;
    enum op op;
    const struct function *function;
    int args[3]; /* operands, or arguments; -1 = none */
    struct expr_value constant;
    char *text;     /* a name, member or string constant; owned */
    regex_t *regex; /* compiled once where the pattern is a constant; owned */
};

struct expr {
    struct node *nodes;
    size_t count, cap;
    int root;
};

struct function {
    const char *name;
    int min, max;
    int pattern; /* which argument is a regular expression; -1 = none */
    bool aggregate;
    struct expr_value (*call)(const struct expr *expr, const struct node *node,
                              const struct expr_env *env, const struct expr_value *args, int n);
};

const struct function *function_find(const char *name);
const char *function_name(void *scope, size_t i); /* those that the scope allows */
