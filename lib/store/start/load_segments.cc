// SPDX-License-Identifier: MIT
#include "store/start/load_segments.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "base/executor.h"
#include "base/mailbox.h"
#include "log/read/sealed_walk.h"
#include "store/memory/index.h"

namespace kvd {
namespace {

// More decoders would only wait for the loading thread.
constexpr int kDecodersMax = 8;
// Pieces in flight, for each decoder and beside them; one without any.
constexpr int kPiecesPerDecoder = 2;
constexpr int kPiecesBeside = 2;

using PiecePtr = std::unique_ptr<LoadBatch>;

// The loading thread's end: takes pieces in order and decides whether a segment
// is what the MANIFEST says.
class Acceptor {
 public:
  Acceptor(Directory& directory, const Manifest& manifest,
           const BatchVisitor& visit)
      : directory_(directory), manifest_(manifest), visit_(visit) {}

  // The number of the piece to come.
  uint64_t next() const { return next_; }
  bool done() const { return done_; }
  // A piece from a hint was not what it should be.
  bool hint_damaged() const { return hint_damaged_; }

  Result<void> Take(LoadBatch* piece) {
    const SealedSegment& segment = manifest_.sealed[piece->segment()];
    ++next_;
    if (piece->error() && piece->from_hint()) {
      hint_damaged_ = done_ = true;
      return {};
    }
    if (piece->error()) return Refuse(*piece->error(), segment);
    KVD_TRY(visit_(piece));
    done_ = piece->ends_log();
    if (piece->from_hint()) return {};
    totals_.Add(piece->totals());
    if (piece->ends_segment()) {
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
    return Fail(ErrorCode::kCorruption, "{}/{}: changed between two readings",
                directory_.path(), SegmentName(segment.id));
  }

  Directory& directory_;
  const Manifest& manifest_;
  const BatchVisitor& visit_;
  SegmentTotals totals_;
  uint64_t next_ = 0;
  bool done_ = false;
  bool hint_damaged_ = false;
};

// Empty pieces go to the decoders and come back full; the loading thread fills
// some itself. The source goes from hand to hand: whoever holds it reads the
// next piece. An empty piece is taken first, so each piece that has a number is
// on its way.
class Decoders {
 public:
  Decoders(LoadBatches* source, const LoadOptions& options)
      : hash_seed_(options.hash_seed), budget_(options.value_bytes_max) {
    source_.Put(source);
    const int wanted = std::clamp(options.threads, 0, kDecodersMax);
    const int pieces =
        wanted == 0 ? 1 : wanted * kPiecesPerDecoder + kPiecesBeside;
    for (int i = 0; i < pieces; ++i) empty_.Put(std::make_unique<LoadBatch>());
    ahead_.resize(static_cast<size_t>(pieces));
    nurseries_.reserve(static_cast<size_t>(wanted));
    for (int i = 0; i < wanted; ++i) {
      nurseries_.push_back(std::make_unique<EntryHeap::Nursery>());
      try {
        threads_.push_back(std::make_unique<ThreadExecutor>("kvd-load"));
      } catch (const std::system_error&) {
        break;  // Those that there are have to do.
      }
      threads_.back()->Post(
          [this, nursery = nurseries_.back().get()] { DecodePieces(nursery); });
    }
  }

  ~Decoders() {
    (void)empty_.TakeAll();
    empty_.Close();
    threads_.clear();  // Joins them, while the mailboxes are there.
    for (auto& nursery : nurseries_) EntryHeap::Instance().Adopt(nursery.get());
  }

  // The piece of that number, for the loading thread. While it is not there,
  // that thread decodes, too.
  PiecePtr Get(uint64_t number) {
    PiecePtr& wanted = ahead_[number % ahead_.size()];
    while (wanted == nullptr) {
      PiecePtr piece = GetAny();
      const size_t at = piece->number() % ahead_.size();
      ahead_[at] = std::move(piece);
    }
    return std::move(wanted);
  }
  void GiveBack(PiecePtr piece) { empty_.Put(std::move(piece)); }

 private:
  // One that is there, or that the caller decodes, or the next one to come.
  PiecePtr GetAny() {
    if (std::optional<PiecePtr> full = full_.TryTake()) return std::move(*full);
    if (std::optional<PiecePtr> piece = empty_.TryTake();
        piece && Fill(piece->get(), &space_, /*nursery=*/nullptr)) {
      return std::move(*piece);
    }
    return *full_.Wait();
  }

  void DecodePieces(EntryHeap::Nursery* nursery) {
    GroupingSpace space;
    while (std::optional<PiecePtr> piece = empty_.Wait()) {
      if (!Fill(piece->get(), &space, nursery)) return;
      full_.Put(std::move(*piece));
    }
  }

  // With the next piece of the source; false if there is none.
  bool Fill(LoadBatch* piece, GroupingSpace* space,
            EntryHeap::Nursery* nursery) {
    LoadBatches* source = *source_.Wait();
    const bool more = source->Next(piece);
    source_.Put(source);
    if (!more) return false;
    piece->Decode(hash_seed_, space);
    piece->MakeEntries(&budget_, nursery);
    return true;
  }

  const uint64_t hash_seed_;
  Mailbox<PiecePtr> empty_;
  Mailbox<PiecePtr> full_;
  Mailbox<LoadBatches*> source_;
  // Those that came before their turn, by number: there are never more than
  // this.
  std::vector<PiecePtr> ahead_;
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
    PiecePtr piece = decoders.Get(acceptor.next());
    KVD_TRY(acceptor.Take(piece.get()));
    decoders.GiveBack(std::move(piece));
  }
  return acceptor.hint_damaged() ? LoadOutcome::kHintDamaged
                                 : LoadOutcome::kLoaded;
}

}  // namespace kvd
