#include "gdb/description.h"
#include "run_errors.h"
#include "unit.h"

/* gdbserver 13.1, shortened; lldb-server 14 has neither main-lm nor lmid. */
Test(gdb_libraries, libraries) {
    static const char text[] =
        "<library-list-svr4 version=\"1.0\" main-lm=\"0x7ffff7ffe2e0\"><library "
        "name=\"linux-vdso.so.1\" lm=\"0x7ffff7ffe8b0\" l_addr=\"0x7ffff7fc8000\" "
        "l_ld=\"0x7ffff7fc8440\" lmid=\"0x7ffff7ffe118\"/><library "
        "name=\"/lib/x86_64-linux-gnu/libc.so.6\" lm=\"0x7ffff7fc0200\" l_addr=\"0x7ffff7dd1000\" "
        "l_ld=\"0x7ffff7fa3b60\" /></library-list-svr4>";
    struct gdb_libraries libraries;
    fine(gdb_libraries_read(text, sizeof text - 1, &libraries), "libraries");
    cr_assert_eq(libraries.count, 2);
    SHOULD_BE(libraries.list[0].name, "linux-vdso.so.1", "the first");
    cr_expect_eq(libraries.list[0].bias, 0x7ffff7fc8000);
    SHOULD_BE(libraries.list[1].name, "/lib/x86_64-linux-gnu/libc.so.6", "the second");
    cr_expect_eq(libraries.list[1].bias, 0x7ffff7dd1000);
    gdb_libraries_free(&libraries);
    cr_expect_eq(libraries.count, 0);
    gdb_libraries_free(&libraries);
}

Test(gdb_libraries, odd_libraries) {
    static const struct {
        const char *text;
        size_t count;
        const char *name;
        uint64_t bias;
    } cases[] = {
        {"<library-list-svr4 version=\"1.0\"></library-list-svr4>", 0, NULL, 0},
        {"<library-list-svr4 version=\"1.0\"/>", 0, NULL, 0},
        {"<l><library name=\"/a &amp; b &lt;&#x20ac;&gt;\" l_addr=\"0x10\"/></l>", 1,
         "/a & b <\xe2\x82\xac>", 16},
        {"<l><library name=\"/a\" l_addr=\"10\"/></l>", 1, "/a", 16},
        {"<l><library name=\"/a\" l_addr=\"0xffffffffffffffff\"/></l>", 1, "/a", UINT64_MAX},
        {"<l><library name=\"/a\" l_addr=\"0\"/><library name=\"/b\" l_addr=\"1\"/></l>", 2, "/a",
         0},
        {"<l><library name=\"\" l_addr=\"0x10\"/></l>", 0, NULL, 0},
        {"<l><library l_addr=\"0x10\"/></l>", 0, NULL, 0},
        {"<l><library name=\"/a\"/></l>", 0, NULL, 0},
        {"<l><lib name=\"/a\" l_addr=\"0x10\"/></l>", 0, NULL, 0},
        /* the form without -svr4, which says segments */
        {"<library-list><library name=\"/a\"><segment address=\"0x1000\"/></library>"
         "</library-list>",
         0, NULL, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct gdb_libraries libraries;
        fine(gdb_libraries_read(cases[i].text, strlen(cases[i].text), &libraries), cases[i].text);
        cr_expect_eq(libraries.count, cases[i].count, "%s", cases[i].text);
        if (libraries.count) {
            SHOULD_BE(libraries.list[0].name, cases[i].name, cases[i].text);
            cr_expect_eq(libraries.list[0].bias, cases[i].bias, "%s", cases[i].text);
        }
        gdb_libraries_free(&libraries);
    }
}

Test(gdb_libraries, broken_libraries) {
    static const char *const texts[] = {"",
                                        "E01",
                                        "<l>",
                                        "<l><library name=\"/a\" l_addr=\"0x10\"/>",
                                        "<l><library name=\"/a\" l_addr=\"0x10\"></l>",
                                        "<l><library name=\"/a\" l_addr=\"0x10\""};
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct gdb_libraries libraries;
        expect_error(gdb_libraries_read(texts[i], strlen(texts[i]), &libraries), "no XML",
                     texts[i]);
        gdb_libraries_free(&libraries);
    }
}

Test(gdb_libraries, more_libraries_than_there_may_be) {
    struct buffer text = BUFFER_INIT(GDB_XML_MAX);
    struct gdb_libraries libraries;
    buffer_puts(&text, "<l>");
    for (int i = 0; i < GDB_LIBRARIES_MAX + 100; i++)
        buffer_printf(&text, "<library name=\"/%d\" l_addr=\"%x\"/>", i, i);
    buffer_puts(&text, "</l>");
    fine(gdb_libraries_read(text.data, text.len, &libraries), "many");
    cr_expect_eq(libraries.count, GDB_LIBRARIES_MAX);
    SHOULD_BE(libraries.list[GDB_LIBRARIES_MAX - 1].name, "/4095", "the last");
    gdb_libraries_free(&libraries);
    buffer_free(&text);
}
