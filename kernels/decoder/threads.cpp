#include "threads.hpp"

namespace cathrt::decoder {
namespace {

// Some tenths of a millisecond: waking a thread costs a tenth, and a decoder's pieces of work follow each other faster.
constexpr int kSpins = 4000;

// Lets the other thread of a core work, and saves power, while this one waits.
void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    asm volatile("yield");
#endif
}

}  // namespace

Threads::Threads(int count) {
    for (int part = 1; part < count; ++part) helpers_.emplace_back([this, part] { help(part); });
}

Threads::~Threads() {
    stop_ = true;
    {
        const std::lock_guard lock(mutex_);
        turn_.fetch_add(1);
    }
    begun_.notify_all();
    for (auto& helper : helpers_) helper.join();
}

void Threads::run(const std::function<void(int)>& work) {
    if (!helpers_.empty()) {
        work_ = &work;
        busy_ = static_cast<int>(helpers_.size());
        {
            const std::lock_guard lock(mutex_);
            turn_.fetch_add(1);
        }
        begun_.notify_all();
    }
    work(0);
    for (int spins = 0; busy_.load() != 0; ++spins) {
        spins > kSpins ? std::this_thread::yield() : pause();
    }
}

void Threads::help(int part) {
    std::uint64_t seen = 0;
    while (true) {
        int spins = 0;
        for (; turn_.load() == seen && spins < kSpins; ++spins) pause();
        if (turn_.load() == seen) {
            std::unique_lock lock(mutex_);
            begun_.wait(lock, [&] { return turn_.load() != seen; });
        }
        seen = turn_.load();
        if (stop_) return;
        (*work_)(part);
        busy_.fetch_sub(1);
    }
}

}  // namespace cathrt::decoder
