// SPDX-License-Identifier: MIT
//
// How threads of kvd talk: values go in on one side and come out on the other.
// This is the only mutex of the program; whoever needs another one is sharing
// state that should have been a message.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

namespace kvd {

// A queue of values between threads, in order. Thread: any.
template <typename T>
class Mailbox {
 public:
  // Whoever takes the value may destroy the mailbox at once.
  void Put(T value) {
    std::lock_guard hold(mutex_);
    values_.push_back(std::move(value));
    // Under the lock: once that is released, the mailbox may be gone.
    arrived_.notify_one();
  }

  // Takes everything that is there, without waiting.
  std::deque<T> TakeAll() {
    std::lock_guard hold(mutex_);
    return std::exchange(values_, {});
  }

  // The first one that is there, without waiting.
  std::optional<T> TryTake() {
    std::lock_guard hold(mutex_);
    return TakeFirst();
  }

  // Waits for a value; nothing once the mailbox is closed and empty.
  std::optional<T> Wait() {
    std::unique_lock hold(mutex_);
    arrived_.wait(hold, [this] { return closed_ || !values_.empty(); });
    return TakeFirst();
  }

  // Has waiters return once all values have been taken.
  void Close() {
    {
      std::lock_guard hold(mutex_);
      closed_ = true;
    }
    arrived_.notify_all();
  }

 private:
  // Under the lock.
  std::optional<T> TakeFirst() {
    if (values_.empty()) return std::nullopt;
    T value = std::move(values_.front());
    values_.pop_front();
    return value;
  }

  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<T> values_;
  bool closed_ = false;
};

}  // namespace kvd
