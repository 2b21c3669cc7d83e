// SPDX-License-Identifier: MIT
#include "fs/thread_durable_writer.h"

#include <pthread.h>
#include <signal.h>

#include <utility>

#include "fs/posix_file.h"

namespace kvd {

ThreadDurableWriter::ThreadDurableWriter(const char* name, std::string why,
                                         Wake wake)
    : why_(std::move(why)), wake_(std::move(wake)) {
  // Signals belong to the loop: the thread inherits a mask that blocks all.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    thread_ = std::thread([this] { Run(); });
  } catch (...) {
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    throw;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_setname_np(thread_.native_handle(), name);
}

ThreadDurableWriter::~ThreadDurableWriter() {
  phase_.wait(kSubmitted);
  phase_.store(kStopping);
  phase_.notify_all();
  thread_.join();
}

void ThreadDurableWriter::Submit(File& file, uint64_t offset,
                                 std::string_view bytes,
                                 Durability durability) {
  CheckSubmission(busy_, offset, bytes, durability);
  busy_ = true;
  request_ = {&file, offset, bytes, durability};
  phase_.store(kSubmitted);
  phase_.notify_all();
}

std::optional<Result<void>> ThreadDurableWriter::Poll() {
  if (!busy_ || phase_.load() != kDone) {
    return std::nullopt;
  }
  busy_ = false;
  phase_.store(kIdle);
  return std::move(result_);
}

void ThreadDurableWriter::Run() {
  while (true) {
    const int phase = phase_.load();
    if (phase == kStopping) return;
    if (phase != kSubmitted) {
      phase_.wait(phase);
      continue;
    }
    result_ = Carry(request_);
    phase_.store(kDone);
    phase_.notify_all();  // The destructor may wait for it.
    wake_();
  }
}

Result<void> ThreadDurableWriter::Carry(const Request& request) {
  auto& file = static_cast<PosixFile&>(*request.file);
  if (request.durability == Durability::kUnsynced &&
      request.bytes.size() >= kPastCacheBytesMin) {
    return file.WritePastCacheAt(request.offset, request.bytes);
  }
  if (!request.bytes.empty()) {
    KVD_TRY(file.WriteAt(request.offset, request.bytes));
  }
  if (request.durability == Durability::kUnsynced) return {};
  return file.Sync();
}

}  // namespace kvd
