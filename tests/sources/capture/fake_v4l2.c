// A V4L2 capture device for programs that preload this: /dev/video-fake, 64 x 64, YUYV, 50 pictures a second.
// Picture n shows n in its first twelve blocks of 16 x 16. After FAKE_V4L2_PICTURES of them it gives none any more.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { kSide = 64, kBlock = 16, kBuffers = 4, kBytes = kSide * kSide * 2, kRate = 50 };

static int device = -1;
static unsigned char* memory;
static long given;
static int queued[kBuffers], first, waiting;
static double start;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static int open_fake(void) {
    device = memfd_create("fake-v4l2", 0);
    if (ftruncate(device, kBuffers * kBytes)) return -1;
    memory = mmap(NULL, kBuffers * kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, device, 0);
    given = first = waiting = 0;
    return device;
}

static int real_open(const char* name, const char* path, int flags, mode_t mode) {
    int (*next)(const char*, int, ...) = (int (*)(const char*, int, ...))dlsym(RTLD_NEXT, name);
    return next(path, flags, mode);
}

int open(const char* path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = va_arg(rest, mode_t);
    va_end(rest);
    return strcmp(path, "/dev/video-fake") ? real_open("open", path, flags, mode) : open_fake();
}

int open64(const char* path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = va_arg(rest, mode_t);
    va_end(rest);
    return strcmp(path, "/dev/video-fake") ? real_open("open64", path, flags, mode) : open_fake();
}

static void draw(unsigned char* pixels, long number) {
    for (int i = 0; i < kBytes; ++i) pixels[i] = 128;
    for (int row = 0; row < 3 * kBlock; ++row)
        for (int column = 0; column < kSide; ++column) {
            int bit = row / kBlock * 4 + column / kBlock;
            pixels[(row * kSide + column) * 2] = number >> bit & 1 ? 220 : 40;
        }
}

static int dequeue(struct v4l2_buffer* buffer) {
    const char* most = getenv("FAKE_V4L2_PICTURES");
    double due = start + (double)given / kRate;
    if (!waiting || (most && given >= atol(most)) || now() < due) {
        errno = EAGAIN;
        return -1;
    }
    buffer->index = queued[first];
    first = (first + 1) % kBuffers;
    --waiting;
    draw(memory + buffer->index * kBytes, given++);
    buffer->bytesused = kBytes;
    buffer->flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    buffer->timestamp.tv_sec = (long)due;
    buffer->timestamp.tv_usec = (long)((due - (long)due) * 1e6);
    return 0;
}

static int set_format(struct v4l2_format* format) {
    format->fmt.pix.width = format->fmt.pix.height = kSide;
    format->fmt.pix.pixelformat = V4L2_PIX_FMT_YUYV;
    format->fmt.pix.field = V4L2_FIELD_NONE;
    format->fmt.pix.bytesperline = kSide * 2;
    format->fmt.pix.sizeimage = kBytes;
    return 0;
}

static int answer(unsigned long request, void* argument) {
    struct v4l2_buffer* buffer = argument;
    struct v4l2_capability* capability = argument;
    struct v4l2_streamparm* parameters = argument;
    switch ((unsigned)request) {
        case VIDIOC_QUERYCAP:
            memset(capability, 0, sizeof *capability);
            strcpy((char*)capability->driver, "fake");
            capability->capabilities = capability->device_caps = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
            return 0;
        case VIDIOC_G_INPUT:
            *(int*)argument = 0;
            return 0;
        case VIDIOC_ENUMINPUT:
            memset(argument, 0, sizeof(struct v4l2_input));
            return 0;
        case VIDIOC_G_FMT:
        case VIDIOC_S_FMT:
        case VIDIOC_TRY_FMT:
            return set_format(argument);
        case VIDIOC_G_PARM:
        case VIDIOC_S_PARM:
            parameters->parm.capture.capability = V4L2_CAP_TIMEPERFRAME;
            parameters->parm.capture.timeperframe = (struct v4l2_fract){1, kRate};
            return 0;
        case VIDIOC_REQBUFS:
            ((struct v4l2_requestbuffers*)argument)->count = kBuffers;
            return 0;
        case VIDIOC_QUERYBUF:
            buffer->length = kBytes;
            buffer->m.offset = buffer->index * kBytes;
            return 0;
        case VIDIOC_QBUF:
            queued[(first + waiting++) % kBuffers] = buffer->index;
            return 0;
        case VIDIOC_STREAMON:
            start = now();
            return 0;
        case VIDIOC_STREAMOFF:
            return 0;
        case VIDIOC_DQBUF:
            return dequeue(buffer);
        default:
            errno = ENOTTY;
            return -1;
    }
}

int ioctl(int fd, unsigned long request, ...) {
    va_list rest;
    va_start(rest, request);
    void* argument = va_arg(rest, void*);
    va_end(rest);
    if (fd == device && (request >> 8 & 0xff) == 'V') return answer(request, argument);
    int (*next)(int, unsigned long, ...) = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
    return next(fd, request, argument);
}
