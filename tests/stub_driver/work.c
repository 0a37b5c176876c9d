// Streams with their queues, events, and capture into graphs.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "stub.h"

struct queue {
    struct work *first, *last;
};

struct CUstream_st {
    struct queue queue;
    int priority;
    CUgraph recording;  // NULL: none
    int spoilt;         // a forbidden call came while it recorded
    CUstream next;
};

struct CUevent_st {
    CUstream stream;
    long recorded, reached;  // the how-manieth record() was asked for, and done
    struct timespec time;
    int references;  // the handle and each piece of queued work that names it
};

struct CUgraph_st {
    struct queue queue;
};

struct CUgraphExec_st {
    struct queue queue;
};

static CUstream streams;

static void append(struct queue* queue, const struct work* work) {
    struct work* copy = malloc(sizeof *copy);
    *copy = *work;
    copy->next = NULL;
    if (copy->event) copy->event->references++;
    if (queue->last)
        queue->last->next = copy;
    else
        queue->first = copy;
    queue->last = copy;
}

static void let_go(CUevent event) {
    if (event && --event->references == 0) free(event);
}

static void drop_first(struct queue* queue) {
    struct work* work = queue->first;
    queue->first = work->next;
    if (!queue->first) queue->last = NULL;
    let_go(work->event);
    free(work);
}

static void drop_all(struct queue* queue) {
    while (queue->first) drop_first(queue);
}

static int reach(CUevent event, long moment);

static void perform(const struct work* work) {
    if (work->poison) {
        stub_lost = work->poison;
        return;
    }
    // What was alive when the work was queued may be gone by now.
    int alive = work->kind == WORK_UPLOAD || work->kind == WORK_FILL ? stub_within(KIND_MEMORY, work->to, work->bytes)
                : work->kind == WORK_DOWNLOAD                        ? stub_within(KIND_MEMORY, work->from, work->bytes)
                                                                     : 1;
    if (!alive) {
        stub_lost = CUDA_ERROR_ILLEGAL_ADDRESS;
        return;
    }
    switch (work->kind) {
        case WORK_UPLOAD:
        case WORK_DOWNLOAD:
            memcpy((void*)(uintptr_t)work->to, (const void*)(uintptr_t)work->from, work->bytes);
            break;
        case WORK_FILL:
            memset((void*)(uintptr_t)work->to, work->value, work->bytes);
            break;
        case WORK_LAUNCH:
            stub_run_kernel(work->kernel, work->arguments);
            break;
        case WORK_RECORD:
            work->event->reached = work->moment;
            clock_gettime(CLOCK_MONOTONIC, &work->event->time);
            break;
        case WORK_WAIT:
            break;
    }
}

// One piece of work; 0 where it never ends, or waits for what never does.
static int step(CUstream stream) {
    struct work* work = stream->queue.first;
    if (work->stuck || (work->kind == WORK_WAIT && !reach(work->event, work->moment))) return 0;
    if (!stub_lost) perform(work);
    if (stub_lost)
        for (CUstream other = streams; other; other = other->next) drop_all(&other->queue);
    else
        drop_first(&stream->queue);
    return 1;
}

static void finish(CUstream stream) {
    while (stream->queue.first)
        if (!step(stream)) stub_hang();
}

// A stream may have gone, or lost its work with the device, before the event was reached.
static int has_work(CUevent event) { return stub_find(KIND_STREAM, event->stream) && event->stream->queue.first; }

// 0 where the event's stream is held up before it.
static int reach(CUevent event, long moment) {
    while (event->reached < moment && has_work(event))
        if (!step(event->stream)) return 0;
    return 1;
}

void stub_drop_stuck(void) {
    for (CUstream stream = streams; stream; stream = stream->next) {
        if (stream->queue.first && stream->queue.first->stuck) drop_all(&stream->queue);
        if (!stream->recording) continue;
        drop_all(&stream->recording->queue);  // whoever recorded hangs
        free(stream->recording);
        stream->recording = NULL;
    }
}

void stub_finish_all(void) {
    for (CUstream stream = streams; stream; stream = stream->next) finish(stream);
}

int stub_may_not_capture(void) {
    int refusal = 0;
    for (CUstream stream = streams; stream; stream = stream->next)
        if (stream->recording) {
            stream->spoilt = 1;
            refusal = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
        }
    return refusal;
}

CUresult stub_queue(CUstream stream, const struct work* work) {
    if (!stub_find(KIND_STREAM, stream)) return CUDA_ERROR_INVALID_HANDLE;
    struct work poisoned = *work;  // as recorded into a graph, perhaps
    if (!poisoned.poison) poisoned.poison = stub_poison;
    poisoned.stuck |= stub_stuck;
    append(stream->recording ? &stream->recording->queue : &stream->queue, &poisoned);
    return CUDA_SUCCESS;
}

