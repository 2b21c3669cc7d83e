// SPDX-License-Identifier: MIT
#include "etcd/stream.h"

#include <utility>

#include "etcd/methods.h"

namespace kvd::etcd {

Stream* Stream::Open(EventThread& thread,
                     const std::shared_ptr<grpc::Channel>& channel,
                     wire::WatchRequest first, Reader* reader) {
  auto* stream = new Stream(thread, reader);
  // A member that has lost its leader ends the stream instead of being silent.
  stream->context_.AddMetadata("hasleader", "true");
  grpc::TemplatedGenericStub<wire::WatchRequest, wire::WatchResponse> stub(
      channel);
  stream->rpc_ =
      stub.PrepareCall(&stream->context_, kWatchMethod, thread.queue());
  stream->to_write_.push_back(std::move(first));
  stream->rpc_->StartCall(stream->Begin(&stream->start_));
  return stream;
}

void Stream::Read() {
  if (!started_ || finishing_) return;
  rpc_->Read(&message_, Begin(&read_));
}

void Stream::Write(wire::WatchRequest request) {
  to_write_.push_back(std::move(request));
  WriteNext();
}

void Stream::Abandon() {
  reader_ = nullptr;
  context_.TryCancel();
  // Otherwise the operation under way completes, and leads there.
  if (started_ && !read_.under_way) Finish();
}

void Stream::Step::Complete(bool ok) {
  under_way = false;
  Stream* const of = stream;
  (of->*then)(ok);
  of->DeleteIfDone();
}

void* Stream::Begin(Step* step) {
  step->under_way = true;
  return thread_.Tag(step);
}

void Stream::Started(bool ok) {
  started_ = true;
  if (!ok || reader_ == nullptr) return Finish();
  WriteNext();
  Read();
}

void Stream::Written(bool ok) {
  // The reason is in the status, which comes when reading fails, too.
  if (ok) WriteNext();
}

void Stream::ReadOne(bool ok) {
  if (!ok || reader_ == nullptr) return Finish();
  reader_->TakeMessage(&message_);
}

void Stream::Finished(bool) {
  finished_ = true;
  if (reader_ != nullptr) std::exchange(reader_, nullptr)->TakeEnd(status_);
}

void Stream::WriteNext() {
  if (!started_ || finishing_ || write_.under_way || to_write_.empty()) return;
  rpc_->Write(to_write_.front(), Begin(&write_));
  to_write_.erase(to_write_.begin());
}

void Stream::Finish() {
  if (std::exchange(finishing_, true)) return;
  rpc_->Finish(&status_, Begin(&finish_));
}

void Stream::DeleteIfDone() {
  if (finished_ && !start_.under_way && !write_.under_way && !read_.under_way) {
    delete this;
  }
}

}  // namespace kvd::etcd
