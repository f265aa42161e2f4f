// SPDX-License-Identifier: Apache-2.0
//
// Preloaded before a program that drives a network from Linux: its /dev/uioN, /dev/hwgen-* and /sys/class are a simulated
// system (system.h), and CLOCK_MONOTONIC is that system's clock. The program is as it is on a board.
//
// Registers are a page that may not be touched. An access faults, the page is opened with what the register reads, the
// one instruction is stepped over, and what it wrote, if it did, goes to the register (Linux on x86-64).
//
// Of the environment:
//   HWGEN_SYSTEM  a folder, made if need be, for the files: programs with the same one see the same devices
//   HWGEN_MEMORIES the folder of the network's memory files
//   HWGEN_LATENCY LEAST,MOST clocks until the memory answers; default 20,60
//   HWGEN_SEED    of the latencies
//   HWGEN_FAULTS  NAME=NUMBER,...: slave_error, hang (a burst), early_in, early_out (a word that ends its packet)
#include "system.h"

#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <map>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <ucontext.h>
#include <unistd.h>

double sc_time_stamp() { return 0; }

namespace {

constexpr size_t PAGE = 4096;
constexpr size_t DATA = 8 << 20, DESCRIPTORS = 1 << 20;
constexpr uint64_t QUIET = 100000;  // clocks in which nothing moves: nothing will

template <class F> F real(F, const char *name) {
    return reinterpret_cast<F>(dlsym(RTLD_NEXT, name));
}
#define REAL(name) ([] { static auto found = real(&::name, #name); return found; }())

struct Uio {
    uint32_t count = 0, seen = 0;
    bool enabled = true;
};

struct Window {
    uint8_t *at;
    size_t device;
};

struct Step {
    Window *window = nullptr;
    uint32_t offset;
    bool writes;
};

struct State {
    std::string root;
    std::unique_ptr<System> system;
    std::vector<Uio> uio;
    std::map<int, size_t> devices;             // files of UIO devices
    std::map<int, std::pair<Region *, bool>> syncs;
    std::vector<std::unique_ptr<Window>> windows;
    Step step;
    double skipped = 0;  // seconds in which nothing happened, and that were not simulated
};

State *state;

[[noreturn]] void stop(const char *text, unsigned long number = 0) {
    std::fprintf(stderr, "simulated system: %s (0x%lX)\n", text, number);
    std::abort();
}

std::string environment(const char *name, const char *otherwise) {
    const char *found = getenv(name);
    return found ? found : otherwise;
}

void write_file(const std::string &path, const std::string &text) {
    int file = REAL(open)(path.c_str(), O_RDWR | O_CREAT, 0600);
    if (file < 0 || ftruncate(file, 0) || REAL(pwrite)(file, text.data(), text.size(), 0) < 0) stop("cannot write a file");
    REAL(close)(file);
}

void make_folders(const std::string &path) {
    for (size_t at = 1; at != std::string::npos; at = path.find('/', at + 1)) mkdir(path.substr(0, at).c_str(), 0700);
    mkdir(path.c_str(), 0700);
}

void make_uio(size_t number, const std::string &name) {
    std::string folder = state->root + "/sys/class/uio/uio" + std::to_string(number);
    make_folders(folder + "/maps/map0");
    make_folders(state->root + "/dev");
    write_file(folder + "/name", name + "\n");
    write_file(folder + "/maps/map0/size", "0x00001000\n");
    write_file(state->root + "/dev/uio" + std::to_string(number), std::string(PAGE, '\0'));
    state->uio.emplace_back();
}

void make_region(const char *name, uint64_t bus, size_t size, bool cached) {
    std::string folder = state->root + "/sys/class/u-dma-buf/" + name, device = state->root + "/dev/" + name;
    char text[32];
    make_folders(folder);
    std::snprintf(text, sizeof text, "0x%016llx\n", static_cast<unsigned long long>(bus));
    write_file(folder + "/phys_addr", text);
    write_file(folder + "/size", std::to_string(size) + "\n");
    for (const char *sync : {"/sync_for_cpu", "/sync_for_device"}) write_file(folder + sync, "0\n");
    int file = REAL(open)(device.c_str(), O_RDWR | O_CREAT, 0600);
    if (file < 0 || ftruncate(file, static_cast<off_t>(size))) stop("cannot make memory");
    auto at = REAL(mmap)(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    REAL(close)(file);
    Region region{name, bus, size, cached, static_cast<uint8_t *>(at), {}};
    if (cached) region.own.assign(size, 0xA5);  // what was never written back is told apart
    state->system->memory.regions.push_back(std::move(region));
}

void read_faults(Faults &faults) {
    std::string text = environment("HWGEN_FAULTS", "");
    std::map<std::string, long *> known{{"slave_error", &faults.slave_error}, {"hang", &faults.hang},
                                        {"early_in", &faults.early_in}, {"early_out", &faults.early_out}};
    for (size_t at = 0; at < text.size();) {
        size_t comma = std::min(text.find(',', at), text.size()), equal = text.find('=', at);
        auto found = known.find(text.substr(at, equal - at));
        if (found == known.end()) stop("HWGEN_FAULTS names a fault that there is not");
        *found->second = std::stol(text.substr(equal + 1, comma - equal - 1));
        at = comma + 1;
    }
}

void on_fault(int, siginfo_t *, void *);
void on_step(int, siginfo_t *, void *);

void start() {
    if (state) return;
    state = new State;
    state->root = environment("HWGEN_SYSTEM", "/tmp/hwgen-system");
    make_folders(state->root);
    std::string memories = environment("HWGEN_MEMORIES", ".");
    char here[4096];
    if (!getcwd(here, sizeof here) || chdir(memories.c_str())) stop("there is no folder HWGEN_MEMORIES");
    state->system = std::make_unique<System>(static_cast<unsigned>(std::stoul(environment("HWGEN_SEED", "1"))));
    if (chdir(here)) stop("cannot go back");
    Memory &memory = state->system->memory;
    std::sscanf(environment("HWGEN_LATENCY", "20,60").c_str(), "%u,%u", &memory.least, &memory.most);
    read_faults(memory.faults);
    make_uio(0, "hwgen-net");
    for (size_t i = 0; i < ENGINES; i++) make_uio(i + 1, "hwgen-dma" + std::to_string(i));
    memory.regions.reserve(2);
    make_region("hwgen-descriptors", 0x86FFC0000ull & ~0xFFFull, DESCRIPTORS, false);
    make_region("hwgen-data", 0x60000000, DATA, true);
    struct sigaction action = {};
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    action.sa_sigaction = on_fault;
    sigaction(SIGSEGV, &action, nullptr);
    action.sa_sigaction = on_step;
    sigaction(SIGTRAP, &action, nullptr);
}

// where a path of the program lies: in the folder, if it is one of the devices'
std::string placed(const char *path) {
    std::string text = path ? path : "";
    for (const char *own : {"/dev/uio", "/dev/hwgen-", "/sys/class/uio", "/sys/class/u-dma-buf"})
        if (text.rfind(own, 0) == 0) {
            start();
            return state->root + text;
        }
    return text;
}

void opened(int file, const std::string &path) {
    if (!state || !state->system || file < 0 || path.rfind(state->root, 0) != 0) return;
    std::string rest = path.substr(state->root.size());
    if (rest.rfind("/dev/uio", 0) == 0) state->devices[file] = std::stoul(rest.substr(8));
    for (Region &region : state->system->memory.regions)
        for (bool for_cpu : {false, true})
            if (rest == "/sys/class/u-dma-buf/" + region.name + (for_cpu ? "/sync_for_cpu" : "/sync_for_device"))
                state->syncs[file] = {&region, for_cpu};
}

// as the module takes it: offset, size, direction and a one that says that it is meant
void synchronize(Region &region, bool for_cpu, const std::string &text) {
    unsigned long long value = std::stoull(text, nullptr, 16);
    size_t offset = value >> 32, size = value & 0xFFFFFFF0;
    if (!(value & 1) || offset % 64 || offset + size > region.size) stop("a part of the buffer that there is not", value);
    uint8_t *processor = region.cpu + offset, *memory = region.own.data() + offset;
    std::memcpy(for_cpu ? processor : memory, for_cpu ? memory : processor, size);
}

void interrupt(size_t device) {
    Uio &uio = state->uio[device];
    System &system = *state->system;
    bool is_high = device ? system.dma[device - 1]->interrupt() : system.interrupt();
    if (uio.enabled && is_high) uio.count++, uio.enabled = false;
}

// the clock goes on until the interrupt, or for so many milliseconds; whether it came
bool wait_for(size_t device, long milliseconds) {
    System &system = *state->system;
    uint64_t end = system.now + static_cast<uint64_t>(static_cast<double>(milliseconds) * CLOCK_MHZ * 1000);
    Uio &uio = state->uio[device];
    for (uint64_t from = system.now; system.now < end; system.step()) {
        interrupt(device);
        if (uio.count != uio.seen) return true;
        if (system.now - std::max(from, system.moved) > QUIET) {
            state->skipped += static_cast<double>(end - system.now) / (CLOCK_MHZ * 1e6);
            break;
        }
    }
    interrupt(device);
    return uio.count != uio.seen;
}

Window *window_of(const void *address) {
    if (state)
        for (auto &window : state->windows)
            if (address >= window->at && address < window->at + PAGE) return window.get();
    return nullptr;
}

void on_fault(int, siginfo_t *info, void *context) {
    Window *window = window_of(info->si_addr);
    if (!window) {
        std::fprintf(stderr, "simulated system: no memory at %p\n", info->si_addr);
        signal(SIGSEGV, SIG_DFL);
        return;
    }
    auto &registers = static_cast<ucontext_t *>(context)->uc_mcontext.gregs;
    Step &step = state->step;
    auto *address = static_cast<uint8_t *>(info->si_addr);
    step = {window, static_cast<uint32_t>(address - window->at), (registers[REG_ERR] & 2) != 0};
    if (step.offset % 4) stop("an access that is not of one register", step.offset);
    mprotect(window->at, PAGE, PROT_READ | PROT_WRITE);
    std::memset(window->at, 0xDB, PAGE);
    try {
        uint32_t value = step.writes ? 0 : state->system->read(window->device, step.offset);
        if (!step.writes) std::memcpy(address, &value, 4);
    } catch (const std::exception &error) {
        stop(error.what(), step.offset);
    }
    registers[REG_EFL] |= 0x100;
}

void on_step(int, siginfo_t *, void *context) {
    Step step = state->step;
    if (!step.window) return;
    static_cast<ucontext_t *>(context)->uc_mcontext.gregs[REG_EFL] &= ~0x100;
    uint32_t value;
    std::memcpy(&value, step.window->at + step.offset, 4);
    mprotect(step.window->at, PAGE, PROT_NONE);
    state->step.window = nullptr;
    try {
        if (step.writes) state->system->write(step.window->device, step.offset, value);
    } catch (const std::exception &error) {
        stop(error.what(), step.offset);
    }
}

ssize_t write_to(int file, const void *from, size_t size, bool &ours) {
    ours = true;
    if (auto sync = state->syncs.find(file); sync != state->syncs.end()) {
        synchronize(*sync->second.first, sync->second.second, std::string(static_cast<const char *>(from), size));
        return static_cast<ssize_t>(size);
    }
    if (auto device = state->devices.find(file); device != state->devices.end()) {
        state->uio[device->second].enabled = *static_cast<const uint32_t *>(from);
        return size == 4 ? 4 : (errno = EINVAL, -1);
    }
    ours = false;
    return 0;
}

}  // namespace

extern "C" {

int open(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
    va_end(more);
    std::string at = placed(path);
    int file = REAL(open)(at.c_str(), flags & ~O_SYNC, mode);
    opened(file, at);
    return file;
}

int open64(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
    va_end(more);
    return open(path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
    va_end(more);
    if (path && path[0] == '/') return open(path, flags, mode);
    return REAL(openat)(folder, path, flags, mode);
}

DIR *opendir(const char *path) { return REAL(opendir)(placed(path).c_str()); }

int close(int file) {
    if (state) {
        state->devices.erase(file);
        state->syncs.erase(file);
    }
    return REAL(close)(file);
}

void *mmap(void *at, size_t size, int protection, int flags, int file, off_t offset) {
    auto device = state ? state->devices.find(file) : std::map<int, size_t>::iterator{};
    if (!state || device == state->devices.end()) return REAL(mmap)(at, size, protection, flags, file, offset);
    if (offset || size > PAGE) return errno = EINVAL, MAP_FAILED;
    void *page = REAL(mmap)(nullptr, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    state->windows.push_back(std::make_unique<Window>(Window{static_cast<uint8_t *>(page), device->second}));
    return page;
}

void *mmap64(void *at, size_t size, int protection, int flags, int file, off64_t offset) {
    return mmap(at, size, protection, flags, file, offset);
}

int munmap(void *at, size_t size) {
    if (state)
        for (auto window = state->windows.begin(); window != state->windows.end(); window++)
            if ((*window)->at == at) {
                state->windows.erase(window);
                break;
            }
    return REAL(munmap)(at, size);
}

ssize_t write(int file, const void *from, size_t size) {
    bool ours = false;
    ssize_t written = state ? write_to(file, from, size, ours) : 0;
    return ours ? written : REAL(write)(file, from, size);
}

ssize_t pwrite(int file, const void *from, size_t size, off_t offset) {
    bool ours = false;
    ssize_t written = state ? write_to(file, from, size, ours) : 0;
    return ours ? written : REAL(pwrite)(file, from, size, offset);
}

ssize_t pwrite64(int file, const void *from, size_t size, off64_t offset) { return pwrite(file, from, size, offset); }

ssize_t read(int file, void *to, size_t size) {
    auto device = state ? state->devices.find(file) : std::map<int, size_t>::iterator{};
    if (!state || device == state->devices.end()) return REAL(read)(file, to, size);
    Uio &uio = state->uio[device->second];
    if (size != 4) return errno = EINVAL, -1;
    if (!wait_for(device->second, 1000)) stop("a read waits for an interrupt that does not come");
    uio.seen = uio.count;
    std::memcpy(to, &uio.count, 4);
    return 4;
}

int poll(struct pollfd *files, nfds_t count, int milliseconds) {
    auto device = state && count == 1 ? state->devices.find(files[0].fd) : std::map<int, size_t>::iterator{};
    if (!state || count != 1 || device == state->devices.end()) return REAL(poll)(files, count, milliseconds);
    bool came = wait_for(device->second, milliseconds < 0 ? 1000 : milliseconds);
    files[0].revents = came ? POLLIN : 0;
    return came;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    if (!state || !state->system || clock != CLOCK_MONOTONIC) return REAL(clock_gettime)(clock, time);
    double seconds = 1000 + state->skipped + static_cast<double>(state->system->now) / (CLOCK_MHZ * 1e6);
    time->tv_sec = static_cast<time_t>(seconds);
    time->tv_nsec = static_cast<long>((seconds - static_cast<double>(time->tv_sec)) * 1e9);
    return 0;
}
}