EXPORTED CUresult cuStreamCreateWithPriority(CUstream* stream, unsigned int flags, int priority) {
    CALL("cuStreamCreateWithPriority", CLASS_OPEN);
    (void)flags;
    if (!stub_has_context()) return CUDA_ERROR_INVALID_CONTEXT;
    CUstream made = calloc(1, sizeof *made);
    made->priority = priority;
    made->next = streams;
    streams = made;
    stub_add(KIND_STREAM, made, 0);
    *stream = made;
    return CUDA_SUCCESS;
}

EXPORTED CUresult cuStreamGetPriority(CUstream stream, int* priority) {
    CALL("cuStreamGetPriority", CLASS_QUERY);
    if (!stub_find(KIND_STREAM, stream)) return CUDA_ERROR_INVALID_HANDLE;
    *priority = stream->priority;
    return CUDA_SUCCESS;
}

EXPORTED CUresult cuStreamDestroy(CUstream stream) {
    FREEING("cuStreamDestroy", CLASS_OPEN);
    if (!stub_remove(KIND_STREAM, stream)) return CUDA_ERROR_INVALID_HANDLE;
    finish(stream);
    CUstream* link = &streams;
    while (*link != stream) link = &(*link)->next;
    *link = stream->next;
    if (stream->recording) {
        stub_misuse("destroyed a stream that still records");
        drop_all(&stream->recording->queue);
        free(stream->recording);
    }
    free(stream);
    return refused;
}

EXPORTED CUresult cuStreamSynchronize(CUstream stream) {
    CALL("cuStreamSynchronize", CLASS_SYNCHRONISE);
    if (!stub_find(KIND_STREAM, stream)) return CUDA_ERROR_INVALID_HANDLE;
    if (stream->recording) return stub_may_not_capture();
    finish(stream);
    return stub_lost;
}

// A host that asks again and again must get there: each question does one piece of work.
EXPORTED CUresult cuStreamQuery(CUstream stream) {
    CALL("cuStreamQuery", CLASS_SYNCHRONISE);
    if (!stub_find(KIND_STREAM, stream)) return CUDA_ERROR_INVALID_HANDLE;
    if (stream->recording) return stub_may_not_capture();
    if (!stream->queue.first) return CUDA_SUCCESS;
    step(stream);
    return stub_lost ? stub_lost : CUDA_ERROR_NOT_READY;
}

EXPORTED CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned int flags) {
    CALL("cuStreamWaitEvent", CLASS_EVENT);
    if (flags) return CUDA_ERROR_INVALID_VALUE;
    if (!stub_find(KIND_EVENT, event)) return CUDA_ERROR_INVALID_HANDLE;
    struct work work = {.kind = WORK_WAIT, .event = event, .moment = event->recorded};
    return stub_queue(stream, &work);
}

EXPORTED CUresult cuEventCreate(CUevent* event, unsigned int flags) {
    CALL("cuEventCreate", CLASS_EVENT);
    if (flags) return CUDA_ERROR_INVALID_VALUE;  // timed, and waited for without blocking: all that cathrt asks for
    CUevent made = calloc(1, sizeof *made);
    made->references = 1;
    stub_add(KIND_EVENT, made, 0);
    *event = made;
    return CUDA_SUCCESS;
}

EXPORTED CUresult cuEventDestroy(CUevent event) {
    FREEING("cuEventDestroy", CLASS_EVENT);
    if (!stub_remove(KIND_EVENT, event)) return CUDA_ERROR_INVALID_HANDLE;
    let_go(event);
    return refused;
}

EXPORTED CUresult cuEventRecord(CUevent event, CUstream stream) {
    CALL("cuEventRecord", CLASS_EVENT);
    if (!stub_find(KIND_EVENT, event)) return CUDA_ERROR_INVALID_HANDLE;
    if (!stub_find(KIND_STREAM, stream)) return CUDA_ERROR_INVALID_HANDLE;
    event->stream = stream;
    struct work work = {.kind = WORK_RECORD, .event = event, .moment = ++event->recorded};
    return stub_queue(stream, &work);
}

EXPORTED CUresult cuEventQuery(CUevent event) {
    CALL("cuEventQuery", CLASS_EVENT);
    if (!stub_find(KIND_EVENT, event)) return CUDA_ERROR_INVALID_HANDLE;
    if (event->reached == event->recorded) return CUDA_SUCCESS;
    if (!has_work(event)) return CUDA_ERROR_UNKNOWN;
    step(event->stream);
    return stub_lost ? stub_lost : CUDA_ERROR_NOT_READY;
}

