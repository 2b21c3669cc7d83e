// SPDX-License-Identifier: MIT
#include "daemon/pool_executor.h"

#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "base/check.h"

namespace kvd {
namespace {

struct Work {
  uv_work_t request;
  Job job;
};

}  // namespace

PoolExecutor::PoolExecutor(EventLoop& loop) : loop_(loop) {
  setenv("UV_THREADPOOL_SIZE", std::to_string(kPoolThreads).c_str(),
         /*overwrite=*/0);
}

void PoolExecutor::Post(Job job) {
  auto work = std::make_unique<Work>();
  work->job = std::move(job);
  work->request.data = work.get();
  const auto run = [](uv_work_t* request) {
    static_cast<Work*>(request->data)->job();
  };
  // libuv touches the request until this callback.
  const auto done = [](uv_work_t* request, int) {
    delete static_cast<Work*>(request->data);
  };
  KVD_CHECK(uv_queue_work(loop_.get(), &work->request, run, done) == 0);
  std::ignore = work.release();
}

}  // namespace kvd
