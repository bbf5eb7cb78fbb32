/* One function in a loop: its int argument and its string are what a hit captures. Tells its sum,
 * and what a call has taken. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

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
    struct timespec begin, end;
    sum = *(volatile const char *)
               item.name; /* bpftrace reads no page that the program has not touched */
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (long i = 0; i < count; i++)
        work(&item, (int)i);
    clock_gettime(CLOCK_MONOTONIC, &end);
    double us =
        (double)(end.tv_sec - begin.tv_sec) * 1e6 + (double)(end.tv_nsec - begin.tv_nsec) / 1e3;
    printf("%ld\n%.3f us a call\n", sum, count ? us / (double)count : 0);
    return 0;
}