EXPORTED CUresult cuEventSynchronize(CUevent event) {
    CALL("cuEventSynchronize", CLASS_SYNCHRONISE);
    if (!stub_find(KIND_EVENT, event)) return CUDA_ERROR_INVALID_HANDLE;
    if (!reach(event, event->recorded)) stub_hang();
    return stub_lost || event->reached == event->recorded ? stub_lost : CUDA_ERROR_UNKNOWN;
}

EXPORTED CUresult cuEventElapsedTime(float* elapsed_ms, CUevent begin, CUevent end) {
    CALL("cuEventElapsedTime", CLASS_EVENT);
    if (!stub_find(KIND_EVENT, begin) || !stub_find(KIND_EVENT, end)) return CUDA_ERROR_INVALID_HANDLE;
    if (!begin->recorded || !end->recorded) return CUDA_ERROR_INVALID_HANDLE;
    if (begin->reached != begin->recorded || end->reached != end->recorded) return CUDA_ERROR_NOT_READY;
    *elapsed_ms = (float)((double)(end->time.tv_sec - begin->time.tv_sec) * 1e3 +
                          (double)(end->time.tv_nsec - begin->time.tv_nsec) * 1e-6);
    return CUDA_SUCCESS;
}

EXPORTED CUresult cuStreamBeginCapture(CUstream stream, CUstreamCaptureMode mode) {
    CALL("cuStreamBeginCapture", CLASS_GRAPH);
    (void)mode;
    if (!stub_find(KIND_STREAM, stream)) return CUDA_ERROR_INVALID_HANDLE;
    if (stream->recording) return CUDA_ERROR_ILLEGAL_STATE;
    stream->recording = calloc(1, sizeof *stream->recording);
    stream->spoilt = 0;
    return CUDA_SUCCESS;
}

EXPORTED CUresult cuStreamEndCapture(CUstream stream, CUgraph* graph) {
    FREEING("cuStreamEndCapture", CLASS_GRAPH);
    *graph = NULL;
    if (!stub_find(KIND_STREAM, stream)) return CUDA_ERROR_INVALID_HANDLE;
    CUgraph recorded = stream->recording;
    if (!recorded) return CUDA_ERROR_ILLEGAL_STATE;
    stream->recording = NULL;
    if (refused || stream->spoilt) {
        drop_all(&recorded->queue);
        free(recorded);
        return refused ? refused : CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    }
    stub_add(KIND_GRAPH, recorded, 0);
    *graph = recorded;
    return CUDA_SUCCESS;
}

EXPORTED CUresult cuGraphDestroy(CUgraph graph) {
    FREEING("cuGraphDestroy", CLASS_GRAPH);
    if (!stub_remove(KIND_GRAPH, graph)) return CUDA_ERROR_INVALID_VALUE;
    drop_all(&graph->queue);
    free(graph);
    return refused;
}

EXPORTED CUresult cuGraphInstantiate(CUgraphExec* executable, CUgraph graph, unsigned long long flags) {
    CALL("cuGraphInstantiateWithFlags", CLASS_GRAPH);
    if (flags || !stub_find(KIND_GRAPH, graph)) return CUDA_ERROR_INVALID_VALUE;
    CUgraphExec made = calloc(1, sizeof *made);
    for (const struct work* work = graph->queue.first; work; work = work->next) append(&made->queue, work);
    stub_add(KIND_EXECUTABLE, made, 0);
    *executable = made;
    return CUDA_SUCCESS;
}

EXPORTED CUresult cuGraphUpload(CUgraphExec executable, CUstream stream) {
    CALL("cuGraphUpload", CLASS_GRAPH);
    if (!stub_find(KIND_EXECUTABLE, executable)) return CUDA_ERROR_INVALID_VALUE;
    return stub_find(KIND_STREAM, stream) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

EXPORTED CUresult cuGraphLaunch(CUgraphExec executable, CUstream stream) {
    CALL("cuGraphLaunch", CLASS_GRAPH);
    if (!stub_find(KIND_EXECUTABLE, executable)) return CUDA_ERROR_INVALID_VALUE;
    CUresult result = CUDA_SUCCESS;
    for (const struct work* work = executable->queue.first; work && !result; work = work->next)
        result = stub_queue(stream, work);
    return result;
}

EXPORTED CUresult cuGraphExecDestroy(CUgraphExec executable) {
    FREEING("cuGraphExecDestroy", CLASS_GRAPH);
    if (!stub_remove(KIND_EXECUTABLE, executable)) return CUDA_ERROR_INVALID_VALUE;
    drop_all(&executable->queue);
    free(executable);
    return refused;
}
