#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>

static const char help[] =
    "usage: pickglass schema recipe|event\n"
    "\n"
    "The JSON Schema of recipes, for editors, or of events. For VS Code's YAML extension:\n"
    "  pickglass schema recipe > pickglass.schema.json\n"
    "  # yaml-language-server: $schema=pickglass.schema.json     (first line of a recipe)\n";

static int schema_main(int argc, char **argv) {
    struct options o;
    int code;
    if (!options_read(&schema_command, argc, argv, &o, &code))
        return code;
    char *schema = o.word_count == 1 ? pick_schema(o.words[0]) : NULL;
    if (!schema)
        code = say_usage(&schema_command, "it needs \"recipe\" or \"event\"");
    else
        code = fputs(schema, stdout) < 0 ? EXIT_RUN : EXIT_FINE;
    free(schema);
    options_clear(&o);
    return code;
}

const struct command schema_command = {"schema", "the JSON Schema of recipes or events", help, "",
                                       schema_main};
