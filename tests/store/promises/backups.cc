// SPDX-License-Identifier: MIT
#include "tests/store/promises/backups.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <string_view>
#include <tuple>
#include <utility>

#include "backup/backup_writer.h"
#include "tests/store/promises/promises.h"

namespace kvd {
namespace {

constexpr int kTurnsMax = 1000;
// Segments of tests are small, and have many pieces all the same.
constexpr uint64_t kPieceBytes = 5000;

BackupReader::Source From(std::string_view bytes) {
  return [bytes](std::span<char> out) mutable -> Result<size_t> {
    const size_t size = std::min(out.size(), bytes.size());
    std::memcpy(out.data(), bytes.data(), size);
    bytes.remove_prefix(size);
    return size;
  };
}

struct Order {
  BackupHeader header;
  std::vector<BackupSegment> segments;
};

Result<Order> OrderFor(const Manifest& manifest, const std::string* base) {
  Order order;
  order.header.uuid = manifest.uuid;
  order.header.revision = manifest.databases_as_of;
  for (const SealedSegment& sealed : manifest.sealed) {
    order.segments.push_back({sealed.id, sealed.bytes, sealed.checksum});
  }
  if (base == nullptr) return order;
  KVD_TRY_ASSIGN(const auto reader, BackupReader::Open("base", From(*base)));
  const auto trailer = DecodeBackupTrailer(
      std::string_view(*base).substr(base->size() - kBackupTrailerBytes));
  order.header.incremental = true;
  order.header.base_revision = reader->header().revision;
  order.header.base_digest = trailer->digest;
  for (BackupSegment& segment : order.segments) {
    segment.here = std::none_of(
        reader->segments().begin(), reader->segments().end(),
        [&](const BackupSegment& other) { return segment.SameBytes(other); });
  }
  return order;
}

}  // namespace

Result<std::unique_ptr<Backup>> OpenBackup(Machine* machine) {
  KVD_TRY_ASSIGN(std::unique_ptr<Backup> backup,
                 Backup::Begin(machine->store()));
  for (int i = 0; i < kTurnsMax; ++i) {
    KVD_TRY_ASSIGN(const Manifest* manifest, backup->Contents());
    if (manifest != nullptr) return backup;
    machine->Turn();
  }
  return Fail(ErrorCode::kUnavailable, "the backup does not begin");
}

Result<std::string> ReadPiece(Machine* machine, Backup* backup,
                              uint64_t segment, uint64_t offset, size_t bytes) {
  for (int i = 0; i < kTurnsMax; ++i) {
    KVD_TRY_ASSIGN(std::optional<std::string> piece,
                   backup->Read(segment, offset, bytes));
    if (piece) return *std::move(piece);
    machine->Turn();
  }
  return Fail(ErrorCode::kUnavailable, "nothing is read");
}

Result<std::string> TakeBackup(Machine* machine,
                               const std::function<void()>& between,
                               const std::string* base) {
  KVD_TRY_ASSIGN(const std::unique_ptr<Backup> backup, OpenBackup(machine));
  between();
  KVD_TRY_ASSIGN(const Manifest* const open, backup->Contents());
  const Manifest manifest = *open;
  KVD_TRY_ASSIGN(Order order, OrderFor(manifest, base));
  order.header.made_ms =
      static_cast<uint64_t>(machine->clock().MonotonicUs() / 1000);
  std::string out;
  BackupWriter writer(order.header, EncodeManifest(manifest), order.segments,
                      &out);
  while (const BackupSegment* next = writer.next()) {
    const BackupSegment segment = *next;
    for (uint64_t offset = 0; offset < segment.bytes;) {
      KVD_TRY_ASSIGN(
          const std::string piece,
          ReadPiece(machine, backup.get(), segment.id, offset, kPieceBytes));
      KVD_TRY(writer.Append(piece, &out));
      offset += piece.size();
      between();
    }
  }
  writer.Finish(&out);
  backup->Finish();
  return out;
}

Result<BackupChain> OpenChain(const std::vector<std::string>& backups) {
  BackupChain chain;
  for (size_t i = 0; i < backups.size(); ++i) {
    KVD_TRY_ASSIGN(auto reader,
                   BackupReader::Open(std::to_string(i), From(backups[i])));
    chain.push_back(std::move(reader));
  }
  return chain;
}

Result<RestoreReport> Restore(SimFileSystem* disk,
                              const std::vector<std::string>& backups) {
  KVD_TRY_ASSIGN(const BackupChain chain, OpenChain(backups));
  const std::unique_ptr<Directory> directory = disk->OpenDirectory();
  return RestoreBackups(*directory, chain, [](uint64_t, uint64_t) {});
}

uint64_t RevisionOf(const std::string& backup) {
  BackupHeader header;
  std::ignore = DecodeBackupHeader(
      std::string_view(backup).substr(0, kBackupHeaderBytes), &header);
  return header.revision;
}

const Contents& StateAt(const History& history, uint64_t revision) {
  size_t step = 0;
  for (size_t i = 0; i < history.last_seqs.size(); ++i) {
    if (history.last_seqs[i] <= revision) step = i;
  }
  return history.states[step];
}

Result<Contents> ContentsOf(SimFileSystem* disk) {
  History history;
  Machine machine(disk, &history);
  KVD_TRY(machine.Open());
  return machine.Dump();
}

// --- Promises ---------------------------------------------------------------

std::string CheckBackupIsOfOneRevision() {
  SimFileSystem disk;
  History history;
  Machine machine(&disk, &history);
  if (!machine.Open()) return "does not open";
  machine.Put("before", "1");
  machine.Settle();
  int more = 0;
  const Result<std::string> backup = TakeBackup(&machine, [&] {
    machine.Put("after" + std::to_string(more++), "2");
    machine.Settle();
  });
  if (!backup) return backup.error().message();
  SimFileSystem restored;
  if (const auto done = Restore(&restored, {*backup}); !done) {
    return done.error().message();
  }
  const Result<Contents> contents = ContentsOf(&restored);
  if (!contents) return contents.error().message();
  return *contents == StateAt(history, RevisionOf(*backup))
             ? ""
             : "it holds what was written after its revision";
}

std::string CheckRestoreTakesNewRevisions() {
  SimFileSystem disk;
  History history;
  Machine machine(&disk, &history);
  if (!machine.Open()) return "does not open";
  machine.Put("key", "1");
  machine.Settle();
  const Result<std::string> backup = TakeBackup(&machine);
  if (!backup) return backup.error().message();
  for (int i = 0; i < 5; ++i) machine.Put("key", "shown to somebody");
  machine.Settle();
  SimFileSystem disk_restored;
  if (const auto done = Restore(&disk_restored, {*backup}); !done) {
    return done.error().message();
  }
  History later;
  Machine restored(&disk_restored, &later);
  if (!restored.Open()) return "what was restored does not open";
  restored.Put("key", "another");
  restored.Settle();
  return later.newest_seq > history.newest_seq
             ? ""
             : "a revision of the source is given to another change";
}

}  // namespace kvd
