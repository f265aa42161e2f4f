/* SPDX-License-Identifier: Apache-2.0
 *
 * hwgen-run: .npy files through the network, or how fast it is.
 */
#define _GNU_SOURCE
#include "hwgen.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST = 64, FRAMES = 1000 };

static const char usage[] =
    "hwgen-run [--input X.npy]... [--output Y.npy]... [--load WEIGHTS.bin] [--mode N] [--batch N] [--slots N]\n"
    "          [--timeout MS] [--benchmark FRAMES]\n"
    "  --input      floats [N, ...] of 4 or 8 bytes as the module takes them; of several inputs one each, in their order\n"
    "  --output     float64 [N, ...], one for each output\n"
    "  --load       what hwgen weights wrote\n"
    "  --benchmark  frames/s of so many frames, and the latency of single ones; without --input of zeros\n";

struct array {
    enum hwgen_type type;
    size_t frames;
    void *data;
};

static _Noreturn void stop(const char *format, ...) __attribute__((format(printf, 1, 2)));
static _Noreturn void stop(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("hwgen-run: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(1);
}

static void *room(size_t count, size_t size) {
    void *at = calloc(count ? count : 1, size);
    if (!at) stop("there is no memory for %zu numbers", count);
    return at;
}

/* The header of a .npy file of the format's first two versions; numbers in C's order. */
static struct array read_npy(const char *path, size_t size) {
    FILE *file = fopen(path, "rb");
    unsigned char start[12];
    char header[4096];
    if (!file || fread(start, 1, 10, file) != 10 || memcmp(start, "\x93NUMPY", 6)) stop("%s is no .npy file", path);
    size_t length = start[8] | (size_t)start[9] << 8;
    if (start[6] > 1 || length >= sizeof header || fread(header, 1, length, file) != length)
        stop("%s has a header of another version", path);
    header[length] = 0;
    struct array x = {.type = strstr(header, "'<f8'") ? HWGEN_FLOAT64 : HWGEN_FLOAT32};
    if (!strstr(header, "'<f8'") && !strstr(header, "'<f4'")) stop("%s holds no floats of 4 or 8 bytes", path);
    const char *shape = strstr(header, "'shape': (");
    if (!shape || !strstr(header, "'fortran_order': False")) stop("%s is not in C's order", path);
    size_t numbers = 1;
    char *at = (char *)(uintptr_t)shape + strlen("'shape': (");
    for (bool first = true; *at && *at != ')'; first = false) {
        size_t n = strtoull(at, &at, 10);
        x.frames = first ? n : x.frames;
        numbers *= n;
        at += strspn(at, ", ");
    }
    if (!x.frames || numbers != x.frames * size) stop("%s does not hold frames of %zu numbers", path, size);
    x.data = room(numbers, x.type == HWGEN_FLOAT64 ? 8 : 4);
    if (fread(x.data, x.type == HWGEN_FLOAT64 ? 8 : 4, numbers, file) != numbers) stop("%s ends early", path);
    fclose(file);
    return x;
}

static void write_npy(const char *path, const double *y, size_t frames, size_t size) {
    char header[128];
    memset(header, ' ', sizeof header);
    int length = snprintf(header + 10, 117, "{'descr': '<f8', 'fortran_order': False, 'shape': (%zu, %zu), }", frames, size);
    memcpy(header, "\x93NUMPY\x01\x00\x76\x00", 10); /* 118 bytes follow, to 128 */
    header[10 + length] = ' ';
    header[127] = '\n';
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(header, 1, 128, file) != 128 || fwrite(y, 8, frames * size, file) != frames * size || fclose(file))
        stop("%s cannot be written", path);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void check(int status) {
    if (status) stop("%s", hwgen_message());
}

static void show(hwgen *net, size_t frames, double seconds) {
    struct hwgen_counters c;
    hwgen_count(net, &c);
    double share = 100.0 / (double)(c.cycles ? c.cycles : 1);
    printf("%zu frames in %.6f s: %.0f frames/s\n", frames, seconds, (double)frames / seconds);
    printf("%llu cycles, %.1f a frame: waits for input %.1f %%, input held %.1f %%, output held %.1f %%\n",
           (unsigned long long)c.cycles, (double)c.cycles / (double)frames, (double)c.starved * share,
           (double)c.input_stalls * share, (double)c.output_stalls * share);
}

static void benchmark(hwgen *net, const void *const *x, enum hwgen_type type, double *const *y, size_t frames) {
    size_t singles = frames < FRAMES ? frames : FRAMES, sample = hwgen_network.sample;
    double *took = room(singles, sizeof *took), start = now();
    check(hwgen_run(net, x, type, y, frames));
    show(net, frames, now() - start);
    for (size_t i = 0; i < singles; i++) {
        start = now();
        check(hwgen_run(net, x, type, y, sample));
        took[i] = (now() - start) * 1e6;
    }
    qsort(took, singles, sizeof *took, ascending);
    printf("latency of %zu, us: median %.1f, 90 %% %.1f, 99 %% %.1f, most %.1f\n", sample, took[singles / 2],
           took[singles * 9 / 10], took[singles * 99 / 100], took[singles - 1]);
    free(took);
}

static void load(hwgen *net, const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) stop("%s cannot be read", path);
    size_t size = (size_t)ftell(file);
    rewind(file);
    uint32_t *pairs = room(size / 8, 8);
    if (size % 8 || fread(pairs, 8, size / 8, file) != size / 8) stop("%s is not what hwgen weights wrote", path);
    fclose(file);
    double start = now();
    check(hwgen_load(net, pairs, size / 8));
    printf("weights: %zu writes in %.6f s\n", size / 8, now() - start);
    free(pairs);
}

