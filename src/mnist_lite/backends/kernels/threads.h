// A few threads that do one piece of work together, group by group, with barriers between its parts.
#pragma once
#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

class Team {
public:
    explicit Team(int size) : size_(size) {
        try {
            for (int i = 1; i < size; i++) members_.emplace_back([this, i] { serve(i); });
        } catch (...) {  // the system has no more threads to give; those that have begun wait for work
            end();
            throw;
        }
    }
    ~Team() { end(); }
    int size() const { return size_; }

    // Every thread does job(its number); returns when all have.
    void run(const std::function<void(int)>& job) {
        {
            std::lock_guard<std::mutex> guard(mutex_);
            job_ = &job;
            turn_++;
        }
        wake_.notify_all();
        job(0);
        barrier([] {});
    }

    // Waits for all; the last to come does alone() first. A short wait spins, a long one gives the core away.
    template <class F>
    void barrier(F alone) {
        const unsigned round = round_.load(std::memory_order_acquire);
        if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == size_) {
            next_.store(0, std::memory_order_relaxed);
            alone();
            arrived_.store(0, std::memory_order_relaxed);
            round_.store(round + 1, std::memory_order_release);
            return;
        }
        for (int spins = 0; round_.load(std::memory_order_acquire) == round; spins++) {
            if (spins < 4000) pause();
            else std::this_thread::yield();
        }
    }

    // The next of count groups that nobody has taken since the last barrier, or -1.
    int take(int count) {
        const int mine = next_.fetch_add(1, std::memory_order_relaxed);
        return mine < count ? mine : -1;
    }

private:
    void end() {
        {
            std::lock_guard<std::mutex> guard(mutex_);
            over_ = true;
        }
        wake_.notify_all();
        for (auto& member : members_) member.join();
    }
    void serve(int number) {
        for (unsigned seen = 0;;) {
            const std::function<void(int)>* job;
            {
                std::unique_lock<std::mutex> lock(mutex_);
                wake_.wait(lock, [&] { return over_ || turn_ != seen; });
                if (over_) return;
                seen = turn_;
                job = job_;
            }
            (*job)(number);
            barrier([] {});
        }
    }
    static void pause() {
#if defined(__x86_64__)
        _mm_pause();
#endif
    }

    const int size_;
    std::vector<std::thread> members_;
    std::mutex mutex_;
    std::condition_variable wake_;
    const std::function<void(int)>* job_ = nullptr;
    unsigned turn_ = 0;
    bool over_ = false;
    std::atomic<int> next_{0};
    std::atomic<int> arrived_{0};
    std::atomic<unsigned> round_{0};
};
