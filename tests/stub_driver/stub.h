// What the files of the stub driver share: how an entry point begins, which objects are alive, and the queued work.
#pragma once

#include "abi.h"

#define EXPORTED __attribute__((visibility("default")))

// Faults are injected by the name of a call or by its class.
enum call_class {
    CLASS_QUERY,
    CLASS_OPEN,
    CLASS_ALLOCATE,
    CLASS_COPY,
    CLASS_LAUNCH,
    CLASS_EVENT,
    CLASS_SYNCHRONISE,
    CLASS_GRAPH,
    CLASSES
};

struct call {
    const char* name;
    enum call_class class;
    long count;
    struct call* next;
};

// Every entry point opens with one of these. CALL ends it where a fault is due or the device is lost; FREEING goes on
// and frees all the same, as a driver does that reports an earlier failure, and must then return `refused`.
#define FREEING(call_name, call_class_)                                 \
    static struct call call_record = {call_name, call_class_, 0, NULL}; \
    __attribute__((cleanup(stub_leave))) int refused = stub_enter(&call_record)
#define CALL(call_name, call_class_) \
    FREEING(call_name, call_class_); \
    if (refused) return refused

int stub_enter(struct call* call);  // takes the one lock; the answer to give, or 0
int stub_has_context(void);         // on this thread; whoever allocates, copies, launches or waits needs one
void stub_leave(int* refused);

enum kind { KIND_MEMORY, KIND_PINNED, KIND_STREAM, KIND_EVENT, KIND_GRAPH, KIND_EXECUTABLE, KIND_LIBRARY, KINDS };

struct object {
    enum kind kind;
    unsigned long long address;
    size_t bytes;
    struct object* next;
};

void stub_add(enum kind kind, const void* address, size_t bytes);
struct object* stub_find(enum kind kind, const void* address);
int stub_remove(enum kind kind, const void* address);  // 0, and a misuse noted, where it is not alive
int stub_within(enum kind kind, unsigned long long address, size_t bytes);  // wholly inside one such object
size_t stub_bytes(enum kind kind);
void stub_misuse(const char* what);

extern int stub_lost;       // after a fatal error: every call's answer
extern int stub_poison;     // the failure that the next piece of queued work is to end in
extern int stub_stuck;      // or 1: it is never to end
extern size_t stub_budget;  // bytes of device memory

// Work is not done when asked for but when the host waits for it, as late as the interface allows: a host that reads a
// result too soon, or reuses or frees an array too soon, is found out.
struct work {
    enum { WORK_UPLOAD, WORK_DOWNLOAD, WORK_FILL, WORK_LAUNCH, WORK_RECORD, WORK_WAIT } kind;
    unsigned long long to, from;
    size_t bytes;
    int value;
    int poison;
    int stuck;
    CUevent event;
    long moment;
    CUkernel kernel;
    unsigned char arguments[256];
    struct work* next;
};

CUresult stub_queue(CUstream stream, const struct work* work);  // or record, while the stream captures
void stub_finish_all(void);
void stub_drop_stuck(void);  // the queues of streams that stuck work holds up, and recordings that nobody ends
__attribute__((noreturn)) void stub_hang(void);  // lets the lock go and never returns
// While a stream captures this spoils its capture and answers CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED; otherwise 0.
int stub_may_not_capture(void);
void stub_run_kernel(CUkernel kernel, const unsigned char* arguments);
