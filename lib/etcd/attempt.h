// SPDX-License-Identifier: MIT
//
// One request to one endpoint.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/impl/codegen/proto_utils.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "etcd/event_thread.h"

namespace kvd::etcd {

// What to ask, and how.
struct Method {
  const char* name;
  // A member without a leader refuses at once, instead of waiting for one.
  bool needs_leader = true;
};

// It deletes itself, as gRPC has its address until the operation completes,
// however early it is abandoned. Thread: the EventThread's.
template <typename Response>
class Attempt final : public Completion {
 public:
  // May take the contents of the response.
  using Done = std::function<void(const grpc::Status&, Response*)>;

  template <typename Request>
  static Attempt* Start(EventThread& thread,
                        const std::shared_ptr<grpc::Channel>& channel,
                        Method method, const Request& request,
                        int64_t timeout_ms, Done done) {
    auto* attempt = new Attempt(std::move(done));
    attempt->context_.set_deadline(DeadlineAfter(timeout_ms));
    if (method.needs_leader) {
      attempt->context_.AddMetadata("hasleader", "true");
    }
    grpc::TemplatedGenericStub<Request, Response> stub(channel);
    attempt->reader_ = stub.PrepareUnaryCall(&attempt->context_, method.name,
                                             request, thread.queue());
    attempt->reader_->StartCall();
    attempt->reader_->Finish(&attempt->response_, &attempt->status_,
                             thread.Tag(attempt));
    return attempt;
  }

  // Nothing is called from now on.
  void Abandon() {
    done_ = nullptr;
    context_.TryCancel();
  }

 private:
  explicit Attempt(Done done) : done_(std::move(done)) {}

  void Complete(bool) override {
    const std::unique_ptr<Attempt> self(this);
    if (done_) done_(status_, &response_);
  }

  Done done_;
  grpc::ClientContext context_;
  Response response_;
  grpc::Status status_;
  std::unique_ptr<grpc::ClientAsyncResponseReader<Response>> reader_;
};

}  // namespace kvd::etcd
