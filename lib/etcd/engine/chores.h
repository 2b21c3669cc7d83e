// SPDX-License-Identifier: MIT
//
// What a kvd on etcd does when no client asks for it: it tells the others that
// it is there, and removes what nobody needs any more. None of it is in the way
// of a batch, and none of it moves the sequence key.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/log_sink.h"
#include "etcd/api.h"
#include "etcd/engine/expiry.h"
#include "etcd/engine/gone_kvds.h"
#include "etcd/engine/names.h"
#include "etcd/engine/old_generations.h"
#include "etcd/engine/peer_clocks.h"
#include "etcd/engine/shared_index.h"
#include "store/store_core.h"

namespace kvd::etcd {

// Thread: loop.
class Chores {
 public:
  struct Options {
    std::string id;
    std::string nonce;
    int64_t max_clock_skew_ms = 0;
    int64_t beat_ms = 0;  // From one beat to the next; 0: there are none.
    LogSink log;
  };
  // References outlive it, but what is under way in `api`.
  Chores(Api& api, StoreCore& core, SharedIndex& index, const Names& names,
         PeerClocks& clocks, Options options);

  // From time to time, once all is loaded.
  void Tick();
  // The index has news.
  void Poll();
  uint64_t expired_keys() const { return expiry_.removed(); }
  // Why this kvd cannot go on.
  const std::optional<Error>& failure() const { return failure_; }
  // For people: others' keys come in whatever memory.limit is; empty while
  // there is room.
  std::string memory_warning() const;

 private:
  void Expire(int64_t now_ms);
  void SendBeat(int64_t now_ms);
  void LookAtMemory();
  int64_t NowMs() const { return core_.clock.MonotonicUs() / 1000; }

  Api& api_;
  StoreCore& core_;
  SharedIndex& index_;
  const Names& names_;
  PeerClocks& clocks_;
  const Options options_;
  Expiry expiry_;
  OldGenerations old_generations_;
  GoneKvds gone_kvds_;

  bool beat_under_way_ = false;
  bool has_sent_ = false;
  int64_t sent_at_ms_ = 0;  // The newest beat.
  bool warned_of_memory_ = false;
  std::optional<Error> failure_;
};

}  // namespace kvd::etcd
