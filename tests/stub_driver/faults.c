// Counting, injected faults, what is alive, and the report of it: the part of the stub that tests talk to.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stub.h"

int stub_lost;
int stub_poison;
int stub_stuck;
size_t stub_budget = (size_t)1 << 30;

static const char* const class_names[CLASSES] = {"query",  "open",  "allocate",    "copy",
                                                 "launch", "event", "synchronise", "graph"};
static const char* const kind_names[KINDS] = {"memory", "pinned", "stream", "event", "graph", "executable", "library"};

static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static struct call* calls;
static struct object* objects;
static struct {
    char what[64];
    long nth;
    int result;
    int sticky;
    int later;
    int hang;
} fault;
static int hung;  // a call has not returned: none does from then on
static long misuses;
static char first_misuse[160];
static const char* struck = "";  // the call at which the fault fell, and how many calls of all there had been
static long struck_at;

static int concerns(const struct call* call, const char* what) {
    return !strcmp(call->name, what) || !strcmp(class_names[call->class], what) ||
           (!strcmp(what, "any") && call->class != CLASS_QUERY);
}

static long count_of(const char* what) {
    long count = 0;
    for (const struct call* call = calls; call; call = call->next)
        if (concerns(call, what)) count += call->count;
    return count;
}

void stub_hang(void) {
    hung = 1;
    pthread_mutex_unlock(&lock);
    for (;;) pause();
}

int stub_enter(struct call* call) {
    pthread_mutex_lock(&lock);
    const char* never_returns = getenv("CATHRT_STUB_HANG");
    if (call->class != CLASS_QUERY && (hung || (never_returns && !strcmp(call->name, never_returns)))) stub_hang();
    const struct call* known = calls;
    while (known && known != call) known = known->next;
    if (!known) {
        call->next = calls;
        calls = call;
    }
    call->count++;
    stub_poison = stub_stuck = 0;
    if (call->class >= CLASS_ALLOCATE && !stub_has_context()) return CUDA_ERROR_INVALID_CONTEXT;
    if (stub_lost && call->class != CLASS_QUERY) return stub_lost;
    if (!fault.what[0] || !concerns(call, fault.what) || count_of(fault.what) != fault.nth) return 0;
    struck = call->name;
    struck_at = count_of("any");
    if (fault.hang && !fault.later) stub_hang();
    if (fault.later) {
        stub_poison = fault.result;
        stub_stuck = fault.hang;
        return 0;
    }
    if (fault.sticky) stub_lost = fault.result;
    return fault.result;
}

void stub_leave(int* refused) {
    (void)refused;
    pthread_mutex_unlock(&lock);
}

void stub_misuse(const char* what) {
    if (!misuses++) snprintf(first_misuse, sizeof first_misuse, "%s", what);
}

void stub_add(enum kind kind, const void* address, size_t bytes) {
    struct object* object = malloc(sizeof *object);
    *object = (struct object){kind, (unsigned long long)address, bytes, objects};
    objects = object;
}

struct object* stub_find(enum kind kind, const void* address) {
    struct object* object = objects;
    while (object && !(object->kind == kind && object->address == (unsigned long long)address)) object = object->next;
    return object;
}

int stub_remove(enum kind kind, const void* address) {
    for (struct object** link = &objects; *link; link = &(*link)->next) {
        struct object* object = *link;
        if (object->kind != kind || object->address != (unsigned long long)address) continue;
        *link = object->next;
        free(object);
        return 1;
    }
    char text[160];
    snprintf(text, sizeof text, "freed what is not alive: %s %p", kind_names[kind], address);
    stub_misuse(text);
    return 0;
}

int stub_within(enum kind kind, unsigned long long address, size_t bytes) {
    for (const struct object* object = objects; object; object = object->next)
        if (object->kind == kind && address >= object->address && address - object->address <= object->bytes &&
            bytes <= object->bytes - (address - object->address))
            return 1;
    return 0;
}

size_t stub_bytes(enum kind kind) {
    size_t bytes = 0;
    for (const struct object* object = objects; object; object = object->next)
        if (object->kind == kind) bytes += object->bytes;
    return bytes;
}

// Forget counts, faults, the loss and stuck work. What is alive stays; who hangs in a call does so for good.
EXPORTED void stub_reset(void) {
    pthread_mutex_lock(&lock);
    for (struct call* call = calls; call; call = call->next) call->count = 0;
    memset(&fault, 0, sizeof fault);
    stub_lost = stub_poison = stub_stuck = hung = 0;
    stub_drop_stuck();
    stub_budget = (size_t)1 << 30;
    misuses = struck_at = 0;
    struck = "";
    pthread_mutex_unlock(&lock);
}

// From now on the nth call since the reset that `what` names (a call, a class, "any") ends in `result`. sticky: so does
// every later call. later: the call itself succeeds, and the work it queued fails when it is done; always sticky.
// hang: the call never returns, nor does any after it; with later, the work never ends, and only who waits for it hangs.
EXPORTED void stub_fail(const char* what, long nth, int result, int sticky, int later, int hang) {
    pthread_mutex_lock(&lock);
    snprintf(fault.what, sizeof fault.what, "%s", what);
    fault.nth = nth;
    fault.result = result;
    fault.sticky = sticky;
    fault.later = later;
    fault.hang = hang;
    pthread_mutex_unlock(&lock);
}

EXPORTED void stub_set_budget(size_t bytes) { stub_budget = bytes; }

EXPORTED long stub_count(const char* what) {
    pthread_mutex_lock(&lock);
    long count = count_of(what);
    pthread_mutex_unlock(&lock);
    return count;
}

// Everything as JSON into `text`, cut at `size`; the length it has uncut.
EXPORTED int stub_report(char* text, int size) {
    pthread_mutex_lock(&lock);
    FILE* out = fmemopen(text, (size_t)size, "w");
    fprintf(out, "{\"live\": {");
    for (int kind = 0; kind < KINDS; kind++) {
        long count = 0;
        for (const struct object* object = objects; object; object = object->next)
            count += object->kind == (enum kind)kind;
        fprintf(out, "%s\"%s\": %ld", kind ? ", " : "", kind_names[kind], count);
    }
    fprintf(out,
            "}, \"misuses\": %ld, \"first_misuse\": \"%s\", \"lost\": %d, \"struck\": \"%s\", \"struck_at\": %ld, "
            "\"calls\": {",
            misuses, misuses ? first_misuse : "", stub_lost, struck, struck_at);
    const char* comma = "";
    for (const struct call* call = calls; call; call = call->next) {
        if (!call->count) continue;
        fprintf(out, "%s\"%s\": %ld", comma, call->name, call->count);
        comma = ", ";
    }
    fprintf(out, "}}");
    int length = (int)ftell(out);
    fclose(out);
    pthread_mutex_unlock(&lock);
    return length;
}

// At the process's end, where the environment names a file: the same report, when whatever was to be freed has been.
__attribute__((destructor)) static void report_at_exit(void) {
    const char* path = getenv("CATHRT_STUB_REPORT");
    if (!path) return;
    static char text[16384];
    stub_report(text, sizeof text);
    FILE* out = fopen(path, "w");
    if (!out) return;
    fputs(text, out);
    fclose(out);
}
