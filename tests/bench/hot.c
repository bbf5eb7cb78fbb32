/* One function in a loop: its int argument and its string are what a hit captures. */
#include <stdio.h>
#include <stdlib.h>

struct item {
    const char *name;
    int value;
};

static volatile long sum;

__attribute__((noinline)) int work(struct item *item, int n) {
    sum += n + item->value;
    return n;
}

int main(int argc, char **argv) {
    struct item item = {"some name", 3};
    long count = argc > 1 ? atol(argv[1]) : 0;
    for (long i = 0; i < count; i++)
        work(&item, (int)i);
    printf("%ld\n", sum);
    return 0;
}
