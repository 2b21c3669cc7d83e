// SPDX-License-Identifier: MIT
#include "store/loader.h"

#include <malloc.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "base/executor.h"
#include "base/mailbox.h"
#include "log/log_reader.h"
#include "store/index.h"

namespace kvd {
namespace {

// More decoders would only wait for the loading thread.
constexpr int kDecodersMax = 8;
// Pieces in flight, for each decoder and beside them.
constexpr int kPiecesPerDecoder = 2;
constexpr int kPiecesBeside = 2;

// What a thread frees goes back to the arena that it came from. With one for
// each decoder the loop could not use again what it frees of their entries.
void UseOneArena() {
#ifdef M_ARENA_MAX
  mallopt(M_ARENA_MAX, 1);
#endif
}

struct Decoded {
  LogPiece piece;
  PreparedRecords prepared;
};
using DecodedPtr = std::unique_ptr<Decoded>;

// The loading thread's end: takes pieces in order and decides whether a segment
// is what the MANIFEST says.
class Acceptor {
 public:
  Acceptor(Directory& directory, const Manifest& manifest,
           const PieceVisitor& visit)
      : directory_(directory), manifest_(manifest), visit_(visit) {}

  // The number of the piece to come.
  uint64_t next() const { return next_; }
  bool done() const { return done_; }

  Result<void> Take(Decoded* decoded) {
    const LogPiece& piece = decoded->piece;
    const SealedSegment& segment = manifest_.sealed[piece.segment()];
    ++next_;
    if (!piece.intact()) return Refuse(piece, segment);
    KVD_TRY(visit_(piece, &decoded->prepared));
    totals_.Add(piece.totals());
    if (piece.ends_segment()) {
      if (!totals_.AreThoseOf(segment)) return Refuse(piece, segment);
      totals_ = {};
    }
    done_ = piece.ends_log();
    return {};
  }

 private:
  // Damage is described by the one who reads a segment as a whole.
  Result<void> Refuse(const LogPiece& piece, const SealedSegment& segment) {
    const std::optional<Error>& error = piece.error();
    if (error && error->code() != ErrorCode::kNotFound &&
        error->code() != ErrorCode::kCorruption) {
      return Unexpected(*error);
    }
    KVD_TRY(CheckSealedSegment(directory_, manifest_, segment,
                               [](const Group&, uint32_t) {}));
    return Fail(ErrorCode::kCorruption, "{}/{}: changed between two readings",
                directory_.path(), SegmentName(segment.id));
  }

  Directory& directory_;
  const Manifest& manifest_;
  const PieceVisitor& visit_;
  SegmentTotals totals_;
  uint64_t next_ = 0;
  bool done_ = false;
};

// Empty pieces go to the decoders and come back full. The cutter goes from hand
// to hand: whoever holds it reads the next piece. A decoder takes an empty
// piece first, so each piece that has a number is on its way.
class Decoders {
 public:
  Decoders(PieceCutter* cutter, const LoadOptions& options) {
    cutter_.Put(cutter);
    allocating_.Put({});
    UseOneArena();
    const int wanted = std::min(options.threads, kDecodersMax);
    for (int i = 0; i < wanted * kPiecesPerDecoder + kPiecesBeside; ++i) {
      empty_.Put(std::make_unique<Decoded>());
    }
    for (int i = 0; i < wanted; ++i) {
      try {
        threads_.push_back(std::make_unique<ThreadExecutor>("kvd-load"));
      } catch (const std::system_error&) {
        break;  // Those that there are have to do.
      }
      threads_.back()->Post(
          [this, seed = options.hash_seed] { DecodePieces(seed); });
    }
    ahead_.resize(static_cast<size_t>(wanted) * kPiecesPerDecoder +
                  kPiecesBeside);
  }

  ~Decoders() {
    (void)empty_.TakeAll();
    empty_.Close();
    threads_.clear();  // Joins them, while the mailboxes are there.
  }

  bool any() const { return !threads_.empty(); }

  // Waits for the piece of that number.
  DecodedPtr Wait(uint64_t number) {
    DecodedPtr& wanted = ahead_[number % ahead_.size()];
    while (wanted == nullptr) {
      DecodedPtr decoded = *full_.Wait();
      const size_t at = decoded->piece.number() % ahead_.size();
      ahead_[at] = std::move(decoded);
    }
    return std::move(wanted);
  }
  void GiveBack(DecodedPtr decoded) { empty_.Put(std::move(decoded)); }

 private:
  void DecodePieces(uint64_t hash_seed) {
    while (std::optional<DecodedPtr> decoded = empty_.Wait()) {
      PieceCutter* cutter = *cutter_.Wait();
      const bool more = cutter->Next(&(*decoded)->piece);
      cutter_.Put(cutter);
      if (!more) return;
      LogPiece& piece = (*decoded)->piece;
      piece.Verify();
      PreparedRecords& prepared = (*decoded)->prepared;
      prepared.Hash(piece.records(), hash_seed);
      const std::optional<Turn> turn = allocating_.Wait();
      prepared.MakeEntries(piece.records(), piece.segment_id());
      allocating_.Put(*turn);
      full_.Put(std::move(*decoded));
    }
  }

  Mailbox<DecodedPtr> empty_;
  Mailbox<DecodedPtr> full_;
  Mailbox<PieceCutter*> cutter_;
  // Whose turn it is to make entries: all come out of one arena, whose lock
  // would cost more than the wait.
  struct Turn {};
  Mailbox<Turn> allocating_;
  // Those that came before their turn, by number: there are never more than
  // this.
  std::vector<DecodedPtr> ahead_;
  std::vector<std::unique_ptr<ThreadExecutor>> threads_;
};

}  // namespace

Result<void> LoadSealedSegments(Directory& directory, const Manifest& manifest,
                                const LoadOptions& options,
                                const PieceVisitor& visit) {
  if (manifest.sealed.empty()) return {};
  PieceCutter cutter(directory, manifest.uuid, manifest.sealed);
  Acceptor acceptor(directory, manifest, visit);
  if (options.threads > 0) {
    Decoders decoders(&cutter, options);
    if (decoders.any()) {
      while (!acceptor.done()) {
        DecodedPtr decoded = decoders.Wait(acceptor.next());
        KVD_TRY(acceptor.Take(decoded.get()));
        decoders.GiveBack(std::move(decoded));
      }
      return {};
    }
  }
  Decoded decoded;
  while (!acceptor.done()) {
    cutter.Next(&decoded.piece);
    decoded.piece.Verify();
    decoded.prepared.Prepare(decoded.piece.records(),
                             decoded.piece.segment_id(), options.hash_seed);
    KVD_TRY(acceptor.Take(&decoded));
  }
  return {};
}

}  // namespace kvd
