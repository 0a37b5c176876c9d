// Threads that wait for short pieces of work, again and again. Not for: long or blocking work.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace cathrt::decoder {

// run() calls the work once for each of count() parts, one of them in the calling thread, and returns when all are
// done. One caller at a time.
class Threads {
  public:
    explicit Threads(int count);
    ~Threads();
    Threads(const Threads&) = delete;
    Threads& operator=(const Threads&) = delete;

    int count() const { return static_cast<int>(helpers_.size()) + 1; }
    void run(const std::function<void(int)>& work);

  private:
    void help(int part);

    std::vector<std::thread> helpers_;
    std::atomic<std::uint64_t> turn_{0};
    std::atomic<int> busy_{0};
    std::atomic<bool> stop_{false};
    const std::function<void(int)>* work_ = nullptr;
    std::mutex mutex_;
    std::condition_variable begun_;
};

}  // namespace cathrt::decoder
