// SPDX-License-Identifier: MIT
#include "salvage/new_store.h"

#include <algorithm>
#include <utility>

#include "base/random.h"
#include "log/format/segment_head.h"

namespace kvd {

NewStore::NewStore(Directory& directory, const DatabaseMap& databases,
                   uint64_t next_seq, uint64_t segment_bytes)
    : directory_(directory), segment_bytes_(segment_bytes) {
  FillRandom(manifest_.uuid);
  manifest_.epoch = 1;
  manifest_.next_seq = next_seq;
  manifest_.history_floor = next_seq - 1;
  manifest_.clean = true;
  manifest_.databases_as_of = next_seq - 1;
  manifest_.databases = databases;
}

Result<void> NewStore::Add(const Record& record) {
  const uint64_t bytes = RecordBytes(record.key.size(), record.value.size());
  if (writer_ && !writer_->Fits(bytes, segment_bytes_)) {
    KVD_TRY(CloseSegment(/*last=*/false));
  }
  if (!writer_) KVD_TRY(OpenSegment());
  KVD_TRY(writer_->Append(record));
  return {};
}

Result<void> NewStore::OpenSegment() {
  SegmentHead head;
  head.databases_as_of = manifest_.databases_as_of;
  head.databases = manifest_.databases;
  head.job = 1;
  head.output = static_cast<uint32_t>(manifest_.sealed.size());
  KVD_TRY_ASSIGN(writer_, CompactedWriter::Create(
                              directory_,
                              {manifest_.uuid, manifest_.next_segment++,
                               manifest_.epoch, SegmentKind::kCompacted},
                              head));
  return {};
}

Result<void> NewStore::CloseSegment(bool last) {
  KVD_TRY_ASSIGN(const SealedSegment sealed, writer_->Finish(last));
  manifest_.sealed.push_back(sealed);
  writer_.reset();
  return {};
}

Result<void> NewStore::Finish() {
  if (writer_) KVD_TRY(CloseSegment(/*last=*/true));
  std::sort(manifest_.sealed.begin(), manifest_.sealed.end(),
            [](const SealedSegment& a, const SealedSegment& b) {
              return a.first_seq < b.first_seq;
            });
  KVD_TRY(directory_.Sync());
  return SaveManifest(directory_, manifest_);
}

}  // namespace kvd
