// SPDX-License-Identifier: MIT
//
// The endpoints with a channel each, and which of them is asked next.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/security/credentials.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "etcd/attempt.h"
#include "etcd/endpoint.h"
#include "etcd/event_thread.h"
#include "etcd/wire.pb.h"

namespace kvd::etcd {

struct ConnectionOptions {
  std::shared_ptr<grpc::ChannelCredentials> plain;
  std::shared_ptr<grpc::ChannelCredentials> tls;
  int64_t connect_timeout_ms = 0;
};

// Thread: the EventThread's.
class Connections {
 public:
  Connections(EventThread& thread, std::vector<Endpoint> endpoints,
              const ConnectionOptions& options);
  ~Connections();

  size_t size() const { return connections_.size(); }
  const Endpoint& endpoint(size_t at) const {
    return connections_[at].endpoint;
  }
  const std::shared_ptr<grpc::Channel>& channel(size_t at) const {
    return connections_[at].channel;
  }

  // The connected endpoint to ask next, none of those `excluded` (by place; may
  // be shorter than the list). Begins to connect to the others.
  std::optional<size_t> Choose(const std::vector<bool>& excluded = {});
  // It failed, or does not answer: others are preferred until it has answered.
  void Blame(size_t at);
  void Praise(size_t at);

  // Takes note of what an answer says of its sender; false when that belongs to
  // another cluster, so that the answer means nothing.
  bool Accept(size_t at, const wire::ResponseHeader& header);
  // The highest revision that any answer has shown.
  int64_t revision() const { return revision_; }

  // "http://a:2379: nobody listens there; http://b:2379: …", for people.
  std::string Troubles() const;
  // Of one of them.
  const std::string& trouble(size_t at) const {
    return connections_[at].trouble;
  }
  void SetTrouble(size_t at, std::string trouble);

 private:
  struct Connection {
    Endpoint endpoint;
    std::shared_ptr<grpc::Channel> channel;
    bool connected = false;  // When it was looked at last.
    int64_t blamed_ms = 0;
    std::string trouble;  // Why it cannot be used, as far as known.
    Attempt<wire::StatusResponse>* probe = nullptr;  // Asks for it.
  };

  void KeepConnecting();
  void AskWhy(size_t at);

  EventThread& thread_;
  std::vector<Connection> connections_;
  size_t current_ = 0;
  uint64_t cluster_id_ = 0;
  int64_t revision_ = 0;
  EventThread::TimerId timer_;
};

}  // namespace kvd::etcd
