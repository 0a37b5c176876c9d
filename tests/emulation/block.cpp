// The scheduler of a block's threads: see block.hpp. Built without instrumentation, so that sanitizers see the kernels
// alone. A thread runs until it must wait; then the next that has not begun, or else the next that is ready, goes on.
#include "block.hpp"

#include <algorithm>
#include <bit>
#include <deque>
#include <exception>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "fibers.hpp"
#include "sanitizers.hpp"
#include "shared_memory.hpp"
#include "warp.hpp"

uint3 threadIdx, blockIdx, blockDim, gridDim;

namespace cathrt::emulation {
namespace {

enum class State : unsigned char { ready, at_barrier, in_warp, done };

struct Thread {
    Fiber fiber;
    State state = State::done;
    unsigned number = 0;  // x fastest, then y, then z
    uint3 index{};
    bool fenced = false;
    std::set<void*> touched;  // by its atomics

    Thread() = default;
    explicit Thread(void (*body)()) : fiber(body) {}
};

struct Unwound {};  // thrown in every suspended thread after an error

class Block {
  public:
    void launch(const Kernel& kernel, const Shape& shape, const std::uint64_t* arguments);
    Votes barrier(Site& site, bool vote);
    Lanes meet(WarpOperation operation, unsigned mask, std::uint64_t given);
    void give_way();
    void fence();
    void touched(void* address);
    void* dynamic_shared() { return shared_.dynamic(); }
    [[noreturn]] void fail(const std::string& what);

    std::uint32_t seed = 0;

  private:
    [[noreturn]] static void thread_main();
    void run_block();
    void draw_order();
    void add_fiber();
    Thread& begin_thread();
    void end_thread(Thread& thread);
    Thread& pick();
    void go_on_with(Thread& next);
    void suspend();
    void make_ready(Thread& thread);
    void release_barrier();
    void release_warp(unsigned warp);
    void unwind();
    std::string stuck() const;

    const Kernel* kernel_ = nullptr;
    const std::uint64_t* arguments_ = nullptr;
    unsigned threads_ = 0, begun_ = 0, exited_ = 0;
    std::uint64_t blocks_run_ = 0;

    Thread launcher_;
    Thread* running_ = &launcher_;
    std::vector<std::unique_ptr<Thread>> pool_;
    std::deque<Thread*> resting_, ready_;
    std::vector<Thread*> by_number_;  // null before the thread begins and after it ends
    std::vector<unsigned> order_;     // in which the threads begin and leave a barrier
    std::vector<Warp> warps_;
    std::exception_ptr failure_;

    unsigned at_barrier_ = 0;
    const Site* barrier_site_ = nullptr;
    Votes counting_{}, counted_{};

    SharedMemory shared_;

