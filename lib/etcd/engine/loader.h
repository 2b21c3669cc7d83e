// SPDX-License-Identifier: MIT
//
// Takes all keys from etcd into the index, by pages, while a watch tells what
// changes meanwhile; then keeps the index as the watch tells. Begins anew by
// itself when the watch cannot go on.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "base/log_sink.h"
#include "etcd/api.h"
#include "etcd/engine/names.h"
#include "etcd/engine/shared_index.h"
#include "store/store_core.h"

namespace kvd::etcd {

// Thread: loop.
class Loader {
 public:
  // References outlive it.
  Loader(Api& api, const Names& names, int64_t timeout_ms, LogSink log,
         const Clock& clock, StoreCore& core, SharedIndex& index);

  void Begin();
  // What time makes due.
  void DoWhatIsDue();
  // Takes in what the watch has told, or begins anew; not while the index has
  // what may be undone.
  void Apply();
  // What is in the index is not what etcd has.
  void LoadAnew(const std::string& why);

  // Whether all has been taken in. The pages are as of several revisions: what
  // is there is as of one of them once the watch has come to the last.
  bool loaded() const { return loaded_; }
  // Whether it has become so since the last call.
  bool TakeLoaded();
  // Why it does not go on; empty: it does.
  const std::string& trouble() const { return trouble_; }
  // Why it never will.
  const std::optional<Error>& failure() const { return failure_; }

 private:
  void OnGenerations(Result<RangeResponse> answer);
  void AskPage();
  void OnPage(Result<RangeResponse> page);
  void ChooseNextPage(const RangeResponse& page);
  bool MayGoOn();
  void TakeUpdates();
  void BeginWatch();
  void Later(const Error& why);
  void Restart();
  // `then` with the answer, unless another loading has begun meanwhile.
  Api::Done<RangeResponse> InThis(void (Loader::*then)(Result<RangeResponse>));
  int64_t NowMs() const { return clock_.MonotonicUs() / 1000; }

  Api& api_;
  const Names& names_;
  const int64_t timeout_ms_;
  const LogSink log_;
  const Clock& clock_;
  StoreCore& core_;
  SharedIndex& index_;

  std::unique_ptr<Watch> watch_;
  std::deque<WatchUpdate> updates_;  // Not in the index yet.
  bool must_restart_ = false;

  uint64_t number_ = 0;              // Of this loading.
  int64_t began_ms_ = 0;             // When it did.
  std::optional<int64_t> due_ms_;    // The next step.
  std::optional<std::string> from_;  // The next page; none: generations first.
  int64_t page_keys_ = 0;            // Of it.
  uint64_t keys_ = 0;                // Taken in so far.
  bool loaded_ = false;
  bool was_loaded_ = false;  // Once, at least.
  bool has_news_ = false;
  std::string trouble_;
  std::optional<Error> failure_;
};

}  // namespace kvd::etcd
