// Device memory, which is poisoned host memory within a budget, and page-locked host memory.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "stub.h"

#define ALIGNMENT 512

EXPORTED CUresult cuMemAlloc(CUdeviceptr* address, size_t bytes) {
    CALL("cuMemAlloc", CLASS_ALLOCATE);
    int refusal = stub_may_not_capture();
    if (refusal) return refusal;
    if (!bytes) return CUDA_ERROR_INVALID_VALUE;
    if (bytes > stub_budget || stub_bytes(KIND_MEMORY) > stub_budget - bytes) return CUDA_ERROR_OUT_OF_MEMORY;
    void* memory = NULL;
    if (posix_memalign(&memory, ALIGNMENT, bytes)) return CUDA_ERROR_OUT_OF_MEMORY;
    memset(memory, 0xCD, bytes);  // whoever reads what was never written sees it
    stub_add(KIND_MEMORY, memory, bytes);
    *address = (CUdeviceptr)(uintptr_t)memory;
    return CUDA_SUCCESS;
}

EXPORTED CUresult cuMemFree(CUdeviceptr address) {
    FREEING("cuMemFree", CLASS_ALLOCATE);
    stub_finish_all();  // the driver waits here too
    void* memory = (void*)(uintptr_t)address;
    if (!stub_remove(KIND_MEMORY, memory)) return CUDA_ERROR_INVALID_VALUE;
    free(memory);
    return refused ? refused : stub_lost;
}

EXPORTED CUresult cuMemHostRegister(void* address, size_t bytes, unsigned int flags) {
    CALL("cuMemHostRegister", CLASS_ALLOCATE);
    int refusal = stub_may_not_capture();
    if (refusal) return refusal;
    if (!address || !bytes || flags) return CUDA_ERROR_INVALID_VALUE;
    if (stub_find(KIND_PINNED, address)) return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
    stub_add(KIND_PINNED, address, bytes);
    return CUDA_SUCCESS;
}

EXPORTED CUresult cuMemHostUnregister(void* address) {
    FREEING("cuMemHostUnregister", CLASS_ALLOCATE);
    if (!stub_remove(KIND_PINNED, address)) return CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
    return refused;
}

EXPORTED CUresult cuMemcpyHtoDAsync(CUdeviceptr to, const void* from, size_t bytes, CUstream stream) {
    CALL("cuMemcpyHtoDAsync", CLASS_COPY);
    if (!stub_within(KIND_MEMORY, to, bytes)) return CUDA_ERROR_INVALID_VALUE;
    struct work work = {.kind = WORK_UPLOAD, .to = to, .from = (uintptr_t)from, .bytes = bytes};
    return stub_queue(stream, &work);
}

EXPORTED CUresult cuMemcpyDtoHAsync(void* to, CUdeviceptr from, size_t bytes, CUstream stream) {
    CALL("cuMemcpyDtoHAsync", CLASS_COPY);
    if (!stub_within(KIND_MEMORY, from, bytes)) return CUDA_ERROR_INVALID_VALUE;
    struct work work = {.kind = WORK_DOWNLOAD, .to = (uintptr_t)to, .from = from, .bytes = bytes};
    return stub_queue(stream, &work);
}

EXPORTED CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t bytes, CUstream stream) {
    CALL("cuMemsetD8Async", CLASS_COPY);
    if (!stub_within(KIND_MEMORY, to, bytes)) return CUDA_ERROR_INVALID_VALUE;
    struct work work = {.kind = WORK_FILL, .to = to, .bytes = bytes, .value = value};
    return stub_queue(stream, &work);
}
