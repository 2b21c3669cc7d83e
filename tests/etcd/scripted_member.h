// SPDX-License-Identifier: MIT
//
// A server that speaks etcd's protocol and behaves as a test says: for what no
// real node does when it is told to.
#pragma once

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

namespace kvd::etcd {

// How a request that reached it ends.
enum class Script {
  kAnswer,
  kSilence,   // Never.
  kNoLeader,  // Refused: there is no leader.
  kUnknown,   // An error that leaves open whether it was done.
};

// Thread: any.
class ScriptedMember {
 public:
  ScriptedMember();
  ~ScriptedMember();

  std::string endpoint() const;

  // From now on:
  void set_requests(Script script) { requests_ = script; }
  void set_watches(Script script) { watches_ = script; }
  void set_revision(int64_t revision) { revision_ = revision; }
  void set_cluster(uint64_t id) { cluster_ = id; }

  // So far:
  int requests() const { return requests_seen_; }
  int watches() const { return watches_seen_; }

 private:
  class Service;
  class Reactor;
  class Request;
  class Watching;

  std::atomic<Script> requests_ = Script::kAnswer;
  std::atomic<Script> watches_ = Script::kAnswer;
  std::atomic<int64_t> revision_ = 1;
  std::atomic<uint64_t> cluster_ = 1;
  std::atomic<int> requests_seen_ = 0;
  std::atomic<int> watches_seen_ = 0;
  int port_ = 0;
  std::unique_ptr<Service> service_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace kvd::etcd
