// SPDX-License-Identifier: MIT
#include "daemon/loop/pool_executor.h"

#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "base/check.h"

namespace kvd {

PoolExecutor::PoolExecutor(EventLoop& loop) : loop_(loop) {
  setenv("UV_THREADPOOL_SIZE", std::to_string(kPoolThreads).c_str(),
         /*overwrite=*/0);
}

PoolExecutor::~PoolExecutor() {
  for (; posted_ > 0; --posted_) ended_.Wait();
}

void PoolExecutor::Post(Job job) {
  posted_ -= ended_.TakeAll().size();
  ++posted_;
  std::unique_ptr<Work> work(new Work{{}, std::move(job), *this});
  work->request.data = work.get();
  const auto run = [](uv_work_t* request) {
    auto* work = static_cast<Work*>(request->data);
    work->job();
    work->pool.ended_.Put({});
  };
  // libuv touches the request until this callback.
  const auto done = [](uv_work_t* request, int) {
    delete static_cast<Work*>(request->data);
  };
  KVD_CHECK(uv_queue_work(loop_.get(), &work->request, run, done) == 0);
  std::ignore = work.release();
}

}  // namespace kvd
