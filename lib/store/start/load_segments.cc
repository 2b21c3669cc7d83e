// SPDX-License-Identifier: MIT
#include "store/start/load_segments.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "base/executor.h"
#include "base/mailbox.h"
#include "log/read/damage.h"
#include "log/read/sealed_walk.h"
#include "store/memory/index.h"

namespace kvd {
namespace {

// More decoders would only wait for the loading thread.
constexpr int kDecodersMax = 8;
// Batches in flight, for each decoder and beside them; one without any.
constexpr int kBatchesPerDecoder = 2;
constexpr int kBatchesBeside = 2;

using BatchPtr = std::unique_ptr<LoadBatch>;

// The loading thread's end: takes batches in order and decides whether a
// segment is what the MANIFEST says.
class Acceptor {
 public:
  Acceptor(Directory& directory, const Manifest& manifest,
           const BatchVisitor& visit)
      : directory_(directory), manifest_(manifest), visit_(visit) {}

  // The number of the batch to come.
  uint64_t next() const { return next_; }
  bool done() const { return done_; }
  // A batch from a hint was not what it should be.
  bool hint_damaged() const { return hint_damaged_; }

  Result<void> Take(LoadBatch* batch) {
    const SealedSegment& segment = manifest_.sealed[batch->segment()];
    ++next_;
    if (batch->error() && batch->from_hint()) {
      hint_damaged_ = done_ = true;
      return {};
    }
    if (batch->error()) return Refuse(*batch->error(), segment);
    KVD_TRY(visit_(batch));
    done_ = batch->ends_log();
    if (batch->from_hint()) return {};
    totals_.Add(batch->totals());
    if (batch->ends_segment()) {
      if (!totals_.AreThoseOf(segment)) return Describe(segment);
      totals_ = {};
    }
    return {};
  }

 private:
  Result<void> Refuse(const Error& error, const SealedSegment& segment) {
    if (error.code() != ErrorCode::kNotFound &&
        error.code() != ErrorCode::kCorruption) {
      return Unexpected(error);
    }
    return Describe(segment);
  }

  // Damage is described by the one who reads a segment as a whole.
  Result<void> Describe(const SealedSegment& segment) {
    KVD_TRY(CheckSealedSegment(directory_, manifest_, segment,
                               [](const Group&, uint32_t) {}));
    return FailDamaged(directory_,
                       fmt::format("{}: changed between two readings",
                                   SegmentPath(directory_, segment.id)));
  }

  Directory& directory_;
  const Manifest& manifest_;
  const BatchVisitor& visit_;
  SegmentTotals totals_;
  uint64_t next_ = 0;
  bool done_ = false;
  bool hint_damaged_ = false;
};

// Empty batches go to the decoders and come back full; the loading thread fills
// some itself. The source goes from hand to hand: whoever holds it reads the
// next batch. An empty batch is taken first, so each batch that has a number is
// on its way.
class Decoders {
 public:
  Decoders(LoadBatches* source, const LoadOptions& options)
      : hash_seed_(options.hash_seed), budget_(options.value_bytes_max) {
    source_.Put(source);
    const int wanted = std::clamp(options.threads, 0, kDecodersMax);
    const int batches =
        wanted == 0 ? 1 : wanted * kBatchesPerDecoder + kBatchesBeside;
    for (int i = 0; i < batches; ++i) empty_.Put(std::make_unique<LoadBatch>());
    ahead_.resize(static_cast<size_t>(batches));
    nurseries_.reserve(static_cast<size_t>(wanted));
    for (int i = 0; i < wanted; ++i) {
      nurseries_.push_back(std::make_unique<EntryHeap::Nursery>());
      try {
        threads_.push_back(std::make_unique<ThreadExecutor>("kvd-load"));
      } catch (const std::system_error&) {
        break;  // Those that there are have to do.
      }
      threads_.back()->Post([this, nursery = nurseries_.back().get()] {
        DecodeBatches(nursery);
      });
    }
  }

  ~Decoders() {
    (void)empty_.TakeAll();
    empty_.Close();
    threads_.clear();  // Joins them, while the mailboxes are there.
    for (auto& nursery : nurseries_) EntryHeap::Instance().Adopt(nursery.get());
  }

  // The batch of that number, for the loading thread. While it is not there,
  // that thread decodes, too.
  BatchPtr Get(uint64_t number) {
    BatchPtr& wanted = ahead_[number % ahead_.size()];
    while (wanted == nullptr) {
      BatchPtr batch = GetAny();
      const size_t at = batch->number() % ahead_.size();
      ahead_[at] = std::move(batch);
    }
    return std::move(wanted);
  }
  void GiveBack(BatchPtr batch) { empty_.Put(std::move(batch)); }

 private:
  // One that is there, or that the caller decodes, or the next one to come.
  BatchPtr GetAny() {
    if (std::optional<BatchPtr> full = full_.TryTake()) return std::move(*full);
    if (std::optional<BatchPtr> batch = empty_.TryTake();
        batch && Fill(batch->get(), &space_, /*nursery=*/nullptr)) {
      return std::move(*batch);
    }
    return *full_.Wait();
  }

  void DecodeBatches(EntryHeap::Nursery* nursery) {
    GroupingSpace space;
    while (std::optional<BatchPtr> batch = empty_.Wait()) {
      if (!Fill(batch->get(), &space, nursery)) return;
      full_.Put(std::move(*batch));
    }
  }

  // With the next batch of the source; false if there is none.
  bool Fill(LoadBatch* batch, GroupingSpace* space,
            EntryHeap::Nursery* nursery) {
    LoadBatches* source = *source_.Wait();
    const bool more = source->Next(batch);
    source_.Put(source);
    if (!more) return false;
    batch->Decode(hash_seed_, space);
    batch->MakeEntries(&budget_, nursery);
    return true;
  }

  const uint64_t hash_seed_;
  Mailbox<BatchPtr> empty_;
  Mailbox<BatchPtr> full_;
  Mailbox<LoadBatches*> source_;
  // Those that came before their turn, by number: there are never more than
  // this.
  std::vector<BatchPtr> ahead_;
  ValueBudget budget_;
  GroupingSpace space_;  // The loading thread's.
  std::vector<std::unique_ptr<EntryHeap::Nursery>> nurseries_;
  std::vector<std::unique_ptr<ThreadExecutor>> threads_;
};

}  // namespace

Result<LoadOutcome> LoadSealedSegments(Directory& directory,
                                       const Manifest& manifest,
                                       const LoadOptions& options,
                                       const BatchVisitor& visit) {
  if (manifest.sealed.empty()) return LoadOutcome::kLoaded;
  LoadBatches source(directory, manifest, options.hints);
  Acceptor acceptor(directory, manifest, visit);
  Decoders decoders(&source, options);
  while (!acceptor.done()) {
    BatchPtr batch = decoders.Get(acceptor.next());
    KVD_TRY(acceptor.Take(batch.get()));
    decoders.GiveBack(std::move(batch));
  }
  return acceptor.hint_damaged() ? LoadOutcome::kHintDamaged
                                 : LoadOutcome::kLoaded;
}

}  // namespace kvd
