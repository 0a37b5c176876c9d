// What this driver knows. A function that is not in the table is not found: nobody goes on with one that does nothing.
#include <string.h>

#include "stub.h"

#define ENTRY(name) {#name, (void*)name}

static const struct {
    const char* name;
    void* function;
} known[] = {
    ENTRY(cuInit),
    ENTRY(cuDriverGetVersion),
    ENTRY(cuDeviceGetCount),
    ENTRY(cuDeviceGet),
    ENTRY(cuDeviceGetName),
    ENTRY(cuDeviceGetAttribute),
    ENTRY(cuDevicePrimaryCtxRetain),
    ENTRY(cuDevicePrimaryCtxRelease),
    ENTRY(cuCtxSetCurrent),
    ENTRY(cuCtxGetCurrent),
    ENTRY(cuCtxGetStreamPriorityRange),
    ENTRY(cuMemAlloc),
    ENTRY(cuMemFree),
    ENTRY(cuMemHostRegister),
    ENTRY(cuMemHostUnregister),
    ENTRY(cuMemcpyHtoDAsync),
    ENTRY(cuMemcpyDtoHAsync),
    ENTRY(cuMemsetD8Async),
    ENTRY(cuStreamCreateWithPriority),
    ENTRY(cuStreamGetPriority),
    ENTRY(cuStreamDestroy),
    ENTRY(cuStreamSynchronize),
    ENTRY(cuStreamQuery),
    ENTRY(cuStreamWaitEvent),
    ENTRY(cuEventCreate),
    ENTRY(cuEventDestroy),
    ENTRY(cuEventRecord),
    ENTRY(cuEventQuery),
    ENTRY(cuEventSynchronize),
    ENTRY(cuEventElapsedTime),
    ENTRY(cuStreamBeginCapture),
    ENTRY(cuStreamEndCapture),
    ENTRY(cuGraphDestroy),
    ENTRY(cuGraphInstantiateWithFlags),
    ENTRY(cuGraphUpload),
    ENTRY(cuGraphLaunch),
    ENTRY(cuGraphExecDestroy),
    ENTRY(cuLibraryLoadData),
    ENTRY(cuLibraryUnload),
    ENTRY(cuLibraryGetKernel),
    ENTRY(cuKernelGetParamInfo),
    ENTRY(cuLaunchKernelEx),
    ENTRY(cuGetErrorName),
    ENTRY(cuGetProcAddress),
};

EXPORTED CUresult cuGetErrorName(CUresult result, const char** name) {
    *name = NULL;
#define RESULT(result_name, number) \
    if ((int)result == number) *name = #result_name;
#include "results.h"
#undef RESULT
    return *name ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

EXPORTED CUresult cuGetProcAddress(const char* name, void** function, int version, cuuint64_t flags,
                                   CUdriverProcAddressQueryResult* status) {
    (void)version, (void)flags;
    *function = NULL;
    for (size_t number = 0; number < sizeof known / sizeof *known; number++)
        if (!strcmp(known[number].name, name)) *function = known[number].function;
    if (status) *status = *function ? CU_GET_PROC_ADDRESS_SUCCESS : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
    return *function || status ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}
