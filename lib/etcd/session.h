// SPDX-License-Identifier: MIT
//
// All that is under way with etcd, on the side of the EventThread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/executor.h"
#include "base/mailbox.h"
#include "etcd/api.h"
#include "etcd/call.h"
#include "etcd/connections.h"
#include "etcd/event_thread.h"
#include "etcd/watch_stream.h"

namespace kvd::etcd {

// What the owner is told, with the number of the request or watch.
struct News {
  uint64_t id;
  std::variant<Result<TxnResponse>, Result<RangeResponse>,
               std::vector<MemberStatus>, std::vector<WatchUpdate>, Error>
      what;
};

// Numbers are the owner's, and never used twice. Thread: the EventThread's.
class Session {
 public:
  // The owner wakes up when there is something in `news`; both outlive this.
  Session(EventThread& thread, std::vector<Endpoint> endpoints,
          const ConnectionOptions& options, Mailbox<News>& news,
          const Wake& wake);
  ~Session();

  void Txn(uint64_t id, TxnRequest request, int64_t timeout_ms);
  void Range(uint64_t id, RangeRequest request, int64_t timeout_ms);
  void Status(uint64_t id, int64_t timeout_ms);
  void StartWatch(uint64_t id, WatchStream::Watched watched);
  // One that has ended is none; the same for the others.
  void EndWatch(uint64_t id) { watches_.erase(id); }
  void RequestProgress(uint64_t id);
  void Taken(uint64_t id, size_t bytes);

 private:
  using TxnCall = Call<wire::TxnRequest, wire::TxnResponse>;
  using RangeCall = Call<wire::RangeRequest, wire::RangeResponse>;
  struct StatusCall {
    std::vector<MemberStatus> members;
    std::vector<Attempt<wire::StatusResponse>*>
        attempts;  // Null once answered.
    size_t missing = 0;
  };

  void Tell(News news);
  void TakeStatus(uint64_t id, size_t at, const grpc::Status& status,
                  const wire::StatusResponse& response);

  EventThread& thread_;
  Mailbox<News>& news_;
  const Wake& wake_;
  Connections connections_;
  std::map<uint64_t, std::unique_ptr<TxnCall>> txns_;
  std::map<uint64_t, std::unique_ptr<RangeCall>> ranges_;
  std::map<uint64_t, StatusCall> statuses_;
  std::map<uint64_t, std::unique_ptr<WatchStream>> watches_;
};

}  // namespace kvd::etcd
