// SPDX-License-Identifier: MIT
#include "log/read/chunk_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "log/format/segment.h"

namespace kvd {
namespace {

tl::unexpected<Error> DamagedAt(const std::string& path, uint64_t offset) {
  return Fail(ErrorCode::kCorruption, "{}: damaged at offset {}", path, offset);
}

}  // namespace

void LogChunk::Start(uint64_t number) {
  number_ = number;
  size_ = 0;
  ends_segment_ = false;
  ends_log_ = false;
  sum_holds_ = true;
  error_.reset();
  group_.records.clear();
  group_.offsets.clear();
  totals_ = {};
  // What one large group needed is not kept.
  if (capacity_ > 2 * kChunkBytes) {
    memory_.reset();
    capacity_ = 0;
    group_ = {};
  }
}

void LogChunk::Grow(size_t capacity) {
  if (capacity <= capacity_) return;
  auto memory = std::make_unique_for_overwrite<char[]>(capacity);
  if (size_ != 0) std::memcpy(memory.get(), memory_.get(), size_);
  memory_ = std::move(memory);
  capacity_ = capacity;
}

void LogChunk::Verify() {
  if (error_) return;
  SegmentReader reader(bytes(), identity_, base_);
  const uint64_t end = base_ + size_;
  while (reader.offset() < end) {
    if (reader.Append(&group_) != Found::kGroup) {
      error_ = DamagedAt(path_, reader.offset()).value();
      return;
    }
  }
  for (const Record& record : group_.records) totals_.Add(record);
  if (!sum_holds_) {
    error_ = Error(ErrorCode::kCorruption,
                   fmt::format("{}: wrong checksum of its {} bytes, although "
                               "each record is intact",
                               path_, end));
  }
}

uint64_t LogChunk::memory_bytes() const {
  return capacity_ + group_.records.capacity() * sizeof(Record) +
         group_.offsets.capacity() * sizeof(uint64_t);
}

void SegmentTotals::Add(const Record& record) {
  Add({.records = 1, .first_seq = record.seq, .last_seq = record.seq});
}

void SegmentTotals::Add(const SegmentTotals& part) {
  if (part.records == 0) return;
  first_seq =
      records == 0 ? part.first_seq : std::min(first_seq, part.first_seq);
  last_seq = std::max(last_seq, part.last_seq);
  records += part.records;
}

bool SegmentTotals::AreThoseOf(const SealedSegment& segment) const {
  return records == segment.records && first_seq == segment.first_seq &&
         last_seq == segment.last_seq;
}

bool ChunkReader::Next(LogChunk* piece) {
  Filled filled = Filled::kPartly;
  while (filled == Filled::kPartly) filled = Step(piece);
  return filled == Filled::kPiece;
}

Filled ChunkReader::Step(LogChunk* piece) {
  bytes_read_ = 0;
  const bool at_end = !file_ && next_segment_ == segments_.size();
  if (broken_ || at_end) return Filled::kNothing;
  Result<void> filled = Fill(piece);
  if (!filled) piece->error_ = std::move(filled).error();
  broken_ = !piece->intact() || !piece->sum_holds_;
  return wanted_ == 0 || broken_ ? Filled::kPiece : Filled::kPartly;
}

Result<void> ChunkReader::Fill(LogChunk* piece) {
  if (wanted_ == 0) KVD_TRY(Begin(piece));
  KVD_TRY(ReadOn(piece));
  if (piece->size_ < wanted_) return {};
  KVD_TRY_ASSIGN(const size_t whole, Cut(*piece));
  if (whole <= piece->size_) {
    End(whole, piece);
    return {};
  }
  // One group that is larger than a piece.
  if (whole > segment().bytes - offset_) return DamagedAt(path_, offset_);
  wanted_ = whole;
  return {};
}

Result<void> ChunkReader::Begin(LogChunk* piece) {
  piece->Start(next_number_++);
  const bool opens = !file_;
  if (opens) ++next_segment_;
  piece->segment_ = next_segment_ - 1;
  if (opens) KVD_TRY(OpenSegment());
  piece->identity_ = identity_;
  piece->path_ = path_;
  piece->base_ = offset_;
  wanted_ = std::min<uint64_t>(segment().bytes - offset_, kChunkBytes);
  piece->Grow(wanted_);
  if (!rest_.empty()) {
    std::memcpy(piece->memory_.get(), rest_.data(), rest_.size());
  }
  piece->size_ = rest_.size();
  rest_.clear();
  return {};
}

Result<void> ChunkReader::OpenSegment() {
  const std::string name = SegmentName(segment().id);
  KVD_TRY_ASSIGN(file_, directory_.Open(name, Directory::OpenMode::kRead));
  path_ = fmt::format("{}/{}", directory_.path(), name);
  identity_ = {uuid_, segment().id, segment().epoch, segment().kind};
  seed_ = identity_.Seed();
  offset_ = 0;
  last_seq_ = 0;
  checksum_.emplace(0);
  return {};
}

Result<void> ChunkReader::ReadOn(LogChunk* piece) {
  const size_t size = std::min(wanted_ - piece->size_, kChunkBytes);
  if (size == 0) return {};
  piece->Grow(wanted_);
  KVD_TRY_ASSIGN(bytes_read_,
                 file_->ReadAt(offset_ + piece->size_,
                               {piece->memory_.get() + piece->size_, size}));
  piece->size_ += bytes_read_;
  if (bytes_read_ == size) return {};
  return Fail(ErrorCode::kCorruption, "{}: {} bytes long, the MANIFEST says {}",
              path_, offset_ + piece->size_, segment().bytes);
}

// How many bytes the whole groups take with which the piece begins; when there
// is not even one, how many the first one will take. kCorruption if what stands
// there does not continue the log.
Result<size_t> ChunkReader::Cut(const LogChunk& piece) {
  const std::string_view bytes = piece.bytes();
  uint64_t at = offset_;
  if (at == 0) {
    SegmentHeader header;
    if (DecodeSegmentHeader(bytes, &header) != HeaderOutcome::kHeader ||
        header.identity != identity_) {
      return Fail(
          ErrorCode::kCorruption,
          "{}: its header is not that of the segment which the MANIFEST "
          "names",
          path_);
    }
    at = kSegmentHeaderBytes;
  }
  const uint64_t end = offset_ + bytes.size();
  while (at < end) {
    const auto header = DecodeGroupHeader(bytes, at, seed_, offset_);
    if (!header) {
      // Cut off, or none at all; the next piece begins with it and will tell.
      if (at != offset_ && end - at < kGroupHeaderBytes) break;
      return DamagedAt(path_, at);
    }
    if (header->End() > end) {
      if (at == offset_) return header->End() - offset_;
      break;
    }
    if (identity_.kind == SegmentKind::kLog) {
      if (last_seq_ != 0 && header->first_seq != last_seq_ + 1) {
        return DamagedAt(path_, at);
      }
      if (header->records != 0) {
        last_seq_ = header->first_seq + header->records - 1;
      }
    }
    at = header->End();
  }
  return at - offset_;
}

// The piece takes the first `size` of the bytes that were read.
void ChunkReader::End(size_t size, LogChunk* piece) {
  rest_.assign(piece->bytes().substr(size));
  piece->size_ = size;
  checksum_->Update(piece->bytes());
  offset_ += size;
  wanted_ = 0;
  if (offset_ < segment().bytes) return;
  piece->ends_segment_ = true;
  piece->ends_log_ = next_segment_ == segments_.size();
  piece->sum_holds_ = checksum_->Digest() == segment().checksum;
  file_.reset();
}

}  // namespace kvd
