// SPDX-License-Identifier: MIT
//
// One stream of gRPC on which etcd tells of changes, from its beginning to its
// end at one endpoint.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/impl/codegen/proto_utils.h>

#include <memory>
#include <vector>

#include "etcd/event_thread.h"
#include "etcd/wire.pb.h"

namespace kvd::etcd {

// It deletes itself once gRPC needs it no more. Thread: the EventThread's.
class Stream final {
 public:
  class Reader {
   public:
    // May take the contents. The next one comes after Read().
    virtual void TakeMessage(wire::WatchResponse* message) = 0;
    // The stream is gone, and must not be used any more.
    virtual void TakeEnd(const grpc::Status& status) = 0;

   protected:
    ~Reader() = default;
  };

  // Sends `first` once it is connected. `reader` must live until TakeEnd() or
  // Abandon(). Read() is called once by itself.
  static Stream* Open(EventThread& thread,
                      const std::shared_ptr<grpc::Channel>& channel,
                      wire::WatchRequest first, Reader* reader);

  // Asks for the next message; one at a time.
  void Read();
  // Requests are sent in their order.
  void Write(wire::WatchRequest request);
  // Ends it; nothing is told from now on.
  void Abandon();

 private:
  // The operations that gRPC completes, each with a method for it.
  struct Step final : Completion {
    Step(Stream* stream, void (Stream::*then)(bool))
        : stream(stream), then(then) {}
    void Complete(bool ok) override;

    Stream* stream;
    void (Stream::*then)(bool);
    bool under_way = false;
  };

  Stream(EventThread& thread, Reader* reader)
      : thread_(thread), reader_(reader) {}

  void* Begin(Step* step);
  void Started(bool ok);
  void Written(bool ok);
  void ReadOne(bool ok);
  void Finished(bool ok);
  void WriteNext();
  // Asks for the status, the last that there is, unless that was done.
  void Finish();
  void DeleteIfDone();

  EventThread& thread_;
  Reader* reader_;  // Null once abandoned.
  grpc::ClientContext context_;
  std::unique_ptr<
      grpc::ClientAsyncReaderWriter<wire::WatchRequest, wire::WatchResponse>>
      rpc_;
  std::vector<wire::WatchRequest> to_write_;
  wire::WatchResponse message_;
  grpc::Status status_;
  Step start_{this, &Stream::Started};
  Step write_{this, &Stream::Written};
  Step read_{this, &Stream::ReadOne};
  Step finish_{this, &Stream::Finished};
  bool started_ = false;
  bool finishing_ = false;
  bool finished_ = false;
};

}  // namespace kvd::etcd
