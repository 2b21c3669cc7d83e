// SPDX-License-Identifier: MIT
#include "etcd/session.h"

#include <utility>

#include "etcd/methods.h"
#include "etcd/wire.h"

namespace kvd::etcd {

Session::Session(EventThread& thread, std::vector<Endpoint> endpoints,
                 const ConnectionOptions& options, Mailbox<News>& news,
                 const Wake& wake)
    : thread_(thread),
      news_(news),
      wake_(wake),
      connections_(thread, std::move(endpoints), options) {}

Session::~Session() {
  for (auto& [id, call] : statuses_) {
    for (auto* attempt : call.attempts) {
      if (attempt != nullptr) attempt->Abandon();
    }
  }
}

void Session::Txn(uint64_t id, TxnRequest request, int64_t timeout_ms) {
  auto call = std::make_unique<TxnCall>(
      thread_, connections_,
      TxnCall::Options{
          .method = kTxnMethod, .changes = true, .timeout_ms = timeout_ms},
      ToWire(std::move(request)), [this, id](Result<wire::TxnResponse> result) {
        Tell({id, result.ok() ? Result<TxnResponse>(FromWire(&*result))
                              : Unexpected(std::move(result).error())});
        txns_.erase(id);
      });
  TxnCall& begun = *(txns_[id] = std::move(call));
  begun.Step();
}

void Session::Range(uint64_t id, RangeRequest request, int64_t timeout_ms) {
  auto call = std::make_unique<RangeCall>(
      thread_, connections_,
      RangeCall::Options{
          .method = kRangeMethod, .changes = false, .timeout_ms = timeout_ms},
      ToWire(std::move(request)),
      [this, id](Result<wire::RangeResponse> result) {
        Tell({id, result.ok() ? Result<RangeResponse>(FromWire(&*result))
                              : Unexpected(std::move(result).error())});
        ranges_.erase(id);
      });
  RangeCall& begun = *(ranges_[id] = std::move(call));
  begun.Step();
}

void Session::Status(uint64_t id, int64_t timeout_ms) {
  StatusCall& call = statuses_[id];
  call.members.resize(connections_.size());
  call.attempts.resize(connections_.size());
  call.missing = connections_.size();
  for (size_t at = 0; at < connections_.size(); ++at) {
    call.members[at].endpoint = connections_.endpoint(at).name;
    call.attempts[at] = Attempt<wire::StatusResponse>::Start(
        thread_, connections_.channel(at),
        {.name = kStatusMethod, .needs_leader = false}, wire::StatusRequest(),
        timeout_ms,
        [this, id, at](const grpc::Status& status,
                       wire::StatusResponse* response) {
          TakeStatus(id, at, status, *response);
        });
  }
}

void Session::TakeStatus(uint64_t id, size_t at, const grpc::Status& status,
                         const wire::StatusResponse& response) {
  StatusCall& call = statuses_[id];
  MemberStatus& member = call.members[at];
  call.attempts[at] = nullptr;
  const std::string name = std::move(member.endpoint);
  if (!status.ok()) {
    member.error = Explain(connections_.endpoint(at), status);
  } else if (!connections_.Accept(at, response.header())) {
    member.error = connections_.trouble(at);
  } else {
    member = FromWire(response);
  }
  member.endpoint = name;
  if (--call.missing > 0) return;
  Tell({id, std::move(call.members)});
  statuses_.erase(id);
}

void Session::StartWatch(uint64_t id, WatchStream::Watched watched) {
  watches_[id] = std::make_unique<WatchStream>(
      thread_, connections_, std::move(watched),
      WatchStream::Sink{.on_updates =
                            [this, id](std::vector<WatchUpdate> updates) {
                              Tell({id, std::move(updates)});
                            },
                        .on_end =
                            [this, id](Error error) {
                              Tell({id, std::move(error)});
                              watches_.erase(id);
                            }});
}

void Session::RequestProgress(uint64_t id) {
  const auto found = watches_.find(id);
  if (found != watches_.end()) found->second->RequestProgress();
}

void Session::Taken(uint64_t id, size_t bytes) {
  const auto found = watches_.find(id);
  if (found != watches_.end()) found->second->Taken(bytes);
}

void Session::Tell(News news) {
  news_.Put(std::move(news));
  wake_();
}

}  // namespace kvd::etcd