    char start_sync_ = 0, end_sync_ = 0, barrier_sync_ = 0;  // addresses that stand for an order
};

Block block;

std::string text(const uint3& at) {
    return "(" + std::to_string(at.x) + ", " + std::to_string(at.y) + ", " + std::to_string(at.z) + ")";
}

void Block::fail(const std::string& what) {
    throw Error(std::string(kernel_->name) + ", block " + text(blockIdx) + ", thread " + text(threadIdx) + ": " + what);
}

// ---- threads and fibers -------------------------------------------------------------------------------------------

void Block::thread_main() {
    Fiber::began();
    for (;;) {
        acquire(&block.start_sync_);
        std::exception_ptr failure;
        try {
            block.kernel_->run_thread(block.arguments_);
        } catch (const Unwound&) {
            // the launch already knows
        } catch (...) {
            failure = std::current_exception();
        }
        release(&block.end_sync_);
        Quiet quiet;
        if (failure && !block.failure_) block.failure_ = failure;
        block.end_thread(*block.running_);
        block.go_on_with(block.pick());
    }
}

void Block::add_fiber() {
    pool_.push_back(std::make_unique<Thread>(thread_main));
    resting_.push_back(pool_.back().get());
}

Thread& Block::begin_thread() {
    // The fiber that rested last is warm in the cache. ThreadSanitizer gets the one that rested longest, so that
    // threads of neighbouring blocks are not the same to it either.
    if (resting_.empty()) add_fiber();
    Thread& thread = one_fiber_a_thread ? *resting_.front() : *resting_.back();
    one_fiber_a_thread ? resting_.pop_front() : resting_.pop_back();
    thread.number = order_[begun_++];
    thread.index = {thread.number % blockDim.x, thread.number / blockDim.x % blockDim.y,
                    thread.number / (blockDim.x * blockDim.y)};
    thread.fenced = false;
    thread.touched.clear();
    by_number_[thread.number] = &thread;
    return thread;
}

void Block::end_thread(Thread& thread) {
    thread.state = State::done;
    by_number_[thread.number] = nullptr;
    resting_.push_back(&thread);
    ++exited_;
    if (failure_) return;
    // Those that waited for it alone need wait no longer.
    warps_[thread.number / warp_lanes].exit(thread.number % warp_lanes);
    release_warp(thread.number / warp_lanes);
    if (at_barrier_ > 0 && at_barrier_ + exited_ == threads_) release_barrier();
}

// Who runs next; the launcher when nobody can, or after an error.
Thread& Block::pick() {
    if (failure_) return launcher_;
    if (begun_ < threads_) return begin_thread();
    if (ready_.empty()) return launcher_;
    Thread& next = *ready_.front();
    ready_.pop_front();
    return next;
}

void Block::go_on_with(Thread& next) {
    Thread& last = *running_;
    running_ = &next;
    threadIdx = next.index;
    if (&next != &last) last.fiber.switch_to(next.fiber);
}

// The running thread, whose state says why, lets others go on; it may be ready at once itself.
void Block::suspend() {
    go_on_with(pick());
    if (failure_) throw Unwound();
}

void Block::make_ready(Thread& thread) {
    thread.state = State::ready;
    ready_.push_back(&thread);
}

void Block::give_way() {
    Quiet quiet;
    make_ready(*running_);
    suspend();
}

// ---- synchronisation ----------------------------------------------------------------------------------------------

Votes Block::barrier(Site& site, bool vote) {
    Quiet quiet;
    if (at_barrier_ == 0) {
        barrier_site_ = &site;
        counting_ = {0, 1, 0};
    } else if (barrier_site_ != &site && name_of(*barrier_site_) != name_of(site)) {
        fail("waits at " + name_of(site) + " while others wait at " + name_of(*barrier_site_));
    }
    counting_.count += vote;
    counting_.all &= vote;
    counting_.any |= vote;
    release(&barrier_sync_);
    running_->state = State::at_barrier;
    if (++at_barrier_ + exited_ == threads_) release_barrier();
    suspend();
    acquire(&barrier_sync_);
    return counted_;
}

void Block::release_barrier() {
    counted_ = counting_;
    at_barrier_ = 0;
    for (unsigned number : order_) {
        Thread* thread = by_number_[number];
        if (thread != nullptr && thread->state == State::at_barrier) make_ready(*thread);
    }
}

Lanes Block::meet(WarpOperation operation, unsigned mask, std::uint64_t given) {
    Quiet quiet;
    const unsigned warp = running_->number / warp_lanes, lane = running_->number % warp_lanes;
    Meeting& meeting = warps_[warp].arrive(lane, operation, mask, given);
    const bool orders = operation == WarpOperation::synchronise;  // a shuffle or a vote orders no memory
    if (orders) release(&meeting);
    running_->state = State::in_warp;
    release_warp(warp);
    suspend();
    if (orders) acquire(&meeting);
    return {meeting.given, meeting.present, lane};
}

void Block::release_warp(unsigned warp) {
    for (unsigned left = warps_[warp].end_complete_meetings(); left != 0; left &= left - 1) {
        make_ready(*by_number_[warp * warp_lanes + static_cast<unsigned>(std::countr_zero(left))]);
    }
}

// Two fences with an atomic on the same address after the one and before the other order what is around them.
void Block::fence() {
    Quiet quiet;
    for (void* address : running_->touched) acquire(address);
    running_->fenced = true;
}

void Block::touched(void* address) {
    Quiet quiet;
    if (running_->fenced) release(address);
    running_->touched.insert(address);
}

// ---- blocks and launches ------------------------------------------------------------------------------------------

void Block::draw_order() {
    for (unsigned i = 0; i < threads_; ++i) order_[i] = i;
    if (seed == 0) return;
    std::uint64_t state = seed * 0x9E3779B97F4A7C15ull + blocks_run_;
    for (unsigned i = threads_ - 1; i > 0; --i) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        std::swap(order_[i], order_[state % (i + 1)]);
    }
}

std::string Block::stuck() const {
    unsigned in_warp = 0;
    std::string who;
    for (const Thread* thread : by_number_) {
        if (thread == nullptr) continue;
        in_warp += thread->state == State::in_warp;
        if (who.size() < 60) {
            who +=
                " " + text(thread->index) + (thread->state == State::at_barrier ? " at the barrier" : " in its warp");
        }
    }
    std::string what = std::string(kernel_->name) + ", block " + text(blockIdx) + ": deadlock: ";
    what += std::to_string(at_barrier_) + " threads wait at ";
    what += at_barrier_ > 0 ? name_of(*barrier_site_) : std::string("a barrier");
    what +=
        ", " + std::to_string(in_warp) + " in a warp operation, " + std::to_string(exited_) + " have exited; first:";
    return what + who;
}

// Lets every suspended thread leave by an exception, so that the fibers can be used again.
void Block::unwind() {
    for (unsigned number = 0; number < threads_; ++number) {
        if (by_number_[number] != nullptr) go_on_with(*by_number_[number]);
    }
    acquire(&end_sync_);
    std::exception_ptr failure;
    failure.swap(failure_);
    std::rethrow_exception(failure);
}

void Block::run_block() {
    ++blocks_run_;
    begun_ = exited_ = at_barrier_ = 0;
    ready_.clear();
    for (unsigned warp = 0; warp < warps_.size(); ++warp) {
        warps_[warp].begin(std::min(warp_lanes, threads_ - warp * warp_lanes));
    }
    shared_.begin_block();
    draw_order();
    go_on_with(pick());
    if (!failure_ && exited_ != threads_) failure_ = std::make_exception_ptr(Error(stuck()));
    if (failure_) unwind();
}

void Block::launch(const Kernel& kernel, const Shape& shape, const std::uint64_t* arguments) {
    Quiet quiet;
    const uint3 &grid = shape.grid, &threads = shape.block;
    const std::uint64_t count = std::uint64_t{threads.x} * threads.y * threads.z;
    const auto refuse = [&](const std::string& why) {
        throw Error(std::string(kernel.name) + ": grid " + text(grid) + " of " + text(threads) + " threads with " +
                    std::to_string(shape.shared_bytes) + " dynamic shared bytes: " + why);
    };
    if (grid.x == 0 || grid.y == 0 || grid.z == 0 || count == 0) refuse("every extent must be at least 1");
    if (grid.x > 0x7FFFFFFF || grid.y > 65535 || grid.z > 65535) refuse("a grid has at most 2^31 - 1, 65535, 65535");
    if (count > 1024 || threads.x > 1024 || threads.y > 1024 || threads.z > 64) {
        refuse("a block has at most 1024 threads, 64 of them in z");
    }
    if (kernel.threads_allowed != 0 && count > kernel.threads_allowed) {
        refuse("its __launch_bounds__ allow " + std::to_string(kernel.threads_allowed) + " threads");
    }
    if (shape.shared_bytes > 48 * 1024) refuse("at most 49152 bytes of shared memory");
    kernel_ = &kernel;
    arguments_ = arguments;
    threads_ = static_cast<unsigned>(count);
    blockDim = threads;
    gridDim = grid;
    order_.resize(threads_);
    by_number_.assign(threads_, nullptr);
    warps_.clear();
    warps_.resize((threads_ + warp_lanes - 1) / warp_lanes);
    // Made here, not by a thread: what makes a fiber comes before it, to ThreadSanitizer.
    while (one_fiber_a_thread && pool_.size() < threads_ + 64) add_fiber();
    shared_.resize(shape.shared_bytes);
    release(&start_sync_);
    for (blockIdx.z = 0; blockIdx.z < grid.z; ++blockIdx.z) {
        for (blockIdx.y = 0; blockIdx.y < grid.y; ++blockIdx.y) {
            for (blockIdx.x = 0; blockIdx.x < grid.x; ++blockIdx.x) run_block();
        }
    }
    acquire(&end_sync_);
}

}  // namespace

void launch(const Kernel& kernel, const Shape& shape, const std::uint64_t* arguments) {
    block.launch(kernel, shape, arguments);
}

void set_seed(std::uint32_t seed) { block.seed = seed; }

Votes barrier(Site& site, bool vote) {
    if (goes_wrong(site)) return {vote, vote, vote};
    return block.barrier(site, vote);
}

void give_way() { block.give_way(); }

void fence(Site& site) {
    if (!goes_wrong(site)) block.fence();
}

void touched(void* address) { block.touched(address); }

Lanes meet(WarpOperation operation, unsigned int mask, std::uint64_t given) {
    return block.meet(operation, mask, given);
}

void fail(const std::string& what) { block.fail(what); }

void fail(const char* what, int lane) { block.fail(what + std::to_string(lane)); }

void* dynamic_shared() { return block.dynamic_shared(); }

}  // namespace cathrt::emulation