static size_t number(const char *text) {
    char *end;
    size_t value = strtoull(text, &end, 10);
    if (*end || end == text) stop("%s is no number", text);
    return value;
}

int main(int count, char **arguments) {
    const struct hwgen_network *built = &hwgen_network;
    const char *inputs[MOST], *outputs[MOST], *weights = NULL;
    size_t given = 0, wanted = 0, mode = 0, frames = 0, tried = 0;
    struct hwgen_options options = {0};
    for (int i = 1; i < count; i++) {
        const char *name = arguments[i], *value = i + 1 < count ? arguments[++i] : NULL;
        if (!value) return fputs(usage, stderr), 2;
        if (!strcmp(name, "--input") && given < built->inputs) inputs[given++] = value;
        else if (!strcmp(name, "--output") && wanted < built->outputs) outputs[wanted++] = value;
        else if (!strcmp(name, "--load")) weights = value;
        else if (!strcmp(name, "--mode")) mode = number(value);
        else if (!strcmp(name, "--batch")) options.batch = number(value);
        else if (!strcmp(name, "--slots")) options.slots = (unsigned)number(value);
        else if (!strcmp(name, "--timeout")) options.timeout_ms = (unsigned)number(value);
        else if (!strcmp(name, "--benchmark")) tried = number(value);
        else return fputs(usage, stderr), 2;
    }
    if ((given || !tried) && given != built->inputs) stop("give %zu --input", built->inputs);
    struct array x[MOST];
    const void *from[MOST];
    double *to[MOST];
    for (size_t i = 0; i < built->inputs; i++) {
        size_t size = built->input[i].size;
        x[i] = given ? read_npy(inputs[i], size) : (struct array){HWGEN_FLOAT32, tried, room(tried * size, 4)};
        frames = i ? frames : x[i].frames;
        if (x[i].frames != frames || x[i].type != x[0].type) stop("the inputs differ in their frames or their type");
        from[i] = x[i].data;
    }
    if (tried && tried < frames) frames = tried;
    size_t come[MOST]; /* frames of each output */
    for (size_t i = 0; i < built->outputs; i++) {
        come[i] = frames / built->input[0].frames * built->output[i].frames;
        to[i] = room(come[i] * built->output[i].size, sizeof **to);
    }
    hwgen *net;
    check(hwgen_open(&net, &options));
    if (weights) load(net, weights);
    check(hwgen_mode(net, (uint32_t)mode));
    double start = now();
    if (tried) benchmark(net, from, x[0].type, to, frames);
    else check(hwgen_run(net, from, x[0].type, to, frames));
    if (!tried) show(net, frames, now() - start);
    for (size_t i = 0; i < wanted; i++) write_npy(outputs[i], to[i], come[i], built->output[i].size);
    hwgen_close(net);
    for (size_t i = 0; i < built->inputs; i++) free(x[i].data);
    for (size_t i = 0; i < built->outputs; i++) free(to[i]);
    return 0;
}
