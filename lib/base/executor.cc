// SPDX-License-Identifier: MIT
#include "base/executor.h"

#include <pthread.h>
#include <signal.h>

#include <utility>

namespace kvd {

ThreadExecutor::ThreadExecutor(const char* name) {
  // Signals belong to the loop: the thread inherits a mask that blocks all.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] {
    while (std::optional<Job> job = jobs_.Wait()) (*job)();
  });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_setname_np(thread_.native_handle(), name);
}

ThreadExecutor::~ThreadExecutor() {
  jobs_.Close();
  thread_.join();
}

void ThreadExecutor::Post(Job job) { jobs_.Put(std::move(job)); }

}  // namespace kvd
