// SPDX-License-Identifier: MIT
//
// Removes from etcd the two keys of each kvd that is gone for good: every read
// asks for all sequence keys, and hosts come and go. Should it only have been
// away, it finds that its key is missing, and begins anew.
//
// A Txn of it that is still under way is never done: it compares a revision
// that its sequence key will not have again. Reads are not out of date either:
// the same Txn moves a key that all of them ask for, in the place of the one
// that goes.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "base/log_sink.h"
#include "etcd/api.h"
#include "etcd/engine/names.h"
#include "etcd/engine/shared_index.h"

namespace kvd::etcd {

// Thread: loop.
class GoneKvds {
 public:
  // A kvd is gone when its keys have not changed for so long. Kvds that live
  // for less than that, as they are replaced often, remove nobody's; and
  // whoever was only away does without a fence until then.
  static constexpr int64_t kSilentMs = 3'600'000;

  // `id` is this kvd's. References outlive it, but what is under way in `api`.
  GoneKvds(Api& api, const SharedIndex& index, const Names& names,
           std::string id, LogSink log)
      : api_(api),
        index_(index),
        names_(names),
        id_(std::move(id)),
        log_(std::move(log)) {}

  // A sign of life of this kvd was done: time in which none is, as etcd is away
  // or full, says nothing about the others. `now_ms` never goes back.
  void BeatDone(int64_t now_ms);
  // Once all is loaded.
  void Tick();

 private:
  struct Watched {
    SharedIndex::Peer is;
    int64_t since_ms = 0;  // By watched_ms_.
  };

  void Remove(const std::string& id, const SharedIndex::Peer& peer);
  void OnAnswer(const std::string& id, const Result<TxnResponse>& answer);

  Api& api_;
  const SharedIndex& index_;
  const Names& names_;
  const std::string id_;
  const LogSink log_;

  int64_t beat_at_ms_ = 0;  // When the newest one was done.
  int64_t watched_ms_ = 0;  // How long they have come through.
  bool has_news_ = false;
  bool under_way_ = false;
  std::map<std::string, Watched, std::less<>> watched_;  // By id.
};

}  // namespace kvd::etcd
