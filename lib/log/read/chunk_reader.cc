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

bool ChunkReader::Next(LogChunk* chunk) {
  Filled filled = Filled::kPartly;
  while (filled == Filled::kPartly) filled = Step(chunk);
  return filled == Filled::kChunk;
}

Filled ChunkReader::Step(LogChunk* chunk) {
  bytes_read_ = 0;
  const bool at_end = !file_ && next_segment_ == segments_.size();
  if (broken_ || at_end) return Filled::kNothing;
  Result<void> filled = Fill(chunk);
  if (!filled) chunk->error_ = std::move(filled).error();
  broken_ = !chunk->intact() || !chunk->sum_holds_;
  return wanted_ == 0 || broken_ ? Filled::kChunk : Filled::kPartly;
}

Result<void> ChunkReader::Fill(LogChunk* chunk) {
  if (wanted_ == 0) KVD_TRY(Begin(chunk));
  KVD_TRY(ReadOn(chunk));
  if (chunk->size_ < wanted_) return {};
  KVD_TRY_ASSIGN(const size_t whole, Cut(*chunk));
  if (whole <= chunk->size_) {
    End(whole, chunk);
    return {};
  }
  // One group that is larger than a chunk.
  if (whole > segment().bytes - offset_) {
    return DamagedAt(file_->path(), offset_);
  }
  wanted_ = whole;
  return {};
}

Result<void> ChunkReader::Begin(LogChunk* chunk) {
  chunk->Start(next_number_++);
  const bool opens = !file_;
  if (opens) ++next_segment_;
  chunk->segment_ = next_segment_ - 1;
  if (opens) KVD_TRY(OpenSegment());
  chunk->identity_ = file_->identity();
  chunk->path_ = file_->path();
  chunk->base_ = offset_;
  wanted_ = std::min<uint64_t>(segment().bytes - offset_, kChunkBytes);
  chunk->Grow(wanted_);
  if (!rest_.empty()) {
    std::memcpy(chunk->memory_.get(), rest_.data(), rest_.size());
  }
  chunk->size_ = rest_.size();
  rest_.clear();
  return {};
}

Result<void> ChunkReader::OpenSegment() {
  KVD_TRY_ASSIGN(file_, SealedFile::Open(directory_, uuid_, segment()));
  seed_ = file_->identity().Seed();
  offset_ = 0;
  last_seq_ = 0;
  return {};
}

Result<void> ChunkReader::ReadOn(LogChunk* chunk) {
  const size_t size = std::min(wanted_ - chunk->size_, kChunkBytes);
  if (size == 0) return {};
  chunk->Grow(wanted_);
  const uint64_t before = file_->bytes_read();
  const Result<void> read =
      file_->Read({chunk->memory_.get() + chunk->size_, size});
  bytes_read_ = file_->bytes_read() - before;
  chunk->size_ += bytes_read_;
  return read;
}

// How many bytes the whole groups take with which the chunk begins; when there
// is not even one, how many the first one will take. kCorruption if what stands
// there does not continue the log.
Result<size_t> ChunkReader::Cut(const LogChunk& chunk) {
  const std::string_view bytes = chunk.bytes();
  uint64_t at = offset_ == 0 ? kSegmentHeaderBytes : offset_;
  const uint64_t end = offset_ + bytes.size();
  while (at < end) {
    const auto header = DecodeGroupHeader(bytes, at, seed_, offset_);
    if (!header) {
      // Cut off, or none at all; the next chunk begins with it and will tell.
      if (at != offset_ && end - at < kGroupHeaderBytes) break;
      return DamagedAt(file_->path(), at);
    }
    if (header->End() > end) {
      if (at == offset_) return header->End() - offset_;
      break;
    }
    if (!Continues(*header)) return DamagedAt(file_->path(), at);
    at = header->End();
  }
  return at - offset_;
}

// Whether the group comes next. Those of compacted segments have no order.
bool ChunkReader::Continues(const GroupHeader& header) {
  if (file_->identity().kind != SegmentKind::kLog) return true;
  if (last_seq_ != 0 && header.first_seq != last_seq_ + 1) return false;
  if (header.records != 0) last_seq_ = header.first_seq + header.records - 1;
  return true;
}

// The chunk takes the first `size` of the bytes that were read.
void ChunkReader::End(size_t size, LogChunk* chunk) {
  rest_.assign(chunk->bytes().substr(size));
  chunk->size_ = size;
  offset_ += size;
  wanted_ = 0;
  if (offset_ < segment().bytes) return;
  chunk->ends_segment_ = true;
  chunk->ends_log_ = next_segment_ == segments_.size();
  chunk->sum_holds_ = file_->sum_holds();
  file_.reset();
}

}  // namespace kvd
