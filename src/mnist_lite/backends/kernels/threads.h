// A pool of threads that work on one job together. The job can have several parts with a barrier between them.
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

class ThreadPool {
public:
    // The thread that calls run() is one of the size threads.
    explicit ThreadPool(int size) : size_(size) {
        try {
            for (int i = 1; i < size; i++) workers_.emplace_back([this, i] { worker_loop(i); });
        } catch (...) {  // the system has no more threads; end those that have started
            stop();
            throw;
        }
    }
    ~ThreadPool() { stop(); }
    int size() const { return size_; }

    // Every thread calls job(thread number). Returns when all threads are done.
    void run(const std::function<void(int)>& job) {
        {
            std::lock_guard<std::mutex> guard(mutex_);
            job_ = &job;
            jobs_started_++;
        }
        wake_.notify_all();
        job(0);
        barrier([] {});
    }

    // Waits until all threads have arrived. The last one calls serial() before the others go on.
    // A short wait spins. A long wait gives the core to other threads.
    template <class F>
    void barrier(F serial) {
        const unsigned round = round_.load(std::memory_order_acquire);
        if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == size_) {
            next_.store(0, std::memory_order_relaxed);
            serial();
            arrived_.store(0, std::memory_order_relaxed);
            round_.store(round + 1, std::memory_order_release);
            return;
        }
        for (int spins = 0; round_.load(std::memory_order_acquire) == round; spins++) {
            if (spins < 4000) pause();
            else std::this_thread::yield();
        }
    }

    // The next of 0 .. count - 1 that no thread has taken since the last barrier, or -1.
    int take_next(int count) {
        const int index = next_.fetch_add(1, std::memory_order_relaxed);
        return index < count ? index : -1;
    }

private:
    void stop() {
        {
            std::lock_guard<std::mutex> guard(mutex_);
            stopping_ = true;
        }
        wake_.notify_all();
        for (auto& worker : workers_) worker.join();
    }
    void worker_loop(int number) {
        for (unsigned jobs_done = 0;;) {
            const std::function<void(int)>* job;
            {
                std::unique_lock<std::mutex> lock(mutex_);
                wake_.wait(lock, [&] { return stopping_ || jobs_started_ != jobs_done; });
                if (stopping_) return;
                jobs_done = jobs_started_;
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
    std::vector<std::thread> workers_;
    std::mutex mutex_;
    std::condition_variable wake_;
    const std::function<void(int)>* job_ = nullptr;
    unsigned jobs_started_ = 0;
    bool stopping_ = false;
    std::atomic<int> next_{0};
    std::atomic<int> arrived_{0};
    std::atomic<unsigned> round_{0};
};
