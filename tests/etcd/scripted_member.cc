// SPDX-License-Identifier: MIT
#include "tests/etcd/scripted_member.h"

#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/server_builder.h>

#include <chrono>
#include <mutex>

#include "base/check.h"
#include "etcd/methods.h"
#include "etcd/wire.pb.h"
#include "fmt/format.h"

namespace kvd::etcd {
namespace {

template <typename Message>
grpc::ByteBuffer Bytes(const Message& message) {
  const grpc::Slice slice(message.SerializeAsString());
  return grpc::ByteBuffer(&slice, 1);
}

template <typename Message>
Message Parse(grpc::ByteBuffer* bytes) {
  Message message;
  std::vector<grpc::Slice> slices;
  KVD_CHECK(bytes->Dump(&slices).ok());
  std::string text;
  for (const grpc::Slice& slice : slices) {
    text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  KVD_CHECK(message.ParseFromString(text));
  return message;
}

grpc::Status StatusOf(Script script) {
  return script == Script::kNoLeader
             ? grpc::Status(grpc::StatusCode::UNAVAILABLE,
                            "etcdserver: no leader")
             : grpc::Status(grpc::StatusCode::UNAVAILABLE,
                            "etcdserver: request timed out");
}

}  // namespace

// What the reactors below have in common. It deletes itself.
class ScriptedMember::Reactor : public grpc::ServerGenericBidiReactor {
 public:
  explicit Reactor(ScriptedMember& member) : member_(member) {
    StartRead(&request_);
  }

 protected:
  // The first caller ends it.
  bool MayEnd() { return !ended_.exchange(true); }
  void End(const grpc::Status& status) {
    if (MayEnd()) Finish(status);
  }

  ScriptedMember& member_;
  grpc::ByteBuffer request_;
  grpc::ByteBuffer response_;

 private:
  void OnCancel() override { End(grpc::Status::CANCELLED); }
  void OnDone() override { delete this; }

  std::atomic<bool> ended_ = false;
};

// Range, Txn or Status: a response with a header alone is all that tests need.
class ScriptedMember::Request final : public Reactor {
 public:
  using Reactor::Reactor;

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return End(grpc::Status::CANCELLED);
    ++member_.requests_seen_;
    const Script script = member_.requests_;
    if (script == Script::kSilence) return;
    if (script != Script::kAnswer) return End(StatusOf(script));
    wire::RangeResponse response;
    response.mutable_header()->set_cluster_id(member_.cluster_);
    response.mutable_header()->set_revision(member_.revision_);
    response_ = Bytes(response);
    if (MayEnd()) StartWriteAndFinish(&response_, {}, grpc::Status::OK);
  }
};

// Says that the watch was created, and answers requests for progress.
class ScriptedMember::Watching final : public Reactor {
 public:
  using Reactor::Reactor;

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return End(grpc::Status::CANCELLED);
    const auto request = Parse<wire::WatchRequest>(&request_);
    if (request.has_create()) ++member_.watches_seen_;
    const Script script = member_.watches_;
    if (script == Script::kNoLeader || script == Script::kUnknown) {
      return End(StatusOf(script));
    }
    if (script == Script::kAnswer) Answer(request.has_create());
    StartRead(&request_);
  }
  void Answer(bool created) {
    wire::WatchResponse response;
    response.mutable_header()->set_cluster_id(member_.cluster_);
    response.mutable_header()->set_revision(member_.revision_);
    response.set_created(created);
    response.set_watch_id(created ? 0 : -1);
    response_ = Bytes(response);
    StartWrite(&response_);
  }
};

class ScriptedMember::Service final : public grpc::CallbackGenericService {
 public:
  explicit Service(ScriptedMember& member) : member_(member) {}
  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override {
    if (context->method() == kWatchMethod) return new Watching(member_);
    return new Request(member_);
  }

 private:
  ScriptedMember& member_;
};

ScriptedMember::ScriptedMember() : service_(std::make_unique<Service>(*this)) {
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                           &port_);
  builder.RegisterCallbackGenericService(service_.get());
  server_ = builder.BuildAndStart();
  KVD_CHECK(server_ != nullptr);
}

ScriptedMember::~ScriptedMember() {
  server_->Shutdown(std::chrono::system_clock::now());
}

std::string ScriptedMember::endpoint() const {
  return fmt::format("http://127.0.0.1:{}", port_);
}

}  // namespace kvd::etcd
