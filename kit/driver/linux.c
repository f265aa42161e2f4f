/* SPDX-License-Identifier: Apache-2.0
 *
 * Registers and interrupts by UIO (uio_pdrv_genirq), shared memory by u-dma-buf.
 */
#define _GNU_SOURCE
#include "internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define UIO "/sys/class/uio"
#define UDMABUF "/sys/class/u-dma-buf"

static _Thread_local char message[512];

const char *hwgen_message(void) { return message; }

int failed(int status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return status;
}

/* The first line of a file. */
static bool read_line(const char *path, char *text, size_t size) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = file < 0 ? -1 : read(file, text, size - 1);
    if (file >= 0) close(file);
    if (got < 0) return false;
    text[got] = 0;
    text[strcspn(text, "\n")] = 0;
    return true;
}

/* uioN of that name, into `found`. */
static bool find_uio(const char *name, char *found, size_t size) {
    DIR *folder = opendir(UIO);
    bool is_there = false;
    for (struct dirent *entry; folder && !is_there && (entry = readdir(folder));) {
        char path[512], text[128];
        snprintf(path, sizeof path, UIO "/%s/name", entry->d_name);
        if (strncmp(entry->d_name, "uio", 3) == 0 && read_line(path, text, sizeof text) && strcmp(text, name) == 0) {
            snprintf(found, size, "%.32s", entry->d_name);
            is_there = true;
        }
    }
    if (folder) closedir(folder);
    return is_there;
}

int open_device(struct device *device, const char *name, bool alone) {
    char uio[64], path[512], text[64];
    device->file = -1;
    if (!find_uio(name, uio, sizeof uio))
        return failed(HWGEN_NO_DEVICE, "no UIO device is called %s: load the device-tree overlay", name);
    snprintf(path, sizeof path, UIO "/%s/maps/map0/size", uio);
    if (!read_line(path, text, sizeof text)) return failed(HWGEN_NO_DEVICE, "%s cannot be read", path);
    device->size = strtoull(text, NULL, 0);
    snprintf(path, sizeof path, "/dev/%s", uio);
    device->file = open(path, O_RDWR | O_CLOEXEC);
    if (device->file < 0) return failed(HWGEN_NO_DEVICE, "%s (%s) cannot be opened: %s", path, name, strerror(errno));
    if (alone && flock(device->file, LOCK_EX | LOCK_NB))
        return failed(HWGEN_IN_USE, "%s (%s) is in use by another process", path, name);
    void *at = mmap(NULL, device->size, PROT_READ | PROT_WRITE, MAP_SHARED, device->file, 0);
    if (at == MAP_FAILED) return failed(HWGEN_NO_DEVICE, "%s (%s) cannot be mapped: %s", path, name, strerror(errno));
    device->at = at;
    return HWGEN_OK;
}

void close_device(struct device *device) {
    if (device->at) munmap((void *)(uintptr_t)device->at, device->size);
    if (device->file >= 0) close(device->file);
    device->at = NULL;
    device->file = -1;
}

static bool read_number(const char *name, const char *what, uint64_t *number) {
    char path[256], text[64];
    snprintf(path, sizeof path, UDMABUF "/%s/%s", name, what);
    if (!read_line(path, text, sizeof text)) return false;
    *number = strtoull(text, NULL, 0);
    return true;
}

static int open_sync(const char *name, const char *what) {
    char path[256];
    snprintf(path, sizeof path, UDMABUF "/%s/%s", name, what);
    return open(path, O_WRONLY | O_CLOEXEC);
}

int open_region(struct region *region, const char *name, bool cached) {
    uint64_t size;
    char path[256];
    region->sync_for_cpu = region->sync_for_device = -1;
    if (!read_number(name, "phys_addr", &region->bus) || !read_number(name, "size", &size))
        return failed(HWGEN_NO_DEVICE, "no u-dma-buf is called %s: load its kernel module and the overlay", name);
    region->size = size;
    snprintf(path, sizeof path, "/dev/%s", name);
    int file = open(path, O_RDWR | O_CLOEXEC | (cached ? 0 : O_SYNC));
    if (file < 0) return failed(HWGEN_NO_DEVICE, "%s cannot be opened: %s", path, strerror(errno));
    void *at = mmap(NULL, region->size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (at == MAP_FAILED) return failed(HWGEN_NO_DEVICE, "%s cannot be mapped: %s", path, strerror(errno));
    region->at = at;
    if (cached) {
        region->sync_for_cpu = open_sync(name, "sync_for_cpu");
        region->sync_for_device = open_sync(name, "sync_for_device");
        if (region->sync_for_cpu < 0 || region->sync_for_device < 0)
            return failed(HWGEN_NO_DEVICE, "%s has no sync_for_cpu and sync_for_device", name);
    }
    return HWGEN_OK;
}

void close_region(struct region *region) {
    if (region->at) munmap(region->at, region->size);
    if (region->sync_for_cpu >= 0) close(region->sync_for_cpu);
    if (region->sync_for_device >= 0) close(region->sync_for_device);
    region->at = NULL;
    region->sync_for_cpu = region->sync_for_device = -1;
}

/* In both directions; in whole lines of the cache, 64 bytes. */
static int synchronize(int file, size_t offset, size_t size) {
    char text[32];
    if (file < 0) return HWGEN_OK;
    size += offset % 64;
    offset -= offset % 64;
    size = (size + 63) / 64 * 64;
    int count = snprintf(text, sizeof text, "0x%08X%08X", (unsigned)offset, ((unsigned)size & 0xFFFFFFF0u) | 1);
    if (pwrite(file, text, (size_t)count, 0) != count)
        return failed(HWGEN_NO_DEVICE, "the DMA buffer cannot be synchronized: %s", strerror(errno));
    return HWGEN_OK;
}

int for_device(const struct region *region, size_t offset, size_t size) {
    return synchronize(region->sync_for_device, offset, size);
}

int for_cpu(const struct region *region, size_t offset, size_t size) {
    return synchronize(region->sync_for_cpu, offset, size);
}

void await_interrupt(const struct device *device, int milliseconds) {
    uint32_t count, enable = 1;
    struct pollfd wanted = {.fd = device->file, .events = POLLIN};
    if (write(device->file, &enable, sizeof enable) != sizeof enable) return; /* then the caller's time-out ends it */
    if (poll(&wanted, 1, milliseconds) > 0 && read(device->file, &count, sizeof count) != sizeof count) return;
}

int64_t milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}
