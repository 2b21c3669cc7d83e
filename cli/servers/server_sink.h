// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "cli/records/record_source.h"
#include "cli/servers/peer.h"

namespace kvctl {

// What to do with a key that is there already.
enum class Existing {
  kReplace,  // As SET does.
  kSkip,     // It stays as it is.
  kCount,    // Nothing is written at all, only counted.
};

// Sets keys of a server, in a pipeline.
class ServerSink final : public RecordSink {
 public:
  // `peer` must outlive it.
  ServerSink(Peer* peer, Existing existing)
      : peer_(*peer), existing_(existing) {}

  Attempt<void> Put(const std::vector<Record>& page) override;
  Attempt<void> Settle() override;
  void Save(Checkpoint*) override {}
  Attempt<void> Resume(const Checkpoint&) override { return {}; }

  // Keys that were there already, with kSkip and kCount.
  int64_t existing() const { return existing_count_; }

 private:
  struct Sent {
    std::string key;
    Place place;
  };

  Attempt<void> Select(const Record& record);
  Attempt<void> Send(const Record& record);
  Attempt<void> ReceiveUntil(size_t left);
  Attempt<void> TakeReply();
  Attempt<void> Refused(const Sent& sent, const kvd::Reply& reply);

  Peer& peer_;
  const Existing existing_;
  std::deque<Sent> sent_;  // Their replies are still to come.
  size_t sent_bytes_ = 0;  // Since the last reply.
  int64_t existing_count_ = 0;
  int64_t stored_ = 0;
};

}  // namespace kvctl
