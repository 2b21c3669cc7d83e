// SPDX-License-Identifier: MIT
//
// A store whose data is in etcd: every kvd that shares it has all keys in
// memory, is told of the others' changes by a watch, and sends its own as
// Txns. README.md, "A batch".
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/executor.h"
#include "base/log_sink.h"
#include "etcd/api.h"
#include "etcd/engine/barrier.h"
#include "etcd/engine/batch.h"
#include "etcd/engine/batch_journal.h"
#include "etcd/engine/chores.h"
#include "etcd/engine/cluster_status.h"
#include "etcd/engine/loader.h"
#include "etcd/engine/names.h"
#include "etcd/engine/own_sequence.h"
#include "etcd/engine/patience.h"
#include "etcd/engine/peer_clocks.h"
#include "etcd/engine/refusals.h"
#include "etcd/engine/shared_index.h"
#include "store/batches.h"
#include "store/store.h"
#include "store/store_core.h"

namespace kvd::etcd {

struct EtcdStoreOptions {
  std::string prefix = "kvd/";
  // Of this kvd, and of no other one; stays the same over restarts.
  std::string id;
  // Tells this life of it from the others.
  std::string nonce;
  int64_t timeout_ms = 5000;
  bool linearizable = true;  // Else reads answer at once, perhaps out of date.
  int64_t max_clock_skew_ms = 500;
  // From one sign of life to the next; 0: it gives none.
  int64_t heartbeat_ms = 2000;
  uint64_t memory_limit_bytes = 0;
  ClusterStatusOptions status = {};
  LogSink log = [](Severity, const std::string&) {};
};

// Thread: loop.
class EtcdStore final : public Store, private Batches {
 public:
  // Loads by itself: until then commands wait. References outlive it.
  EtcdStore(std::unique_ptr<Api> api, EtcdStoreOptions options, Clock& clock,
            Wake wake);
  ~EtcdStore() override;

  const RecoveryReport& recovery() const override { return no_log_.report; }
  std::optional<LoadProgress> loading() const override;
  void Pump() override;
  bool keeps_pace() const override { return false; }
  bool gathers() const override { return false; }
  bool Poll() override;
  std::optional<int64_t> Tick() override;
  Seq durable_seq() const override { return journal_.durable_seq(); }
  Seq last_seq() const override { return journal_.last_seq(); }
  void WantDurable() override {}
  bool MustWait(Seq seq) const override { return seq > durable_seq(); }
  const std::optional<Error>& failure() const override { return failure_; }
  bool storage_lost() const override { return false; }
  // What nobody can know by then is answered so.
  void Stop() override;
  bool stopped() const override { return stopping_ && !batch_open_; }
  Batches* batches() override { return this; }
  std::string WhyTooLarge() const override {
    return command_.has_no_space ? WhyRefused() : batch_.why();
  }
  void Read(ColdValues* values, std::function<void()> on_read) override;
  uint64_t Compact() override { return 0; }
  uint64_t CompactSegments(std::vector<uint64_t> ids) override;
  const CompactionStatus& compaction() const override {
    return no_log_.compaction;
  }
  const ScrubStatus& scrub() const override { return no_log_.scrub; }
  std::vector<uint64_t> SealedSegments() const override { return {}; }
  void Tune(const StoreTuning& tuning) override;
  StoreStats Stats() const override;
  const LogFigures& log_figures() const override { return no_log_.figures; }
  void ResetLogFigures() override { no_log_.figures = {}; }
  SyncMode sync() const override { return SyncMode::kAlways; }
  std::string_view write_device() const override { return "etcd"; }
  std::string_view write_device_why() const override { return ""; }
  BackingStatus Backing() const override;

 private:
  // What is known of the open batch.
  enum class Flight : uint8_t {
    kNone,     // It has not been sent.
    kTxn,      // The answer to its Txn tells.
    kUnknown,  // That did not come: a fence finds out.
  };

  // Batches.
  Admission Admit(bool reads, Stamp* stamp) override;
  const std::string& refusal() const override { return refusal_; }
  void BeginCommand() override;
  void ShowsRevision(Seq provisional) override {
    batch_.ShowsRevision(provisional);
  }
  Verdict EndCommand(bool ran, bool behind, Seq seen) override;
  Outcome TakeOutcome() override;
  Seq RevisionOf(Seq provisional) const override;

  void OpenBatch();
  void Send();
  void OnTold(const OwnSequence::Told& told);
  void Committed(int64_t revision);
  void Refused();
  void NotDone(const Error& error);
  void GiveUpBatch();
  void CloseBatch(Outcome outcome);

  void OnLoaded();
  void DoWhatIsDue();
  void ApplyUpdates();
  bool BarrierFailed();
  bool AllWait() const;  // Whatever they do.
  // The command waits, or is refused with all that do.
  Admission Await(Patience::Of of);
  std::string WhyRefused() const;
  void Fail(const std::optional<Error>& error);
  int64_t NowMs() const { return clock_.MonotonicUs() / 1000; }

  const EtcdStoreOptions options_;
  Clock& clock_;
  const Wake wake_;
  const Names names_;
  const std::unique_ptr<Api> api_;

  BatchJournal journal_;
  StoreCore core_;
  PeerClocks clocks_;
  SharedIndex index_;
  Batch batch_;
  Barrier barrier_;
  ClusterStatus cluster_;

  Loader loader_;
  OwnSequence sequence_;
  Patience patience_;
  Refusals refusals_;
  Chores chores_;

  bool batch_open_ = false;
  Flight flight_ = Flight::kNone;
  int64_t sent_at_ms_ = 0;  // When the batch was.

  struct Command {
    Stamp* stamp = nullptr;
    bool is_fresh = false;  // It was admitted as one that reads.
    bool has_no_space = false;
  };
  Command command_;  // Under way.
  Outcome outcome_ = Outcome::kNone;
  int64_t committed_revision_ = 0;
  std::string refusal_;
  std::string batch_refusal_;  // Of the batch that failed.
  bool has_news_ = false;
  bool stopping_ = false;
  std::optional<Error> failure_;

  // What there is of a log, and here is not.
  struct NoLog {
    RecoveryReport report;
    CompactionStatus compaction;
    ScrubStatus scrub;
    LogFigures figures;
  };
  NoLog no_log_ = {};
};

}  // namespace kvd::etcd
