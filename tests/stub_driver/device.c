// One device that computes nothing and says so in its name, its context, and the table of what this driver knows.
#include <stdio.h>
#include <stdlib.h>

#include "stub.h"

struct CUctx_st {
    long retained;
};

static struct CUctx_st primary;
static int initialised;
static __thread CUcontext current;

static int setting(const char* name, int otherwise) {
    const char* text = getenv(name);
    return text ? atoi(text) : otherwise;
}

EXPORTED CUresult cuInit(unsigned int flags) {
    CALL("cuInit", CLASS_OPEN);
    if (flags) return CUDA_ERROR_INVALID_VALUE;
    if (setting("CATHRT_STUB_DEVICES", 1) < 1) return CUDA_ERROR_NO_DEVICE;
    initialised = 1;
    return CUDA_SUCCESS;
}

EXPORTED CUresult cuDriverGetVersion(int* version) {
    CALL("cuDriverGetVersion", CLASS_QUERY);
    *version = 13000;
    return CUDA_SUCCESS;
}

EXPORTED CUresult cuDeviceGetCount(int* count) {
    CALL("cuDeviceGetCount", CLASS_OPEN);
    if (!initialised) return CUDA_ERROR_NOT_INITIALIZED;
    *count = setting("CATHRT_STUB_DEVICES", 1);
    return CUDA_SUCCESS;
}

EXPORTED CUresult cuDeviceGet(CUdevice* device, int ordinal) {
    CALL("cuDeviceGet", CLASS_OPEN);
    if (!initialised) return CUDA_ERROR_NOT_INITIALIZED;
    if (ordinal < 0 || ordinal >= setting("CATHRT_STUB_DEVICES", 1)) return CUDA_ERROR_INVALID_DEVICE;
    *device = ordinal;
    return CUDA_SUCCESS;
}

EXPORTED CUresult cuDeviceGetName(char* name, int length, CUdevice device) {
    CALL("cuDeviceGetName", CLASS_OPEN);
    snprintf(name, (size_t)length, "STUB %d (computes nothing)", device);
    return CUDA_SUCCESS;
}

EXPORTED CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice device) {
    CALL("cuDeviceGetAttribute", CLASS_OPEN);
    if (device < 0 || device >= setting("CATHRT_STUB_DEVICES", 1)) return CUDA_ERROR_INVALID_DEVICE;
    int sm = setting("CATHRT_STUB_SM", 86);
    if ((int)attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)
        *value = sm / 10;
    else if ((int)attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)
        *value = sm % 10;
    else
        return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

EXPORTED CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
    CALL("cuDevicePrimaryCtxRetain", CLASS_OPEN);
    if (device) return CUDA_ERROR_INVALID_DEVICE;
    primary.retained++;
    *context = &primary;
    return CUDA_SUCCESS;
}

EXPORTED CUresult cuDevicePrimaryCtxRelease(CUdevice device) {
    FREEING("cuDevicePrimaryCtxRelease", CLASS_OPEN);
    if (device || primary.retained-- < 1) stub_misuse("released a context once too often");
    return refused;
}

EXPORTED CUresult cuCtxSetCurrent(CUcontext context) {
    CALL("cuCtxSetCurrent", CLASS_OPEN);
    current = context;
    return CUDA_SUCCESS;
}

EXPORTED CUresult cuCtxGetCurrent(CUcontext* context) {
    CALL("cuCtxGetCurrent", CLASS_QUERY);
    *context = current;
    return CUDA_SUCCESS;
}

EXPORTED CUresult cuCtxGetStreamPriorityRange(int* least, int* greatest) {
    CALL("cuCtxGetStreamPriorityRange", CLASS_OPEN);
    if (!current) return CUDA_ERROR_INVALID_CONTEXT;
    if (least) *least = 0;
    if (greatest) *greatest = -5;
    return CUDA_SUCCESS;
}

int stub_has_context(void) { return current != NULL; }
