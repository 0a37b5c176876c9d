// Kernels by name and signature. One is really run, so that results can be told from poison; the others only have their
// launch checked. An image is text, which nothing but this stub loads:
//     STUB IMAGE
//     ingest_kernel p p 4 8        a pointer to device memory (p) or the bytes of a scalar, one a parameter
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stub.h"

#define HEADER "STUB IMAGE\n"
#define PARAMETERS 32
#define RUN_KERNEL "stub_increment_kernel"  // (const unsigned char* from, unsigned char* to, int count): to = from + 1

struct CUkern_st {
    char name[96];
    int parameters;
    int pointer[PARAMETERS];
    size_t bytes[PARAMETERS];
    CUkernel next;
};

struct CUlib_st {
    CUkernel kernels;
};

static CUkernel kernel_from_line(char* line) {
    CUkernel kernel = calloc(1, sizeof *kernel);
    char* rest = NULL;
    char* word = strtok_r(line, " ", &rest);
    snprintf(kernel->name, sizeof kernel->name, "%s", word);
    while ((word = strtok_r(NULL, " ", &rest)) && kernel->parameters < PARAMETERS) {
        kernel->pointer[kernel->parameters] = *word == 'p';
        kernel->bytes[kernel->parameters++] = *word == 'p' ? 8 : (size_t)atoi(word);
    }
    return kernel;
}

EXPORTED CUresult cuLibraryLoadData(CUlibrary* library, const void* code, CUjit_option* jit_options, void** jit_values,
                                    unsigned int jit_count, CUlibraryOption* options, void** values,
                                    unsigned int count) {
    CALL("cuLibraryLoadData", CLASS_OPEN);
    (void)jit_options, (void)jit_values, (void)jit_count, (void)options, (void)values, (void)count;
    if (!stub_has_context()) return CUDA_ERROR_INVALID_CONTEXT;
    if (strncmp(code, HEADER, strlen(HEADER))) return CUDA_ERROR_INVALID_IMAGE;
    CUlibrary made = calloc(1, sizeof *made);
    char* text = strdup((const char*)code + strlen(HEADER));
    char* rest = NULL;
    for (char* line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        CUkernel kernel = kernel_from_line(line);
        kernel->next = made->kernels;
        made->kernels = kernel;
    }
    free(text);
    stub_add(KIND_LIBRARY, made, 0);
    *library = made;
    return CUDA_SUCCESS;
}

EXPORTED CUresult cuLibraryUnload(CUlibrary library) {
    FREEING("cuLibraryUnload", CLASS_OPEN);
    if (!stub_remove(KIND_LIBRARY, library)) return CUDA_ERROR_INVALID_HANDLE;
    for (CUkernel kernel = library->kernels, next; kernel; kernel = next) {
        next = kernel->next;
        free(kernel);
    }
    free(library);
    return refused;
}

EXPORTED CUresult cuLibraryGetKernel(CUkernel* found, CUlibrary library, const char* name) {
    CALL("cuLibraryGetKernel", CLASS_OPEN);
    if (!stub_find(KIND_LIBRARY, library)) return CUDA_ERROR_INVALID_HANDLE;
    for (CUkernel kernel = library->kernels; kernel; kernel = kernel->next)
        if (!strcmp(kernel->name, name)) {
            *found = kernel;
            return CUDA_SUCCESS;
        }
    return CUDA_ERROR_NOT_FOUND;
}

EXPORTED CUresult cuKernelGetParamInfo(CUkernel kernel, size_t index, size_t* offset, size_t* bytes) {
    CALL("cuKernelGetParamInfo", CLASS_OPEN);
    if (index >= (size_t)kernel->parameters) return CUDA_ERROR_INVALID_VALUE;
    size_t begin = 0;
    for (size_t before = 0; before < index; before++) begin += kernel->bytes[before];  // unpadded: nobody here asks
    *offset = begin;
    if (bytes) *bytes = kernel->bytes[index];
    return CUDA_SUCCESS;
}

static int launchable(const CUlaunchConfig* config) {
    return config->gridDimX >= 1 && config->gridDimX <= 2147483647u && config->gridDimY >= 1 &&
           config->gridDimY <= 65535 && config->gridDimZ >= 1 && config->gridDimZ <= 65535 && config->blockDimX >= 1 &&
           config->blockDimX <= 1024 && config->blockDimY >= 1 && config->blockDimY <= 1024 && config->blockDimZ >= 1 &&
           config->blockDimZ <= 64 && config->blockDimX * config->blockDimY * config->blockDimZ <= 1024 &&
           config->sharedMemBytes <= 48 * 1024 && !config->numAttrs;
}

EXPORTED CUresult cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction function, void** arguments, void** extra) {
    CALL("cuLaunchKernelEx", CLASS_LAUNCH);
    if (extra || !launchable(config)) return CUDA_ERROR_INVALID_VALUE;
    struct work work = {.kind = WORK_LAUNCH, .kernel = (CUkernel)function};
    size_t at = 0;
    for (int number = 0; number < work.kernel->parameters; number++) {
        if (at + work.kernel->bytes[number] > sizeof work.arguments) return CUDA_ERROR_INVALID_VALUE;
        memcpy(work.arguments + at, arguments[number], work.kernel->bytes[number]);
        CUdeviceptr pointer = 0;
        memcpy(&pointer, work.arguments + at, work.kernel->pointer[number] ? sizeof pointer : 0);
        // A kernel may be given no memory, but never memory that is not the device's.
        if (pointer && !stub_within(KIND_MEMORY, pointer, 1)) return CUDA_ERROR_INVALID_VALUE;
        at += work.kernel->bytes[number];
    }
    return stub_queue(config->hStream, &work);
}

void stub_run_kernel(CUkernel kernel, const unsigned char* arguments) {
    if (strcmp(kernel->name, RUN_KERNEL)) return;
    CUdeviceptr from, to;
    int count;
    memcpy(&from, arguments, sizeof from);
    memcpy(&to, arguments + sizeof from, sizeof to);
    memcpy(&count, arguments + sizeof from + sizeof to, sizeof count);
    if (!stub_within(KIND_MEMORY, from, (size_t)count) || !stub_within(KIND_MEMORY, to, (size_t)count)) {
        stub_lost = CUDA_ERROR_ILLEGAL_ADDRESS;
        return;
    }
    for (int i = 0; i < count; i++)
        ((unsigned char*)(uintptr_t)to)[i] = (unsigned char)(((const unsigned char*)(uintptr_t)from)[i] + 1);
}
